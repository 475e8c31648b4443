//! Whether two versions may run at the same time.

use super::{Containment, Doubt, Facts, PhaseKind, PhaseShape, PlanShape, Version};
use crate::domain::PhaseId;

/// Why two versions may not run together: one has a code phase that the other lacks, and the other also lacks a code
/// phase above it.
pub(super) struct Conflict {
    /// The version that is ahead.
    pub(super) ahead: Version,
    /// What it contains.
    pub(super) contains: PhaseId,
    /// The version that is behind.
    pub(super) behind: Version,
    /// What it lacks.
    pub(super) lacks: PhaseId,
    /// Why this may not be so; `None` if it certainly is.
    pub(super) doubt: Option<Doubt>,
}

/// What keeps two versions from running together under one plan: the gravest conflict, if there is one.
///
/// A phase that does not concern a version's service is not contained by it; nor need it contain such a phase.
pub(super) fn conflict(plan: &PlanShape, one: &Version, other: &Version, facts: &Facts) -> Option<Conflict> {
    if one == other {
        return None;
    }
    let mut possible = None;
    for (ahead, behind) in [(one, other), (other, one)] {
        for found in conflicts(plan, ahead, behind, facts) {
            if found.doubt.is_none() {
                return Some(found);
            }
            possible.get_or_insert(found);
        }
    }
    possible
}

/// What keeps a version from running at all under one plan: it contains a code phase, and lacks one above it that concerns
/// its service as well. So it is after a revert of the earlier phase alone: it reads, say, what it no longer writes.
pub(super) fn discord(plan: &PlanShape, version: &Version, facts: &Facts) -> Option<Conflict> {
    let mut possible = None;
    let own = |phase: &&PhaseShape| phase.kind == PhaseKind::Code && phase.services.include(&version.service);
    let contains = |phase: &PhaseShape| facts.containments.get(version, plan.id(), &phase.id);
    for code in plan.phases().filter(own) {
        if !matches!(contains(code), Containment::Yes { .. }) {
            continue;
        }
        for above in plan.above(&code.id).filter(own) {
            let doubt = match contains(above) {
                Containment::Yes { .. } => continue,
                Containment::No { .. } => None,
                Containment::Unknown(doubt) => Some(doubt),
            };
            let found = Conflict {
                ahead: version.clone(),
                contains: code.id.clone(),
                behind: version.clone(),
                lacks: above.id.clone(),
                doubt,
            };
            if found.doubt.is_none() {
                return Some(found);
            }
            possible.get_or_insert(found);
        }
    }
    possible
}

fn conflicts(plan: &PlanShape, ahead: &Version, behind: &Version, facts: &Facts) -> Vec<Conflict> {
    let contains = |version: &Version, phase: &PhaseShape| -> Containment {
        if phase.services.include(&version.service) {
            facts.containments.get(version, plan.id(), &phase.id)
        } else {
            Containment::No {
                evidence: format!("{} does not concern {}", phase.id, version.service),
            }
        }
    };
    let is_code = |phase: &&PhaseShape| phase.kind == PhaseKind::Code;
    let mut found = Vec::new();
    for code in plan.phases().filter(is_code) {
        let mut doubts = Vec::new();
        match contains(ahead, code) {
            Containment::No { .. } => continue,
            Containment::Yes { .. } => {}
            Containment::Unknown(doubt) => doubts.push(doubt),
        }
        match contains(behind, code) {
            Containment::Yes { .. } => continue,
            Containment::No { .. } => {}
            Containment::Unknown(doubt) => doubts.push(doubt),
        }
        let needed = plan
            .above(&code.id)
            .filter(is_code)
            .filter(|above| above.services.include(&behind.service));
        for above in needed {
            let mut doubts = doubts.clone();
            match contains(behind, above) {
                Containment::Yes { .. } => continue,
                Containment::No { .. } => {}
                Containment::Unknown(doubt) => doubts.push(doubt),
            }
            found.push(Conflict {
                ahead: ahead.clone(),
                contains: code.id.clone(),
                behind: behind.clone(),
                lacks: above.id.clone(),
                doubt: doubts.into_iter().next(),
            });
        }
    }
    found
}
