//! Columns of two tables that triggers keep in step.

use super::*;

/// What is left out of a move, or wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// This trigger is not made.
    Without(&'static str),
    /// All functions hand on another column.
    HandsOnAnother,
    /// What hands on is called before the row is written.
    Early,
    /// The triggers wait for a fill.
    OnlyFills,
    /// The switch does not wait for the backfill.
    SwitchesEarly,
    /// The drop does not wait for the switch.
    DropsEarly,
    /// The triggers of the target outlive the column.
    Outlived,
    /// Nobody says that triggers keep it.
    Unsaid,
}

fn trigger(
    table: &str,
    called: &'static str,
    before_row: bool,
    events: (bool, bool),
    wrong: Wrong,
) -> Vec<Change> {
    if wrong == Wrong::Without(called) {
        return Vec::new();
    }
    let own = if table == "s" { "c" } else { "d" };
    let is_early = wrong == Wrong::Early;
    vec![Change::AddTrigger {
        table: table.parse().unwrap(),
        name: name(called),
        function: name(&format!("of_{table}")),
        fires: Firing {
            before_row: before_row || is_early,
            after_row: !before_row && !is_early,
            on_insert: events.0,
            on_update: events.1,
            of: if events.1 { vec![name(own)] } else { Vec::new() },
            when: (wrong == Wrong::OnlyFills).then(Vec::new),
        },
    }]
}

/// A column `s.c` that becomes `t.d`, by triggers of both tables; rows of `t` come after those of `s`.
fn moved(wrong: Wrong) -> Subject {
    use PhaseKind::{Backfill, Code, Contract, Expand};
    let function = |table: &str, sets: &[&str], other: &str, own: &str| Change::Function {
        name: name(&format!("of_{table}")),
        sets: sets.iter().map(|one| name(one)).collect(),
        names: vec![name(own)],
        updates: vec![(
            column(other),
            name(if wrong == Wrong::HandsOnAnother {
                "other"
            } else {
                own
            }),
        )],
        replaces: false,
    };
    let make = [
        vec![
            add("t.d"),
            function("s", &[], "t.d", "c"),
            function("t", &["d"], "s.c", "d"),
        ],
        trigger("t", "takes", true, (true, false), wrong),
        trigger("t", "hands_on_insert", false, (true, false), wrong),
        trigger("t", "hands_on_update", false, (false, true), wrong),
        trigger("s", "hands_on", false, (false, true), wrong),
        vec![not_null("s.c", false)],
    ]
    .concat();
    let all = [
        ("t", "takes"),
        ("t", "hands_on_insert"),
        ("t", "hands_on_update"),
        ("s", "hands_on"),
    ];
    let remove = |column: &str| {
        let gone = all
            .into_iter()
            .filter(|(table, _)| wrong != Wrong::Outlived || *table == "s")
            .map(|(table, called)| Change::DropTrigger {
                table: table.parse().unwrap(),
                name: name(called),
            });
        gone.chain([drop(column)]).collect::<Vec<Change>>()
    };
    let mut copy = fill("t.d", &["k"]);
    copy.looked_up = vec![name("d")];
    copy.paired = vec![(name("d"), column("s.c"))];
    copy.by_trigger = wrong != Wrong::Unsaid;
    let mut subject = subject(
        "move",
        vec![
            line("add", Expand, &[], migration(make, remove("t.d"))),
            line("backfill", Backfill, &["add"], Work::Backfill(copy)),
            line(
                "switch",
                Code,
                &[if wrong == Wrong::SwitchesEarly {
                    "add"
                } else {
                    "backfill"
                }],
                code("t.d", "t.d"),
            ),
            line(
                "drop",
                Contract,
                &[if wrong == Wrong::DropsEarly {
                    "backfill"
                } else {
                    "switch"
                }],
                Work::Migration {
                    up: vec![remove("s.c")],
                    down: None,
                    restore: None,
                },
            ),
        ],
    );
    subject.renames = vec![(column("s.c"), column("t.d"))];
    subject
}

#[test]
fn a_pair_is_kept_where_both_tables_have_all_that_it_takes() {
    assert_eq!(proved(&moved(Wrong::Nothing)).outcome, Outcome::Safe);
    for wrong in [
        Wrong::Without("takes"),
        Wrong::Without("hands_on_insert"),
        Wrong::Without("hands_on_update"),
        Wrong::Without("hands_on"),
        Wrong::HandsOnAnother,
        Wrong::Early,
        Wrong::OnlyFills,
        Wrong::SwitchesEarly,
        Wrong::DropsEarly,
        Wrong::Outlived,
        Wrong::Unsaid,
    ] {
        let proof = proved(&moved(wrong));
        assert_eq!(proof.outcome, Outcome::Unsafe, "{wrong:?}: {proof:?}");
    }
}
