//! Plan files: what is read, and how mistakes in them look.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::{Claim, ContentPattern, ContentProbe, PhaseDetail, Plan, parse};
use crate::domain::{PhaseId, Problem};

const SAMPLE: &str = include_str!("../../plans/rename-users-name.toml");

fn samples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/migrations")
}

fn read(text: &str) -> Result<Plan, Problem> {
    parse(Path::new("plans/x.toml"), text, &samples())
}

fn codes(text: &str) -> Vec<&'static str> {
    let problem = read(text).unwrap_err();
    match problem.related() {
        [] => vec![problem.code()],
        related => related.iter().map(Problem::code).collect(),
    }
}

fn id(text: &str) -> PhaseId {
    text.parse().unwrap()
}

/// A problem as a person without colours sees it; folders that differ from machine to machine are left out.
fn shown(problem: &Problem) -> String {
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    let mut text = String::new();
    handler.render_report(&mut text, problem).unwrap();
    text.replace(&samples().display().to_string(), "[migrations]")
}

#[test]
fn the_sample_plan_is_read_whole() {
    let plan = read(SAMPLE).unwrap();
    assert_eq!(plan.id().as_str(), "rename-users-name");
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
    let order: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
    assert_eq!(
        order,
        [
            "add",
            "dual-write",
            "backfill",
            "constrain",
            "switch-read",
            "relax",
            "stop-write",
            "drop"
        ]
    );
    let drop = plan.phase(&id("drop")).unwrap();
    assert_eq!(drop.gate.approvals, 1);
    let PhaseDetail::Contract(contract) = &drop.detail else {
        panic!("drop is a contract phase")
    };
    assert_eq!(contract.migration.name, "20261122_101503_drop_users_name");
    assert_eq!(
        contract.restore.as_ref().unwrap().set[0].expression,
        "display_name"
    );
}

#[test]
fn only_the_code_phase_that_stops_writing_abandons() {
    let plan = read(SAMPLE).unwrap();
    let abandoning: Vec<&str> = plan
        .shape()
        .phases()
        .filter(|phase| phase.abandons)
        .map(|phase| phase.id.as_str())
        .collect();
    assert_eq!(abandoning, ["stop-write"]);
    // One code phase above that says nothing makes it unknown what is abandoned, unless the phase says so itself.
    let silent = |text: &str| text.replacen("writes = [\"users.name\", \"users.display_name\"]\n", "", 1);
    let abandons = |text: &str| read(text).unwrap().shape().phases().any(|phase| phase.abandons);
    assert!(!abandons(&silent(&without_restore(SAMPLE))));
    assert!(abandons(&silent(SAMPLE)));
}

/// The sample, whose code phase no longer says what is restored after it.
fn without_restore(text: &str) -> String {
    let phase = text.find("id = \"stop-write\"").unwrap();
    let restore = phase + text[phase..].find("restore").unwrap();
    let line = text[..restore].rfind('\n').unwrap() + 1;
    let end = text[restore..]
        .find("\n\n")
        .map_or(text.len(), |end| restore + end);
    format!("{}{}", &text[..line], &text[end..])
}

#[test]
fn a_code_phase_that_something_is_restored_after_abandons_whatever_it_writes() {
    let both = SAMPLE.replacen(
        "writes = [\"users.display_name\"]",
        "writes = [\"users.name\", \"users.display_name\"]",
        1,
    );
    assert_ne!(both, SAMPLE);
    let abandons = |text: &str| {
        let plan = read(text).unwrap();
        plan.shape().phases().filter(|phase| phase.abandons).count()
    };
    assert_eq!(abandons(&both), 1);
    assert_eq!(abandons(&without_restore(&both)), 0);
}

#[test]
fn a_phase_digest_covers_what_matters_once_it_has_run() {
    let digest = |text: &str, phase: &str| {
        read(text)
            .unwrap()
            .shape()
            .phase(&id(phase))
            .unwrap()
            .digest
            .clone()
    };
    let changed = |from: &str, to: &str, phase: &str| {
        assert!(SAMPLE.contains(from), "{from}");
        digest(SAMPLE, phase) != digest(&SAMPLE.replace(from, to), phase)
    };
    assert!(changed(
        "{ display_name = \"name\" }",
        "{ display_name = \"upper(name)\" }",
        "backfill"
    ));
    assert!(changed(
        "needs = [\"dual-write\"]",
        "needs = [\"add\"]",
        "backfill"
    ));
    assert!(changed(
        "name = \"display_name\" }, verify",
        "name = \"'x'\" }, verify",
        "drop"
    ));
    assert!(!changed("Drop users.name", "Away with users.name", "drop"));
    assert!(!changed("approvals = 1, soak = \"24h\"", "approvals = 2", "drop"));
    assert!(!changed(
        "reads = [\"users.name\"]",
        "commit = \"abc\"",
        "dual-write"
    ));
}

#[test]
fn many_mistakes_are_shown_at_once() {
    let text = r#"id = "rename"
titel = "Rename users.name"

[[phase]]
id = "add"
kind = "expand"
migration = "20261122_101500_add_users_displayname"

[[phase]]
id = "dual-write"
kind = "code"
need = ["add"]
writes = ["users.name.x.y"]
migration = "20261122_101502_relax_users_name"

[[phase]]
id = "backfill"
kind = "backfil"
needs = ["dual-wirte"]

[[phase]]
id = "fill"
kind = "backfill"
table = "users"
set = { display_name = "name) + (1" }
verify = "display_name = name; DROP TABLE users"

[[phase]]
id = "drop"
kind = "contract"
migration = "20261122_101503_drop_users_name"
gate = { soak = "a day" }

[[phase]]
id = "drop"
kind = "manual"
instructions = "wait"
"#;
    insta::assert_snapshot!(shown(&read(text).unwrap_err()));
}

#[test]
fn a_cycle_is_named_phase_by_phase() {
    let text = r#"
id = "x"
[[phase]]
id = "a"
kind = "manual"
instructions = "…"
needs = ["c", "start"]
[[phase]]
id = "start"
kind = "code"
[[phase]]
id = "b"
kind = "code"
needs = ["a"]
[[phase]]
id = "c"
kind = "code"
needs = ["b"]
"#;
    insta::assert_snapshot!(shown(&read(text).unwrap_err()));
}

#[test]
fn graph_mistakes_have_their_own_codes() {
    let phase = |id: &str, rest: &str| format!("[[phase]]\nid = \"{id}\"\nkind = \"code\"\n{rest}\n");
    let plan = |phases: &[String]| format!("id = \"x\"\n{}", phases.concat());
    assert_eq!(codes("id = \"x\"\n"), ["missing-key", "no-phases"]);
    assert_eq!(codes(&plan(&[phase("a", "needs = [\"a\"]")])), ["needs-itself"]);
    assert_eq!(
        codes(&plan(&[phase("a", ""), phase("a", "")])),
        ["duplicate-phase"]
    );
    assert_eq!(codes(&plan(&[phase("a", "needs = [\"b\"]")])), ["unknown-phase"]);
    assert_eq!(codes(&plan(&[phase("a", "services = []")])), ["invalid-value"]);
    assert_eq!(codes(&plan(&[phase("a", "commit = 12")])), ["wrong-type"]);
}

#[test]
fn a_contract_phase_needs_code_above_it_or_an_approval() {
    let plan = |rest: &str| {
        format!(
            "id = \"x\"\n[[phase]]\nid = \"d\"\nkind = \"contract\"\nmigration = \"20261122_101503_drop_users_name\"\n{rest}"
        )
    };
    assert_eq!(codes(&plan("")), ["ungated-contract"]);
    assert_eq!(codes(&plan("gate = { soak = \"1h\" }")), ["ungated-contract"]);
    assert!(read(&plan("gate = { approvals = 1 }")).is_ok());
}

#[test]
fn remarks_do_not_stop_a_plan() {
    let plan = read(
        r#"
id = "x"
[[phase]]
id = "fill"
kind = "backfill"
table = "users"
set = { display_name = "name", '"Other"' = "1" }
[[phase]]
id = "a"
kind = "code"
commit = "abc"
[[phase]]
id = "b"
kind = "code"
commit = { "." = "abc", worker = "def" }
"#,
    )
    .unwrap();
    let warnings: Vec<&str> = plan.warnings().iter().map(Problem::code).collect();
    assert_eq!(warnings, ["backfill-without-writer", "same-commit"]);
    let PhaseDetail::Backfill(fill) = &plan.phases()[0].detail else {
        panic!("the first phase is a backfill")
    };
    assert_eq!(
        fill.verify,
        r#"("display_name" IS NOT DISTINCT FROM (name)) AND ("Other" IS NOT DISTINCT FROM (1))"#
    );
}

proptest! {
    #[test]
    fn valid_plans_are_read_in_topological_order(
        sizes in prop::collection::vec((0usize..3, prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 1..12),
        shuffle in any::<u64>(),
    ) {
        let mut phases: Vec<String> = Vec::new();
        for (at, (kind, needs)) in sizes.iter().enumerate() {
            let needs: BTreeSet<String> = needs
                .iter()
                .filter(|_| at > 0)
                .map(|index| format!("\"p{}\"", index.index(at)))
                .collect();
            let needs = needs.into_iter().collect::<Vec<_>>().join(", ");
            let detail = match kind {
                0 => "kind = \"code\"\ncommit = \"abc\"",
                1 => "kind = \"manual\"\ninstructions = \"…\"",
                _ => "kind = \"backfill\"\ntable = \"t\"\nset = { a = \"b\" }",
            };
            phases.push(format!("[[phase]]\nid = \"p{at}\"\nneeds = [{needs}]\n{detail}\n"));
        }
        // The file may name phases before those they need.
        fastrand::Rng::with_seed(shuffle).shuffle(&mut phases);
        let plan = read(&format!("id = \"x\"\n{}", phases.concat())).unwrap();
        prop_assert_eq!(plan.phases().len(), sizes.len());
        let mut seen = BTreeSet::new();
        for phase in plan.phases() {
            prop_assert!(phase.needs.iter().all(|need| seen.contains(need)));
            seen.insert(phase.id.clone());
        }
        let layered: usize = plan.layers().iter().map(Vec::len).sum();
        prop_assert_eq!(layered, sizes.len());
    }

    #[test]
    fn no_text_makes_the_reader_fail_otherwise_than_by_a_problem(text in "[ -~\n]{0,200}") {
        let _ = read(&text);
    }
}

#[test]
fn a_content_probe_does_not_find_itself_in_the_plan() {
    let plan = |paths: &str| {
        format!(
            "id = \"x\"\n[[phase]]\nid = \"p\"\nkind = \"code\"\n\
             content = [{{ pattern = \"users.name\", present = true{paths} }}]\n"
        )
    };
    assert!(read(&plan(", paths = [\"src\"]")).is_ok());
    for nowhere in [
        "",
        ", paths = []",
        ", paths = [\".\"]",
        ", paths = [\"src\", \"./\"]",
    ] {
        assert!(read(&plan(nowhere)).is_err(), "{nowhere}");
    }
}

#[test]
fn a_probe_by_regular_expression_is_read_and_checked() {
    let plan = |probe: &str| {
        format!(
            "id = \"x\"\n[[phase]]\nid = \"p\"\nkind = \"code\"\nprobe = {probe}\naccept = [\"message\"]\n"
        )
    };
    let read_one = |probe: &str| {
        let plan = read(&plan(probe)).unwrap();
        let (_, code) = plan.code_phases().next().unwrap();
        assert_eq!(code.accepts, [Claim::Message]);
        code.content.clone()
    };
    let probe = |regex: &str, path: &str, present| ContentProbe {
        pattern: ContentPattern::Regex(regex.to_owned()),
        paths: vec![path.to_owned()],
        present,
    };
    let absent = "{ absent = 'users\\.name\\b', paths = [\"src/**\"] }";
    assert_eq!(read_one(absent), [probe("users\\.name\\b", "src/**", false)]);
    assert_eq!(
        read_one(&format!("[{absent}, {{ present = 'a+', paths = [\"lib\"] }}]")),
        [
            probe("users\\.name\\b", "src/**", false),
            probe("a+", "lib", true)
        ]
    );
    for wrong in [
        "{ absent = '(', paths = [\"src\"] }",
        "{ absent = 'a*', paths = [\"src\"] }",
        "{ absent = '', paths = [\"src\"] }",
        "{ absent = 'a', present = 'b', paths = [\"src\"] }",
        "{ absent = true, paths = [\"src\"] }",
        "{ absent = 'a', paths = [\"**\"] }",
        "{ absent = 'a', paths = [\"src/[\"] }",
        "{ absent = 'a', paths = [\"../src\"] }",
        "{ absent = 'a' }",
        "'a'",
    ] {
        assert!(read(&plan(wrong)).is_err(), "{wrong}");
    }
    let unheard_of = plan(absent).replace("\"message\"", "\"hearsay\"");
    assert!(read(&unheard_of).is_err());
}

#[test]
fn the_examples_of_the_reference_are_valid() {
    let reference = include_str!("../../docs/files.md");
    let blocks: Vec<&str> = reference
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [project, plan] = blocks.as_slice() else {
        panic!("two examples were expected")
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("0007_drop_accounts_legacy.sql"),
        "-- UP\nALTER TABLE accounts DROP COLUMN legacy;\n-- DOWN\nALTER TABLE accounts ADD COLUMN legacy text;\n",
    )
    .unwrap();
    crate::project::parse(folder.path(), project).unwrap();
    let plan = parse(Path::new("x.toml"), plan, folder.path()).unwrap();
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
}
