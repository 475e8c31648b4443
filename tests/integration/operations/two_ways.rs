//! A column that is split while old and new code write, all the way there and back; what is made of what is looked at by
//! the files of the operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::rename::{PLAN, Stage};
use crate::run::{command, run, stage_value};
use crate::support::{Database, eventually};

/// Old code knows the whole name, new code its parts.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Old,
    New,
}

/// Code that runs against the table until it is stopped.
struct Writer {
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
    task: JoinHandle<Vec<String>>,
}

impl Writer {
    /// `number` keeps the rows of writers apart; row 1 is written by all of them.
    async fn start(database: &Database, side: Side, number: i64) -> Self {
        let session = database.session().await;
        let (stop, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), writes.clone());
        let task = tokio::spawn(async move {
            let mut wrong = Vec::new();
            let mut round = 0_i64;
            while !stopped.load(Ordering::Relaxed) {
                round += 1;
                if let Err(error) = turn(session.client(), side, number, round, &mut wrong).await {
                    wrong.push(format!("{error:?}"));
                    break;
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
            wrong
        });
        Self { stop, writes, task }
    }

    async fn goes_on(&self) {
        let before = self.writes.load(Ordering::Relaxed);
        eventually("writes go on", || async {
            self.writes.load(Ordering::Relaxed) > before + 20
        })
        .await;
    }

    async fn finish(self) {
        self.goes_on().await;
        self.stop.store(true, Ordering::Relaxed);
        let wrong = self.task.await.unwrap();
        assert!(wrong.is_empty(), "{:?}", &wrong[..wrong.len().min(5)]);
    }
}

async fn turn(
    client: &Client,
    side: Side,
    number: i64,
    round: i64,
    wrong: &mut Vec<String>,
) -> Result<(), tokio_postgres::Error> {
    let (read, insert, update) = match side {
        Side::Old => (
            "SELECT name FROM users WHERE id = $1",
            "INSERT INTO users (id, name) VALUES ($1, $2 || ' ' || $3)",
            "UPDATE users SET name = $2 || ' ' || $3 WHERE id = $1",
        ),
        Side::New => (
            "SELECT first_name || ' ' || last_name FROM users WHERE id = $1",
            "INSERT INTO users (id, first_name, last_name) VALUES ($1, $2, $3)",
            "UPDATE users SET first_name = $2, last_name = $3 WHERE id = $1",
        ),
    };
    let id = number * 1_000_000 + round;
    let (first, last) = (format!("first-{number}"), format!("last-{round}"));
    client.execute(insert, &[&id, &first, &last]).await?;
    // An old row that may not be filled yet, of those that are this writer's own.
    let old = 10 + (round * 4 + number) % 4_000;
    let last = format!("{last}!");
    for row in [id, old, 1] {
        client.execute(update, &[&row, &first, &last]).await?;
    }
    let seen: String = client.query_one(read, &[&old]).await?.get(0);
    let whole = format!("{first} {last}");
    if seen != whole {
        wrong.push(format!("{old} is {seen}, not {whole}"));
    }
    client
        .execute("UPDATE users SET other = other + 1 WHERE id = $1", &[&old])
        .await?;
    client
        .execute(
            "INSERT INTO said (row, value) VALUES ($1, $3), ($2, $3)",
            &[&id, &old, &whole],
        )
        .await?;
    Ok(())
}

/// What every writer said last of its rows is what the table holds.
async fn nothing_is_lost(stage: &Stage, whole: &str) {
    let lost = format!(
        "SELECT count(*) FROM (SELECT DISTINCT ON (row) row, value FROM said ORDER BY row, number DESC) s
           LEFT JOIN users u ON u.id = s.row WHERE {whole} IS DISTINCT FROM s.value"
    );
    assert_eq!(stage_value(stage, &lost).await, "0", "{whole}");
    let untouched = format!(
        "SELECT count(*) FROM users u WHERE id BETWEEN 5000 AND 9000 AND {whole} IS DISTINCT FROM 'name ' || id"
    );
    assert_eq!(stage_value(stage, &untouched).await, "0", "{whole}");
}

async fn in_step(stage: &Stage) {
    let apart = "SELECT count(*) FROM users WHERE name IS DISTINCT FROM first_name || ' ' || last_name";
    assert_eq!(stage_value(stage, apart).await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn old_and_new_code_write_all_the_way_there_and_back() {
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
             CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, other int DEFAULT 0, CHECK (name <> ''));
             CREATE INDEX users_name ON users (name);
             INSERT INTO users SELECT n, 'name ' || n FROM generate_series(1, 9000) n;
             CREATE TABLE said (number bigserial PRIMARY KEY, row bigint, value text)",
        )
        .await;
    let (exit, out, error) = stage.run(&[
        "plan",
        "split-column",
        "users.name",
        "first_name",
        "last_name",
        "--into",
        "split_part(name, ' ', 1)",
        "--into",
        "split_part(name, ' ', 2)",
        "--from",
        "first_name || ' ' || last_name",
        "--not-null",
        "first_name",
        "--soak",
        "0s",
        "--approvals",
        "0",
        "--id",
        PLAN,
    ]);
    assert_eq!(exit, 0, "{out}{error}");
    let first = stage.release("The first release", None);
    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }

    let old = Writer::start(&stage.project.database, Side::Old, 1).await;
    old.goes_on().await;
    let switch = stage.release("Use the parts only", Some("switch"));
    run(&stage, &["--to", "add"], 0);
    // Nobody asks new code to wait for the backfill in order to write; only its reads have to.
    let new = Writer::start(&stage.project.database, Side::New, 2).await;
    run(&stage, &["--to", "backfill"], 0);
    in_step(&stage).await;
    stage
        .project
        .database
        .execute("INSERT INTO users (id, name) VALUES (77777, 'not two words')")
        .await;
    for service in ["web", "worker"] {
        stage.deploy(service, &switch).await;
    }
    old.goes_on().await;
    old.finish().await;

    // What old code wrote that does not come back stops the plan.
    let said = run(&stage, &[], 5);
    assert!(said.contains("compare") && said.contains("77777"), "{said}");
    let held = "SELECT concat_ws('|', name, first_name, last_name) FROM users WHERE id = 77777";
    assert_eq!(stage_value(&stage, held).await, "not two words|not|two");
    stage
        .project
        .database
        .execute("UPDATE users SET first_name = 'two', last_name = 'words' WHERE id = 77777")
        .await;
    run(&stage, &["--to", "compare"], 0);
    new.goes_on().await;
    run(&stage, &[], 0);
    new.goes_on().await;
    nothing_is_lost(&stage, "u.first_name || ' ' || u.last_name").await;
    let left = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'users'::regclass";
    assert_eq!(stage_value(&stage, left).await, "0");

    // Back again, while new code writes: the old column is whole, and old code may join.
    command(&stage, "rollback", &["--to", "switch"], 0);
    in_step(&stage).await;
    let old = Writer::start(&stage.project.database, Side::Old, 3).await;
    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    old.goes_on().await;
    new.finish().await;
    in_step(&stage).await;
    command(&stage, "rollback", &["--all"], 0);
    old.finish().await;
    nothing_is_lost(&stage, "u.name").await;
    let columns = "SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END, ',' ORDER BY attname)
                     FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped";
    assert_eq!(stage_value(&stage, columns).await, "id!,name!,other");
    assert_eq!(stage_value(&stage, left).await, "0");
}
