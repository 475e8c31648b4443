//! Whether a code phase is satisfied by what runs.

use super::{Containment, Facts, Judgement, PlanShape, Reason, ReasonCode, Verdict};
use crate::domain::PhaseId;

/// Whether the whole fleet is known and every version of the services concerned contains a code phase. Nobody running is
/// never everybody.
pub fn satisfaction(plan: &PlanShape, phase: &PhaseId, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let mut against = |code, verdict, message: String| {
        judgement.reasons.push(Reason {
            code,
            verdict,
            plan: plan.id().clone(),
            phase: Some(phase.clone()),
            message,
            evidence: Vec::new(),
            fix: None,
        });
    };
    let Some(shape) = plan.phase(phase) else {
        against(
            ReasonCode::NotApplicable,
            Verdict::Blocked,
            format!("there is no phase {phase}"),
        );
        return judgement;
    };
    let mut concerned = facts
        .fleet
        .services
        .values()
        .filter(|census| shape.services.include(&census.service))
        .peekable();
    if concerned.peek().is_none() {
        against(
            ReasonCode::FleetUnknown,
            Verdict::Unknown,
            format!("no declared service is concerned by {phase}"),
        );
    }
    for census in concerned {
        if census.versions().is_empty() || !census.doubts.is_empty() {
            against(
                ReasonCode::FleetUnknown,
                Verdict::Unknown,
                census.service.to_string(),
            );
        }
        for version in census.versions() {
            let name = format!("{} {}", version.service, version.commit.short());
            match facts.containments.get(&version, plan.id(), phase) {
                Containment::Yes { .. } => {}
                Containment::No { evidence } => against(
                    ReasonCode::OldVersionRunning,
                    Verdict::Blocked,
                    format!("{name} does not contain {phase}: {evidence}"),
                ),
                Containment::Unknown(doubt) => against(
                    ReasonCode::ContainmentUnknown,
                    Verdict::Unknown,
                    format!("whether {name} contains {phase} is not known: {}", doubt.why),
                ),
            }
        }
    }
    for stranger in &facts.fleet.strangers {
        against(
            ReasonCode::UndeclaredService,
            Verdict::Unknown,
            format!("`{}` runs but is not declared", stranger.name),
        );
    }
    judgement
}
