//! Renames with `--sync trigger`: old and new code write side by side, all the way there and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shipctl::domain::CommitId;
use shipctl::plan::{PhaseDetail, Plan, SyncMode};
use shipctl::postgres::Session;
use tokio::task::JoinHandle;

use super::catalog::{
    against_the_oracle, forward, made_with, parsed, prepared, there_and_back_from_every_phase,
};
use super::rename::{PLAN, Stage};
use super::run::{command, run, stage_value};
use super::support::{Database, fresh_database};

#[tokio::test]
async fn the_catalog_is_that_of_the_one_statement_and_of_the_start_again() {
    against_the_oracle(SyncMode::Trigger).await;
}

#[tokio::test]
async fn undoing_works_from_every_phase() {
    there_and_back_from_every_phase(SyncMode::Trigger).await;
}

/// A table, and statements in which `{c}` is the column as the code at hand calls it.
struct Behaviour {
    name: &'static str,
    ddl: &'static str,
    statements: &'static [&'static str],
}

const BEHAVIOURS: [Behaviour; 7] = [
    Behaviour {
        name: "plain",
        ddl: "CREATE TABLE t (id int PRIMARY KEY, a text, other int)",
        statements: &[
            "INSERT INTO t (id, {c}) VALUES (1, 'x'), (2, NULL), (3, '')",
            "INSERT INTO t (id) VALUES (4)",
            "UPDATE t SET {c} = 'y' WHERE id = 1",
            "UPDATE t SET {c} = NULL WHERE id = 3",
            "UPDATE t SET other = 1",
            "UPDATE t SET {c} = {c} || '!' WHERE id = 1",
            "INSERT INTO t (id, {c}) VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET {c} = EXCLUDED.{c}, other = 7",
            "INSERT INTO t (id, {c}) VALUES (5, 'z') ON CONFLICT DO NOTHING",
            "DELETE FROM t WHERE id = 2",
        ],
    },
    Behaviour {
        name: "default",
        ddl: "CREATE TABLE t (id int PRIMARY KEY, a varchar(5) DEFAULT 'd $sync$'::text::varchar(5))",
        statements: &[
            "INSERT INTO t (id) VALUES (1)",
            "INSERT INTO t (id, {c}) VALUES (2, NULL)",
            "INSERT INTO t (id, {c}) VALUES (3, 'x')",
            "INSERT INTO t (id, {c}) VALUES (4, DEFAULT)",
            "UPDATE t SET {c} = DEFAULT WHERE id = 3",
        ],
    },
    Behaviour {
        name: "default and not null",
        ddl: "CREATE TABLE t (id int PRIMARY KEY, a bigint NOT NULL DEFAULT 0, other int, CHECK (a < 10), UNIQUE (a, id))",
        statements: &[
            "INSERT INTO t (id) VALUES (1)",
            "INSERT INTO t (id, {c}) VALUES (2, NULL)",
            "INSERT INTO t (id, {c}) VALUES (3, 3)",
            "UPDATE t SET {c} = NULL WHERE id = 3",
            "UPDATE t SET {c} = 11 WHERE id = 3",
            "UPDATE t SET {c} = {c} + 1",
        ],
    },
    Behaviour {
        name: "default of the moment",
        ddl: "CREATE TABLE t (id int PRIMARY KEY, a date DEFAULT now())",
        statements: &[
            "INSERT INTO t (id) VALUES (1)",
            "INSERT INTO t (id, {c}) VALUES (2, NULL)",
            "INSERT INTO t (id, {c}) VALUES (3, '2001-02-03')",
        ],
    },
    Behaviour {
        name: "images",
        ddl: "CREATE TABLE t (id int PRIMARY KEY, a numeric)",
        statements: &[
            "INSERT INTO t (id, {c}) VALUES (1, 1.0)",
            "UPDATE t SET {c} = 1.00",
        ],
    },
    Behaviour {
        name: "types without equality",
        ddl: "CREATE TABLE t (id int PRIMARY KEY, a json NOT NULL DEFAULT '{}')",
        statements: &[
            "INSERT INTO t (id, {c}) VALUES (1, '{\"a\":1}')",
            "INSERT INTO t (id) VALUES (2)",
            "UPDATE t SET {c} = '{\"a\": 1}' WHERE id = 1",
        ],
    },
    Behaviour {
        name: "another trigger",
        ddl: "CREATE TABLE t (id int PRIMARY KEY, a text, other text);
              CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS $$
              DECLARE row jsonb := to_jsonb(NEW);
              BEGIN
                NEW.other := coalesce(NEW.other, 'set');
                RETURN NEW;
              END $$;
              CREATE TRIGGER \"zz_~\" BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tidy()",
        statements: &[
            "INSERT INTO t (id, {c}) VALUES (1, 'x')",
            "UPDATE t SET {c} = 'y', other = NULL",
        ],
    },
];

async fn state(session: &Session, column: &str) -> String {
    let sql = format!(
        "SELECT coalesce(string_agg(concat_ws('|', id, coalesce({column}::text, 'NULL')), ' ' ORDER BY id), '') FROM t"
    );
    session.client().query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn each_side_behaves_as_the_column_itself_and_the_other_side_sees_it() {
    for case in BEHAVIOURS {
        for wanted in ["add", "constrain", "relax"] {
            for side in ["a", "b"] {
                if wanted == "relax" && side == "a" {
                    continue;
                }
                let (phased, plain) = (fresh_database().await, fresh_database().await);
                let phased = prepared(&phased, case.ddl).await;
                let plain = prepared(&plain, case.ddl).await;
                let plan = parsed(&made_with(&phased, "t.a", "b", SyncMode::Trigger).await.unwrap());
                up_to(&phased, &plan, wanted).await;
                for statement in case.statements {
                    let own = phased
                        .client()
                        .batch_execute(&statement.replace("{c}", side))
                        .await;
                    let one = plain.client().batch_execute(&statement.replace("{c}", "a")).await;
                    let what = format!("{}, {wanted}, {side}: {statement}", case.name);
                    let code = |result: Result<(), tokio_postgres::Error>| {
                        result.err().map(|error| error.code().unwrap().code().to_owned())
                    };
                    assert_eq!(code(own), code(one), "{what}");
                    let expected = state(&plain, "a").await;
                    assert_eq!(state(&phased, "a").await, expected, "{what}");
                    assert_eq!(state(&phased, "b").await, expected, "{what}");
                }
            }
        }
    }
}

/// Runs the phases up to this one (or the last before it, where the plan has no such phase).
async fn up_to(session: &Session, plan: &Plan, phase: &str) {
    const ORDER: [&str; 6] = ["add", "backfill", "constrain", "switch", "relax", "drop"];
    let at = |id: &str| ORDER.iter().position(|other| *other == id).unwrap();
    for one in plan.phases() {
        if at(one.id.as_str()) <= at(phase) {
            forward(session, &one.detail).await;
        }
    }
}

#[tokio::test]
async fn a_default_of_another_value_each_time_reaches_both_sides_as_one() {
    let database = fresh_database().await;
    let session = prepared(
        &database,
        "CREATE TABLE t (id int PRIMARY KEY, a uuid NOT NULL DEFAULT gen_random_uuid())",
    )
    .await;
    let recipe = made_with(&session, "t.a", "b", SyncMode::Trigger).await.unwrap();
    assert!(
        recipe.remarks[0].contains("gen_random_uuid()"),
        "{:?}",
        recipe.remarks
    );
    let plan = parsed(&recipe);
    up_to(&session, &plan, "add").await;
    let client = session.client();
    client
        .batch_execute(
            "INSERT INTO t (id) SELECT generate_series(1, 9); INSERT INTO t VALUES (10, gen_random_uuid())",
        )
        .await
        .unwrap();
    client
        .batch_execute("INSERT INTO t (id, b) VALUES (11, gen_random_uuid())")
        .await
        .unwrap();
    let same: i64 = client
        .query_one("SELECT count(DISTINCT b) FROM t WHERE a = b", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(same, 11);
    for phase in &plan.phases()[1..] {
        forward(&session, &phase.detail).await;
    }
    client
        .batch_execute("INSERT INTO t (id) VALUES (12)")
        .await
        .unwrap();
}

#[tokio::test]
async fn unrelated_updates_and_the_backfill_do_not_call_the_trigger() {
    let database = fresh_database().await;
    let session = prepared(
        &database,
        "CREATE TABLE t (id int PRIMARY KEY, a text, other int); INSERT INTO t SELECT n, 'x' FROM generate_series(1, 9) n",
    )
    .await;
    let recipe = made_with(&session, "t.a", "b", SyncMode::Trigger).await.unwrap();
    up_to(&session, &parsed(&recipe), "add").await;
    let client = session.client();
    let calls = || async {
        let sql = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_xact_user_functions WHERE funcname LIKE 'zz%'";
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    let step = |sql: &'static str| async move { client.batch_execute(sql).await.unwrap() };
    step("SET track_functions = 'all'; BEGIN").await;
    step("UPDATE t SET other = 1; UPDATE t SET a = a").await;
    assert_eq!(calls().await, 0);
    step("SET shipctl.backfill = 'on'; UPDATE t SET b = a WHERE id < 5; SET shipctl.backfill = 'off'").await;
    assert_eq!(calls().await, 0);
    step("UPDATE t SET a = 'y' WHERE id = 1").await;
    assert_eq!(calls().await, 1);
    step("COMMIT").await;
    // What logical replication brings fires it as well.
    step("SET session_replication_role = replica; INSERT INTO t (id, a) VALUES (20, 'far')").await;
    let found: Option<String> = client
        .query_one("SELECT b FROM t WHERE id = 20", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(found.as_deref(), Some("far"));
}

#[tokio::test]
async fn what_other_triggers_change_is_carried_over_and_one_that_fires_too_late_is_refused() {
    let database = fresh_database().await;
    let session = prepared(
        &database,
        "CREATE TABLE t (id int PRIMARY KEY, a text, other int);
         CREATE FUNCTION other_one() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN NEW.a := NEW.other::text; RETURN NEW; END$$;
         CREATE TRIGGER zz_u BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION other_one();
         INSERT INTO t VALUES (1, 'x', 1);",
    )
    .await;
    let recipe = made_with(&session, "t.a", "b", SyncMode::Trigger).await.unwrap();
    assert!(
        recipe.remarks.iter().any(|remark| remark.contains("zz_u")),
        "{:?}",
        recipe.remarks
    );
    up_to(&session, &parsed(&recipe), "constrain").await;
    let client = session.client();
    client.batch_execute("UPDATE t SET other = 5").await.unwrap();
    let found: (String, String) = {
        let row = client.query_one("SELECT a, b FROM t", &[]).await.unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!(found, ("5".to_owned(), "5".to_owned()));

    client
        .batch_execute("CREATE TABLE u (a text); CREATE TRIGGER \"~\" BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION other_one()")
        .await
        .unwrap();
    let refused = made_with(&session, "u.a", "b", SyncMode::Trigger)
        .await
        .unwrap_err();
    assert!(refused.why().unwrap().contains("trigger \"~\""), "{refused:?}");
}

/// Code that runs against the table, calling the column by one of its names, until it is stopped.
struct Writer {
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
    task: JoinHandle<Vec<String>>,
}

impl Writer {
    /// `number` keeps the rows of writers apart; row 1 is written by all of them.
    async fn start(database: &Database, column: &'static str, number: i64) -> Self {
        let session = database.session().await;
        let (stop, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), writes.clone());
        let task = tokio::spawn(async move {
            let mut wrong = Vec::new();
            let mut round = 0_i64;
            while !stopped.load(Ordering::Relaxed) {
                round += 1;
                if let Err(error) = Self::round(&session, column, number, round, &mut wrong).await {
                    wrong.push(format!("{column}: {error:?}"));
                    break;
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
            wrong
        });
        Self { stop, writes, task }
    }

    async fn round(
        session: &Session,
        column: &str,
        number: i64,
        round: i64,
        wrong: &mut Vec<String>,
    ) -> Result<(), tokio_postgres::Error> {
        let client = session.client();
        let id = number * 1_000_000 + round;
        let value = format!("{number}-{round}");
        let read = format!("SELECT {column} FROM users WHERE id = $1");
        let insert = format!("INSERT INTO users (id, {column}) VALUES ($1, $2)");
        client.execute(&insert, &[&id, &value]).await?;
        client
            .execute("INSERT INTO users (id) VALUES ($1)", &[&-id])
            .await?;
        let seen: String = client.query_one(&read, &[&id]).await?.get(0);
        if seen != value {
            wrong.push(format!("{column} of {id} is {seen}, not {value}"));
        }
        let changed = format!("{value}!");
        let update = format!("UPDATE users SET {column} = $2 WHERE id = $1");
        // An old row that may not be filled yet, of those that are this writer's own.
        let old = 10 + (round * 4 + number) % 4_000;
        for row in [id, old, 1] {
            client.execute(&update, &[&row, &changed]).await?;
        }
        let seen: String = client.query_one(&read, &[&old]).await?.get(0);
        if seen != changed {
            wrong.push(format!("{column} of {old} is {seen}, not {changed}"));
        }
        client
            .execute("UPDATE users SET other = other + 1 WHERE id = $1", &[&old])
            .await?;
        let log = "INSERT INTO said (row, value) VALUES ($1, $2), ($3, $2)";
        client.execute(log, &[&id, &changed, &old]).await?;
        Ok(())
    }

    /// Waits until it has written some more.
    async fn goes_on(&self) {
        let before = self.writes.load(Ordering::Relaxed);
        super::support::eventually("writes go on", || async {
            self.writes.load(Ordering::Relaxed) > before + 20
        })
        .await;
    }

    /// Stops it and demands that nothing went wrong.
    async fn finish(self) {
        self.goes_on().await;
        self.stop.store(true, Ordering::Relaxed);
        let wrong = self.task.await.unwrap();
        assert!(
            wrong.is_empty(),
            "{} things went wrong: {:?}",
            wrong.len(),
            &wrong[..wrong.len().min(5)]
        );
    }
}

/// What every writer said last of its rows is what the column holds.
async fn nothing_is_lost(stage: &Stage, column: &str) {
    let lost = format!(
        "SELECT count(*) FROM (SELECT DISTINCT ON (row) row, value FROM said ORDER BY row, number DESC) s
           LEFT JOIN users u ON u.id = s.row WHERE u.{column} IS DISTINCT FROM s.value"
    );
    assert_eq!(stage_value(stage, &lost).await, "0", "{column}");
    let left_out = format!("SELECT count(*) FROM users WHERE id < 0 AND {column} IS DISTINCT FROM 'unnamed'");
    assert_eq!(stage_value(stage, &left_out).await, "0", "{column}");
    let untouched = format!(
        "SELECT count(*) FROM users WHERE id BETWEEN 5000 AND 20000 AND {column} IS DISTINCT FROM 'name ' || id"
    );
    assert_eq!(stage_value(stage, &untouched).await, "0", "{column}");
}

async fn in_step(stage: &Stage) {
    let apart = "SELECT count(*) FROM users WHERE name IS DISTINCT FROM display_name";
    assert_eq!(stage_value(stage, apart).await, "0");
}

async fn stage() -> (Stage, CommitId) {
    let mut stage = Stage::new().await;
    for folder in ["plans", "migrations"] {
        let folder = stage.project.repo.path().join(folder);
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
    }
    stage
        .project
        .database
        .execute(
            "DROP TABLE users;
             CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL DEFAULT 'unnamed', other int DEFAULT 0,
                 CHECK (name <> ''));
             CREATE UNIQUE INDEX users_name_id ON users (lower(name), id);
             CREATE INDEX users_name ON users (name);
             INSERT INTO users SELECT n, 'name ' || n FROM generate_series(1, 20000) n;
             CREATE TABLE said (number bigserial PRIMARY KEY, row bigint, value text)",
        )
        .await;
    let args = [
        "plan",
        "rename",
        "users.name",
        "display_name",
        "--sync",
        "trigger",
        "--soak",
        "0s",
        "--approvals",
        "0",
    ];
    let (exit, out, error) = stage.run(&args);
    assert_eq!(exit, 0, "{out}{error}");
    let (exit, out, error) = stage.run(&["check"]);
    assert_eq!(exit, 0, "{out}{error}");
    assert!(!(out + &error).contains("backfill-without-writer"));
    let first = stage.release("The first release", None);
    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    (stage, first)
}

fn may_deploy(stage: &Stage, commit: &CommitId, exit: i32, reason: &str) {
    let (code, out, error) = stage.run(&["can-deploy", commit.as_str()]);
    assert_eq!(code, exit, "{out}{error}");
    assert!(out.contains(reason), "{reason}: {out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn old_and_new_code_write_all_the_way_there_and_back() {
    let (mut stage, first) = stage().await;
    let database = &stage.project.database;
    let old = Writer::start(database, "name", 1).await;
    old.goes_on().await;
    let switch = stage.release("Use the new name only", Some("switch"));
    may_deploy(&stage, &switch, 1, "schema-not-ready");
    run(&stage, &["--to", "add"], 0);
    // Nobody asks new code to wait for the backfill in order to write; only its reads have to.
    let new = Writer::start(&stage.project.database, "display_name", 2).await;
    run(&stage, &["--to", "constrain"], 0);
    in_step(&stage).await;

    // Half of the fleet goes on, comes back, and goes on again.
    may_deploy(&stage, &switch, 0, "");
    stage.deploy("web", &switch).await;
    may_deploy(&stage, &first, 0, "");
    let said = run(&stage, &[], 1);
    assert!(said.contains("old-version-running"), "{said}");
    stage.deploy("web", &first).await;
    for service in ["web", "worker"] {
        stage.deploy(service, &switch).await;
    }
    new.goes_on().await;
    may_deploy(&stage, &first, 0, "");
    old.finish().await;

    run(&stage, &["--to", "relax"], 0);
    may_deploy(&stage, &first, 1, "rollback-floor");
    new.goes_on().await;
    run(&stage, &[], 0);
    new.goes_on().await;
    nothing_is_lost(&stage, "display_name").await;
    let left = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'users'::regclass";
    assert_eq!(stage_value(&stage, left).await, "0");

    // Back again, while new code writes: the old column is whole, and old code may join.
    command(&stage, "rollback", &["--to", "switch"], 0);
    in_step(&stage).await;
    may_deploy(&stage, &first, 0, "");
    let old = Writer::start(&stage.project.database, "name", 3).await;
    old.goes_on().await;
    stage.deploy("web", &first).await;
    let said = command(&stage, "rollback", &["--all"], 1);
    assert!(said.contains("new-version-running"), "{said}");
    stage.deploy("worker", &first).await;
    new.finish().await;
    in_step(&stage).await;
    command(&stage, "rollback", &["--all"], 0);
    old.finish().await;
    nothing_is_lost(&stage, "name").await;
    let columns = "SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END, ',' ORDER BY attname)
                     FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped";
    assert_eq!(stage_value(&stage, columns).await, "id!,name!,other");
    assert_eq!(stage_value(&stage, left).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_counts_on_a_trigger_must_have_one() {
    let (stage, _) = stage().await;
    let file = format!("plans/{PLAN}.toml");
    let plan = stage.project.repo.read(&file);
    for (from, to, code) in [
        ("needs = [\"add\"]\n", "", "no-trigger"),
        (
            "synced_by = \"trigger\"",
            "synced_by = \"triger\"",
            "did you mean",
        ),
        ("sync = \"trigger\"", "sync = \"magic\"", "keeps columns in step"),
        ("synced_by = \"trigger\"\n", "", "backfill-without-writer"),
    ] {
        stage.project.repo.write(&file, &plan.replacen(from, to, 1));
        let (_, out, error) = stage.run(&["check"]);
        assert!((out.clone() + &error).contains(code), "{code}: {out}{error}");
    }
    stage.project.repo.write(&file, &plan);
    let with = stage.digest("backfill");
    let without = plan.replacen("synced_by = \"trigger\"\n", "", 1);
    stage.project.repo.write(&file, &without);
    assert_ne!(with, stage.digest("backfill"));
}

#[tokio::test]
async fn the_column_and_its_trigger_come_and_go_together() {
    let database = fresh_database().await;
    let session = prepared(&database, "CREATE TABLE t (a text NOT NULL)").await;
    let plan = parsed(&made_with(&session, "t.a", "b", SyncMode::Trigger).await.unwrap());
    for phase in plan.phases() {
        let PhaseDetail::Expand(file) = &phase.detail else {
            continue;
        };
        if phase.id.as_str() == "add" {
            assert_eq!(file.migration.up.steps.len(), 1);
            assert_eq!(file.migration.down.as_ref().unwrap().steps.len(), 1);
        }
    }
}
