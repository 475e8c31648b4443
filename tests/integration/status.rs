//! `shipctl status`, `gate`, `can-deploy`, `approve` and `log` through a rename.

use shipctl::domain::CommitId;
use shipctl::ledger::Record;

use super::rename::{PLAN, Stage};

/// Hides what differs from run to run.
fn steady() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b[0-9a-f]{40}\b", "[commit]");
    settings.add_filter(r"\b[0-9a-f]{9}\b", "[commit]");
    settings.add_filter(r"pid \d+", "pid [n]");
    settings.add_filter(r"\d+s ago", "just now");
    settings.add_filter(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)", "[moment]");
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings
}

/// A rename in the middle: added, and dual-write deployed to `web` alone.
async fn halfway() -> (Stage, CommitId, CommitId) {
    let mut stage = Stage::new().await;
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.deploy("worker", &first).await;
    stage.done("add").await;
    let dual = stage.release("Write both names", Some("dual-write"));
    stage.deploy("web", &dual).await;
    (stage, first, dual)
}

/// A rename whose drop is all that is left.
async fn before_the_drop() -> (Stage, CommitId) {
    let (mut stage, first, dual) = halfway().await;
    stage.deploy("worker", &dual).await;
    stage.done("backfill").await;
    stage.done("constrain").await;
    stage.release("Read the new name", Some("switch-read"));
    stage.done("relax").await;
    let stop = stage.release("Write the new name only", Some("stop-write"));
    stage.deploy("web", &stop).await;
    stage.deploy("worker", &stop).await;
    (stage, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_the_phases_what_blocks_and_what_to_type() {
    let (stage, _, _) = halfway().await;
    let (exit, text, _) = stage.run(&["status"]);
    assert_eq!(exit, 0);
    steady().bind(|| insta::assert_snapshot!("status_halfway", text));

    let (exit, value) = stage.json(&["status", PLAN]);
    assert_eq!(exit, 0);
    let plan = &value["environments"][0]["plans"][0];
    assert_eq!(value["schema_version"], 1);
    assert_eq!(plan["phases_complete"], 1);
    assert_eq!(plan["phases"][0]["state"], "done");
    assert_eq!(plan["phases"][1]["state"], "partly");
    assert_eq!(
        plan["phases"][1]["instances"],
        serde_json::json!({ "satisfied": 1, "total": 2 })
    );
    assert_eq!(plan["phases"][1]["reasons"][0]["code"], "old-version-running");
    assert_eq!(plan["phases"][2]["state"], "later");
    assert_eq!(
        plan["next"]["command"],
        "shipctl can-deploy HEAD --env production"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn status_at_the_start_names_the_first_command_and_at_the_end_none() {
    let mut stage = Stage::new().await;
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.deploy("worker", &first).await;
    let (_, value) = stage.json(&["status"]);
    let next = &value["environments"][0]["plans"][0]["next"]["command"];
    assert_eq!(next, &format!("shipctl run {PLAN} --env production"));

    let (stage, _) = before_the_drop().await;
    stage.done("drop").await;
    let (exit, text, _) = stage.run(&["status", PLAN]);
    assert_eq!(exit, 0);
    assert!(text.contains("●●●●●●●●"), "{text}");
    assert!(text.contains("complete; nothing is left to do"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_failed_and_interrupted_phases_apart() {
    let (stage, _, _) = halfway().await;
    stage
        .append(&Record::PhaseStarted {
            phase: "backfill".parse().unwrap(),
            direction: shipctl::safety::Direction::Forward,
            digest: stage.digest("backfill"),
            observed_at: jiff::Timestamp::now(),
            fleet: shipctl::safety::Fleet::default(),
            judgement: shipctl::safety::Judgement::default(),
        })
        .await;
    let state = |value: &serde_json::Value| {
        let phases = value["environments"][0]["plans"][0]["phases"].clone();
        phases[2]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&stage.json(&["status"]).1), "interrupted");
    let lock = shipctl::postgres::RunLock::acquire(
        &stage.project.database.settings,
        &"production".parse().unwrap(),
        &PLAN.parse().unwrap(),
    )
    .await
    .unwrap();
    assert_eq!(state(&stage.json(&["status"]).1), "running");
    assert!(stage.run(&["status"]).1.contains("a run is at work"));
    drop(lock);
    super::support::eventually("the lock is gone", || async {
        state(&stage.json(&["status"]).1) == "interrupted"
    })
    .await;
    stage
        .append(&Record::PhaseFailed {
            phase: "backfill".parse().unwrap(),
            direction: shipctl::safety::Direction::Forward,
            error: "disk full".to_owned(),
        })
        .await;
    let (_, value) = stage.json(&["status"]);
    assert_eq!(state(&value), "failed");
    let next = &value["environments"][0]["plans"][0]["next"]["command"];
    assert_eq!(next, &format!("shipctl run {PLAN} --env production"));
    assert!(stage.run(&["status"]).1.contains("disk full"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_status_shows_what_runs_and_nothing_opens() {
    let (stage, _, dual) = halfway().await;
    let unreachable = "postgres://nobody:hunter2@127.0.0.1:1/nowhere";
    for args in [
        vec!["status"],
        vec!["gate", PLAN, "backfill"],
        vec!["can-deploy", dual.as_str()],
        vec!["approve", PLAN, "drop", "--reason", "x"],
        vec!["log"],
    ] {
        let mut command = stage.project.shipctl(&args);
        let output = command.env("DATABASE_URL", unreachable).output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_answer_with_exit_codes_reasons_and_remedies() {
    let (mut stage, _, dual) = halfway().await;
    let (exit, text, _) = stage.run(&["gate", PLAN, "backfill"]);
    assert_eq!(exit, 1);
    steady().bind(|| insta::assert_snapshot!("gate_blocked", text));

    // A code phase is asked about with the same words.
    assert_eq!(stage.json(&["gate", PLAN, "dual-write"]).0, 1);
    stage.deploy("worker", &dual).await;
    let (exit, value) = stage.json(&["gate", PLAN, "dual-write"]);
    assert_eq!((exit, &value["verdict"]), (0, &"go".into()));
    let (exit, value) = stage.json(&["gate", PLAN, "backfill"]);
    assert_eq!(exit, 0);
    assert_eq!(value["plan"], PLAN);
    assert_eq!(value["phase"], "backfill");
    assert_eq!(value["environment"], "production");
    assert_eq!(value["reasons"], serde_json::json!([]));
    assert!(!value["evidence"].as_array().unwrap().is_empty());

    // A done phase has nothing to object to; a fleet that nobody sees opens nothing.
    assert_eq!(stage.json(&["gate", PLAN, "add"]).0, 0);
    stage.stop("worker").await;
    let (exit, value) = stage.json(&["gate", PLAN, "backfill"]);
    assert_eq!((exit, &value["verdict"]), (3, &"unknown".into()));
    assert_eq!(stage.run(&["gate", PLAN, "no-such-phase"]).0, 2);
    assert_eq!(stage.run(&["gate", "no-such-plan", "add"]).0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_and_a_soak_are_waited_for() {
    let (stage, _) = before_the_drop().await;
    let (exit, value) = stage.json(&["gate", PLAN, "drop"]);
    assert_eq!(exit, 4, "{value:#}");
    let codes: Vec<&str> = value["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["needs-approval", "soaking"]);

    let (exit, value) = stage.json(&["approve", PLAN, "drop", "--reason", "no reader left"]);
    assert_eq!((exit, &value["recorded"]), (0, &true.into()));
    assert_eq!(value["actor"], "Ada <ada@example.org>");
    // The same person counts once, and is told.
    let (exit, text, _) = stage.run(&["approve", PLAN, "drop", "--reason", "again"]);
    assert_eq!(exit, 0);
    assert!(text.contains("already"), "{text}");
    let (exit, value) = stage.json(&["gate", PLAN, "drop"]);
    assert_eq!(exit, 4);
    assert_eq!(value["reasons"].as_array().unwrap().len(), 1);
    assert_eq!(value["reasons"][0]["code"], "soaking");

    // What an approval cannot change is refused.
    assert_eq!(stage.run(&["approve", PLAN, "dual-write", "--reason", "x"]).0, 2);
    assert_eq!(stage.run(&["approve", PLAN, "add", "--reason", "x"]).0, 2);
    assert_eq!(stage.run(&["approve", PLAN, "drop", "--reason", " "]).0, 2);

    let (exit, text, _) = stage.run(&["log", PLAN]);
    assert_eq!(exit, 0);
    assert!(text.contains("approved: no reader left"), "{text}");
    let (_, value) = stage.json(&["log", PLAN, "--limit", "2"]);
    assert_eq!(value["records"].as_array().unwrap().len(), 2);
    assert!(value["omitted"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn can_deploy_says_go_or_no_and_why() {
    let (stage, first) = before_the_drop().await;
    assert_eq!(stage.json(&["can-deploy", "HEAD"]).0, 0);
    stage.done("drop").await;
    let (exit, value) = stage.json(&["can-deploy", first.as_str(), "--service", "web"]);
    assert_eq!((exit, &value["verdict"]), (1, &"blocked".into()));
    let codes: Vec<&str> = value["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["code"].as_str().unwrap())
        .collect();
    assert!(codes.contains(&"rollback-floor"), "{codes:?}");
    let (exit, text, _) = stage.run(&["can-deploy", first.as_str(), "--service", "web"]);
    assert_eq!(exit, 1);
    steady().bind(|| insta::assert_snapshot!("can_deploy_no", text));

    assert_eq!(stage.run(&["can-deploy", "HEAD", "--service", "no-such"]).0, 2);
    stage
        .project
        .repo
        .git(&["remote", "add", "origin", "file:///nowhere"]);
    let (exit, value) = stage.json(&["can-deploy", &"ab".repeat(20)]);
    assert_eq!((exit, &value["verdict"]), (3, &"unknown".into()));
    let fix = value["reasons"][0]["fix"].as_str().unwrap();
    assert!(fix.contains("git fetch"), "{value:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_clone_opens_nothing_and_names_the_remedy() {
    let (stage, first, _) = halfway().await;
    let clones = tempfile::tempdir().unwrap();
    let source = format!("file://{}", stage.project.repo.path().display());
    let clone = clones.path().join("clone");
    stage.project.repo.git(&[
        "clone",
        "--quiet",
        "--depth",
        "1",
        &source,
        clone.to_str().unwrap(),
    ]);
    let run = |args: &[&str]| {
        let mut command = super::support::shipctl(&clone, args);
        command.env("DATABASE_URL", &stage.project.database.url);
        let output = command.output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), text)
    };
    let (exit, text) = run(&["gate", PLAN, "backfill"]);
    assert_eq!(exit, 3, "{text}");
    assert!(text.contains("git fetch"), "{text}");
    let (exit, text) = run(&["can-deploy", first.as_str()]);
    assert_eq!(exit, 3, "{text}");
    assert!(text.contains("git fetch"), "{text}");
    // One reason of one kind for both services, and nothing to undo.
    let (exit, text) = run(&["can-deploy", "HEAD"]);
    assert_eq!(exit, 3, "{text}");
    assert_eq!(text.matches("[containment-unknown]").count(), 1, "{text}");
    assert!(!text.contains("rollback"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_file_is_gone_still_binds_deployments() {
    let (stage, first) = before_the_drop().await;
    stage.done("drop").await;
    let repo = stage.project.repo.path();
    std::fs::remove_file(repo.join(format!("plans/{PLAN}.toml"))).unwrap();
    let (exit, value) = stage.json(&["can-deploy", first.as_str()]);
    assert_eq!((exit, &value["verdict"]), (1, &"blocked".into()), "{value:#}");
    let (exit, text, _) = stage.run(&["status", PLAN]);
    assert_eq!(exit, 0);
    assert!(text.contains("not in this checkout"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_environments_stand_side_by_side() {
    let staging = super::support::fresh_database().await;
    let services = |name: &str, database: &str| {
        format!(
            "[environments.{name}]\ndatabase = \"{database}\"\n\
             [[environments.{name}.services]]\nname = \"web\"\n\
             source = {{ kind = \"connections\", application_name = \"web@{{commit}}\" }}\n"
        )
    };
    let mut stage = Stage::with(&format!(
        "{}\n{}",
        services("production", "env:DATABASE_URL"),
        services("staging", &staging.url)
    ))
    .await;
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.done("add").await;
    let (exit, text, _) = stage.run(&["status"]);
    assert_eq!(exit, 0);
    steady().bind(|| insta::assert_snapshot!("status_overview", text));
    let (_, text, _) = stage.run(&["status", PLAN]);
    assert!(text.contains("switch-read"), "{text}");
    let (_, value) = stage.json(&["status"]);
    assert_eq!(value["environments"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_without_the_dual_write_puts_the_backfill_in_doubt() {
    let (mut stage, first, dual) = halfway().await;
    stage.deploy("worker", &dual).await;
    let add = "ALTER TABLE users ADD COLUMN display_name text";
    stage.project.database.execute(add).await;
    let (exit, text, said) = stage.run(&["run", PLAN, "--to", "backfill"]);
    assert_eq!(exit, 0, "{text}{said}");
    stage.deploy("worker", &first).await;
    let backfill = |value: &serde_json::Value| value["environments"][0]["plans"][0]["phases"][2].clone();
    let next = |value: &serde_json::Value| value["environments"][0]["plans"][0]["next"]["command"].clone();
    let (_, value) = stage.json(&["status"]);
    assert_eq!(backfill(&value)["state"], "tainted");
    assert_eq!(backfill(&value)["tainted_by"][0]["service"], "worker");
    // First the dual-write has to run everywhere again; then a run verifies what was filled.
    assert!(next(&value).as_str().unwrap().contains("can-deploy"), "{value:#}");
    stage.deploy("worker", &dual).await;
    let (_, value) = stage.json(&["status"]);
    assert_eq!(backfill(&value)["state"], "tainted");
    assert_eq!(next(&value), format!("shipctl run {PLAN} --env production"));
    stage.run(&["run", PLAN, "--to", "constrain"]);
    let (_, value) = stage.json(&["status"]);
    assert_eq!(backfill(&value)["state"], "done", "{value:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_read_gets_answers_and_records_nothing() {
    let (stage, _, dual) = halfway().await;
    let database = &stage.project.database;
    let role = format!("reader_of_{}", database.name);
    database
        .execute(&format!(
            "CREATE ROLE \"{role}\" LOGIN; GRANT USAGE ON SCHEMA shipctl TO \"{role}\";
             GRANT SELECT ON ALL TABLES IN SCHEMA shipctl TO \"{role}\""
        ))
        .await;
    let mut url = database.url.clone();
    let at = url.find("://").unwrap() + 3;
    let host = url.find('@').map_or(at, |end| end + 1);
    url.replace_range(at..host, &format!("{role}@"));
    let count = "SELECT count(*)::text FROM shipctl.events";
    let before = database.value(count).await;
    for (args, expected) in [
        (vec!["status"], 0),
        (vec!["gate", PLAN, "backfill"], 1),
        (vec!["can-deploy", dual.as_str()], 0),
    ] {
        let output = stage
            .project
            .shipctl(&args)
            .env("DATABASE_URL", &url)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(expected), "{args:?}: {error}");
        assert!(!error.contains("could not be recorded"), "{error}");
    }
    assert_eq!(database.value(count).await, before);
}
