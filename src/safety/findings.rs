//! Collects what speaks for and against, and turns it into a judgement or a clearance.

use std::collections::BTreeSet;

use super::{
    Clearance, Containment, Decision, Direction, Doubt, Facts, Judgement, PhaseShape, PlanShape, Progress,
    Reason, ReasonCode, Sighting, Verdict, Version,
};
use crate::domain::PhaseId;

/// How many instances are named before the rest are only counted.
const NAMED_INSTANCES: usize = 4;

/// What was found about one plan.
pub(super) struct Findings<'a> {
    pub(super) plan: &'a PlanShape,
    pub(super) facts: &'a Facts,
    judgement: Judgement,
    /// Of which phases it is not known whether a version contains them, for one cause.
    unknown: Vec<Uncertain>,
}

/// A reason that stands for several phases.
struct Uncertain {
    /// Its place among the reasons.
    reason: usize,
    version: Version,
    phases: Vec<PhaseId>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(plan: &'a PlanShape, facts: &'a Facts) -> Self {
        Self {
            plan,
            facts,
            judgement: Judgement::default(),
            unknown: Vec::new(),
        }
    }

    /// Adds a reason against, about a phase or about none.
    pub(super) fn against(
        &mut self,
        code: ReasonCode,
        verdict: Verdict,
        phase: Option<&PhaseId>,
        message: String,
        evidence: Vec<String>,
        fix: Option<String>,
    ) {
        self.judgement.reasons.push(Reason {
            code,
            verdict,
            plan: self.plan.id().clone(),
            phase: phase.cloned(),
            message,
            evidence,
            fix,
        });
    }

    /// Whether a version contains a phase cannot be told, and it matters. What has one remedy (a shallow clone is fetched
    /// whole) is one reason, for as many phases as it concerns.
    pub(super) fn containment_unknown(&mut self, version: &Version, phase: &PhaseShape, doubt: Doubt) {
        let reasons = &mut self.judgement.reasons;
        let known = self.unknown.iter_mut().find(|known| {
            known.version == *version
                && reasons.get(known.reason).is_some_and(|reason| {
                    reason.evidence.contains(&doubt.why) || (doubt.fix.is_some() && reason.fix == doubt.fix)
                })
        });
        if let Some(known) = known {
            if !known.phases.contains(&phase.id) {
                known.phases.push(phase.id.clone());
                let order: Vec<&PhaseId> = self.plan.phases().map(|phase| &phase.id).collect();
                known
                    .phases
                    .sort_by_key(|id| order.iter().position(|other| *other == id));
            }
            if let Some(reason) = reasons.get_mut(known.reason) {
                reason.message = uncertain(version, &known.phases, self.facts);
                if !reason.evidence.contains(&doubt.why) {
                    reason.evidence.push(doubt.why);
                }
            }
            return;
        }
        let phases = vec![phase.id.clone()];
        let message = uncertain(version, &phases, self.facts);
        self.unknown.push(Uncertain {
            reason: reasons.len(),
            version: version.clone(),
            phases,
        });
        self.against(
            ReasonCode::ContainmentUnknown,
            Verdict::Unknown,
            Some(&phase.id),
            message,
            vec![doubt.why],
            doubt.fix,
        );
    }

    /// Whether this doubt about what a version contains is among the reasons.
    pub(super) fn is_asked_for(&self, version: &Version, doubt: &Doubt) -> bool {
        self.unknown
            .iter()
            .filter(|known| known.version == *version)
            .filter_map(|known| self.judgement.reasons.get(known.reason))
            .any(|reason| reason.evidence.contains(&doubt.why))
    }

    /// Adds a line that speaks for it.
    pub(super) fn supports(&mut self, line: String) {
        self.judgement.evidence.push(line);
    }

    /// What was found, gravest first.
    pub(super) fn into_judgement(self) -> Judgement {
        let mut judgement = self.judgement;
        judgement.sort();
        judgement
    }

    /// A clearance, unless a reason is left that nobody set aside.
    pub(super) fn decide(
        self,
        phase: &PhaseShape,
        direction: Direction,
        overrides: &BTreeSet<ReasonCode>,
    ) -> Decision {
        let (plan, facts) = (self.plan, self.facts);
        let mut judgement = self.into_judgement();
        let (set_aside, left): (Vec<_>, Vec<_>) = judgement
            .reasons
            .drain(..)
            .partition(|reason| reason.code.can_be_overridden() && overrides.contains(&reason.code));
        judgement.reasons = left;
        for reason in set_aside {
            let evidence = if reason.evidence.is_empty() {
                String::new()
            } else {
                format!(" ({})", reason.evidence.join("; "))
            };
            judgement.evidence.push(format!(
                "overridden: {}: {}{evidence}",
                reason.code.as_str(),
                reason.message
            ));
        }
        if judgement.reasons.is_empty() {
            Decision::Cleared(Clearance::new(
                plan.id().clone(),
                phase.id.clone(),
                direction,
                phase.digest.clone(),
                facts.observed_at,
                judgement,
            ))
        } else {
            Decision::Refused(judgement)
        }
    }

    pub(super) fn progress(&self, phase: &PhaseId) -> &'a Progress {
        const PENDING: &Progress = &Progress::Pending;
        self.facts
            .plans
            .get(self.plan.id())
            .map_or(PENDING, |state| state.progress(phase))
    }

    pub(super) fn contains(&self, version: &Version, phase: &PhaseId) -> Containment {
        self.facts.containments.get(version, self.plan.id(), phase)
    }

    /// The command that goes on with the plan.
    pub(super) fn run_command(&self) -> String {
        format!("shipctl run {} --env {}", self.plan.id(), self.facts.environment)
    }

    /// The command that undoes everything below a phase.
    pub(super) fn rollback_command(&self, to: &PhaseId) -> String {
        format!(
            "shipctl rollback {} --env {} --to {to}",
            self.plan.id(),
            self.facts.environment
        )
    }
}

fn uncertain(version: &Version, phases: &[PhaseId], facts: &Facts) -> String {
    let phases: Vec<String> = phases.iter().map(PhaseId::to_string).collect();
    format!(
        "whether {} contains {} is not known",
        name_running(version, facts),
        list(&phases)
    )
}

/// `web 3f2a9c1d2`.
pub(super) fn name(version: &Version) -> String {
    format!("{} {}", version.service, version.commit.short())
}

/// `web 3f2a9c1d2 (pid 12 and pid 13, seen by connections)`.
pub(super) fn name_running(version: &Version, facts: &Facts) -> String {
    let sightings: Vec<&Sighting> = facts
        .fleet
        .services
        .get(&version.service)
        .into_iter()
        .flat_map(|census| &census.sightings)
        .filter(|sighting| sighting.commit == version.commit)
        .collect();
    let instances: BTreeSet<&str> = sightings
        .iter()
        .map(|sighting| sighting.instance.as_str())
        .collect();
    let sources: BTreeSet<&str> = sightings
        .iter()
        .map(|sighting| sighting.source.as_str())
        .collect();
    if instances.is_empty() {
        return name(version);
    }
    let mut named: Vec<String> = instances
        .iter()
        .take(NAMED_INSTANCES)
        .map(|text| (*text).to_owned())
        .collect();
    if instances.len() > NAMED_INSTANCES {
        named.push(format!("{} more", instances.len() - NAMED_INSTANCES));
    }
    format!(
        "{} ({}, seen by {})",
        name(version),
        list(&named),
        list(&sources.into_iter().map(str::to_owned).collect::<Vec<_>>())
    )
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The ids of phases, as a list.
pub(super) fn ids(phases: &[&PhaseShape]) -> String {
    list(
        &phases
            .iter()
            .map(|phase| phase.id.to_string())
            .collect::<Vec<_>>(),
    )
}

/// `is` or `are`.
pub(super) fn is_or_are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// How far a phase has come, for people.
pub(super) fn describe(progress: &Progress) -> String {
    match progress {
        Progress::Pending => "not started".to_owned(),
        Progress::Started { at } => format!("started at {}, not finished", moment(*at)),
        Progress::Failed { at, error, .. } => format!("failed at {}: {error}", moment(*at)),
        Progress::Done { at, .. } => format!("done at {}", moment(*at)),
        Progress::Reverting { at } => format!("being undone since {}", moment(*at)),
    }
}

/// A moment to the second.
pub(super) fn moment(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
