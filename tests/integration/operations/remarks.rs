//! What `shipctl plan` tells besides the plan.

use super::SERVICES;
use crate::support::Project;

async fn said(project: &Project, arguments: &[&str]) -> String {
    let output = project.shipctl(arguments).output().unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&said)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test]
async fn the_nearest_operation_is_suggested_first() {
    let project = Project::new(SERVICES).await;
    for (typed, meant) in [
        ("drop-colum", "drop-column"),
        ("add-uniqe", "add-unique"),
        ("set-notnull", "set-not-null"),
    ] {
        let told = said(&project, &["plan", typed]).await;
        let at = told.find("similar subcommand").unwrap();
        let after = told[at..].split_once(": ").unwrap().1;
        assert!(after.starts_with(&format!("'{meant}'")), "{told}");
    }
}

#[tokio::test]
async fn triggers_that_fills_fire_are_named() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, name text, email text) PARTITION BY RANGE (id);
             CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO (10);
             CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER touched BEFORE UPDATE ON users_1 FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE TRIGGER \"By name\" AFTER INSERT OR UPDATE OF name ON users FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE TRIGGER by_email AFTER UPDATE OF email ON users FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE TRIGGER once AFTER UPDATE ON users FOR EACH STATEMENT EXECUTE FUNCTION noop();
             CREATE TRIGGER born BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE TRIGGER off AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION noop();
             ALTER TABLE users DISABLE TRIGGER off; ALTER TABLE users_1 DISABLE TRIGGER off;",
        )
        .await;
    let told = said(
        &project,
        &["plan", "set-not-null", "users.name", "--fill", "'x'", "--dry-run"],
    )
    .await;
    assert!(
        told.contains(
            "Each row that fill fills fires trigger \"By name\" and trigger touched of public.users"
        ),
        "{told}"
    );
    let told = said(&project, &["plan", "set-not-null", "users.name", "--dry-run"]).await;
    assert!(!told.contains("fires"), "{told}");
}

#[tokio::test]
async fn privileges_on_columns_are_named_where_one_is_added() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int, name text); CREATE TABLE plain (id int);
                  GRANT SELECT (name) ON users TO pg_monitor, PUBLIC",
        )
        .await;
    let told = said(
        &project,
        &["plan", "add-column", "users.email", "text", "--dry-run"],
    )
    .await;
    assert!(
        told.contains("PUBLIC, pg_monitor: privileges on single columns of users"),
        "{told}"
    );
    assert!(told.contains("SELECT *"), "{told}");
    let told = said(
        &project,
        &["plan", "add-column", "plain.email", "text", "--dry-run"],
    )
    .await;
    assert!(!told.contains("privileges"), "{told}");
}
