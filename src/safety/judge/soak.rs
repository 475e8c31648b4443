//! The soak: what a phase needs must have held for a while without a break.

use jiff::Timestamp;

use crate::domain::PhaseId;
use crate::safety::findings::{Findings, moment};
use crate::safety::{Containment, Facts, PhaseKind, PhaseShape, PlanShape, Progress, ReasonCode, Verdict};

/// When the soak of a phase is over, as things stand; `None` if it has none, or if something that it waits for does not
/// hold yet.
pub fn soak_ends(plan: &PlanShape, phase: &PhaseId, facts: &Facts) -> Option<Timestamp> {
    let shape = plan.phase(phase)?;
    let soak = shape.gate.soak?;
    let mut last = None;
    for need in shape.needs.iter().filter_map(|need| plan.phase(need)) {
        last = last.max(Some(held_since(plan, need, facts)?.checked_add(soak).ok()?));
    }
    last
}

/// Since when what a phase needs holds: a code phase by the looks at the fleet, another since it was done.
fn held_since(plan: &PlanShape, need: &PhaseShape, facts: &Facts) -> Option<Timestamp> {
    let state = facts.plans.get(plan.id())?.phases.get(&need.id)?;
    match (need.kind, &state.progress) {
        (PhaseKind::Code, _) => state
            .satisfied_since
            .map(|since| last_lacking(plan, need, facts).map_or(since, |seen| since.max(seen))),
        (_, Progress::Done { at, .. }) => Some(*at),
        _ => None,
    }
}

/// When a version that is not known to contain a code phase was seen last, by whatever look, recorded for a plan or not.
fn last_lacking(plan: &PlanShape, code: &PhaseShape, facts: &Facts) -> Option<Timestamp> {
    let sightings = facts.history.sightings.iter();
    sightings
        .filter(|sighting| code.services.include(&sighting.service))
        .filter(|sighting| {
            let answer = facts.containments.get(&sighting.version(), plan.id(), &code.id);
            !matches!(answer, Containment::Yes { .. })
        })
        .map(|sighting| sighting.observed_at)
        .max()
}

impl Findings<'_> {
    /// Waits until everything the phase needs directly has held for as long as its gate says.
    pub(super) fn has_soaked(&mut self, shape: &PhaseShape) {
        let Some(soak) = shape.gate.soak else { return };
        let needs: Vec<&PhaseShape> = shape
            .needs
            .iter()
            .filter_map(|need| self.plan.phase(need))
            .collect();
        for need in needs {
            let since = held_since(self.plan, need, self.facts);
            let Some(since) = since else {
                let fix = format!(
                    "shipctl status {} --env {} starts the clock once all services run it",
                    self.plan.id(),
                    self.facts.environment
                );
                self.against(
                    ReasonCode::Soaking,
                    Verdict::Waiting,
                    Some(&need.id),
                    format!(
                        "the soak of {soak:#} has not begun: {} does not hold yet",
                        need.id
                    ),
                    Vec::new(),
                    Some(fix),
                );
                continue;
            };
            let held = self.facts.now.duration_since(since);
            if held >= soak {
                self.supports(format!(
                    "{} has held since {}, longer than the soak of {soak:#}",
                    need.id,
                    moment(since)
                ));
                continue;
            }
            let over = since
                .checked_add(soak)
                .map_or_else(|_| "later".to_owned(), |at| format!("at {}", moment(at)));
            let fix = format!("wait; then: {}", self.run_command());
            self.against(
                ReasonCode::Soaking,
                Verdict::Waiting,
                Some(&need.id),
                format!("{} soaks for {soak:#}: the gate opens {over}", need.id),
                vec![format!("{} has held since {}", need.id, moment(since))],
                Some(fix),
            );
        }
    }
}
