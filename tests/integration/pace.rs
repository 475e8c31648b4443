//! Runs that take long: facts grow old, and versions come and go while something is at work.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shipctl::domain::CommitId;
use shipctl::execute::{Engine, Event, EventSink, Pace, RunEnd, RunOptions, RunOutcome, Stop};
use shipctl::safety::ReasonCode;
use shipctl::{execute, plan, project};

use super::crash::slow_updates;
use super::rename::{PLAN, Stage};
use super::run::{command, run, ship, stage, stage_value};
use super::support::eventually;

/// Runs the plan in this process, with a pace and a clock of the test's own.
async fn engine(
    root: &std::path::Path,
    url: &str,
    to: &str,
    pace: Pace,
    clock: &(dyn Fn() -> Timestamp + Send + Sync),
    events: &dyn EventSink,
) -> RunOutcome {
    let project = project::discover(root).unwrap();
    let connection = super::support::settings(url).unwrap();
    let plans = plan::load_all(&project).unwrap();
    let plan = plan::find(&project, PLAN).unwrap();
    let engine = Engine {
        environment: project.environments.values().next().unwrap(),
        project: &project,
        connection: &connection,
        plans: &plans,
        actor: "Ada <ada@example.org>",
        clock: &clock,
        stop: Stop::new(),
        pace,
    };
    let options = RunOptions {
        to: Some(to.parse().unwrap()),
        ..RunOptions::default()
    };
    execute::run::run(&engine, &plan, options, events).await.unwrap()
}

fn reasons(outcome: &RunOutcome) -> Vec<ReasonCode> {
    match &outcome.end {
        RunEnd::Closed { phases } => phases
            .iter()
            .flat_map(|closed| &closed.judgement.reasons)
            .map(|reason| reason.code)
            .collect(),
        _ => Vec::new(),
    }
}

/// Lets half a minute and more pass in the moment when the first statement of the drop begins.
struct TimePasses(AtomicI64);

impl EventSink for TimePasses {
    fn event(&self, event: &Event) {
        if let Event::StepStarted { phase, .. } = event
            && phase.as_str() == "drop"
        {
            self.0.store(45, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_contract_phase_looks_again_before_each_statement_that_its_facts_are_too_old_for() {
    let (mut stage, _) = stage(10).await;
    stage.project.repo.write(
        "migrations/20261122_101503_drop_users_name.sql",
        "-- UP\nALTER TABLE users ALTER COLUMN name SET DEFAULT 'nobody';\nALTER TABLE users DROP COLUMN name;\n\
         -- DOWN\nALTER TABLE users ADD COLUMN name text;\n",
    );
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "constrain"], 0);
    let switch = ship(&mut stage, "switch-read").await;
    run(&stage, &["--to", "relax"], 0);
    ship(&mut stage, "stop-write").await;
    command(&stage, "approve", &["drop", "--reason", "reviewed"], 0);

    // The first statement waits for its lock; meanwhile a version comes back that still writes the column.
    let holder = stage.project.database.session().await;
    holder
        .client()
        .batch_execute("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE")
        .await
        .unwrap();
    let root = stage.project.repo.path().to_owned();
    let url = stage.project.database.url.clone();
    let passed = TimePasses(AtomicI64::new(0));
    let clock = || Timestamp::now() + SignedDuration::from_secs(passed.0.load(Ordering::Relaxed));
    let meanwhile = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                       AND wait_event_type = 'Lock' AND query LIKE '%SET DEFAULT%'";
        eventually("the first statement waits", || async {
            stage.project.database.value(waiting).await.as_deref() == Some("1")
        })
        .await;
        stage.start("worker", &switch).await;
        holder.client().batch_execute("ROLLBACK").await.unwrap();
    };
    let running = engine(&root, &url, "drop", Pace::default(), &clock, &passed);
    let (outcome, ()) = tokio::join!(running, meanwhile);
    assert_eq!(reasons(&outcome), [ReasonCode::OldVersionRunning]);
    let there = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'name'";
    assert_eq!(
        stage_value(&stage, there).await,
        "1",
        "the second statement did not run"
    );

    // Once it is gone, the phase goes on with the statement that is left.
    stage.leave("worker").await;
    run(&stage, &[], 0);
    assert_eq!(stage_value(&stage, there).await, "0");
    let steps = "SELECT count(*) FROM shipctl.events WHERE kind = 'step-finished' AND phase = 'drop'";
    assert_eq!(stage_value(&stage, steps).await, "2");
}

/// Looks at the fleet all the time.
fn restless() -> Pace {
    Pace {
        look_every: Duration::from_millis(30),
        ..Pace::default()
    }
}

/// The old version runs for a while, from the moment that a fill has begun until a look has seen it.
async fn intrude(stage: &mut Stage, first: &CommitId, activity: &str) {
    let database = &stage.project.database;
    let begun = format!(
        "SELECT count(*) FROM shipctl.fill_ranges WHERE activity = '{activity}' AND rows_changed > 0"
    );
    eventually("the fill has begun", || async {
        database.value(&begun).await.as_deref() == Some("1")
    })
    .await;
    let seen = format!(
        "SELECT count(*) FROM shipctl.events WHERE kind = 'fleet-observed' AND payload::text LIKE '%{first}%'"
    );
    let before = stage_value(stage, &seen).await;
    stage.start("web", first).await;
    let row =
        "INSERT INTO users (id, name) VALUES (-1, 'late') ON CONFLICT (id) DO UPDATE SET name = 'later'";
    stage.project.database.execute(row).await;
    let database = &stage.project.database;
    eventually("a look has seen it", || async {
        database.value(&seen).await != Some(before.clone())
    })
    .await;
    stage.leave("web").await;
}

const VERIFIED: &str = "SELECT count(*) FROM shipctl.events WHERE kind = 'backfill-verified'";
const WRONG: &str = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM name";

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_comes_and_goes_during_a_backfill_is_remembered_and_the_backfill_verified_again() {
    let (mut stage, first) = stage(3_000).await;
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    slow_updates(&stage).await;
    let root = stage.project.repo.path().to_owned();
    let url = stage.project.database.url.clone();
    let running = engine(&root, &url, "constrain", restless(), &Timestamp::now, &());
    let (outcome, ()) = tokio::join!(running, intrude(&mut stage, &first, "backfill"));
    assert!(matches!(outcome.end, RunEnd::Complete), "{:?}", reasons(&outcome));
    assert_eq!(stage_value(&stage, VERIFIED).await, "1");
    assert_eq!(stage_value(&stage, WRONG).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_during_which_an_old_version_ran_does_not_vouch() {
    let (mut stage, first) = stage(3_000).await;
    run(&stage, &["--to", "add"], 0);
    let dual = ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "backfill"], 0);
    stage.deploy("web", &first).await;
    run(&stage, &["--to", "constrain"], 1);
    stage
        .project
        .database
        .execute("UPDATE users SET display_name = NULL")
        .await;
    stage.deploy("web", &dual).await;
    slow_updates(&stage).await;
    let root = stage.project.repo.path().to_owned();
    let url = stage.project.database.url.clone();
    let running = engine(&root, &url, "constrain", restless(), &Timestamp::now, &());
    let (outcome, ()) = tokio::join!(running, intrude(&mut stage, &first, "refill"));
    assert_eq!(reasons(&outcome), [ReasonCode::Tainted]);
    assert_eq!(stage_value(&stage, VERIFIED).await, "0");

    stage
        .project
        .database
        .execute("DROP TRIGGER touch ON users")
        .await;
    run(&stage, &["--to", "constrain"], 0);
    assert_eq!(stage_value(&stage, VERIFIED).await, "1");
    assert_eq!(stage_value(&stage, WRONG).await, "0");
}
