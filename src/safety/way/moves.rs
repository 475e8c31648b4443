//! The steps that the rules permit in a situation.

use std::collections::{BTreeMap, BTreeSet};

use super::world::World;
use super::{Ground, WayStep, conditional, conditions, verifies};
use crate::domain::{CommitId, Digest, PhaseId, ServiceName};
use crate::safety::{
    Containment, Decision, Facts, PhaseKind, PhaseShape, PlanShape, Verdict, Version, can_deploy, judge,
    may_restore, may_revert,
};

/// A stage of the plan's code, and the version of each service that is there: it contains these code phases, as far as
/// they concern the service, and no other.
pub(super) struct Level {
    contains: BTreeSet<PhaseId>,
    versions: BTreeMap<ServiceName, Version>,
    /// Whether every version is one that exists.
    known: bool,
}

/// The stages that the code can be at, those of known commits first. For a stage at which no known version of a service is,
/// one is made up, and what it contains is added to the facts.
pub(super) fn levels(ground: &Ground<'_>, facts: &mut Facts) -> Vec<Level> {
    let plan = ground.plan;
    let codes: Vec<&PhaseShape> = plan
        .phases()
        .filter(|phase| phase.kind == PhaseKind::Code)
        .collect();
    let mut stages: Vec<BTreeSet<PhaseId>> = vec![BTreeSet::new()];
    let mut so_far = BTreeSet::new();
    for code in &codes {
        let mut alone: BTreeSet<PhaseId> = plan
            .above(&code.id)
            .filter(|above| above.kind == PhaseKind::Code)
            .map(|above| above.id.clone())
            .collect();
        alone.insert(code.id.clone());
        so_far.insert(code.id.clone());
        for stage in [alone, so_far.clone()] {
            if !stages.contains(&stage) {
                stages.push(stage);
            }
        }
    }
    let services: Vec<ServiceName> = facts.fleet.services.keys().cloned().collect();
    let mut levels: Vec<Level> = stages
        .into_iter()
        .map(|contains| {
            let mut level = Level {
                contains,
                versions: BTreeMap::new(),
                known: true,
            };
            for service in &services {
                let own: BTreeSet<PhaseId> = concerning(&codes, service, &level.contains);
                let found = ground.known.iter().find(|version| {
                    version.service == *service && contained(plan, version, facts).as_ref() == Some(&own)
                });
                let version = found.cloned().or_else(|| {
                    level.known = false;
                    imagined(ground, service, &codes, &own, facts)
                });
                if let Some(version) = version {
                    level.versions.insert(service.clone(), version);
                }
            }
            level
        })
        .collect();
    levels.sort_by_key(|level| !level.known);
    levels
}

fn concerning(codes: &[&PhaseShape], service: &ServiceName, phases: &BTreeSet<PhaseId>) -> BTreeSet<PhaseId> {
    codes
        .iter()
        .filter(|code| code.services.include(service) && phases.contains(&code.id))
        .map(|code| code.id.clone())
        .collect()
}

/// The code phases of the plan that a version contains; `None` if that is not known of each.
fn contained(plan: &PlanShape, version: &Version, facts: &Facts) -> Option<BTreeSet<PhaseId>> {
    let mut phases = BTreeSet::new();
    for code in plan
        .phases()
        .filter(|phase| phase.kind == PhaseKind::Code && phase.services.include(&version.service))
    {
        match facts.containments.get(version, plan.id(), &code.id) {
            Containment::Yes { .. } => {
                phases.insert(code.id.clone());
            }
            Containment::No { .. } => {}
            Containment::Unknown(_) => return None,
        }
    }
    Some(phases)
}

/// A version that nobody wrote yet: what runs now, with these code phases of the plan.
fn imagined(
    ground: &Ground<'_>,
    service: &ServiceName,
    codes: &[&PhaseShape],
    own: &BTreeSet<PhaseId>,
    facts: &mut Facts,
) -> Option<Version> {
    let present = facts.fleet.services.get(service)?.versions().into_iter().next();
    let names: Vec<&str> = own.iter().map(PhaseId::as_str).collect();
    let whose = ["imagined", ground.plan.id().as_str(), service.as_str()];
    let digest = Digest::of_parts(whose.into_iter().chain(names));
    let commit: CommitId = digest.as_str().get(..40)?.parse().ok()?;
    let version = Version {
        service: service.clone(),
        commit,
    };
    for code in codes.iter().filter(|code| code.services.include(service)) {
        let evidence = "as imagined".to_owned();
        let answer = if own.contains(&code.id) {
            Containment::Yes { evidence }
        } else {
            Containment::No { evidence }
        };
        let plan = ground.plan.id().clone();
        facts
            .containments
            .insert(version.clone(), plan, code.id.clone(), answer);
    }
    let others = ground.plans.iter().filter(|plan| plan.id() != ground.plan.id());
    for plan in others {
        for code in plan.phases().filter(|phase| phase.kind == PhaseKind::Code) {
            if let Some(present) = &present {
                let answer = facts.containments.get(present, plan.id(), &code.id);
                facts
                    .containments
                    .insert(version.clone(), plan.id().clone(), code.id.clone(), answer);
            }
        }
    }
    Some(version)
}

/// Every step that is permitted, with what comes of it. Forward before back, what is known before what has to be written.
pub(super) fn moves(
    ground: &Ground<'_>,
    levels: &[Level],
    world: &World,
    facts: &mut Facts,
    remembered: usize,
) -> Vec<(Vec<WayStep>, World)> {
    let plan = ground.plan;
    let mut found = Vec::new();
    world.make_true(plan, facts, remembered);
    for phase in plan.phases().filter(|phase| phase.kind != PhaseKind::Code) {
        let id = &phase.id;
        if world.state.progress(id).is_done() {
            if phase.kind == PhaseKind::Backfill && verifies(plan, id, facts) {
                found.push((vec![WayStep::Verify { phase: id.clone() }], world.verified(id)));
            }
        } else if matches!(judge(plan, id, facts, &conditional()), Decision::Cleared(_)) {
            let mut steps = conditions(plan, id, facts);
            steps.push(WayStep::Run { phase: id.clone() });
            found.push((steps, world.done(plan, id)));
        }
    }
    if !world.leases.is_empty() {
        let what: Vec<String> = world
            .leases
            .iter()
            .map(|lease| format!("{} by {}", lease.what(), lease.name()))
            .collect();
        let step = WayStep::AwaitDeployment {
            what: what.join("; "),
        };
        found.push((vec![step], world.arrived()));
    }
    for level in levels {
        for upward in [true, false] {
            found.extend(deployment(ground, level, upward, world, facts, remembered));
        }
    }
    world.make_true(plan, facts, remembered);
    for phase in plan.phases() {
        let id = &phase.id;
        let none = BTreeSet::new();
        if phase.kind == PhaseKind::Code {
            if phase.abandons
                && !ground.for_good.contains(id)
                && matches!(may_restore(plan, id, facts, &none), Decision::Cleared(_))
            {
                found.push((vec![WayStep::Restore { phase: id.clone() }], world.restored(id)));
            }
        } else if !ground.for_good.contains(id)
            && matches!(may_revert(plan, id, facts, &none), Decision::Cleared(_))
        {
            found.push((vec![WayStep::Undo { phase: id.clone() }], world.undone(id)));
        }
    }
    found
}

/// Brings every service up (or down) to a level, in any order in which the rules let each go.
fn deployment(
    ground: &Ground<'_>,
    level: &Level,
    upward: bool,
    world: &World,
    facts: &mut Facts,
    remembered: usize,
) -> Option<(Vec<WayStep>, World)> {
    let plan = ground.plan;
    world.make_true(plan, facts, remembered);
    let mut left: Vec<&Version> = Vec::new();
    for (service, version) in &level.versions {
        let aim = contained(plan, version, facts)?;
        let is_there = facts
            .fleet
            .services
            .get(service)?
            .versions()
            .iter()
            .all(|running| {
                contained(plan, running, facts).is_some_and(|now| {
                    if upward {
                        aim.is_subset(&now)
                    } else {
                        now.is_subset(&aim)
                    }
                })
            });
        if !is_there {
            left.push(version);
        }
    }
    let versions: Vec<Version> = left.iter().map(|version| (*version).clone()).collect();
    if versions.is_empty() {
        return None;
    }
    let mut world = world.clone();
    while !left.is_empty() {
        world.make_true(plan, facts, remembered);
        let may = left
            .iter()
            .position(|version| can_deploy(version, ground.plans, facts).verdict() == Verdict::Go)?;
        world = world.deployed(left.remove(may));
    }
    let newest: Vec<PhaseId> = level
        .contains
        .iter()
        .filter(|phase| !level.contains.iter().any(|other| plan.is_above(phase, other)))
        .cloned()
        .collect();
    let known = versions.iter().all(|version| ground.known.contains(version));
    let step = WayStep::Deploy {
        versions,
        contains: newest,
        known,
    };
    Some((vec![step], world))
}
