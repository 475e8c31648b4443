//! The ids of plans: what the ledger and git remember of an earlier plan is not taken for a new one's.

use super::{SERVICES, planned};
use crate::support::{Project, shipctl};

fn forget(project: &Project) {
    for folder in ["plans", "migrations"] {
        for file in std::fs::read_dir(project.repo.path().join(folder)).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
}

#[tokio::test]
async fn an_id_that_was_used_is_not_used_again() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute("CREATE TABLE users (id int, name text, nick text)")
        .await;
    project.repo.commit("The first commit");
    let add = ["add-index", "users", "name"];
    assert_eq!(planned(&project, &add).id().as_str(), "add-index-users_name_idx");

    // It ran, and its files are gone: the ledger remembers.
    project
        .shipctl(&["run", "add-index-users_name_idx"])
        .assert()
        .success();
    project.database.execute("DROP INDEX users_name_idx").await;
    forget(&project);
    assert_eq!(
        planned(&project, &add).id().as_str(),
        "add-index-users_name_idx-2"
    );
    forget(&project);
    let output = project
        .shipctl(&["plan", "add-index", "users", "name"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    assert!(
        said.contains("knows an earlier plan add-index-users_name_idx."),
        "{said}"
    );
    forget(&project);

    // Its code was released, and nothing ran: git remembers.
    let drop = ["drop-column", "users.nick"];
    assert_eq!(planned(&project, &drop).id().as_str(), "drop-column-users-nick");
    project
        .repo
        .commit("Ignore nick\n\nShip-Phase: drop-column-users-nick/ignore");
    forget(&project);
    assert_eq!(planned(&project, &drop).id().as_str(), "drop-column-users-nick-2");
    let asked = [
        "plan",
        "drop-column",
        "users.nick",
        "--id",
        "drop-column-users-nick",
    ];
    let output = project.shipctl(&asked).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("there was a plan drop-column-users-nick before"),
        "{said}"
    );

    // One that has its files is not made twice.
    let again = [
        "plan",
        "drop-column",
        "users.nick",
        "--id",
        "drop-column-users-nick-2",
    ];
    let output = project.shipctl(&again).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("exist already"), "{said}");
}

#[tokio::test]
async fn where_history_is_cut_short_no_id_is_known_to_be_free() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute("CREATE TABLE users (id int, nick text)")
        .await;
    project
        .repo
        .commit("Ignore nick\n\nShip-Phase: drop-column-users-nick/ignore");
    project.repo.commit("Something else");
    let parent = tempfile::tempdir().unwrap();
    let clone = parent.path().join("clone");
    let from = format!("file://{}", project.repo.path().display());
    project
        .repo
        .git(&["clone", "--quiet", "--depth", "1", &from, clone.to_str().unwrap()]);
    let output = shipctl(&clone, &["plan", "drop-column", "users.nick"])
        .env("DATABASE_URL", &project.database.url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("--unshallow"), "{said}");
    project
        .repo
        .git(&["-C", clone.to_str().unwrap(), "fetch", "--quiet", "--unshallow"]);
    let output = shipctl(&clone, &["plan", "drop-column", "users.nick"])
        .env("DATABASE_URL", &project.database.url)
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(clone.join("plans/drop-column-users-nick-2.toml").exists());
}
