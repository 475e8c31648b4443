//! Merges as the commit of a phase, and what reverts say of the commits that a merge brought.

use shipctl::domain::CommitId;

use super::{Phase, commit_file, lines, with_app};
use crate::support::Repo;

/// A branch that writes both columns and pulled `main`: the merge's first parent is the branch.
fn pulled() -> (Repo, CommitId) {
    let repo = with_app();
    commit_file(&repo, "main.sql", "0", "Main");
    repo.branch("feature");
    repo.git(&["branch", "other"]);
    repo.git(&["branch", "picking"]);
    commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.switch("main");
    commit_file(&repo, "main.sql", "1", "More of main");
    repo.switch("feature");
    repo.git(&["merge", "--quiet", "--no-edit", "main"]);
    let merge = repo.head();
    (repo, merge)
}

#[test]
fn what_a_merge_pulled_is_not_what_it_is() {
    let (repo, merge) = pulled();
    repo.switch("other");
    let before = commit_file(&repo, "other.sql", "x", "Other");
    repo.git(&["merge", "--quiet", "--no-edit", "main"]);
    let pulled = repo.head();
    repo.switch("picking");
    commit_file(&repo, "other.sql", "y", "Ahead");
    repo.git(&["cherry-pick", "main"]);
    let picked = repo.head();
    let phase = Phase::of(&merge);
    for version in [&pulled, &picked] {
        let doubt = phase.is_unknown_in(version, repo.path());
        assert!(doubt.why.contains("first parent"), "{doubt:?}");
        assert!(doubt.fix.unwrap().contains("accept = [\"message\"]"));
    }
    phase.is_not_in(&before, repo.path());
    phase.is_in(&merge, repo.path());
    // A version that has the branch as well, and makes the same merge.
    repo.switch("feature");
    repo.git(&["checkout", "--quiet", "-B", "again", "feature~1"]);
    repo.git(&["merge", "--quiet", "--no-edit", "main"]);
    repo.git(&["commit", "--quiet", "--amend", "--message", "The same merge"]);
    phase.is_in(&repo.head(), repo.path());
}

/// A branch of two commits, merged: the first and the last of them, and the merge.
fn brought() -> (Repo, [CommitId; 3]) {
    let repo = with_app();
    repo.branch("feature");
    let first = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let last = commit_file(&repo, "test.sql", "t", "Test it");
    repo.switch("main");
    commit_file(&repo, "other", "x", "Mainline");
    repo.git(&["merge", "--quiet", "--no-ff", "--no-edit", "feature"]);
    let merge = repo.head();
    (repo, [first, last, merge])
}

#[test]
fn the_revert_of_a_commit_that_a_merge_brought_takes_back_part_of_it() {
    let (repo, [first, last, merge]) = brought();
    repo.git(&["revert", "--no-edit", first.as_str()]);
    let reverted = repo.head();
    // The last commit of a branch stands for the branch too: that it alone is left is no yes.
    for change in [&merge, &last] {
        let doubt = Phase::of(change).is_unknown_in(&reverted, repo.path());
        assert!(doubt.why.contains("part of it may be left"), "{doubt:?}");
    }
    Phase::of(&first).is_not_in(&reverted, repo.path());
    repo.git(&["revert", "--no-edit", "HEAD"]);
    for change in [&merge, &last, &first] {
        Phase::of(change).is_in(&repo.head(), repo.path());
    }
    // What the merge did not bring is another matter.
    repo.switch(merge.as_str());
    repo.git(&["revert", "--no-edit", "HEAD~1"]);
    Phase::of(&merge).is_in(&repo.head(), repo.path());
}

#[test]
fn the_revert_of_what_a_merge_brought_is_seen_by_its_patch_too() {
    let (repo, [first, _, merge]) = brought();
    repo.git(&["revert", "--no-commit", first.as_str()]);
    let silent = repo.commit("Tidy up");
    Phase::of(&merge).is_unknown_in(&silent, repo.path());
    repo.git(&["cherry-pick", first.as_str()]);
    Phase::of(&merge).is_in(&repo.head(), repo.path());
    repo.git(&["revert", "--no-edit", "-m", "1", merge.as_str()]);
    Phase::of(&merge).is_not_in(&repo.head(), repo.path());
}

#[test]
fn a_revert_of_what_a_merge_brought_is_known_by_its_title() {
    let (repo, [first, last, merge]) = brought();
    let near = lines(&[(18, "near"), (20, "write both")]);
    let standing = commit_file(&repo, "app.sql", &near, "Near");
    repo.git(&["revert", "--no-commit", first.as_str()]);
    let reverted = repo.commit("Revert \"Write both\" (#14)");
    for change in [&merge, &last, &first] {
        Phase::of(change).is_in(&standing, repo.path());
        Phase::of(change).is_unknown_in(&reverted, repo.path());
    }
}

#[test]
fn a_merge_with_the_trailer_is_what_it_brought() {
    let (repo, [first, ..]) = brought();
    repo.git(&[
        "commit",
        "--quiet",
        "--amend",
        "--message",
        "Merge (#12)\n\nShip-Phase: p/dual-write",
    ]);
    let merged = repo.head();
    repo.git(&["revert", "--no-edit", first.as_str()]);
    Phase::by_trailer().is_in(&merged, repo.path());
    Phase::by_trailer().is_unknown_in(&repo.head(), repo.path());
}
