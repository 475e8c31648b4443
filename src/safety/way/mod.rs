//! The shortest safe way to a yes: a search over next steps, in which every step is judged by the rules as if its moment had
//! come.
//!
//! It is advice. Each step has to pass its gate when it is taken, by the facts of then.

mod moves;
#[cfg(test)]
mod tests;
mod world;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use super::{
    Containment, Decision, Facts, Judgement, PhaseKind, PlanShape, ReasonCode, Sighting, Verdict, Version,
    can_deploy_under, judge, may_verify, satisfaction,
};
use crate::domain::{PhaseId, ServiceName};
use moves::moves;
use world::World;

/// After so many situations the search gives up: nobody follows a way that is so hard to find.
const SITUATIONS: usize = 400;

/// What is to become a yes.
#[derive(Clone, Copy, Debug)]
pub enum Goal<'g> {
    /// The version may be deployed, as far as the plan is concerned.
    Deploy(&'g Version),
    /// The phase may run; for a code phase: everything that runs contains it.
    Run(&'g PhaseId),
}

/// What the search may count on besides the facts.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'g> {
    /// The plan that is in the way.
    pub plan: &'g PlanShape,
    /// Every plan of the environment: deployments on the way are judged by all of them.
    pub plans: &'g [PlanShape],
    /// Versions that can be named, the preferred first. What they contain is among the facts.
    pub known: &'g [Version],
    /// Phases of the plan that cannot be undone, and code phases whose data cannot be restored.
    pub for_good: &'g BTreeSet<PhaseId>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum WayStep {
    /// Make known what is not known; what comes after depends on it.
    FindOut {
        /// What to do.
        fix: String,
    },
    /// Deploy these versions.
    Deploy {
        /// One a service; of those that were not written yet, the commit is made up.
        versions: Vec<Version>,
        /// The newest of the plan's code phases that they contain.
        contains: Vec<PhaseId>,
        /// Whether such commits are known.
        known: bool,
    },
    /// Wait for a deployment that is under way.
    AwaitDeployment {
        /// What is deployed where, and by whom.
        what: String,
    },
    /// Approve a phase.
    Approve {
        /// The phase.
        phase: PhaseId,
    },
    /// Let a phase's soak pass.
    Soak {
        /// The phase.
        phase: PhaseId,
    },
    /// Run a phase, or finish it.
    Run {
        /// The phase.
        phase: PhaseId,
    },
    /// Verify a tainted backfill again.
    Verify {
        /// The backfill.
        phase: PhaseId,
    },
    /// Restore what a code phase abandoned.
    Restore {
        /// The code phase.
        phase: PhaseId,
    },
    /// Undo a phase.
    Undo {
        /// The phase.
        phase: PhaseId,
    },
}

/// The fewest steps after which the answer is yes, each permitted when its turn comes; empty if it is yes now. Where
/// something is not known, the only step is to find it out. `None` if no way was found.
pub fn shortest_way(goal: Goal<'_>, ground: &Ground<'_>, facts: &Facts) -> Option<Vec<WayStep>> {
    let now = answer(goal, ground, facts);
    let unknown = find_out(&now);
    if !unknown.is_empty() {
        return Some(unknown);
    }
    let mut facts = facts.clone();
    condense(ground.plans, &mut facts);
    let levels = moves::levels(ground, &mut facts);
    let first = World::of(ground.plan, &facts);
    let remembered = facts.history.sightings.len();
    let mut seen = BTreeSet::from([first.key(ground.plan, &mut facts, remembered)]);
    let mut queue = VecDeque::from([(first, Vec::new())]);
    let mut looked_at = 0;
    while let Some((world, way)) = queue.pop_front() {
        world.make_true(ground.plan, &mut facts, remembered);
        if is_reached(goal, ground, &facts) {
            let mut way: Vec<WayStep> = way;
            if let Goal::Run(phase) = goal {
                way.extend(conditions(ground.plan, phase, &facts));
            }
            return Some(way);
        }
        looked_at += 1;
        if looked_at > SITUATIONS {
            return None;
        }
        for (steps, next) in moves(ground, &levels, &world, &mut facts, remembered) {
            if seen.insert(next.key(ground.plan, &mut facts, remembered)) {
                let longer = way.iter().cloned().chain(steps).collect();
                queue.push_back((next, longer));
            }
        }
    }
    None
}

/// Keeps of what ran before only the latest sighting of each kind of version: those that contain the same of every plan. All
/// that the rules ask of the past is whether such a version was seen since some moment, and a search asks it often.
fn condense(plans: &[PlanShape], facts: &mut Facts) {
    let mut latest: BTreeMap<(ServiceName, Vec<u8>), Sighting> = BTreeMap::new();
    for sighting in std::mem::take(&mut facts.history.sightings) {
        let version = sighting.version();
        let codes = plans.iter().flat_map(|plan| {
            let codes = plan.phases().filter(|phase| phase.kind == PhaseKind::Code);
            codes.map(move |code| (plan.id(), &code.id))
        });
        let kind = codes
            .map(
                |(plan, code)| match facts.containments.get(&version, plan, code) {
                    Containment::No { .. } => 0,
                    Containment::Yes { .. } => 1,
                    Containment::Unknown(_) => 2,
                },
            )
            .collect();
        match latest.entry((version.service, kind)) {
            Entry::Vacant(place) => {
                place.insert(sighting);
            }
            Entry::Occupied(mut known) if sighting.observed_at > known.get().observed_at => {
                known.insert(sighting);
            }
            Entry::Occupied(_) => {}
        }
    }
    facts.history.sightings = latest.into_values().collect();
}

/// What the rules say now.
fn answer(goal: Goal<'_>, ground: &Ground<'_>, facts: &Facts) -> Judgement {
    match goal {
        Goal::Deploy(version) => can_deploy_under(ground.plan, version, facts),
        Goal::Run(phase) if is_code(ground.plan, phase) => satisfaction(ground.plan, phase, facts),
        Goal::Run(phase) => judge(ground.plan, phase, facts, &BTreeSet::new())
            .judgement()
            .clone(),
    }
}

fn is_reached(goal: Goal<'_>, ground: &Ground<'_>, facts: &Facts) -> bool {
    match goal {
        Goal::Run(phase) if !is_code(ground.plan, phase) => {
            let progress = facts.plans.get(ground.plan.id());
            progress.is_some_and(|state| state.progress(phase).is_done())
                || matches!(
                    judge(ground.plan, phase, facts, &conditional()),
                    Decision::Cleared(_)
                )
        }
        _ => answer(goal, ground, facts).verdict() == Verdict::Go,
    }
}

fn is_code(plan: &PlanShape, phase: &PhaseId) -> bool {
    plan.phase(phase)
        .is_some_and(|shape| shape.kind == PhaseKind::Code)
}

/// What only time and people can bring about: steps of their own, which change nothing else.
fn conditional() -> BTreeSet<ReasonCode> {
    BTreeSet::from([ReasonCode::NeedsApproval, ReasonCode::Soaking])
}

/// What has to be waited for before a phase that may otherwise run.
fn conditions(plan: &PlanShape, phase: &PhaseId, facts: &Facts) -> Vec<WayStep> {
    let decision = judge(plan, phase, facts, &BTreeSet::new());
    let asks = |code| {
        decision
            .judgement()
            .reasons
            .iter()
            .any(|reason| reason.code == code)
    };
    let phase = phase.clone();
    let approve = asks(ReasonCode::NeedsApproval).then(|| WayStep::Approve { phase: phase.clone() });
    let soak = asks(ReasonCode::Soaking).then_some(WayStep::Soak { phase });
    approve.into_iter().chain(soak).collect()
}

/// What has to be found out first, each remedy once.
fn find_out(judgement: &Judgement) -> Vec<WayStep> {
    let mut steps = Vec::new();
    for reason in judgement
        .reasons
        .iter()
        .filter(|reason| reason.verdict == Verdict::Unknown)
    {
        let fix = reason.fix.clone().unwrap_or_else(|| reason.message.clone());
        let step = WayStep::FindOut { fix };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

/// Whether a tainted backfill may be verified again.
fn verifies(plan: &PlanShape, phase: &PhaseId, facts: &Facts) -> bool {
    matches!(
        may_verify(plan, phase, facts, &BTreeSet::new()),
        Decision::Cleared(_)
    )
}
