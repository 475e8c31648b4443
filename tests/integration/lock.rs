//! The run lock and retries, against real sessions that stand in the way.

use std::time::Duration;

use shipctl::domain::{EnvironmentName, Exit, PlanId};
use shipctl::postgres::retry::{self, AttemptError, FailedAttempt, Tries, Watch};
use shipctl::postgres::{LockPatience, RunLock, Session, Stop};

use crate::support::{Database, eventually, fresh_database};

fn environment() -> EnvironmentName {
    "production".parse().unwrap()
}

fn plan() -> PlanId {
    "rename-users-name".parse().unwrap()
}

fn impatient() -> LockPatience {
    LockPatience {
        attempts: 3,
        pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(40),
        ..LockPatience::default()
    }
}

#[tokio::test]
async fn a_second_run_is_refused_and_told_who_holds_the_lock() {
    let database = fresh_database().await;
    let first = RunLock::acquire(&database.settings, &environment(), &plan())
        .await
        .unwrap();
    let refused = RunLock::acquire(&database.settings, &environment(), &plan())
        .await
        .unwrap_err();
    assert_eq!((refused.code(), refused.exit()), ("run-locked", Exit::Locked));
    let why = refused.why().unwrap();
    assert!(why.contains("shipctl lock "), "{why}");
    assert!(
        why.contains(&format!("server process {}", first.backend_pid())),
        "{why}"
    );
    assert!(why.contains("since 20"), "{why}");
    // Another plan and another environment are free.
    RunLock::acquire(&database.settings, &environment(), &"other".parse().unwrap())
        .await
        .unwrap();
    RunLock::acquire(&database.settings, &"staging".parse().unwrap(), &plan())
        .await
        .unwrap();
    drop(first);
    eventually("the lock is free", || async {
        RunLock::acquire(&database.settings, &environment(), &plan())
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_run_whose_lock_session_died_changes_nothing_any_more() {
    let database = fresh_database().await;
    let lock = RunLock::acquire(&database.settings, &environment(), &plan())
        .await
        .unwrap();
    let mut worker = database.session().await;
    let transaction = worker.client_mut().transaction().await.unwrap();
    lock.assert_held(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
    database
        .execute(&format!(
            "SELECT pg_terminate_backend({}, 5000)",
            lock.backend_pid()
        ))
        .await;
    let transaction = worker.client_mut().transaction().await.unwrap();
    let lost = lock.assert_held(&transaction).await.unwrap_err();
    assert_eq!((lost.code(), lost.exit()), ("run-lock-lost", Exit::Locked));
}

#[tokio::test]
async fn a_new_run_waits_for_the_last_effect_of_one_that_died() {
    let database = fresh_database().await;
    let dead = RunLock::acquire(&database.settings, &environment(), &plan())
        .await
        .unwrap();
    let mut worker = database.session().await;
    let effect = worker.client_mut().transaction().await.unwrap();
    dead.assert_held(&effect).await.unwrap();
    database
        .execute(&format!(
            "SELECT pg_terminate_backend({}, 5000)",
            dead.backend_pid()
        ))
        .await;
    let settings = database.settings.clone();
    let next = tokio::spawn(async move { RunLock::acquire(&settings, &environment(), &plan()).await });
    eventually("the next run has the run key and waits", || async {
        let held = database
            .value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
            .await;
        held.as_deref() == Some("1")
    })
    .await;
    assert!(!next.is_finished());
    effect.commit().await.unwrap();
    let next = next.await.unwrap().unwrap();
    let transaction = worker.client_mut().transaction().await.unwrap();
    next.assert_held(&transaction).await.unwrap();
    assert!(dead.assert_held(&transaction).await.is_err());
}

#[tokio::test]
async fn several_workers_of_one_run_work_at_once() {
    let database = fresh_database().await;
    let lock = RunLock::acquire(&database.settings, &environment(), &plan())
        .await
        .unwrap();
    let (mut one, mut two) = (database.session().await, database.session().await);
    let first = one.client_mut().transaction().await.unwrap();
    let second = two.client_mut().transaction().await.unwrap();
    lock.assert_held(&first).await.unwrap();
    lock.assert_held(&second).await.unwrap();
}

/// Adds a column in one try after another, as runs do.
async fn add_column(
    database: &Database,
    session: &mut Session,
    stop: &Stop,
    mut before: impl AsyncFnMut(u32),
) -> (Result<(), AttemptError>, Vec<FailedAttempt>) {
    let monitor = database.session().await;
    let lock = RunLock::acquire(&database.settings, &environment(), &plan())
        .await
        .unwrap();
    let patience = impatient();
    let mut tries = Tries::new(&patience, stop);
    let mut failures = Vec::new();
    for attempt in 1.. {
        before(attempt).await;
        let watch = Watch {
            monitor: monitor.client(),
            worker: session.backend_pid(),
            stop,
        };
        let work = async {
            let timeout = Some(Duration::from_millis(300));
            let transaction = retry::begin(session.client_mut(), &lock, timeout).await?;
            transaction
                .batch_execute("ALTER TABLE users ADD COLUMN display_name text")
                .await?;
            Ok::<(), AttemptError>(transaction.commit().await?)
        };
        let (result, blockers) = watch.over(work).await;
        let Err(why) = result else { break };
        let after = tries.after(why, blockers, "adding the column", |failed| {
            failures.push(failed.clone());
        });
        if let Err(why) = after.await {
            return (Err(why), failures);
        }
    }
    (Ok(()), failures)
}

#[tokio::test]
async fn giving_up_names_who_stood_in_the_way() {
    let database = fresh_database().await;
    database.execute("CREATE TABLE users (name text)").await;
    let mut reader = Session::open(&database.settings, "long report").await.unwrap();
    let open = reader.client_mut().transaction().await.unwrap();
    open.batch_execute("SELECT   count(*)\n FROM users")
        .await
        .unwrap();
    let mut session = database.session().await;
    let (result, failures) = add_column(&database, &mut session, &Stop::new(), async |_| {}).await;
    let Err(AttemptError::Problem(problem)) = result else {
        panic!("{result:?}");
    };
    assert_eq!((problem.code(), problem.exit()), ("lock-not-had", Exit::Failed));
    let why = problem.why().unwrap();
    assert!(why.contains("`shipctl long report`"), "{why}");
    assert!(
        why.contains("idle in transaction") && why.contains("SELECT count(*) FROM users"),
        "{why}"
    );
    assert!(problem.remedy().unwrap().contains("pg_terminate_backend"));
    assert_eq!(failures.len(), 2, "the last attempt is the problem");
    assert!(failures.iter().all(|failed| failed.pause.is_some()));
    // The session is usable, and its own settings are as they were.
    let row = session
        .client()
        .query_one("SELECT current_setting('lock_timeout')", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "0");
}

#[tokio::test]
async fn an_attempt_succeeds_once_the_way_is_free() {
    let database = fresh_database().await;
    database.execute("CREATE TABLE users (name text)").await;
    let mut reader = database.session().await;
    let mut open = Some(reader.client_mut().transaction().await.unwrap());
    if let Some(open) = &open {
        open.batch_execute("SELECT FROM users").await.unwrap();
    }
    let mut session = database.session().await;
    let before = async |attempt| {
        if attempt == 2
            && let Some(open) = open.take()
        {
            open.rollback().await.unwrap();
        }
    };
    let (result, failures) = add_column(&database, &mut session, &Stop::new(), before).await;
    result.unwrap();
    assert_eq!(failures.len(), 1);
    database.execute("SELECT display_name FROM users").await;
}

#[tokio::test]
async fn an_error_of_the_statement_is_not_tried_again() {
    let database = fresh_database().await;
    let mut session = database.session().await;
    let (result, failures) = add_column(&database, &mut session, &Stop::new(), async |_| {}).await;
    let Err(AttemptError::Database(error)) = result else {
        panic!("{result:?}");
    };
    assert!(error.to_string().contains("users") || error.as_db_error().is_some());
    assert!(failures.is_empty());
}

#[tokio::test]
async fn a_request_to_stop_cancels_what_waits() {
    let database = fresh_database().await;
    database.execute("CREATE TABLE users (name text)").await;
    let mut reader = database.session().await;
    let open = reader.client_mut().transaction().await.unwrap();
    open.batch_execute("SELECT FROM users").await.unwrap();
    let mut session = database.session().await;
    let stop = Stop::new();
    let (result, _) = add_column(&database, &mut session, &stop, async |_| stop.request()).await;
    let Err(AttemptError::Problem(problem)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(problem.exit(), Exit::Interrupted);
}
