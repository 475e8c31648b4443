//! The ledger's store on a real database.

use jiff::{SignedDuration, Timestamp};
use shipctl::domain::{Digest, EnvironmentName, Exit, PhaseId, PlanId};
use shipctl::ledger::Record;
use shipctl::postgres::ledger::checkpoint::{self, Checkpoint, CheckpointKey};
use shipctl::postgres::{Session, ledger};

use crate::support::{fresh_database, settings};

fn environment() -> EnvironmentName {
    "production".parse().unwrap()
}

fn plan() -> PlanId {
    "rename-users-name".parse().unwrap()
}

fn phase() -> PhaseId {
    "add".parse().unwrap()
}

fn approval(reason: &str) -> Record {
    Record::Approved {
        phase: phase(),
        reason: reason.to_owned(),
        digest: Digest::of("x"),
    }
}

#[tokio::test]
async fn many_programs_at_once_make_one_ledger() {
    let database = fresh_database().await;
    assert!(!ledger::exists(database.session().await.client()).await.unwrap());
    let makers = (0..8).map(|_| async {
        let mut session = database.session().await;
        ledger::ensure(&mut session).await
    });
    for made in futures_util::future::join_all(makers).await {
        made.unwrap();
    }
    let session = database.session().await;
    assert!(ledger::exists(session.client()).await.unwrap());
    let versions = database
        .value("SELECT count(*) FROM shipctl.ledger_versions")
        .await;
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = std::fs::read_dir(files).unwrap().count();
    assert_eq!(versions, Some(files.to_string()));
}

#[tokio::test]
async fn records_come_back_in_order_and_by_plan() {
    let database = fresh_database().await;
    let mut session = database.session().await;
    let (environment, plan) = (environment(), plan());
    let client = session.client();
    assert!(ledger::read(client, &environment, None).await.unwrap().is_empty());
    ledger::ensure(&mut session).await.unwrap();
    let client = session.client();
    for (plan, reason) in [(Some(&plan), "one"), (None, "two"), (Some(&plan), "three")] {
        ledger::append(client, &environment, plan, "Ada", &approval(reason))
            .await
            .unwrap();
    }
    let all = ledger::read(client, &environment, None).await.unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted_by_key(|stored| stored.sequence));
    let of_plan = ledger::read(client, &environment, Some(&plan)).await.unwrap();
    let records: Vec<&Record> = of_plan.iter().map(|stored| &stored.record).collect();
    assert_eq!(records, [&approval("one"), &approval("three")]);
    assert_eq!(of_plan[0].actor, "Ada");
    let elsewhere = "staging".parse().unwrap();
    assert!(ledger::read(client, &elsewhere, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_log_is_append_only() {
    let database = fresh_database().await;
    let mut session = database.session().await;
    ledger::ensure(&mut session).await.unwrap();
    ledger::append(session.client(), &environment(), None, "Ada", &approval("one"))
        .await
        .unwrap();
    for attack in [
        "UPDATE shipctl.events SET actor = 'Mallory'",
        "DELETE FROM shipctl.events",
        "TRUNCATE shipctl.events",
        "SET session_replication_role = replica; DELETE FROM shipctl.events",
    ] {
        let error = session.client().batch_execute(attack).await.unwrap_err();
        let message = error.as_db_error().unwrap().message().to_owned();
        assert!(message.contains("append-only"), "{attack}: {message}");
    }
}

#[tokio::test]
async fn a_record_or_ledger_of_a_newer_program_is_refused() {
    let database = fresh_database().await;
    let mut session = database.session().await;
    ledger::ensure(&mut session).await.unwrap();
    database
        .execute(
            "INSERT INTO shipctl.events (environment, kind, actor, payload)
             VALUES ('production', 'teleported', 'Ada', '{\"record\": \"teleported\"}')",
        )
        .await;
    let problem = ledger::read(session.client(), &environment(), None)
        .await
        .unwrap_err();
    assert_eq!(problem.code(), "ledger-newer");
    assert!(problem.why().unwrap().contains("teleported"));
    database
        .execute("INSERT INTO shipctl.ledger_versions (id, name) VALUES ('9999', 'later')")
        .await;
    let problem = ledger::ensure(&mut session).await.unwrap_err();
    assert_eq!(problem.code(), "ledger-newer");
}

#[tokio::test]
async fn a_checkpoint_is_part_of_its_transaction() {
    let database = fresh_database().await;
    let mut session = database.session().await;
    ledger::ensure(&mut session).await.unwrap();
    let (environment, plan, phase) = (environment(), plan(), phase());
    let key = CheckpointKey {
        environment: &environment,
        plan: &plan,
        phase: &phase,
        activity: "backfill",
    };
    let first = Checkpoint {
        cursor: Some(serde_json::json!(["42"])),
        rows_done: 42,
        rows_changed: 40,
        ..Checkpoint::default()
    };
    checkpoint::save(session.client(), key, &first).await.unwrap();
    let transaction = session.client_mut().transaction().await.unwrap();
    let second = Checkpoint {
        rows_done: 84,
        ..first.clone()
    };
    checkpoint::save(&transaction, key, &second).await.unwrap();
    transaction.rollback().await.unwrap();
    let (loaded, _) = checkpoint::load(session.client(), key).await.unwrap().unwrap();
    assert_eq!(loaded, first);
    checkpoint::clear(session.client(), key).await.unwrap();
    assert!(checkpoint::load(session.client(), key).await.unwrap().is_none());
}

#[tokio::test]
async fn heartbeats_age_by_the_databases_clock() {
    let database = fresh_database().await;
    let mut session = database.session().await;
    let minute = SignedDuration::from_secs(60);
    assert!(
        ledger::recent_heartbeats(session.client(), "web", minute)
            .await
            .unwrap()
            .is_empty()
    );
    ledger::ensure(&mut session).await.unwrap();
    database
        .execute(
            "INSERT INTO shipctl.heartbeats (service, instance, commit, observed_at)
             VALUES ('web', 'new', 'abc', now()), ('web', 'gone', 'abc', now() - interval '2 minutes'),
                    ('worker', 'new', 'abc', now())",
        )
        .await;
    let beats = ledger::recent_heartbeats(session.client(), "web", minute)
        .await
        .unwrap();
    assert_eq!(beats.len(), 1);
    assert_eq!(beats[0].instance, "new");
    assert!(Timestamp::now().duration_since(beats[0].observed_at) < minute);
}

#[tokio::test]
async fn a_role_without_permission_is_told_what_to_grant() {
    let database = fresh_database().await;
    let role = format!("{}_reader", database.name);
    database.execute(&format!("CREATE ROLE {role} LOGIN")).await;
    let url = database.url.replacen("postgres@", &format!("{role}@"), 1);
    let mut stranger = Session::open(&settings(&url).unwrap(), "test").await.unwrap();
    let problem = ledger::ensure(&mut stranger).await.unwrap_err();
    assert_eq!(
        (problem.code(), problem.exit()),
        ("ledger-permission", Exit::Failed)
    );
    assert!(
        problem
            .remedy()
            .unwrap()
            .contains("CREATE SCHEMA shipctl AUTHORIZATION")
    );

    ledger::ensure(&mut database.session().await).await.unwrap();
    let problem = ledger::read(stranger.client(), &environment(), None)
        .await
        .unwrap_err();
    assert_eq!(
        (problem.code(), problem.exit()),
        ("ledger-permission", Exit::Unknown)
    );
    assert!(problem.remedy().unwrap().contains("GRANT SELECT"));

    database
        .execute(&format!(
            "GRANT USAGE ON SCHEMA shipctl TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA shipctl TO {role}"
        ))
        .await;
    ledger::read(stranger.client(), &environment(), None)
        .await
        .unwrap();
    let problem = ledger::append(stranger.client(), &environment(), None, "x", &approval("x"))
        .await
        .unwrap_err();
    assert_eq!(
        (problem.code(), problem.exit()),
        ("ledger-permission", Exit::Failed)
    );
}
