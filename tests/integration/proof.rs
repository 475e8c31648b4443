//! Integration tests: `shipctl check` proves plans, and finds what is wrong with each wrong one.

use serde_json::Value;

use crate::support::{Repo, shipctl};

const CONFIG: &str = r#"
[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
source = { kind = "recorded" }
"#;

const FILE: &str = "plans/rename-users-name.toml";

/// A repository with the sample plan, the rename of a NOT NULL column, with its text changed.
fn sample(change: impl Fn(String) -> String) -> Repo {
    let repo = Repo::new();
    repo.write("shipctl.toml", CONFIG);
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let text = std::fs::read_to_string(samples.join("rename-users-name.toml")).unwrap();
    repo.write(FILE, &change(text));
    for entry in std::fs::read_dir(samples.join("migrations")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        repo.write(
            &format!("migrations/{name}"),
            &std::fs::read_to_string(&path).unwrap(),
        );
    }
    repo
}

/// A repository with one plan and its migrations.
fn plan(id: &str, phases: &str, migrations: &[(&str, &str)]) -> Repo {
    let repo = Repo::new();
    repo.write("shipctl.toml", CONFIG);
    repo.write(&format!("plans/{id}.toml"), &format!("id = \"{id}\"\n{phases}"));
    for (name, sql) in migrations {
        repo.write(&format!("migrations/{name}.sql"), sql);
    }
    repo
}

/// The plan's text with one phase changed.
fn with_phase(text: &str, id: &str, change: impl Fn(&str) -> String) -> String {
    let start = text.find(&format!("[[phase]]\nid = \"{id}\"")).unwrap();
    let end = text[start + 1..]
        .find("[[phase]]")
        .map_or(text.len(), |end| start + 1 + end);
    format!("{}{}{}", &text[..start], change(&text[start..end]), &text[end..])
}

/// The plan's text with a phase that needs something else.
fn needing(text: &str, id: &str, needs: &str) -> String {
    with_phase(text, id, |phase| {
        let mut lines: Vec<String> = phase
            .lines()
            .filter(|line| !line.starts_with("needs ="))
            .map(str::to_owned)
            .collect();
        lines.insert(2, format!("needs = {needs}"));
        lines.join("\n") + "\n"
    })
}

fn without(text: &str, id: &str) -> String {
    with_phase(text, id, |_| String::new())
}

struct Checked {
    code: i32,
    proof: Value,
    report: Value,
}

fn check(repo: &Repo) -> Checked {
    let output = shipctl(repo.path(), &["check", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    Checked {
        code: output.status.code().unwrap(),
        proof: report["proof"].clone(),
        report,
    }
}

impl Checked {
    /// The steps in words.
    fn steps(&self) -> Vec<&str> {
        let trace = self.proof["trace"].as_array().unwrap();
        trace.iter().map(|step| step["words"].as_str().unwrap()).collect()
    }

    /// Asserts that the plan is not safe, by these steps, for this reason, and that this is the remedy.
    fn is_wrong(&self, steps: &[&str], harm: &str, remedy: &str) {
        assert_eq!(
            (self.code, &self.proof["verdict"]),
            (1, &Value::from("unsafe")),
            "{}",
            self.report
        );
        assert_eq!(self.steps(), steps);
        assert_eq!(self.proof["harm"]["message"], harm);
        assert_eq!(self.proof["harm"]["fix"], remedy);
        assert_eq!(self.report["verdict"], "unsafe");
    }

    fn is_safe(&self) {
        assert_eq!(
            (self.code, &self.proof["verdict"]),
            (0, &Value::from("safe")),
            "{}",
            self.report
        );
        assert_eq!(self.proof["trace"], Value::Array(Vec::new()));
        assert!(self.proof["states"].as_u64().unwrap() > 4);
        assert_eq!(self.report["verdict"], "valid");
    }
}

#[test]
fn the_sample_plan_is_safe_in_every_state() {
    let repo = sample(|text| text);
    check(&repo).is_safe();
    let output = shipctl(repo.path(), &["check"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("3 of them code; valid; 17 states explored, all safe"),
        "{said}"
    );
}

#[test]
fn every_plan_that_a_rename_writes_is_safe() {
    for sync in ["code", "trigger"] {
        for column in [
            &[][..],
            &["--not-null"],
            &["--not-null", "--default", "'x'"],
            &["--default", "now()"],
        ] {
            let repo = Repo::new();
            repo.write("shipctl.toml", CONFIG);
            let args = [
                &[
                    "plan",
                    "rename",
                    "users.name",
                    "display_name",
                    "--type",
                    "text",
                    "--sync",
                    sync,
                ],
                column,
            ]
            .concat();
            shipctl(repo.path(), &args).assert().success();
            check(&repo).is_safe();
        }
    }
}

#[test]
fn a_drop_before_the_code_that_stops_writing_is_found() {
    let repo = sample(|text| needing(&text, "drop", "[\"switch-read\"]"));
    let checked = check(&repo);
    checked.is_wrong(
        &[
            "run add",
            "deploy dual-write",
            "run backfill",
            "run constrain",
            "deploy switch-read",
            "run drop",
        ],
        "switch-read writes users.name, which is not there",
        "let drop need stop-write",
    );
    // The problem points at the phase, at what it waits for, and at the code that fails.
    let problem = &checked.report["problems"][0];
    let text = repo.read(FILE);
    let pointed: Vec<(&str, &str)> = problem["places"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| {
            let start = usize::try_from(place["offset"].as_u64().unwrap()).unwrap();
            let end = start + usize::try_from(place["length"].as_u64().unwrap()).unwrap();
            (&text[start..end], place["label"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        pointed,
        [
            ("\"drop\"", "drop can run too early"),
            ("\"switch-read\"", "waits only for this"),
            ("\"switch-read\"", "this code fails")
        ]
    );
    assert_eq!(
        (&problem["code"], &problem["exit"]),
        (&Value::from("plan-unsafe"), &Value::from(1))
    );
}

#[test]
fn a_missing_relax_is_found() {
    let repo = sample(|text| needing(&without(&text, "relax"), "stop-write", "[\"switch-read\"]"));
    check(&repo).is_wrong(
        &[
            "run add",
            "deploy dual-write",
            "run backfill",
            "run constrain",
            "deploy switch-read",
            "begin to deploy stop-write beside switch-read",
        ],
        "stop-write: its INSERT leaves users.name NULL, but it is NOT NULL",
        "add a phase before stop-write whose migration says: ALTER TABLE public.users ALTER COLUMN name DROP NOT NULL",
    );
}

#[test]
fn a_backfill_before_dual_write_is_found() {
    let early = |text: &str| {
        needing(
            &needing(text, "backfill", "[\"add\"]"),
            "dual-write",
            "[\"backfill\"]",
        )
    };
    let nullable = |text: String| {
        needing(
            &without(&early(&text), "constrain"),
            "switch-read",
            "[\"dual-write\"]",
        )
    };
    check(&sample(nullable)).is_wrong(
        &[
            "run add",
            "run backfill",
            "deploy dual-write",
            "begin to deploy switch-read beside dual-write",
        ],
        "switch-read reads users.display_name, which the code before the plan leaves out of date",
        "move backfill behind dual-write: rows that are written before are missed otherwise",
    );
    check(&sample(|text| early(&text))).is_wrong(
        &["run add", "run backfill", "run constrain"],
        "the code before the plan: its INSERT leaves users.display_name NULL, but it is NOT NULL",
        "move backfill behind dual-write: rows that are written before are missed otherwise",
    );
}

#[test]
fn not_null_before_dual_write_is_found() {
    let repo = sample(|text| {
        needing(
            &needing(&text, "constrain", "[\"add\"]"),
            "switch-read",
            "[\"constrain\", \"backfill\"]",
        )
    });
    check(&repo).is_wrong(
        &["run add", "run constrain"],
        "the code before the plan: its INSERT leaves users.display_name NULL, but it is NOT NULL",
        "let constrain need dual-write",
    );
}

#[test]
fn what_a_remedy_says_leads_to_a_safe_plan_step_by_step() {
    // NOT NULL right after the column came: first it is the code, then it is the old rows.
    let wrong = |needs: &'static str| {
        sample(move |text| {
            let text = needing(&text, "constrain", needs);
            needing(&text, "switch-read", "[\"constrain\", \"backfill\"]")
        })
    };
    let fix = |needs| check(&wrong(needs)).proof["harm"]["fix"].clone();
    assert_eq!(fix("[\"add\"]"), "let constrain need dual-write");
    let rows = check(&wrong("[\"add\", \"dual-write\"]"));
    rows.is_wrong(
        &["run add", "deploy dual-write", "run constrain"],
        "constrain fails: there are rows without a value in users.display_name",
        "let constrain need backfill",
    );
    check(&wrong("[\"add\", \"dual-write\", \"backfill\"]")).is_safe();
}

#[test]
fn a_switch_of_reads_before_the_backfill_is_found() {
    let repo = sample(|text| needing(&text, "switch-read", "[\"dual-write\"]"));
    check(&repo).is_wrong(
        &[
            "run add",
            "deploy dual-write",
            "begin to deploy switch-read beside dual-write",
        ],
        "switch-read reads users.display_name, which nothing has filled yet",
        "let switch-read need backfill",
    );
}

#[test]
fn a_reader_of_the_old_column_beside_code_that_stopped_writing_it_is_found() {
    let repo = sample(|text| needing(&without(&text, "switch-read"), "relax", "[\"constrain\"]"));
    check(&repo).is_wrong(
        &[
            "run add",
            "deploy dual-write",
            "run backfill",
            "run constrain",
            "run relax",
            "begin to deploy stop-write beside dual-write",
        ],
        "dual-write reads users.name, which stop-write no longer keeps up to date",
        "let code stop reading users.name one code phase before it stops writing it, and let the second need the first",
    );
}

#[test]
fn a_contract_phase_without_a_gate_is_found() {
    let repo = sample(|text| needing(&text, "drop", "[]"));
    check(&repo).is_wrong(
        &["run drop"],
        "the code before the plan reads users.name, which is not there",
        "let drop need stop-write",
    );
}

#[test]
fn two_plans_in_collision_are_found_and_two_beside_each_other_are_not() {
    let repo = Repo::new();
    repo.write("shipctl.toml", CONFIG);
    let rename = |column: &str, new: &str| {
        let args = [
            "plan",
            "rename",
            column,
            new,
            "--type",
            "text",
            "--not-null",
            "--id",
            new,
        ];
        shipctl(repo.path(), &args).assert().success();
    };
    rename("users.name", "label");
    rename("users.mail", "email");
    let beside = check(&repo);
    beside.is_safe();
    assert_eq!(
        beside.proof["plans"].as_array().unwrap().len(),
        3,
        "{}",
        beside.report
    );

    rename("users.name", "title");
    let met = check(&repo);
    assert_eq!((met.code, &met.proof["verdict"]), (1, &Value::from("unsafe")));
    let steps = met.steps();
    assert_eq!(steps.first(), Some(&"run label/add"), "{steps:?}");
    assert!(steps.last().unwrap().starts_with("begin to deploy"), "{steps:?}");
    let problem = &met.report["problems"][0];
    assert_eq!(problem["code"], "plans-collide", "{problem}");
    let warned = |code: &str| -> Vec<&str> {
        met.report["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|warning| warning["code"] == code)
            .map(|warning| warning["message"].as_str().unwrap())
            .collect()
    };
    assert_eq!(
        warned("plans-touch-one-column"),
        ["label and title both touch users.name"]
    );
}

#[test]
fn what_code_does_not_declare_is_not_proved_and_said_so() {
    let undeclared = |text: String| {
        with_phase(&text, "switch-read", |phase| {
            phase
                .lines()
                .filter(|line| !line.starts_with("reads"))
                .collect::<Vec<_>>()
                .join("\n")
                + "\n"
        })
    };
    let checked = check(&sample(undeclared));
    assert_eq!(
        (checked.code, &checked.proof["verdict"]),
        (0, &Value::from("not-proved"))
    );
    assert_eq!(
        checked.proof["undeclared"],
        serde_json::json!(["rename-users-name"])
    );
    let warning = &checked.report["warnings"][0];
    assert_eq!(
        warning["message"],
        "nothing is proved of rename-users-name: switch-read does not say what it reads and writes"
    );
}

#[test]
fn what_is_not_understood_is_told_with_its_place() {
    let sql = "-- UP\nALTER TABLE t ADD COLUMN a text;\nDO $$ BEGIN END $$;\n-- DOWN\nALTER TABLE t DROP COLUMN a;\n";
    let repo = plan(
        "tell",
        "[[phase]]\nid = \"add\"\nkind = \"expand\"\nmigration = \"0001_add\"\n",
        &[("0001_add", sql)],
    );
    let checked = check(&repo);
    assert_eq!(
        (checked.code, &checked.proof["verdict"]),
        (0, &Value::from("not-proved"))
    );
    let warning = &checked.report["warnings"][0];
    assert_eq!(warning["code"], "not-proved");
    assert_eq!(warning["places"][0]["line"], 3, "{warning}");
    assert_eq!(warning["why"], "it runs code that cannot be looked into");
}

#[test]
fn a_drop_that_only_a_person_gates_is_a_doubt() {
    let repo = plan(
        "retire",
        "[[phase]]\nid = \"drop\"\nkind = \"contract\"\nmigration = \"0001_drop\"\ngate = { approvals = 1 }\n",
        &[(
            "0001_drop",
            "-- UP\nALTER TABLE t DROP COLUMN a;\n-- DOWN\nALTER TABLE t ADD COLUMN a text;\n",
        )],
    );
    let checked = check(&repo);
    assert_eq!(
        (checked.code, &checked.proof["verdict"]),
        (0, &Value::from("not-proved")),
        "{}",
        checked.report
    );
    assert_eq!(checked.steps(), ["run drop"]);
    assert_eq!(
        checked.proof["harm"]["assumed"],
        "what the code before the plan does with t.a is not known"
    );
}
