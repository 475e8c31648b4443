//! Columns of one table that triggers keep in step.

use super::*;

/// A rename in which triggers keep the columns; `sets` are those that their function assigns.
fn kept_by_triggers(sets: &[&str]) -> Subject {
    use PhaseKind::{Backfill, Code, Contract, Expand};
    let make = vec![
        add("t.new"),
        Change::Function {
            name: name("f"),
            sets: sets.iter().map(|one| name(one)).collect(),
            names: sets.iter().map(|one| name(one)).collect(),
            updates: Vec::new(),
            replaces: false,
        },
        Change::AddTrigger {
            table: "t".parse().unwrap(),
            name: name("sync"),
            function: name("f"),
            fires: Firing {
                before_row: true,
                on_insert: true,
                on_update: true,
                ..Firing::default()
            },
        },
    ];
    let remove = |column: &str| {
        vec![
            Change::DropTrigger {
                table: "t".parse().unwrap(),
                name: name("sync"),
            },
            drop(column),
        ]
    };
    let mut copy = fill("t.new", &["old"]);
    copy.by_trigger = true;
    subject(
        "rename",
        vec![
            line("add", Expand, &[], migration(make, remove("t.new"))),
            line("backfill", Backfill, &["add"], Work::Backfill(copy)),
            line(
                "constrain",
                Expand,
                &["backfill"],
                migration(vec![not_null("t.new", true)], vec![not_null("t.new", false)]),
            ),
            line("switch", Code, &["constrain"], code("t.new", "t.new")),
            line(
                "relax",
                Contract,
                &["switch"],
                migration(vec![not_null("t.old", false)], vec![not_null("t.old", true)]),
            ),
            line(
                "drop",
                Contract,
                &["relax"],
                Work::Migration {
                    up: vec![remove("t.old")],
                    down: None,
                    restore: None,
                },
            ),
        ],
    )
}

#[test]
fn a_trigger_is_believed_as_far_as_its_function_goes() {
    assert_eq!(proved(&kept_by_triggers(&["old", "new"])).outcome, Outcome::Safe);
    assert_eq!(proved(&kept_by_triggers(&[])).outcome, Outcome::Safe);
    // Nothing carries what the new code writes over to the column that old code reads and that is NOT NULL.
    let (steps, harm) = wrong(&kept_by_triggers(&["new"]));
    assert_eq!(
        steps,
        "run add → run backfill → run constrain → begin to deploy switch beside the code before the plan"
    );
    assert_eq!(harm.kind, HarmKind::LeavesNull);
    assert_eq!(harm.column, Some(column("t.old")));
}

/// Two columns that one backfill fills, each kept by a trigger of its own; that of the second fires where `of` is written.
fn two_in_one_backfill(of: &str) -> Subject {
    use PhaseKind::{Backfill, Code, Expand};
    let pairs = [("t.new", "old", "f"), ("t.next", "number", "g")];
    let (mut make, mut remove) = (Vec::new(), Vec::new());
    for (new, old, function) in pairs {
        let fires = if function == "g" { of } else { old };
        make.push(add(new));
        make.push(Change::Function {
            name: name(function),
            sets: vec![column(new).column],
            names: vec![column(new).column, name(old)],
            updates: Vec::new(),
            replaces: false,
        });
        make.push(Change::AddTrigger {
            table: "t".parse().unwrap(),
            name: name(&format!("sync_{function}")),
            function: name(function),
            fires: Firing {
                before_row: true,
                on_insert: true,
                on_update: true,
                of: vec![name(fires)],
                ..Firing::default()
            },
        });
        remove.push(Change::DropTrigger {
            table: "t".parse().unwrap(),
            name: name(&format!("sync_{function}")),
        });
        remove.push(drop(new));
    }
    let copies = Fill {
        columns: pairs
            .iter()
            .map(|(new, old, _)| (column(new).column, vec![name(old)]))
            .collect(),
        by_trigger: true,
        ..fill("t.new", &["old"])
    };
    subject(
        "both",
        vec![
            line("add", Expand, &[], migration(make, remove)),
            line("backfill", Backfill, &["add"], Work::Backfill(copies)),
            line(
                "switch",
                Code,
                &["backfill"],
                code("t.new t.next", "t.old t.number"),
            ),
        ],
    )
}

#[test]
fn each_part_of_a_backfill_is_kept_by_triggers_of_its_own() {
    assert_eq!(proved(&two_in_one_backfill("number")).outcome, Outcome::Safe);
    let (_, harm) = wrong(&two_in_one_backfill("old"));
    assert_eq!(harm.column, Some(column("t.next")));
}
