//! Reaching the database: what works, and what each failure says.

use shipctl::domain::Exit;
use shipctl::postgres::{Cluster, Session};

use crate::support::{cluster, eventually, fresh_database, settings};

#[tokio::test]
async fn a_session_has_no_time_limits_and_a_name() {
    let database = fresh_database().await;
    database
        .execute(&format!(
            "ALTER DATABASE {} SET statement_timeout = '1s'; ALTER DATABASE {} SET lock_timeout = '1s'",
            database.name, database.name
        ))
        .await;
    let session = Session::open(&database.settings, "purpose").await.unwrap();
    let row = session
        .client()
        .query_one(
            "SELECT current_setting('application_name'), current_setting('statement_timeout'),
                    current_setting('lock_timeout'), pg_backend_pid()",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "shipctl purpose");
    assert_eq!((row.get::<_, &str>(1), row.get::<_, &str>(2)), ("0", "0"));
    assert_eq!(row.get::<_, i32>(3), session.backend_pid());
    assert!(session.server_version() >= 130_000);
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let target = settings(&format!("postgres://u:hunter2@127.0.0.1:{port}/db")).unwrap();
    let problem = Session::open(&target, "test").await.unwrap_err();
    assert_eq!(
        (problem.code(), problem.exit()),
        ("database-unreachable", Exit::Unknown)
    );
    assert!(problem.message().contains(&port.to_string()));
    assert!(!format!("{problem:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_silent_server_is_unreachable_within_the_time_limit() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let target = settings(&format!("postgres://u@127.0.0.1:{port}/db?connect_timeout=1")).unwrap();
    let problem = Session::open(&target, "test").await.unwrap_err();
    assert_eq!(problem.code(), "database-unreachable");
    assert!(problem.why().unwrap().contains("within 1 s"), "{problem}");
}

#[tokio::test]
async fn an_unknown_host_is_unreachable() {
    let target = settings("postgres://u@no-such-host.invalid/db").unwrap();
    let problem = Session::open(&target, "test").await.unwrap_err();
    assert_eq!(
        (problem.code(), problem.exit()),
        ("database-unreachable", Exit::Unknown)
    );
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_a_refused_login_and_never_shown() {
    let port = cluster().port();
    for url in [
        format!("postgres://postgres:hunter2@127.0.0.1:{port}/postgres"),
        format!("postgres://postgres@127.0.0.1:{port}/postgres"),
    ] {
        let problem = Session::open(&settings(&url).unwrap(), "test").await.unwrap_err();
        assert_eq!(
            (problem.code(), problem.exit()),
            ("database-refused-login", Exit::Unknown),
            "{problem}"
        );
        assert!(!format!("{problem:?}").contains("hunter2"));
    }
    let right = settings(&cluster().tcp_url("postgres")).unwrap();
    Session::open(&right, "test").await.unwrap();
}

#[tokio::test]
async fn an_unknown_database_is_named() {
    let target = cluster().settings("no such database").unwrap();
    let problem = Session::open(&target, "test").await.unwrap_err();
    assert_eq!(
        (problem.code(), problem.exit()),
        ("database-missing", Exit::Unknown)
    );
    assert!(problem.message().contains("no such database"));
}

#[tokio::test]
async fn a_later_host_serves_when_the_first_does_not_answer() {
    let port = cluster().port();
    let target = settings(&format!(
        "host=/nonexistent,{} port={port} user=postgres dbname=postgres",
        cluster().folder().display()
    ))
    .unwrap();
    Session::open(&target, "test").await.unwrap();
}

#[tokio::test]
async fn a_cluster_stops_restarts_and_leaves_nothing_behind() {
    let cluster = Cluster::builder().throwaway().start().unwrap();
    let settings = cluster.settings("postgres").unwrap();
    let session = Session::open(&settings, "test").await.unwrap();
    session
        .client()
        .batch_execute("CREATE TABLE t (a int)")
        .await
        .unwrap();
    session.client().batch_execute("CHECKPOINT").await.unwrap();
    cluster.stop_immediately().unwrap();
    let problem = Session::open(&settings, "test").await.unwrap_err();
    assert_eq!(problem.code(), "database-unreachable");
    cluster.restart().unwrap();
    let session = Session::open(&settings, "test").await.unwrap();
    session.client().batch_execute("SELECT a FROM t").await.unwrap();
    let folder = cluster.folder().to_owned();
    drop(cluster);
    assert!(!folder.exists());
}

/// Not a test: the process that the next test kills.
#[test]
#[ignore = "started by the test below"]
fn a_process_with_a_cluster() {
    let cluster = Cluster::builder().throwaway().start().unwrap();
    let note = std::env::var_os("SHIPCTL_TEST_NOTE").unwrap();
    std::fs::write(note, cluster.folder().as_os_str().as_encoded_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[tokio::test]
async fn a_cluster_does_not_outlive_a_killed_process() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    let mut process = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "connection::a_process_with_a_cluster"])
        .env("SHIPCTL_TEST_NOTE", &note)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let noted = || std::fs::read_to_string(&note).unwrap_or_default();
    eventually("the cluster is up", || async { !noted().is_empty() }).await;
    let cluster = std::path::PathBuf::from(noted());
    let server: String = std::fs::read_to_string(cluster.join("data/postmaster.pid"))
        .unwrap()
        .lines()
        .take(1)
        .collect();
    assert!(
        std::path::Path::new("/proc").join(&server).exists() || !std::path::Path::new("/proc/self").exists()
    );
    process.kill().unwrap();
    process.wait().unwrap();
    eventually("the cluster is gone", || async {
        !cluster.exists() && !std::path::Path::new("/proc").join(&server).exists()
    })
    .await;
}
