//! Fills: every kind of table, several workers and processes, rows that move meanwhile, and what a fill leaves behind.

use std::num::NonZeroUsize;
use std::process::{Child, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use shipctl::execute::{Engine, Event, EventSink, FillOptions, Pace, RunEnd, RunOptions, Stop};
use shipctl::postgres::{RunLock, Session};
use shipctl::{execute, plan, project};

use super::crash::{program, slow_updates};
use super::rename::{PLAN, Stage};
use super::run::{command, run, stage_value};
use super::support::eventually;

/// A plan of one phase, which fills a table.
fn one_fill(table: &str, set: &str) -> String {
    format!(
        "id = \"{PLAN}\"\ntitle = \"Fill\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\n\
         table = '{table}'\nset = {{ {set} }}\n"
    )
}

/// A stage with a plan of one fill, and these tables instead of its own.
async fn fill_of(table: &str, set: &str, tables: &str) -> Stage {
    let mut stage = Stage::new().await;
    stage
        .project
        .repo
        .write(&format!("plans/{PLAN}.toml"), &one_fill(table, set));
    let database = &stage.project.database;
    database.execute("DROP TABLE users").await;
    database.execute(tables).await;
    let first = stage.release("The first release", None);
    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    stage
}

/// Users with both columns, the new one empty.
async fn users(rows: u32) -> Stage {
    fill_of("users", "display_name = 'name'", &users_table(rows)).await
}

fn users_table(rows: u32) -> String {
    format!(
        "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, visits int NOT NULL DEFAULT 0, display_name text)
            WITH (autovacuum_enabled = false);
         INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, {rows}) AS i;
         CREATE INDEX users_name ON users (name)"
    )
}

const WRONG: &str = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM name";
const TWICE: &str = "SELECT count(*) FROM (SELECT id FROM touched GROUP BY id HAVING count(*) > 1) AS twice";
const LEFT_OVER: &str = "SELECT count(*) FROM shipctl.fill_ranges";

fn spawn(stage: &Stage, more: &[&str]) -> Child {
    let mut args = vec!["run", PLAN, "--json"];
    args.extend_from_slice(more);
    program(stage, &args).stdout(Stdio::piped()).spawn().unwrap()
}

/// The exit code and what was said.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), said)
}

async fn is_under_way(stage: &Stage) {
    eventually("the fill has begun", || async {
        let changed = "SELECT coalesce(sum(rows_changed), 0) > 0 FROM shipctl.fill_ranges";
        let ledger = "SELECT count(*) FROM pg_class WHERE relname = 'fill_ranges'";
        let database = &stage.project.database;
        database.value(ledger).await.as_deref() == Some("1")
            && database.value(changed).await.as_deref() == Some("t")
    })
    .await;
}

/// Runs the plan in this process; `None` if everything is done, else the reasons or the problem, as text.
async fn run_here(stage: &Stage, fill: FillOptions, events: &dyn EventSink) -> Option<String> {
    run_until(stage, fill, events, Stop::new()).await
}

/// As [`run_here`], unless somebody asks to stop.
async fn run_until(stage: &Stage, fill: FillOptions, events: &dyn EventSink, stop: Stop) -> Option<String> {
    let project = project::discover(stage.project.repo.path()).unwrap();
    let connection = super::support::settings(&stage.project.database.url).unwrap();
    let plans = plan::load_all(&project).unwrap();
    let plan = plan::find(&project, PLAN).unwrap();
    let engine = Engine {
        environment: project.environments.values().next().unwrap(),
        project: &project,
        connection: &connection,
        plans: &plans,
        actor: "Ada <ada@example.org>",
        clock: &Timestamp::now,
        stop,
        pace: Pace::default(),
    };
    let options = RunOptions {
        fill,
        ..RunOptions::default()
    };
    match execute::run::run(&engine, &plan, options, events).await {
        Ok(outcome) if matches!(outcome.end, RunEnd::Complete) => None,
        Ok(outcome) => Some(format!("{:?}", outcome.end)),
        Err(problem) => Some(format!("{}: {problem}", problem.code())),
    }
}

fn with_workers(workers: usize) -> FillOptions {
    FillOptions {
        workers: NonZeroUsize::new(workers).unwrap(),
        ..FillOptions::default()
    }
}

/// Verifies by the key, however small the table is.
fn by_key() -> FillOptions {
    FillOptions {
        one_snapshot: 0,
        ..with_workers(2)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_changes_most_rows_where_they_lie_and_the_table_hardly_grows() {
    // A server of its own: whoever writes for long, in any database, keeps old row versions alive in all.
    let cluster = shipctl::postgres::Cluster::builder().throwaway().start().unwrap();
    let mut stage = users(1).await;
    stage.project.database.url = cluster.url("postgres");
    stage.project.database.settings = cluster.settings("postgres").unwrap();
    stage.project.database.execute(&users_table(60_000)).await;
    let mut session = stage.project.database.session().await;
    shipctl::postgres::ledger::ensure(&mut session).await.unwrap();
    let release = stage.project.repo.head();
    for service in ["web", "worker"] {
        stage.deploy(service, &release).await;
    }
    let size = "SELECT pg_total_relation_size('users')::text";
    let before: f64 = stage_value(&stage, size).await.parse().unwrap();
    run(&stage, &[], 0);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
    let after: f64 = stage_value(&stage, size).await.parse().unwrap();
    assert!(after / before < 1.5, "{before} to {after}");
    let stayed = "SELECT (n_tup_hot_upd > 0.5 * n_tup_upd)::text || ' ' || n_tup_upd FROM pg_stat_user_tables
                  WHERE relname = 'users'";
    // The server tells its statistics a moment later.
    eventually("two rows in three stay where they are", || async {
        stage_value(&stage, stayed).await == "true 60000"
    })
    .await;
    assert_eq!(stage_value(&stage, LEFT_OVER).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_rows_cannot_stay_in_place_they_are_written_once_and_the_table_is_vacuumed() {
    let stage = users(80_000).await;
    let database = &stage.project.database;
    database
        .execute("CREATE INDEX users_display_name ON users (display_name); ANALYZE users")
        .await;
    assert_eq!(run_here(&stage, with_workers(2), &()).await, None);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
    let told = "SELECT n_tup_upd::text FROM pg_stat_user_tables WHERE relname = 'users'";
    eventually("every row was written once", || async {
        stage_value(&stage, told).await == "80000"
    })
    .await;
    let vacuumed = "SELECT (vacuum_count > 0)::text FROM pg_stat_user_tables WHERE relname = 'users'";
    eventually("it was vacuumed", || async {
        stage_value(&stage, vacuumed).await == "true"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_every_kind_are_filled_and_verified_in_both_ways() {
    let uuid = "md5(i::text)::uuid";
    for (what, table, columns, values, more) in [
        ("no key", "t", "id int", "i", ""),
        (
            "a primary key of text",
            "t",
            "id text PRIMARY KEY",
            "'key ' || i",
            "",
        ),
        ("of uuid", "t", "id uuid PRIMARY KEY", uuid, ""),
        (
            "composite",
            "t",
            "id int, at timestamptz, PRIMARY KEY (at, id)",
            "i, timestamptz '2026-01-01' + i % 7 * interval '1 day'",
            "",
        ),
        (
            "unique and NOT NULL",
            "t",
            "id numeric(10,2) NOT NULL UNIQUE",
            "i / 4.0",
            "",
        ),
        (
            "names that need quoting",
            "\"Odd \"\" schema\".\"Tafel.é 😀\"",
            "\"Id \"\"x\"\"\" bigint PRIMARY KEY",
            "i",
            "",
        ),
        (
            "partitions",
            "t",
            "id int PRIMARY KEY",
            "i",
            "PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000);
             CREATE TABLE \"T 2\" PARTITION OF t FOR VALUES FROM (1000) TO (5000)",
        ),
        (
            "an access method of its own",
            "t",
            "id int PRIMARY KEY",
            "i",
            "USING other",
        ),
    ] {
        let tables = format!(
            "CREATE SCHEMA \"Odd \"\" schema\";
             CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
             CREATE TABLE {table} ({columns}, name text, display_name text) {more};
             INSERT INTO {table} SELECT {values}, 'name ' || i FROM generate_series(1, 3000) AS i"
        );
        let wrong = format!("SELECT count(*) FROM {table} WHERE display_name IS DISTINCT FROM name");
        let stage = fill_of(table, "display_name = 'name'", &tables).await;
        for options in [by_key(), with_workers(2)] {
            assert_eq!(run_here(&stage, options, &()).await, None, "{what}");
            assert_eq!(stage_value(&stage, &wrong).await, "0", "{what}");
            assert_eq!(stage_value(&stage, LEFT_OVER).await, "0", "{what}");
            // Undone and run again, the other way of verifying it has its turn.
            command(&stage, "rollback", &["--all"], 0);
            let clear = format!("UPDATE {table} SET display_name = NULL");
            stage.project.database.execute(&clear).await;
        }
    }
}

/// Spoils rows in the moment when the verification begins, as code would that does not write both columns.
struct Spoil<'s> {
    stage: &'s Stage,
    sql: &'static str,
    done: std::sync::atomic::AtomicBool,
}

impl EventSink for Spoil<'_> {
    fn event(&self, event: &Event) {
        if let Event::Progress {
            activity: "verify", ..
        } = event
            && !self.done.swap(true, std::sync::atomic::Ordering::Relaxed)
        {
            let database = &self.stage.project.database;
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(database.execute(self.sql));
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_verification_finds_is_filled_however_it_looks() {
    for (options, sql) in [
        (
            by_key(),
            "UPDATE users SET display_name = NULL WHERE id % 1000 = 7",
        ),
        (by_key(), "UPDATE users SET display_name = NULL WHERE id > 500"),
        (
            with_workers(1),
            "UPDATE users SET display_name = NULL WHERE id % 1000 = 7",
        ),
    ] {
        let stage = users(5_000).await;
        let spoil = Spoil {
            stage: &stage,
            sql,
            done: false.into(),
        };
        assert_eq!(run_here(&stage, options, &spoil).await, None);
        assert!(spoil.done.into_inner());
        assert_eq!(stage_value(&stage, WRONG).await, "0", "{sql}");
        let rows =
            "SELECT (payload ->> 'rows')::int > 5000 FROM shipctl.events WHERE kind = 'phase-finished'";
        assert_eq!(
            stage_value(&stage, rows).await,
            "t",
            "what was filled again is counted"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_move_while_they_are_filled_are_not_missed() {
    let stage = users(20_000).await;
    let database = &stage.project.database;
    // Another index: what is written below has to go to another block.
    database
        .execute("CREATE INDEX users_visits ON users (visits)")
        .await;
    let mut child = spawn(&stage, &["--workers", "2", "--target-batch-ms", "2"]);
    let client = database.session().await;
    let mut moved = 0u32;
    while child.try_wait().unwrap().is_none() {
        let ids = format!(
            "UPDATE users SET visits = visits + 1 WHERE id % 97 = {}",
            moved % 97
        );
        // A deadlock with a batch is the batch's to repeat, or ours.
        moved += u32::from(client.client().batch_execute(&ids).await.is_ok());
    }
    let (exit, said) = end(child);
    assert_eq!(exit, Some(0), "{said}");
    assert!(moved > 0);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_join_share_the_fill_and_each_row_is_changed_once_whoever_is_killed() {
    let stage = users(12_000).await;
    slow_updates(&stage).await;
    let mut random = fastrand::Rng::with_seed(11);
    let mut main = spawn(&stage, &["--target-batch-ms", "5"]);
    is_under_way(&stage).await;
    let mut helpers: Vec<Child> = Vec::new();
    let mut kills = 0;
    loop {
        if let Some(status) = main.try_wait().unwrap() {
            match status.code() {
                Some(0) => break,
                // The server has not seen off the sessions of the run before yet.
                Some(6) => main = spawn(&stage, &["--target-batch-ms", "5"]),
                other => panic!("{other:?}: {}", end(main).1),
            }
        }
        while helpers.len() < 2 {
            helpers.push(spawn(&stage, &["--join", "--target-batch-ms", "5"]));
        }
        tokio::time::sleep(Duration::from_millis(random.u64(20..120))).await;
        if kills < 8 {
            kills += 1;
            if random.bool() && main.try_wait().unwrap().is_none() {
                main.kill().unwrap();
                main.wait().unwrap();
                main = spawn(&stage, &["--target-batch-ms", "5"]);
            } else {
                let mut victim = helpers.swap_remove(random.usize(0..helpers.len()));
                let _ = victim.kill();
                victim.wait().unwrap();
            }
        }
    }
    for helper in helpers {
        let (exit, said) = end(helper);
        // 6: the run that it had joined was killed. 4: it came when everything was over.
        assert!(matches!(exit, Some(0 | 4 | 6)), "{exit:?}: {said}");
    }
    assert_eq!(stage_value(&stage, WRONG).await, "0");
    assert_eq!(stage_value(&stage, TWICE).await, "0");
    assert_eq!(stage_value(&stage, "SELECT count(*) FROM touched").await, "12000");
    assert_eq!(stage_value(&stage, LEFT_OVER).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_works_until_nothing_is_left_and_ends_with_the_run_that_it_joined() {
    let stage = users(6_000).await;
    slow_updates(&stage).await;
    // Together with the run that it waits for.
    let helper = spawn(&stage, &["--join"]);
    let main = spawn(&stage, &[]);
    let (exit, said) = end(helper);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("\"phase\":\"fill\""), "{said}");
    assert_eq!(end(main).0, Some(0));
    assert_eq!(stage_value(&stage, TWICE).await, "0");
    // With nobody at work there is nothing to join.
    let (exit, said) = end(spawn(&stage, &["--join"]));
    assert_eq!(exit, Some(4), "{said}");
    assert!(said.contains("no-run"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_look_at_the_run_is_told_so_and_joins_nothing() {
    let stage = users(6_000).await;
    slow_updates(&stage).await;
    let main = spawn(&stage, &[]);
    is_under_way(&stage).await;
    let database = &stage.project.database;
    database
        .execute(
            "DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'joiner') THEN CREATE ROLE joiner LOGIN; END IF; END$$;
             GRANT USAGE ON SCHEMA shipctl TO joiner; GRANT ALL ON ALL TABLES IN SCHEMA shipctl TO joiner",
        )
        .await;
    let output = program(&stage, &["run", PLAN, "--json", "--join"])
        .env("DATABASE_URL", database.url.replacen("postgres@", "joiner@", 1))
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("run-hidden") && said.contains("GRANT pg_read_all_stats"),
        "{said}"
    );
    assert_eq!(end(main).0, Some(0));
    assert_eq!(stage_value(&stage, TWICE).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_with_another_plan_than_the_one_that_runs_changes_nothing() {
    let stage = users(6_000).await;
    slow_updates(&stage).await;
    let main = spawn(&stage, &[]);
    is_under_way(&stage).await;
    let edited = one_fill("users", "display_name = 'upper(name)'");
    stage.project.repo.write(&format!("plans/{PLAN}.toml"), &edited);
    let (exit, said) = end(spawn(&stage, &["--join"]));
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("plan-diverged"), "{said}");
    assert_eq!(end(main).0, Some(0));
    assert_eq!(stage_value(&stage, WRONG).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_whose_batches_would_each_read_a_large_table_is_refused_before_it_writes() {
    let tables = format!(
        "{}; CREATE TABLE names (person bigint, name text);
         INSERT INTO names SELECT i, 'name ' || i FROM generate_series(1, 20000) AS i; ANALYZE names",
        users_table(500)
    );
    let set = "display_name = '(SELECT n.name FROM names AS n WHERE n.person = users.id)'";
    let stage = fill_of("users", set, &tables).await;
    let said = run(&stage, &[], 5);
    assert!(said.contains("look through all of public.names"), "{said}");
    let filled = "SELECT count(display_name) FROM users";
    assert_eq!(stage_value(&stage, filled).await, "0");
    // With the index that the message asks for, it goes.
    let database = &stage.project.database;
    database.execute("CREATE INDEX ON names (person)").await;
    run(&stage, &[], 0);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_holds_keeps_nobody_else_waiting_and_its_holder_is_named() {
    let stage = users(200_000).await;
    let holder = stage.project.database.session().await;
    holder
        .client()
        .batch_execute("SET application_name = 'report'; BEGIN; SELECT FROM users WHERE id = 10 FOR UPDATE")
        .await
        .unwrap();
    let main = spawn(&stage, &[]);
    // All but the range of that row is filled meanwhile.
    eventually("one range is left", || async {
        let left = "SELECT count(*) FILTER (WHERE NOT done) = 1 FROM shipctl.fill_ranges";
        let ledger = "SELECT count(*) FROM pg_class WHERE relname = 'fill_ranges'";
        let database = &stage.project.database;
        database.value(ledger).await.as_deref() == Some("1")
            && database.value(left).await.as_deref() == Some("t")
    })
    .await;
    // Whoever wants a row beside it gets it, though the batch waits for the one.
    let client = stage.project.database.session().await;
    let row = "SET lock_timeout = '1s'; UPDATE users SET visits = 1 WHERE id = 11";
    for _ in 0..20 {
        client.client().batch_execute(row).await.unwrap();
    }
    holder.client().batch_execute("ROLLBACK").await.unwrap();
    let (exit, said) = end(main);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("lock-retry") && said.contains("`report`"), "{said}");
    assert_eq!(stage_value(&stage, WRONG).await, "0");
}

/// Asks to stop once a verification has come so far, and remembers where verifications began.
struct StopInVerification {
    stop: Stop,
    at: u64,
    begun_at: std::sync::Mutex<Vec<u64>>,
}

impl EventSink for StopInVerification {
    fn event(&self, event: &Event) {
        if let Event::Progress {
            activity: "verify",
            done,
            rate,
            ..
        } = event
        {
            if *rate == 0.0 {
                self.begun_at.lock().unwrap().push(*done);
            }
            if *done >= self.at {
                self.stop.request();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_by_key_goes_on_where_it_was_interrupted() {
    let stage = users(6_000).await;
    let slow = format!(
        "{}verify = \"display_name = name AND (SELECT true FROM pg_sleep(0.0005 + 0 * users.id))\"\n",
        one_fill("users", "display_name = 'name'")
    );
    stage.project.repo.write(&format!("plans/{PLAN}.toml"), &slow);
    let sink = |at| StopInVerification {
        stop: Stop::new(),
        at,
        begun_at: Vec::new().into(),
    };
    let first = sink(3_000);
    let said = run_until(&stage, by_key(), &first, first.stop.clone())
        .await
        .unwrap();
    assert!(said.starts_with("interrupted"), "{said}");
    let second = sink(u64::MAX);
    let end = run_until(&stage, by_key(), &second, second.stop.clone()).await;
    assert_eq!(end, None);
    assert_eq!(*first.begun_at.lock().unwrap(), [0]);
    let begun = second.begun_at.lock().unwrap().clone();
    assert!(begun.len() == 1 && begun[0] >= 1_000, "{begun:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_verification_does_not_pass_over_what_it_found() {
    let stage = users(6_000).await;
    let database = &stage.project.database;
    assert_eq!(run_here(&stage, with_workers(1), &()).await, None);
    command(&stage, "rollback", &["--all"], 0);
    // A row that is wrong and cannot be filled now, and one behind it that can, on the spot.
    database
        .execute("UPDATE users SET display_name = NULL WHERE id IN (1, 5, 1500)")
        .await;
    let holder = database.session().await;
    let sink = HoldAndStop {
        spoil: Spoil {
            stage: &stage,
            // What the fill has filled is spoiled again.
            sql: "UPDATE users SET display_name = NULL WHERE id IN (5, 1500)",
            done: false.into(),
        },
        holder: &holder,
        stop: Stop::new(),
    };
    let said = run_until(&stage, by_key(), &sink, sink.stop.clone())
        .await
        .unwrap();
    assert!(said.starts_with("interrupted"), "{said}");
    holder.client().batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(stage_value(&stage, WRONG).await, "1");
    assert_eq!(run_here(&stage, by_key(), &()).await, None);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
}

/// Spoils rows when the verification begins, holds one of them, and asks to stop once it has come past both.
struct HoldAndStop<'s> {
    spoil: Spoil<'s>,
    holder: &'s Session,
    stop: Stop,
}

impl EventSink for HoldAndStop<'_> {
    fn event(&self, event: &Event) {
        self.spoil.event(event);
        match event {
            Event::Progress {
                activity: "verify",
                done: 0,
                ..
            } => {
                let hold = "BEGIN; SELECT FROM users WHERE id = 5 FOR UPDATE";
                tokio::task::block_in_place(|| {
                    let held = self.holder.client().batch_execute(hold);
                    tokio::runtime::Handle::current().block_on(held).unwrap();
                });
            }
            // The progress of the verification is told in its own time; the pass that follows it comes too late.
            Event::Note { message, .. } if message.contains("another pass") => self.stop.request(),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_that_never_came_clean_begins_anew_once_what_spoiled_it_is_mended() {
    let stage = users(100).await;
    let database = &stage.project.database;
    database
        .execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
               $$BEGIN NEW.display_name = NULL; RETURN NEW; END$$;
             CREATE TRIGGER spoil BEFORE UPDATE ON users FOR EACH ROW WHEN (OLD.id = 7) EXECUTE FUNCTION spoil()",
        )
        .await;
    for _ in 0..2 {
        let said = run(&stage, &[], 5);
        assert!(
            said.contains("backfill-unclean") && said.contains("keys 7"),
            "{said}"
        );
    }
    database.execute("DROP TRIGGER spoil ON users").await;
    run(&stage, &[], 0);
    assert_eq!(stage_value(&stage, WRONG).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_comes_during_a_fill_is_filled_too() {
    for options in [by_key(), with_workers(2)] {
        let stage = fill_of(
            "users",
            "display_name = 'name'",
            "CREATE TABLE users (id int PRIMARY KEY, name text, display_name text) PARTITION BY RANGE (id);
             CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO (5000);
             INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, 3000) AS i",
        )
        .await;
        let spoil = Spoil {
            stage: &stage,
            sql: "CREATE TABLE a_users PARTITION OF users FOR VALUES FROM (5000) TO (9000);
                  INSERT INTO a_users SELECT i, 'name ' || i FROM generate_series(5001, 5500) AS i",
            done: false.into(),
        };
        assert_eq!(run_here(&stage, options, &spoil).await, None);
        assert_eq!(stage_value(&stage, WRONG).await, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_left_behind_is_not_joined_under_the_lock_of_another() {
    let stage = users(12_000).await;
    slow_updates(&stage).await;
    let mut main = spawn(&stage, &["--target-batch-ms", "5"]);
    is_under_way(&stage).await;
    main.kill().unwrap();
    main.wait().unwrap();
    let touched = "SELECT count(*) FROM touched";
    let environment = "production".parse().unwrap();
    let plan = PLAN.parse().unwrap();
    let settings = &stage.project.database.settings;
    // The last batch may still be under way.
    let lock = RunLock::acquire(settings, &environment, &plan).await.unwrap();
    let before = stage_value(&stage, touched).await;
    let helper = spawn(&stage, &["--join"]);
    eventually("it looks for something to join", || async {
        let there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shipctl join'
                      AND datname = current_database()";
        stage_value(&stage, there).await == "1"
    })
    .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    drop(lock);
    let (exit, said) = end(helper);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("\"phase\":null"), "{said}");
    assert_eq!(stage_value(&stage, touched).await, before);
}
