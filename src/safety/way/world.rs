//! A situation that the search thinks of: what would be done, and what would run.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::domain::PhaseId;
use crate::safety::floor::abandoned;
use crate::safety::{
    Completeness, Facts, Fleet, Lease, PhaseKind, PlanShape, PlanState, Progress, Sighting, Version, tainted,
};

/// How much later each step is than the one before: what came before it is told from what comes after.
const STEP: SignedDuration = SignedDuration::from_secs(1);

/// What differs from the present facts.
#[derive(Clone)]
pub(super) struct World {
    pub(super) state: PlanState,
    pub(super) fleet: Fleet,
    /// What ran on the way, and no longer does.
    pub(super) seen: Vec<Sighting>,
    pub(super) leases: Vec<Lease>,
    pub(super) now: Timestamp,
}

/// Two situations with the same key are alike for all that may follow.
pub(super) type Key = (Vec<u8>, BTreeSet<Version>, Vec<bool>, usize);

impl World {
    /// The present.
    pub(super) fn of(plan: &PlanShape, facts: &Facts) -> Self {
        Self {
            state: facts.plans.get(plan.id()).cloned().unwrap_or_default(),
            fleet: facts.fleet.clone(),
            seen: Vec::new(),
            leases: facts.live_leases().cloned().collect(),
            now: facts.now,
        }
    }

    /// Puts this situation into the facts. The first so many sightings of the history are real.
    pub(super) fn make_true(&self, plan: &PlanShape, facts: &mut Facts, remembered: usize) {
        facts.plans.insert(plan.id().clone(), self.state.clone());
        facts.fleet = self.fleet.clone();
        facts.history.sightings.truncate(remembered);
        facts.history.sightings.extend(self.seen.iter().cloned());
        facts.leases.clone_from(&self.leases);
        facts.now = self.now;
        facts.observed_at = self.now;
    }

    pub(super) fn key(&self, plan: &PlanShape, facts: &mut Facts, remembered: usize) -> Key {
        self.make_true(plan, facts, remembered);
        let progress = plan
            .phases()
            .map(|phase| match self.state.progress(&phase.id) {
                Progress::Pending => 0,
                Progress::Started { .. } => 1,
                Progress::Failed { .. } => 2,
                Progress::Done { .. } => 3,
                Progress::Reverting { .. } => 4,
            })
            .collect();
        let marks = plan
            .phases()
            .filter_map(|phase| match phase.kind {
                PhaseKind::Backfill => Some(!tainted(plan, &phase.id, facts).is_empty()),
                PhaseKind::Code if phase.abandons => Some(!abandoned(plan, phase, facts).is_empty()),
                _ => None,
            })
            .collect();
        (progress, self.fleet.versions(), marks, self.leases.len())
    }

    fn later(&self) -> Self {
        let mut next = self.clone();
        next.now = self.now.checked_add(STEP).unwrap_or(self.now);
        next
    }

    /// A phase is done.
    pub(super) fn done(&self, plan: &PlanShape, phase: &PhaseId) -> Self {
        let mut next = self.later();
        let at = next.now;
        let entry = next.state.phases.entry(phase.clone()).or_default();
        let started_at = match &entry.progress {
            Progress::Started { at } => *at,
            Progress::Failed { started_at, .. } => *started_at,
            _ => at,
        };
        entry.progress = Progress::Done {
            started_at,
            at,
            valid_since: started_at,
        };
        entry.digest = plan.phase(phase).map(|shape| shape.digest.clone());
        entry.effect_since.get_or_insert(started_at);
        next
    }

    /// A backfill is valid again.
    pub(super) fn verified(&self, phase: &PhaseId) -> Self {
        let mut next = self.later();
        let at = next.now;
        if let Progress::Done { valid_since, .. } =
            &mut next.state.phases.entry(phase.clone()).or_default().progress
        {
            *valid_since = at;
        }
        next
    }

    /// A phase is undone.
    pub(super) fn undone(&self, phase: &PhaseId) -> Self {
        let mut next = self.later();
        let entry = next.state.phases.entry(phase.clone()).or_default();
        entry.progress = Progress::Pending;
        entry.digest = None;
        entry.effect_since = None;
        next
    }

    /// What a code phase abandoned is restored.
    pub(super) fn restored(&self, phase: &PhaseId) -> Self {
        let mut next = self.later();
        let at = next.now;
        next.state.phases.entry(phase.clone()).or_default().restored_at = Some(at);
        next
    }

    /// Every instance of a service runs a version.
    pub(super) fn deployed(&self, version: &Version) -> Self {
        let mut next = self.later();
        let Some(census) = next.fleet.services.get_mut(&version.service) else {
            return next;
        };
        let before = std::mem::take(&mut census.sightings);
        census.sightings.push(Sighting {
            service: version.service.clone(),
            instance: "whatever comes".to_owned(),
            commit: version.commit.clone(),
            observed_at: next.now,
            source: "imagined".to_owned(),
            completeness: Completeness::Full,
        });
        // It ran until now.
        next.seen.extend(before.into_iter().map(|sighting| Sighting {
            observed_at: self.now,
            ..sighting
        }));
        next
    }

    /// The deployments that are under way are done.
    pub(super) fn arrived(&self) -> Self {
        let mut next = self.clone();
        for version in self.leases.iter().flat_map(|lease| &lease.versions) {
            next = next.deployed(version);
        }
        next.leases.clear();
        next
    }
}
