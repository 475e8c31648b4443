//! Rule 3: may a phase be undone, and may data that code abandoned be restored, now?

use std::collections::BTreeSet;

use super::findings::{Findings, describe, ids, is_or_are};
use super::floor::abandoned;
use super::judge::code_above;
use super::{Decision, Direction, Facts, PhaseKind, PhaseShape, PlanShape, Progress, ReasonCode, Verdict};
use crate::domain::PhaseId;

/// Rule 3: may this schema (or manual) phase be undone now? One that is half done may be, under the same conditions.
///
/// A phase that is not in effect is refused with the sole reason [`ReasonCode::AlreadyDone`], whose verdict is
/// [`Verdict::Go`].
pub fn may_revert(
    plan: &PlanShape,
    phase: &PhaseId,
    facts: &Facts,
    overrides: &BTreeSet<ReasonCode>,
) -> Decision {
    let mut findings = Findings::new(plan, facts);
    let Some(shape) = plan.phase(phase) else {
        return findings.no_such_phase(phase);
    };
    if shape.kind == PhaseKind::Code {
        return findings.not_applicable(
            phase,
            format!("{phase} is a code phase: it is undone by deploying an older version"),
        );
    }
    if matches!(findings.progress(phase), Progress::Pending) {
        findings.already_done(
            phase,
            format!("{phase} is not in effect; there is nothing to undo"),
        );
        return Decision::Refused(findings.into_judgement());
    }
    findings.nothing_diverged();
    findings.nothing_below_in_effect(shape);
    let below = code_below(plan, phase);
    findings.nobody_contains(&below);
    findings.arriving_lack(&below);
    // Older readers come back once this is undone, so what newer code abandoned must have been restored.
    for code in below {
        if code.abandons {
            findings.nothing_abandoned(code, &format!("{phase} cannot be undone: data is stale since"));
        }
    }
    findings.decide(shape, Direction::Reverse, overrides)
}

/// May the data that a code phase abandoned be restored now (so that older readers may come back)?
///
/// It is copied back from what the code phases above the phase write, so every running version must contain those, none
/// may contain the phase itself or one below it, and nothing that builds on it may be in effect. Where no version with
/// the phase was seen since the last time, the answer is [`ReasonCode::AlreadyDone`] with the verdict
/// [`Verdict::Go`].
pub fn may_restore(
    plan: &PlanShape,
    phase: &PhaseId,
    facts: &Facts,
    overrides: &BTreeSet<ReasonCode>,
) -> Decision {
    let mut findings = Findings::new(plan, facts);
    let Some(shape) = plan.phase(phase) else {
        return findings.no_such_phase(phase);
    };
    if shape.kind != PhaseKind::Code || !shape.abandons {
        return findings.not_applicable(
            phase,
            format!("{phase} abandons no data: there is nothing to restore"),
        );
    }
    if abandoned(plan, shape, facts).is_empty() {
        findings.already_done(
            phase,
            format!("no version with {phase} ran since its data was last complete"),
        );
        return Decision::Refused(findings.into_judgement());
    }
    findings.nothing_diverged();
    findings.needs_are_done(shape);
    findings.backfills_above_are_clean(shape);
    findings.nothing_below_in_effect(shape);
    let mut newer = vec![shape];
    newer.extend(code_below(plan, phase));
    findings.nobody_contains(&newer);
    findings.arriving_lack(&newer);
    let above = code_above(plan, phase);
    findings.everyone_contains(&above);
    findings.arriving_contain(&above);
    findings.decide(shape, Direction::Reverse, overrides)
}

fn code_below<'p>(plan: &'p PlanShape, phase: &PhaseId) -> Vec<&'p PhaseShape> {
    plan.below(phase)
        .filter(|below| below.kind == PhaseKind::Code)
        .collect()
}

impl Findings<'_> {
    /// Objects where a schema or manual phase below is in effect, wholly or in part.
    fn nothing_below_in_effect(&mut self, shape: &PhaseShape) {
        let (in_effect, pending): (Vec<&PhaseShape>, Vec<&PhaseShape>) = self
            .plan
            .below(&shape.id)
            .filter(|below| below.kind != PhaseKind::Code)
            .partition(|below| self.progress(&below.id).may_have_effect());
        if !pending.is_empty() {
            self.supports(format!(
                "{} {} not in effect",
                ids(&pending),
                is_or_are(pending.len())
            ));
        }
        let Some(last) = in_effect.last() else { return };
        let shown = in_effect
            .iter()
            .map(|below| format!("{}: {}", below.id, describe(self.progress(&below.id))))
            .collect();
        let fix = format!(
            "undo what builds on it first: {}",
            self.rollback_command(&shape.id)
        );
        self.against(
            ReasonCode::LaterPhaseInEffect,
            Verdict::Blocked,
            Some(&last.id),
            format!(
                "{} {} on {} and {} in effect",
                ids(&in_effect),
                if in_effect.len() == 1 { "builds" } else { "build" },
                shape.id,
                is_or_are(in_effect.len())
            ),
            shown,
            Some(fix),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::samples::{at, codes, facts, id, rename, sighting, state};

    fn asked(phase: &str, facts: &Facts) -> Decision {
        may_revert(&rename(), &id(phase), facts, &BTreeSet::new())
    }

    fn restore(facts: &Facts) -> Decision {
        may_restore(&rename(), &id("stop-write"), facts, &BTreeSet::new())
    }

    const ALL: [&str; 5] = ["add", "backfill", "constrain", "relax", "drop"];

    #[test]
    fn phases_are_undone_from_the_end_once_no_code_needs_them() {
        let facts_now = facts(&[("web", 3)], &ALL);
        assert_eq!(asked("drop", &facts_now).verdict(), Verdict::Go);
        assert_eq!(
            codes(&asked("relax", &facts_now)),
            [
                ReasonCode::LaterPhaseInEffect,
                ReasonCode::NewVersionRunning,
                ReasonCode::DataFloor
            ]
        );
        assert_eq!(
            asked("relax", &facts(&[("web", 2)], &ALL[..4])).verdict(),
            Verdict::Go
        );
        assert_eq!(asked("relax", &facts(&[], &ALL[..4])).verdict(), Verdict::Unknown);
        assert_eq!(
            codes(&asked("drop", &facts(&[("web", 2)], &ALL[..4]))),
            [ReasonCode::AlreadyDone]
        );
    }

    #[test]
    fn old_readers_come_back_only_to_restored_data() {
        let mut facts = facts(&[("web", 2)], &ALL[..4]);
        assert_eq!(codes(&restore(&facts)), [ReasonCode::AlreadyDone]);
        facts.history.sightings.push(sighting("web", 3, at(500)));
        assert_eq!(codes(&asked("relax", &facts)), [ReasonCode::DataFloor]);
        assert_eq!(restore(&facts).verdict(), Verdict::Go);
        state(&mut facts, "stop-write").restored_at = Some(at(900));
        assert_eq!(asked("relax", &facts).verdict(), Verdict::Go);
    }

    #[test]
    fn nothing_is_restored_while_somebody_writes_only_one_side() {
        assert_eq!(
            codes(&restore(&facts(&[("web", 3)], &ALL[..4]))),
            [ReasonCode::NewVersionRunning]
        );
        let mut mixed = facts(&[("web", 1)], &ALL[..4]);
        mixed.history.sightings.push(sighting("web", 3, at(500)));
        assert_eq!(codes(&restore(&mixed)), [ReasonCode::OldVersionRunning]);
        let mut dropped = facts(&[("web", 2)], &ALL);
        dropped.history.sightings.push(sighting("web", 3, at(500)));
        assert_eq!(codes(&restore(&dropped)), [ReasonCode::LaterPhaseInEffect]);
    }
}
