//! Changes that were taken back: ancestry stays true then, so it must be looked for, in messages and in patches.
//!
//! A message is a word, a patch is a deed. A commit whose patch is the inverse of the change takes it back whatever it
//! says, and one that makes the same patch again restores it. A message that no such patch bears out leaves a doubt: part
//! of the change may be left. The same goes for the commits that a merge brought, where it is the merge that is asked about.

use std::collections::BTreeMap;
use std::rc::Rc;

use git2::Oid;

use super::revert_messages::Words;
use super::{Repository, short};
use crate::safety::Doubt;

/// How many commits are looked at for patches; each costs a few reads. What lies beyond is unknown.
pub(super) const PATCHES_AT_MOST: usize = 200_000;

/// What was found out so far, by full ids, which fix what is behind them.
#[derive(Default)]
pub(super) struct Memo {
    /// What became of changes: by the change, the other ids it is known by, and the version.
    fates: BTreeMap<(Oid, Vec<Oid>, Oid), Fate>,
    /// What messages say. Every phase and version asks about much the same commits.
    words: BTreeMap<Oid, Rc<Words>>,
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
    /// The same, but of a commit since, or a merge that took a file from the side without it.
    Lost(Oid),
}

impl Fate {
    /// The commit that did it.
    pub(super) fn by(self) -> Option<Oid> {
        match self {
            Self::TakenBack(by) | Self::InPart(by) | Self::Reworked(by) | Self::Lost(by) => Some(by),
            Self::Stands | Self::Gone => None,
        }
    }
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
        let what = format!("{} was taken back in {}", short(change), short(version));
        let no_patch = |error: git2::Error| self.no_objects(&format!("whether {what}"), &error);
        let since = self.since(change, version).map_err(unreadable)?;
        let names = self.names(change, also, version, &since).map_err(unreadable)?;
        let reverts = self.reverts_said(&names, &since)?;
        let said = self.standing_reverts(&names, &reverts)?;

        let Some(own) = self.change_of(change).map_err(no_patch)? else {
            // Where history is cut short, a commit may seem to have no parents.
            self.history_is_uncut(&what)?;
            return Ok(said.first().map_or(Fate::Stands, |by| Fate::InPart(*by)));
        };
        if said.is_empty() && self.reads_the_same(&own, change, version).map_err(no_patch)? {
            return Ok(Fate::Stands);
        }
        // What took it back may lie beyond the cut.
        self.history_is_uncut(&what)?;
        if since.after.len() > PATCHES_AT_MOST {
            return Err(Doubt::new(format!(
                "files of {} were changed since, and more than {PATCHES_AT_MOST} commits would have to be compared to tell \
                 whether it was taken back in {}",
                short(change),
                short(version)
            ))
            .fix("let the plan say what the code must contain (`content` or `probe`)"));
        }
        let deeds = self.deeds(&own, &names, &since)?;
        if let Some(by) = self.standing_deed(&deeds.of_all)? {
            // By its word it was undone again, but not by its deed.
            let again = said.is_empty() && reverts.iter().any(|again| again.names(by));
            if again || self.holds_what_was_added(&own, version).map_err(no_patch)? {
                return Ok(Fate::InPart(by));
            }
            return Ok(match self.reads_the_same(&own, by, version).map_err(no_patch)? {
                true => Fate::TakenBack(by),
                false => Fate::Reworked(by),
            });
        }
        // What was reverted exactly was made exactly again, without saying so.
        if let Some(by) = said.iter().find(|by| !deeds.undid(**by)) {
            return Ok(Fate::InPart(*by));
        }
        if let Some(by) = self.standing_deed(&deeds.of_parts)? {
            return Ok(Fate::InPart(by));
        }
        if self.is_gone_from(&own, version).map_err(no_patch)? {
            return Ok(Fate::Gone);
        }
        let lost = self.loss(change, &own, &deeds, &since)?;
        Ok(lost.map_or(Fate::Stands, Fate::Lost))
    }

    /// What a commit's message says.
    pub(super) fn words(&self, id: Oid) -> Result<Rc<Words>, git2::Error> {
        if let Some(known) = self.fates.borrow().words.get(&id) {
            return Ok(Rc::clone(known));
        }
        let words = Rc::new(Words::of(&self.message(id)?));
        self.fates.borrow_mut().words.insert(id, Rc::clone(&words));
        Ok(words)
    }

    pub(super) fn message(&self, id: Oid) -> Result<String, git2::Error> {
        let commit = self.inner.find_commit(id)?;
        Ok(String::from_utf8_lossy(commit.message_bytes()).into_owned())
    }
}
