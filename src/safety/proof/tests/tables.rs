//! Tables, columns and constraints that come and go.

use super::*;

#[test]
fn a_drop_of_the_only_copy_loses_data() {
    use PhaseKind::{Code, Contract, Expand};
    let subject = subject(
        "move",
        vec![
            line(
                "add",
                Expand,
                &[],
                migration(vec![add("t.new")], vec![drop("t.new")]),
            ),
            line("write-both", Code, &["add"], code("", "t.old t.new")),
            line("write-new", Code, &["write-both"], code("", "t.new")),
            line(
                "fill",
                PhaseKind::Backfill,
                &["write-both"],
                Work::Backfill(fill("t.new", &["old"])),
            ),
            line(
                "drop",
                Contract,
                &["write-both", "write-new"],
                migration(vec![drop("t.old")], vec![]),
            ),
        ],
    );
    let (_, harm) = wrong(&subject);
    assert!(
        matches!(harm.kind, HarmKind::LosesData | HarmKind::LeavesNull),
        "{harm:?}"
    );
}

#[test]
fn a_table_that_comes_back_demands_what_it_did_and_a_new_one_what_its_code_must_know() {
    use PhaseKind::{Code, Contract, Expand};
    let table = || Change::NewTable {
        table: "t".parse().unwrap(),
        columns: vec![NewColumn {
            name: name("computed"),
            not_null: false,
            filled: true,
            generated: true,
        }],
        lenient: false,
    };
    let gone = || Change::DropTable {
        table: "t".parse().unwrap(),
        lenient: false,
        cascade: false,
    };
    let dropped = subject(
        "drop",
        vec![
            line("ignore", Code, &[], code("", "")),
            line(
                "drop",
                Contract,
                &["ignore"],
                migration(vec![gone()], vec![table()]),
            ),
        ],
    );
    assert_eq!(proved(&dropped).outcome, Outcome::Safe);
    let made = subject(
        "make",
        vec![
            line("make", Expand, &[], migration(vec![table()], vec![gone()])),
            line("use", Code, &["make"], code("", "t.computed")),
        ],
    );
    assert_eq!(wrong(&made).1.kind, HarmKind::WritesGenerated);
}

#[test]
fn a_constraint_needs_code_that_obeys_it() {
    use PhaseKind::{Code, Expand};
    let check = || {
        let constraint = Change::AddConstraint {
            table: "users".parse().unwrap(),
            name: Some(name("plausible")),
            kind: ConstraintKind::Check,
            columns: vec![name("email")],
            validated: true,
        };
        migration(
            vec![constraint],
            vec![Change::DropConstraint {
                table: Some("users".parse().unwrap()),
                name: name("plausible"),
            }],
        )
    };
    let plan = |check_needs: &[&str], code_needs: &[&str]| {
        let mut lines = vec![
            line("validate", Code, code_needs, code("users.email", "users.email")),
            line("check", Expand, check_needs, check()),
        ];
        if check_needs.is_empty() {
            lines.reverse();
        }
        subject("check", lines)
    };
    assert_eq!(proved(&plan(&["validate"], &[])).outcome, Outcome::Safe);
    let (steps, harm) = wrong(&plan(&[], &["check"]));
    assert_eq!((steps.as_str(), harm.kind), ("run check", HarmKind::MayViolate));
    // Where no code of the plan knows of it, it may be obeyed already.
    let alone = proved(&subject("check", vec![line("check", Expand, &[], check())]));
    assert_eq!(alone.outcome, Outcome::NotProved);
}
