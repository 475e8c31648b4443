//! What looks remember of the versions that they saw, and what becomes of it.

use super::census::connect;
use super::rename::{PLAN, Stage};
use super::run::{run, ship, stage};
use shipctl::domain::CommitId;

/// A plan with a filled backfill; the first release ran meanwhile, as only a look that belongs to no plan has seen.
async fn tainted() -> (Stage, CommitId) {
    let (mut stage, first) = stage(10).await;
    run(&stage, &["--to", "add"], 0);
    let dual = ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "backfill"], 0);
    stage.start("web", &first).await;
    stage.run(&["deployed"]);
    stage.deploy("web", &dual).await;
    (stage, first)
}

/// The address for a role of its own, which may use the ledger as far as it is granted.
async fn role(stage: &Stage, granted: &str) -> (String, String) {
    let database = &stage.project.database;
    let role = format!("looker_{}", database.name);
    let granted = granted.replace("ROLE", &role);
    database
        .execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA shipctl TO {role}; \
             GRANT SELECT ON ALL TABLES IN SCHEMA shipctl TO {role}; {granted}"
        ))
        .await;
    let mut url = database.url.clone();
    let at = url.find("://").unwrap() + 3;
    let host = url.find('@').map_or(at, |end| end + 1);
    url.replace_range(at..host, &format!("{role}@"));
    (role, url)
}

/// As this address: the exit code and all that was said.
fn ask(stage: &Stage, url: &str, args: &[&str]) -> (i32, String) {
    let output = stage
        .project
        .shipctl(args)
        .env("DATABASE_URL", url)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    // On one line, wherever it was broken.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    (output.status.code().unwrap(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_before_is_unknown_to_a_role_that_may_not_read_it() {
    let (stage, first) = tainted().await;
    let (role, url) = role(&stage, "REVOKE SELECT ON shipctl.version_sightings FROM ROLE").await;
    let gate = ["gate", PLAN, "constrain"];
    let (exit, said) = ask(&stage, &url, &gate);
    assert_eq!(exit, 3, "{said}");
    let grant = format!("GRANT SELECT, INSERT, UPDATE ON shipctl.version_sightings TO {role};");
    for expected in ["ledger-unknown", &grant] {
        assert!(said.contains(expected), "{said}");
    }
    // The others tell what runs all the same.
    let (_, said) = ask(&stage, &url, &["deployed", "--explain"]);
    assert!(
        said.contains(&grant) && said.contains("connections, which"),
        "{said}"
    );
    stage
        .project
        .database
        .execute(&format!("GRANT SELECT ON shipctl.version_sightings TO {role}"))
        .await;
    let (exit, said) = ask(&stage, &url, &gate);
    assert!(exit == 1 && said.contains(first.short()), "{exit}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_cannot_be_remembered_is_doubtful_unless_the_role_only_reads() {
    let (mut stage, _) = stage(10).await;
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    let (role, url) = role(&stage, "").await;
    let (exit, said) = ask(&stage, &url, &["deployed"]);
    assert_eq!(exit, 0, "{said}");
    let database = &stage.project.database;
    database
        .execute(&format!("GRANT INSERT ON shipctl.events TO {role}"))
        .await;
    let grant = format!("GRANT SELECT, INSERT, UPDATE ON shipctl.version_sightings TO {role};");
    for args in [&["deployed"][..], &["gate", PLAN, "backfill"]] {
        let (exit, said) = ask(&stage, &url, args);
        assert_eq!(exit, 3, "{said}");
        assert!(
            said.contains("is not remembered") && said.contains(&grant),
            "{said}"
        );
    }
    database.execute(&grant).await;
    let (exit, said) = ask(&stage, &url, &["deployed"]);
    assert_eq!(exit, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_does_not_remember_or_cannot_be_read_is_doubtful() {
    let (mut stage, _) = stage(10).await;
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    let (role, url) = role(&stage, "REVOKE SELECT ON shipctl.events FROM ROLE").await;
    let (exit, said) = ask(&stage, &url, &["deployed"]);
    assert_eq!(exit, 3, "{said}");
    assert!(
        said.contains("who holds locks on the tables of plans was not looked at"),
        "{said}"
    );
    assert!(
        said.contains("GRANT SELECT ON ALL TABLES IN SCHEMA shipctl"),
        "{said}"
    );

    let database = &stage.project.database;
    database
        .execute(&format!(
            "GRANT SELECT ON shipctl.events TO {role}; DROP TABLE shipctl.fleet_samples, shipctl.version_sightings; \
             DELETE FROM shipctl.ledger_versions WHERE id = '0004'"
        ))
        .await;
    let own = database.url.clone();
    let (exit, said) = ask(&stage, &own, &["deployed"]);
    assert_eq!(exit, 3, "{said}");
    assert!(said.contains("the ledger is an older one"), "{said}");
    assert_eq!(
        ask(&stage, &url, &["deployed"]).0,
        0,
        "who only reads has nothing to remember"
    );
    let (exit, said) = ask(&stage, &own, &["run", PLAN, "--to", "backfill"]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(ask(&stage, &own, &["deployed"]).0, 0);
}

/// The plan without what comes after these phases.
fn ends_with(stage: &Stage, last: &str, next: &str) {
    let file = format!("plans/{PLAN}.toml");
    let plan = stage.project.repo.read(&file);
    assert!(plan.contains(&format!("id = \"{last}\"")));
    let end = plan.find(&format!("id = \"{next}\"")).unwrap();
    let end = plan[..end].rfind("[[").unwrap();
    stage.project.repo.write(&file, &plan[..end]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_matters_to_a_plan_that_ends_in_code() {
    let (mut stage, first) = stage(10).await;
    ends_with(&stage, "switch-read", "relax");
    run(&stage, &["--to", "add"], 0);
    let dual = ship(&mut stage, "dual-write").await;
    run(&stage, &[], 1);
    let switch = stage.release("Ship switch-read", Some("switch-read"));
    let may_go = ["can-deploy", switch.as_str()];
    let (exit, out, error) = stage.run(&may_go);
    assert_eq!(exit, 0, "{out}{error}");
    stage.start("web", &first).await;
    stage.run(&["deployed"]);
    stage.deploy("web", &dual).await;
    let (exit, out, error) = stage.run(&may_go);
    assert_eq!(exit, 1, "{out}{error}");
    assert!(out.contains("tainted") && out.contains(first.short()), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_on_a_table_of_another_registered_plan_is_a_doubt_for_every_service() {
    let services = r#"
[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
source = { kind = "connections", application_name = "web@{commit}" }

[[environments.production.services]]
name = "worker"
source = { kind = "file", path = "worker.txt", completeness = "full" }
"#;
    let stage = Stage::with(services).await;
    let first = stage.release("The first release", None);
    stage.project.repo.write("worker.txt", first.as_str());
    let database = &stage.project.database;
    let _web = connect(database, &format!("web@{first}")).await;
    let _worker = connect(database, &format!("worker@{first}")).await;
    let etl = connect(database, "nightly-export").await;
    etl.client()
        .batch_execute("BEGIN; SELECT count(*) FROM users")
        .await
        .unwrap();
    let doubted = || {
        let (_, value) = stage.json(&["deployed"]);
        let services = value["services"].as_array().unwrap().iter();
        services
            .filter(|service| service.to_string().contains("holds a lock on users"))
            .map(|service| service["service"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // A plan that nobody has begun with asks for nothing yet.
    assert_eq!(doubted(), Vec::<String>::new());
    // It is registered, and not a phase of it has begun.
    let (exit, out, error) = stage.run(&["approve", PLAN, "drop", "--reason", "reviewed"]);
    assert_eq!(exit, 0, "{out}{error}");
    assert_eq!(doubted(), ["web", "worker"]);
}
