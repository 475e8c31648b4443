//! The floors: what older code no longer works with (the rollback floor), and stale data that it would read, since code ran
//! that stopped writing a column (the data floor).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::taint::latest;
use super::{Containment, Doubt, Facts, PhaseKind, PhaseShape, PhaseState, PlanShape, Version};
use crate::domain::{PhaseId, ServiceName};

/// A code phase that every version of a service has to contain to be deployed now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FloorPhase {
    /// The code phase.
    pub phase: PhaseId,
    /// Schema phases below it that are in effect, wholly or in part.
    pub in_effect: Vec<PhaseId>,
    /// Code phases below it that ran, so that what they no longer write is stale; with those of which that is not known.
    pub abandoned: Vec<PhaseId>,
}

/// What every version of a service must contain to be deployed now: the newest such code phases of a plan. Those above them
/// are not named, since a version that has these and not those is no version of the plan. Empty where every version may be
/// deployed, as far as the floors are concerned.
pub fn floor(plan: &PlanShape, service: &ServiceName, facts: &Facts) -> Vec<FloorPhase> {
    let state = facts.plans.get(plan.id());
    let mut needed: Vec<FloorPhase> = Vec::new();
    for code in plan
        .phases()
        .filter(|phase| phase.kind == PhaseKind::Code && phase.services.include(service))
    {
        let in_effect: Vec<PhaseId> = plan
            .below(&code.id)
            .filter(|phase| phase.kind.is_schema())
            .filter(|phase| state.is_some_and(|state| state.progress(&phase.id).may_have_effect()))
            .map(|phase| phase.id.clone())
            .collect();
        let abandoned: Vec<PhaseId> = plan
            .below(&code.id)
            .filter(|phase| phase.kind == PhaseKind::Code && phase.abandons)
            .filter(|phase| !abandoned(plan, phase, facts).is_empty())
            .map(|phase| phase.id.clone())
            .collect();
        if !in_effect.is_empty() || !abandoned.is_empty() {
            needed.push(FloorPhase {
                phase: code.id.clone(),
                in_effect,
                abandoned,
            });
        }
    }
    let ids: Vec<PhaseId> = needed.iter().map(|one| one.phase.clone()).collect();
    needed.retain(|one| !ids.iter().any(|other| plan.is_above(&one.phase, other)));
    needed
}

/// Sightings of code that abandons a column, since its data was last restored.
#[derive(Default)]
pub(super) struct Abandoned {
    /// Versions that certainly abandon it, with when they were seen last.
    pub(super) known: BTreeMap<Version, Timestamp>,
    /// Versions that may.
    pub(super) possible: BTreeMap<Version, (Timestamp, Doubt)>,
}

impl Abandoned {
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.possible.is_empty()
    }
}

/// Which versions containing the abandoning code phase were seen, in the fleet or before, so that its data is stale.
///
/// What was seen before anything above the phase took effect does not count: without the schema that it needs, such a
/// version wrote nothing. So versions that ran long before the plan, and whose commits are gone, cast no doubt.
pub(super) fn abandoned(plan: &PlanShape, code: &PhaseShape, facts: &Facts) -> Abandoned {
    let mut found = Abandoned::default();
    let state = facts.plans.get(plan.id());
    let restored_at = state
        .and_then(|state| state.phases.get(&code.id))
        .and_then(|state| state.restored_at);
    let mut schema = plan
        .above(&code.id)
        .filter(|phase| phase.kind.is_schema())
        .peekable();
    let needs_schema = schema.peek().is_some();
    let in_effect: Vec<&PhaseState> = schema
        .filter_map(|phase| state?.phases.get(&phase.id))
        .filter(|state| state.progress.may_have_effect())
        .collect();
    let began = in_effect.iter().filter_map(|state| state.effect_since).min();
    // Where it is not known when something began, every sighting counts.
    let counts_always = !needs_schema || in_effect.iter().any(|state| state.effect_since.is_none());

    let fleet = facts.fleet.services.values().flat_map(|census| &census.sightings);
    let history = facts.history.sightings.iter().filter(|sighting| {
        let seen = sighting.observed_at;
        restored_at.is_none_or(|restored| seen >= restored)
            && (counts_always || began.is_some_and(|began| seen >= began))
    });
    for sighting in fleet.chain(history) {
        let version = sighting.version();
        if !code.services.include(&version.service) {
            continue;
        }
        match facts.containments.get(&version, plan.id(), &code.id) {
            Containment::Yes { .. } => latest(&mut found.known, sighting),
            Containment::No { .. } => {}
            Containment::Unknown(doubt) => {
                found
                    .possible
                    .entry(version)
                    .and_modify(|(at, _)| *at = (*at).max(sighting.observed_at))
                    .or_insert((sighting.observed_at, doubt));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::samples::{at, facts, rename, rename_with, sighting, state};
    use crate::safety::{Progress, Services, Verdict, can_deploy};

    const ALL: [&str; 5] = ["add", "backfill", "constrain", "relax", "drop"];

    fn phases(facts: &Facts) -> Vec<String> {
        floor(&rename(), &"web".parse().unwrap(), facts)
            .into_iter()
            .map(|one| {
                format!(
                    "{} {:?} {:?}",
                    one.phase,
                    one.in_effect.len(),
                    one.abandoned.len()
                )
            })
            .collect()
    }

    #[test]
    fn the_floor_rises_with_the_schema_and_with_data_that_is_stale() {
        for (done, expected) in [
            (0, &[][..]),
            (1, &[]),
            (2, &["dual-write 1 0"]),
            (3, &["dual-write 2 0"]),
            (4, &["switch-read 1 0"]),
            (5, &["stop-write 1 0"]),
        ] {
            assert_eq!(phases(&facts(&[("web", 2)], &ALL[..done])), expected, "{done}");
        }
        let mut facts = facts(&[("web", 2)], &ALL[..3]);
        facts.history.sightings.push(sighting("web", 3, at(500)));
        assert_eq!(phases(&facts), ["switch-read 0 1"]);
        state(&mut facts, "stop-write").restored_at = Some(at(501));
        assert_eq!(phases(&facts), ["dual-write 2 0"]);
        state(&mut facts, "relax").progress = Progress::Started { at: at(900) };
        assert_eq!(phases(&facts), ["switch-read 1 0"]);
    }

    #[test]
    fn a_service_has_to_contain_only_what_concerns_it() {
        let plan = rename_with(|phase| {
            if phase.id.as_str() == "stop-write" {
                phase.services = Services::Only(["web".parse().unwrap()].into());
            }
        });
        let facts = facts(&[("web", 3), ("worker", 2)], &ALL);
        let of = |service: &str| {
            floor(&plan, &service.parse().unwrap(), &facts)[0]
                .phase
                .to_string()
        };
        assert_eq!(
            (of("web").as_str(), of("worker").as_str()),
            ("stop-write", "switch-read")
        );
    }

    #[test]
    fn what_the_rules_let_be_deployed_is_on_the_floor_and_what_is_below_is_not() {
        for done in 0..=ALL.len() {
            // Nothing else is in the way of what runs, nor of what is one step behind it.
            for level in 0..=3 {
                let facts = facts(&[("web", level)], &ALL[..done]);
                let plan = rename();
                let version = crate::safety::samples::version("web", level);
                let judged = can_deploy(&version, std::slice::from_ref(&plan), &facts);
                let below = judged.reasons.iter().any(|reason| {
                    matches!(
                        reason.code,
                        crate::safety::ReasonCode::RollbackFloor | crate::safety::ReasonCode::DataFloor
                    ) && reason.verdict == Verdict::Blocked
                });
                let lacks = floor(&plan, &version.service, &facts).iter().any(|one| {
                    matches!(
                        facts.containments.get(&version, plan.id(), &one.phase),
                        Containment::No { .. }
                    )
                });
                assert_eq!(below, lacks, "{done} {level}: {judged:#?}");
            }
        }
    }
}
