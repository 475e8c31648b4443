//! The rules (placeholders until the logic lands).

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    Decision, Facts, Fleet, Judgement, PlanShape, ReasonCode, ServiceRequirement, SourceReport, Version,
};
use crate::domain::PhaseId;

/// Combines what the sources said into the fleet (union; what is missing, stale or contradictory is a doubt).
pub fn combine(requirements: &[ServiceRequirement], reports: &[SourceReport], now: Timestamp) -> Fleet {
    let _ = (requirements, reports, now);
    Fleet::default()
}

/// Rule 1: may this schema (or manual) phase run now? `overrides` are reasons that a person set aside.
pub fn judge(plan: &PlanShape, phase: &PhaseId, facts: &Facts, overrides: &BTreeSet<ReasonCode>) -> Decision {
    let _ = (plan, phase, facts, overrides);
    Decision::Refused(Judgement::default())
}

/// Rule 2: may this version be deployed (or rolled back to) now?
pub fn can_deploy(version: &Version, plans: &[PlanShape], facts: &Facts) -> Judgement {
    let _ = (version, plans, facts);
    Judgement::default()
}

/// Rule 3: may this schema phase be undone now?
pub fn may_revert(
    plan: &PlanShape,
    phase: &PhaseId,
    facts: &Facts,
    overrides: &BTreeSet<ReasonCode>,
) -> Decision {
    let _ = (plan, phase, facts, overrides);
    Decision::Refused(Judgement::default())
}

/// May the data that a code phase abandoned be restored now (so that older readers may come back)?
pub fn may_restore(
    plan: &PlanShape,
    phase: &PhaseId,
    facts: &Facts,
    overrides: &BTreeSet<ReasonCode>,
) -> Decision {
    let _ = (plan, phase, facts, overrides);
    Decision::Refused(Judgement::default())
}

/// May a finished backfill be verified again, and filled again where rows are wrong (the way out of a taint)?
pub fn may_verify(
    plan: &PlanShape,
    backfill: &PhaseId,
    facts: &Facts,
    overrides: &BTreeSet<ReasonCode>,
) -> Decision {
    let _ = (plan, backfill, facts, overrides);
    Decision::Refused(Judgement::default())
}

/// Rule 5: the versions whose sighting taints a backfill, with when they were seen.
pub fn tainted(plan: &PlanShape, backfill: &PhaseId, facts: &Facts) -> Vec<(Version, Timestamp)> {
    let _ = (plan, backfill, facts);
    Vec::new()
}
