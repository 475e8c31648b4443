//! The branches and tags that hold a change, each of which a version may have as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use git2::Oid;

use super::{Repository, short};
use crate::safety::Doubt;

/// How many branches and tags that hold a change are compared as a whole.
pub(super) const TIPS_AT_MOST: usize = 128;

/// A branch or tag by its short name, and where it ends.
type Tip = (String, Oid);

/// What was found so far.
#[derive(Default)]
pub(super) struct Memo {
    holders: BTreeMap<Oid, Rc<Vec<Tip>>>,
}

impl Repository {
    /// The branches and tags of which the whole may be in the version: those that hold the change, if anything in the version
    /// touches one of its files at all. Only so many are compared, branches first; the flag says whether that is all.
    pub(super) fn tips(&self, change: Oid, range: &[Oid]) -> Result<(Vec<Tip>, bool), Doubt> {
        let touched = || -> Result<bool, git2::Error> {
            let Some(own) = self.change_of(change)? else {
                return Ok(true);
            };
            // What was only added may have been moved before the branch ended.
            if !own.changes_a_file() {
                return Ok(true);
            }
            for commit in range {
                if self.touches_any_file_of(&own, *commit)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let touched = touched().map_err(|error| {
            self.no_objects(
                &format!("what the commits without {} change", short(change)),
                &error,
            )
        })?;
        if !touched {
            return Ok((Vec::new(), true));
        }
        let holders = self.holders(change)?;
        let tips = holders.iter().take(TIPS_AT_MOST).cloned().collect();
        Ok((tips, holders.len() <= TIPS_AT_MOST))
    }

    /// The branches and tags that hold a change and do not end with it, branches first.
    fn holders(&self, change: Oid) -> Result<Rc<Vec<Tip>>, Doubt> {
        if let Some(known) = self.branches.borrow().holders.get(&change) {
            return Ok(Rc::clone(known));
        }
        let named = || -> Result<Vec<Tip>, git2::Error> {
            let mut named = Vec::new();
            let mut seen = BTreeSet::from([change]);
            for reference in self.inner.references()? {
                let reference = reference?;
                let Ok(commit) = reference.peel_to_commit() else {
                    continue;
                };
                if seen.insert(commit.id()) {
                    let name = String::from_utf8_lossy(reference.shorthand_bytes()).into_owned();
                    named.push((reference.is_tag(), name, commit.id()));
                }
            }
            named.sort_by_key(|(is_tag, _, _)| *is_tag);
            Ok(named.into_iter().map(|(_, name, tip)| (name, tip)).collect())
        };
        let mut named = named().map_err(|error| self.unreadable(&error))?;
        let tips: Vec<Oid> = named.iter().map(|(_, tip)| *tip).collect();
        let holding = self.descending(&tips, change)?;
        named.retain(|(_, tip)| holding.contains(tip));
        let holders = Rc::new(named);
        self.branches
            .borrow_mut()
            .holders
            .insert(change, Rc::clone(&holders));
        Ok(holders)
    }
}
