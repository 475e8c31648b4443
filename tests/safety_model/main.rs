//! The safety rules against an independent model of what code does to tables.
//!
//! The model knows nothing of gates: it has tables with columns and rows, versions that insert, update and read, and
//! phases with their effects. Random plans are driven by random deployments, runs, failures, undoings and intruders;
//! only the rules decide what is let through. After every step everything that runs is put to work, and nothing may fail
//! or read anything but what was last written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod driver;
mod fleet;
mod forgetting;
mod operation;
mod proved;
mod table;
mod work;

use driver::{Step, World};
use operation::{Layout, layouts};
use proptest::prelude::*;
use shipctl::safety::Verdict;

fn config(cases: u32) -> ProptestConfig {
    // PROPTEST_CASES asks for more; `default()` has read it.
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: if asked.cases == 256 { cases } else { asked.cases },
        failure_persistence: None,
        max_shrink_iters: 300,
        ..asked
    }
}

fn steps(length: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(
        any::<(u8, u8, u8)>().prop_map(|(what, which, how)| Step { what, which, how }),
        length,
    )
}

proptest! {
    #![proptest_config(config(160))]

    #[test]
    fn nothing_that_runs_ever_meets_a_schema_or_data_it_cannot_work_with(
        layout in layouts(),
        ahead in 0usize..24,
        steps in steps(90),
    ) {
        let mut world = World::new(&layout);
        world.advance(ahead);
        for step in &steps {
            world.take(*step);
            if let Err(failure) = world.traffic() {
                panic!("{failure}\n{}", world.story());
            }
        }
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn every_plan_can_be_carried_through_and_undone_again(layout in layouts()) {
        let mut world = World::new(&layout);
        let ended = world.advance(usize::MAX);
        prop_assert!(ended, "the gates never open:\n{}", world.story());
        if layout.can_be_undone() {
            let undone = world.retreat();
            prop_assert!(undone, "there is no way back:\n{}", world.story());
        }
        if let Err(failure) = world.traffic() {
            panic!("{failure}\n{}", world.story());
        }
    }

    #[test]
    fn forgetting_doubting_and_adding_never_open_a_gate(
        layout in layouts(),
        ahead in 0usize..24,
        steps in steps(30),
    ) {
        let mut world = World::new(&layout);
        world.advance(ahead);
        for step in &steps {
            world.take(*step);
        }
        forgetting::never_opens(&mut world);
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn the_proof_calls_right_plans_safe(layout in layouts()) {
        proved::right_plans_are_safe(&layout);
    }

    #[test]
    fn what_the_proof_tells_happens(
        layout in layouts(),
        taken in prop::collection::vec(any::<u8>(), 1..=2),
    ) {
        proved::what_is_told_happens(&layout, &taken);
    }

    #[test]
    fn what_the_proof_calls_safe_cannot_be_broken(
        layout in layouts(),
        taken in prop::collection::vec(any::<u8>(), 1..=2),
        ahead in 0usize..24,
        steps in steps(60),
    ) {
        proved::what_is_called_safe_cannot_be_broken(&layout, &taken, ahead, &steps);
    }
}

/// Each need but one is there for a reason: the old column may be freed at any time.
#[test]
fn a_rename_lacks_safety_without_any_of_its_needs_but_that_of_relax() {
    let without = proved::unsafe_without(&Layout::rename_of_not_null(), 7);
    assert_eq!(without, [true, true, true, true, false, true, true]);
}

/// What the design measured on PostgreSQL: which code works on which stage of the rename.
#[test]
fn the_model_agrees_with_the_measured_table_of_the_rename() {
    let layout = Layout::rename_of_not_null();
    let table = [
        ("base", "", [true, false, false, false]),
        ("new column, nullable", "add", [true, true, true, false]),
        (
            "new column not null",
            "add backfill constrain",
            [false, true, true, false],
        ),
        (
            "old column relaxed",
            "add backfill constrain relax",
            [false, true, true, true],
        ),
        (
            "old column dropped",
            "add backfill constrain relax drop",
            [false, false, false, true],
        ),
    ];
    for (stage, phases, expected) in table {
        for (level, works) in expected.into_iter().enumerate() {
            let mut world = World::new(&layout);
            for phase in phases.split_whitespace() {
                world.force(&format!("a-{phase}"));
            }
            let code = ["a-dual-write", "a-switch-read", "a-stop-write"];
            // The second column reads what is not backfilled yet; that it runs is what was measured.
            let fill = stage == "new column, nullable";
            assert_eq!(world.would_work(&code[..level], fill), works, "{stage}, c{level}");
        }
    }
}

#[test]
fn an_empty_world_asks_for_nothing_but_the_first_phase() {
    let world = World::new(&Layout::rename_of_not_null());
    let facts = world.facts(&[]);
    assert_eq!(world.judge(&facts, "a-add").verdict(), Verdict::Go);
    assert_eq!(world.judge(&facts, "a-backfill").verdict(), Verdict::Blocked);
}

/// Schedules of a fleet of hundreds; `FLEET_SCHEDULES=10000` (best with `--release`) goes through as many.
#[test]
fn no_schedule_of_a_large_fleet_lets_an_unsafe_phase_run_or_keeps_a_gate_shut_for_good() {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = asked("FLEET_FIRST").unwrap_or(0);
    let tally = fleet::go_through(first, asked("FLEET_SCHEDULES").unwrap_or(12));
    println!("{tally:?}");
    assert!(tally.deployments > 0 && tally.rollbacks > 0 && tally.phases > 0 && tally.undone > 0);
    assert!(tally.refused > tally.phases && tally.blind > 0);
}
