//! From the log to the state.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Record, StoredRecord};
use crate::domain::{Digest, PhaseId};
use crate::safety::{Approval, Direction, History, PhaseState, PlanState, Progress, Sighting, Version};

/// The state of one plan. `records` are those of the plan and environment, in order.
pub fn fold(records: &[StoredRecord]) -> PlanState {
    let mut state = PlanState::default();
    for stored in records {
        apply(&mut state, stored);
    }
    state
}

fn apply(state: &mut PlanState, stored: &StoredRecord) {
    let at = stored.at;
    match &stored.record {
        Record::PhaseStarted {
            phase,
            direction,
            digest,
            observed_at,
            ..
        } => {
            let phase = entry(state, phase);
            phase.digest = Some(digest.clone());
            phase.effect_since.get_or_insert(at.min(*observed_at));
            phase.progress = match direction {
                // The earlier of the two moments: what appears between the look and the start is not missed.
                Direction::Forward => Progress::Started {
                    at: effort_began(&phase.progress).unwrap_or_else(|| at.min(*observed_at)),
                },
                Direction::Reverse => Progress::Reverting { at },
            };
        }
        Record::StepFinished { phase, .. } => entry(state, phase).steps += 1,
        Record::PhaseFinished { phase, direction, .. } => {
            let phase = entry(state, phase);
            phase.steps = 0;
            phase.approvals.clear();
            match direction {
                Direction::Forward => {
                    let started_at = effort_began(&phase.progress).unwrap_or(at);
                    phase.progress = Progress::Done {
                        started_at,
                        at,
                        valid_since: started_at,
                    };
                }
                Direction::Reverse => {
                    phase.progress = Progress::Pending;
                    phase.digest = None;
                    phase.effect_since = None;
                }
            }
        }
        Record::PhaseFailed {
            phase,
            direction,
            error,
        } => {
            let phase = entry(state, phase);
            // An undoing that failed is still an undoing: parts may be in effect.
            if *direction == Direction::Forward && !phase.progress.is_done() {
                phase.progress = Progress::Failed {
                    started_at: effort_began(&phase.progress).unwrap_or(at),
                    at,
                    error: error.clone(),
                };
            }
        }
        Record::BackfillVerified { phase, since, .. } => {
            if let Progress::Done { valid_since, .. } = &mut entry(state, phase).progress {
                *valid_since = (*valid_since).max(at.min(*since));
            }
        }
        Record::DataRestored { phase, since, .. } => {
            let phase = entry(state, phase);
            let restored = at.min(*since);
            phase.restored_at = Some(phase.restored_at.map_or(restored, |before| before.max(restored)));
        }
        Record::Approved {
            phase,
            reason,
            digest,
        } => entry(state, phase).approvals.push(Approval {
            actor: stored.actor.clone(),
            at,
            reason: reason.clone(),
            digest: digest.clone(),
        }),
        Record::FleetObserved { satisfied, .. } => {
            // A look that says nothing of a phase does not show that it held.
            for (id, phase) in &mut state.phases {
                if !satisfied.get(id).copied().unwrap_or(false) {
                    phase.satisfied_since = None;
                }
            }
            for (id, _) in satisfied.iter().filter(|(_, holds)| **holds) {
                entry(state, id).satisfied_since.get_or_insert(at);
            }
        }
        Record::PlanRegistered { .. }
        | Record::StepStarted { .. }
        | Record::StepSettled { .. }
        | Record::Overridden { .. }
        | Record::BlockersEnded { .. }
        | Record::DeploymentRecorded { .. }
        | Record::LeaseTaken { .. }
        | Record::LeaseReturned { .. }
        | Record::Paused { .. }
        | Record::Resumed
        | Record::Throttled { .. } => {}
    }
}

fn entry<'s>(state: &'s mut PlanState, phase: &PhaseId) -> &'s mut PhaseState {
    state.phases.entry(phase.clone()).or_default()
}

/// When the present effort to run a phase began: attempts that follow a failed or broken-off one continue it.
fn effort_began(progress: &Progress) -> Option<Timestamp> {
    match progress {
        Progress::Started { at } => Some(*at),
        Progress::Failed { started_at, .. } | Progress::Done { started_at, .. } => Some(*started_at),
        Progress::Pending | Progress::Reverting { .. } => None,
    }
}

/// Every version that the log remembers, with its latest sighting.
pub fn history(records: &[StoredRecord]) -> History {
    let mut latest: BTreeMap<Version, Sighting> = BTreeMap::new();
    let mut remember = |sighting: &Sighting| {
        let known = latest
            .entry(sighting.version())
            .or_insert_with(|| sighting.clone());
        if sighting.observed_at > known.observed_at {
            *known = sighting.clone();
        }
    };
    for stored in records {
        match &stored.record {
            Record::FleetObserved { fleet, .. } | Record::PhaseStarted { fleet, .. } => fleet
                .services
                .values()
                .flat_map(|census| &census.sightings)
                .for_each(&mut remember),
            // Whoever recorded it has a clock of its own.
            Record::DeploymentRecorded { sighting } => remember(&Sighting {
                observed_at: stored.at,
                ..sighting.clone()
            }),
            _ => {}
        }
    }
    History {
        sightings: latest.into_values().collect(),
    }
}

/// The steps of a phase's script that are recorded as finished in one direction, with the digest of the SQL of each:
/// those since the phase was last wholly done or undone, or was last started in the other direction.
pub fn completed_steps(
    records: &[StoredRecord],
    phase: &PhaseId,
    direction: Direction,
) -> Vec<(u32, Digest)> {
    let mut steps: Vec<(u32, Digest)> = Vec::new();
    for stored in records {
        match &stored.record {
            Record::PhaseFinished { phase: of, .. } if of == phase => steps.clear(),
            Record::PhaseStarted {
                phase: of,
                direction: way,
                ..
            } if of == phase && *way != direction => steps.clear(),
            Record::StepFinished {
                phase: of,
                direction: way,
                step,
                digest,
                ..
            } if of == phase && *way == direction => {
                steps.retain(|(known, _)| known != step);
                steps.push((*step, digest.clone()));
            }
            _ => {}
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::safety::{Fleet, Judgement};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn id(phase: &str) -> PhaseId {
        phase.parse().unwrap()
    }

    /// A log with one record every ten seconds, from second 10 on.
    fn log(records: Vec<Record>) -> Vec<StoredRecord> {
        records
            .into_iter()
            .zip(1..)
            .map(|(record, sequence)| StoredRecord {
                sequence,
                at: at(sequence * 10),
                environment: "production".parse().unwrap(),
                plan: Some("rename".parse().unwrap()),
                actor: "ann".to_owned(),
                record,
            })
            .collect()
    }

    fn started(direction: Direction, observed: i64) -> Record {
        Record::PhaseStarted {
            phase: id("fill"),
            direction,
            digest: Digest::of("fill"),
            observed_at: at(observed),
            fleet: Fleet::default(),
            judgement: Judgement::default(),
        }
    }

    fn finished(direction: Direction) -> Record {
        Record::PhaseFinished {
            phase: id("fill"),
            direction,
            rows: None,
            duration_ms: 1,
        }
    }

    fn failed(direction: Direction) -> Record {
        Record::PhaseFailed {
            phase: id("fill"),
            direction,
            error: "no".to_owned(),
        }
    }

    fn step(direction: Direction, step: u32) -> Record {
        Record::StepFinished {
            phase: id("fill"),
            direction,
            step,
            digest: Digest::of(&step.to_string()),
            duration_ms: 1,
        }
    }

    fn approved() -> Record {
        Record::Approved {
            phase: id("fill"),
            reason: "fine".to_owned(),
            digest: Digest::of("fill"),
        }
    }

    fn looked(holds: Option<bool>) -> Record {
        Record::FleetObserved {
            fleet: Fleet::default(),
            satisfied: holds.map(|holds| (id("code"), holds)).into_iter().collect(),
        }
    }

    #[test]
    fn attempts_continue_the_effort_that_the_first_one_began() {
        use Direction::Forward;
        let records = log(vec![
            started(Forward, 5),
            failed(Forward),
            started(Forward, 25),
            started(Forward, 35),
            finished(Forward),
        ]);
        assert_eq!(
            fold(&records[..1]).progress(&id("fill")),
            &Progress::Started { at: at(5) }
        );
        assert!(matches!(
            fold(&records[..2]).progress(&id("fill")),
            Progress::Failed { started_at, at: failed_at, .. } if *started_at == at(5) && *failed_at == at(20)
        ));
        assert_eq!(
            fold(&records).progress(&id("fill")),
            &Progress::Done {
                started_at: at(5),
                at: at(50),
                valid_since: at(5)
            }
        );
    }

    #[test]
    fn undoing_is_in_effect_until_it_ends() {
        use Direction::{Forward, Reverse};
        let records = log(vec![
            started(Forward, 10),
            finished(Forward),
            started(Reverse, 30),
            failed(Reverse),
            finished(Reverse),
        ]);
        assert_eq!(
            fold(&records[..4]).progress(&id("fill")),
            &Progress::Reverting { at: at(30) }
        );
        assert_eq!(fold(&records).progress(&id("fill")), &Progress::Pending);
    }

    #[test]
    fn approvals_are_used_up_when_the_phase_ends() {
        use Direction::Forward;
        let records = log(vec![approved(), started(Forward, 20), finished(Forward)]);
        assert_eq!(fold(&records[..2]).phases[&id("fill")].approvals.len(), 1);
        assert!(fold(&records).phases[&id("fill")].approvals.is_empty());
    }

    #[test]
    fn verifying_again_moves_the_validity_but_never_back() {
        use Direction::Forward;
        let verified = |since| Record::BackfillVerified {
            phase: id("fill"),
            since: at(since),
            rows: 0,
        };
        let records = log(vec![
            started(Forward, 10),
            finished(Forward),
            verified(25),
            verified(15),
        ]);
        assert!(matches!(
            fold(&records).progress(&id("fill")),
            Progress::Done { valid_since, .. } if *valid_since == at(25)
        ));
    }

    #[test]
    fn a_soak_is_interrupted_by_one_look_that_did_not_hold() {
        let since = |records: Vec<Record>| {
            fold(&log(records))
                .phases
                .get(&id("code"))
                .and_then(|p| p.satisfied_since)
        };
        assert_eq!(since(vec![looked(Some(true)), looked(Some(true))]), Some(at(10)));
        assert_eq!(since(vec![looked(Some(true)), looked(Some(false))]), None);
        assert_eq!(since(vec![looked(Some(true)), looked(None)]), None);
        assert_eq!(
            since(vec![looked(Some(true)), looked(Some(false)), looked(Some(true))]),
            Some(at(30))
        );
    }

    #[test]
    fn finished_steps_belong_to_one_effort_in_one_direction() {
        use Direction::{Forward, Reverse};
        let steps = |records: &[StoredRecord], way| -> Vec<u32> {
            completed_steps(records, &id("fill"), way)
                .into_iter()
                .map(|(step, _)| step)
                .collect()
        };
        let records = log(vec![
            started(Forward, 10),
            step(Forward, 0),
            failed(Forward),
            started(Forward, 40),
            step(Forward, 1),
            started(Reverse, 60),
            step(Reverse, 0),
        ]);
        assert_eq!(steps(&records[..5], Forward), [0, 1]);
        assert!(steps(&records, Forward).is_empty());
        assert_eq!(steps(&records, Reverse), [0]);
        assert_eq!(fold(&records).phases[&id("fill")].steps, 3);
        let mut ended = records;
        ended.extend(log(vec![finished(Reverse)]));
        assert!(steps(&ended, Reverse).is_empty());
    }
}
