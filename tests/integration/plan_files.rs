//! Integration tests: plan files.

use std::path::Path;

use serde_json::Value;

use crate::support::{Repo, shipctl};

const CONFIG: &str = r#"
[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
source = { kind = "recorded" }

[[environments.production.services]]
name = "worker"
repository = "other"
source = { kind = "recorded" }
"#;

/// A repository with the sample plan.
fn sample() -> Repo {
    let repo = Repo::new();
    repo.write("shipctl.toml", CONFIG);
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let name = "rename-users-name.toml";
    repo.write(
        &format!("plans/{name}"),
        &std::fs::read_to_string(samples.join(name)).unwrap(),
    );
    for entry in std::fs::read_dir(samples.join("migrations")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        repo.write(
            &format!("migrations/{name}"),
            &std::fs::read_to_string(&path).unwrap(),
        );
    }
    repo
}

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(folder: &Path, args: &[&str]) -> Outcome {
    let output = shipctl(folder, args).output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn json(folder: &Path, args: &[&str]) -> (i32, Value) {
    let outcome = run(folder, args);
    (outcome.code, serde_json::from_str(&outcome.stdout).unwrap())
}

#[test]
fn check_says_what_is_valid() {
    let repo = sample();
    let outcome = run(repo.path(), &["check"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(
        outcome.stdout,
        "plan rename-users-name: 8 phases, 3 of them code; valid; 17 states explored, all safe\nmigrations in \
         migrations: 4 files; valid\n"
    );
}

#[test]
fn check_reports_every_mistake_in_every_file_and_exits_2() {
    let repo = sample();
    let broken = repo
        .read("plans/rename-users-name.toml")
        .replace("needs = [\"relax\"]", "needs = [\"relaks\"]");
    repo.write("plans/rename-users-name.toml", &broken);
    repo.write(
        "plans/other.toml",
        "id = \"another\"\n[[phase]]\nid = \"a\"\nkind = \"code\"\nservices = [\"wep\"]\n",
    );
    repo.write("migrations/0001_bad.sql", "-- UP\nALTER TABEL users;\n");
    let outcome = run(repo.path(), &["check"]);
    assert_eq!(outcome.code, 2);
    for expected in [
        "plans/rename-users-name.toml",
        "did you mean `relax`?",
        "did you mean `web`?",
        "rename the file to another.toml",
        "0001_bad.sql",
    ] {
        assert!(
            outcome.stderr.contains(expected),
            "{expected}\n{}",
            outcome.stderr
        );
    }
    let (code, report) = json(repo.path(), &["check", "--json"]);
    assert_eq!((code, &report["verdict"]), (2, &Value::from("invalid")));
    assert_eq!(report["problems"].as_array().unwrap().len(), 3);
}

#[test]
fn a_broken_project_file_shows_no_password() {
    let repo = sample();
    repo.write(
        "shipctl.toml",
        "[environments.production]\ndatabase = \"postgres://app:hunter2@db/prod\"\nprotekted = true\n",
    );
    for args in [
        &["check"][..],
        &["check", "--json"],
        &["graph", "rename-users-name"],
    ] {
        let outcome = run(repo.path(), args);
        assert_eq!(outcome.code, 2);
        let all = outcome.stdout + &outcome.stderr;
        assert!(all.contains("protected") && !all.contains("hunter2"), "{all}");
    }
}

#[test]
fn the_project_is_found_from_a_folder_below_and_nowhere_else() {
    let repo = sample();
    repo.write("src/deep/x", "");
    let below = repo.path().join("src/deep");
    assert_eq!(run(&below, &["graph", "rename-users-name"]).code, 0);
    let empty = Repo::new();
    let outcome = run(empty.path(), &["check"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("shipctl init"), "{}", outcome.stderr);
}

#[test]
fn link_writes_the_full_commit_and_keeps_everything_else() {
    let repo = sample();
    let commit = repo.commit("Write both columns");
    let before = repo.read("plans/rename-users-name.toml");
    let outcome = run(repo.path(), &["link", "rename-users-name", "dual-write", "HEAD"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("“Write both columns”"),
        "{}",
        outcome.stdout
    );
    let line = format!("commit = \"{commit}\"\n");
    let after = repo.read("plans/rename-users-name.toml");
    assert!(after.contains(&line));
    assert_eq!(after.replace(&line, ""), before);

    let again = run(repo.path(), &["link", "rename-users-name", "dual-write", "HEAD"]);
    assert!(again.stdout.contains("already"), "{}", again.stdout);
    let next = repo.commit("Write both columns, really");
    let moved = run(repo.path(), &["link", "rename-users-name", "dual-write", "main"]);
    assert!(moved.stdout.contains(commit.as_str()), "{}", moved.stdout);
    assert!(repo.read("plans/rename-users-name.toml").contains(next.as_str()));
    assert_eq!(run(repo.path(), &["check"]).code, 0);
}

#[test]
fn link_looks_a_commit_of_another_repository_up_there() {
    let repo = sample();
    repo.commit("Write both columns");
    let other = repo.path().join("other");
    std::fs::create_dir(&other).unwrap();
    repo.git(&["-C", "other", "init", "--quiet"]);
    repo.git(&[
        "-C",
        "other",
        "commit",
        "--quiet",
        "--allow-empty",
        "--message",
        "Worker too",
    ]);
    let worker = repo.git(&["-C", "other", "rev-parse", "HEAD"]);
    assert_eq!(
        run(repo.path(), &["link", "rename-users-name", "dual-write", "HEAD"]).code,
        0
    );
    let args = [
        "link",
        "rename-users-name",
        "dual-write",
        &worker[..10],
        "--service",
        "worker",
        "--json",
    ];
    let (code, report) = json(repo.path(), &args);
    assert_eq!((code, &report["commit"]), (0, &Value::from(worker.clone())));
    let text = repo.read("plans/rename-users-name.toml");
    assert!(
        text.contains(&format!("worker = \"{worker}\"")) && text.contains("\".\" ="),
        "{text}"
    );
    assert_eq!(run(repo.path(), &["check"]).code, 0);
}

#[test]
fn link_refuses_what_cannot_be_and_leaves_the_file_alone() {
    let repo = sample();
    repo.commit("Start");
    let before = repo.read("plans/rename-users-name.toml");
    for (args, expected) in [
        (
            &["rename-users-name", "add", "HEAD"][..],
            "dual-write, switch-read, stop-write",
        ),
        (
            &["rename-users-name", "dual-rite", "HEAD"],
            "did you mean `dual-write`?",
        ),
        (
            &["rename-user-name", "dual-write", "HEAD"],
            "did you mean `rename-users-name`?",
        ),
        (
            &["rename-users-name", "dual-write", "no-such-branch"],
            "no-such-branch",
        ),
        (
            &["rename-users-name", "dual-write", "HEAD", "--service", "wrker"],
            "did you mean `worker`?",
        ),
    ] {
        let outcome = run(repo.path(), &[&["link"], args].concat());
        assert_eq!(outcome.code, 2, "{args:?}");
        assert!(outcome.stderr.contains(expected), "{args:?}\n{}", outcome.stderr);
    }
    assert_eq!(repo.read("plans/rename-users-name.toml"), before);
}

#[test]
fn a_graph_is_a_document_on_standard_output() {
    let repo = sample();
    for (format, expected) in [
        ("text", "╰─ 8 ── drop"),
        ("mermaid", "flowchart TD"),
        ("dot", "\"relax\" -> \"stop-write\";"),
    ] {
        let outcome = run(repo.path(), &["graph", "rename-users-name", "--format", format]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
        assert!(outcome.stdout.contains(expected), "{}", outcome.stdout);
    }
    let by_path = run(repo.path(), &["graph", "plans/rename-users-name.toml"]);
    assert_eq!(by_path.code, 0, "{}", by_path.stderr);
}

#[test]
fn init_creates_what_is_missing_and_changes_nothing_that_is_there() {
    let repo = Repo::new();
    repo.write("db/migrations/0001_x.sql", "-- UP\nSELECT 1;\n");
    let (code, first) = json(repo.path(), &["init", "--service", "shop", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(first["created"], serde_json::json!(["shipctl.toml", "plans"]));
    assert_eq!(first["kept"], serde_json::json!(["db/migrations"]));
    assert_eq!(run(repo.path(), &["check"]).code, 0);

    let text = repo.read("shipctl.toml");
    assert!(text.contains("name = \"shop\"") && text.contains("migrations = \"db/migrations\""));
    repo.write("shipctl.toml", &format!("{text}\n# mine\n"));
    let (code, second) = json(repo.path(), &["init", "--json"]);
    assert_eq!((code, second["created"].as_array().unwrap().len()), (0, 0));
    assert!(repo.read("shipctl.toml").ends_with("# mine\n"));
}

#[test]
fn init_works_in_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), &["init"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("git init"), "{}", outcome.stderr);
    assert!(folder.path().join("migrations").is_dir());
    assert_eq!(run(folder.path(), &["check"]).code, 0);
}

#[test]
fn completions_name_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let outcome = run(folder.path(), &["completions", shell]);
        assert_eq!(outcome.code, 0);
        assert!(outcome.stdout.contains("can-deploy"), "{shell}");
    }
}
