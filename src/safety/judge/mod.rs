//! Rule 1: may a phase run now?

mod soak;

use std::collections::BTreeSet;

use super::findings::{Findings, describe, ids, is_or_are, list, moment, name};
use super::floor::abandoned;
use super::taint::{is_settled, tainted};
use super::{
    Decision, Direction, Facts, Judgement, PhaseKind, PhaseShape, PlanShape, Progress, ReasonCode, Verdict,
};
use crate::domain::PhaseId;

pub use soak::soak_ends;

/// Rule 1: may this schema (or manual) phase run now? `overrides` are reasons that a person set aside.
///
/// A phase that is done is refused with the sole reason [`ReasonCode::AlreadyDone`], whose verdict is
/// [`Verdict::Go`]: there is nothing to run and nothing to object to.
pub fn judge(plan: &PlanShape, phase: &PhaseId, facts: &Facts, overrides: &BTreeSet<ReasonCode>) -> Decision {
    let mut findings = Findings::new(plan, facts);
    let Some(shape) = plan.phase(phase) else {
        return findings.no_such_phase(phase);
    };
    if shape.kind == PhaseKind::Code {
        findings.against(
            ReasonCode::NotApplicable,
            Verdict::Blocked,
            Some(phase),
            format!("{phase} is a code phase: it is satisfied by deploying, and there is nothing to run"),
            Vec::new(),
            Some(format!(
                "deploy a version that contains {phase} (ask first: shipctl can-deploy REV --env {})",
                facts.environment
            )),
        );
        return Decision::Refused(findings.into_judgement());
    }
    findings.nothing_diverged();
    if findings.progress(phase).is_done() {
        findings.already_done(
            phase,
            format!("{phase} is {}", describe(findings.progress(phase))),
        );
        return Decision::Refused(findings.into_judgement());
    }
    findings.needs_are_done(shape);
    let above = code_above(plan, phase);
    findings.everyone_contains(&above);
    findings.deployments_permit(shape, &above);
    findings.backfills_above_are_clean(shape);
    if shape.kind == PhaseKind::Backfill {
        findings.source_is_current(shape);
    }
    findings.is_approved(shape);
    findings.has_soaked(shape);
    findings.decide(shape, Direction::Forward, overrides)
}

/// May a finished backfill be verified again, and filled again where rows are wrong (the way out of a taint)?
///
/// As for running it, every version must contain the code phases above; and what it is filled from must still be
/// written by everything that ran since. Only a tainted backfill is verified again: the taint, which lasts until the
/// verification is recorded, keeps code away meanwhile that would write only what is being filled. Where there is no
/// taint, the answer is [`ReasonCode::AlreadyDone`] with the verdict [`Verdict::Go`].
pub fn may_verify(
    plan: &PlanShape,
    backfill: &PhaseId,
    facts: &Facts,
    overrides: &BTreeSet<ReasonCode>,
) -> Decision {
    let mut findings = Findings::new(plan, facts);
    let Some(shape) = plan.phase(backfill) else {
        return findings.no_such_phase(backfill);
    };
    if shape.kind != PhaseKind::Backfill {
        return findings.not_applicable(
            backfill,
            format!("{backfill} is not a backfill: there is nothing to verify again"),
        );
    }
    if !findings.progress(backfill).is_done() {
        return findings.not_applicable(
            backfill,
            format!("{backfill} is not done: running it verifies it"),
        );
    }
    if is_settled(plan, backfill, facts) {
        findings.already_done(
            backfill,
            format!("what {backfill} was filled from has been dropped; there is nothing to compare it with"),
        );
        return Decision::Refused(findings.into_judgement());
    }
    if tainted(plan, backfill, facts).is_empty() {
        findings.already_done(
            backfill,
            format!("{backfill} is valid: nothing that ran since it began left out what it copies"),
        );
        return Decision::Refused(findings.into_judgement());
    }
    findings.nothing_diverged();
    findings.needs_are_done(shape);
    let above = code_above(plan, backfill);
    findings.everyone_contains(&above);
    findings.arriving_contain(&above);
    findings.backfills_above_are_clean(shape);
    findings.source_is_current(shape);
    findings.decide(shape, Direction::Forward, overrides)
}

/// Whether a code phase is satisfied: every service that it concerns is known for certain, and every running version
/// contains it. Nobody running is never everybody.
pub fn satisfaction(plan: &PlanShape, code: &PhaseId, facts: &Facts) -> Judgement {
    let mut findings = Findings::new(plan, facts);
    match plan.phase(code) {
        Some(shape) if shape.kind == PhaseKind::Code => findings.everyone_contains(&[shape]),
        _ => findings.against(
            ReasonCode::NotApplicable,
            Verdict::Blocked,
            Some(code),
            format!("{} has no code phase {code}", plan.id()),
            Vec::new(),
            None,
        ),
    }
    findings.into_judgement()
}

pub(super) fn code_above<'p>(plan: &'p PlanShape, phase: &PhaseId) -> Vec<&'p PhaseShape> {
    plan.above(phase)
        .filter(|above| above.kind == PhaseKind::Code)
        .collect()
}

impl Findings<'_> {
    pub(super) fn no_such_phase(mut self, phase: &PhaseId) -> Decision {
        let fix = format!("shipctl graph {}", self.plan.id());
        self.against(
            ReasonCode::NotApplicable,
            Verdict::Blocked,
            Some(phase),
            format!("{} has no phase `{phase}`", self.plan.id()),
            Vec::new(),
            Some(fix),
        );
        Decision::Refused(self.into_judgement())
    }

    pub(super) fn not_applicable(mut self, phase: &PhaseId, message: String) -> Decision {
        self.against(
            ReasonCode::NotApplicable,
            Verdict::Blocked,
            Some(phase),
            message,
            Vec::new(),
            None,
        );
        Decision::Refused(self.into_judgement())
    }

    pub(super) fn already_done(&mut self, phase: &PhaseId, message: String) {
        self.against(
            ReasonCode::AlreadyDone,
            Verdict::Go,
            Some(phase),
            message,
            Vec::new(),
            None,
        );
    }

    /// Objects where a phase that has begun reads otherwise now, or is gone from the plan.
    pub(super) fn nothing_diverged(&mut self) {
        for (id, message) in divergences(self.plan, self.facts) {
            let fix = format!(
                "restore the text that ran (shipctl log {} shows it), and put the change into a phase of its own",
                self.plan.id()
            );
            self.against(
                ReasonCode::Diverged,
                Verdict::Blocked,
                Some(&id),
                message,
                Vec::new(),
                Some(fix),
            );
        }
    }

    /// Objects where a schema or manual phase above is not done.
    pub(super) fn needs_are_done(&mut self, shape: &PhaseShape) {
        let (done, missing): (Vec<&PhaseShape>, Vec<&PhaseShape>) = self
            .plan
            .above(&shape.id)
            .filter(|above| above.kind != PhaseKind::Code)
            .partition(|above| self.progress(&above.id).is_done());
        for above in done {
            self.supports(format!("{} is {}", above.id, describe(self.progress(&above.id))));
        }
        if let Some(first) = missing.first() {
            let shown = missing
                .iter()
                .map(|above| format!("{}: {}", above.id, describe(self.progress(&above.id))))
                .collect();
            let fix = self.run_command();
            self.against(
                ReasonCode::NeedsPhase,
                Verdict::Blocked,
                Some(&first.id),
                format!(
                    "{} needs {}, which {} not done",
                    shape.id,
                    ids(&missing),
                    is_or_are(missing.len())
                ),
                shown,
                Some(fix),
            );
        }
    }

    /// Objects to filling from a column that a version seen since no longer wrote: stale values would overwrite good
    /// ones.
    fn source_is_current(&mut self, backfill: &PhaseShape) {
        let codes: Vec<&PhaseShape> = self
            .plan
            .below(&backfill.id)
            .filter(|phase| phase.kind == PhaseKind::Code && phase.abandons)
            .collect();
        for code in codes {
            self.nothing_abandoned(
                code,
                &format!(
                    "{} cannot be filled: what it copies from is stale since",
                    backfill.id
                ),
            );
        }
    }

    /// Objects if a version that abandons a column was seen since its data was last restored.
    pub(super) fn nothing_abandoned(&mut self, code: &PhaseShape, consequence: &str) {
        let found = abandoned(self.plan, code, self.facts);
        let fix = code.needs.first().map(|need| {
            format!(
                "{} restores the data once nothing that runs contains {}",
                self.rollback_command(need),
                code.id
            )
        });
        if !found.known.is_empty() {
            let versions: Vec<String> = found.known.keys().map(name).collect();
            let shown = found
                .known
                .iter()
                .map(|(version, at)| format!("{} was seen at {}", name(version), moment(*at)))
                .collect();
            self.against(
                ReasonCode::DataFloor,
                Verdict::Blocked,
                Some(&code.id),
                format!("{consequence} {} ran, with {}", list(&versions), code.id),
                shown,
                fix,
            );
        } else if let Some((version, (at, doubt))) = found.possible.into_iter().next() {
            self.against(
                ReasonCode::DataFloor,
                Verdict::Unknown,
                Some(&code.id),
                format!(
                    "whether {}, seen at {}, contained {} is not known, so its data may be stale",
                    name(&version),
                    moment(at),
                    code.id
                ),
                vec![doubt.why],
                doubt.fix.or(fix),
            );
        }
    }

    /// Asks for approvals that are missing. Only approvals of the phase and its gate as they read now count, one for each
    /// person.
    fn is_approved(&mut self, shape: &PhaseShape) {
        let at_least = match shape.kind {
            PhaseKind::Manual => 1,
            PhaseKind::Contract if self.facts.protected => 1,
            _ => 0,
        };
        let demanded = usize::try_from(shape.gate.approvals.max(at_least)).unwrap_or(usize::MAX);
        if demanded == 0 {
            return;
        }
        let given = self
            .facts
            .plans
            .get(self.plan.id())
            .and_then(|state| state.phases.get(&shape.id))
            .map(|state| state.approvals.as_slice())
            .unwrap_or_default();
        let digest = shape.approval_digest();
        let valid = || given.iter().filter(|approval| approval.digest == digest);
        let actors: BTreeSet<&str> = valid().map(|approval| approval.actor.as_str()).collect();
        for approval in valid() {
            self.supports(format!(
                "{} was approved by {} at {}: {}",
                shape.id,
                approval.actor,
                moment(approval.at),
                approval.reason
            ));
        }
        if actors.len() >= demanded {
            return;
        }
        let outdated: BTreeSet<&str> = given
            .iter()
            .filter(|approval| approval.digest != digest)
            .map(|approval| approval.actor.as_str())
            .filter(|actor| !actors.contains(actor))
            .collect();
        let mut shown: Vec<String> = actors
            .iter()
            .map(|actor| format!("approved by {actor}"))
            .collect();
        shown.extend(
            outdated
                .iter()
                .map(|actor| format!("{actor} approved before it was edited, which does not count")),
        );
        let fix = format!(
            "shipctl approve {} {} --env {} --reason \"…\"",
            self.plan.id(),
            shape.id,
            self.facts.environment
        );
        self.against(
            ReasonCode::NeedsApproval,
            Verdict::Waiting,
            Some(&shape.id),
            format!(
                "{} needs {demanded} approval{}, and has {}",
                shape.id,
                if demanded == 1 { "" } else { "s" },
                actors.len()
            ),
            shown,
            Some(fix),
        );
    }
}

/// Phases of a plan that have begun and read otherwise now, or that the plan no longer has, each in a sentence.
pub(super) fn divergences(plan: &PlanShape, facts: &Facts) -> Vec<(PhaseId, String)> {
    let Some(state) = facts.plans.get(plan.id()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (id, recorded) in &state.phases {
        if !recorded.progress.may_have_effect() {
            continue;
        }
        let Some(shape) = plan.phase(id) else {
            found.push((
                id.clone(),
                format!(
                    "{id} is {} here, but {} no longer has it",
                    describe(&recorded.progress),
                    plan.id()
                ),
            ));
            continue;
        };
        let Some(ran) = &recorded.digest else { continue };
        // A script that failed at its first statement left nothing behind, and may be corrected.
        let nothing_ran = matches!(recorded.progress, Progress::Failed { .. })
            && recorded.steps == 0
            && matches!(shape.kind, PhaseKind::Expand | PhaseKind::Contract);
        if *ran != shape.digest && !nothing_ran {
            found.push((
                id.clone(),
                format!(
                    "{id} was edited after it ran: it was {}, and is {} now",
                    ran.short(),
                    shape.digest.short()
                ),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests;
