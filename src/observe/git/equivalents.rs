//! The same change under another id: picked onto another branch, rebased, or squashed with the rest of its branch.
//!
//! A patch that is the same is proof. A message that names the commit is a claim: what was picked with a conflict is no
//! longer the same, and nobody but the person who did it knows whether it does the same.

use std::collections::{BTreeMap, BTreeSet};

use git2::Oid;

use super::patch::Pattern;
use super::revert_messages::speaks_of_reverting;
use super::reverts::{Fate, PATCHES_AT_MOST};
use super::{Repository, short};
use crate::safety::Doubt;

/// How many branches and tags that hold a change are compared as a whole.
const TIPS_AT_MOST: usize = 32;

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
    },
    /// Commits that are the change, all of which something happened to; this is the last of them.
    Undone {
        /// The commit.
        commit: Oid,
        /// What became of it.
        fate: Fate,
    },
    /// A commit that says so, or looks like it, but is another patch.
    Claimed {
        /// The commit.
        commit: Oid,
        /// What it says, in words that follow the commit: `whose message …`.
        how: String,
        /// Whether it names the commit, so that a plan may accept it.
        acceptable: bool,
    },
    /// None.
    Nothing,
}

/// A change to look for, with what it is.
struct Wanted {
    what: String,
    pattern: Pattern,
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
        let tips = self.tips(change, version)?;
        let wanted = self.wanted(change, version, tips).map_err(no_patch)?;
        let patterns: Vec<Pattern> = wanted.iter().map(|one| one.pattern.clone()).collect();
        let mut same = Vec::new();
        let mut claims = Vec::new();
        let claim = Claimant::of(self, change).map_err(no_patch)?;
        for commit in &range {
            match self.which_of(&patterns, *commit).map_err(no_patch)? {
                Some(at) => same.push((*commit, format!("the same patch as {}", wanted[at].what))),
                None => claims.extend(claim.made_by(self, *commit).map_err(no_patch)?),
            }
        }
        if range.len() > 1
            && let Some(base) = self.base(change, version).map_err(no_patch)?
        {
            let whole = self.change_between(base, version).map_err(no_patch)?;
            for one in &wanted {
                if self.is_same_patch(&whole, &one.pattern).map_err(no_patch)? {
                    same.push((
                        version,
                        format!("whose branch as a whole is the same patch as {}", one.what),
                    ));
                }
            }
        }
        if accepts {
            for made in claims.iter().filter(|made| made.acceptable) {
                same.push((made.commit, format!("{}, which the plan accepts", made.how)));
            }
        }
        let mut undone = None;
        for (commit, how) in same {
            match self.fate(commit, &[change], version)? {
                Fate::Stands => return Ok(Found::Same { commit, how }),
                fate => undone = undone.or(Some(Found::Undone { commit, fate })),
            }
        }
        Ok(undone.unwrap_or_else(|| match claims.into_iter().next() {
            Some(Claim {
                commit,
                how,
                acceptable,
            }) => Found::Claimed {
                commit,
                how: how.to_owned(),
                acceptable,
            },
            None => Found::Nothing,
        }))
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

    /// The commit, the branch that ends with it, and the branches and tags that hold it, each as one patch.
    fn wanted(
        &self,
        change: Oid,
        version: Oid,
        tips: Vec<(String, Oid)>,
    ) -> Result<Vec<Wanted>, git2::Error> {
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut want = |what: String, pattern: Pattern| {
            if !pattern.is_empty() {
                wanted.push(Wanted { what, pattern });
            }
        };
        let commit = self.inner.find_commit(change)?;
        if let Some(own) = self.change_of(change)? {
            let what = match commit.parent_count() {
                0 | 1 => short(change),
                _ => format!("what the merge {} brought", short(change)),
            };
            want(what, own);
        }
        if let Some(base) = self.base(change, version)?
            && commit.parent_id(0).ok() != Some(base)
        {
            let whole = self.change_between(base, change)?;
            want(format!("the whole branch up to {}", short(change)), whole);
        }
        for (name, tip) in tips {
            if let Some(base) = self.base(tip, version)? {
                want(format!("the whole of {name}"), self.change_between(base, tip)?);
            }
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

    /// Branches and tags that hold the change, which still stands there, and are not part of the version.
    fn tips(&self, change: Oid, version: Oid) -> Result<Vec<(String, Oid)>, Doubt> {
        let named = || -> Result<Vec<(String, Oid)>, git2::Error> {
            let mut named = Vec::new();
            let mut seen = BTreeSet::from([change]);
            for reference in self.inner.references()? {
                let reference = reference?;
                let Ok(commit) = reference.peel_to_commit() else {
                    continue;
                };
                if seen.insert(commit.id()) {
                    let name = String::from_utf8_lossy(reference.shorthand_bytes()).into_owned();
                    named.push((name, commit.id()));
                }
            }
            Ok(named)
        };
        let named = named().map_err(|error| self.unreadable(&error))?;
        let ids: Vec<Oid> = named.iter().map(|(_, tip)| *tip).collect();
        self.learn(&ids, &[change])?;
        self.learn(&[version], &ids)?;
        let mut tips = Vec::new();
        for (name, tip) in named {
            if tips.len() < TIPS_AT_MOST
                && self.reaches(tip, change)?
                && !self.reaches(version, tip)?
                && self.fate(change, &[], tip)? == Fate::Stands
            {
                tips.push((name, tip));
            }
        }
        Ok(tips)
    }
}

/// A commit that claims to be the change.
struct Claim {
    commit: Oid,
    how: &'static str,
    acceptable: bool,
}

/// What commits that claim to be a change would say.
struct Claimant {
    change: Option<Pattern>,
    id: String,
    subject: String,
    author: (Vec<u8>, i64),
}

impl Claimant {
    fn of(repository: &Repository, change: Oid) -> Result<Self, git2::Error> {
        let commit = repository.inner.find_commit(change)?;
        let subject = commit.summary_bytes().unwrap_or_default();
        Ok(Self {
            change: repository.change_of(change)?,
            id: change.to_string(),
            subject: String::from_utf8_lossy(subject).into_owned(),
            author: author(&commit),
        })
    }

    fn made_by(&self, repository: &Repository, commit: Oid) -> Result<Option<Claim>, git2::Error> {
        let message = repository.message(commit)?;
        if speaks_of_reverting(&message) {
            return Ok(None);
        }
        let found = repository.inner.find_commit(commit)?;
        let (how, acceptable) = if self.names_it(&message) {
            ("whose message says that it was made from that one", true)
        } else if self.lists_it(&message) {
            ("whose message lists the title of that one", false)
        } else if author(&found) == self.author
            && found.summary_bytes().unwrap_or_default() == self.subject.as_bytes()
            && self.touches_the_same(repository, commit)?
        {
            ("which has its title, author and date", false)
        } else {
            return Ok(None);
        };
        Ok(Some(Claim {
            commit,
            how,
            acceptable,
        }))
    }

    fn touches_the_same(&self, repository: &Repository, commit: Oid) -> Result<bool, git2::Error> {
        match (&self.change, repository.change_of(commit)?) {
            (Some(change), Some(other)) => Ok(change.shares_a_file_with(&other)),
            _ => Ok(false),
        }
    }

    /// What `git cherry-pick -x` and `git merge --squash` write.
    fn names_it(&self, message: &str) -> bool {
        message.lines().any(|line| {
            let line = line.trim();
            let picked = line
                .strip_prefix("(cherry picked from commit ")
                .and_then(|rest| rest.strip_suffix(')'));
            picked.or_else(|| line.strip_prefix("commit ")) == Some(self.id.as_str())
        })
    }

    /// What the squash merges of hosting sites write.
    fn lists_it(&self, message: &str) -> bool {
        !self.subject.is_empty()
            && message
                .lines()
                .any(|line| line.strip_prefix("* ").map(str::trim_end) == Some(self.subject.as_str()))
    }
}

/// Who wrote a commit and when: picking and rebasing keep both.
fn author(commit: &git2::Commit<'_>) -> (Vec<u8>, i64) {
    let author = commit.author();
    (author.email_bytes().to_owned(), author.when().seconds())
}
