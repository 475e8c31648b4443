//! Commits that name the phase they belong to with a `Ship-Phase: <plan>/<phase>` line.

use std::collections::{BTreeMap, BTreeSet};

use git2::{ErrorCode, Oid};

use super::Repository;
use super::revert_messages::speaks_of_reverting;
use crate::domain::{PhaseId, PlanId};
use crate::safety::Doubt;

/// The trailer's name.
const KEY: &str = "Ship-Phase";

/// Every commit with a trailer in the history walked so far.
#[derive(Default)]
pub(super) struct Index {
    /// Commits whose whole history was walked.
    walked: BTreeSet<Oid>,
    /// By `plan/phase`, in the order found.
    carriers: BTreeMap<String, Vec<Carrier>>,
}

/// A commit that names a phase.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Carrier {
    pub(super) id: Oid,
    /// Whether it may merely quote the trailer: in the message of a revert, or in a block of code.
    pub(super) quoted: bool,
}

impl Repository {
    /// Every commit that carries the phase's trailer and can be reached from `head` or from any branch or tag.
    pub(super) fn carriers(&self, head: Oid, plan: &PlanId, phase: &PhaseId) -> Result<Vec<Carrier>, Doubt> {
        let mut index = self.trailers.borrow_mut();
        if !index.walked.contains(&head) {
            self.walk(Some(head), &mut index)
                .map_err(|error| self.unreadable(&error))?;
        }
        let key = format!("{plan}/{phase}");
        Ok(index.carriers.get(&key).cloned().unwrap_or_default())
    }

    /// The ids of all plans that a trailer names, in whatever can be reached from a branch, a tag or HEAD.
    ///
    /// # Errors
    /// The history cannot be read, or is cut short, so that earlier ones are not seen.
    pub fn plans_in_trailers(&self) -> Result<BTreeSet<String>, Doubt> {
        self.history_is_uncut("an earlier plan had the id")?;
        let mut index = Index::default();
        // A detached HEAD may have what no branch has; before the first commit there is none.
        let head = match self.inner.head() {
            Ok(head) => Some(
                head.peel_to_commit()
                    .map_err(|error| self.unreadable(&error))?
                    .id(),
            ),
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => None,
            Err(error) => return Err(self.unreadable(&error)),
        };
        self.walk(head, &mut index)
            .map_err(|error| self.unreadable(&error))?;
        let plans = index.carriers.keys().filter_map(|value| value.split_once('/'));
        Ok(plans.map(|(plan, _)| plan.to_owned()).collect())
    }

    fn walk(&self, head: Option<Oid>, index: &mut Index) -> Result<(), git2::Error> {
        let mut heads: Vec<Oid> = head.into_iter().collect();
        if index.walked.is_empty() {
            // Versions mostly come from branches: walking all of them once answers nearly every later question.
            for reference in self.inner.references()? {
                if let Ok(commit) = reference?.peel_to_commit() {
                    heads.push(commit.id());
                }
            }
        }
        let mut walk = self.inner.revwalk()?;
        for head in &heads {
            walk.push(*head)?;
        }
        for known in &index.walked {
            walk.hide(*known)?;
        }
        for found in walk {
            let id = found?;
            let commit = self.inner.find_commit(id)?;
            for (value, quoted) in trailer_values(commit.message_bytes()) {
                let carriers = index.carriers.entry(value).or_default();
                match carriers.iter_mut().find(|carrier| carrier.id == id) {
                    // Said outright once is enough.
                    Some(known) => known.quoted &= quoted,
                    None => carriers.push(Carrier { id, quoted }),
                }
            }
        }
        index.walked.extend(heads);
        Ok(())
    }
}

/// The phases a message names. Git looks for trailers in the last paragraph only, but the squash merges of hosting
/// sites string the messages of a whole branch together: so every line that is nothing but the trailer counts. Each comes
/// with whether it may be a quotation.
fn trailer_values(message: &[u8]) -> Vec<(String, bool)> {
    let message = String::from_utf8_lossy(message);
    let reverts = speaks_of_reverting(&message);
    let mut fenced = false;
    let mut values = Vec::new();
    for line in message.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if let Some((key, value)) = line.split_once(':')
            && key.trim_end().eq_ignore_ascii_case(KEY)
        {
            values.push((value.trim().to_owned(), reverts || fenced));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::trailer_values;

    #[test]
    fn trailers_are_found_wherever_a_squash_left_them() {
        let squashed = b"Write both columns (#12)\n\n* Write both\n\nShip-Phase: p/dual-write\n\n* Fix a test\n\nCo-authored-by: A <a@b>\n";
        assert_eq!(trailer_values(squashed), [("p/dual-write".to_owned(), false)]);
        assert_eq!(
            trailer_values(b"x\n\nship-phase : p/a\r\nShip-Phase: p/b\n"),
            [("p/a".to_owned(), false), ("p/b".to_owned(), false)]
        );
    }

    #[test]
    fn what_may_be_quoted_is_marked() {
        for message in [
            "Explain trailers\n\n```\nShip-Phase: p/a\n```\n",
            "Revert \"X\"\n\nShip-Phase: p/a\n",
            "X\n\nThis reverts commit 0123456.\n\nShip-Phase: p/a\n",
        ] {
            assert_eq!(trailer_values(message.as_bytes()), [("p/a".to_owned(), true)]);
        }
    }

    #[test]
    fn a_mention_is_not_a_trailer() {
        assert!(trailer_values(b"x\n\nthe line Ship-Phase: p/a is missing\n  Ship-Phase: p/a\n").is_empty());
    }
}
