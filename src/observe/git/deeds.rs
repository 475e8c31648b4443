//! The commits after a change that undo it, or parts of it, or make it again: told by their patches alone.

use std::collections::BTreeSet;

use git2::{Oid, Sort};

use super::patch::Pattern;
use super::reverts_said::Names;
use super::{Repository, short};
use crate::safety::Doubt;

/// How many of the commits that a merge brought are looked for by their own patches.
const PARTS_AT_MOST: usize = 256;

/// The commits that a version has beyond a change, older ones first.
pub(super) struct Since {
    pub(super) commits: Vec<Oid>,
    /// Those of them that descend from the change.
    pub(super) after: BTreeSet<Oid>,
    /// Merges that brought the change to their first parent's line.
    brought_by: Vec<Oid>,
}

/// Commits that undo or make exactly one of several patterns, each with the pattern's number.
#[derive(Default)]
pub(super) struct Done {
    undone: Vec<(Oid, usize)>,
    made: Vec<(Oid, usize)>,
}

/// What was done to all of a change, and what to the commits that it brought.
#[derive(Default)]
pub(super) struct Deeds {
    pub(super) of_all: Done,
    pub(super) of_parts: Done,
}

impl Deeds {
    /// The commits that made the change again exactly.
    pub(super) fn made(&self) -> impl Iterator<Item = Oid> {
        self.of_all.made.iter().map(|(commit, _)| *commit)
    }

    /// Whether this commit undid the change, or part of it, exactly.
    pub(super) fn undid(&self, by: Oid) -> bool {
        let undone = self.of_all.undone.iter().chain(&self.of_parts.undone);
        undone.into_iter().any(|(commit, _)| *commit == by)
    }
}

impl Repository {
    pub(super) fn since(&self, change: Oid, version: Oid) -> Result<Since, git2::Error> {
        let mut walk = self.inner.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
        walk.push(version)?;
        walk.hide(change)?;
        let mut since = Since {
            commits: Vec::new(),
            after: BTreeSet::new(),
            brought_by: Vec::new(),
        };
        for found in walk {
            let id = found?;
            let commit = self.inner.find_commit(id)?;
            let descends = |parent: &Oid| *parent == change || since.after.contains(parent);
            let mut parents = commit.parent_ids();
            let first = parents.next().is_some_and(|parent| descends(&parent));
            let other = parents.any(|parent| descends(&parent));
            if first || other {
                since.after.insert(id);
            }
            if other && !first {
                since.brought_by.push(id);
            }
            since.commits.push(id);
        }
        Ok(since)
    }

    /// The commits after the change that undo it or make it again, or undo or make what a merge brought it with; and the
    /// same for each commit that the change, being a merge, brought.
    pub(super) fn deeds(&self, own: &Pattern, names: &Names, since: &Since) -> Result<Deeds, Doubt> {
        let no_patch =
            |error: git2::Error| self.no_objects("what the commits since a phase's commit change", &error);
        let mut all = vec![own.clone()];
        for merge in &since.brought_by {
            all.extend(self.change_of(*merge).map_err(no_patch)?);
        }
        all.retain(|pattern| !pattern.is_empty());
        let mut parts = self.parts(names)?;
        parts.extend(self.squashed(own, names).map_err(no_patch)?);
        self.done(&all, &parts, since).map_err(no_patch)
    }

    fn done(&self, all: &[Pattern], parts: &[Pattern], since: &Since) -> Result<Deeds, git2::Error> {
        let inverse = |patterns: &[Pattern]| -> Result<Vec<Pattern>, git2::Error> {
            patterns.iter().map(|pattern| self.inverse(pattern)).collect()
        };
        let (no_more, less) = (inverse(all)?, inverse(parts)?);
        let mut deeds = Deeds::default();
        for commit in since.commits.iter().filter(|commit| since.after.contains(commit)) {
            if self.inner.find_commit(*commit)?.parent_count() != 1 {
                continue;
            }
            if let Some(at) = self.which_of(&no_more, *commit)? {
                deeds.of_all.undone.push((*commit, at));
            } else if let Some(at) = self.which_of(all, *commit)? {
                deeds.of_all.made.push((*commit, at));
            } else if let Some(at) = self.which_of(&less, *commit)? {
                deeds.of_parts.undone.push((*commit, at));
            } else if let Some(at) = self.which_of(parts, *commit)? {
                deeds.of_parts.made.push((*commit, at));
            }
        }
        Ok(deeds)
    }

    /// The patches of the commits that a merge brought, where a merge is among the names.
    fn parts(&self, names: &Names) -> Result<Vec<Pattern>, Doubt> {
        let mut parts = Vec::new();
        for name in &names.commits {
            let brought = self.brought_by(*name).map_err(|error| self.unreadable(&error))?;
            if brought.len() > PARTS_AT_MOST {
                return Err(Doubt::new(format!(
                    "the merge {} brought {} commits, too many to tell whether some of them were taken back",
                    short(*name),
                    brought.len()
                ))
                .fix("let the plan say what the code must contain (`content` or `probe`)"));
            }
            for commit in brought {
                let change = self
                    .change_of(commit)
                    .map_err(|error| self.no_objects(&format!("what {} changes", short(commit)), &error))?;
                parts.extend(change.filter(|pattern| !pattern.is_empty()));
            }
        }
        Ok(parts)
    }

    /// The patches of other names of the change, and of what led to them, where they are not the same patch: parts of a
    /// squash. Of a branch that is too long for one, only the commit itself.
    fn squashed(&self, own: &Pattern, names: &Names) -> Result<Vec<Pattern>, git2::Error> {
        let mut parts = Vec::new();
        let Some((squash, others)) = names.commits.split_first() else {
            return Ok(parts);
        };
        let before = self.inner.find_commit(*squash)?.parent_id(0)?;
        for other in others {
            if self.mainline_of_merge(*other)?.is_some() {
                continue;
            }
            let Some(change) = self.change_of(*other)?.filter(|change| !change.is_empty()) else {
                continue;
            };
            if self.is_same_patch(own, &change)? {
                continue;
            }
            parts.push(change);
            let branch = self.single_commits(*other, before)?;
            if branch.len() <= PARTS_AT_MOST {
                for commit in branch.into_iter().filter(|commit| commit != other) {
                    parts.extend(self.change_of(commit)?.filter(|change| !change.is_empty()));
                }
            }
        }
        Ok(parts)
    }

    /// The commits that a merge brought to its first parent, other merges left out; none for what is no merge.
    pub(super) fn brought_by(&self, merge: Oid) -> Result<Vec<Oid>, git2::Error> {
        let Some(mainline) = self.mainline_of_merge(merge)? else {
            return Ok(Vec::new());
        };
        self.single_commits(merge, mainline)
    }

    /// The commits that one has and another has not, merges left out.
    fn single_commits(&self, one: Oid, other: Oid) -> Result<Vec<Oid>, git2::Error> {
        let mut walk = self.inner.revwalk()?;
        walk.push(one)?;
        walk.hide(other)?;
        let mut commits = Vec::new();
        for found in walk {
            let id = found?;
            if self.inner.find_commit(id)?.parent_count() == 1 {
                commits.push(id);
            }
        }
        Ok(commits)
    }

    /// The last commit that undid a pattern and after which nothing made it again.
    pub(super) fn standing_deed(&self, done: &Done) -> Result<Option<Oid>, Doubt> {
        for (by, pattern) in done.undone.iter().rev() {
            let mut made_again = false;
            for (again, same) in &done.made {
                made_again |= same == pattern && self.reaches(*again, *by)?;
            }
            if !made_again {
                return Ok(Some(*by));
            }
        }
        Ok(None)
    }
}
