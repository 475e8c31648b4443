//! Runs that are killed, cut off or crowded out: nothing is lost, changed twice or left behind.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::rename::{PLAN, Stage};
use super::run::{command, run, ship, stage, stage_value};
use super::support::eventually;

/// The real program as a child that can be killed, with nothing of this process's environment but the path.
pub fn program(stage: &Stage, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("shipctl"));
    command
        .args(args)
        .current_dir(stage.project.repo.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", stage.project.repo.path())
        .env("SHIPCTL_ACTOR", "Ada <ada@example.org>")
        .env("DATABASE_URL", &stage.project.database.url)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Starts a run of the real program.
fn spawn(stage: &Stage) -> Child {
    program(stage, &["run", PLAN, "--json"]).spawn().unwrap()
}

/// A trigger that counts how often each row is updated, and a slow backfill, so that there is time to kill it.
pub async fn slow_updates(stage: &Stage) {
    stage
        .project
        .database
        .execute(
            "CREATE TABLE touched (id bigint);
             CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
               $$BEGIN PERFORM pg_sleep(0.00005); INSERT INTO touched VALUES (NEW.id); RETURN NEW; END$$;
             CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()",
        )
        .await;
}

const TWICE: &str = "SELECT count(*) FROM (SELECT id FROM touched GROUP BY id HAVING count(*) > 1) AS twice";
const WRONG: &str = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM name";

async fn backfill_ready(rows: u32) -> Stage {
    let (mut stage, _) = stage(rows).await;
    run(&stage, &["--to", "add"], 0);
    slow_updates(&stage).await;
    ship(&mut stage, "dual-write").await;
    stage
}

async fn backfill_is_under_way(stage: &Stage) {
    eventually("the backfill has begun", || async {
        stage
            .project
            .database
            .value("SELECT count(*) FROM (SELECT FROM shipctl.fill_ranges WHERE rows_changed > 0 LIMIT 1) AS begun")
            .await
            .as_deref()
            == Some("1")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_killed_again_and_again_changes_every_row_exactly_once() {
    let stage = backfill_ready(3_000).await;
    let mut finished = false;
    for round in 0..40u64 {
        let begun = Instant::now();
        let mut child = spawn(&stage);
        // Later and later, so that every moment of the run is met.
        while begun.elapsed() < Duration::from_millis(60 + 45 * round) {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if child.try_wait().unwrap().is_some() {
            finished = true;
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(finished, "it never came to an end");
    run(&stage, &["--to", "backfill"], 0);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
    assert_eq!(stage_value(&stage, TWICE).await, "0");
    assert_eq!(stage_value(&stage, "SELECT count(*) FROM touched").await, "3000");
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_killed_at_any_moment_finish_on_the_next_run() {
    let (mut stage, _) = stage(200).await;
    stage.project.repo.write(
        "migrations/20261122_101501_constrain_users_display_name.sql",
        "-- UP\n\
         CREATE INDEX CONCURRENTLY users_display_name_idx ON users (display_name);\n\
         ALTER TABLE users ADD CONSTRAINT c CHECK (display_name IS NOT NULL) NOT VALID;\n\
         ALTER TABLE users VALIDATE CONSTRAINT c;\n\
         ALTER TABLE users ALTER COLUMN display_name SET NOT NULL;\n\
         ALTER TABLE users DROP CONSTRAINT c;\n\
         -- DOWN\nALTER TABLE users ALTER COLUMN display_name DROP NOT NULL;\n\
         DROP INDEX CONCURRENTLY users_display_name_idx;\n",
    );
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "backfill"], 0);
    // A transaction with a snapshot holds up the index build, so that it is killed in the middle of it.
    let reader = stage.project.database.session().await;
    reader
        .client()
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM users")
        .await
        .unwrap();
    let mut child = spawn(&stage);
    let building = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND state = 'active' AND query LIKE 'CREATE INDEX CONCURRENTLY%'";
    eventually("the index is being built", || async {
        stage.project.database.value(building).await.as_deref() == Some("1")
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    drop(reader);

    let mut exit = None;
    for round in 0..60u64 {
        let mut child = spawn(&stage);
        tokio::time::sleep(Duration::from_millis(20 + 7 * round)).await;
        if let Some(status) = child.try_wait().unwrap() {
            exit = status.code();
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(exit, Some(1), "in the end only switch-read is missing");
    let valid =
        "SELECT count(*) FROM pg_index WHERE indexrelid = 'users_display_name_idx'::regclass AND indisvalid";
    assert_eq!(stage_value(&stage, valid).await, "1");
    let state = "SELECT attnotnull::text || (SELECT count(*) FROM pg_constraint WHERE conname = 'c')
                 FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'display_name'";
    assert_eq!(stage_value(&stage, state).await, "true0");
    let done = "SELECT count(*) FROM shipctl.events WHERE kind = 'phase-finished' AND phase = 'constrain'";
    assert_eq!(stage_value(&stage, done).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_loses_its_lock_stops_and_can_be_resumed() {
    let stage = backfill_ready(5_000).await;
    let mut child = spawn(&stage);
    backfill_is_under_way(&stage).await;
    stage
        .project
        .database
        .execute(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
             WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.mode = 'ExclusiveLock'",
        )
        .await;
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(6));
    run(&stage, &["--to", "backfill"], 0);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
    assert_eq!(stage_value(&stage, TWICE).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_is_refused_and_names_the_first() {
    let stage = backfill_ready(5_000).await;
    let mut child = spawn(&stage);
    backfill_is_under_way(&stage).await;
    let said = run(&stage, &[], 6);
    assert!(said.contains("shipctl lock"), "{said}");
    let said = command(&stage, "rollback", &["--all"], 6);
    assert!(said.contains("already going on"), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_run_in_order() {
    let stage = backfill_ready(5_000).await;
    let mut child = spawn(&stage);
    backfill_is_under_way(&stage).await;
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let last = "SELECT kind FROM shipctl.events ORDER BY sequence DESC LIMIT 1";
    assert_eq!(stage_value(&stage, last).await, "phase-failed");
    run(&stage, &["--to", "backfill"], 0);
    assert_eq!(stage_value(&stage, TWICE).await, "0");
    assert_eq!(stage_value(&stage, WRONG).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_down_ends_the_run_and_loses_nothing() {
    let cluster = shipctl::postgres::Cluster::builder().throwaway().start().unwrap();
    let mut stage = backfill_ready(10).await;
    // The same project, in front of a server of its own.
    stage.project.database.url = cluster.url("postgres");
    stage.project.database.settings = cluster.settings("postgres").unwrap();
    let file = format!("plans/{PLAN}.toml");
    stage.project.repo.write(
        &file,
        &format!(
            "id = \"{PLAN}\"\ntitle = \"Fill\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\n\
             table = 'users'\nset = {{ display_name = 'name' }}\n"
        ),
    );
    stage
        .project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, name text, display_name text);
             INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, 3000) AS i",
        )
        .await;
    slow_updates(&stage).await;
    let mut session = stage.project.database.session().await;
    shipctl::postgres::ledger::ensure(&mut session).await.unwrap();
    let mut child = spawn(&stage);
    backfill_is_under_way(&stage).await;
    cluster.stop_immediately().unwrap();
    let code = child.wait().unwrap().code();
    assert!(matches!(code, Some(3 | 5 | 6)), "{code:?}");
    cluster.restart().unwrap();
    run(&stage, &[], 0);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
    assert_eq!(stage_value(&stage, TWICE).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_cancels_a_statement_that_waits_for_its_lock() {
    let (stage, _) = stage(1).await;
    run(&stage, &["--dry-run"], 0);
    let holder = stage.project.database.session().await;
    holder
        .client()
        .batch_execute("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE")
        .await
        .unwrap();
    let mut child = spawn(&stage);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%'";
    eventually("the statement waits", || async {
        stage.project.database.value(waiting).await.as_deref() == Some("1")
    })
    .await;
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(holder);
    run(&stage, &["--to", "add"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_asked_and_the_answer_recorded() {
    // A block that commits in parts: after a kill, nothing in the database tells how far it came.
    let migration = "migrations/20261122_101500_add_users_display_name.sql";
    for (flag, runs, word) in [
        ("--it-happened", "1", "took effect"),
        ("--it-did-not-happen", "2", "took no effect"),
    ] {
        let (stage, _) = stage(1).await;
        stage
            .project
            .database
            .execute("CREATE TABLE ran (n int); CREATE TABLE gate (n int)")
            .await;
        stage.project.repo.write(
            migration,
            "-- UP\nALTER TABLE users ADD COLUMN display_name text;\n\
             DO $$BEGIN INSERT INTO ran VALUES (1); COMMIT; LOCK TABLE gate IN SHARE MODE; END$$;\n\
             -- DOWN\nALTER TABLE users DROP COLUMN display_name;\n",
        );
        let holder = stage.project.database.session().await;
        holder
            .client()
            .batch_execute("BEGIN; LOCK TABLE gate")
            .await
            .unwrap();
        let mut child = spawn(&stage);
        let waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                       AND wait_event_type = 'Lock' AND query LIKE 'DO %'";
        eventually("the block has come half-way", || async {
            stage.project.database.value(waiting).await.is_some()
        })
        .await;
        child.kill().unwrap();
        child.wait().unwrap();
        // The server goes on without its client until somebody ends that as well, and nothing is begun beside it.
        let mut second = spawn(&stage);
        eventually("the next run waits for the server process", || async {
            let runs = "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
                        WHERE d.datname = current_database() AND l.locktype = 'advisory'";
            stage.project.database.value(runs).await.as_deref() == Some("1")
        })
        .await;
        assert_eq!(stage_value(&stage, "SELECT count(*) FROM ran").await, "1");
        stage
            .project
            .database
            .execute(&format!(
                "SELECT pg_terminate_backend(pid, 5000) FROM ({waiting}) AS at_it"
            ))
            .await;
        assert_eq!(second.wait().unwrap().code(), Some(5));
        drop(holder);
        let said = run(&stage, &["--to", "add"], 5);
        assert!(
            said.contains("indeterminate") && said.contains("--it-happened"),
            "{said}"
        );
        assert_eq!(stage_value(&stage, "SELECT count(*) FROM ran").await, "1");

        run(&stage, &["--to", "add", flag], 0);
        assert_eq!(stage_value(&stage, "SELECT count(*) FROM ran").await, runs);
        let said = command(&stage, "log", &[], 0);
        let line = said
            .lines()
            .find(|line| line.contains("looked at by hand"))
            .unwrap();
        assert!(
            line.contains("Ada") && line.contains("step 2") && line.contains(word),
            "{line}"
        );
    }
}

/// Every line that a run printed with `--json`.
fn lines(stage: &Stage, args: &[&str]) -> (i32, Vec<serde_json::Value>) {
    let (code, out, _) = stage.run(args);
    let values = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (code, values)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_ends_with_one_line_that_says_how() {
    let (stage, _) = stage(1).await;
    let (code, values) = lines(&stage, &["run", PLAN, "--json"]);
    assert_eq!(code, 1);
    assert!(
        values
            .iter()
            .all(|value| value["schema_version"] == 1 && value["event"].is_string())
    );
    let last = values.last().unwrap();
    assert_eq!(
        (&last["event"], &last["verdict"], &last["exit"]),
        (&"end".into(), &"blocked".into(), &1.into())
    );
    assert_eq!(last["reasons"][0]["code"], "old-version-running");

    // A problem, at any moment, is a line as well.
    for (args, verdict) in [
        (vec!["run", "nowhere", "--json"], "invalid"),
        (vec!["rollback", PLAN, "--to", "nowhere", "--json"], "invalid"),
    ] {
        let (code, values) = lines(&stage, &args);
        assert_eq!((code, values.len()), (2, 2));
        assert_eq!(values[0]["event"], "problem");
        assert!(values[0]["error"]["code"].is_string());
        assert_eq!(
            (&values[1]["event"], &values[1]["verdict"]),
            (&"end".into(), &verdict.into())
        );
    }
    let (code, values) = lines(&stage, &["rollback", PLAN, "--all", "--json"]);
    assert_eq!((code, &values.last().unwrap()["verdict"]), (0, &"go".into()));
}

/// What Ctrl-C does.
pub fn interrupt(child: &Child) {
    let process = Pid::from_child(child);
    kill_process(process, Signal::INT).unwrap();
}
