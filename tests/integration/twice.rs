//! Every step that a crash may cause to be taken again is taken twice, and the second time changes nothing. (The campaign runs
//! every command of its stations twice besides.)

use std::os::unix::process::ExitStatusExt as _;

use shipctl::domain::TableName;
use shipctl::execute::crash_probe::{Leftover, ProbeAnswer, probe, remove_leftover};
use shipctl::postgres::ledger::checkpoint::{self, Checkpoint, CheckpointKey};
use shipctl::postgres::{Session, ledger};
use shipctl::sql::CrashProbe;

use super::crash::{program, slow_updates};
use super::rename::{PLAN, Stage};
use super::run::{command, run, ship, stage, stage_value};
use super::state::{difference, state};
use super::support::{Project, eventually, fresh_database};

/// Fails unless the database is as it was.
async fn is_still(session: &Session, before: &[String], what: &str) {
    let difference = difference(before, &state(session).await);
    assert!(difference.is_empty(), "{what}\n{difference}");
}

/// Runs the program, which must kill itself at this failpoint.
fn killed_at(stage: &Stage, args: &[&str], failpoint: &str) {
    let status = program(stage, args)
        .env("SHIPCTL_FAILPOINT", format!("{failpoint}=kill"))
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "{args:?} does not come by {failpoint}");
}

#[tokio::test]
async fn the_ledger_is_made() {
    let database = fresh_database().await;
    let mut session = database.session().await;
    ledger::ensure(&mut session).await.unwrap();
    let once = state(&session).await;
    ledger::ensure(&mut session).await.unwrap();
    is_still(&session, &once, "on the same session").await;
    ledger::ensure(&mut database.session().await).await.unwrap();
    is_still(&session, &once, "on another session").await;
}

#[tokio::test]
async fn an_unusable_index_is_removed() {
    let database = fresh_database().await;
    let mut session = database.session().await;
    ledger::ensure(&mut session).await.unwrap();
    let client = session.client();
    client
        .batch_execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1)")
        .await
        .unwrap();
    let before = state(&session).await;
    let build = client.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id)");
    build.await.unwrap_err();
    let index: TableName = "t_id".parse().unwrap();
    let built = CrashProbe::IndexBuilt { index: index.clone() };
    let leftover = Leftover::InvalidIndex(index);
    assert_eq!(
        probe(client, &built).await.unwrap(),
        ProbeAnswer::Leftover(leftover.clone())
    );
    for time in ["once", "twice"] {
        remove_leftover(client, &leftover).await.unwrap();
        is_still(&session, &before, time).await;
        assert_eq!(probe(client, &built).await.unwrap(), ProbeAnswer::NotDone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detachment_is_finished() {
    let database = fresh_database().await;
    let (session, reader, detacher) = (
        database.session().await,
        database.session().await,
        database.session().await,
    );
    let client = session.client();
    client
        .batch_execute(
            "CREATE TABLE p (id int) PARTITION BY RANGE (id);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
        )
        .await
        .unwrap();
    // Somebody who reads holds up the second half of the detachment, and it is cut off there.
    let read = reader.client().batch_execute("BEGIN; SELECT * FROM p");
    read.await.unwrap();
    let pid = detacher.backend_pid();
    let detaching = tokio::spawn(async move {
        let sql = "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY";
        detacher.client().batch_execute(sql).await
    });
    let (parent, partition) = ("p".parse().unwrap(), "p1".parse().unwrap());
    let detached = CrashProbe::PartitionDetached { parent, partition };
    let is_pending = || async { matches!(probe(client, &detached).await, Ok(ProbeAnswer::Leftover(_))) };
    eventually("the first half is done", is_pending).await;
    client
        .execute("SELECT pg_terminate_backend($1, 5000)", &[&pid])
        .await
        .unwrap();
    detaching.await.unwrap().unwrap_err();
    drop(reader);

    let ProbeAnswer::Leftover(leftover) = probe(client, &detached).await.unwrap() else {
        panic!("nothing is left");
    };
    remove_leftover(client, &leftover).await.unwrap();
    // Who asks first, as every caller does, has nothing to remove a second time.
    for _ in 0..2 {
        assert_eq!(probe(client, &detached).await.unwrap(), ProbeAnswer::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_plan_is_registered() {
    let (stage, _) = stage(1).await;
    let to_add = ["run", PLAN, "--to", "add"];
    let registered = "SELECT count(*) FROM shipctl.events WHERE kind = 'plan-registered'";
    killed_at(&stage, &to_add, "plan-registering");
    assert_eq!(stage_value(&stage, registered).await, "0");
    killed_at(&stage, &to_add, "plan-registered");
    assert_eq!(stage_value(&stage, registered).await, "1");
    for _ in 0..2 {
        run(&stage, &["--to", "add"], 0);
        assert_eq!(stage_value(&stage, registered).await, "1");
    }
}

#[tokio::test]
async fn a_checkpoint_is_saved() {
    let database = fresh_database().await;
    let mut session = database.session().await;
    ledger::ensure(&mut session).await.unwrap();
    let client = session.client();
    let (environment, plan, phase) = (
        "production".parse().unwrap(),
        PLAN.parse().unwrap(),
        "backfill".parse().unwrap(),
    );
    let key = CheckpointKey {
        environment: &environment,
        plan: &plan,
        phase: &phase,
        activity: "backfill",
    };
    let there = Checkpoint {
        cursor: Some(serde_json::json!({ "key": ["7"] })),
        rows_done: 7,
        rows_changed: 5,
        ..Checkpoint::default()
    };
    for _ in 0..2 {
        checkpoint::save(client, key, &there).await.unwrap();
        let (loaded, _) = checkpoint::load(client, key).await.unwrap().unwrap();
        assert_eq!(loaded, there);
    }
    for _ in 0..2 {
        checkpoint::clear(client, key).await.unwrap();
        assert_eq!(checkpoint::load(client, key).await.unwrap(), None);
    }
}

const WRONG: &str = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM name";
const WRITTEN: &str = "SELECT count(*) || ' of ' || count(DISTINCT id) FROM touched";

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_fill_goes_on_from_its_cursor() {
    let (mut stage, _) = stage(1_500).await;
    run(&stage, &["--to", "add"], 0);
    slow_updates(&stage).await;
    ship(&mut stage, "dual-write").await;
    let to_backfill = ["run", PLAN, "--to", "backfill"];
    for _ in 0..2 {
        // The rows of the batch at hand are lost with their cursor, and those before are not written again.
        killed_at(&stage, &to_backfill, "fill-cursor-saved");
        killed_at(&stage, &to_backfill, "fill-batch-committed");
    }
    for _ in 0..2 {
        run(&stage, &["--to", "backfill"], 0);
        assert_eq!(stage_value(&stage, WRONG).await, "0");
        assert_eq!(stage_value(&stage, WRITTEN).await, "1500 of 1500");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_backfill_is_verified() {
    let (mut stage, first) = stage(300).await;
    run(&stage, &["--to", "add"], 0);
    slow_updates(&stage).await;
    let dual = ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "backfill"], 0);
    assert_eq!(stage_value(&stage, WRITTEN).await, "300 of 300");
    stage.deploy("web", &first).await;
    run(&stage, &["--to", "constrain"], 1);
    stage
        .project
        .database
        .execute("INSERT INTO users (id, name) VALUES (5000, 'tainted')")
        .await;
    stage.deploy("web", &dual).await;
    // Verified to the end, but nobody knows; then verified again.
    let to_constrain = ["run", PLAN, "--to", "constrain"];
    killed_at(&stage, &to_constrain, "verification-recording");
    assert_eq!(stage_value(&stage, WRITTEN).await, "301 of 301");
    run(&stage, &["--to", "constrain"], 0);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
    assert_eq!(stage_value(&stage, WRITTEN).await, "301 of 301");
    let verified = "SELECT count(*) FROM shipctl.events WHERE kind = 'backfill-verified'";
    assert_eq!(stage_value(&stage, verified).await, "1");
}

/// A phase of which the first of two statements took effect, and the code as it was before.
async fn half_done() -> Stage {
    let (mut stage, first) = stage(10).await;
    stage.project.repo.write(
        "migrations/20261122_101501_constrain_users_display_name.sql",
        "-- UP\nALTER TABLE users ADD CONSTRAINT a CHECK (display_name <> '') NOT VALID;\n\
         CREATE INDEX CONCURRENTLY users_display_name_idx ON users (display_name);\n\
         -- DOWN\nDROP INDEX CONCURRENTLY users_display_name_idx;\nALTER TABLE users DROP CONSTRAINT a;\n",
    );
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    killed_at(&stage, &["run", PLAN, "--to", "constrain"], "outcome-recorded");
    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    stage
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn what_was_half_done_is_undone() {
    let stage = half_done().await;
    command(&stage, "rollback", &["--all"], 0);
    let once = state(&stage.project.database.session().await).await;

    // The other time everything that DOWN takes back is gone already when it runs.
    let stage = half_done().await;
    stage
        .project
        .database
        .execute("DROP INDEX users_display_name_idx; ALTER TABLE users DROP CONSTRAINT a")
        .await;
    let said = command(&stage, "rollback", &["--all"], 0);
    assert_eq!(said.matches("passed over").count(), 2, "{said}");
    let session = stage.project.database.session().await;
    is_still(&session, &once, "undone by hand before").await;
    command(&stage, "rollback", &["--all"], 0);
    is_still(&session, &once, "undone a second time").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_recorded_and_forgotten() {
    let project = Project::new("").await;
    let files = [
        (
            "0001_table",
            "-- UP\nCREATE TABLE t (id int);\n-- DOWN\nDROP TABLE t;\n",
        ),
        (
            "0002_index",
            "-- UP\nINSERT INTO t VALUES (1);\nCREATE INDEX CONCURRENTLY t_id ON t (id);\n\
             -- DOWN\nDROP INDEX CONCURRENTLY t_id;\nDELETE FROM t;\n",
        ),
    ];
    for (name, text) in files {
        project.repo.write(&format!("migrations/{name}.sql"), text);
    }
    let session = project.database.session().await;
    // A baseline of what is not applied yet records without running; of what is, it has nothing to record.
    for (args, again) in [
        (["migrate", "up"].as_slice(), ["migrate", "baseline"].as_slice()),
        (&["migrate", "down", "--steps", "2"], &["migrate", "down"]),
        (&["migrate", "baseline"], &["migrate", "up"]),
    ] {
        project.shipctl(args).assert().success();
        let once = state(&session).await;
        for again in [args, again] {
            project.shipctl(again).assert().success();
            is_still(&session, &once, &format!("{args:?}, then {again:?}")).await;
        }
    }
}
