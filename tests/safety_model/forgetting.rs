//! Knowing less, doubting more and running more never opens what was closed.

use std::collections::BTreeSet;

use shipctl::safety::{
    Doubt, Facts, PhaseKind, PlanShape, Sighting, Verdict, Version, can_deploy, combine, judge, may_restore,
    may_revert, may_verify,
};

use crate::driver::World;

/// A question to the rules.
#[derive(Debug)]
enum Question {
    Run(usize, shipctl::domain::PhaseId),
    Undo(usize, shipctl::domain::PhaseId),
    Restore(usize, shipctl::domain::PhaseId),
    Verify(usize, shipctl::domain::PhaseId),
    Deploy(Version),
}

impl Question {
    fn ask(&self, plans: &[PlanShape], facts: &Facts) -> Verdict {
        let none = BTreeSet::new();
        match self {
            Self::Run(plan, phase) => judge(&plans[*plan], phase, facts, &none).verdict(),
            Self::Undo(plan, phase) => may_revert(&plans[*plan], phase, facts, &none).verdict(),
            Self::Restore(plan, phase) => may_restore(&plans[*plan], phase, facts, &none).verdict(),
            Self::Verify(plan, phase) => may_verify(&plans[*plan], phase, facts, &none).verdict(),
            Self::Deploy(version) => can_deploy(version, plans, facts).verdict(),
        }
    }
}

/// Asks everything, makes the facts worse in every way there is, and asks again.
pub fn never_opens(world: &mut World) {
    let candidates = world.candidates();
    let facts = world.facts(&candidates);
    let mut questions: Vec<Question> = candidates.iter().cloned().map(Question::Deploy).collect();
    for (index, plan) in world.plans.iter().enumerate() {
        for phase in plan.phases() {
            questions.push(match phase.kind {
                PhaseKind::Code => Question::Restore(index, phase.id.clone()),
                _ => Question::Run(index, phase.id.clone()),
            });
            if phase.kind != PhaseKind::Code {
                questions.push(Question::Undo(index, phase.id.clone()));
            }
            if phase.kind == PhaseKind::Backfill {
                questions.push(Question::Verify(index, phase.id.clone()));
            }
        }
    }
    let closed: Vec<(&Question, Verdict)> = questions
        .iter()
        .map(|question| (question, question.ask(&world.plans, &facts)))
        .filter(|(_, verdict)| *verdict != Verdict::Go)
        .collect();
    let still_closed = |worse: &Facts, how: &str| {
        for (question, before) in &closed {
            let after = question.ask(&world.plans, worse);
            assert!(
                after != Verdict::Go,
                "{how} opens {question:?}, which was {before:?}\n{}",
                world.story()
            );
        }
    };

    let reports = world.reports();
    for forgotten in 0..reports.len() {
        let mut left = reports.clone();
        let gone = left.remove(forgotten);
        let mut worse = facts.clone();
        worse.fleet = combine(&World::requirements(), &left, facts.now);
        still_closed(&worse, &format!("forgetting {} of {}", gone.source, gone.service));
    }

    let known: BTreeSet<Version> = facts
        .fleet
        .versions()
        .into_iter()
        .chain(facts.history.sightings.iter().map(Sighting::version))
        .chain(candidates.iter().cloned())
        .collect();
    for version in &known {
        for plan in &world.plans {
            for phase in plan.phases().filter(|phase| phase.kind == PhaseKind::Code) {
                let mut worse = facts.clone();
                worse.containments.remove(version, plan.id(), &phase.id);
                still_closed(
                    &worse,
                    &format!("forgetting whether {version:?} contains {}", phase.id),
                );
            }
        }
    }

    for service in facts.fleet.services.keys() {
        let mut worse = facts.clone();
        worse
            .fleet
            .services
            .get_mut(service)
            .unwrap()
            .doubts
            .push(Doubt::new("who knows"));
        still_closed(&worse, &format!("doubting {service}"));
    }

    for version in &candidates {
        let mut worse = facts.clone();
        let census = worse.fleet.services.get_mut(&version.service).unwrap();
        let mut sighting = census.sightings[0].clone();
        sighting.commit = version.commit.clone();
        census.sightings.push(sighting);
        still_closed(&worse, &format!("running {version:?} as well"));
    }

    // Nobody is not everybody: with nothing seen, whatever depends on code is closed.
    for census in [true, false] {
        let mut empty = facts.clone();
        if census {
            for census in empty.fleet.services.values_mut() {
                census.sightings.clear();
            }
        } else {
            empty.fleet = Default::default();
        }
        still_closed(&empty, "seeing nobody");
        for plan in &world.plans {
            for phase in plan.phases().filter(|phase| phase.kind != PhaseKind::Code) {
                let code_above = plan.above(&phase.id).any(|above| above.kind == PhaseKind::Code);
                let decision = judge(plan, &phase.id, &empty, &BTreeSet::new());
                let cleared = matches!(decision, shipctl::safety::Decision::Cleared(_));
                assert!(!(code_above && cleared), "nobody cleared {}", phase.id);
            }
        }
    }

    // A phase whose end was forgotten is not done, and what needs it stays closed.
    for (index, plan) in world.plans.iter().enumerate() {
        let state = &facts.plans[plan.id()];
        for done in plan.phases().filter(|phase| state.progress(&phase.id).is_done()) {
            let mut worse = facts.clone();
            worse.plans.get_mut(plan.id()).unwrap().phases.remove(&done.id);
            for (question, before) in &closed {
                let Question::Run(of, phase) = question else {
                    continue;
                };
                if *of == index && *phase == done.id {
                    continue;
                }
                assert!(
                    question.ask(&world.plans, &worse) != Verdict::Go,
                    "forgetting that {} is done opens {phase}, which was {before:?}\n{}",
                    done.id,
                    world.story()
                );
            }
        }
    }
}
