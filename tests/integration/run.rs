//! `shipctl run`: a whole rename, every refusal on the way, and what happens when something goes wrong.

use shipctl::domain::CommitId;

use super::rename::{PLAN, Stage};

/// A stage whose drop does not soak, with `rows` users and the first release deployed.
pub async fn stage(rows: u32) -> (Stage, CommitId) {
    let mut stage = Stage::new().await;
    let file = format!("plans/{PLAN}.toml");
    let plan = stage.project.repo.read(&file).replace(", soak = \"24h\"", "");
    stage.project.repo.write(&file, &plan);
    stage
        .project
        .database
        .execute(&format!(
            "INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, {rows}) AS i"
        ))
        .await;
    let first = stage.release("The first release", None);
    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    (stage, first)
}

/// Releases a code phase and deploys it everywhere.
pub async fn ship(stage: &mut Stage, phase: &str) -> CommitId {
    let commit = stage.release(&format!("Ship {phase}"), Some(phase));
    for service in ["web", "worker"] {
        stage.deploy(service, &commit).await;
    }
    commit
}

/// Runs the plan and demands this exit code.
pub fn run(stage: &Stage, more: &[&str], exit: i32) -> String {
    command(stage, "run", more, exit)
}

/// Runs a command on the plan and demands this exit code; both outputs.
pub fn command(stage: &Stage, command: &str, more: &[&str], exit: i32) -> String {
    let mut args = vec![command, PLAN];
    args.extend_from_slice(more);
    let (code, out, error) = stage.run(&args);
    assert_eq!(code, exit, "shipctl {args:?}:\n{out}\n{error}");
    out + &error
}

/// Carries the rename to its end.
pub async fn to_the_end(stage: &mut Stage) {
    run(stage, &["--to", "add"], 0);
    ship(stage, "dual-write").await;
    run(stage, &["--to", "constrain"], 0);
    ship(stage, "switch-read").await;
    run(stage, &["--to", "relax"], 0);
    ship(stage, "stop-write").await;
    command(stage, "approve", &["drop", "--reason", "reviewed"], 0);
    run(stage, &[], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_runs_to_its_end_with_every_refusal_on_the_way() {
    let (mut stage, first) = stage(3_000).await;
    let database = stage.project.database.url.clone();
    assert!(!database.is_empty());

    // The first run adds the column, and then waits for the code that writes it.
    let said = run(&stage, &[], 1);
    assert!(said.contains("old-version-running"), "{said}");
    let count = |sql: &'static str| stage_value(&stage, sql);
    assert_eq!(count("SELECT count(display_name) FROM users").await, "0");

    // One instance of the old version is enough to keep the backfill closed.
    let dual = ship(&mut stage, "dual-write").await;
    stage.start("web", &first).await;
    let said = run(&stage, &[], 1);
    assert!(said.contains(first.short()), "{said}");
    stage.deploy("web", &dual).await;

    let said = run(&stage, &[], 1);
    assert!(said.contains("switch-read"), "{said}");
    let wrong = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM name";
    assert_eq!(stage_value(&stage, wrong).await, "0");
    let written = "SELECT count(*) FROM users WHERE display_name LIKE 'name %'";
    assert_eq!(stage_value(&stage, written).await, "3000");

    ship(&mut stage, "switch-read").await;
    run(&stage, &["--to", "relax"], 0);
    let stop = ship(&mut stage, "stop-write").await;

    // The drop wants an approval, and nobody left who writes the old column.
    let said = run(&stage, &[], 4);
    assert!(said.contains("needs-approval"), "{said}");
    command(&stage, "approve", &["drop", "--reason", "reviewed"], 0);
    stage.start("worker", &dual).await;
    let said = run(&stage, &[], 1);
    assert!(said.contains(dual.short()), "{said}");
    stage.deploy("worker", &stop).await;
    run(&stage, &[], 0);
    let columns = "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
                   WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped";
    assert_eq!(stage_value(&stage, columns).await, "id,display_name");

    // A finished plan has nothing to do.
    let said = run(&stage, &[], 0);
    assert!(said.contains("nothing to do"), "{said}");
}

/// The first value of a query.
pub async fn stage_value(stage: &Stage, sql: &str) -> String {
    stage.project.database.value(sql).await.unwrap()
}

/// A project with one plan that consists of one backfill of `table`.
async fn filling(setup: &str, table: &str, set: &str) -> super::support::Project {
    let project = super::support::Project::new("").await;
    project.database.execute(setup).await;
    project.repo.write(
        "plans/fill.toml",
        &format!(
            "id = \"fill\"\ntitle = \"Fill\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\n\
             table = '{table}'\nset = {{ {set} }}\n"
        ),
    );
    project.repo.commit("A plan");
    project
}

async fn fills(setup: &str, table: &str, set: &str, wrong: &str) {
    let project = filling(setup, table, set).await;
    let output = project.shipctl(&["run", "fill"]).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(
        project.database.value(wrong).await.as_deref(),
        Some("0"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_with_all_kinds_of_keys_are_filled() {
    let rows = "FROM generate_series(1, 3000) AS i";
    fills(
        &format!("CREATE TABLE t (a text, b text); INSERT INTO t SELECT i::text {rows}"),
        "t",
        "b = 'a'",
        "SELECT count(*) FROM t WHERE b IS DISTINCT FROM a",
    )
    .await;
    fills(
        &format!(
            "CREATE TABLE t (x int, y text COLLATE \"C\", b text, PRIMARY KEY (y, x));
             INSERT INTO t SELECT i % 7, 'k' || i / 7 {rows}"
        ),
        "t",
        "b = \"y || x\"",
        "SELECT count(*) FROM t WHERE b IS DISTINCT FROM y || x",
    )
    .await;
    fills(
        &format!(
            "CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), a int, b int);
             INSERT INTO t (a) SELECT i {rows}"
        ),
        "t",
        "b = 'a * 2'",
        "SELECT count(*) FROM t WHERE b IS DISTINCT FROM a * 2",
    )
    .await;
    fills(
        &format!(
            "CREATE TABLE t (at timestamptz NOT NULL UNIQUE, code char(8) PRIMARY KEY, b text);
             INSERT INTO t SELECT now() + i * interval '1 us', 'c' || i {rows}"
        ),
        "t",
        "code = 'code', b = 'code'",
        "SELECT count(*) FROM t WHERE b IS DISTINCT FROM code::text",
    )
    .await;
    fills(
        &format!(
            "CREATE SCHEMA \"Odd Schema\"; CREATE TABLE \"Odd Schema\".\"Us\"\"ers\" (\"Id\" int PRIMARY KEY, \"Na me\" text, \"new\" text);
             INSERT INTO \"Odd Schema\".\"Us\"\"ers\" SELECT i, i {rows}"
        ),
        "\"Odd Schema\".\"Us\"\"ers\"",
        "new = '\"Us\"\"ers\".\"Na me\" -- a comment'",
        "SELECT count(*) FROM \"Odd Schema\".\"Us\"\"ers\" WHERE new IS DISTINCT FROM \"Na me\"",
    )
    .await;
    fills(
        &format!(
            "CREATE TABLE t (id int, a int, b int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
             CREATE TABLE \"T1\" PARTITION OF t FOR VALUES FROM (0) TO (1000);
             CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (1000) TO (1500);
             CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1500) TO (2000);
             CREATE TABLE t2 PARTITION OF t DEFAULT; INSERT INTO t SELECT i, i {rows}"
        ),
        "t",
        "b = 'a'",
        "SELECT count(*) FROM t WHERE b IS DISTINCT FROM a",
    )
    .await;
    fills(
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int)",
        "t",
        "b = 'a'",
        "SELECT 0",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_fill_cannot_put_right_are_shown() {
    let setup = "CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t SELECT i, i FROM generate_series(1, 9) AS i;
                 CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = 4 THEN NEW.b := 0; END IF; RETURN NEW; END$$;
                 CREATE TRIGGER spoil BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION spoil()";
    let project = filling(setup, "t", "b = 'a'").await;
    let output = project.shipctl(&["run", "fill"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.contains("backfill-unclean") && said.contains("the keys 4"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_rows_are_not_passed_over_in_silence() {
    let setup = "CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 1);
                 ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (false);
                 DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'filler') THEN CREATE ROLE filler LOGIN; END IF; END$$;
                 GRANT ALL ON t TO filler;
                 DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO filler', current_database()); END$$";
    let project = filling(setup, "t", "b = 'a'").await;
    let output = project
        .shipctl(&["run", "fill"])
        .env("PGUSER", "filler")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "a superuser sees every row");
    project
        .database
        .execute("UPDATE t SET b = NULL; DROP SCHEMA shipctl CASCADE")
        .await;
    let url = project.database.url.replacen("postgres@", "filler@", 1);
    let output = project
        .shipctl(&["run", "fill"])
        .env("DATABASE_URL", url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("rows-hidden"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_without_dual_write_taints_the_backfill_until_it_is_verified_again() {
    let (mut stage, first) = stage(1_000).await;
    run(&stage, &["--to", "add"], 0);
    let dual = ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "backfill"], 0);
    // The old version comes back for a while, unseen by the plan, and writes a row as it does.
    stage.deploy("web", &first).await;
    run(&stage, &["--to", "constrain"], 1);
    stage
        .project
        .database
        .execute("INSERT INTO users (id, name) VALUES (5000, 'tainted')")
        .await;
    stage.deploy("web", &dual).await;
    let said = run(&stage, &["--to", "constrain"], 0);
    assert!(said.contains("verif"), "{said}");
    let wrong = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM name";
    assert_eq!(stage_value(&stage, wrong).await, "0");
    let verified = "SELECT payload->>'rows' FROM shipctl.events WHERE kind = 'backfill-verified'";
    assert_eq!(stage_value(&stage, verified).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tainted_backfill_that_is_asked_for_itself_is_verified_again() {
    let (mut stage, first) = stage(1_000).await;
    run(&stage, &["--to", "add"], 0);
    let dual = ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "backfill"], 0);
    stage.deploy("web", &first).await;
    stage
        .project
        .database
        .execute("INSERT INTO users (id, name) VALUES (5000, 'tainted')")
        .await;
    let wrong = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM name";
    // As long as it runs, verifying would vouch for nothing.
    let said = run(&stage, &["--to", "backfill"], 1);
    assert!(said.contains("dual-write"), "{said}");
    assert_eq!(stage_value(&stage, wrong).await, "1");
    stage.deploy("web", &dual).await;
    run(&stage, &["--to", "backfill"], 0);
    assert_eq!(stage_value(&stage, wrong).await, "0");
    let verified = "SELECT count(*) FROM shipctl.events WHERE kind = 'backfill-verified'";
    assert_eq!(stage_value(&stage, verified).await, "1");
    // Valid again, so that there is nothing to do.
    run(&stage, &["--to", "backfill"], 0);
    assert_eq!(stage_value(&stage, verified).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_run_may_not_be_edited() {
    let (stage, _) = stage(1).await;
    run(&stage, &["--to", "add"], 0);
    let migration = "migrations/20261122_101500_add_users_display_name.sql";
    let text = stage.project.repo.read(migration);
    stage.project.repo.write(
        migration,
        &text.replace("display_name text", "display_name varchar(99)"),
    );
    let said = run(&stage, &[], 1);
    assert!(
        said.contains("plan-diverged") && said.contains("varchar(99)"),
        "{said}"
    );
    stage.project.repo.write(migration, &text);

    let file = format!("plans/{PLAN}.toml");
    let plan = stage.project.repo.read(&file);
    stage.project.repo.write(
        &file,
        &plan
            .replacen("id = \"add\"", "id = \"other\"", 1)
            .replace("[\"add\"]", "[\"other\"]"),
    );
    let said = run(&stage, &[], 1);
    assert!(said.contains("gone from"), "{said}");
    stage
        .project
        .repo
        .write(&file, &plan.replace("Drop users.name", "Drop the old name"));
    run(&stage, &["--to", "add"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_statement_can_be_mended_and_names_its_place() {
    let (stage, _) = stage(1).await;
    let migration = "migrations/20261122_101500_add_users_display_name.sql";
    let text = stage.project.repo.read(migration);
    stage.project.repo.write(
        migration,
        &text.replace("display_name text", "display_name no_such_type"),
    );
    let said = run(&stage, &[], 5);
    assert!(
        said.contains("no_such_type") && said.contains("20261122_101500_add_users_display_name"),
        "{said}"
    );
    stage.project.repo.write(migration, &text);
    run(&stage, &["--to", "add"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_everything_and_writes_nothing() {
    let (stage, _) = stage(1).await;
    let said = run(&stage, &["--dry-run"], 0);
    for part in [
        "ADD COLUMN display_name",
        "ACCESS EXCLUSIVE",
        "in batches",
        "needs-phase",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let ledger = "SELECT count(*) FROM pg_namespace WHERE nspname = 'shipctl'";
    assert_eq!(stage_value(&stage, ledger).await, "0");
    let (exit, value) = stage.json(&["run", PLAN, "--dry-run"]);
    assert_eq!(exit, 0);
    assert_eq!(value["phases"][0]["steps"][0]["transactional"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_free_is_tried_for_again_and_its_holder_named() {
    let (stage, _) = stage(1).await;
    let holder = stage.project.database.session().await;
    holder
        .client()
        .batch_execute("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE")
        .await
        .unwrap();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("shipctl"))
        .args(["run", PLAN, "--to", "add", "--json"])
        .current_dir(stage.project.repo.path())
        .env("DATABASE_URL", &stage.project.database.url)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let retry = lines
        .find(|line| line.as_ref().unwrap().contains("lock-retry"))
        .unwrap()
        .unwrap();
    assert!(
        retry.contains("shipctl test") && retry.contains("LOCK TABLE users"),
        "{retry}"
    );
    holder.client().batch_execute("ROLLBACK").await.unwrap();
    let last = lines.last().unwrap().unwrap();
    assert!(
        last.contains("\"event\":\"end\"") && last.contains("\"go\""),
        "{last}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watching_run_goes_on_as_code_arrives() {
    let (mut stage, _) = stage(100).await;
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("shipctl"))
        .args([
            "run",
            PLAN,
            "--to",
            "relax",
            "--watch",
            "--interval",
            "0.1",
            "--json",
        ])
        .current_dir(stage.project.repo.path())
        .env("DATABASE_URL", &stage.project.database.url)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    for (phase, after) in [("dual-write", "add"), ("switch-read", "constrain")] {
        let done = format!(
            "SELECT count(*) FROM shipctl.events WHERE kind = 'phase-finished' AND phase = '{after}'"
        );
        super::support::eventually("the phase before is done", || async {
            let exists = "SELECT count(*) FROM pg_namespace WHERE nspname = 'shipctl'";
            stage_value(&stage, exists).await == "1"
                && stage_value(
                    &stage,
                    "SELECT count(*) FROM pg_class WHERE relname = 'checkpoints'",
                )
                .await
                    == "1"
                && stage_value(&stage, &done).await == "1"
        })
        .await;
        ship(&mut stage, phase).await;
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("\"waiting\"") && said.lines().last().unwrap().contains("\"complete\""),
        "{said}"
    );
}
