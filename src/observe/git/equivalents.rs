//! The same change under another id: picked onto another branch, rebased, or squashed with the rest of its branch.
//!
//! A patch that is the same is proof. A message that names the commit is a claim: what was picked with a conflict is no
//! longer the same, and nobody but the person who did it knows whether it does the same.

use std::collections::BTreeMap;

use git2::Oid;

use super::branches::TIPS_AT_MOST;
use super::claims::{Claim, Claimant};
use super::patch::Pattern;
use super::reverts::{Fate, PATCHES_AT_MOST};
use super::{Repository, short};
use crate::safety::Doubt;

/// What was found so far, by change, version, and whether messages count.
#[derive(Default)]
pub(super) struct Memo {
    found: BTreeMap<(Oid, Oid, bool), Found>,
}

/// What a version that does not descend from a change has of it.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// A commit that is the change, and stands.
    Same {
        /// The commit.
        commit: Oid,
        /// How it is the change, in words that follow the commit: `the same patch as …`.
        how: String,
        /// Where the branch ends that it is as a whole.
        through: Option<Oid>,
    },
    /// Commits that are the change, all of which something happened to; this is the last of them.
    Undone {
        /// The commit.
        commit: Oid,
        /// What became of it.
        fate: Fate,
        /// Where the branch ends that it is as a whole.
        through: Option<Oid>,
    },
    /// A commit that says so, or looks like it, but is another patch.
    Claimed {
        /// The commit.
        commit: Oid,
        /// What it says, in words that follow the commit: `another patch, whose message …`.
        how: String,
        /// Whether it names the commit or does what that one did, so that a plan may accept it.
        acceptable: bool,
    },
    /// None.
    Nothing,
}

/// A change to look for, with what it is.
struct Wanted {
    what: String,
    pattern: Pattern,
    /// Where the branch ends that this is as a whole.
    through: Option<Oid>,
    /// Why a commit that does the same may still be something else.
    unless: Option<String>,
}

/// A commit that is the change.
struct Same {
    commit: Oid,
    how: String,
    through: Option<Oid>,
}

impl Wanted {
    /// What a commit is that makes this patch; `as_a_whole` where it takes the commit's whole branch to make it.
    fn found_in(&self, commit: Oid, as_a_whole: bool) -> Result<Same, Claim> {
        let how = match as_a_whole {
            false => format!("the same patch as {}", self.what),
            true => format!("whose branch as a whole is the same patch as {}", self.what),
        };
        match &self.unless {
            None => Ok(Same {
                commit,
                how,
                through: self.through,
            }),
            Some(unless) => Err(Claim {
                commit,
                how: format!("{how}, {unless}"),
                acceptable: true,
            }),
        }
    }
}

impl Repository {
    /// Looks for the change in what `version` has beyond it. `accepts` says whether a message that names the commit will
    /// do.
    pub(super) fn equivalent(&self, change: Oid, version: Oid, accepts: bool) -> Result<Found, Doubt> {
        let key = (change, version, accepts);
        if let Some(known) = self.equivalents.borrow().found.get(&key) {
            return Ok(known.clone());
        }
        let found = self.find_equivalent(change, version, accepts)?;
        self.equivalents.borrow_mut().found.insert(key, found.clone());
        Ok(found)
    }

    fn find_equivalent(&self, change: Oid, version: Oid, accepts: bool) -> Result<Found, Doubt> {
        let range = self.beyond(change, version)?;
        if range.is_empty() {
            return Ok(Found::Nothing);
        }
        let no_patch = |error: git2::Error| {
            self.no_objects(
                &format!("whether {} has the changes of {}", short(version), short(change)),
                &error,
            )
        };
        // What a merge changes, seen from its first parent, is what it pulled: without that parent it is not the merge.
        let without = match self.mainline_of_merge(change).map_err(no_patch)? {
            Some(mainline) if !self.reaches(version, mainline)? => Some(mainline),
            _ => None,
        };
        let (tips, all_tips) = self.tips(change, &range)?;
        let wanted = self.wanted(change, version, tips, without).map_err(no_patch)?;
        let patterns: Vec<Pattern> = wanted.iter().map(|one| one.pattern.clone()).collect();
        let (mut same, mut claims) = (Vec::new(), Vec::new());
        let mut add = |found: Result<Same, Claim>, claims: &mut Vec<Claim>| match found {
            Ok(found) => same.push(found),
            Err(claim) => claims.push(claim),
        };
        let claim = Claimant::of(self, change).map_err(no_patch)?;
        for commit in &range {
            match self.which_of(&patterns, *commit).map_err(no_patch)? {
                Some(at) if self.stands_at_the_end_of(change, &wanted[at])? => {
                    add(wanted[at].found_in(*commit, false), &mut claims);
                }
                _ => claims.extend(claim.made_by(self, *commit).map_err(no_patch)?),
            }
        }
        if range.len() > 1
            && let Some(base) = self.base(change, version).map_err(no_patch)?
        {
            let whole = self.change_between(base, version).map_err(no_patch)?;
            for one in &wanted {
                if self.is_same_patch(&whole, &one.pattern).map_err(no_patch)?
                    && self.stands_at_the_end_of(change, one)?
                {
                    add(one.found_in(version, true), &mut claims);
                }
            }
        }
        if accepts {
            same.extend(claims.iter().filter(|made| made.acceptable).map(|made| Same {
                commit: made.commit,
                how: format!("{}, which the plan accepts", made.how),
                through: None,
            }));
        }
        // Who reverts one of them may name any other.
        let ids: Vec<Oid> = std::iter::once(change)
            .chain(same.iter().map(|one| one.commit))
            .collect();
        let mut undone = None;
        for Same { commit, how, through } in same {
            let also: Vec<Oid> = ids.iter().copied().filter(|id| *id != commit).collect();
            match self.fate(commit, &also, version)? {
                Fate::Stands => {
                    return Ok(Found::Same { commit, how, through });
                }
                fate => {
                    undone = undone.or(Some(Found::Undone {
                        commit,
                        fate,
                        through,
                    }));
                }
            }
        }
        let found = undone.unwrap_or_else(|| match claims.into_iter().next() {
            Some(Claim {
                commit,
                how,
                acceptable,
            }) => Found::Claimed {
                commit,
                how,
                acceptable,
            },
            None => Found::Nothing,
        });
        if !all_tips && matches!(found, Found::Nothing) {
            return Err(Doubt::new(format!(
                "more than {TIPS_AT_MOST} branches and tags hold {}, too many to compare each as a whole with {}",
                short(change),
                short(version)
            ))
            .fix("let the plan say what the code must contain (`content` or `probe`)"));
        }
        Ok(found)
    }

    /// Whether the change, which may lie in the middle of a branch, was not taken back before the branch ended.
    fn stands_at_the_end_of(&self, change: Oid, branch: &Wanted) -> Result<bool, Doubt> {
        match branch.through {
            Some(end) => Ok(self.fate(change, &[], end)? == Fate::Stands),
            None => Ok(true),
        }
    }

    /// The commits that a version has and the change's history does not, newer ones first.
    fn beyond(&self, change: Oid, version: Oid) -> Result<Vec<Oid>, Doubt> {
        let walk = || -> Result<Option<Vec<Oid>>, git2::Error> {
            let mut walk = self.inner.revwalk()?;
            walk.push(version)?;
            walk.hide(change)?;
            let mut range = Vec::new();
            for found in walk {
                if range.len() == PATCHES_AT_MOST {
                    return Ok(None);
                }
                range.push(found?);
            }
            Ok(Some(range))
        };
        walk().map_err(|error| self.unreadable(&error))?.ok_or_else(|| {
            Doubt::new(format!(
                "more than {PATCHES_AT_MOST} commits would have to be compared to tell whether {} has the changes of {}",
                short(version),
                short(change)
            ))
            .fix("let the plan say what the code must contain (`content` or `probe`)")
        })
    }

    /// The commit, the branch that ends with it, and the branches and tags that hold it, each as one patch. `without` is the
    /// first parent of a merge, where the version lacks it.
    fn wanted(
        &self,
        change: Oid,
        version: Oid,
        tips: Vec<(String, Oid)>,
        without: Option<Oid>,
    ) -> Result<Vec<Wanted>, git2::Error> {
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut want = |what: String, pattern: Pattern, through: Option<Oid>, unless: Option<String>| {
            if !pattern.is_empty() {
                wanted.push(Wanted {
                    what,
                    pattern,
                    through,
                    unless,
                });
            }
        };
        let commit = self.inner.find_commit(change)?;
        let own = self.change_of(change)?;
        let first = commit.parent_id(0).ok();
        if let (Some(own), None) = (&own, without) {
            let what = match commit.parent_count() {
                0 | 1 => short(change),
                _ => format!("what the merge {} brought", short(change)),
            };
            want(what, own.clone(), None, None);
        }
        if let Some(base) = self.base(change, version)?
            && first != Some(base)
        {
            let whole = self.change_between(base, change)?;
            let what = format!("the whole branch up to {}", short(change));
            want(what, whole, Some(change), None);
        }
        for (name, tip) in tips {
            if let Some(base) = self.base(tip, version)? {
                let whole = self.change_between(base, tip)?;
                want(format!("the whole of {name}"), whole, Some(tip), None);
            }
        }
        // Last, since the others prove more.
        if let (Some(own), Some(first)) = (own, without) {
            let what = format!("what the merge {} brought", short(change));
            let unless = format!("but without {}, the first parent of that", short(first));
            want(what, own, None, Some(unless));
        }
        Ok(wanted)
    }

    /// The one commit at which two histories part; `None` if there are several or none.
    fn base(&self, one: Oid, other: Oid) -> Result<Option<Oid>, git2::Error> {
        match self.inner.merge_bases(one, other) {
            Ok(bases) if bases.len() == 1 => Ok(bases.first().copied()),
            Ok(_) => Ok(None),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
