//! Every operation against the oracle: `shipctl plan` writes it, `check` passes it, its phases leave what the one statement
//! leaves, and undone from any of them the database is what it was. One file an operation.

mod add_check;
mod add_column;
mod add_foreign_key;
mod add_identity;
mod add_primary_key;
mod add_unique;
mod change_type;
mod change_type_run;
mod clients;
mod create_table;
mod custom;
mod detach_interrupted;
mod drop_column;
mod drop_constraint;
mod drop_default;
mod drop_not_null;
mod drop_table;
mod enum_values;
mod extract_json;
mod generated;
mod ids;
mod indexes;
mod merge_columns;
mod move_column;
mod page;
mod partitions;
mod remarks;
mod rename;
mod rename_table;
mod replace_index;
mod set_default;
mod set_not_null;
mod split_column;
mod stories;
mod two_ways;
mod widen_key;

use shipctl::plan::{self, Plan};
use shipctl::postgres::Session;
use shipctl::project;

use super::catalog::{backward, catalog, forward, prepared};
use super::support::{Project, fresh_database, skipped};

const SERVICES: &str = r#"
[[environments.production.services]]
name = "web"
source = { kind = "connections", application_name = "web@{commit}" }
"#;

/// A table, an operation on it, and what that comes to.
pub struct Case {
    pub name: &'static str,
    /// Makes the table and its rows.
    pub ddl: &'static str,
    /// What follows `shipctl plan`.
    pub arguments: &'static [&'static str],
    /// The same at once.
    pub oracle: &'static str,
    /// What stays when the plan is undone, such as rows that were filled; after `;;` what comes to that with later phases.
    pub stays: &'static str,
    /// What `check` says: `safe`, or `not-proved` where rows decide; anything but `unsafe` where it is empty.
    pub proof: &'static str,
}

/// Whether the server is of this version at least; says so where it is not.
pub async fn knows(version: u32, what: &str) -> bool {
    let is_known = fresh_database().await.session().await.server_version() >= version;
    if !is_known {
        skipped(&format!("PostgreSQL {} is needed for {what}", version / 10_000));
    }
    is_known
}

/// Runs each case to its end, and up to each of its phases and back.
pub async fn hold(cases: &[Case]) {
    for case in cases {
        holds(case).await;
    }
}

async fn holds(case: &Case) {
    let project = Project::new(SERVICES).await;
    let phased = prepared(&project.database, case.ddl).await;
    let plan = planned(&project, case.arguments);
    holds_planned(case, &project, &phased, &plan).await;
}

/// The same, where it is planned already.
async fn holds_planned(case: &Case, project: &Project, phased: &Session, plan: &Plan) {
    proved(project, case);
    let untouched = fresh_database().await;
    let untouched = prepared(&untouched, case.ddl).await;
    let (name, phases) = (case.name, plan.phases());
    for last in 0..phases.len() {
        for phase in &phases[..=last] {
            forward(phased, &phase.detail).await;
        }
        for phase in phases[..=last].iter().rev() {
            backward(phased, &phase.detail).await;
        }
        // What stays may have been done by then, or not yet.
        let after = catalog(phased).await;
        for stays in case.stays.split(";;") {
            if after != catalog(&untouched).await {
                untouched.client().batch_execute(stays).await.unwrap();
            }
        }
        let differences = differences(&after, &catalog(&untouched).await);
        assert!(
            differences.is_empty(),
            "{name}: back from {}: {differences:#?}",
            phases[last].id
        );
    }
    for phase in phases {
        forward(phased, &phase.detail).await;
    }
    let plain = fresh_database().await;
    let plain = prepared(&plain, case.ddl).await;
    plain.client().batch_execute(case.oracle).await.unwrap();
    let differences = differences(&catalog(phased).await, &catalog(&plain).await);
    assert!(differences.is_empty(), "{name}: {differences:#?}");
}

/// The facts that are in one of two catalogs only.
fn differences(phased: &[String], plain: &[String]) -> Vec<String> {
    let only = |word: &str, one: &[String], other: &[String]| -> Vec<String> {
        let mut rest = other.to_vec();
        let mut found = Vec::new();
        for line in one {
            match rest.iter().position(|same| same == line) {
                Some(place) => drop(rest.swap_remove(place)),
                None => found.push(format!("{word}: {line}")),
            }
        }
        found
    };
    [only("phased", phased, plain), only("plain", plain, phased)].concat()
}

/// The plan that the program writes.
pub fn planned(project: &Project, arguments: &[&str]) -> Plan {
    planned_or_refused(project, arguments).unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
}

/// The plan that the program writes, or what it says.
pub fn planned_or_refused(project: &Project, arguments: &[&str]) -> Result<Plan, String> {
    let arguments = [&["plan"], arguments, &["--json"]].concat();
    let output = project.shipctl(&arguments).output().unwrap();
    if !output.status.success() {
        let said = [output.stderr.as_slice(), &output.stdout].concat();
        return Err(String::from_utf8_lossy(&said).into_owned());
    }
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = project::discover(project.repo.path()).unwrap();
    let plan = plan::find(&found, told["plan"].as_str().unwrap()).unwrap();
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
    Ok(plan)
}

fn proved(project: &Project, case: &Case) {
    let output = project.shipctl(&["check", "--json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}: {told:#}", case.name);
    let verdict = &told["proof"]["verdict"];
    let is_expected = if case.proof.is_empty() {
        verdict != "unsafe"
    } else {
        verdict == case.proof
    };
    assert!(is_expected, "{}: {told:#}", case.name);
}

/// What the program says when it refuses to plan something.
pub fn refused(project: &Project, arguments: &[&str]) -> String {
    let arguments = [&["plan"], arguments].concat();
    let output = project.shipctl(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(
        std::fs::read_dir(project.repo.path().join("plans"))
            .unwrap()
            .next()
            .is_none(),
        "{arguments:?}"
    );
    said
}
