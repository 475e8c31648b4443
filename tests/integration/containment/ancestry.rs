//! Descent through merges of every kind, and repositories of every kind.

use shipctl::observe::git::Repository;

use super::{Phase, commit_file, with_app};
use crate::support::Repo;

#[test]
fn a_merge_brings_the_change_and_the_line_before_it_lacks_it() {
    let repo = with_app();
    repo.branch("feature");
    let change = commit_file(&repo, "feature", "both", "Write both");
    repo.switch("main");
    let before = commit_file(&repo, "other", "x", "Mainline");
    repo.git(&["merge", "--quiet", "--no-ff", "--no-edit", "feature"]);
    let merged = repo.head();
    let phase = Phase::of(&change);
    assert!(phase.is_in(&merged, repo.path()).contains("2 commits later"));
    phase.is_not_in(&before, repo.path());
}

#[test]
fn an_octopus_brings_what_its_branches_have_and_nothing_else() {
    let repo = with_app();
    let base = repo.head();
    let mut changes = Vec::new();
    for name in ["one", "two", "three", "left-out"] {
        repo.switch(base.as_str());
        repo.branch(name);
        changes.push(commit_file(&repo, name, name, name));
    }
    repo.switch("main");
    commit_file(&repo, "other", "x", "Mainline");
    repo.git(&["merge", "--quiet", "--no-edit", "one", "two", "three"]);
    let merged = repo.head();
    assert_eq!(
        repo.git(&["rev-list", "--parents", "-1", "HEAD"])
            .split(' ')
            .count(),
        5
    );
    let left_out = changes.pop().unwrap();
    for graph in [false, true] {
        if graph {
            repo.git(&["commit-graph", "write", "--reachable"]);
        }
        for change in &changes {
            Phase::of(change).is_in(&merged, repo.path());
        }
        Phase::of(&left_out).is_not_in(&merged, repo.path());
    }
}

#[test]
fn worktrees_answer_as_their_repository_does() {
    let repo = with_app();
    let change = commit_file(&repo, "feature", "both", "Write both");
    let elsewhere = tempfile::tempdir().unwrap();
    let tree = elsewhere.path().join("tree");
    repo.git(&[
        "worktree",
        "add",
        "--quiet",
        "--detach",
        &tree.display().to_string(),
    ]);
    repo.branch("later");
    let later = commit_file(&repo, "more", "x", "More");
    repo.git(&["commit-graph", "write", "--reachable"]);
    Phase::of(&change).is_in(&later, &tree);
    Phase::of(&later).is_not_in(&change, &tree);
}

#[test]
fn a_submodule_answers_by_its_own_history() {
    let inner = with_app();
    let before = inner.head();
    let change = commit_file(&inner, "feature", "both", "Write both");
    let outer = with_app();
    outer.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &inner.path().display().to_string(),
        "library",
    ]);
    outer.commit("Add the library");
    let library = outer.path().join("library");
    Phase::of(&change).is_in(&change, &library);
    Phase::of(&change).is_not_in(&before, &library);
    // The repository around it knows nothing of these commits.
    Phase::of(&change).is_unknown_in(&change, outer.path());
}

#[test]
fn a_repository_with_other_ids_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("git")
        .args(["init", "--quiet", "--object-format=sha256"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(made.success());
    let problem = Repository::discover(folder.path()).err().unwrap();
    assert_eq!(problem.code(), "object-format");
    assert!(problem.to_string().contains("sha256"), "{problem}");
    assert!(Repository::discover(Repo::new().path()).is_ok());
}
