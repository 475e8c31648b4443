//! The plain migration runner against a real database.

use std::time::Duration;

use serde_json::Value;
use shipctl::postgres::Session;

use crate::support::{Project, eventually};

async fn project() -> Project {
    Project::new(
        "[[environments.production.services]]\nname = \"web\"\n\
         source = { kind = \"connections\", application_name = \"web@{commit}\" }\n",
    )
    .await
}

/// Runs the program: exit code, standard output and standard error together.
fn run(project: &Project, args: &[&str]) -> (i32, String) {
    let output = project.shipctl(args).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap(), text)
}

fn ok(project: &Project, args: &[&str]) -> String {
    let (code, text) = run(project, args);
    assert_eq!(code, 0, "{args:?}\n{text}");
    text
}

fn json(project: &Project, args: &[&str]) -> Value {
    let output = project.shipctl(args).arg("--json").output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)))
}

async fn count(project: &Project, query: &str) -> String {
    project.database.value(query).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn up_applies_in_order_and_down_undoes_the_last() {
    let project = project().await;
    project.repo.write(
        "migrations/0002_a.sql",
        "-- UP\nCREATE TABLE a (id int);\n-- DOWN\nDROP TABLE a;\n",
    );
    project
        .repo
        .write("migrations/10_b.up.sql", "INSERT INTO a VALUES (1);");
    project.repo.write("migrations/10_b.down.sql", "DELETE FROM a;");
    project
        .repo
        .write("migrations/0011_c/up.sql", "CREATE VIEW c AS SELECT id FROM a;");
    project.repo.write("migrations/0011_c/down.sql", "DROP VIEW c;");

    let before = json(&project, &["migrate", "status"]);
    assert_eq!(before["pending"], 3);
    assert_eq!(
        project
            .database
            .value("SELECT count(*)::text FROM pg_namespace WHERE nspname = 'shipctl'")
            .await
            .as_deref(),
        Some("0"),
        "looking changes nothing"
    );
    let dry = ok(&project, &["migrate", "up", "--dry-run"]);
    assert!(
        dry.contains("CREATE TABLE a (id int)") && dry.contains("ROW EXCLUSIVE on a"),
        "{dry}"
    );
    assert_eq!(json(&project, &["migrate", "status"])["pending"], 3);

    ok(&project, &["migrate", "up", "--to", "10"]);
    assert_eq!(count(&project, "SELECT count(*)::text FROM a").await, "1");
    let done = json(&project, &["migrate", "up"]);
    assert_eq!(done["applied"][0]["name"], "0011_c");
    assert_eq!(
        count(
            &project,
            "SELECT string_agg(id || '=' || name, ',' ORDER BY applied_at) FROM shipctl.migrations"
        )
        .await,
        "0002=0002_a,10=10_b,0011=0011_c"
    );
    assert!(ok(&project, &["migrate", "up"]).contains("Nothing is pending"));

    ok(&project, &["migrate", "down", "--steps", "2"]);
    assert_eq!(count(&project, "SELECT count(*)::text FROM a").await, "0");
    assert_eq!(
        count(&project, "SELECT string_agg(name, ',') FROM shipctl.migrations").await,
        "0002_a"
    );
    assert_eq!(
        count(&project, "SELECT count(*)::text FROM shipctl.migration_digests").await,
        "1"
    );
    ok(&project, &["migrate", "up"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_migration_rolls_back_alone_and_names_file_line_and_statement() {
    let project = project().await;
    project
        .repo
        .write("migrations/0001_good.sql", "-- UP\nCREATE TABLE good (id int);\n");
    project.repo.write(
        "migrations/0002_bad.sql",
        "-- UP\nCREATE TABLE half (id int);\n\nINSERT INTO half\n  VALUES (1),\n  (nonsense);\n",
    );
    project
        .repo
        .write("migrations/0003_never.sql", "CREATE TABLE never (id int);");
    let (code, text) = run(&project, &["migrate", "up"]);
    assert_eq!(code, 5, "{text}");
    assert!(
        text.contains("migrations/0002_bad.sql:6") && text.contains("INSERT INTO half"),
        "{text}"
    );
    assert_eq!(
        count(&project, "SELECT string_agg(id, ',') FROM shipctl.migrations").await,
        "0001"
    );
    assert_eq!(
        count(
            &project,
            "SELECT concat(to_regclass('good'), to_regclass('half'), to_regclass('never'))"
        )
        .await,
        "good"
    );
    // A program is told as well what was applied before.
    project
        .repo
        .write("migrations/0000_more.sql", "CREATE TABLE more (id int);");
    let output = project.shipctl(&["migrate", "up", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["verdict"], "failed");
    assert_eq!(told["applied"][0]["name"], "0000_more");
    assert_eq!(told["error"]["code"], "migration-failed");
    // A script that cannot be parsed stops everything before anything runs.
    project.repo.write(
        "migrations/0002_bad.sql",
        "CREATE TABLE fine (id int);\nCREATE TABEL x ();",
    );
    let (code, text) = run(&project, &["migrate", "up"]);
    assert_eq!(code, 2, "{text}");
    assert_eq!(
        count(
            &project,
            "SELECT count(*)::text FROM pg_class WHERE relname = 'fine'"
        )
        .await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_there_before_is_taken_over_in_its_own_style() {
    let project = project().await;
    project
        .database
        .execute(
            "CREATE TABLE migrations (id varchar PRIMARY KEY, name varchar NOT NULL, applied_at timestamp DEFAULT now());
             INSERT INTO migrations (id, name) VALUES ('0001', 'first'), ('0002', 'second'), ('0000', 'gone');
             CREATE TABLE t (id int)",
        )
        .await;
    project
        .repo
        .write("migrations/0001_first.sql", "CREATE TABLE t (id int);");
    project.repo.write("migrations/0002_second.sql", "SELECT 1/0;");
    project.repo.write(
        "migrations/0003_third.sql",
        "-- UP\nALTER TABLE t ADD COLUMN b int;\n-- DOWN\nALTER TABLE t DROP COLUMN b;\n",
    );
    let status = ok(&project, &["migrate", "status"]);
    assert!(
        status.contains("public.migrations") && status.contains("file missing"),
        "{status}"
    );
    ok(&project, &["migrate", "up"]);
    assert_eq!(
        count(
            &project,
            "SELECT string_agg(id || '=' || name, ',' ORDER BY id) FROM public.migrations"
        )
        .await,
        "0000=gone,0001=first,0002=second,0003=third"
    );
    assert_eq!(
        count(&project, "SELECT count(*)::text FROM shipctl.migrations").await,
        "0"
    );
    ok(&project, &["migrate", "down"]);
    assert_eq!(
        count(&project, "SELECT count(*)::text FROM public.migrations").await,
        "3"
    );
    let (code, text) = run(&project, &["migrate", "down"]);
    assert_eq!(code, 1, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_applied_file_is_reported_and_not_undone() {
    let project = project().await;
    let path = "migrations/0001_a.sql";
    project
        .repo
        .write(path, "-- UP\nCREATE TABLE a (id int);\n-- DOWN\nDROP TABLE a;\n");
    ok(&project, &["migrate", "up"]);
    project.repo.write(
        path,
        "-- UP\r\nCREATE TABLE a (id int);\r\n-- DOWN\r\nDROP TABLE a;\r\n",
    );
    assert_eq!(
        json(&project, &["migrate", "status"])["migrations"][0]["edited"],
        false
    );

    project.repo.write(
        path,
        "-- UP\nCREATE TABLE a (id bigint);\n-- DOWN\nDROP TABLE a;\n",
    );
    assert_eq!(
        json(&project, &["migrate", "status"])["migrations"][0]["edited"],
        true
    );
    assert!(ok(&project, &["migrate", "up"]).contains("edited after it had been applied"));
    assert_eq!(run(&project, &["migrate", "down"]).0, 1);
    ok(&project, &["migrate", "down", "--force"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_in_a_transaction_runs_step_by_step() {
    let project = project().await;
    project.repo.write(
        "migrations/0001_a.sql",
        "-- UP\nCREATE TABLE a (id int, v text);\nINSERT INTO a SELECT g, 'x' || g FROM generate_series(1, 100) g;\n\
         CREATE INDEX CONCURRENTLY a_id ON a (id);\nBEGIN;\nALTER TABLE a ADD COLUMN w int;\nUPDATE a SET w = 1 WHERE id > 0;\nCOMMIT;\n\
         VACUUM a;\n-- DOWN\nDROP INDEX CONCURRENTLY a_id;\nDROP TABLE a;\n",
    );
    ok(&project, &["migrate", "up"]);
    assert_eq!(
        count(
            &project,
            "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'a_id'::regclass"
        )
        .await,
        "true"
    );
    assert_eq!(
        count(&project, "SELECT count(*)::text FROM shipctl.checkpoints").await,
        "0"
    );
    ok(&project, &["migrate", "down"]);
    ok(&project, &["migrate", "up"]);

    // A unique index that cannot be built leaves nothing behind, and the steps before it are not repeated.
    project.repo.write(
        "migrations/0002_b.sql",
        "CREATE TABLE b (id int);\nINSERT INTO b VALUES (1), (1);\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS b_id ON b (id);\n",
    );
    let (code, text) = run(&project, &["migrate", "up"]);
    assert_eq!(code, 5, "{text}");
    assert!(
        text.contains("0002_b.sql:3") && text.contains("first 2 step(s)"),
        "{text}"
    );
    assert_eq!(
        count(
            &project,
            "SELECT count(*)::text FROM pg_class WHERE relname = 'b_id'"
        )
        .await,
        "0"
    );
    let status = json(&project, &["migrate", "status"]);
    assert_eq!(status["migrations"][1]["state"], "interrupted");
    assert_eq!(status["migrations"][1]["steps_done"], 2);
    // An unusable index of that name, such as a crash leaves, is cleared away although the script says IF NOT EXISTS.
    let session = project.database.session().await;
    let failed = session
        .client()
        .batch_execute("CREATE UNIQUE INDEX CONCURRENTLY b_id ON b (id)")
        .await;
    assert!(failed.is_err());
    project
        .database
        .execute("DELETE FROM b; INSERT INTO b VALUES (2)")
        .await;
    let text = ok(&project, &["migrate", "up"]);
    assert!(text.contains("unusable index b_id"), "{text}");
    assert_eq!(
        count(
            &project,
            "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'b_id'::regclass"
        )
        .await,
        "true"
    );
}

/// A transaction that a concurrent build has to wait for.
async fn old_snapshot(reader: &mut Session) -> tokio_postgres::Transaction<'_> {
    let snapshot = reader
        .client_mut()
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .start()
        .await
        .unwrap();
    snapshot
        .query_one("SELECT count(*) FROM pg_class", &[])
        .await
        .unwrap();
    snapshot
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_build_tells_how_far_it_is_and_for_whom_it_waits() {
    let project = project().await;
    project.repo.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a (id int);\nCREATE INDEX CONCURRENTLY a_id ON a (id);",
    );
    let mut reader = project.database.session().await;
    let snapshot = old_snapshot(&mut reader).await;
    let pid: i32 = snapshot
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    let let_go = async {
        eventually("the build waits", || async {
            count(
                &project,
                "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'",
            )
            .await
                == "1"
        })
        .await;
        // Long enough to be looked at.
        tokio::time::sleep(Duration::from_secs(1)).await;
        snapshot.commit().await.unwrap();
    };
    let at_work = tokio::task::spawn_blocking({
        let mut command = project.shipctl(&["migrate", "up"]);
        move || command.output().unwrap()
    });
    let ((), output) = tokio::join!(let_go, at_work);
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("waiting for transactions that began before")
            && said.contains(&format!("process {pid}")),
        "{said}"
    );
}

/// Starts `migrate up`, and kills it while its index is being built behind an old snapshot. With `server_too`, the server
/// process that builds dies as well, as in a crash of the machine; else it goes on by itself.
async fn interrupted_build(server_too: bool) -> (Project, String) {
    let project = project().await;
    project
        .repo
        .write("migrations/0001_a.sql", "CREATE TABLE a (id int);");
    ok(&project, &["migrate", "up"]);
    project.repo.write(
        "migrations/0002_b.sql",
        "CREATE TABLE b (id int);\nCREATE INDEX CONCURRENTLY a_id ON a (id);\nCREATE TABLE c (id int);",
    );
    let mut reader = project.database.session().await;
    let snapshot = old_snapshot(&mut reader).await;
    let mut runner = up_in_the_background(&project);
    eventually("the index is there but not valid yet", || async {
        project
            .database
            .value("SELECT indisvalid::text FROM pg_index WHERE indexrelid = to_regclass('a_id')")
            .await
            .as_deref()
            == Some("false")
    })
    .await;
    runner.kill().unwrap();
    runner.wait().unwrap();
    let sessions = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE 'shipctl lock %' AND datname = current_database()";
    eventually("the first run's session is gone", || async {
        project.database.value(sessions).await.as_deref() == Some("0")
    })
    .await;
    if server_too {
        // The cluster is shared: a neighbour's build is none of this test's business.
        let ended = "SELECT pg_terminate_backend(pid, 5000)::text FROM pg_stat_progress_create_index
                     WHERE datname = current_database()";
        assert_eq!(count(&project, ended).await, "true");
    }
    let again = up_in_the_background(&project);
    eventually("the second run has its session", || async {
        project.database.value(sessions).await.as_deref() == Some("1")
    })
    .await;
    snapshot.rollback().await.unwrap();
    let output = again.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    assert_eq!(
        count(
            &project,
            "SELECT string_agg(indisvalid::text, ',') FROM pg_index WHERE indrelid = 'a'::regclass"
        )
        .await,
        "true"
    );
    assert_eq!(
        count(
            &project,
            "SELECT string_agg(name, ',' ORDER BY id) FROM shipctl.migrations"
        )
        .await,
        "0001_a,0002_b"
    );
    assert_eq!(
        count(&project, "SELECT count(*)::text FROM shipctl.checkpoints").await,
        "0"
    );
    (project, text)
}

fn up_in_the_background(project: &Project) -> std::process::Child {
    std::process::Command::new(assert_cmd::cargo::cargo_bin!("shipctl"))
        .args(["migrate", "up"])
        .current_dir(project.repo.path())
        .env("DATABASE_URL", &project.database.url)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_the_server_still_builds_for_a_killed_run_is_waited_for() {
    let (_, text) = interrupted_build(false).await;
    assert!(text.contains("found done after an interruption"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_left_unusable_by_a_crash_is_dropped_and_built_again() {
    let (_, text) = interrupted_build(true).await;
    assert!(
        text.contains("clearing away what an earlier attempt left: the unusable index a_id"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runners_at_once_apply_everything_once() {
    let project = project().await;
    for number in 1..=4 {
        project.repo.write(
            &format!("migrations/000{number}_t.sql"),
            &format!("CREATE TABLE t{number} (id int);\nSELECT pg_sleep(0.1);"),
        );
    }
    let runners = [(); 3].map(|()| up_in_the_background(&project));
    for runner in runners {
        let output = runner.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(
        count(&project, "SELECT count(*)::text FROM shipctl.migrations").await,
        "4"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn baseline_records_without_running_and_new_goes_on_in_the_same_style() {
    let project = project().await;
    project.repo.write("migrations/001_a.sql", "SELECT 1/0;");
    project.repo.write("migrations/002_b.sql", "SELECT 1/0;");
    project
        .repo
        .write("migrations/003_c.sql", "CREATE TABLE c (id int);");
    assert_eq!(run(&project, &["migrate", "baseline", "--to", "9"]).0, 2);
    ok(&project, &["migrate", "baseline", "--to", "002_b.sql"]);
    ok(&project, &["migrate", "up"]);
    assert_eq!(
        count(
            &project,
            "SELECT string_agg(id, ',' ORDER BY id) FROM shipctl.migrations"
        )
        .await,
        "001,002,003"
    );

    let made = json(&project, &["migrate", "new", "Add", "users.email"]);
    assert_eq!(made["name"], "004_add_users_email");
    let (code, text) = run(&project, &["migrate", "up"]);
    assert_eq!(code, 2, "an empty migration is not applied by mistake: {text}");
    project.repo.write(
        "migrations/004_add_users_email.sql",
        "-- UP\nCREATE TABLE d (id int);\n-- DOWN\nDROP TABLE d;",
    );
    // One that comes late is applied, with a word about it.
    project
        .repo
        .write("migrations/0025_late.sql", "CREATE TABLE late (id int);");
    project
        .repo
        .write("migrations/000_late.sql", "CREATE TABLE first (id int);");
    let text = ok(&project, &["migrate", "up"]);
    assert!(text.contains("older than migrations that are applied"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_cannot_be_had_is_tried_again_and_its_holder_named() {
    let project = project().await;
    project.database.execute("CREATE TABLE busy (id int)").await;
    project
        .repo
        .write("migrations/0001_a.sql", "ALTER TABLE busy ADD COLUMN a int;");
    let mut holder = project.database.session().await;
    let transaction = holder.client_mut().transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE busy").await.unwrap();
    let child = up_in_the_background(&project);
    eventually("the migration waits for its lock", || async {
        project
            .database
            .value("SELECT count(*)::text FROM pg_locks WHERE NOT granted AND relation = 'busy'::regclass")
            .await
            .as_deref()
            == Some("1")
    })
    .await;
    // Longer than one attempt may wait.
    tokio::time::sleep(Duration::from_millis(1800)).await;
    transaction.rollback().await.unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("attempt 1 of 60: blocked by"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_runs_is_left_to_the_plan() {
    let project = project().await;
    project
        .repo
        .write("migrations/0001_a.sql", "CREATE TABLE a (id int);");
    project.repo.write(
        "migrations/0002_planned.sql",
        "-- UP\nALTER TABLE a ADD COLUMN b int;\n-- DOWN\nALTER TABLE a DROP COLUMN b;\n",
    );
    project.repo.write(
        "plans/p.toml",
        "id = \"p\"\ntitle = \"P\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nmigration = \"0002_planned\"\n",
    );
    ok(&project, &["migrate", "up"]);
    assert_eq!(
        count(
            &project,
            "SELECT count(*)::text FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'b'"
        )
        .await,
        "0"
    );
    let status = ok(&project, &["migrate", "status"]);
    assert!(status.contains("belongs to plan p, phase add"), "{status}");
    project.repo.write("plans/p.toml", "id = \"p\"\nnonsense = 1\n");
    assert_eq!(run(&project, &["migrate", "up"]).0, 2);
}
