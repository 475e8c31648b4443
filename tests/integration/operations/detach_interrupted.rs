//! Detachments that stop in the middle: what is finished later holds nobody up, and can be undone.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use shipctl::domain::CommitId;
use shipctl::execute::crash_probe::{Leftover, ProbeAnswer, probe, remove_leftover};
use shipctl::sql::CrashProbe;
use tokio_postgres::NoTls;

use super::{SERVICES, knows, planned};
use crate::support::{Database, Project, eventually, fresh_database};

const TABLES: &str = "CREATE TABLE p (id int) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (1), (11)";

/// Detaches p1 as far as its first half.
async fn half_detached(database: &Database) -> Leftover {
    let (session, reader, detacher) = (
        database.session().await,
        database.session().await,
        database.session().await,
    );
    reader
        .client()
        .batch_execute("BEGIN; SELECT * FROM p")
        .await
        .unwrap();
    let pid = detacher.backend_pid();
    let detaching = tokio::spawn(async move {
        let sql = "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY";
        detacher.client().batch_execute(sql).await
    });
    let detached = CrashProbe::PartitionDetached {
        parent: "p".parse().unwrap(),
        partition: "p1".parse().unwrap(),
    };
    let client = session.client();
    let is_pending = || async { matches!(probe(client, &detached).await, Ok(ProbeAnswer::Leftover(_))) };
    eventually("the first half is done", is_pending).await;
    client
        .execute("SELECT pg_terminate_backend($1, 5000)", &[&pid])
        .await
        .unwrap();
    detaching.await.unwrap().unwrap_err();
    drop(reader);
    match probe(client, &detached).await.unwrap() {
        ProbeAnswer::Leftover(leftover) => leftover,
        other => panic!("{other:?} is left"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detachment_that_is_finished_waits_for_old_transactions_without_holding_up_readers() {
    if !knows(140_000, "DETACH … CONCURRENTLY").await {
        return;
    }
    let database = fresh_database().await;
    database.execute(TABLES).await;
    let leftover = half_detached(&database).await;
    // Its snapshot is older than the end of the detachment, and it reads the partition meanwhile.
    let old = database.session().await;
    old.client()
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SET LOCAL lock_timeout = '2s'")
        .await
        .unwrap();
    let finisher = database.session().await;
    let finishing = tokio::spawn(async move { remove_leftover(finisher.client(), &leftover).await });
    let reader = database.session().await;
    reader
        .client()
        .batch_execute("SET statement_timeout = '2s'")
        .await
        .unwrap();
    for _ in 0..15 {
        reader
            .client()
            .batch_execute("SELECT count(*) FROM p1")
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!finishing.is_finished());
    old.client()
        .batch_execute("SELECT count(*) FROM p1; COMMIT")
        .await
        .unwrap();
    finishing.await.unwrap().unwrap();
}

/// An instance that runs a version.
async fn instance(project: &Project, commit: &CommitId) -> tokio_postgres::Client {
    let mut config: tokio_postgres::Config = project.database.url.parse().unwrap();
    config.application_name(format!("web@{commit}"));
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_partition_is_not_taken_for_detached() {
    if !knows(140_000, "DETACH … CONCURRENTLY").await {
        return;
    }
    let project = Project::new(SERVICES).await;
    project.database.execute(TABLES).await;
    let arguments = ["detach-partition", "p", "p1", "--soak", "0s", "--approvals", "0"];
    let id = planned(&project, &arguments).id().to_string();
    let new = project.repo.commit(&format!("Let go\n\nShip-Phase: {id}/let-go"));
    let _client = instance(&project, &new).await;
    // Somebody was faster than the plan.
    project
        .database
        .execute("ALTER TABLE p DETACH PARTITION p1")
        .await;
    let output = project.shipctl(&["run", &id, "--yes"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("is not a partition of relation"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_run_that_was_killed_within_a_detachment_can_be_rolled_back() {
    if !knows(140_000, "DETACH … CONCURRENTLY").await {
        return;
    }
    let project = Project::new(SERVICES).await;
    project.database.execute(TABLES).await;
    let before = super::super::catalog::catalog(&project.database.session().await).await;
    let arguments = ["detach-partition", "p", "p1", "--soak", "0s", "--approvals", "0"];
    let plan = planned(&project, &arguments);
    let id = plan.id().to_string();
    let old = project.repo.commit("Plan it");
    project.repo.write("RELEASE", "1");
    let new = project.repo.commit(&format!("Let go\n\nShip-Phase: {id}/let-go"));
    let client = instance(&project, &new).await;
    let mut run = project.shipctl(&["run", &id, "--yes"]);
    run.env("SHIPCTL_FAILPOINT", "intent-recorded=kill");
    let status = run.output().unwrap().status;
    assert_eq!(status.signal(), Some(9));
    half_detached(&project.database).await;
    drop(client);
    let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web@{new}'");
    eventually("the new code is gone", || async {
        project.database.value(&gone).await.as_deref() == Some("0")
    })
    .await;
    let _client = instance(&project, &old).await;
    let output = project.shipctl(&["rollback", &id, "--all"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("finishing the half-finished detachment of public.p1 from public.p"),
        "{said}"
    );
    let after = super::super::catalog::catalog(&project.database.session().await).await;
    let own = |lines: Vec<String>| {
        let mut lines: Vec<String> = lines
            .into_iter()
            .filter(|line| !line.contains("shipctl."))
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(own(after), own(before));
}
