//! What commits change, compared by the change itself instead of by id.
//!
//! Two changes are the same patch if they touch the same files in the same way and their hunks, with three lines of context,
//! are the same to the byte; only line numbers may differ. This is git's patch-id, except that white space counts (it
//! means something in some languages) and that binary files are compared by their contents.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use git2::{Diff, DiffOptions, ErrorClass, ErrorCode, Oid};
use sha2::{Digest as _, Sha256};

use super::{Repository, short};
use crate::safety::Doubt;

/// The digest of a patch.
type Print = [u8; 32];

/// What a tree holds at a path: the object and its mode.
pub(super) type Entry = Option<(Oid, i32)>;

/// What was compared so far, all of it by the ids of trees, which never change.
#[derive(Default)]
pub(super) struct Memo {
    outlines: BTreeMap<(Oid, Oid), Rc<Vec<Touched>>>,
    prints: BTreeMap<(Oid, Oid), Print>,
    entries: BTreeMap<(Oid, Vec<u8>), Entry>,
}

/// A file that a change touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Touched {
    path: Vec<u8>,
    mode_before: u32,
    mode_after: u32,
}

impl Touched {
    /// Whether the file was there before the change.
    fn existed(&self) -> bool {
        self.mode_before != u32::from(git2::FileMode::Unreadable)
    }
}

/// A change to look for: from one tree to another.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    old: Oid,
    new: Oid,
    files: Rc<Vec<Touched>>,
}

impl Pattern {
    /// Whether it changes nothing, so that nothing can be told from finding it.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether every file that it touches was there before.
    pub(super) fn only_changes_files(&self) -> bool {
        self.files.iter().all(Touched::existed)
    }

    /// Whether some file that it touches was there before.
    pub(super) fn changes_a_file(&self) -> bool {
        self.files.iter().any(Touched::existed)
    }

    /// The paths that it touches.
    pub(super) fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.files.iter().map(|file| file.path.as_slice())
    }

    /// The tree before it.
    pub(super) fn old(&self) -> Oid {
        self.old
    }

    /// Whether both touch some file.
    pub(super) fn shares_a_file_with(&self, other: &Self) -> bool {
        let touched = |file: &Touched| other.files.iter().any(|another| another.path == file.path);
        self.files.iter().any(touched)
    }
}

impl Repository {
    /// The change from one commit's tree to another's.
    pub(super) fn change_between(&self, old: Oid, new: Oid) -> Result<Pattern, git2::Error> {
        self.pattern(self.tree_id(old)?, self.tree_id(new)?)
    }

    /// What a commit changes, seen from its first parent; `None` for a commit without parents.
    pub(super) fn change_of(&self, commit: Oid) -> Result<Option<Pattern>, git2::Error> {
        match self.inner.find_commit(commit)?.parent_id(0) {
            Ok(parent) => Ok(Some(self.change_between(parent, commit)?)),
            Err(_) => Ok(None),
        }
    }

    /// Whether two commits change some file both, each seen from its first parent.
    pub(super) fn share_a_file(&self, one: Oid, other: Oid) -> Result<bool, Doubt> {
        let shared = || -> Result<bool, git2::Error> {
            Ok(match (self.change_of(one)?, self.change_of(other)?) {
                (Some(one), Some(other)) => one.shares_a_file_with(&other),
                _ => false,
            })
        };
        shared().map_err(|error| self.no_objects(&format!("what {} changes", short(one)), &error))
    }

    /// The change that takes this one back.
    pub(super) fn inverse(&self, change: &Pattern) -> Result<Pattern, git2::Error> {
        self.pattern(change.new, change.old)
    }

    fn pattern(&self, old: Oid, new: Oid) -> Result<Pattern, git2::Error> {
        if let Some(files) = self.patches.borrow().outlines.get(&(old, new)).cloned() {
            return Ok(Pattern { old, new, files });
        }
        let files = Rc::new(outline(&self.difference(old, new)?));
        self.patches
            .borrow_mut()
            .outlines
            .insert((old, new), Rc::clone(&files));
        Ok(Pattern { old, new, files })
    }

    /// Which of `wanted` a commit makes, seen from its first parent.
    ///
    /// Cheap questions come first, since nearly every commit asked about is another one: does it touch a file that the
    /// wanted change touches, does it touch the same ones, are the hunks the same.
    pub(super) fn which_of(&self, wanted: &[Pattern], commit: Oid) -> Result<Option<usize>, git2::Error> {
        let commit = self.inner.find_commit(commit)?;
        let Ok(parent) = commit.parent_id(0) else {
            return Ok(None);
        };
        let (old, new) = (self.tree_id(parent)?, commit.tree_id());
        if old == new {
            return Ok(None);
        }
        let mut files = None;
        for (at, change) in wanted.iter().enumerate() {
            let Some(first) = change.files.first() else {
                continue;
            };
            if (old, new) == (change.old, change.new) {
                return Ok(Some(at));
            }
            if self.entry_at(old, &first.path)? == self.entry_at(new, &first.path)? {
                continue;
            }
            if files.is_none() {
                files = Some(outline(&self.difference(old, new)?));
            }
            if files.as_ref() == Some(&*change.files)
                && self.print(old, new)? == self.print(change.old, change.new)?
            {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Whether a commit, seen from its first parent, touches a file that a change touches.
    pub(super) fn touches_any_file_of(&self, change: &Pattern, commit: Oid) -> Result<bool, git2::Error> {
        match self.inner.find_commit(commit)?.parent_id(0) {
            Ok(parent) => Ok(!self.reads_the_same(change, parent, commit)?),
            Err(_) => Ok(true),
        }
    }

    /// Whether two changes are the same patch.
    pub(super) fn is_same_patch(&self, one: &Pattern, other: &Pattern) -> Result<bool, git2::Error> {
        Ok(!one.is_empty()
            && one.files == other.files
            && self.print(one.old, one.new)? == self.print(other.old, other.new)?)
    }

    /// Whether every file that a change touches reads the same in two commits.
    pub(super) fn reads_the_same(&self, change: &Pattern, one: Oid, other: Oid) -> Result<bool, git2::Error> {
        self.alike(change, self.tree_id(one)?, self.tree_id(other)?)
    }

    /// Whether every file that a change touches reads in a commit as it did before the change.
    pub(super) fn reads_as_before_in(&self, change: &Pattern, commit: Oid) -> Result<bool, git2::Error> {
        self.alike(change, change.old, self.tree_id(commit)?)
    }

    fn alike(&self, change: &Pattern, one: Oid, other: Oid) -> Result<bool, git2::Error> {
        for file in change.files.iter() {
            if self.entry_at(one, &file.path)? != self.entry_at(other, &file.path)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether every file that `change` touched reads in `version` as it did before: it was taken back without a word,
    /// or lost in a merge. Files that were added are not gone as long as one of them is found elsewhere.
    pub(super) fn is_gone_from(&self, change: &Pattern, version: Oid) -> Result<bool, git2::Error> {
        Ok(!change.is_empty()
            && self.reads_as_before_in(change, version)?
            && (change.changes_a_file() || !self.holds_what_was_added(change, version)?))
    }

    /// What a path leads to before and after a change.
    pub(super) fn entries_of(&self, change: &Pattern, path: &[u8]) -> Result<(Entry, Entry), git2::Error> {
        Ok((self.entry_at(change.old, path)?, self.entry_at(change.new, path)?))
    }

    /// What a path leads to in a commit.
    pub(super) fn entry_in(&self, commit: Oid, path: &[u8]) -> Result<Entry, git2::Error> {
        self.entry_at(self.tree_id(commit)?, path)
    }

    pub(super) fn tree_id(&self, commit: Oid) -> Result<Oid, git2::Error> {
        Ok(self.inner.find_commit(commit)?.tree_id())
    }

    fn entry_at(&self, tree: Oid, path: &[u8]) -> Result<Entry, git2::Error> {
        let key = (tree, path.to_owned());
        if let Some(known) = self.patches.borrow().entries.get(&key) {
            return Ok(*known);
        }
        let found = self
            .inner
            .find_tree(tree)?
            .get_path(Path::new(OsStr::from_bytes(path)));
        let entry = match found {
            Ok(entry) => Some((entry.id(), entry.filemode_raw())),
            Err(error) if is_not_in_tree(&error) => None,
            Err(error) => return Err(error),
        };
        self.patches.borrow_mut().entries.insert(key, entry);
        Ok(entry)
    }

    fn difference(&self, old: Oid, new: Oid) -> Result<Diff<'_>, git2::Error> {
        let (old, new) = (self.inner.find_tree(old)?, self.inner.find_tree(new)?);
        let mut options = DiffOptions::new();
        // Said outright, so that nobody's configuration or attributes have a say.
        options
            .context_lines(3)
            .interhunk_lines(0)
            .force_text(true)
            .ignore_submodules(false);
        self.inner
            .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
    }

    fn print(&self, old: Oid, new: Oid) -> Result<Print, git2::Error> {
        if let Some(known) = self.patches.borrow().prints.get(&(old, new)) {
            return Ok(*known);
        }
        let print = self.print_of(&self.difference(old, new)?)?;
        self.patches.borrow_mut().prints.insert((old, new), print);
        Ok(print)
    }

    fn print_of(&self, difference: &Diff<'_>) -> Result<Print, git2::Error> {
        let mut hasher = Sha256::new();
        // Each part is framed by its length, so that none can pass for a piece of the next.
        let mut add = |part: &[u8]| {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        };
        for (at, (delta, file)) in difference.deltas().zip(outline(difference)).enumerate() {
            add(&file.path);
            add(&file.mode_before.to_be_bytes());
            add(&file.mode_after.to_be_bytes());
            let binary = self.is_binary(&delta.old_file())? || self.is_binary(&delta.new_file())?;
            match git2::Patch::from_diff(difference, at)? {
                Some(patch) if !binary && patch.num_hunks() > 0 => {
                    for hunk in 0..patch.num_hunks() {
                        add(b"hunk");
                        for line in 0..patch.num_lines_in_hunk(hunk)? {
                            let line = patch.line_in_hunk(hunk, line)?;
                            add(&[line.origin() as u8]);
                            add(line.content());
                        }
                    }
                }
                // Binary, or without a line changed.
                _ => {
                    add(delta.old_file().id().as_bytes());
                    add(delta.new_file().id().as_bytes());
                }
            }
        }
        Ok(hasher.finalize().into())
    }

    /// Whether a file is binary by what it holds, whatever attributes say of it.
    fn is_binary(&self, file: &git2::DiffFile<'_>) -> Result<bool, git2::Error> {
        if file.id().is_zero() || file.mode() == git2::FileMode::Commit {
            return Ok(false);
        }
        Ok(self.inner.find_blob(file.id())?.is_binary())
    }
}

/// Whether a path is not in a tree. Where a tree itself is missing, the error is of another class.
pub(super) fn is_not_in_tree(error: &git2::Error) -> bool {
    error.code() == ErrorCode::NotFound && error.class() == ErrorClass::Tree
}

fn outline(difference: &Diff<'_>) -> Vec<Touched> {
    difference
        .deltas()
        .map(|delta| Touched {
            path: delta
                .new_file()
                .path_bytes()
                .or_else(|| delta.old_file().path_bytes())
                .unwrap_or_default()
                .to_owned(),
            mode_before: delta.old_file().mode().into(),
            mode_after: delta.new_file().mode().into(),
        })
        .collect()
}
