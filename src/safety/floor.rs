//! The data floor: once code ran that stopped writing a column, older readers would meet stale data in it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::taint::latest;
use super::{Containment, Doubt, Facts, PhaseShape, PhaseState, PlanShape, Version};

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
