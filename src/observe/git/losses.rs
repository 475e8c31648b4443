//! Changes that were lost without a word and without their inverse: in a merge, or in a commit that did something else as
//! well.

use std::collections::BTreeSet;

use git2::{IndexEntry, Oid, Patch, TreeWalkMode, TreeWalkResult};

use super::deeds::{Deeds, Since};
use super::patch::{Entry, Pattern};
use super::{Repository, short};
use crate::safety::Doubt;

/// Which bits of a mode tell what it is, and what they are for a file.
const KIND: i32 = 0o170_000;
const FILE: i32 = 0o100_000;

impl Repository {
    /// The commit by which the change was lost, unless its very patch was made again after it.
    pub(super) fn loss(
        &self,
        change: Oid,
        own: &Pattern,
        deeds: &Deeds,
        since: &Since,
    ) -> Result<Option<Oid>, Doubt> {
        let no_objects =
            |error: git2::Error| self.no_objects(&format!("what became of {}", short(change)), &error);
        let mut gone = BTreeSet::new();
        for commit in since.commits.iter().filter(|commit| since.after.contains(commit)) {
            let parents: Vec<Oid> = self
                .inner
                .find_commit(*commit)
                .map_err(no_objects)?
                .parent_ids()
                .collect();
            let lost = if self.is_gone_from(own, *commit).map_err(no_objects)? {
                gone.insert(*commit);
                !parents.iter().any(|parent| gone.contains(parent))
            } else {
                let (with, without): (Vec<Oid>, Vec<Oid>) = parents
                    .into_iter()
                    .partition(|parent| *parent == change || since.after.contains(parent));
                self.took_the_other_side(own, *commit, &with, &without)
                    .map_err(no_objects)?
            };
            if lost && !self.was_made_after(*commit, deeds)? {
                return Ok(Some(*commit));
            }
        }
        Ok(None)
    }

    fn was_made_after(&self, commit: Oid, deeds: &Deeds) -> Result<bool, Doubt> {
        for again in deeds.made() {
            if self.reaches(again, commit)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a merge has a file of the change as a parent without the change has it, and as none with it has it; and the
    /// change is not in there all the same.
    fn took_the_other_side(
        &self,
        change: &Pattern,
        merge: Oid,
        with: &[Oid],
        without: &[Oid],
    ) -> Result<bool, git2::Error> {
        if with.is_empty() || without.is_empty() {
            return Ok(false);
        }
        let reads_as = |path: &[u8], entry: Entry, parents: &[Oid]| -> Result<bool, git2::Error> {
            for parent in parents {
                if self.entry_in(*parent, path)? == entry {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        for path in change.paths() {
            let entry = self.entry_in(merge, path)?;
            if !reads_as(path, entry, with)?
                && reads_as(path, entry, without)?
                && !self.bears(change, path, entry)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a file has all of what a change did to it: its revert, tried in memory, takes out just that.
    fn bears(&self, change: &Pattern, path: &[u8], file: Entry) -> Result<bool, git2::Error> {
        let (old, new) = self.entries_of(change, path)?;
        if file == new {
            return Ok(true);
        }
        let (Some(old), Some(new), Some(file)) = (old, new, file) else {
            return Ok(false);
        };
        if [old, new, file].iter().any(|(_, mode)| mode & KIND != FILE) {
            return Ok(false);
        }
        let as_entry = |(id, mode): (Oid, i32)| index_entry(id, mode, path);
        let reverted =
            self.inner
                .merge_file_from_index(&as_entry(new), &as_entry(file), &as_entry(old), None)?;
        if !reverted.is_automergeable() {
            return Ok(false);
        }
        let (old, new, file) = (
            self.inner.find_blob(old.0)?,
            self.inner.find_blob(new.0)?,
            self.inner.find_blob(file.0)?,
        );
        Ok(
            changed_lines(reverted.content(), file.content())?
                == changed_lines(old.content(), new.content())?,
        )
    }

    /// Whether a commit's tree holds, at any path, one of the files that a change added and that were nowhere before.
    pub(super) fn holds_what_was_added(&self, change: &Pattern, commit: Oid) -> Result<bool, git2::Error> {
        let mut added = BTreeSet::new();
        for path in change.paths() {
            if let (None, Some((new, _))) = self.entries_of(change, path)?
                && !self.is_empty_file(new)
            {
                added.insert(new);
            }
        }
        if added.is_empty() {
            return Ok(false);
        }
        let before = self.among(&added, change.old())?;
        added.retain(|id| !before.contains(id));
        Ok(!self.among(&added, self.tree_id(commit)?)?.is_empty())
    }

    /// An empty file is everywhere.
    fn is_empty_file(&self, id: Oid) -> bool {
        Oid::hash_object(git2::ObjectType::Blob, b"").is_ok_and(|empty| empty == id)
    }

    /// Which of these objects a tree holds.
    fn among(&self, wanted: &BTreeSet<Oid>, tree: Oid) -> Result<BTreeSet<Oid>, git2::Error> {
        let mut found = BTreeSet::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        self.inner
            .find_tree(tree)?
            .walk(TreeWalkMode::PreOrder, |_, entry| {
                if wanted.contains(&entry.id()) {
                    found.insert(entry.id());
                }
                TreeWalkResult::Ok
            })?;
        Ok(found)
    }
}

/// What distinguishes two texts, lines in common left out.
fn changed_lines(old: &[u8], new: &[u8]) -> Result<Vec<(char, Vec<u8>)>, git2::Error> {
    let patch = Patch::from_buffers(old, None, new, None, None)?;
    let mut lines = Vec::new();
    for hunk in 0..patch.num_hunks() {
        for line in 0..patch.num_lines_in_hunk(hunk)? {
            let line = patch.line_in_hunk(hunk, line)?;
            if line.origin() != ' ' {
                lines.push((line.origin(), line.content().to_owned()));
            }
        }
    }
    Ok(lines)
}

fn index_entry(id: Oid, mode: i32, path: &[u8]) -> IndexEntry {
    let never = git2::IndexTime::new(0, 0);
    IndexEntry {
        ctime: never,
        mtime: never,
        dev: 0,
        ino: 0,
        mode: mode.cast_unsigned(),
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.to_owned(),
    }
}
