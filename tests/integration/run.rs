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
