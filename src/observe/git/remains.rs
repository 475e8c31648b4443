//! Whether a change could be taken out of a version that no commit shows to have it: the last look before a no.
//!
//! What was squashed with something else, or in another surrounding, is no patch that could be recognised, and what was
//! reapplied was there before. So its revert is tried on the version, in memory: where it changes something without a
//! conflict, some of the change is there.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use git2::{Delta, Oid};

use super::patch::Pattern;
use super::{Repository, short};
use crate::safety::Doubt;

/// Ahead of the repository's own places for objects, so that nothing is written there.
const BEFORE_ALL: i32 = 1_000;

#[derive(Default)]
pub(super) struct Memo {
    /// The repository with a place in memory for what a merge makes.
    scratch: OnceCell<git2::Repository>,
    /// What could be taken out, by change and version.
    found: RefCell<BTreeMap<(Oid, Oid), bool>>,
}

impl Repository {
    /// Whether the revert of `change` would change something in `version` without a conflict.
    pub(super) fn could_be_taken_out(&self, change: Oid, version: Oid) -> Result<bool, Doubt> {
        if let Some(known) = self.remains.found.borrow().get(&(change, version)) {
            return Ok(*known);
        }
        let found = self.try_to_take_out(change, version).map_err(|error| {
            let what = format!("whether {} has some of {}", short(version), short(change));
            self.no_objects(&what, &error)
        })?;
        self.remains.found.borrow_mut().insert((change, version), found);
        Ok(found)
    }

    fn try_to_take_out(&self, change: Oid, version: Oid) -> Result<bool, git2::Error> {
        let Some(own) = self.change_of(change)? else {
            return self.shares_an_entry(change, version);
        };
        if self.reads_as_before(&own, version)? {
            return Ok(false);
        }
        let scratch = self.scratch()?;
        let tree = |id: Oid| scratch.find_commit(id).and_then(|commit| commit.tree());
        let (with, ours) = (tree(change)?, tree(version)?);
        let before = tree(scratch.find_commit(change)?.parent_id(0)?)?;
        let reverted = scratch.merge_trees(&with, &ours, &before, None)?;
        let difference = scratch.diff_tree_to_index(Some(&ours), Some(&reverted), None)?;
        Ok(difference
            .deltas()
            .any(|delta| delta.status() != Delta::Conflicted))
    }

    /// Whether all files of a change are there and read as before it.
    fn reads_as_before(&self, change: &Pattern, version: Oid) -> Result<bool, git2::Error> {
        Ok(change.only_changes_files() && self.reads_as_before_in(change, version)?)
    }

    /// Whether a commit without parents, all of which is the change, and a version have something in the same place.
    fn shares_an_entry(&self, root: Oid, version: Oid) -> Result<bool, git2::Error> {
        let (root, version) = (
            self.inner.find_commit(root)?.tree()?,
            self.inner.find_commit(version)?.tree()?,
        );
        Ok(root.iter().any(|entry| {
            version
                .iter()
                .any(|other| other.id() == entry.id() && other.name_bytes() == entry.name_bytes())
        }))
    }

    fn scratch(&self) -> Result<&git2::Repository, git2::Error> {
        if let Some(scratch) = self.remains.scratch.get() {
            return Ok(scratch);
        }
        let scratch = git2::Repository::open(self.inner.commondir())?;
        scratch.odb()?.add_new_mempack_backend(BEFORE_ALL)?;
        Ok(self.remains.scratch.get_or_init(|| scratch))
    }
}
