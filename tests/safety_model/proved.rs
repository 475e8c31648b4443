//! The proof against the model: right plans are safe, and what the proof calls safe, the model cannot break.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use shipctl::domain::{ColumnName, PhaseId, PlanId, SqlIdentifier, TableName};
use shipctl::safety::proof::{
    Change, Counterexample, Fill, HarmKind, NewColumn, Outcome, Proof, StepKind, Subject, Work, prove,
};
use shipctl::safety::{PhaseKind, PhaseShape, PlanShape};

use crate::driver::{Deed, Step, World};
use crate::operation::{Kind, Layout, Operation, SERVICES};

/// The same operations, with nothing between those of one plan, and every code phase behind the one before it.
fn untied(layout: &Layout) -> Layout {
    Layout {
        operations: layout.operations.clone(),
        ties: Vec::new(),
    }
}

/// The plans with the needs that hold the code phases of an operation in their order, whatever else is taken away.
fn ordered(layout: &Layout) -> Vec<Vec<PhaseShape>> {
    layout
        .plans()
        .iter()
        .map(|plan| {
            let mut last: BTreeMap<char, PhaseId> = BTreeMap::new();
            plan.phases()
                .cloned()
                .map(|mut phase| {
                    if phase.kind == PhaseKind::Code {
                        let prefix = phase.id.as_str().chars().next().unwrap();
                        phase.needs.extend(last.insert(prefix, phase.id.clone()));
                    }
                    phase
                })
                .collect()
        })
        .collect()
}

/// Takes away a need that does not hold two code phases together; which one, `number` says.
fn without_a_need(plans: &mut [Vec<PhaseShape>], number: u8) {
    let mut needs: Vec<(usize, usize, PhaseId)> = Vec::new();
    for (plan, phases) in plans.iter().enumerate() {
        for (place, phase) in phases.iter().enumerate() {
            for need in &phase.needs {
                let above = phases.iter().find(|other| other.id == *need).unwrap();
                if phase.kind != PhaseKind::Code || above.kind != PhaseKind::Code {
                    needs.push((plan, place, need.clone()));
                }
            }
        }
    }
    if let Some((plan, place, need)) = needs.get(usize::from(number) % needs.len().max(1)) {
        plans[*plan][*place].needs.remove(need);
    }
}

fn shapes(layout: &Layout, plans: Vec<Vec<PhaseShape>>) -> Vec<PlanShape> {
    layout
        .plans()
        .iter()
        .zip(plans)
        .map(|(plan, phases)| PlanShape::new(plan.id().clone(), phases).unwrap())
        .collect()
}

fn table(operation: &Operation) -> TableName {
    format!("table_{}", operation.prefix).parse().unwrap()
}

fn column(operation: &Operation, name: &str) -> ColumnName {
    ColumnName {
        table: table(operation),
        column: name.parse().unwrap(),
    }
}

fn fill(operation: &Operation, target: &str, sources: &[&str]) -> Fill {
    let name = |name: &str| -> SqlIdentifier { name.parse().unwrap() };
    Fill {
        table: table(operation),
        columns: vec![(name(target), sources.iter().map(|source| name(source)).collect())],
        looked_up: Vec::new(),
        paired: Vec::new(),
        by_trigger: false,
    }
}

/// What a phase does to the operation's table, as the proof is told.
fn work(operation: &Operation, plan: &PlanShape, phase: &PhaseShape) -> Work {
    let name = phase.id.as_str().split_once('-').unwrap().1;
    let add = |name: &str| Change::AddColumn {
        table: table(operation),
        column: NewColumn {
            name: name.parse().unwrap(),
            not_null: false,
            filled: false,
            generated: false,
        },
        lenient: false,
    };
    let drop = |name: &str| Change::DropColumn {
        column: column(operation, name),
        lenient: false,
        cascade: false,
    };
    let not_null = |name: &str, on| Change::NotNull {
        column: column(operation, name),
        on,
    };
    let migration = |up, down, restore| Work::Migration {
        up: vec![vec![up]],
        down: Some(vec![vec![down]]),
        restore,
    };
    let is_rename = matches!(operation.kind, Kind::Rename { .. });
    let back = is_rename.then(|| fill(operation, "old", &["new"]));
    if phase.kind == PhaseKind::Code {
        let mut set: BTreeSet<PhaseId> = plan
            .above(&phase.id)
            .filter(|above| above.kind == PhaseKind::Code)
            .map(|above| above.id.clone())
            .collect();
        set.insert(phase.id.clone());
        return Work::Code {
            reads: operation
                .reads(&set)
                .into_iter()
                .map(|name| column(operation, name))
                .collect(),
            writes: operation
                .writes(&set)
                .into_iter()
                .map(|name| column(operation, name))
                .collect(),
            restore: back.filter(|_| phase.abandons),
        };
    }
    match name {
        "add" => migration(add("new"), drop("new"), None),
        "backfill" => Work::Backfill(fill(operation, "new", if is_rename { &["old"] } else { &[] })),
        "constrain" => migration(not_null("new", true), not_null("new", false), None),
        "relax" => migration(not_null("old", false), not_null("old", true), None),
        "drop" => migration(drop("old"), add("old"), back),
        other => panic!("{other} does nothing"),
    }
}

fn proofs(layout: &Layout, plans: &[PlanShape]) -> Vec<Proof> {
    let subjects: Vec<Subject> = plans
        .iter()
        .map(|plan| Subject {
            shape: plan.clone(),
            work: plan
                .phases()
                .map(|phase| {
                    let operation = layout
                        .operations
                        .iter()
                        .find(|operation| phase.id.as_str().starts_with(operation.prefix))
                        .unwrap();
                    (phase.id.clone(), work(operation, plan, phase))
                })
                .collect(),
            renames: Vec::new(),
        })
        .collect();
    let services = SERVICES.iter().map(|service| service.parse().unwrap()).collect();
    prove(&subjects, &services)
}

/// Right plans are safe.
pub fn right_plans_are_safe(layout: &Layout) {
    let layout = untied(layout);
    let plans = layout.plans();
    for proof in proofs(&layout, &plans) {
        assert_ne!(proof.outcome, Outcome::Unsafe, "{proof:#?}\n{plans:#?}");
    }
}

/// The plans of a layout with some needs taken away.
fn loosened(layout: &Layout, taken: &[u8]) -> Vec<PlanShape> {
    let mut plans = ordered(layout);
    for number in taken {
        without_a_need(&mut plans, *number);
    }
    shapes(layout, plans)
}

/// Whether the proof calls a layout unsafe once one of its needs is taken away, for each of so many needs.
pub fn unsafe_without(layout: &Layout, needs: u8) -> Vec<bool> {
    (0..needs)
        .map(|number| {
            proofs(layout, &loosened(layout, &[number]))
                .iter()
                .any(|proof| proof.outcome == Outcome::Unsafe)
        })
        .collect()
}

/// Takes needs away. Where the proof then tells how something fails, it fails like that.
pub fn what_is_told_happens(layout: &Layout, taken: &[u8]) {
    let layout = untied(layout);
    let plans = loosened(&layout, taken);
    for proof in proofs(&layout, &plans) {
        let Some(found) = proof.counterexample.filter(|_| proof.outcome == Outcome::Unsafe) else {
            continue;
        };
        // A lost copy shows only to those who look for it, and the model fills columns that are not there.
        if matches!(found.harm.kind, HarmKind::LosesData | HarmKind::CannotRun) {
            continue;
        }
        let mut world = World::new(&layout);
        world.plans = plans.clone();
        match catch_unwind(AssertUnwindSafe(|| happens(&mut world, &plans, &found))) {
            Ok(Happened::Failed) => {}
            Ok(Happened::Refused(deed)) => {
                panic!("the rules refuse {deed:?}: {}\n{}", found.line(), world.story())
            }
            Ok(Happened::Nothing) => {
                panic!(
                    "nothing fails: {}: {:#?}\n{}",
                    found.line(),
                    found.harm,
                    world.story()
                )
            }
            // Where the phase itself runs into what the code left behind, it comes to the same.
            Err(cause) => is_a_failed_phase(cause),
        }
    }
}

enum Happened {
    Failed,
    Nothing,
    Refused(Deed),
}

/// Does what a counterexample says, and looks whether anything fails.
fn happens(world: &mut World, plans: &[PlanShape], found: &Counterexample) -> Happened {
    for step in &found.steps {
        let place = |id: &PlanId| plans.iter().position(|plan| plan.id() == id).unwrap();
        let mut deeds: Vec<(usize, Deed)> = Vec::new();
        if let Some((plan, phase)) = &step.phase {
            let deed = match step.kind {
                StepKind::Run => Deed::Run(phase.clone()),
                StepKind::Undo => Deed::Undo(phase.clone()),
                StepKind::Verify => Deed::Verify(phase.clone()),
                StepKind::Restore => Deed::Restore(phase.clone()),
                other => panic!("{other:?} is about no phase"),
            };
            deeds.push((place(plan), deed));
        }
        if let Some(version) = &step.version {
            for (service, name) in SERVICES.iter().enumerate() {
                let is_meant = version
                    .service
                    .as_ref()
                    .is_none_or(|service| service.as_str() == *name);
                if !is_meant || !world.is_concerned(service) {
                    continue;
                }
                let name = name.parse().unwrap();
                let mut code: BTreeSet<PhaseId> = BTreeSet::new();
                for (plan, phase) in &version.phases {
                    let plan = &plans[place(plan)];
                    code.insert(phase.clone());
                    code.extend(
                        plan.above(phase)
                            .filter(|above| above.kind == PhaseKind::Code && above.services.include(&name))
                            .map(|above| above.id.clone()),
                    );
                }
                let all = matches!(step.kind, StepKind::Deploy | StepKind::FinishDeploy);
                assert!(
                    all || step.kind == StepKind::BeginDeploy,
                    "{:?} was not expected",
                    step.kind
                );
                deeds.push((0, Deed::Deploy { service, code, all }));
            }
        }
        for (plan, deed) in deeds {
            if !world.perform(plan, &deed) {
                return Happened::Refused(deed);
            }
            if world.traffic().is_err() {
                return Happened::Failed;
            }
        }
    }
    Happened::Nothing
}

/// Takes needs away, and drives what is left. Where the proof calls it safe, nothing may fail.
pub fn what_is_called_safe_cannot_be_broken(layout: &Layout, taken: &[u8], ahead: usize, steps: &[Step]) {
    let layout = untied(layout);
    let plans = loosened(&layout, taken);
    let proofs = proofs(&layout, &plans);
    if proofs.iter().any(|proof| proof.outcome == Outcome::Unsafe) {
        return;
    }
    let mut world = World::new(&layout);
    world.plans = plans;
    // A phase that fails, such as NOT NULL before the backfill, harms nobody; the model takes it for an end.
    let driven = catch_unwind(AssertUnwindSafe(|| {
        world.advance(ahead);
        for step in steps {
            // Neither intruders nor phases that end badly: the proof is about what the gates permit.
            if matches!(step.what % 20, 14 | 18 | 19) {
                continue;
            }
            world.take(*step);
            if let Err(failure) = world.traffic() {
                return Some(failure);
            }
        }
        None
    }));
    match driven {
        Ok(None) => {}
        Ok(Some(failure)) => panic!("called safe, but {failure}\n{}\n{proofs:#?}", world.story()),
        Err(cause) => is_a_failed_phase(cause),
    }
}

/// Lets a panic go on, unless it says that a phase failed that was cleared.
fn is_a_failed_phase(cause: Box<dyn Any + Send>) {
    let said = cause.downcast_ref::<String>().cloned().unwrap_or_default();
    if !said.contains("was cleared, but fails") {
        resume_unwind(cause);
    }
}
