//! The rename, a small fleet and moments, for the tests of this room.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    Completeness, Containment, Containments, Decision, Doubt, Facts, Fleet, Gate, History, PhaseKind,
    PhaseShape, PhaseState, PlanShape, PlanState, Progress, ReasonCode, ServiceCensus, Services, Sighting,
    Version,
};
use crate::domain::{CommitId, Digest, PhaseId};

/// The code phases of the rename, in order.
pub(super) const CODE: [&str; 3] = ["dual-write", "switch-read", "stop-write"];

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

pub(super) fn id(phase: &str) -> PhaseId {
    phase.parse().unwrap()
}

pub(super) fn shape(name: &str, kind: PhaseKind, needs: &[&str]) -> PhaseShape {
    PhaseShape {
        id: id(name),
        kind,
        needs: needs.iter().map(|need| id(need)).collect(),
        services: Services::All,
        abandons: name == "stop-write",
        gate: Gate::default(),
        digest: Digest::of(name),
    }
}

pub(super) fn rename() -> PlanShape {
    rename_with(|_| {})
}

/// The rename, with phases changed before the plan is built.
pub(super) fn rename_with(change: impl Fn(&mut PhaseShape)) -> PlanShape {
    use PhaseKind::{Backfill, Code, Contract, Expand};
    let mut phases = vec![
        shape("add", Expand, &[]),
        shape("dual-write", Code, &["add"]),
        shape("backfill", Backfill, &["dual-write"]),
        shape("constrain", Expand, &["backfill"]),
        shape("switch-read", Code, &["constrain"]),
        shape("relax", Contract, &["switch-read"]),
        shape("stop-write", Code, &["relax"]),
        shape("drop", Contract, &["stop-write"]),
    ];
    phases.iter_mut().for_each(change);
    PlanShape::new("rename".parse().unwrap(), phases).unwrap()
}

/// A version of a service that contains the first `level` code phases of the rename.
pub(super) fn version(service: &str, level: usize) -> Version {
    Version {
        service: service.parse().unwrap(),
        commit: commit(level),
    }
}

fn commit(level: usize) -> CommitId {
    format!("{level}").repeat(40).parse().unwrap()
}

pub(super) fn sighting(service: &str, level: usize, seen: Timestamp) -> Sighting {
    Sighting {
        service: service.parse().unwrap(),
        instance: format!("{service}-{level}"),
        commit: commit(level),
        observed_at: seen,
        source: "connections".to_owned(),
        completeness: Completeness::Full,
    }
}

/// A fully known fleet at second 1000.
pub(super) fn fleet(running: &[(&str, usize)]) -> Fleet {
    let mut fleet = Fleet::default();
    for (service, level) in running {
        fleet
            .services
            .entry(service.parse().unwrap())
            .or_insert_with_key(|service| ServiceCensus {
                service: service.clone(),
                sightings: Vec::new(),
                doubts: Vec::new(),
            })
            .sightings
            .push(sighting(service, *level, at(1000)));
    }
    fleet
}

/// Facts at second 1000: the named phases are done since second 100, each a second after the last.
pub(super) fn facts(running: &[(&str, usize)], done: &[&str]) -> Facts {
    let mut state = PlanState::default();
    for (phase, second) in done.iter().zip(100..) {
        let moment = at(second);
        state.phases.insert(
            id(phase),
            PhaseState {
                progress: Progress::Done {
                    started_at: moment,
                    at: moment,
                    valid_since: moment,
                },
                digest: Some(Digest::of(phase)),
                effect_since: Some(moment),
                ..PhaseState::default()
            },
        );
    }
    let mut containments = Containments::default();
    for service in ["web", "worker"] {
        for level in 0..=3 {
            for (index, phase) in CODE.iter().enumerate() {
                let answer = if index < level {
                    Containment::Yes {
                        evidence: "is an ancestor".to_owned(),
                    }
                } else {
                    Containment::No {
                        evidence: "is no ancestor".to_owned(),
                    }
                };
                containments.insert(
                    version(service, level),
                    "rename".parse().unwrap(),
                    id(phase),
                    answer,
                );
            }
        }
    }
    Facts {
        environment: "production".parse().unwrap(),
        now: at(1000),
        observed_at: at(1000),
        protected: false,
        fleet: fleet(running),
        history: History::default(),
        leases: Vec::new(),
        containments,
        plans: BTreeMap::from([("rename".parse().unwrap(), state)]),
    }
}

/// The state of a phase, to be changed.
pub(super) fn state<'f>(facts: &'f mut Facts, phase: &str) -> &'f mut PhaseState {
    let plan = facts.plans.values_mut().next().unwrap();
    plan.phases.entry(id(phase)).or_default()
}

pub(super) fn doubt(facts: &mut Facts, service: &str) {
    let service = facts.fleet.services.get_mut(&service.parse().unwrap()).unwrap();
    service.doubts.push(Doubt::new("the endpoint did not answer"));
}

pub(super) fn codes(decision: &Decision) -> Vec<ReasonCode> {
    decision
        .judgement()
        .reasons
        .iter()
        .map(|reason| reason.code)
        .collect()
}
