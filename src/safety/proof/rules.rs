//! What the rules of this room permit in a position of one plan. Nothing of them is repeated here: facts are made up that
//! describe the position, and the rules are asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};

use super::model::{Model, PlanModel, places};
use crate::domain::CommitId;
use crate::safety::floor::abandoned;
use crate::safety::{
    Approval, Completeness, Containment, Containments, Facts, Fleet, History, PhaseKind, PhaseShape,
    PhaseState, PlanShape, PlanState, Progress, ServiceCensus, Sighting, Verdict, Version, can_deploy, judge,
    may_restore, may_revert, may_verify, tainted,
};

/// When everything in effect took effect.
const EFFECT: i64 = 100;
/// When whatever left a trace was seen.
const SEEN: i64 = 200;
/// When what nothing left a trace on was verified or restored.
const CLEAN: i64 = 300;
/// Now: late enough for any soak to be over.
const NOW: i64 = 8_000_000_000;

/// Where one plan stands, as far as its rules can tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Position {
    /// The schema and manual phases that are done.
    pub done: u64,
    /// The backfills that a version has tainted.
    pub tainted: u64,
    /// The code phases whose abandoned data nobody has restored.
    pub abandoned: u64,
    /// What runs: versions by the plan's own count, sorted.
    pub fleet: Vec<usize>,
}

/// What may happen in a position.
#[derive(Debug)]
pub(super) struct Permitted {
    pub run: u64,
    pub undo: u64,
    pub verify: u64,
    pub restore: u64,
    /// The backfills that are tainted and the data that is abandoned, with what runs now.
    pub tainted: u64,
    pub abandoned: u64,
}

/// Answers that were given. They depend on the shape of a plan and on the services alone, so that another search of the
/// same plans can use them.
#[derive(Default)]
pub(super) struct Answers {
    permitted: HashMap<Position, Rc<Permitted>>,
    deployable: HashMap<Position, Rc<Vec<bool>>>,
}

/// The rules of one plan.
pub(super) struct Rules<'m> {
    plan: &'m PlanModel<'m>,
    facts: Facts,
    versions: Vec<Version>,
    /// For each version of the model the plan's own.
    of_model: Vec<usize>,
    ghosts: Vec<(Sighting, Sighting)>,
    shapes: [PlanShape; 1],
    /// Whether phases are asked about only where the order of the phases permits them.
    by_order: bool,
    answers: Answers,
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH
        .checked_add(SignedDuration::from_secs(second))
        .unwrap_or(Timestamp::MAX)
}

fn commit(number: usize) -> Option<CommitId> {
    format!("{:040x}", number + 1).parse().ok()
}

fn sighting(version: &Version, second: i64) -> Sighting {
    Sighting {
        service: version.service.clone(),
        instance: version.commit.short().to_string(),
        commit: version.commit.clone(),
        observed_at: at(second),
        source: "proof".to_owned(),
        completeness: Completeness::Full,
    }
}

impl<'m> Rules<'m> {
    /// `None` only if no name could be made up for the environment, which does not happen.
    pub(super) fn new(model: &'m Model<'m>, index: usize, by_order: bool, answers: Answers) -> Option<Self> {
        let plan = model.plans.get(index)?;
        let mut versions: Vec<(usize, u64, Version)> = Vec::new();
        let mut of_model = Vec::new();
        for version in &model.versions {
            let set = version.phases.get(index).copied().unwrap_or(0);
            let found = versions
                .iter()
                .position(|(service, other, _)| *service == version.service && *other == set);
            let place = match found {
                Some(place) => place,
                None => {
                    let commit = commit(versions.len())?;
                    let service = model.services.get(version.service)?.clone();
                    versions.push((version.service, set, Version { service, commit }));
                    versions.len() - 1
                }
            };
            of_model.push(place);
        }

        let mut containments = Containments::default();
        for (_, set, version) in &versions {
            contain(&mut containments, plan, version, *set);
        }
        // Whoever ran before and left a trace: one that has nothing of the plan, and one that has everything.
        let mut ghosts = Vec::new();
        for (number, service) in model.services.iter().enumerate() {
            let ghost = |offset: usize| -> Option<Version> {
                Some(Version {
                    service: service.clone(),
                    commit: commit(versions.len() + 2 * number + offset)?,
                })
            };
            let (old, new) = (ghost(0)?, ghost(1)?);
            contain(&mut containments, plan, &old, 0);
            contain(&mut containments, plan, &new, u64::MAX);
            ghosts.push((sighting(&old, SEEN), sighting(&new, SEEN)));
        }
        let mut state = PlanState::default();
        for phase in plan.shape.phases() {
            state.phases.insert(phase.id.clone(), untouched(phase));
        }
        Some(Self {
            plan,
            facts: Facts {
                environment: "production".parse().ok()?,
                now: at(NOW),
                observed_at: at(NOW),
                protected: true,
                fleet: Fleet::default(),
                history: History::default(),
                containments,
                plans: BTreeMap::from([(plan.id.clone(), state)]),
                // A deployment under way only keeps phases from starting: every state there is without one as well.
                leases: Vec::new(),
            },
            versions: versions.into_iter().map(|(_, _, version)| version).collect(),
            of_model,
            ghosts,
            shapes: [plan.shape.clone()],
            by_order,
            answers,
        })
    }

    /// The plan's own number of a version of the model.
    pub(super) fn own(&self, version: usize) -> usize {
        self.of_model.get(version).copied().unwrap_or(0)
    }

    /// The answers that were given.
    pub(super) fn into_answers(self) -> Answers {
        self.answers
    }

    /// What may happen in a position.
    pub(super) fn ask(&mut self, position: &Position) -> Rc<Permitted> {
        if let Some(known) = self.answers.permitted.get(position) {
            return Rc::clone(known);
        }
        self.describe(position);
        let permitted = Rc::new(self.answer(position));
        self.answers
            .permitted
            .insert(position.clone(), Rc::clone(&permitted));
        permitted
    }

    /// For each of the plan's versions whether it may be deployed in a position.
    pub(super) fn may_deploy(&mut self, position: &Position) -> Rc<Vec<bool>> {
        if let Some(known) = self.answers.deployable.get(position) {
            return Rc::clone(known);
        }
        self.describe(position);
        let may: Vec<bool> = self
            .versions
            .iter()
            .map(|version| can_deploy(version, &self.shapes, &self.facts).verdict() == Verdict::Go)
            .collect();
        let may = Rc::new(may);
        self.answers.deployable.insert(position.clone(), Rc::clone(&may));
        may
    }

    fn answer(&self, position: &Position) -> Permitted {
        let (shape, facts, nothing) = (self.plan.shape, &self.facts, BTreeSet::new());
        let mut permitted = Permitted {
            run: 0,
            undo: 0,
            verify: 0,
            restore: 0,
            tainted: 0,
            abandoned: 0,
        };
        for (place, phase) in self.plan.phases.iter().enumerate() {
            let bit = 1_u64 << place;
            if phase.kind == PhaseKind::Code {
                let Some(code) = shape.phase(&phase.id).filter(|code| code.abandons) else {
                    continue;
                };
                if !abandoned(shape, code, facts).is_empty() {
                    permitted.abandoned |= bit;
                }
                let may = may_restore(shape, &phase.id, facts, &nothing);
                if matches!(may, crate::safety::Decision::Cleared(_)) && !phase.fill.is_empty() {
                    permitted.restore |= bit;
                }
                continue;
            }
            // What the order of the phases forbids, nobody can set aside: most answers are known by that alone.
            let above = phase.above & self.plan.not_code;
            let below = self.plan.below(place) & self.plan.not_code;
            if position.done & bit == 0 {
                let in_order = position.done & above == above || !self.by_order;
                if in_order && judge(shape, &phase.id, facts, &nothing).verdict() == Verdict::Go {
                    permitted.run |= bit;
                }
                continue;
            }
            let in_order = position.done & below == 0 || !self.by_order;
            if in_order
                && phase.down.is_some()
                && may_revert(shape, &phase.id, facts, &nothing).verdict() == Verdict::Go
            {
                permitted.undo |= bit;
            }
            if phase.kind == PhaseKind::Backfill && !tainted(shape, &phase.id, facts).is_empty() {
                permitted.tainted |= bit;
                if may_verify(shape, &phase.id, facts, &nothing).verdict() == Verdict::Go {
                    permitted.verify |= bit;
                }
            }
        }
        permitted
    }

    /// Makes the facts those of a position.
    fn describe(&mut self, position: &Position) {
        if let Some(state) = self.facts.plans.get_mut(&self.plan.id) {
            for (place, phase) in self.plan.phases.iter().enumerate() {
                let bit = 1_u64 << place;
                let Some(recorded) = state.phases.get_mut(&phase.id) else {
                    continue;
                };
                let is_done = position.done & bit != 0;
                recorded.progress = if is_done {
                    let valid_since = if position.tainted & bit != 0 {
                        EFFECT
                    } else {
                        CLEAN
                    };
                    Progress::Done {
                        started_at: at(EFFECT),
                        at: at(EFFECT),
                        valid_since: at(valid_since),
                    }
                } else {
                    Progress::Pending
                };
                recorded.effect_since = is_done.then(|| at(EFFECT));
                recorded.restored_at = (position.abandoned & bit == 0).then(|| at(CLEAN));
            }
        }
        let fleet = &mut self.facts.fleet.services;
        fleet.clear();
        for version in position
            .fleet
            .iter()
            .filter_map(|place| self.versions.get(*place))
        {
            fleet
                .entry(version.service.clone())
                .or_insert_with_key(|service| ServiceCensus {
                    service: service.clone(),
                    sightings: Vec::new(),
                    doubts: Vec::new(),
                })
                .sightings
                .push(sighting(version, NOW));
        }
        let history = &mut self.facts.history.sightings;
        history.clear();
        for (old, new) in &self.ghosts {
            if position.tainted != 0 {
                history.push(old.clone());
            }
            if position.abandoned != 0 {
                history.push(new.clone());
            }
        }
    }
}

fn contain(containments: &mut Containments, plan: &PlanModel<'_>, version: &Version, set: u64) {
    for (place, phase) in plan.phases.iter().enumerate() {
        if phase.kind != PhaseKind::Code {
            continue;
        }
        let evidence = String::new();
        let answer = if places(u128::from(set)).any(|other| other == place) {
            Containment::Yes { evidence }
        } else {
            Containment::No { evidence }
        };
        containments.insert(version.clone(), plan.id.clone(), phase.id.clone(), answer);
    }
}

/// A phase that has not begun, and of which everybody approves. Time and people only ever delay.
fn untouched(phase: &PhaseShape) -> PhaseState {
    let approvals = (0..phase.gate.approvals.max(1))
        .map(|number| Approval {
            actor: format!("person {number}"),
            at: at(EFFECT),
            reason: "proof".to_owned(),
            digest: phase.approval_digest(),
        })
        .collect();
    PhaseState {
        approvals,
        satisfied_since: Some(at(EFFECT)),
        ..PhaseState::default()
    }
}
