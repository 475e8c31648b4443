//! `shipctl pause`, `resume` and `throttle`: what operators say is kept, told and obeyed.

use std::process::Child;

use super::crash::program;
use super::rename::{PLAN, Stage};
use super::run::{command, run, stage, stage_value};
use super::support::eventually;

/// A run of the real program whose events can be looked at while it goes on.
pub struct Watched {
    pub child: Child,
    events: tempfile::NamedTempFile,
}

impl Watched {
    /// Starts it.
    pub fn start(stage: &Stage, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let events = tempfile::NamedTempFile::new().unwrap();
        let mut args = args.to_vec();
        args.push("--json");
        let child = program(stage, &args)
            .envs(variables.iter().copied())
            .stdout(events.reopen().unwrap())
            .spawn()
            .unwrap();
        Self { child, events }
    }

    /// The events so far.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.events.path()).unwrap();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// What was told of being slowed down and paused, as `state reasons`.
    pub fn throttles(&self) -> Vec<String> {
        self.events()
            .iter()
            .filter(|event| event["event"] == "throttled")
            .map(|event| {
                format!(
                    "{} {}",
                    event["state"].as_str().unwrap(),
                    event["reasons"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|why| why.as_str().unwrap())
                        .collect::<Vec<_>>()
                        .join("; ")
                )
            })
            .collect()
    }

    /// Waits until something like this was told of being slowed down or paused.
    pub async fn told(&self, state: &str, why: &str) {
        let begun = std::time::Instant::now();
        let is_told = |one: &String| one.starts_with(state) && one.contains(why);
        while !self.throttles().iter().any(is_told) {
            assert!(
                begun.elapsed() < std::time::Duration::from_secs(60),
                "never told {state} {why}: {:?}",
                self.events()
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Waits for its end, and demands this exit code.
    pub fn ends_with(&mut self, exit: i32) {
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(exit), "{:?}", self.events());
    }
}

const STARTED: &str = "SELECT count(*) FROM shipctl.events WHERE kind = 'phase-started'";

#[tokio::test(flavor = "multi_thread")]
async fn no_phase_begins_while_the_plan_is_paused_and_a_wait_can_be_interrupted() {
    let (stage, _) = stage(1).await;
    let said = command(&stage, "pause", &["--reason", "month's end"], 0);
    assert!(said.contains("no run is at work"), "{said}");
    assert!(
        said.contains(&format!("shipctl resume {PLAN} --env production")),
        "{said}"
    );

    let mut waiting = Watched::start(&stage, &["run", PLAN, "--to", "add"], &[]);
    waiting.told("paused", "(month's end)").await;
    assert_eq!(stage_value(&stage, STARTED).await, "0");
    super::crash::interrupt(&waiting.child);
    waiting.ends_with(130);
    assert_eq!(stage_value(&stage, STARTED).await, "0");

    // The next run waits as well, until it is resumed.
    let mut waiting = Watched::start(&stage, &["run", PLAN, "--to", "add"], &[]);
    waiting.told("paused", "(month's end)").await;
    let said = command(&stage, "resume", &[], 0);
    assert!(said.contains("follows within a second"), "{said}");
    waiting.ends_with(0);
    assert_eq!(stage_value(&stage, STARTED).await, "1");
    assert!(waiting.throttles().contains(&"free ".to_owned()));

    // Undoing waits too.
    command(&stage, "pause", &[], 0);
    let mut waiting = Watched::start(&stage, &["rollback", PLAN, "--all"], &[]);
    waiting.told("paused", "to go on").await;
    assert_eq!(stage_value(&stage, STARTED).await, "1");
    command(&stage, "resume", &[], 0);
    waiting.ends_with(0);
    assert_eq!(stage_value(&stage, STARTED).await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn pausing_and_resuming_are_told_kept_and_repeated_without_effect() {
    let (stage, _) = stage(1).await;
    let (exit, first) = stage.json(&["pause", PLAN, "--reason", " backup "]);
    assert_eq!(exit, 0);
    assert_eq!(first["recorded"], true);
    assert_eq!(first["reason"], "backup");
    assert_eq!(first["run_at_work"], serde_json::Value::Null);
    let (exit, again) = stage.json(&["pause", PLAN, "--reason", "another"]);
    assert_eq!((exit, &again["recorded"]), (0, &false.into()));
    assert_eq!(again["reason"], "backup");

    let said = command(&stage, "status", &[], 0);
    assert!(said.contains("‖ paused by Ada"), "{said}");
    assert!(
        said.contains(&format!("Next: shipctl resume {PLAN} --env production")),
        "{said}"
    );
    let (_, status) = stage.json(&["status", PLAN]);
    assert_eq!(
        status["environments"][0]["plans"][0]["paused"]["reason"],
        "backup"
    );

    let (_, resumed) = stage.json(&["resume", PLAN]);
    assert_eq!(resumed["recorded"], true);
    let said = command(&stage, "resume", &[], 0);
    assert!(said.contains("was not paused"), "{said}");
    let said = command(&stage, "status", &[], 0);
    assert!(!said.contains("paused"), "{said}");

    let said = command(&stage, "log", &[], 0);
    assert!(
        said.contains("paused: backup") && said.contains("resumed"),
        "{said}"
    );
    let kinds = "SELECT string_agg(kind, ' ' ORDER BY sequence) FROM shipctl.events
                 WHERE kind IN ('paused', 'resumed')";
    assert_eq!(stage_value(&stage, kinds).await, "paused resumed");
    run(&stage, &["--to", "add"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_speak_at_once_are_heard_one_after_the_other() {
    let (stage, _) = stage(1).await;
    command(&stage, "pause", &[], 0);
    // Somebody holds the control; whoever comes meanwhile decides by what is there afterwards.
    let mut holder = stage.project.database.session().await;
    let (environment, plan) = ("production".parse().unwrap(), PLAN.parse().unwrap());
    let transaction = holder.client_mut().transaction().await.unwrap();
    shipctl::postgres::ledger::lock_control(&transaction, &environment, &plan)
        .await
        .unwrap();
    let mut second = program(&stage, &["pause", PLAN]).spawn().unwrap();
    let waiting = "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
                   WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted";
    eventually("the second waits", || async {
        stage.project.database.value(waiting).await.as_deref() == Some("1")
    })
    .await;
    shipctl::postgres::ledger::append(
        &transaction,
        &environment,
        Some(&plan),
        "Bob",
        &shipctl::ledger::Record::Resumed,
    )
    .await
    .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(0));
    let (_, status) = stage.json(&["status", PLAN]);
    assert_eq!(
        status["environments"][0]["plans"][0]["paused"]["actor"],
        "Ada <ada@example.org>"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn throttle_shows_what_is_in_force_and_where_it_comes_from() {
    let stage = Stage::with(
        "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n\
         [environments.production.manners]\nmax_replication_lag = \"3s\"\nrest = 0.5\n",
    )
    .await;
    // Looking makes no ledger.
    let said = command(&stage, "throttle", &[], 0);
    assert!(said.contains("at most 3s"), "{said}");
    assert!(said.contains("0.5 times as long as the batch took"), "{said}");
    assert!(
        said.contains("shipctl.toml") && said.contains("default"),
        "{said}"
    );
    let ledger = "SELECT count(*) FROM pg_namespace WHERE nspname = 'shipctl'";
    assert_eq!(stage_value(&stage, ledger).await, "0");

    let said = command(
        &stage,
        "throttle",
        &["--rest", "2", "--min-free-disk", "5GB", "--max-latency", "off"],
        0,
    );
    assert!(said.contains("rest 2, latency off, free disk 5GB"), "{said}");
    command(&stage, "throttle", &["--target-batch-ms", "10"], 0);
    let (_, held) = stage.json(&["throttle", PLAN]);
    let limits = &held["limits"];
    assert_eq!(limits["rest"]["value"], 2.0);
    assert_eq!(limits["rest"]["from"], "throttle");
    assert_eq!(limits["rest"]["actor"], "Ada <ada@example.org>");
    assert_eq!(limits["target_batch_ms"]["value"], 10);
    assert_eq!(limits["max_latency_ms"]["value"], serde_json::Value::Null);
    assert_eq!(limits["max_replication_lag_ms"]["value"], 3000);
    assert_eq!(limits["max_replication_lag_ms"]["from"], "file");
    assert_eq!(limits["min_free_disk_bytes"]["value"], 5_i64 << 30);
    assert_eq!(held["disk_unknown"], serde_json::Value::Null);

    command(&stage, "throttle", &["--clear"], 0);
    let (_, held) = stage.json(&["throttle", PLAN, "--clear"]);
    assert_eq!(held["recorded"], false);
    assert_eq!(held["limits"]["rest"]["value"], 0.5);
    let said = command(&stage, "log", &[], 0);
    assert!(said.contains("throttled: batches of 10ms"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_and_recorded_nowhere() {
    let (stage, _) = stage(1).await;
    for wrong in [
        ["--rest", "-1"],
        ["--rest", "NaN"],
        ["--target-batch-ms", "0"],
        ["--max-replication-lag", "5"],
        ["--max-latency", "0ms"],
        ["--max-wal-rate", "much"],
        ["--min-free-disk", "0GB"],
    ] {
        let mut args = vec!["throttle", PLAN];
        args.extend(wrong);
        let (exit, _, error) = stage.run(&args);
        assert_eq!(exit, 2, "{wrong:?}: {error}");
    }
    for verb in ["pause", "resume", "throttle"] {
        let (exit, _, error) = stage.run(&[verb, "rename-user-name"]);
        assert_eq!(exit, 2, "{error}");
        assert!(error.contains(PLAN), "the plan that was meant: {error}");
    }
    let ledger = "SELECT count(*) FROM pg_namespace WHERE nspname = 'shipctl'";
    assert_eq!(stage_value(&stage, ledger).await, "0");

    // A plan whose file is gone can still be held, if the ledger knows it.
    run(&stage, &["--to", "add"], 0);
    std::fs::remove_file(stage.project.repo.path().join(format!("plans/{PLAN}.toml"))).unwrap();
    command(&stage, "pause", &[], 0);
    command(&stage, "resume", &[], 0);
}
