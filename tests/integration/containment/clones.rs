//! Clones that lack something: never a no, and a remedy that works when it is typed.

use std::path::Path;

use shipctl::plan::{ContentPattern, ContentProbe};

use super::{Phase, commit_file, follow, lines, with_app};
use crate::support::Repo;

/// Clones a repository with git's own transport, which leaves out what it is told to.
fn clone(of: &Repo, options: &[&str]) -> tempfile::TempDir {
    of.git(&["config", "uploadpack.allowFilter", "true"]);
    of.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let folder = tempfile::tempdir().unwrap();
    let from = format!("file://{}", of.path().display());
    let to = folder.path().display().to_string();
    let mut arguments = vec!["clone", "--quiet"];
    arguments.extend(options);
    arguments.extend([from.as_str(), to.as_str()]);
    of.git(&arguments);
    folder
}

#[test]
fn a_shallow_clone_is_unknown_until_it_is_whole() {
    let repo = with_app();
    let change = commit_file(
        &repo,
        "app.sql",
        &lines(&[(20, "write both")]),
        "Write both\n\nShip-Phase: p/dual-write",
    );
    for number in 0..3 {
        commit_file(&repo, "other", &number.to_string(), "Later");
    }
    let version = repo.head();
    repo.git(&["checkout", "--quiet", "-b", "without", "main~4"]);
    let without = commit_file(&repo, "other", "x", "Without");
    for depth in ["1", "2", "3"] {
        let whole = clone(&repo, &["--branch", "main", "--depth", depth]);
        let doubt = Phase::by_trailer().is_unknown_in(&version, whole.path());
        follow(&doubt, whole.path());
        Phase::by_trailer().is_in(&version, whole.path());
        Phase::of(&change).is_in(&version, whole.path());

        let whole = clone(
            &repo,
            &["--no-single-branch", "--branch", "without", "--depth", depth],
        );
        let doubt = Phase::by_trailer().is_unknown_in(&without, whole.path());
        follow(&doubt, whole.path());
        Phase::by_trailer().is_not_in(&without, whole.path());
        Phase::of(&change).is_not_in(&without, whole.path());
    }
    // Deep enough to reach it, but not to see what it changed; and that too.
    let edge = clone(&repo, &["--branch", "main", "--depth", "4"]);
    Phase::by_trailer().is_unknown_in(&version, edge.path());
    let deep = clone(&repo, &["--branch", "main", "--depth", "5"]);
    Phase::by_trailer().is_in(&version, deep.path());
}

#[test]
fn a_commit_that_was_pushed_over_can_be_fetched_by_its_id() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let on_top = commit_file(&repo, "other", "x", "Later");
    repo.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    let instead = commit_file(&repo, "app.sql", &lines(&[(21, "instead")]), "Instead");
    let after = clone(&repo, &[]);
    let phase = Phase::of(&change);
    let doubt = phase.is_unknown_in(&instead, after.path());
    assert_eq!(
        doubt.fix.as_deref().unwrap(),
        format!("git fetch origin {change}")
    );
    follow(&doubt, after.path());
    phase.is_not_in(&instead, after.path());
    // A version that is not here.
    let doubt = phase.is_unknown_in(&on_top, after.path());
    follow(&doubt, after.path());
    phase.is_in(&on_top, after.path());
}

#[test]
fn grafts_prove_nothing() {
    let repo = with_app();
    let root = repo.head();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.switch(root.as_str());
    let side = commit_file(&repo, "other", "x", "Aside");
    let grafts = repo.path().join(".git/info/grafts");
    std::fs::create_dir_all(grafts.parent().unwrap()).unwrap();
    std::fs::write(grafts, format!("{side} {change}\n")).unwrap();
    let phase = Phase::of(&change);
    let doubt = phase.is_unknown_in(&side, repo.path());
    follow(&doubt, repo.path());
    phase.is_not_in(&side, repo.path());
    phase.is_in(&change, repo.path());
}

#[test]
fn where_objects_are_replaced_there_is_no_no() {
    let repo = with_app();
    let root = repo.head();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let later = commit_file(&repo, "other", "y", "Later");
    repo.switch(root.as_str());
    let side = commit_file(&repo, "other", "x", "Aside");
    repo.git(&["replace", "--graft", side.as_str(), change.as_str()]);
    repo.git(&["commit-graph", "write", "--reachable"]);
    let phase = Phase::of(&change);
    phase.is_in(&later, repo.path());
    let doubt = phase.is_unknown_in(&side, repo.path());
    assert!(doubt.why.contains("refs/replace"), "{doubt:?}");
    follow(&doubt, repo.path());
    phase.is_not_in(&side, repo.path());
}

#[test]
fn a_partial_clone_is_unknown_where_what_it_lacks_would_tell() {
    let repo = with_app();
    repo.git(&["branch", "release"]);
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let later = commit_file(&repo, "other", "x", "Later");
    repo.switch("release");
    let before = commit_file(&repo, "app.sql", &lines(&[(1, "elsewhere")]), "Ahead");
    repo.git(&["cherry-pick", change.as_str()]);
    let picked = repo.head();
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let reverted = repo.head();
    let phase = Phase::of(&change);
    for filter in ["--filter=blob:none", "--filter=tree:0"] {
        for (version, contained) in [(&picked, true), (&reverted, false)] {
            let partial = clone(&repo, &["--no-checkout", filter]);
            let doubt = phase.is_unknown_in(version, partial.path());
            follow(&doubt, partial.path());
            if contained {
                phase.is_in(version, partial.path());
            } else {
                phase.is_not_in(version, partial.path());
            }
        }
    }
    // Trees are enough to see that nobody touched its files since, or that nobody touched all of them.
    let partial = clone(&repo, &["--no-checkout", "--filter=blob:none"]);
    phase.is_in(&later, partial.path());
    Phase::of(&later).is_not_in(&before, partial.path());
}

/// Unpacks all objects of a clone, so that single ones can be lost.
fn unpack(clone: &Path) {
    let script = "set -e; mkdir .git/aside; mv .git/objects/pack/* .git/aside; \
                  for pack in .git/aside/*.pack; do git unpack-objects -q < $pack; done; rm -rf .git/aside";
    let done = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(clone)
        .status()
        .unwrap();
    assert!(done.success());
}

#[test]
fn a_lost_commit_in_the_middle_is_unknown_until_it_is_fetched_again() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let middle = commit_file(&repo, "other", "1", "Middle");
    let version = commit_file(&repo, "other", "2", "Later");
    let broken = clone(&repo, &[]);
    unpack(broken.path());
    let id = middle.as_str();
    std::fs::remove_file(broken.path().join(".git/objects").join(&id[..2]).join(&id[2..])).unwrap();
    let phase = Phase::of(&change);
    let doubt = phase.is_unknown_in(&version, broken.path());
    follow(&doubt, broken.path());
    phase.is_in(&version, broken.path());
}

#[test]
fn remotes_of_any_name_are_fetched_from() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let later = commit_file(&repo, "other", "x", "Later");
    let whole = clone(&repo, &["--origin", "it's;here"]);
    commit_file(&repo, "other", "y", "Pushed since");
    repo.git(&["tag", "v1"]);
    let doubt = Phase::of(&change).is_unknown_in(&repo.head(), whole.path());
    follow(&doubt, whole.path());
    Phase::of(&change).is_in(&repo.head(), whole.path());
    Phase::of(&change).is_in(&later, whole.path());
}

#[test]
fn files_that_a_partial_clone_left_out_are_fetched_for_a_probe() {
    let repo = with_app();
    let version = commit_file(&repo, "src/a.sql", "users.name", "Old");
    let partial = clone(&repo, &["--no-checkout", "--filter=blob:none"]);
    let phase = Phase::by_trailer().probing(ContentProbe {
        pattern: ContentPattern::Text("users.name".to_owned()),
        paths: vec!["src".to_owned()],
        present: true,
    });
    let doubt = phase.is_unknown_in(&version, partial.path());
    follow(&doubt, partial.path());
    phase.is_in(&version, partial.path());
}

#[test]
fn what_a_shallow_clone_hides_may_have_taken_it_back() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let undone = commit_file(&repo, "app.sql", &lines(&[]), "Tidy up");
    // The change is where the clone ends, so that nobody can see what it was.
    let edge = clone(&repo, &["--branch", "main", "--depth", "2"]);
    let doubt = Phase::of(&change).is_unknown_in(&undone, edge.path());
    follow(&doubt, edge.path());
    Phase::of(&change).is_not_in(&undone, edge.path());

    // The revert lies on a branch that the clone has only the end of.
    repo.git(&["checkout", "--quiet", "-B", "long", change.as_str()]);
    repo.git(&["revert", "--no-edit", "HEAD"]);
    for number in 0..5 {
        commit_file(&repo, "long", &number.to_string(), "Meanwhile");
    }
    repo.git(&["checkout", "--quiet", "-B", "short", change.as_str()]);
    let near = lines(&[(3, "three"), (20, "write both")]);
    commit_file(&repo, "app.sql", &near, "Near");
    repo.git(&["merge", "--quiet", "--no-edit", "long"]);
    let version = repo.head();
    let hidden = clone(&repo, &["--branch", "short", "--depth", "3"]);
    let doubt = Phase::of(&change).is_unknown_in(&version, hidden.path());
    follow(&doubt, hidden.path());
    assert_eq!(
        format!("{:?}", Phase::of(&change).within(&version, hidden.path())),
        format!("{:?}", Phase::of(&change).within(&version, repo.path()))
    );
}
