//! A change of type by a second column, carried out while code writes, all the way there and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinHandle;

use crate::rename::{PLAN, Stage};
use crate::run::{command, run, stage_value};
use crate::support::{Database, eventually};

/// Code that writes and reads the column, whichever type it is of, until it is stopped.
struct Writer {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    task: JoinHandle<Result<(), String>>,
}

impl Writer {
    async fn start(database: &Database) -> Self {
        let session = database.session().await;
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), rounds.clone());
        let task = tokio::spawn(async move {
            let mut round = 0_i64;
            while !stopped.load(Ordering::Relaxed) {
                round += 1;
                let (id, old) = (1_000_000 + round, 1 + round * 7 % 15_000);
                let write = format!(
                    "INSERT INTO orders (id, amount) VALUES ({id}, {round}); INSERT INTO orders (id) VALUES (-{id});
                     UPDATE orders SET amount = {round} + 1 WHERE id IN ({id}, {old});
                     UPDATE orders SET other = other + 1 WHERE id = {old} + 1;
                     INSERT INTO said (row, value) VALUES ({id}, {round} + 1), ({old}, {round} + 1)"
                );
                let write = session.client().batch_execute(&write).await;
                write.map_err(|error| format!("round {round}: {error:?}"))?;
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self { stop, rounds, task }
    }

    async fn goes_on(&self) {
        let before = self.rounds.load(Ordering::Relaxed);
        eventually("writes go on", || async {
            self.task.is_finished() || self.rounds.load(Ordering::Relaxed) > before + 20
        })
        .await;
    }

    async fn finish(self) {
        self.goes_on().await;
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap().unwrap();
    }
}

/// What was said last of a row is what it holds, and the rows that nobody touched hold what they did.
async fn nothing_is_lost(stage: &Stage) {
    let lost =
        "SELECT count(*) FROM (SELECT DISTINCT ON (row) row, value FROM said ORDER BY row, number DESC) s
                  LEFT JOIN orders o ON o.id = s.row WHERE o.amount IS DISTINCT FROM s.value";
    assert_eq!(stage_value(stage, lost).await, "0");
    let others =
        "SELECT count(*) FROM orders WHERE (id BETWEEN 15001 AND 20000 AND amount IS DISTINCT FROM id)
                     OR (id < 0 AND amount IS DISTINCT FROM 7)";
    assert_eq!(stage_value(stage, others).await, "0");
}

async fn columns(stage: &Stage) -> String {
    let columns = "SELECT string_agg(concat(attname, ' ', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN '!' END),
                                     ', ' ORDER BY attname)
                     FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped";
    stage_value(stage, columns).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn code_writes_all_the_way_there_and_back() {
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
            "CREATE TABLE orders (id bigint PRIMARY KEY, amount int NOT NULL DEFAULT 7 CHECK (amount > 0), other int DEFAULT 0);
             CREATE INDEX orders_amount ON orders (amount);
             CREATE UNIQUE INDEX orders_both ON orders (amount, id);
             INSERT INTO orders SELECT n, n FROM generate_series(1, 20000) n;
             CREATE TABLE said (number bigserial PRIMARY KEY, row bigint, value bigint)",
        )
        .await;
    let args = [
        "plan",
        "change-type",
        "orders.amount",
        "bigint",
        "--id",
        PLAN,
        "--soak",
        "0s",
        "--approvals",
        "0",
    ];
    let (exit, out, error) = stage.run(&args);
    assert_eq!(exit, 0, "{out}{error}");
    assert!(out.contains("rewrites the table"), "{out}");
    let (exit, out, error) = stage.run(&["check"]);
    assert_eq!(exit, 0, "{out}{error}");
    let first = stage.release("The first release", None);
    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    let writer = Writer::start(&stage.project.database).await;
    let said = run(&stage, &[], 1);
    assert!(said.contains("old-version-running"), "{said}");
    let tolerant = stage.release("Bear either type", Some("tolerate"));
    for service in ["web", "worker"] {
        stage.deploy(service, &tolerant).await;
    }
    for phase in ["add", "backfill", "constrain", "swap"] {
        run(&stage, &["--to", phase], 0);
        writer.goes_on().await;
    }
    command(&stage, "rollback", &["--to", "backfill"], 0);
    writer.goes_on().await;
    let apart = "SELECT count(*) FROM orders WHERE amount IS DISTINCT FROM amount_next";
    assert_eq!(stage_value(&stage, apart).await, "0");
    for phase in ["swap", "keep", "relax", "drop"] {
        run(&stage, &["--to", phase], 0);
        writer.goes_on().await;
    }
    nothing_is_lost(&stage).await;
    assert_eq!(columns(&stage).await, "amount bigint!, id bigint!, other integer");

    command(&stage, "rollback", &["--to", "swap"], 0);
    writer.goes_on().await;
    let apart = "SELECT count(*) FROM orders WHERE amount IS DISTINCT FROM amount_old";
    assert_eq!(stage_value(&stage, apart).await, "0");
    let (exit, out, _) = stage.run(&["can-deploy", first.as_str()]);
    assert_eq!(exit, 1, "{out}");
    command(&stage, "rollback", &["--to", "tolerate"], 0);
    writer.finish().await;
    nothing_is_lost(&stage).await;
    assert_eq!(
        columns(&stage).await,
        "amount integer!, id bigint!, other integer"
    );
    let left = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass";
    assert_eq!(stage_value(&stage, left).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_the_plan_and_would_be_built_anew_ends_it_in_a_moment() {
    let mut stage = Stage::new().await;
    for folder in ["plans", "migrations"] {
        let folder = stage.project.repo.path().join(folder);
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
    }
    let database = &stage.project.database;
    database
        .execute(
            "CREATE TABLE orders (id bigint PRIMARY KEY, amount varchar(10));
             INSERT INTO orders SELECT n, n FROM generate_series(1, 500) n;
             CREATE FUNCTION slow(varchar) RETURNS text IMMUTABLE LANGUAGE plpgsql
               AS 'BEGIN PERFORM pg_sleep(0.02); RETURN $1; END'",
        )
        .await;
    let args = [
        "plan",
        "change-type",
        "orders.amount",
        "varchar(20)",
        "--id",
        PLAN,
    ];
    let (exit, out, error) = stage.run(&args);
    assert_eq!(exit, 0, "{out}{error}");
    assert!(out.contains("In place"), "{out}");
    let tolerant = stage.release("Bear either type", Some("tolerate"));
    for service in ["web", "worker"] {
        stage.deploy(service, &tolerant).await;
    }
    stage
        .project
        .database
        .execute("CREATE INDEX orders_slow ON orders (slow(amount))")
        .await;
    let said = run(&stage, &[], 5);
    assert!(said.contains("statement timeout"), "{said}");
    assert_eq!(columns(&stage).await, "amount character varying(10), id bigint!");
    stage.project.database.execute("DROP INDEX orders_slow").await;
    run(&stage, &[], 0);
    assert_eq!(columns(&stage).await, "amount character varying(20), id bigint!");
}
