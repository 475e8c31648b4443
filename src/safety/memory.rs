//! How far back the sightings of earlier looks matter to a plan, so that years of versions need not be examined for nothing.

use jiff::Timestamp;

use super::{PhaseKind, PhaseShape, PlanShape, PlanState};

/// The earliest moment since which a sighting may matter to a plan; `None` where no rule asks for any. The beginning of
/// time by Unix clocks stands for all.
///
/// A plan of which all is done, so that only code is left to be deployed, is not over: as long as nothing took away what a
/// backfill was filled from, or what code stopped writing, an old version that ran still decides what may be deployed or undone.
pub fn asked_since(plan: &PlanShape, state: Option<&PlanState>) -> Option<Timestamp> {
    let to_be_done = plan
        .phases()
        .filter(|phase| phase.kind != PhaseKind::Code)
        .any(|phase| !state.is_some_and(|state| state.progress(&phase.id).is_done()));
    if !to_be_done && plan.phases().all(|phase| is_forgotten(plan, phase)) {
        return None;
    }
    // Code that abandons a column and needs no schema for that does so whenever it runs.
    let at_any_time = plan
        .phases()
        .any(|phase| phase.abandons && !plan.above(&phase.id).any(|above| above.kind.is_schema()));
    if at_any_time {
        return Some(Timestamp::UNIX_EPOCH);
    }
    state?
        .phases
        .values()
        .flat_map(|phase| [phase.effect_since, phase.satisfied_since])
        .flatten()
        .min()
}

/// Whether it does not matter to a phase of a plan, all of which is done, what ran before.
fn is_forgotten(plan: &PlanShape, phase: &PhaseShape) -> bool {
    let remembers = phase.kind == PhaseKind::Backfill || phase.abandons;
    let took_away = |code: &PhaseShape| {
        code.abandons
            && plan
                .below(&code.id)
                .any(|below| below.kind == PhaseKind::Contract)
    };
    !remembers || took_away(phase) || plan.below(&phase.id).any(took_away)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::safety::samples::{CODE, at, facts, rename, shape, sighting, state, version};
    use crate::safety::{
        Decision, Facts, Judgement, ReasonCode, Verdict, can_deploy, judge, may_restore, may_revert,
        may_verify, satisfaction,
    };

    /// The rename as far as one of its phases; without its schema; and with a soak.
    fn plans() -> Vec<PlanShape> {
        let whole: Vec<PhaseShape> = rename().phases().cloned().collect();
        let of = |phases: Vec<PhaseShape>| PlanShape::new("rename".parse().unwrap(), phases).unwrap();
        let mut plans: Vec<PlanShape> = (1..=whole.len()).map(|many| of(whole[..many].to_vec())).collect();
        plans.push(of(vec![
            shape("dual-write", PhaseKind::Code, &[]),
            shape("stop-write", PhaseKind::Code, &["dual-write"]),
            shape("drop", PhaseKind::Contract, &["stop-write"]),
        ]));
        let mut soaking = whole;
        for phase in &mut soaking {
            phase.gate.soak = Some(SignedDuration::from_secs(60));
        }
        plans.push(of(soaking));
        plans
    }

    /// Whatever is asked of a plan: whether it may be done, the verdict, and the reasons.
    type Answer = (bool, Verdict, BTreeSet<ReasonCode>);

    fn answers(plan: &PlanShape, facts: &Facts) -> Vec<Answer> {
        let none = BTreeSet::new();
        let told = |may: bool, judgement: &Judgement| -> Answer {
            let codes = judgement.reasons.iter().map(|reason| reason.code);
            (may, judgement.verdict(), codes.collect())
        };
        let mut answers = Vec::new();
        let mut tell =
            |judgement: &Judgement| answers.push(told(judgement.verdict() == Verdict::Go, judgement));
        for phase in plan.phases() {
            tell(&satisfaction(plan, &phase.id, facts));
        }
        for level in 0..=CODE.len() {
            tell(&can_deploy(
                &version("web", level),
                std::slice::from_ref(plan),
                facts,
            ));
        }
        for phase in plan.phases() {
            for decide in [judge, may_revert, may_restore, may_verify] {
                let decision = decide(plan, &phase.id, facts, &none);
                answers.push(told(
                    !matches!(decision, Decision::Refused(_)),
                    decision.judgement(),
                ));
            }
        }
        answers
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// What is seen before the moment changes no answer. Where nothing is asked for any more, it changes what is said, but
        /// not what may be done.
        #[test]
        fn what_is_not_asked_for_decides_nothing(
            which in any::<prop::sample::Index>(),
            done in 0_usize..9,
            running in proptest::collection::vec(0_usize..4, 1..3),
            seen in proptest::collection::vec((0_usize..4, 1_i64..1000), 1..4),
            satisfied in proptest::option::of(90_i64..1000),
            restored in proptest::option::of(1_i64..1000),
        ) {
            let plans = plans();
            let plan = which.get(&plans);
            let schema: Vec<String> = plan
                .phases()
                .filter(|phase| phase.kind != PhaseKind::Code)
                .take(done)
                .map(|phase| phase.id.to_string())
                .collect();
            let schema: Vec<&str> = schema.iter().map(String::as_str).collect();
            let running: Vec<(&str, usize)> = running.into_iter().map(|level| ("web", level)).collect();
            let mut facts = facts(&running, &schema);
            for code in plan.phases().filter(|phase| phase.kind == PhaseKind::Code) {
                state(&mut facts, code.id.as_str()).satisfied_since = satisfied.map(at);
                state(&mut facts, code.id.as_str()).restored_at =
                    restored.filter(|_| code.abandons).map(at);
            }
            facts.history.sightings = seen
                .into_iter()
                .map(|(level, second)| sighting("web", level, at(second)))
                .collect();
            let since = asked_since(plan, facts.plans.get(plan.id()));
            let answers = |facts: &Facts| {
                let mut answers = answers(plan, facts);
                if since.is_none() {
                    answers.iter_mut().for_each(|(_, verdict, codes)| {
                        *verdict = Verdict::Go;
                        codes.clear();
                    });
                }
                answers
            };
            let all = answers(&facts);
            facts
                .history
                .sightings
                .retain(|sighting| since.is_some_and(|since| sighting.observed_at >= since));
            prop_assert_eq!(all, answers(&facts));
        }
    }
}
