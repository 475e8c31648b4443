//! The proof finds what is wrong with plans, and lets right ones pass.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::*;
use crate::domain::{ColumnName, Digest, SqlIdentifier};
use crate::safety::{Gate, PhaseKind, PhaseShape, PlanShape, Services};

mod pairs;
mod tables;
mod triggers;

/// A phase in the making: its name, what it needs, and what it does.
struct Line {
    name: String,
    kind: PhaseKind,
    needs: Vec<String>,
    services: Services,
    work: Work,
}

fn line(name: &str, kind: PhaseKind, needs: &[&str], work: Work) -> Line {
    Line {
        name: name.to_owned(),
        kind,
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        services: Services::All,
        work,
    }
}

fn column(text: &str) -> ColumnName {
    text.parse().unwrap()
}

fn name(text: &str) -> SqlIdentifier {
    text.parse().unwrap()
}

fn columns(text: &str) -> Vec<ColumnName> {
    text.split_whitespace().map(column).collect()
}

fn code(reads: &str, writes: &str) -> Work {
    Work::Code {
        reads: columns(reads),
        writes: columns(writes),
        restore: None,
    }
}

fn fill(target: &str, sources: &[&str]) -> Fill {
    let target = column(target);
    Fill {
        table: target.table,
        columns: vec![(target.column, sources.iter().map(|source| name(source)).collect())],
        looked_up: Vec::new(),
        paired: Vec::new(),
        by_trigger: false,
    }
}

fn migration(up: Vec<Change>, down: Vec<Change>) -> Work {
    Work::Migration {
        up: vec![up],
        down: Some(vec![down]),
        restore: None,
    }
}

fn add(text: &str) -> Change {
    let column = column(text);
    Change::AddColumn {
        table: column.table,
        column: NewColumn {
            name: column.column,
            not_null: false,
            filled: false,
            generated: false,
        },
        lenient: false,
    }
}

fn drop(text: &str) -> Change {
    Change::DropColumn {
        column: column(text),
        lenient: false,
        cascade: false,
    }
}

fn not_null(text: &str, on: bool) -> Change {
    Change::NotNull {
        column: column(text),
        on,
    }
}

fn subject(id: &str, lines: Vec<Line>) -> Subject {
    let writes = |line: &Line| match &line.work {
        Work::Code { writes, .. } => writes.clone(),
        _ => Vec::new(),
    };
    let mut above: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in &lines {
        let mut all: BTreeSet<&str> = line.needs.iter().map(String::as_str).collect();
        for need in &line.needs {
            all.extend(above.get(need.as_str()).into_iter().flatten());
        }
        above.insert(&line.name, all);
    }
    let shapes = lines
        .iter()
        .map(|line| {
            let own = writes(line);
            let abandons = line.kind == PhaseKind::Code
                && lines
                    .iter()
                    .filter(|other| above[line.name.as_str()].contains(other.name.as_str()))
                    .flat_map(writes)
                    .any(|column| !own.contains(&column));
            PhaseShape {
                id: line.name.parse().unwrap(),
                kind: line.kind,
                needs: line.needs.iter().map(|need| need.parse().unwrap()).collect(),
                services: line.services.clone(),
                abandons,
                gate: Gate {
                    approvals: 2,
                    soak: Some(jiff::SignedDuration::from_hours(24)),
                },
                digest: Digest::of(&line.name),
            }
        })
        .collect();
    Subject {
        shape: PlanShape::new(id.parse().unwrap(), shapes).unwrap(),
        work: lines
            .into_iter()
            .map(|line| (line.name.parse().unwrap(), line.work))
            .collect(),
        renames: Vec::new(),
    }
}

/// The phases of the rename of a NOT NULL column, with a prefix, in a line behind `after`.
fn rename(prefix: &str, old: &str, new: &str, after: &[&str]) -> Vec<Line> {
    use PhaseKind::{Backfill, Code, Contract, Expand};
    let id = |phase: &str| format!("{prefix}{phase}");
    let both = format!("{old} {new}");
    let mut lines = vec![
        line("add", Expand, after, migration(vec![add(new)], vec![drop(new)])),
        line("dual-write", Code, &[&id("add")], code(old, &both)),
        line(
            "backfill",
            Backfill,
            &[&id("dual-write")],
            Work::Backfill(fill(new, &[column(old).column.as_str()])),
        ),
        line(
            "constrain",
            Expand,
            &[&id("backfill")],
            migration(vec![not_null(new, true)], vec![not_null(new, false)]),
        ),
        line("switch-read", Code, &[&id("constrain")], code(new, &both)),
        line(
            "relax",
            Contract,
            &[&id("switch-read")],
            migration(vec![not_null(old, false)], vec![not_null(old, true)]),
        ),
        line("stop-write", Code, &[&id("relax")], code(new, new)),
        line(
            "drop",
            Contract,
            &[&id("stop-write")],
            Work::Migration {
                up: vec![vec![drop(old)]],
                down: Some(vec![vec![add(old)]]),
                restore: Some(fill(old, &[column(new).column.as_str()])),
            },
        ),
    ];
    for line in &mut lines {
        line.name = id(&line.name);
        if let (Work::Code { restore, .. }, true) = (&mut line.work, line.name.ends_with("stop-write")) {
            *restore = Some(fill(old, &[column(new).column.as_str()]));
        }
    }
    lines
}

fn proved(subject: &Subject) -> Proof {
    prove(std::slice::from_ref(subject), &BTreeSet::new()).remove(0)
}

/// The steps and the harm of a plan that is not safe.
fn wrong(subject: &Subject) -> (String, Harm) {
    let proof = proved(subject);
    assert_eq!(proof.outcome, Outcome::Unsafe, "{proof:?}");
    let found = proof.counterexample.unwrap();
    (found.line(), found.harm)
}

#[test]
fn every_phase_and_version_of_a_right_plan_is_reached_and_safe() {
    let subject = subject("rename", rename("", "users.name", "users.display_name", &[]));
    assert_eq!(proved(&subject).outcome, Outcome::Safe);
    let model = compile::compile(&[&subject], &BTreeSet::new(), Assumptions::Stated)
        .ok()
        .unwrap();
    let searched = search::search(&model, MOST_STATES, &mut Vec::new()).unwrap();
    let code: u64 = 1 << 1 | 1 << 4 | 1 << 6;
    assert_eq!(searched.reached_phases, [0xff & !code]);
    assert_eq!(searched.reached_versions.len(), 4);
    assert!(
        searched.undone_phases[0] & !code == 0xff & !code,
        "each phase is undone again"
    );
    assert!(searched.restored, "abandoned data is restored");
    // What is left out by the order of the phases is refused by the rules anyway.
    let asked = search::search_by(&model, MOST_STATES, &mut Vec::new(), false).unwrap();
    assert_eq!(asked.states, searched.states);
}

#[test]
fn twenty_phases_are_searched_in_a_moment() {
    let mut lines = rename("a-", "users.name", "users.display_name", &[]);
    // Its code keeps on writing what the first rename came to.
    let mut more = rename("b-", "users.mail", "users.email", &["a-drop"]);
    for line in &mut more {
        if let Work::Code { reads, writes, .. } = &mut line.work {
            reads.push(column("users.display_name"));
            writes.push(column("users.display_name"));
        }
    }
    lines.extend(more);
    for number in 0..4 {
        let name = format!("note-{number}");
        lines.push(line(
            &name,
            PhaseKind::Manual,
            &[if number == 0 { "b-drop" } else { "note-0" }],
            Work::Manual,
        ));
    }
    let subject = subject("two-renames", lines);
    assert_eq!(subject.shape.phases().count(), 20);
    let started = Instant::now();
    let proof = proved(&subject);
    eprintln!("20 phases: {} states in {:?}", proof.states, started.elapsed());
    assert_eq!(proof.outcome, Outcome::Safe, "{proof:?}");
}

#[test]
fn what_is_not_known_of_the_old_column_is_a_doubt_and_no_verdict() {
    use PhaseKind::{Code, Contract};
    let retire = |frees: bool| {
        let mut lines = vec![
            line("stop-reading", Code, &[], code("", "accounts.legacy")),
            line("stop-using", Code, &["stop-reading"], code("", "accounts.plan")),
            line(
                "drop",
                Contract,
                &["stop-using"],
                migration(vec![drop("accounts.legacy")], vec![add("accounts.legacy")]),
            ),
        ];
        if frees {
            let free = migration(vec![not_null("accounts.legacy", false)], vec![]);
            lines.insert(1, line("free", PhaseKind::Expand, &["stop-reading"], free));
            lines[2].needs = vec!["free".to_owned()];
        }
        subject("retire", lines)
    };
    let proof = proved(&retire(false));
    assert_eq!(proof.outcome, Outcome::NotProved);
    let found = proof.counterexample.unwrap();
    assert_eq!(found.harm.kind, HarmKind::LeavesNull);
    assert!(
        found
            .harm
            .assumed
            .unwrap()
            .contains("accounts.legacy was NOT NULL")
    );
    assert_eq!(proved(&retire(true)).outcome, Outcome::Safe);
}

#[test]
fn a_service_that_only_reads_need_not_write_both() {
    let only = |services: &[&str]| Services::Only(services.iter().map(|one| one.parse().unwrap()).collect());
    let plan = |readers: &[&str]| {
        let mut lines = rename("", "users.name", "users.display_name", &[]);
        for line in &mut lines {
            line.services = match line.name.as_str() {
                "dual-write" | "stop-write" => only(&["web"]),
                "switch-read" => only(readers),
                _ => Services::All,
            };
        }
        subject("rename", lines)
    };
    assert_eq!(proved(&plan(&["web", "worker"])).outcome, Outcome::Safe);
}

#[test]
fn what_a_plan_lets_code_write_nobody_wrote_before() {
    use PhaseKind::{Code, Expand};
    let set = |on| {
        vec![Change::Generated {
            column: column("t.id"),
            on,
        }]
    };
    let plan = |needs: &[&str]| {
        subject(
            "give",
            vec![
                line("relax", Expand, &[], migration(set(false), set(true))),
                line("write", Code, needs, code("t.id", "t.id")),
            ],
        )
    };
    assert_eq!(proved(&plan(&["relax"])).outcome, Outcome::Safe);
    let (steps, harm) = wrong(&plan(&[]));
    assert_eq!(harm.kind, HarmKind::WritesGenerated, "{steps}");
}

#[test]
fn more_versions_than_can_be_looked_at_are_told() {
    let lines = (0..10)
        .map(|number| {
            line(
                &format!("code-{number}"),
                PhaseKind::Code,
                &[],
                code("t.a", "t.a"),
            )
        })
        .collect();
    let proof = proved(&subject("wide", lines));
    assert_eq!(proof.outcome, Outcome::NotProved);
    assert!(
        proof.bounded[0].contains("in more than 32 ways"),
        "{:?}",
        proof.bounded
    );
}

#[test]
fn two_plans_are_searched_together_where_they_share_a_table() {
    let first = subject("first", rename("", "users.name", "users.display_name", &[]));
    let apart = subject("apart", rename("", "users.mail", "users.email", &[]));
    let elsewhere = subject("elsewhere", rename("", "posts.name", "posts.title", &[]));
    let second = subject("second", rename("", "users.name", "users.label", &[]));
    let outcomes = |subjects: &[Subject]| -> Vec<(usize, Outcome)> {
        prove(subjects, &BTreeSet::new())
            .iter()
            .map(|proof| (proof.plans.len(), proof.outcome))
            .collect()
    };
    assert_eq!(
        outcomes(&[first.clone(), apart, elsewhere]),
        [
            (1, Outcome::Safe),
            (1, Outcome::Safe),
            (1, Outcome::Safe),
            (2, Outcome::Safe)
        ]
    );
    let both = [first, second];
    assert_eq!(
        outcomes(&both),
        [(1, Outcome::Safe), (1, Outcome::Safe), (2, Outcome::Unsafe)]
    );
    let met: Vec<String> = collisions(&both)
        .iter()
        .map(|met| met.column.to_string())
        .collect();
    assert_eq!(met, ["users.name"]);
}

#[test]
fn more_than_can_be_counted_is_told_and_overflows_nothing() {
    use PhaseKind::{Code, Expand};
    let why = |subject: &Subject, services: &[String]| {
        let services = services.iter().map(|one| one.parse().unwrap()).collect();
        let proof = prove(std::slice::from_ref(subject), &services).remove(0);
        assert_eq!(proof.outcome, Outcome::NotProved, "{proof:?}");
        proof.bounded.join("; ")
    };
    // The columns that only the function of a trigger names.
    let names: Vec<SqlIdentifier> = (0..200).map(|number| name(&format!("c{number}"))).collect();
    let trigger = migration(
        vec![
            Change::Function {
                name: name("f"),
                sets: vec![],
                names,
                updates: Vec::new(),
                replaces: false,
            },
            Change::AddTrigger {
                table: "t".parse().unwrap(),
                name: name("x"),
                function: name("f"),
                fires: Firing::default(),
            },
        ],
        vec![],
    );
    let wide = subject("wide", vec![line("add", Expand, &[], trigger)]);
    assert_eq!(why(&wide, &[]), "more than 128 columns are mentioned");
    // Services that code phases tell apart: each by the digits of its number.
    let services: Vec<String> = (0..128).map(|number| format!("s{number}")).collect();
    let lines = (0..7)
        .map(|digit| {
            let concerned = (0..128)
                .filter(|number| number >> digit & 1 == 1)
                .map(|number| format!("s{number}").parse().unwrap())
                .collect();
            let mut line = line(&format!("code-{digit}"), Code, &[], code("t.a", "t.a"));
            line.services = Services::Only(concerned);
            line
        })
        .collect();
    let told = why(&subject("services", lines), &services);
    assert_eq!(told, "code phases tell more than 64 services apart");
    // Constraints.
    let constraint = |number: usize| Change::AddConstraint {
        table: "t".parse().unwrap(),
        name: Some(name(&format!("k{number}"))),
        kind: ConstraintKind::Check,
        columns: vec![name("a")],
        validated: true,
    };
    let many = migration((0..80).map(constraint).collect(), vec![]);
    let many = subject("many", vec![line("add", Expand, &[], many)]);
    assert_eq!(
        why(&many, &[]),
        "more than 64 constraints, triggers and views are made"
    );
}

#[test]
fn a_renamed_column_stays_as_wrong_as_it_was() {
    use PhaseKind::{Backfill, Code, Contract, Expand};
    let moved = migration(
        vec![Change::RenameColumn {
            from: column("t.draft"),
            to: name("new"),
        }],
        vec![],
    );
    let lines = |fill_needs: &str| {
        vec![
            line(
                "add",
                Expand,
                &[],
                migration(vec![add("t.draft")], vec![drop("t.draft")]),
            ),
            line("both", Code, &["add"], code("t.old", "t.old t.draft")),
            line(
                "fill",
                Backfill,
                &[fill_needs],
                Work::Backfill(fill("t.draft", &["old"])),
            ),
            line("only-old", Code, &["fill", "both"], code("t.old", "t.old")),
            line("name", Contract, &["only-old"], moved.clone()),
            line("read", Code, &["name"], code("t.old t.new", "t.old t.new")),
        ]
    };
    // What is not written for a while is stale by any name.
    let (_, harm) = wrong(&subject("move", lines("both")));
    assert_eq!(harm.kind, HarmKind::ReadsInvalid, "{harm:?}");
    assert_eq!(harm.column, Some(column("t.new")));
}
