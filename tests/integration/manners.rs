//! Backfills beside others: what slows them down or pauses them, that they say why, and that they go on afterwards.

use std::time::Duration;

use shipctl::postgres::Cluster;

use super::control::Watched;
use super::crash::slow_updates;
use super::rename::{PLAN, Stage};
use super::run::{command, stage_value};
use super::standby::Standby;
use super::support::eventually;

const DONE: &str =
    "SELECT coalesce(sum(rows_changed), 0) FROM shipctl.fill_ranges WHERE activity = 'backfill'";
const WRONG: &str = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM name";
const TWICE: &str = "SELECT count(*) FROM (SELECT id FROM touched GROUP BY id HAVING count(*) > 1) AS twice";

/// Fills one column of so many rows, each of which takes a while.
async fn fill(rows: u32, manners: &str, cluster: Option<&Cluster>) -> Stage {
    let mut stage = Stage::with(&format!(
        "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n\
         [environments.production.manners]\nmax_latency = \"off\"\n{manners}"
    ))
    .await;
    if let Some(cluster) = cluster {
        stage.project.database.url = cluster.url("postgres");
        stage.project.database.settings = cluster.settings("postgres").unwrap();
    }
    stage.project.repo.write(
        &format!("plans/{PLAN}.toml"),
        &format!(
            "id = \"{PLAN}\"\ntitle = \"Fill\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\n\
             table = 'users'\nset = {{ display_name = 'name' }}\n"
        ),
    );
    stage
        .project
        .database
        .execute(&format!(
            "DROP TABLE IF EXISTS users; CREATE TABLE users (id int PRIMARY KEY, name text, display_name text);
             INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, {rows}) AS i; ANALYZE users"
        ))
        .await;
    slow_updates(&stage).await;
    let mut session = stage.project.database.session().await;
    shipctl::postgres::ledger::ensure(&mut session).await.unwrap();
    stage
}

async fn done(stage: &Stage) -> u64 {
    stage_value(stage, DONE).await.parse().unwrap()
}

async fn is_under_way(stage: &Stage) {
    eventually("rows are being filled", || async { done(stage).await > 0 }).await;
}

/// Waits until the batch at hand has ended and its count stands still; the count.
async fn comes_to_rest(stage: &Stage) -> u64 {
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name LIKE 'shipctl fill %' AND state <> 'idle'";
    eventually("the batch at hand ends", || async {
        let before = done(stage).await;
        let at_work = stage_value(stage, at_work).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        at_work == "0" && done(stage).await == before
    })
    .await;
    done(stage).await
}

async fn is_right(stage: &Stage, rows: u32) {
    assert_eq!(stage_value(stage, WRONG).await, "0");
    assert_eq!(stage_value(stage, TWICE).await, "0");
    let touched = "SELECT count(*) FROM touched";
    assert_eq!(stage_value(stage, touched).await, rows.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_from_another_terminal_outlives_a_kill_and_a_restart() {
    let stage = fill(5_000, "", None).await;
    let mut first = Watched::start(&stage, &["run", PLAN], &[]);
    is_under_way(&stage).await;
    let said = command(&stage, "pause", &["--reason", "dump of the shop's \"users\""], 0);
    assert!(said.contains("the run at work"), "{said}");
    first.told("paused", "dump of the shop's \"users\"").await;
    let stands_at = comes_to_rest(&stage).await;
    assert!(stands_at < 5_000);
    first.child.kill().unwrap();
    first.child.wait().unwrap();

    let mut second = Watched::start(&stage, &["run", PLAN], &[]);
    second.told("paused", "dump of the shop's \"users\"").await;
    assert_eq!(done(&stage).await, stands_at);
    let (_, status) = stage.json(&["status", PLAN]);
    let next = &status["environments"][0]["plans"][0]["next"]["command"];
    assert_eq!(*next, format!("shipctl resume {PLAN} --env production"));
    command(&stage, "resume", &[], 0);
    second.ends_with(0);
    is_right(&stage, 5_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_in_the_middle_of_a_fill_is_resumed_by_the_same_run_and_can_be_interrupted() {
    let stage = fill(5_000, "", None).await;
    let mut first = Watched::start(&stage, &["run", PLAN], &[]);
    is_under_way(&stage).await;
    command(&stage, "pause", &[], 0);
    first.told("paused", "to go on").await;
    comes_to_rest(&stage).await;
    super::crash::interrupt(&first.child);
    first.ends_with(130);

    command(&stage, "resume", &[], 0);
    let mut second = Watched::start(&stage, &["run", PLAN], &[]);
    is_under_way(&stage).await;
    command(&stage, "pause", &[], 0);
    second.told("paused", "to go on").await;
    comes_to_rest(&stage).await;
    command(&stage, "resume", &[], 0);
    second.ends_with(0);
    let told = second.throttles();
    let paused = told.iter().position(|one| one.starts_with("paused")).unwrap();
    assert!(told[paused..].contains(&"free ".to_owned()), "{told:?}");
    is_right(&stage, 5_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_set_while_it_runs_hold_at_once_and_can_be_lifted() {
    let stage = fill(5_000, "", None).await;
    let mut run = Watched::start(&stage, &["run", PLAN], &[]);
    is_under_way(&stage).await;
    // No disk has so much.
    command(&stage, "throttle", &["--min-free-disk", "1000000TB"], 0);
    run.told("paused", "of disk space is left").await;
    let stands_at = comes_to_rest(&stage).await;
    assert!(stands_at < 5_000);
    // One limit takes the other's place, without a moment in between.
    command(
        &stage,
        "throttle",
        &["--clear", "--min-free-disk", "1000001TB", "--rest", "0.1"],
        0,
    );
    assert_eq!(comes_to_rest(&stage).await, stands_at);
    command(&stage, "throttle", &["--clear"], 0);
    run.ends_with(0);
    is_right(&stage, 5_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_wal_slows_down_or_pauses() {
    // With a cluster of its own, since all WAL counts.
    let cluster = Cluster::builder().throwaway().start().unwrap();
    let stage = fill(5_000, "max_wal_rate = \"64kB\"\n", Some(&cluster)).await;
    let mut run = Watched::start(&stage, &["run", PLAN], &[]);
    run.told("paused", "of WAL a second (limit 64kB)").await;
    command(&stage, "throttle", &["--max-wal-rate", "off"], 0);
    run.ends_with(0);
    is_right(&stage, 5_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_does_not_keep_up_pauses_the_fill_until_it_has_caught_up() {
    let cluster = Cluster::builder().throwaway().start().unwrap();
    let standby = Standby::of(&cluster).await;
    let stage = fill(8_000, "max_replication_lag = \"1s\"\n", Some(&cluster)).await;
    standby.execute("SELECT pg_wal_replay_pause()").await;
    let mut run = Watched::start(&stage, &["run", PLAN], &[]);
    run.told("paused", "behind (limit 1s)").await;
    assert!(
        run.throttles()
            .iter()
            .any(|one| one.contains("replica walreceiver lags"))
    );
    let stands_at = comes_to_rest(&stage).await;
    assert!(stands_at < 8_000, "{stands_at}");
    standby.execute("SELECT pg_wal_replay_resume()").await;
    run.ends_with(0);
    let told = run.throttles();
    let paused = told.iter().position(|one| one.starts_with("paused")).unwrap();
    assert!(
        told[paused..].iter().any(|one| !one.starts_with("paused")),
        "{told:?}"
    );
    is_right(&stage, 8_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_replica_counts_by_its_own_word_and_pauses_the_fill_while_it_cannot_be_asked() {
    let cluster = Cluster::builder().throwaway().start().unwrap();
    let standby = Standby::of(&cluster).await;
    let manners = "max_replication_lag = \"1s\"\nreplicas = [\"env:REPLICA_URL\"]\n";
    let stage = fill(8_000, manners, Some(&cluster)).await;
    let url = standby.url("postgres");
    standby.stop();
    let mut run = Watched::start(&stage, &["run", PLAN], &[("REPLICA_URL", &url)]);
    run.told("paused", "cannot be asked").await;
    assert_eq!(done(&stage).await, 0, "nothing runs before it has answered");

    standby.start();
    is_under_way(&stage).await;
    standby.execute("SELECT pg_wal_replay_pause()").await;
    run.told("paused", "behind (limit 1s)").await;
    let stands_at = comes_to_rest(&stage).await;
    assert!(stands_at < 8_000, "{stands_at}");
    standby.execute("SELECT pg_wal_replay_resume()").await;
    run.ends_with(0);
    is_right(&stage, 8_000).await;

    // Without the variable nothing can be known, and waiting would not help.
    let stage = fill(10, manners, None).await;
    let (exit, out, error) = stage.run(&["run", PLAN]);
    assert_eq!(exit, 2, "{out}{error}");
    assert!(error.contains("REPLICA_URL"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_a_primary_is_none() {
    let manners = "replicas = [\"env:DATABASE_URL\"]\n";
    let stage = fill(10, manners, None).await;
    let mut run = Watched::start(&stage, &["run", PLAN], &[]);
    run.told("paused", "it is not a replica").await;
    command(&stage, "throttle", &["--max-replication-lag", "off"], 0);
    run.ends_with(0);
    is_right(&stage, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_rows_of_the_fill_slows_it_down() {
    let stage = fill(2_000, "", None).await;
    let database = &stage.project.database;
    // Names that need quoting, on every side.
    database
        .execute(
            "DROP TRIGGER touch ON users; ALTER TABLE users RENAME TO \"Odd \"\"Users\";
             ALTER TABLE \"Odd \"\"Users\" RENAME display_name TO \"display 'name'\"",
        )
        .await;
    stage.project.repo.write(
        &format!("plans/{PLAN}.toml"),
        &format!(
            "id = \"{PLAN}\"\ntitle = \"Fill\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\n\
             table = '\"Odd \"\"Users\"'\nset = {{ \"\\\"display 'name'\\\"\" = 'name' }}\n"
        ),
    );
    // A batch takes long, and holds its rows meanwhile.
    database
        .execute(
            "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS
               $$BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END$$;
             CREATE TRIGGER nap BEFORE UPDATE ON \"Odd \"\"Users\" FOR EACH ROW EXECUTE FUNCTION nap()",
        )
        .await;
    let mut run = Watched::start(&stage, &["run", PLAN], &[]);
    let victim = database.session().await;
    victim
        .client()
        .batch_execute("SET application_name = 'web \"1\"'")
        .await
        .unwrap();
    let is_told = |run: &Watched| {
        run.throttles()
            .iter()
            .any(|one| one.contains("`web \"1\"` has waited for rows of this fill"))
    };
    let begun = std::time::Instant::now();
    while !is_told(&run) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", run.events());
        victim
            .client()
            .batch_execute("SELECT FROM \"Odd \"\"Users\" ORDER BY id FOR UPDATE")
            .await
            .unwrap();
    }
    database.execute("DROP TRIGGER nap ON \"Odd \"\"Users\"").await;
    run.ends_with(0);
    let wrong = "SELECT count(*) FROM \"Odd \"\"Users\" WHERE \"display 'name'\" IS DISTINCT FROM name";
    assert_eq!(stage_value(&stage, wrong).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_see_replicas_is_told_once_and_goes_on() {
    let cluster = Cluster::builder().throwaway().start().unwrap();
    let _standby = Standby::of(&cluster).await;
    let stage = fill(10, "", Some(&cluster)).await;
    stage
        .project
        .database
        .execute(
            "CREATE ROLE deploy LOGIN; GRANT ALL ON SCHEMA shipctl TO deploy;
             GRANT ALL ON ALL TABLES IN SCHEMA shipctl TO deploy;
             GRANT ALL ON users, touched TO deploy",
        )
        .await;
    let url = cluster
        .url("postgres")
        .replace("postgres://postgres@", "postgres://deploy@");
    let mut run = Watched::start(&stage, &["run", PLAN], &[("DATABASE_URL", &url)]);
    run.ends_with(0);
    let notes: Vec<_> = run
        .events()
        .into_iter()
        .filter(|event| event["event"] == "note")
        .filter(|event| event["message"].as_str().unwrap().contains("GRANT pg_monitor"))
        .collect();
    assert_eq!(notes.len(), 1, "{:?}", run.events());
}
