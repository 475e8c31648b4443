//! The census against real sessions, files, programs and clocks.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use predicates::prelude::*;
use serde_json::Value;
use shipctl::observe::fleet::{Probing, probe};
use shipctl::postgres::{Session, ledger};
use shipctl::safety::{Completeness, SourceReport};

use crate::support::{Database, Project, eventually};

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

/// A session under an application name, as an application would open it. Lives until it is dropped.
pub async fn connect(database: &Database, name: &str) -> Session {
    let session = database.session().await;
    session
        .client()
        .execute("SELECT set_config('application_name', $1, false)", &[&name])
        .await
        .unwrap();
    session
}

async fn look(project: &Project, session: Option<&Session>) -> Vec<SourceReport> {
    look_at(project, session, Timestamp::now()).await
}

/// A look at a moment of the test's choice.
async fn look_at(project: &Project, session: Option<&Session>, now: Timestamp) -> Vec<SourceReport> {
    let read = shipctl::project::discover(project.repo.path()).unwrap();
    let environment = read.environments.values().next().unwrap();
    probe(&Probing {
        environment,
        root: &read.root,
        database: session,
        now,
        skew: jiff::SignedDuration::ZERO,
    })
    .await
}

fn of<'r>(reports: &'r [SourceReport], service: &str, source: &str) -> &'r SourceReport {
    reports
        .iter()
        .find(|report| report.service.as_str() == service && report.source == source)
        .unwrap()
}

fn commits(report: &SourceReport) -> Vec<&str> {
    let mut commits: Vec<&str> = report.sightings.iter().map(|one| one.commit.as_str()).collect();
    commits.sort_unstable();
    commits
}

fn doubts(report: &SourceReport) -> String {
    report
        .doubts
        .iter()
        .map(|doubt| format!("{}\n", doubt.why))
        .collect()
}

const TWO_SERVICES: &str = r#"
[[environments.production.services]]
name = "web"
source = { kind = "connections", application_name = "web@{commit}" }

[[environments.production.services]]
name = "worker"
source = { kind = "connections", application_name = "worker.{instance}@{commit}" }
"#;

#[tokio::test]
async fn connections_are_told_apart_by_name() {
    let project = Project::new(TWO_SERVICES).await;
    let database = &project.database;
    let _clients = [
        connect(database, &format!("web@{ONE}")).await,
        connect(database, &format!("web@{TWO}")).await,
        connect(database, &format!("worker.eu-1@{TWO}")).await,
        connect(database, "psql").await,
    ];
    let watcher = database.session().await;
    let reports = look(&project, Some(&watcher)).await;
    let web = of(&reports, "web", "connections");
    assert_eq!(commits(web), [ONE, TWO]);
    assert_eq!(web.completeness, Completeness::Full);
    assert_eq!(doubts(web), "");
    let worker = of(&reports, "worker", "connections");
    assert_eq!(worker.sightings[0].instance, "eu-1");
    let age = Timestamp::now().duration_since(worker.sightings[0].observed_at);
    assert!(age.abs().as_secs() < 60, "{age}");
    assert!(reports.iter().all(|report| report.strangers.is_empty()));
}

#[tokio::test]
async fn a_client_that_may_be_old_code_is_a_doubt() {
    let project = Project::new(TWO_SERVICES).await;
    let database = &project.database;
    let _named = connect(database, &format!("web@{ONE}")).await;
    let watcher = database.session().await;
    for (name, complaint) in [
        ("web", "does not say which commit"),
        ("web@", "does not say which commit"),
        ("web@abc1234", "abbreviated commit id `abc1234`"),
        ("web@v1.2.3", "`v1.2.3`, which is not a commit id"),
        ("", "no application_name"),
        ("puma: cluster worker", "`puma: cluster worker`"),
        (&format!("web@{}", "3".repeat(64)), "cut the name"),
    ] {
        let client = connect(database, name).await;
        let pid = client.backend_pid();
        let reports = look(&project, Some(&watcher)).await;
        let web = of(&reports, "web", "connections");
        assert_eq!(commits(web), [ONE], "{name}");
        assert!(doubts(web).contains(complaint), "{name}: {}", doubts(web));
        assert!(doubts(web).contains(&pid.to_string()), "{name}: {}", doubts(web));
        drop(client);
        let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        eventually("the client is gone", || async {
            database.value(&gone).await.as_deref() == Some("0")
        })
        .await;
    }
    assert_eq!(
        doubts(of(&look(&project, Some(&watcher)).await, "web", "connections")),
        ""
    );
}

#[tokio::test]
async fn undeclared_versions_are_strangers_unless_ignored() {
    let project = Project::with_config(&format!(
        "[environments.production]\ndatabase = \"env:DATABASE_URL\"\nignore_services = [\"metabase\", \"report\"]\n{TWO_SERVICES}"
    ))
    .await;
    let database = &project.database;
    let _clients = [
        connect(database, &format!("web@{ONE}")).await,
        connect(database, &format!("cron@{TWO}")).await,
        connect(database, &format!("report@{TWO}")).await,
        connect(database, "metabase").await,
    ];
    let watcher = database.session().await;
    let reports = look(&project, Some(&watcher)).await;
    let web = of(&reports, "web", "connections");
    assert_eq!(doubts(web), "");
    let names: Vec<&str> = web
        .strangers
        .iter()
        .map(|stranger| stranger.name.as_str())
        .collect();
    assert_eq!(names, ["cron"]);
}

#[tokio::test]
async fn a_role_without_privileges_sees_the_same() {
    let project = Project::new(TWO_SERVICES).await;
    let database = &project.database;
    let _clients = [
        connect(database, &format!("web@{ONE}")).await,
        connect(database, &format!("cron@{TWO}")).await,
    ];
    let watcher = database.session().await;
    let role = format!("lowly_{}", database.name);
    watcher
        .client()
        .batch_execute(&format!("CREATE ROLE {role}; SET SESSION AUTHORIZATION {role}"))
        .await
        .unwrap();
    let reports = look(&project, Some(&watcher)).await;
    let web = of(&reports, "web", "connections");
    assert_eq!(commits(web), [ONE], "{web:?}");
    assert_eq!(web.strangers.len(), 1);
}

#[tokio::test]
async fn another_source_does_not_hide_what_is_connected() {
    let project = Project::new(
        r#"
[[environments.production.services]]
name = "web"
source = { kind = "connections", application_name = "web@{commit}" }

[[environments.production.services]]
name = "worker"
source = { kind = "file", path = "worker.txt", completeness = "full" }
"#,
    )
    .await;
    project.repo.write("worker.txt", &format!("eu-1 {TWO}\n"));
    let _old = connect(&project.database, &format!("worker@{ONE}")).await;
    let watcher = project.database.session().await;
    let reports = look(&project, Some(&watcher)).await;
    assert_eq!(commits(of(&reports, "worker", "file")), [TWO]);
    let seen = of(&reports, "worker", "connections");
    assert_eq!(
        (commits(seen), seen.completeness),
        (vec![ONE], Completeness::Sample)
    );
}

#[tokio::test]
async fn a_pooler_is_noticed() {
    let project = Project::new(TWO_SERVICES).await;
    let _client = connect(&project.database, &format!("web@{ONE} - 10.0.0.1:5432")).await;
    let watcher = project.database.session().await;
    let reports = look(&project, Some(&watcher)).await;
    let web = of(&reports, "web", "connections");
    assert_eq!(
        (commits(web), web.completeness),
        (vec![ONE], Completeness::Sample)
    );
    assert!(web.limits[0].why.contains("pooler"), "{:?}", web.limits);
    project
        .shipctl(&["deployed"])
        .assert()
        .code(3)
        .stdout(predicate::str::contains(
            "a connection pooler stands between web and the database",
        ));
}

const HEARTBEAT: &str = r#"
[[environments.production.services]]
name = "web"
source = { kind = "heartbeat", ttl = "1m" }
"#;

#[tokio::test]
async fn heartbeats_count_until_their_time_is_up() {
    let project = Project::new(HEARTBEAT).await;
    let mut session = project.database.session().await;
    let reports = look(&project, Some(&session)).await;
    assert!(
        doubts(&reports[0]).contains("no ledger"),
        "{}",
        doubts(&reports[0])
    );
    ledger::ensure(&mut session).await.unwrap();
    session
        .client()
        .batch_execute(&format!(
            "INSERT INTO shipctl.heartbeats (service, instance, commit, observed_at) VALUES \
             ('web', 'a', '{ONE}', now()), ('web', 'b', '{TWO}', now() - interval '2 minutes'), \
             ('web', 'c', 'main', now()), ('worker', 'd', '{TWO}', now())"
        ))
        .await
        .unwrap();
    let reports = look(&project, Some(&session)).await;
    assert_eq!(commits(&reports[0]), [ONE]);
    let strangers: Vec<&str> = reports[0].strangers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(strangers, ["worker"]);
    assert!(
        doubts(&reports[0]).contains("instance c"),
        "{}",
        doubts(&reports[0])
    );
}

#[tokio::test]
async fn files_programs_and_references_are_read() {
    let project = Project::new(
        r#"
[[environments.production.services]]
name = "web"
sources = [
  { kind = "file", path = "versions.json", pointer = "/web", completeness = "full" },
  { kind = "command", argv = ["sh", "-c", "cat versions.txt; pwd >&2"], completeness = "sample" },
  { kind = "git-ref", reference = "live" },
]
"#,
    )
    .await;
    let json = format!("{{\"web\": [{{\"instance\": \"a\", \"commit\": \"{ONE}\"}}, \"{TWO}\"]}}");
    project.repo.write("versions.json", &json);
    project.repo.write("versions.txt", &format!("{ONE}\n"));
    let head = project.repo.commit("first");
    project.repo.git(&["tag", "--annotate", "--message", "x", "live"]);
    let reports = look(&project, None).await;
    assert_eq!(commits(of(&reports, "web", "file")), [ONE, TWO]);
    assert_eq!(commits(of(&reports, "web", "command")), [ONE]);
    let tag = of(&reports, "web", "git-ref");
    assert_eq!(
        (commits(tag), tag.completeness),
        (vec![head.as_str()], Completeness::Claim)
    );
    assert!(
        reports.iter().all(|report| report.doubts.is_empty()),
        "{reports:?}"
    );
}

#[tokio::test]
async fn a_program_is_ended_with_all_it_started_when_its_time_is_up() {
    let project = Project::new(
        r#"
[[environments.production.services]]
name = "web"
sources = [
  { kind = "command", argv = ["sh", "-c", "sleep 300 & echo $! > child; wait"], completeness = "full", timeout = "1s" },
  { kind = "command", argv = ["sh", "-c", "echo $SECRET; echo first >&2; echo no such cluster >&2; exit 3"], completeness = "full" },
  { kind = "command", argv = ["no-such-program"], completeness = "full" },
]
"#,
    )
    .await;
    let begun = Instant::now();
    let reports = look(&project, None).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(
        doubts(&reports[0]).contains("did not answer within"),
        "{}",
        doubts(&reports[0])
    );
    assert!(
        doubts(&reports[1]).contains("no such cluster"),
        "{}",
        doubts(&reports[1])
    );
    assert!(
        doubts(&reports[2]).contains("cannot start"),
        "{}",
        doubts(&reports[2])
    );
    let child = project.repo.read("child").trim().to_owned();
    eventually("the program's child is gone", || async {
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    })
    .await;
}

#[tokio::test]
async fn the_table_shows_what_runs_and_the_exit_code_says_whether_that_is_all() {
    let project = Project::new(TWO_SERVICES).await;
    let first = project.repo.commit("Write both columns");
    let _web = [
        connect(&project.database, &format!("web@{first}")).await,
        connect(&project.database, &format!("web@{first}")).await,
    ];
    project
        .shipctl(&["deployed"])
        .assert()
        .code(3)
        .stdout(predicate::str::contains("2 instances").and(predicate::str::contains("Write both columns")))
        .stdout(predicate::str::contains("none seen").and(predicate::str::contains("fix:")));

    let _worker = connect(&project.database, &format!("worker.eu@{first}")).await;
    project.shipctl(&["deployed", "--instances"]).assert().code(0);
    let output = project
        .shipctl(&["deployed", "--json"])
        .assert()
        .code(0)
        .get_output()
        .stdout
        .clone();
    let json: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(json["verdict"], "go");
    assert_eq!(json["services"][0]["instances"][0]["commit"], first.as_str());

    let _stranger = connect(&project.database, &format!("cron@{first}")).await;
    project
        .shipctl(&["deployed"])
        .assert()
        .code(3)
        .stdout(predicate::str::contains("cron"));
}

#[tokio::test]
async fn a_recorded_deployment_is_a_claim() {
    let project = Project::new(
        r#"
[[environments.production.services]]
name = "web"
source = { kind = "recorded", max_age = "1h" }
"#,
    )
    .await;
    let first = project.repo.commit("First");
    let second = project.repo.commit("Second");
    project
        .shipctl(&["deployed"])
        .assert()
        .code(3)
        .stdout(predicate::str::contains("no deployment of web was recorded"));
    project
        .shipctl(&["deployed", "record", "web", "HEAD~1", "--instance", "blue"])
        .assert()
        .success()
        .stdout(predicate::str::contains(first.short()).and(predicate::str::contains("First")));
    project
        .shipctl(&["deployed", "record", "web", "HEAD", "--instance", "green"])
        .assert()
        .success();
    let session = project.database.session().await;
    let reports = look(&project, Some(&session)).await;
    assert_eq!(reports[0].sightings.len(), 2);
    assert_eq!(reports[0].completeness, Completeness::Claim);
    // One about the whole service replaces what was said of its instances.
    project
        .shipctl(&["deployed", "record", "web", "HEAD"])
        .assert()
        .success();
    let reports = look(&project, Some(&session)).await;
    assert_eq!(commits(&reports[0]), [second.as_str()]);
    project.shipctl(&["deployed"]).assert().code(3);

    project
        .shipctl(&["deployed", "record", "web", "no-such-branch"])
        .assert()
        .code(3);
    project
        .shipctl(&["deployed", "record", "wed", "HEAD"])
        .assert()
        .code(2);
}

#[tokio::test]
async fn without_the_database_the_other_sources_still_tell() {
    let project = Project::new(
        r#"
[[environments.production.services]]
name = "web"
sources = [
  { kind = "connections", application_name = "web@{commit}" },
  { kind = "file", path = "web.txt", completeness = "full" },
]
"#,
    )
    .await;
    let first = project.repo.commit("First");
    project.repo.write("web.txt", first.as_str());
    project
        .shipctl(&["deployed"])
        .env("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/none")
        .assert()
        .code(3)
        .stdout(predicate::str::contains("First").and(predicate::str::contains("cannot be reached")))
        .stdout(predicate::str::contains("hunter2").not())
        .stderr(predicate::str::contains("hunter2").not());
}

#[tokio::test]
async fn a_version_is_gone_only_after_the_drain_window_of_its_source() {
    let project = Project::new(&HEARTBEAT.replace("\"1m\"", "\"1m\", samples = 4, over = \"2s\"")).await;
    let mut session = project.database.session().await;
    let reports = look(&project, Some(&session)).await;
    assert!(
        doubts(&reports[0]).contains("keeps no looks"),
        "{}",
        doubts(&reports[0])
    );
    ledger::ensure(&mut session).await.unwrap();
    session
        .client()
        .batch_execute(&format!(
            "INSERT INTO shipctl.heartbeats (service, instance, commit, observed_at) VALUES \
             ('web', 'a', '{ONE}', now()), ('web', 'b', '{TWO}', now())"
        ))
        .await
        .unwrap();
    let reports = look(&project, Some(&session)).await;
    assert_eq!(commits(&reports[0]), [ONE, TWO]);
    assert!(doubts(&reports[0]).contains("1 of 4"), "{}", doubts(&reports[0]));

    let gone = "DELETE FROM shipctl.heartbeats WHERE instance = 'a'";
    session.client().batch_execute(gone).await.unwrap();
    let begun = Instant::now();
    // It goes on counting as long as it was seen within the window, and nothing is proven before that is covered.
    let mut lingered = false;
    loop {
        let reports = look(&project, Some(&session)).await;
        assert_eq!(commits(&reports[0]), [TWO]);
        let late: Vec<&str> = reports[0]
            .lingering
            .iter()
            .map(|one| one.commit.as_str())
            .collect();
        if late.is_empty() && reports[0].doubts.is_empty() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", reports[0]);
        if !late.is_empty() {
            lingered = true;
            assert_eq!(late, [ONE]);
            assert!(reports[0].lingering[0].instance.contains("a, last seen"));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(lingered && begun.elapsed() >= Duration::from_millis(1_900));
    let kept: i64 = session
        .client()
        .query_one("SELECT count(*) FROM shipctl.fleet_samples", &[])
        .await
        .unwrap()
        .get(0);
    assert!((4..=20).contains(&kept), "{kept} looks were kept");

    // A role that may only read sees it covered by what others keep, but cannot go on covering it.
    let role = format!("reader_{}", project.database.name);
    session
        .client()
        .batch_execute(&format!(
            "CREATE ROLE {role}; GRANT USAGE ON SCHEMA shipctl TO {role}; \
             GRANT SELECT ON ALL TABLES IN SCHEMA shipctl TO {role}; DELETE FROM shipctl.fleet_samples; \
             SET SESSION AUTHORIZATION {role}"
        ))
        .await
        .unwrap();
    let reports = look(&project, Some(&session)).await;
    assert!(
        doubts(&reports[0]).contains("our role may not keep this look"),
        "{}",
        doubts(&reports[0])
    );
}

#[tokio::test]
async fn a_drain_window_is_as_long_as_it_says_though_not_every_look_is_kept() {
    let project = Project::new(
        r#"
[[environments.production.services]]
name = "web"
source = { kind = "command", argv = ["cat", "running"], completeness = "full", samples = 5, over = "10m" }
"#,
    )
    .await;
    let mut session = project.database.session().await;
    ledger::ensure(&mut session).await.unwrap();
    let begun = Timestamp::now();
    // One look a minute. The last that sees the old version is none that is kept, as it shows what the one before showed.
    let mut proven = None;
    for minute in 0..20 {
        let old = if minute <= 1 {
            format!("a {ONE}\n")
        } else {
            String::new()
        };
        project.repo.write("running", &format!("{old}b {TWO}\n"));
        let now = begun + Duration::from_secs(60 * minute);
        let reports = look_at(&project, Some(&session), now).await;
        if reports[0].lingering.is_empty() && reports[0].doubts.is_empty() {
            proven = proven.or(Some(minute));
        } else {
            assert_eq!(proven, None, "what was gone came back");
        }
    }
    let proven = proven.expect("it is gone in the end");
    assert!(
        (11..=12).contains(&proven),
        "gone {} minutes after it was seen last",
        proven - 1
    );
}

#[tokio::test]
async fn a_source_that_is_changed_begins_its_drain_window_anew() {
    let project = Project::new(
        r#"
[[environments.production.services]]
name = "web"
source = { kind = "command", argv = ["cat", "one"], completeness = "full", samples = 2, over = "10m" }
"#,
    )
    .await;
    let change = |from: &str, to: &str| {
        let before = project.repo.read("shipctl.toml");
        assert!(before.contains(from), "{before}");
        project.repo.write("shipctl.toml", &before.replace(from, to));
    };
    project.repo.write("one", &format!("a {ONE}\n"));
    project.repo.write("two", &format!("a {ONE}\n"));
    let mut session = project.database.session().await;
    ledger::ensure(&mut session).await.unwrap();
    let begun = Timestamp::now();
    let minute = |number: u64| begun + Duration::from_secs(60 * number);
    look_at(&project, Some(&session), begun).await;
    let reports = look_at(&project, Some(&session), minute(11)).await;
    assert_eq!(doubts(&reports[0]), "");
    // How long it may take does not decide what it sees.
    change("samples = 2", "timeout = \"6s\", samples = 2");
    let reports = look_at(&project, Some(&session), minute(12)).await;
    assert_eq!(doubts(&reports[0]), "");
    change("\"one\"", "\"two\"");
    let reports = look_at(&project, Some(&session), minute(13)).await;
    assert!(doubts(&reports[0]).contains("1 of 2"), "{}", doubts(&reports[0]));
}

#[tokio::test]
async fn each_look_remembers_the_first_and_the_last_sighting_of_a_version() {
    let project = Project::new(TWO_SERVICES).await;
    let first = project.repo.commit("First");
    let mut session = project.database.session().await;
    ledger::ensure(&mut session).await.unwrap();
    let old = connect(&project.database, &format!("web@{first}")).await;
    project.shipctl(&["deployed"]).assert().code(3);
    let known = || async {
        ledger::sightings::known(session.client(), &"production".parse().unwrap(), None)
            .await
            .unwrap()
    };
    let once = known().await;
    assert_eq!((once.len(), once[0].first_seen), (1, once[0].last.observed_at));
    project.shipctl(&["deployed"]).assert().code(3);
    let twice = known().await;
    assert_eq!(twice[0].first_seen, once[0].first_seen);
    assert!(twice[0].last.observed_at > once[0].last.observed_at);
    let pid = old.backend_pid();
    drop(old);
    let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    eventually("the client is gone", || async {
        project.database.value(&gone).await.as_deref() == Some("0")
    })
    .await;
    project.shipctl(&["deployed"]).assert().code(3);
    assert_eq!(known().await, twice);
    project
        .shipctl(&["deployed", "--explain"])
        .assert()
        .code(3)
        .stdout(predicate::str::contains("first seen").and(predicate::str::contains(first.short())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_belongs_to_no_plan_taints_as_well() {
    let (mut stage, first) = super::run::stage(10).await;
    super::run::run(&stage, &["--to", "add"], 0);
    let dual = super::run::ship(&mut stage, "dual-write").await;
    super::run::run(&stage, &["--to", "backfill"], 0);
    // Only `deployed` sees the old version, between two looks of the plan that do not.
    stage.start("web", &first).await;
    stage.run(&["deployed"]);
    stage.deploy("web", &dual).await;
    let (_, out, error) = stage.run(&["status", super::rename::PLAN]);
    assert!(out.contains(first.short()), "{out}{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_client_that_holds_a_lock_on_a_table_of_the_plan_is_a_doubt() {
    let (mut stage, _) = super::run::stage(10).await;
    super::run::run(&stage, &["--to", "add"], 0);
    super::run::ship(&mut stage, "dual-write").await;
    let gate = ["gate", super::rename::PLAN, "backfill"];
    assert_eq!(stage.run(&gate).0, 0);

    let database = &stage.project.database;
    let role = format!("etl_{}", database.name);
    database
        .execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT SELECT ON users TO {role}; CREATE TABLE other (id int); GRANT SELECT ON other TO {role}"
        ))
        .await;
    let mut config: tokio_postgres::Config = database.url.parse().unwrap();
    config.user(&role).application_name("nightly-export");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    // What it does elsewhere does not matter.
    client.batch_execute("BEGIN; SELECT FROM other").await.unwrap();
    assert_eq!(stage.run(&gate).0, 0);
    client.batch_execute("SELECT count(*) FROM users").await.unwrap();
    let pid: i32 = client
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    let (exit, out, error) = stage.run(&gate);
    let said = out + &error;
    assert_eq!(exit, 3, "{said}");
    let named = format!(
        "`nightly-export` (pid {pid}, role {role}, no address to be seen) holds a lock on users and belongs to no declared service"
    );
    assert!(said.contains(&named), "{said}");
    let (exit, out, _) = stage.run(&["deployed"]);
    assert_eq!((exit, out.contains(&named)), (3, true), "{out}");

    let config = stage.project.repo.read("shipctl.toml").replace(
        "database = \"env:DATABASE_URL\"",
        "database = \"env:DATABASE_URL\"\nignore_services = [\"nightly-export\"]",
    );
    stage.project.repo.write("shipctl.toml", &config);
    assert_eq!(stage.run(&gate).0, 0);
}

#[tokio::test]
async fn what_each_source_may_prove_is_explained() {
    let project = Project::new(
        r#"
[[environments.production.services]]
name = "web"
sources = [
  { kind = "connections", application_name = "web@{commit}" },
  { kind = "recorded", max_age = "1h" },
]

[[environments.production.services]]
name = "worker"
source = { kind = "file", path = "worker.txt", completeness = "sample" }
"#,
    )
    .await;
    let first = project.repo.commit("First");
    project.repo.write("worker.txt", first.as_str());
    project
        .shipctl(&["deployed", "record", "web", "HEAD"])
        .assert()
        .success();
    let _web = connect(&project.database, &format!("web@{first}")).await;
    project
        .shipctl(&["deployed"])
        .assert()
        .code(3)
        .stdout(predicate::str::contains(
            "shipctl deployed --env production --explain",
        ));
    project
        .shipctl(&["deployed", "--explain"])
        .assert()
        .code(3)
        .stdout(predicate::str::contains("connections, which sees every instance"))
        .stdout(predicate::str::contains("may prove that a version is gone"))
        .stdout(predicate::str::contains(
            "proves nothing, because it repeats what was said of web",
        ))
        .stdout(predicate::str::contains("what it sees is a sample of worker"))
        .stdout(predicate::str::contains("can-deploy  stays closed"));
    let output = project
        .shipctl(&["deployed", "--explain", "--json"])
        .assert()
        .code(3)
        .get_output()
        .stdout
        .clone();
    let json: Value = serde_json::from_slice(&output).unwrap();
    let web = &json["explanation"][0];
    assert_eq!(web["gates"][0]["verdict"], "go");
    assert_eq!(web["sources"][0]["proves_absence"], true);
    assert_eq!(web["sources"][1]["proves_presence"], false);
    assert_eq!(web["remembered"][0]["commit"], first.as_str());
    let worker = &json["explanation"][1];
    assert_eq!(worker["gates"][0]["verdict"], "unknown");
    assert_eq!(worker["sources"][0]["proves_absence"], false);
    project
        .shipctl(&["deployed", "--explain", "--instances"])
        .assert()
        .code(2);
}
