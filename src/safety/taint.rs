//! Rule 5: a backfill is valid only while every version seen since it began writes both.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::everyone::concerning;
use super::findings::{Findings, list, moment, name};
use super::{
    Containment, Facts, PhaseKind, PhaseShape, PlanShape, Progress, ReasonCode, Sighting, Verdict, Version,
};
use crate::domain::PhaseId;

/// Rule 5: the versions whose sighting taints a backfill, with when they were seen last. Empty where the backfill has
/// not begun, and where what it was filled from is gone for good.
pub fn tainted(plan: &PlanShape, backfill: &PhaseId, facts: &Facts) -> Vec<(Version, Timestamp)> {
    let Some(state) = facts.plans.get(plan.id()) else {
        return Vec::new();
    };
    let since = match state.progress(backfill) {
        Progress::Done { valid_since, .. } => *valid_since,
        Progress::Failed { started_at, .. } => *started_at,
        Progress::Started { at } => *at,
        Progress::Pending | Progress::Reverting { .. } => return Vec::new(),
    };
    if is_settled(plan, backfill, facts) {
        return Vec::new();
    }
    intruders(plan, backfill, facts, since)
}

/// The versions without a backfill's dual-write that run now or were seen since a moment, with when they were seen last.
pub fn intruders(
    plan: &PlanShape,
    backfill: &PhaseId,
    facts: &Facts,
    since: Timestamp,
) -> Vec<(Version, Timestamp)> {
    let writers: Vec<&PhaseShape> = plan
        .above(backfill)
        .filter(|phase| phase.kind == PhaseKind::Code)
        .collect();
    let mut found: BTreeMap<Version, Timestamp> = BTreeMap::new();
    // Whatever is in the fleet runs now, whenever its source looked last.
    let fleet = facts.fleet.services.values().flat_map(|census| &census.sightings);
    let history = facts
        .history
        .sightings
        .iter()
        .filter(|sighting| sighting.observed_at >= since);
    for sighting in fleet.chain(history) {
        let version = sighting.version();
        let clean = concerning(&writers, &version.service).all(|phase| {
            matches!(
                facts.containments.get(&version, plan.id(), &phase.id),
                Containment::Yes { .. }
            )
        });
        if !clean {
            latest(&mut found, sighting);
        }
    }
    found.into_iter().collect()
}

/// Whether a contract phase that waited for code which no longer writes the source is done: then no old version can
/// write what the backfill would have to copy.
pub(super) fn is_settled(plan: &PlanShape, backfill: &PhaseId, facts: &Facts) -> bool {
    let Some(state) = facts.plans.get(plan.id()) else {
        return false;
    };
    plan.below(backfill)
        .filter(|phase| phase.kind == PhaseKind::Code && phase.abandons)
        .any(|code| {
            plan.below(&code.id)
                .any(|phase| phase.kind == PhaseKind::Contract && state.progress(&phase.id).is_done())
        })
}

/// Keeps the later of two sightings of a version.
pub(super) fn latest(found: &mut BTreeMap<Version, Timestamp>, sighting: &Sighting) {
    found
        .entry(sighting.version())
        .and_modify(|at| *at = (*at).max(sighting.observed_at))
        .or_insert(sighting.observed_at);
}

impl Findings<'_> {
    /// The finished backfills above a phase that a sighting has tainted, with the versions seen.
    pub(super) fn tainted_above(&self, phase: &PhaseShape) -> Vec<(PhaseId, Vec<(Version, Timestamp)>)> {
        self.plan
            .above(&phase.id)
            .filter(|above| above.kind == PhaseKind::Backfill && self.progress(&above.id).is_done())
            .map(|backfill| (backfill.id.clone(), tainted(self.plan, &backfill.id, self.facts)))
            .filter(|(_, seen)| !seen.is_empty())
            .collect()
    }

    /// Objects to every finished backfill above a phase that a sighting has tainted.
    pub(super) fn backfills_above_are_clean(&mut self, phase: &PhaseShape) {
        for (backfill, seen) in self.tainted_above(phase) {
            let writers: Vec<String> = self
                .plan
                .above(&backfill)
                .filter(|above| above.kind == PhaseKind::Code)
                .map(|above| above.id.to_string())
                .collect();
            let shown = seen
                .iter()
                .map(|(version, at)| format!("{} was seen at {}", name(version), moment(*at)))
                .collect();
            let versions: Vec<String> = seen.iter().map(|(version, _)| name(version)).collect();
            let fix = format!("{} verifies {backfill} again", self.run_command());
            self.against(
                ReasonCode::Tainted,
                Verdict::Blocked,
                Some(&backfill),
                format!(
                    "{backfill} is tainted: {} ran after it began and {} not known to contain {}",
                    list(&versions),
                    if versions.len() == 1 { "is" } else { "are" },
                    list(&writers)
                ),
                shown,
                Some(fix),
            );
        }
    }
}
