//! Which commit reaches which, each question answered once.

use std::collections::BTreeMap;

use git2::Oid;

use super::Repository;
use crate::safety::Doubt;

/// Answers given so far.
#[derive(Default)]
pub(super) struct Memo {
    reaches: BTreeMap<(Oid, Oid), bool>,
}

impl Repository {
    /// Whether `from` is `to` or a descendant of it, as far as this clone's history goes.
    pub(super) fn reaches(&self, from: Oid, to: Oid) -> Result<bool, Doubt> {
        // libgit2 does not count a commit among its own descendants.
        if from == to {
            return Ok(true);
        }
        if let Some(known) = self.ancestry.borrow().reaches.get(&(from, to)) {
            return Ok(*known);
        }
        let answer = self
            .inner
            .graph_descendant_of(from, to)
            .map_err(|error| self.unreadable(&error))?;
        self.ancestry.borrow_mut().reaches.insert((from, to), answer);
        Ok(answer)
    }

    /// How many commits only `one` has, and how many only `other` has.
    pub(super) fn distance(&self, one: Oid, other: Oid) -> Result<(usize, usize), Doubt> {
        self.inner
            .graph_ahead_behind(one, other)
            .map_err(|error| self.unreadable(&error))
    }
}
