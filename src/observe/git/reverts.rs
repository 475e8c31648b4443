//! Changes that were taken back: ancestry stays true then, so it must be looked for, in messages and in patches.
//!
//! A message is a word, a patch is a deed. A commit whose patch is the inverse of the change takes it back whatever it
//! says, and one that makes the same patch again restores it. A message that no such patch bears out leaves a doubt: part
//! of the change may be left.

use std::collections::{BTreeMap, BTreeSet};

use git2::{Oid, Sort};

use super::patch::Pattern;
use super::revert_messages::{is_title_of_revert, reverts_named, speaks_of_reverting};
use super::{Repository, short};
use crate::safety::Doubt;

/// How many commits are looked at for patches; each costs a few reads. What lies beyond is unknown.
pub(super) const PATCHES_AT_MOST: usize = 200_000;

/// What was found out so far, by full ids, which fix what is behind them.
#[derive(Default)]
pub(super) struct Memo {
    /// What became of changes: by the change, the other ids it is known by, and the version.
    fates: BTreeMap<(Oid, Vec<Oid>, Oid), Fate>,
    /// Whether a commit's message speaks of reverting. Every phase and version asks about much the same commits.
    speaks: BTreeMap<Oid, bool>,
}

/// What became of a change between it and a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing took it back, or that was undone as well.
    Stands,
    /// A commit undid exactly it, and its files were left alone since.
    TakenBack(Oid),
    /// A commit says that it takes it back, but does not do exactly that.
    InPart(Oid),
    /// A commit undid exactly it, but its files were changed since: it may have been made anew in another way.
    Reworked(Oid),
    /// Every file it touched reads as before, and no commit of its own did that.
    Gone,
}

impl Fate {
    /// The commit that did it.
    pub(super) fn by(self) -> Option<Oid> {
        match self {
            Self::TakenBack(by) | Self::InPart(by) | Self::Reworked(by) => Some(by),
            Self::Stands | Self::Gone => None,
        }
    }
}

/// A commit whose message says that it takes another back.
struct Revert {
    by: Oid,
    of: String,
    mainline: Option<String>,
}

/// The commits that a version has beyond a change, older ones first.
struct Since {
    commits: Vec<Oid>,
    /// Those of them that descend from the change.
    after: BTreeSet<Oid>,
    /// Merges that brought the change to their first parent's line.
    brought_by: Vec<Oid>,
}

/// Commits that undo or make exactly one of several patterns, each with the pattern's number.
#[derive(Default)]
struct Deeds {
    undone: Vec<(Oid, usize)>,
    made: Vec<(Oid, usize)>,
}

impl Repository {
    /// What became of `change` in `version`, which descends from it. `also` are other commits that are the same change:
    /// who says that he reverts one of them, reverts it.
    pub(super) fn fate(&self, change: Oid, also: &[Oid], version: Oid) -> Result<Fate, Doubt> {
        if change == version {
            return Ok(Fate::Stands);
        }
        let key = (change, also.to_vec(), version);
        if let Some(known) = self.fates.borrow().fates.get(&key) {
            return Ok(*known);
        }
        let fate = self.find_fate(change, also, version)?;
        self.fates.borrow_mut().fates.insert(key, fate);
        Ok(fate)
    }

    fn find_fate(&self, change: Oid, also: &[Oid], version: Oid) -> Result<Fate, Doubt> {
        let unreadable = |error: git2::Error| self.unreadable(&error);
        let no_patch = |error: git2::Error| {
            self.no_objects(
                &format!("whether {} was taken back in {}", short(change), short(version)),
                &error,
            )
        };
        let since = self.since(change, version).map_err(unreadable)?;
        let reverts = self.reverts_said(change, also, &since).map_err(unreadable)?;
        let mut names = vec![change];
        names.extend(also);
        let said = self.standing_revert(&names, &reverts, &mut BTreeSet::new())?;

        let Some(own) = self.change_of(change).map_err(no_patch)? else {
            return Ok(said.map_or(Fate::Stands, Fate::InPart));
        };
        if said.is_none() && self.reads_the_same(&own, change, version).map_err(no_patch)? {
            return Ok(Fate::Stands);
        }
        if since.after.len() > PATCHES_AT_MOST {
            return Err(Doubt::new(format!(
                "files of {} were changed since, and more than {PATCHES_AT_MOST} commits would have to be compared to tell \
                 whether it was taken back in {}",
                short(change),
                short(version)
            ))
            .fix("let the plan say what the code must contain (`content` or `probe`)"));
        }
        let deeds = self.deeds(&own, &since).map_err(no_patch)?;
        let standing = self.standing_deed(&deeds)?;
        Ok(match (said, standing) {
            (None, None) if self.is_gone_from(change, version).map_err(no_patch)? => Fate::Gone,
            (None, None) => Fate::Stands,
            // By its word it was undone again, but not by its deed.
            (None, Some(by)) if reverts.iter().any(|again| by.to_string().starts_with(&again.of)) => {
                Fate::InPart(by)
            }
            (_, Some(by)) if self.reads_the_same(&own, by, version).map_err(no_patch)? => Fate::TakenBack(by),
            (_, Some(by)) => Fate::Reworked(by),
            // Reverted exactly, and made exactly again without saying so.
            (Some(by), None) if deeds.undone.iter().any(|(undoing, _)| *undoing == by) => Fate::Stands,
            (Some(by), None) => Fate::InPart(by),
        })
    }

    fn since(&self, change: Oid, version: Oid) -> Result<Since, git2::Error> {
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

    /// What the messages since the change say that they revert.
    fn reverts_said(&self, change: Oid, also: &[Oid], since: &Since) -> Result<Vec<Revert>, git2::Error> {
        let mut reverts = Vec::new();
        let mut by_title = Vec::new();
        let here: BTreeSet<Oid> = since
            .commits
            .iter()
            .chain([&change])
            .chain(also)
            .copied()
            .collect();
        for by in &since.commits {
            if !self.speaks(*by)? {
                continue;
            }
            let message = self.message(*by)?;
            let named = reverts_named(&message);
            let known = named.iter().any(|(of, _)| names_one_of(of, &here));
            reverts.extend(named.into_iter().map(|(of, mainline)| Revert {
                by: *by,
                of,
                mainline,
            }));
            // A revert that was itself picked onto this branch names the commit of the other one, and hosting sites
            // may leave the id out: then the title, or the number of the pull request, tells what is meant.
            if !known {
                by_title.push((*by, message));
            }
        }
        if by_title.is_empty() {
            return Ok(reverts);
        }
        for of in std::iter::once(&change).chain(&since.commits) {
            let text = self.message(*of)?;
            for (by, message) in &by_title {
                let later = |of: Oid| {
                    if of == change {
                        Ok(since.after.contains(by))
                    } else {
                        self.inner.graph_descendant_of(*by, of)
                    }
                };
                if of != by && is_title_of_revert(message, &text) && later(*of)? {
                    reverts.push(Revert {
                        by: *by,
                        of: of.to_string(),
                        mainline: None,
                    });
                }
            }
        }
        Ok(reverts)
    }

    fn speaks(&self, id: Oid) -> Result<bool, git2::Error> {
        if let Some(known) = self.fates.borrow().speaks.get(&id) {
            return Ok(*known);
        }
        let speaks = speaks_of_reverting(&self.message(id)?);
        self.fates.borrow_mut().speaks.insert(id, speaks);
        Ok(speaks)
    }

    pub(super) fn message(&self, id: Oid) -> Result<String, git2::Error> {
        let commit = self.inner.find_commit(id)?;
        Ok(String::from_utf8_lossy(commit.message_bytes()).into_owned())
    }

    /// The commits after the change that undo it or make it again, or undo or make what a merge brought it with.
    fn deeds(&self, own: &Pattern, since: &Since) -> Result<Deeds, git2::Error> {
        let mut forward = vec![own.clone()];
        for merge in &since.brought_by {
            forward.extend(self.change_of(*merge)?);
        }
        forward.retain(|pattern| !pattern.is_empty());
        let inverse: Vec<Pattern> = forward
            .iter()
            .map(|pattern| self.inverse(pattern))
            .collect::<Result<_, _>>()?;
        let mut deeds = Deeds::default();
        for commit in since.commits.iter().filter(|commit| since.after.contains(commit)) {
            if self.inner.find_commit(*commit)?.parent_count() != 1 {
                continue;
            }
            if let Some(at) = self.which_of(&inverse, *commit)? {
                deeds.undone.push((*commit, at));
            } else if let Some(at) = self.which_of(&forward, *commit)? {
                deeds.made.push((*commit, at));
            }
        }
        Ok(deeds)
    }

    /// The last commit that undid the change and after which nothing made it again.
    fn standing_deed(&self, deeds: &Deeds) -> Result<Option<Oid>, Doubt> {
        for (by, pattern) in deeds.undone.iter().rev() {
            let mut made_again = false;
            for (again, same) in &deeds.made {
                made_again |= same == pattern && self.reaches(*again, *by)?;
            }
            if !made_again {
                return Ok(Some(*by));
            }
        }
        Ok(None)
    }

    /// The commit whose message takes the change back, unless that one was itself taken back, and so on.
    fn standing_revert(
        &self,
        names: &[Oid],
        reverts: &[Revert],
        visiting: &mut BTreeSet<Oid>,
    ) -> Result<Option<Oid>, Doubt> {
        for revert in reverts {
            if names.contains(&revert.by)
                || visiting.contains(&revert.by)
                || !self.takes_back(revert, names)?
            {
                continue;
            }
            visiting.insert(revert.by);
            let undone = self.standing_revert(&[revert.by], reverts, visiting)?.is_some();
            visiting.remove(&revert.by);
            if !undone {
                return Ok(Some(revert.by));
            }
        }
        Ok(None)
    }

    /// Whether a revert is about the change of these names: names it, or names a merge that brought it in.
    fn takes_back(&self, revert: &Revert, names: &[Oid]) -> Result<bool, Doubt> {
        if names.iter().any(|name| name.to_string().starts_with(&revert.of)) {
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

    fn commit_named(&self, id: &str) -> Option<git2::Commit<'_>> {
        self.inner.find_commit_by_prefix(id).ok()
    }
}

/// Whether an id, which may be abbreviated, is one of these.
fn names_one_of(id: &str, commits: &BTreeSet<Oid>) -> bool {
    match Oid::from_str(id) {
        Ok(full) if id.len() == full.to_string().len() => commits.contains(&full),
        _ => commits.iter().any(|commit| commit.to_string().starts_with(id)),
    }
}
