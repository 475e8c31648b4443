//! How far a phase has come within its script, read from its records.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Digest, PhaseId};
use crate::ledger::{Record, StoredRecord};
use crate::safety::Direction;

/// What the ledger knows of the present effort on one phase: since it was last wholly done, wholly undone, or turned
/// around.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::execute) struct Attempt {
    /// The steps that took effect.
    pub finished: BTreeMap<u32, Digest>,
    /// Steps outside transactions that were begun, and of which nothing more is known.
    pub in_doubt: BTreeSet<u32>,
    /// The place in the log of the first start of this effort; it names the effort.
    pub begun: Option<i64>,
    /// For an undoing: the forward effort before it was never finished, so that not all that DOWN takes back may exist.
    pub of_half_done: bool,
    /// For an undoing of what was half done: how the last forward attempt had failed.
    pub earlier_error: Option<String>,
    /// For an undoing of what was half done: whether any step of it may have taken effect.
    pub earlier_effect: bool,
}

impl Attempt {
    /// Reads the effort in `direction` on `phase` from the plan's records.
    pub fn read(records: &[StoredRecord], phase: &PhaseId, direction: Direction) -> Self {
        let mut reader = Reader::default();
        for stored in records {
            if stored.record.phase() == Some(phase) {
                reader.read(stored);
            }
        }
        reader.into_attempt(direction)
    }
}

/// Folds the records of one phase.
#[derive(Default)]
struct Reader {
    direction: Option<Direction>,
    attempt: Attempt,
    last_error: Option<String>,
    /// Whether the phase is wholly done at this point.
    done: bool,
}

impl Reader {
    fn read(&mut self, stored: &StoredRecord) {
        match &stored.record {
            Record::PhaseStarted { direction, .. } => {
                if self.direction != Some(*direction) {
                    self.turn(*direction);
                }
                self.attempt.begun.get_or_insert(stored.sequence);
            }
            Record::StepStarted { step, .. } => {
                self.attempt.in_doubt.insert(*step);
            }
            Record::StepFinished { step, digest, .. } => {
                self.attempt.in_doubt.remove(step);
                self.attempt.finished.insert(*step, digest.clone());
            }
            Record::StepSettled {
                step,
                happened: false,
                ..
            } => {
                self.attempt.in_doubt.remove(step);
            }
            Record::PhaseFailed { error, .. } => self.last_error = Some(error.clone()),
            Record::PhaseFinished { direction, .. } => {
                self.done = *direction == Direction::Forward;
                self.direction = None;
                self.attempt = Attempt::default();
                self.last_error = None;
            }
            _ => {}
        }
    }

    /// The effort turns around, or a first one begins.
    fn turn(&mut self, to: Direction) {
        let before = std::mem::take(&mut self.attempt);
        if to == Direction::Reverse && !self.done {
            self.attempt.of_half_done = true;
            self.attempt.earlier_error = self.last_error.take();
            self.attempt.earlier_effect = !before.finished.is_empty() || !before.in_doubt.is_empty();
        }
        self.direction = Some(to);
        self.last_error = None;
    }

    fn into_attempt(mut self, direction: Direction) -> Attempt {
        if self.direction != Some(direction) {
            // Nothing of this effort is recorded yet: it is what it would be if it began now.
            self.turn(direction);
        }
        self.attempt
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::ledger::Word;
    use crate::safety::{Fleet, Judgement};

    fn log(records: Vec<Record>) -> Vec<StoredRecord> {
        records
            .into_iter()
            .zip(1..)
            .map(|(record, sequence)| StoredRecord {
                sequence,
                at: Timestamp::UNIX_EPOCH,
                environment: "test".parse().unwrap(),
                plan: Some("plan".parse().unwrap()),
                actor: "somebody".to_owned(),
                record,
            })
            .collect()
    }

    fn phase() -> PhaseId {
        "add".parse().unwrap()
    }

    fn started(direction: Direction) -> Record {
        Record::PhaseStarted {
            phase: phase(),
            direction,
            digest: Digest::of("phase"),
            observed_at: Timestamp::UNIX_EPOCH,
            fleet: Fleet::default(),
            judgement: Judgement::default(),
        }
    }

    fn finished_step(direction: Direction, step: u32) -> Record {
        Record::StepFinished {
            phase: phase(),
            direction,
            step,
            digest: Digest::of("step"),
            duration_ms: 1,
        }
    }

    fn finished(direction: Direction) -> Record {
        Record::PhaseFinished {
            phase: phase(),
            direction,
            rows: None,
            duration_ms: 1,
        }
    }

    use Direction::{Forward, Reverse};

    #[test]
    fn steps_of_repeated_starts_add_up() {
        let records = log(vec![
            started(Forward),
            finished_step(Forward, 0),
            started(Forward),
            finished_step(Forward, 1),
        ]);
        let attempt = Attempt::read(&records, &phase(), Forward);
        assert_eq!(attempt.finished.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(attempt.begun, Some(1));
    }

    #[test]
    fn undoing_starts_from_nothing_and_knows_whether_the_phase_was_whole() {
        let half = log(vec![started(Forward), finished_step(Forward, 0)]);
        let undo = Attempt::read(&half, &phase(), Reverse);
        assert!(undo.of_half_done && undo.earlier_effect && undo.finished.is_empty());

        let whole = log(vec![
            started(Forward),
            finished_step(Forward, 0),
            finished(Forward),
            started(Reverse),
            finished_step(Reverse, 0),
        ]);
        let undo = Attempt::read(&whole, &phase(), Reverse);
        assert!(!undo.of_half_done);
        assert_eq!(undo.finished, BTreeMap::from([(0, Digest::of("step"))]));
        assert_eq!(undo.begun, Some(4));
    }

    #[test]
    fn a_finished_effort_leaves_no_steps_to_the_next() {
        let records = log(vec![
            started(Forward),
            finished_step(Forward, 0),
            finished(Forward),
            started(Reverse),
            finished_step(Reverse, 0),
            finished(Reverse),
            started(Forward),
        ]);
        let again = Attempt::read(&records, &phase(), Forward);
        assert!(again.finished.is_empty());
        assert_eq!(again.begun, Some(7));
    }

    #[test]
    fn an_intent_without_an_end_is_in_doubt() {
        let records = log(vec![
            started(Forward),
            Record::StepStarted {
                phase: phase(),
                direction: Forward,
                step: 0,
                digest: Digest::of("step"),
            },
        ]);
        assert!(Attempt::read(&records, &phase(), Forward).in_doubt.contains(&0));
        let settled = |happened| Record::StepSettled {
            phase: phase(),
            direction: Forward,
            step: 0,
            digest: Digest::of("step"),
            happened,
            word: Word::Person,
        };
        for (happened, doubted) in [(true, true), (false, false)] {
            let records: Vec<Record> = records
                .iter()
                .map(|stored| stored.record.clone())
                .chain([settled(happened)])
                .collect();
            let attempt = Attempt::read(&log(records), &phase(), Forward);
            // That it did counts once the step itself is recorded, in the same transaction.
            assert_eq!(attempt.in_doubt.contains(&0), doubted);
        }
    }
}
