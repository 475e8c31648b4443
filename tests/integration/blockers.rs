//! Sessions that stand in the way of a schema change: they are named, waited for without a place in the line, or ended where
//! somebody wants that; and whoever only passes by never waits long.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use shipctl::execute::crash_probe::{Leftover, ProbeAnswer, probe, remove_leftover};
use shipctl::execute::{self, Engine, Event, EventSink, LockPolicy, Pace, RunEnd, RunOptions, Stop, Wait};
use shipctl::sql::CrashProbe;
use tokio_postgres::{Client, NoTls};

use super::rename::{PLAN, Stage};
use super::run::{command, run, ship, stage, stage_value};
use super::support::{Database, Project, eventually, fresh_database};

/// A table and a plan that adds a column to it; every name needs quoting.
const TABLE: &str = "\"Odd Schema\".\"Us\"\"ers\"";

/// A project with one plan `p` of one expand phase; `keys` are more keys of the phase.
async fn project(up: &str, keys: &str, config: &str) -> Project {
    let project = Project::with_config(&format!(
        "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n{config}"
    ))
    .await;
    project
        .database
        .execute(&format!(
            "CREATE SCHEMA \"Odd Schema\"; CREATE TABLE {TABLE} (id int PRIMARY KEY, name text);
             INSERT INTO {TABLE} SELECT i, 'name' FROM generate_series(1, 100) AS i"
        ))
        .await;
    project.repo.write(
        "plans/p.toml",
        &format!(
            "id = \"p\"\n\n[[phase]]\nid = \"change\"\nkind = \"expand\"\nmigration = \"0001_change\"\n{keys}"
        ),
    );
    project.repo.write(
        "migrations/0001_change.sql",
        &format!("-- UP\n{up};\n-- DOWN\nSELECT 1;\n"),
    );
    project.repo.commit("A plan");
    project
}

async fn adding(keys: &str) -> Project {
    project(
        &format!("ALTER TABLE {TABLE} ADD COLUMN \"New One\" text"),
        keys,
        "",
    )
    .await
}

/// A session that is not one of shipctl's, by name.
async fn session(database: &Database, name: &str) -> Client {
    session_as(&database.url, name).await
}

async fn session_as(url: &str, name: &str) -> Client {
    let mut config: tokio_postgres::Config = url.parse().unwrap();
    config.application_name(name);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    client
}

/// A session that has read the table and idles in its transaction.
async fn idler(database: &Database) -> Client {
    let client = session(database, "a report").await;
    client
        .batch_execute(&format!("BEGIN; SELECT count(*) FROM {TABLE}"))
        .await
        .unwrap();
    client
}

async fn pid(client: &Client) -> i32 {
    client
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0)
}

/// The program at work, and what it says with `--json`, line by line.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    over: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Running {
    fn start(project: &Project, args: &[&str]) -> Self {
        Self::with_url(project, &project.database.url, args)
    }

    fn with_url(project: &Project, url: &str, args: &[&str]) -> Self {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("shipctl"))
            .args(args)
            .arg("--json")
            .current_dir(project.repo.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", project.repo.path())
            .env("SHIPCTL_ACTOR", "Ada <ada@example.org>")
            .env("DATABASE_URL", url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let over = Arc::new(AtomicBool::new(false));
        let pid = Pid::from_child(&child);
        let watched = over.clone();
        // A test that waits for what never comes fails, rather than hang.
        std::thread::spawn(move || {
            for _ in 0..100 {
                std::thread::sleep(Duration::from_secs(1));
                if watched.load(Ordering::Relaxed) {
                    return;
                }
            }
            let _ = kill_process(pid, Signal::KILL);
        });
        Self { child, lines, over }
    }

    /// Reads until an event that the test waits for.
    fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let mut heard = String::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if wanted(&value) {
                return value;
            }
            heard.push_str(&line);
            heard.push('\n');
        }
        panic!("it ended without the event:\n{heard}");
    }

    fn event(&mut self, name: &str) -> Value {
        self.until(|value| value["event"] == name)
    }

    /// Reads to the end; every line, and the exit code.
    fn end(mut self) -> (i32, Vec<Value>) {
        let rest = self
            .lines
            .by_ref()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect();
        (self.child.wait().unwrap().code().unwrap(), rest)
    }
}

/// How many sessions stand in line for the table.
const IN_LINE: &str =
    "SELECT count(*) FROM pg_locks AS l WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE
                       datname = current_database())";

const ENDED: &str = "SELECT count(*) FROM shipctl.events WHERE kind = 'blockers-ended'";

#[tokio::test(flavor = "multi_thread")]
async fn a_blocker_is_waited_for_without_a_place_in_the_line_until_it_leaves_by_itself() {
    let project = adding("lock_attempts = 1\n").await;
    let holder = idler(&project.database).await;
    let mut running = Running::start(&project, &["run", "p", "--wait-for-blockers"]);
    let waiting = running.event("waiting-for-blockers");
    let who = waiting["blockers"][0].as_str().unwrap();
    assert!(
        who.contains("`a report`") && who.contains("idle in transaction") && who.contains("SELECT count(*)"),
        "{who}"
    );
    assert_eq!(waiting["limit_ms"], Value::Null);
    for _ in 0..50 {
        assert_eq!(project.database.value(IN_LINE).await.as_deref(), Some("0"));
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    let (code, rest) = running.end();
    assert_eq!(code, 0, "{rest:?}");
    assert!(
        !rest.iter().any(|value| value["event"] == "lock-retry"),
        "one attempt was enough: {rest:?}"
    );
    project
        .database
        .execute(&format!("SELECT \"New One\" FROM {TABLE}"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_with_its_time_and_names_who_is_still_there() {
    let project = adding("").await;
    let _holder = idler(&project.database).await;
    let output = project
        .shipctl(&["run", "p", "--wait-for-blockers=600ms"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.contains("lock-not-had") && said.contains("`a report`"),
        "{said}"
    );
    assert!(said.contains("nobody is held up meanwhile"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_waiting() {
    let project = adding("").await;
    let _holder = idler(&project.database).await;
    let mut running = Running::start(&project, &["run", "p", "--wait-for-blockers"]);
    running.event("waiting-for-blockers");
    kill_process(Pid::from_child(&running.child), Signal::INT).unwrap();
    let (code, rest) = running.end();
    assert_eq!(code, 130, "{rest:?}");
    assert_eq!(rest.last().unwrap()["verdict"], "interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_and_a_prepared_transaction_are_waited_for_as_well() {
    let cluster = shipctl::postgres::Cluster::builder()
        .throwaway()
        .setting("max_prepared_transactions", "5")
        .start()
        .unwrap();
    let mut project = project("ALTER TABLE parted ADD COLUMN b int", "", "").await;
    project.database.url = cluster.url("postgres");
    project.database.settings = cluster.settings("postgres").unwrap();
    project
        .database
        .execute(
            "CREATE TABLE parted (a int) PARTITION BY LIST (a); CREATE TABLE part PARTITION OF parted FOR VALUES IN (1)",
        )
        .await;
    project
        .database
        .execute("BEGIN; INSERT INTO part VALUES (1); PREPARE TRANSACTION 'the name of it'")
        .await;
    let mut running = Running::start(
        &project,
        &["run", "p", "--wait-for-blockers", "--cancel-blockers=1ms"],
    );
    // In whichever order: who is waited for, and that it is left alone.
    let (mut waits, mut spared) = (false, false);
    running.until(|value| {
        let text = value.to_string();
        waits |= value["event"] == "waiting-for-blockers" && text.contains("`the name of it`");
        spared |= value["event"] == "note" && text.contains("may still commit it");
        waits && spared
    });
    project.database.execute("COMMIT PREPARED 'the name of it'").await;
    let (code, rest) = running.end();
    assert_eq!(code, 0, "{rest:?}");
    assert_eq!(stage_of(&project, ENDED).await, "0");
}

async fn stage_of(project: &Project, sql: &str) -> String {
    project.database.value(sql).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_statement_does_not_name_its_table_those_met_are_waited_for() {
    let project = project(
        "DROP INDEX \"Odd Schema\".\"An Index\"",
        "lock_attempts = 2\n",
        "",
    )
    .await;
    project
        .database
        .execute(&format!("CREATE INDEX \"An Index\" ON {TABLE} (name)"))
        .await;
    let holder = idler(&project.database).await;
    let mut running = Running::start(&project, &["run", "p", "--wait-for-blockers"]);
    running.event("lock-retry");
    running.event("waiting-for-blockers");
    for _ in 0..50 {
        assert_eq!(project.database.value(IN_LINE).await.as_deref(), Some("0"));
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    let (code, rest) = running.end();
    assert_eq!(code, 0, "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_idles_in_a_transaction_is_terminated_and_the_log_says_so() {
    let project = adding("").await;
    let holder = idler(&project.database).await;
    let number = pid(&holder).await;
    let mut running = Running::start(
        &project,
        &["run", "p", "--cancel-blockers=500ms", "--reason", "release 7"],
    );
    let ending = running.event("ending-blocker");
    assert_eq!(ending["ending"], "terminated");
    let (code, rest) = running.end();
    assert_eq!(code, 0, "{rest:?}");
    assert!(
        holder.simple_query("SELECT 1").await.is_err(),
        "its connection is gone"
    );
    let said = String::from_utf8(project.shipctl(&["log", "p"]).output().unwrap().stdout).unwrap();
    let line = said.lines().find(|line| line.contains("ended:")).unwrap();
    assert!(
        line.contains(&format!("process {number} `a report`"))
            && line.contains("terminated")
            && line.contains("release 7")
            && line.contains("Ada"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_at_work_is_cancelled_and_keeps_its_connection() {
    let project = adding("").await;
    let holder = Arc::new(session(&project.database, "a report").await);
    let number = pid(&holder).await;
    let asleep = Arc::clone(&holder);
    let sleeping = tokio::spawn(async move {
        asleep
            .batch_execute(&format!("SELECT pg_sleep(600) FROM {TABLE} LIMIT 1"))
            .await
    });
    let at_work =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {number} AND wait_event = 'PgSleep'");
    eventually("it sleeps", || async {
        project.database.value(&at_work).await.as_deref() == Some("1")
    })
    .await;
    let (code, rest) = Running::start(&project, &["run", "p", "--cancel-blockers=300ms"]).end();
    assert_eq!(code, 0, "{rest:?}");
    let error = sleeping.await.unwrap().unwrap_err();
    assert_eq!(
        error.code(),
        Some(&tokio_postgres::error::SqlState::QUERY_CANCELED)
    );
    assert_eq!(pid(&holder).await, number);
    let how = "SELECT payload->'sessions'->0->>'ending' FROM shipctl.events WHERE kind = 'blockers-ended'";
    assert_eq!(stage_of(&project, how).await, "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_ended_unasked_before_the_time_or_of_our_own() {
    let project = adding("lock_attempts = 3\n").await;
    let holder = idler(&project.database).await;
    for args in [&["run", "p"][..], &["run", "p", "--lock-timeout", "20ms"]] {
        let (code, rest) = Running::start(&project, args).end();
        assert_eq!(code, 5, "{rest:?}");
        let problem = rest.iter().find(|value| value["event"] == "problem").unwrap();
        let fix = problem["error"]["fix"].as_str().unwrap();
        assert!(
            fix.contains("--wait-for-blockers") && fix.contains("--cancel-blockers"),
            "{fix}"
        );
    }
    // With a long time to go, it is still being tried when somebody has looked.
    let mut running = Running::start(&project, &["run", "p", "--cancel-blockers=1h"]);
    running.until(|value| value["event"] == "lock-retry" && value["attempt"] == 4);
    assert!(holder.simple_query("SELECT 1").await.is_ok());
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(running.end().0, 0);

    let project = adding("").await;
    let own = session(&project.database, "shipctl run").await;
    own.batch_execute(&format!("BEGIN; SELECT FROM {TABLE}"))
        .await
        .unwrap();
    let mut running = Running::start(&project, &["run", "p", "--cancel-blockers=200ms"]);
    let note = running.event("note");
    assert!(
        note["message"].as_str().unwrap().contains("session of shipctl"),
        "{note}"
    );
    own.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(running.end().0, 0);
    assert_eq!(stage_of(&project, ENDED).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_end_others_says_what_it_lacks() {
    let project = adding("").await;
    project
        .database
        .execute(&format!(
            "DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'deployer') THEN
               CREATE ROLE deployer LOGIN; CREATE ROLE reporter LOGIN; END IF; END$$;
             DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO deployer', current_database()); END$$;
             GRANT ALL ON SCHEMA \"Odd Schema\" TO deployer, reporter; GRANT SELECT ON {TABLE} TO reporter;
             ALTER TABLE {TABLE} OWNER TO deployer"
        ))
        .await;
    let as_role = |role: &str| project.database.url.replacen("postgres@", &format!("{role}@"), 1);
    let holder = session_as(&as_role("reporter"), "a report").await;
    holder
        .batch_execute(&format!("BEGIN; SELECT FROM {TABLE}"))
        .await
        .unwrap();

    // It sees that somebody is there, and not what they do.
    let deployer = as_role("deployer");
    let mut running = Running::with_url(&project, &deployer, &["run", "p", "--cancel-blockers=200ms"]);
    let note = running.event("note");
    let message = note["message"].as_str().unwrap();
    assert!(
        message.contains("GRANT pg_signal_backend, pg_read_all_stats") && message.contains("`a report`"),
        "{message}"
    );
    kill_process(Pid::from_child(&running.child), Signal::INT).unwrap();
    let (code, rest) = running.end();
    assert_eq!(code, 130, "{rest:?}");

    // It sees what they do, and may not end them.
    project
        .database
        .execute("GRANT pg_read_all_stats TO deployer")
        .await;
    let mut running = Running::with_url(&project, &deployer, &["run", "p", "--cancel-blockers=200ms"]);
    let note = running.event("note");
    let message = note["message"].as_str().unwrap();
    assert!(message.contains("GRANT pg_signal_backend TO"), "{message}");
    kill_process(Pid::from_child(&running.child), Signal::INT).unwrap();
    let (code, rest) = running.end();
    assert_eq!(code, 130, "{rest:?}");
    assert!(holder.simple_query("SELECT 1").await.is_ok());
    assert_eq!(
        stage_of(&project, ENDED).await,
        "0",
        "what may not be done is not recorded as done"
    );

    project
        .database
        .execute("GRANT pg_signal_backend TO deployer")
        .await;
    let (code, rest) = Running::with_url(&project, &deployer, &["run", "p", "--cancel-blockers=200ms"]).end();
    assert_eq!(code, 0, "{rest:?}");
    assert_eq!(stage_of(&project, ENDED).await, "1");
    project
        .database
        .execute("REVOKE pg_signal_backend, pg_read_all_stats FROM deployer")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_environment_wants_a_reason() {
    let project = project("SELECT 1", "", "protected = true\n").await;
    let output = project
        .shipctl(&["run", "p", "--cancel-blockers"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("cancel-without-reason") && said.contains("--reason TEXT"),
        "{said}"
    );
    for (args, code) in [
        (&["run", "p", "--reason", "x"][..], "reason-for-nothing"),
        (&["run", "p", "--lock-timeout", "0s"], "bad-lock-timeout"),
        (&["run", "p", "--lock-timeout", "2m"], "bad-lock-timeout"),
        (
            &["rollback", "p", "--all", "--wait-for-blockers=soon"],
            "bad-duration",
        ),
        (
            &["rollback", "p", "--all", "--cancel-blockers=0s"],
            "bad-duration",
        ),
    ] {
        let output = project.shipctl(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(code), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_is_there_before_anybody_is_ended() {
    let project = adding("").await;
    let holder = idler(&project.database).await;
    let mut running = Running::start(&project, &["run", "p", "--cancel-blockers=200ms"]);
    eventually("the record is there", || async {
        let exists = "SELECT count(*) FROM pg_class WHERE relname = 'events' AND relnamespace = 'shipctl'::regnamespace";
        let ledger = "SELECT count(*) FROM pg_namespace WHERE nspname = 'shipctl'";
        project.database.value(ledger).await.as_deref() == Some("1")
            && project.database.value(exists).await.as_deref() == Some("1")
            && stage_of(&project, ENDED).await != "0"
    })
    .await;
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let record =
        "SELECT payload->'sessions'->0->>'application' FROM shipctl.events WHERE kind = 'blockers-ended'";
    assert_eq!(stage_of(&project, record).await, "a report");
    drop(holder);
    assert_eq!(Running::start(&project, &["run", "p"]).end().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_ended_that_cannot_be_written_down() {
    let project = adding("").await;
    // A ledger that takes every record but this one.
    let mut own = project.database.session().await;
    shipctl::postgres::ledger::ensure(&mut own).await.unwrap();
    project
        .database
        .execute("ALTER TABLE shipctl.events ADD CHECK (kind <> 'blockers-ended')")
        .await;
    let holder = idler(&project.database).await;
    let mut running = Running::start(&project, &["run", "p", "--cancel-blockers=200ms"]);
    let note = running.event("note");
    assert!(
        note["message"]
            .as_str()
            .unwrap()
            .contains("not every session in the way was ended"),
        "{note}"
    );
    running.until(|value| value["event"] == "lock-retry");
    assert!(holder.simple_query("SELECT 1").await.is_ok());
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(running.end().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_moved_on_since_the_look_is_left_alone() {
    use shipctl::ledger::Ending;
    use shipctl::postgres::blockers::{blockers_of, end};

    let database = fresh_database().await;
    database.execute("CREATE TABLE t (a int)").await;
    let monitor = database.session().await;
    let holder = session(&database, "a report").await;
    holder.batch_execute("BEGIN; SELECT FROM t").await.unwrap();
    let waiting = Arc::new(session(&database, "waits").await);
    let number = pid(&waiting).await;
    let waits = Arc::clone(&waiting);
    let locking = tokio::spawn(async move { waits.batch_execute("BEGIN; LOCK TABLE t; COMMIT").await });
    let mut seen = Vec::new();
    while seen.is_empty() {
        seen = blockers_of(monitor.client(), number).await.unwrap();
    }
    let [blocker] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!(blocker.ending(), Ok(Ending::Terminated));
    assert!(
        blocker.holds.as_deref().unwrap().starts_with("relation/"),
        "{blocker:?}"
    );

    // Another server process of the same number; another transaction; another state; another lock.
    let mut other = blocker.clone();
    other.started = Some(blocker.started.unwrap() - jiff::SignedDuration::from_micros(1));
    assert!(!end(monitor.client(), &other, Ending::Terminated).await.unwrap());
    let mut other = blocker.clone();
    other.transaction = Some("99/1".to_owned());
    assert!(!end(monitor.client(), &other, Ending::Terminated).await.unwrap());
    assert!(!end(monitor.client(), blocker, Ending::Cancelled).await.unwrap());
    let mut other = blocker.clone();
    other.holds = Some("relation/1/2".to_owned());
    assert!(!end(monitor.client(), &other, Ending::Terminated).await.unwrap());
    // The same session, a transaction later.
    holder.batch_execute("ROLLBACK").await.unwrap();
    locking.await.unwrap().unwrap();
    holder.batch_execute("BEGIN; SELECT FROM t").await.unwrap();
    assert!(!end(monitor.client(), blocker, Ending::Terminated).await.unwrap());
    assert!(holder.simple_query("SELECT 1").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_waits_in_front_of_us_is_not_taken_for_a_holder() {
    use shipctl::postgres::blockers::{Spared, blockers_of};

    let database = fresh_database().await;
    database.execute("CREATE TABLE t (a int)").await;
    let monitor = database.session().await;
    let holder = session(&database, "holds").await;
    holder.batch_execute("BEGIN; SELECT FROM t").await.unwrap();
    let mut waiting = Vec::new();
    for name in ["first", "second"] {
        let client = session(&database, name).await;
        let number = pid(&client).await;
        waiting.push(tokio::spawn(async move {
            client.batch_execute("BEGIN; LOCK TABLE t; COMMIT").await
        }));
        let in_line = format!("SELECT count(*) FROM pg_locks WHERE pid = {number} AND NOT granted");
        eventually("it stands in line", || async {
            database.value(&in_line).await.as_deref() == Some("1")
        })
        .await;
        if name == "second" {
            let seen = blockers_of(monitor.client(), number).await.unwrap();
            let find = |name: &str| {
                seen.iter()
                    .find(|one| one.application.as_deref() == Some(name))
                    .unwrap()
            };
            assert!(find("holds").ending().is_ok());
            assert_eq!(find("first").ending(), Err(Spared::Waits));
        }
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    for one in waiting {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_says_how_patient_a_phase_is_and_may_say_otherwise_later() {
    let project = adding("lock_timeout = \"40ms\"\nlock_attempts = 2\n").await;
    let preview = |more: &[&str]| {
        let mut args = vec!["run", "p", "--dry-run", "--json"];
        args.extend_from_slice(more);
        let output = project.shipctl(&args).output().unwrap();
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        value["phases"][0]["steps"][0]["lock_timeout_ms"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(preview(&[]), 40);
    assert_eq!(preview(&["--lock-timeout", "70ms"]), 70);
    let holder = idler(&project.database).await;
    let (code, rest) = Running::start(&project, &["run", "p"]).end();
    assert_eq!(code, 5);
    let tries: Vec<_> = rest
        .iter()
        .filter(|value| value["event"] == "lock-retry")
        .collect();
    assert_eq!(tries.len(), 1, "{rest:?}");
    assert_eq!(tries[0]["attempts"], 2);
    drop(holder);
    assert_eq!(Running::start(&project, &["run", "p"]).end().0, 0);

    // It does not matter to what has run.
    let plan = project.repo.read("plans/p.toml");
    project.repo.write("plans/p.toml", &plan.replace("40ms", "2s"));
    assert_eq!(Running::start(&project, &["run", "p"]).end().0, 0);
    for (value, why) in [("0s", "wait behind the statement"), ("5min", "waits behind it")] {
        project.repo.write("plans/p.toml", &plan.replace("40ms", value));
        let output = project.shipctl(&["check"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_under_a_lock_is_remarked_on_with_its_place() {
    let project = project(
        "BEGIN;\nALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT c;\nCOMMIT",
        "",
        "",
    )
    .await;
    let output = project.shipctl(&["check", "p", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let warning = &value["warnings"][0];
    assert_eq!(warning["code"], "scan-under-lock", "{value}");
    assert_eq!(warning["places"][0]["line"], 4, "{warning}");
    assert_eq!(warning["places"][1]["line"], 3, "{warning}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_build_tells_how_far_it_is_and_for_whom_it_waits() {
    let project = project(
        &format!("CREATE INDEX CONCURRENTLY \"An \"\"Index\" ON {TABLE} (name)"),
        "",
        "",
    )
    .await;
    let holder = session(&project.database, "an old snapshot").await;
    holder
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {TABLE}"
        ))
        .await
        .unwrap();
    let mut running = Running::start(&project, &["run", "p"]);
    let waits = running.until(|value| {
        value["event"] == "index-progress" && value["waits_for"].as_array().is_some_and(|who| !who.is_empty())
    });
    assert_eq!(
        (&waits["unit"], &waits["total"]),
        (&"transactions".into(), &1.into()),
        "{waits}"
    );
    assert!(
        waits["stage"].as_str().unwrap().starts_with("waiting for"),
        "{waits}"
    );
    assert!(
        waits["waits_for"][0]
            .as_str()
            .unwrap()
            .contains("`an old snapshot`"),
        "{waits}"
    );
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(running.end().0, 0);

    // For people without a terminal, a line now and then.
    project
        .database
        .execute("DROP INDEX \"Odd Schema\".\"An \"\"Index\"; DROP SCHEMA shipctl CASCADE")
        .await;
    holder
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {TABLE}"
        ))
        .await
        .unwrap();
    let output = project
        .shipctl(&["run", "p", "--cancel-blockers=1500ms"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("waiting for transactions that began before"),
        "{said}"
    );
    assert!(said.contains("closing the connection of process"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_build_that_waits_is_given_up_at_once_and_leaves_nothing_that_the_next_run_cannot_clear() {
    let index = "\"Odd Schema\".\"An \"\"Index\"";
    let project = project(
        &format!("CREATE INDEX CONCURRENTLY \"An \"\"Index\" ON {TABLE} (name)"),
        "",
        "",
    )
    .await;
    // It holds up the dropping of what is left of the index as well as its building.
    let holder = session(&project.database, "an old snapshot").await;
    holder
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {TABLE}"
        ))
        .await
        .unwrap();
    let mut running = Running::start(&project, &["run", "p"]);
    running.until(|value| {
        value["event"] == "index-progress" && value["waits_for"].as_array().is_some_and(|who| !who.is_empty())
    });
    let asked = Instant::now();
    kill_process(Pid::from_child(&running.child), Signal::INT).unwrap();
    let (code, said) = running.end();
    assert_eq!(code, 130, "{said:?}");
    assert!(asked.elapsed() < Duration::from_secs(45), "{:?}", asked.elapsed());
    assert_eq!(project.database.value(UNUSABLE).await.as_deref(), Some("1"));
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(Running::start(&project, &["run", "p"]).end().0, 0);
    assert_eq!(project.database.value(UNUSABLE).await.as_deref(), Some("0"));
    project.database.execute(&format!("DROP INDEX {index}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validation_tells_that_it_is_still_at_it() {
    let project = project(
        &format!("ALTER TABLE {TABLE} ADD CONSTRAINT c CHECK (slow(id)) NOT VALID;\nALTER TABLE {TABLE} VALIDATE CONSTRAINT c"),
        "",
        "",
    )
    .await;
    project
        .database
        .execute("CREATE FUNCTION slow(int) RETURNS bool LANGUAGE sql AS 'SELECT pg_sleep(0.03) IS NOT NULL'")
        .await;
    let mut running = Running::start(&project, &["run", "p"]);
    let still = running.event("step-running");
    assert!(still["summary"].as_str().unwrap().contains("VALIDATE"), "{still}");
    assert!(still["elapsed_ms"].as_u64().unwrap() >= 1_000, "{still}");
    assert_eq!(running.end().0, 0);
}

/// The indexes of the database that are not usable.
const UNUSABLE: &str = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_reindex_left_is_named_and_dropped_and_nothing_else() {
    let long = "l".repeat(63);
    let project = project(&format!("REINDEX TABLE CONCURRENTLY {TABLE}"), "", "").await;
    project
        .database
        .execute(&format!(
            "CREATE INDEX \"An \"\"Index\" ON {TABLE} (name); CREATE INDEX \"{long}\" ON {TABLE} (name, id);
             CREATE TABLE other (a int, b text); INSERT INTO other VALUES (1), (1)"
        ))
        .await;
    // An invalid index of another table, and one of this table that is only called alike.
    let session = project.database.session().await;
    for sql in [
        "CREATE UNIQUE INDEX CONCURRENTLY other_idx_ccnew ON other (a)".to_owned(),
        format!("INSERT INTO {TABLE} VALUES (101, 'name')"),
        format!("CREATE UNIQUE INDEX CONCURRENTLY \"Us\"\"ers_name_ccnew\" ON {TABLE} (name)"),
    ] {
        let _ = session.client().batch_execute(&sql).await;
    }
    assert_eq!(stage_of(&project, UNUSABLE).await, "2");

    let holder = session_as(&project.database.url, "an old snapshot").await;
    holder
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {TABLE}"
        ))
        .await
        .unwrap();
    let mut running = Running::start(&project, &["run", "p"]);
    running.until(|value| {
        value["event"] == "index-progress" && value["waits_for"].as_array().is_some_and(|who| !who.is_empty())
    });
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    project
        .database
        .execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE
             'REINDEX%' AND pid <> pg_backend_pid()",
        )
        .await;
    let left: u32 = stage_of(&project, UNUSABLE).await.parse().unwrap();
    assert!(left > 2, "it left {left}");
    holder.batch_execute("ROLLBACK").await.unwrap();

    let mut running = Running::start(&project, &["run", "p"]);
    let note = running.event("note");
    let message = note["message"].as_str().unwrap();
    for name in ["An \"\"Index_ccnew", "lll_ccnew", "Us\"\"ers_pkey_ccnew"] {
        assert!(message.contains(name), "{name}: {message}");
    }
    assert!(
        !message.contains("name_ccnew") && !message.contains("other"),
        "{message}"
    );
    let (code, rest) = running.end();
    assert_eq!(code, 0, "{rest:?}");
    assert_eq!(
        stage_of(&project, UNUSABLE).await,
        "2",
        "what was not its own is still there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_index_that_a_reindex_had_replaced_is_dropped_too() {
    let database = fresh_database().await;
    database
        .execute("CREATE TABLE \"T\" (a int, b text); CREATE INDEX \"I\" ON \"T\" (a); CREATE INDEX \"I_ccold\" ON \"T\" (a); CREATE INDEX \"I_ccnew1\" ON \"T\" (a); CREATE INDEX \"J_ccnew\" ON \"T\" (a)")
        .await;
    // As a crash in the last part leaves them; a valid one of such a name is somebody's own.
    database
        .execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('\"I_ccold\"'::regclass, '\"J_ccnew\"'::regclass)")
        .await;
    let session = database.session().await;
    let reindexed = CrashProbe::Reindexed {
        relation: "\"I\"".parse().unwrap(),
    };
    let answer = probe(session.client(), &reindexed).await.unwrap();
    let ProbeAnswer::Leftover(leftover) = answer else {
        panic!("{answer:?}")
    };
    let Leftover::ReindexCopies(indexes) = &leftover else {
        panic!("{leftover:?}")
    };
    let names: Vec<&str> = indexes.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["I_ccold"]);
    remove_leftover(session.client(), &leftover).await.unwrap();
    assert_eq!(
        probe(session.client(), &reindexed).await.unwrap(),
        ProbeAnswer::NotDone
    );
}

/// Clients that are no part of the fleet and read and write a row of `users` in short transactions, and wait a second at most.
struct Traffic {
    stop: Arc<AtomicBool>,
    longest: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<u64>>,
}

impl Traffic {
    async fn start(stage: &Stage, statements: &'static [&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let longest = Arc::new(AtomicU64::new(0));
        let mut clients = Vec::new();
        for number in 0..3u32 {
            let client = session(&stage.project.database, "shipctl test").await;
            client
                .batch_execute("SET lock_timeout = '1s'; SET statement_timeout = '20s'")
                .await
                .unwrap();
            let (stop, longest) = (Arc::clone(&stop), Arc::clone(&longest));
            clients.push(tokio::spawn(async move {
                let mut done = 0;
                while !stop.load(Ordering::Relaxed) {
                    for sql in statements {
                        let begun = Instant::now();
                        let sql = sql.replace("{id}", &(number + 1).to_string());
                        client.batch_execute(&sql).await.unwrap_or_else(|error| {
                            panic!("after {:?}: {sql}: {error:?}", begun.elapsed());
                        });
                        let took = u64::try_from(begun.elapsed().as_millis()).unwrap();
                        longest.fetch_max(took, Ordering::Relaxed);
                    }
                    done += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                done
            }));
        }
        Self {
            stop,
            longest,
            clients,
        }
    }

    /// Ends it; every client must have got through.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            assert!(client.await.unwrap() > 0);
        }
        self.longest.load(Ordering::Relaxed)
    }
}

/// Runs the plan as far as a phase while somebody idles in a transaction that has read the table, until some attempts at
/// every strong lock have failed; then that one leaves.
async fn through_a_phase(stage: &Stage, phase: &str, statements: &'static [&'static str]) {
    let traffic = Traffic::start(stage, statements).await;
    let holder = session(&stage.project.database, "shipctl test").await;
    holder
        .batch_execute("BEGIN; SELECT FROM users LIMIT 1")
        .await
        .unwrap();
    let mut running = Running::start(&stage.project, &["run", PLAN, "--to", phase]);
    let mut failed = 0;
    let last = running.until(|value| {
        failed += u32::from(value["event"] == "lock-retry");
        failed == 3 || value["event"] == "end"
    });
    assert_eq!(failed, 3, "{phase} was never held up: {last}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    let (code, rest) = running.end();
    assert_eq!(code, 0, "{phase}: {rest:?}");
    // That none waits longer than a second is the server's to say: it would have cut the client off.
    traffic.end().await;
}

const WRITING_OLD: &[&str] = &[
    "UPDATE users SET name = 'new' WHERE id = {id}",
    "SELECT name FROM users WHERE id = {id}",
];
const WRITING_BOTH: &[&str] = &[
    "UPDATE users SET name = 'new', display_name = 'new' WHERE id = {id}",
    "SELECT name FROM users WHERE id = {id}",
];
const WRITING_NEW: &[&str] = &[
    "UPDATE users SET display_name = 'newer' WHERE id = {id}",
    "SELECT display_name FROM users WHERE id = {id}",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_would_form_behind_a_statement_that_waits_long() {
    // The proof that the next test would notice one.
    let project = adding("").await;
    let _holder = idler(&project.database).await;
    let mut running = Running::start(&project, &["run", "p", "--lock-timeout", "1m"]);
    eventually("it stands in line", || async {
        project.database.value(IN_LINE).await.as_deref() == Some("1")
    })
    .await;
    let client = session(&project.database, "a client").await;
    client.batch_execute("SET lock_timeout = '300ms'").await.unwrap();
    let error = client
        .batch_execute(&format!("SELECT FROM {TABLE} LIMIT 1"))
        .await
        .unwrap_err();
    assert_eq!(
        error.code(),
        Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE)
    );
    running.child.kill().unwrap();
    running.child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_never_forms_behind_a_phase_that_waits() {
    let (mut stage, _) = stage(100).await;
    through_a_phase(&stage, "add", WRITING_OLD).await;
    ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "backfill"], 0);
    through_a_phase(&stage, "constrain", WRITING_BOTH).await;
    ship(&mut stage, "switch-read").await;
    through_a_phase(&stage, "relax", WRITING_BOTH).await;
    ship(&mut stage, "stop-write").await;
    command(&stage, "approve", &["drop", "--reason", "reviewed"], 0);
    through_a_phase(&stage, "drop", WRITING_NEW).await;
    assert_eq!(
        stage_value(
            &stage,
            "SELECT count(*) FROM users WHERE display_name IS NOT NULL"
        )
        .await,
        "100"
    );
}

/// Lets time pass for the facts once the run waits.
#[derive(Default)]
struct Waits(AtomicBool);

impl EventSink for Waits {
    fn event(&self, event: &Event) {
        if let Event::WaitingForBlockers { .. } = event {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_that_grew_old_during_a_wait_are_looked_at_again() {
    let (mut stage, first) = stage(10).await;
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "backfill"], 0);
    let holder = session(&stage.project.database, "shipctl test").await;
    holder
        .batch_execute("BEGIN; SELECT FROM users LIMIT 1")
        .await
        .unwrap();

    let project = shipctl::project::discover(stage.project.repo.path()).unwrap();
    let plans = shipctl::plan::load_all(&project).unwrap();
    let plan = shipctl::plan::find(&project, PLAN).unwrap();
    let connection = super::support::settings(&stage.project.database.url).unwrap();
    let waits = Waits::default();
    let clock = || {
        let passed = if waits.0.load(Ordering::Relaxed) { 45 } else { 0 };
        jiff::Timestamp::now() + jiff::SignedDuration::from_secs(passed)
    };
    let engine = Engine {
        environment: project.environments.values().next().unwrap(),
        project: &project,
        connection: &connection,
        plans: &plans,
        actor: "Ada <ada@example.org>",
        clock: &clock,
        stop: Stop::new(),
        pace: Pace::default(),
    };
    let options = RunOptions {
        to: Some("constrain".parse().unwrap()),
        locks: LockPolicy {
            wait: Some(Wait { limit: None }),
            ..LockPolicy::default()
        },
        ..RunOptions::default()
    };
    let meanwhile = async {
        eventually("it waits", || async { waits.0.load(Ordering::Relaxed) }).await;
        stage.start("web", &first).await;
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    let (outcome, ()) = tokio::join!(execute::run::run(&engine, &plan, options, &waits), meanwhile);
    let outcome = outcome.unwrap();
    let RunEnd::Closed { phases } = &outcome.end else {
        panic!("{outcome:?}")
    };
    let code = phases[0].judgement.reasons[0].code;
    assert_eq!(code, shipctl::safety::ReasonCode::OldVersionRunning);
    let steps = "SELECT count(*) FROM shipctl.events WHERE kind = 'step-finished' AND phase = 'constrain'";
    assert_eq!(
        stage_value(&stage, steps).await,
        "0",
        "no statement ran on facts from before the wait"
    );
}
