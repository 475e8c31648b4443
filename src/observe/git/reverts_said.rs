//! What the messages since a change say about reverting it, and which of that still holds.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use git2::Oid;

use super::Repository;
use super::deeds::Since;
use super::revert_messages::Words;
use crate::safety::Doubt;

/// A commit whose message says that it takes another back.
pub(super) struct Revert {
    by: Oid,
    of: String,
    mainline: Option<String>,
}

impl Revert {
    /// Whether it names this commit, perhaps by the first digits of its id.
    pub(super) fn names(&self, commit: Oid) -> bool {
        commit.to_string().starts_with(&self.of)
    }
}

/// What a change is known by.
pub(super) struct Names {
    /// The change itself first, then others that are the same.
    pub(super) commits: Vec<Oid>,
    /// What came with it: all that the first of each pair has and the second has not.
    brought: Vec<(Oid, Oid)>,
}

impl Repository {
    /// The names of a change, and what came with it: what a merge brought, or what else lies on the branch that the change
    /// came with. Whoever reverts a commit of that leaves less than was meant.
    pub(super) fn names(
        &self,
        change: Oid,
        also: &[Oid],
        version: Oid,
        since: &Since,
    ) -> Result<Names, git2::Error> {
        let commits: Vec<Oid> = std::iter::once(change).chain(also.iter().copied()).collect();
        let mut brought = Vec::new();
        for name in &commits {
            if let Some(mainline) = self.mainline_of_merge(*name)? {
                brought.push((*name, mainline));
            }
        }
        if self.mainline_of_merge(change)?.is_none()
            && let Some(mainline) = self.line_joined(change, version, since)?
        {
            brought.push((change, mainline));
        }
        Ok(Names { commits, brought })
    }

    /// The first parent of a merge.
    pub(super) fn mainline_of_merge(&self, commit: Oid) -> Result<Option<Oid>, git2::Error> {
        let commit = self.inner.find_commit(commit)?;
        match commit.parent_count() {
            0 | 1 => Ok(None),
            _ => commit.parent_id(0).map(Some),
        }
    }

    /// Where the line was, before it came, that the branch with the change was first merged into on its way to the version;
    /// `None` if the change was made on the version's own line.
    fn line_joined(&self, change: Oid, version: Oid, since: &Since) -> Result<Option<Oid>, git2::Error> {
        let has = |id: &Oid| *id == change || since.after.contains(id);
        let (mut at, mut joined) = (version, None);
        while at != change {
            let parents: Vec<Oid> = self.inner.find_commit(at)?.parent_ids().collect();
            let Some(next) = parents.iter().find(|parent| has(parent)) else {
                break;
            };
            if parents.first() != Some(next) {
                joined = parents.first().copied();
            }
            at = *next;
        }
        Ok(joined)
    }

    /// What the messages since the change say that they revert.
    pub(super) fn reverts_said(&self, names: &Names, since: &Since) -> Result<Vec<Revert>, Doubt> {
        let unreadable = |error: git2::Error| self.unreadable(&error);
        let mut reverts = Vec::new();
        // A revert that was itself picked onto this branch names the commit of the other one, or one of several copies, and
        // hosting sites may leave the id out: then the title, or the number of the pull request, tells what is meant.
        let mut by_title: BTreeMap<String, Vec<Oid>> = BTreeMap::new();
        for by in &since.commits {
            let words: Rc<Words> = self.words(*by).map_err(unreadable)?;
            for (of, mainline) in words.reverts() {
                reverts.push(Revert {
                    by: *by,
                    of: of.clone(),
                    mainline: mainline.clone(),
                });
            }
            for meant in words.meant() {
                by_title.entry(meant.clone()).or_default().push(*by);
            }
        }
        if by_title.is_empty() {
            return Ok(reverts);
        }
        let change = names.commits.first().copied();
        let brought = self.all_brought(names).map_err(unreadable)?;
        for of in change.iter().chain(&brought).chain(&since.commits) {
            let mut meaning = BTreeSet::new();
            for title in self.words(*of).map_err(unreadable)?.titles() {
                meaning.extend(by_title.get(title).into_iter().flatten().copied());
            }
            for by in meaning {
                let later = if Some(*of) == change {
                    since.after.contains(&by)
                } else {
                    by != *of && self.reaches(by, *of)?
                };
                if later {
                    reverts.push(Revert {
                        by,
                        of: of.to_string(),
                        mainline: None,
                    });
                }
            }
        }
        Ok(reverts)
    }

    /// The commits that came with a change.
    fn all_brought(&self, names: &Names) -> Result<BTreeSet<Oid>, git2::Error> {
        let mut brought = BTreeSet::new();
        for (end, mainline) in &names.brought {
            let mut walk = self.inner.revwalk()?;
            walk.push(*end)?;
            walk.hide(*mainline)?;
            for found in walk {
                brought.insert(found?);
            }
        }
        brought.retain(|id| !names.commits.contains(id));
        Ok(brought)
    }

    /// The commits whose messages take the change back, or some of what came with it, unless they were themselves taken
    /// back, and so on.
    pub(super) fn standing_reverts(&self, names: &Names, reverts: &[Revert]) -> Result<Vec<Oid>, Doubt> {
        let mut standing = Vec::new();
        for revert in reverts {
            if names.commits.contains(&revert.by) || standing.contains(&revert.by) {
                continue;
            }
            if !self.takes_back(revert, &names.commits)? && !self.takes_back_some(revert, names)? {
                continue;
            }
            if !self.is_undone(revert.by, reverts, &mut BTreeSet::from([revert.by]))? {
                standing.push(revert.by);
            }
        }
        Ok(standing)
    }

    fn is_undone(
        &self,
        commit: Oid,
        reverts: &[Revert],
        visiting: &mut BTreeSet<Oid>,
    ) -> Result<bool, Doubt> {
        for revert in reverts {
            if visiting.contains(&revert.by) || !self.takes_back(revert, &[commit])? {
                continue;
            }
            visiting.insert(revert.by);
            let undone = self.is_undone(revert.by, reverts, visiting)?;
            visiting.remove(&revert.by);
            if !undone {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a revert is about the change of these names: names it, or names a merge that brought it in.
    fn takes_back(&self, revert: &Revert, names: &[Oid]) -> Result<bool, Doubt> {
        if names.iter().any(|name| revert.names(*name)) {
            return Ok(true);
        }
        let Some(merge) = self.commit_named(&revert.of) else {
            return Ok(false);
        };
        if merge.parent_count() < 2 {
            return Ok(false);
        }
        let mainline = revert
            .mainline
            .as_deref()
            .and_then(|name| self.commit_named(name))
            .map(|commit| commit.id())
            .or_else(|| merge.parent_id(0).ok());
        for name in names {
            let came_with_it = self.reaches(merge.id(), *name)?
                && match mainline {
                    Some(mainline) => !self.reaches(mainline, *name)?,
                    None => true,
                };
            if came_with_it {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a revert names a commit that came with the change.
    fn takes_back_some(&self, revert: &Revert, names: &Names) -> Result<bool, Doubt> {
        if names.brought.is_empty() {
            return Ok(false);
        }
        let Some(named) = self.commit_named(&revert.of).map(|commit| commit.id()) else {
            return Ok(false);
        };
        for (end, mainline) in &names.brought {
            if self.reaches(*end, named)? && !self.reaches(*mainline, named)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn commit_named(&self, id: &str) -> Option<git2::Commit<'_>> {
        self.inner.find_commit_by_prefix(id).ok()
    }
}
