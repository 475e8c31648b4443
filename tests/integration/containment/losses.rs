//! Changes that were lost: in a merge, or in a commit that did something else as well.

use super::{Phase, commit_file, lines, with_app};

#[test]
fn a_merge_that_took_the_other_side_of_a_file_lost_the_change() {
    let repo = with_app();
    repo.git(&["branch", "old"]);
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.switch("old");
    let other = commit_file(&repo, "app.sql", &lines(&[(20, "other")]), "Otherwise");
    repo.git(&["merge", "--quiet", "--no-edit", "-s", "ours", "main"]);
    let phase = Phase::of(&change);
    phase.is_unknown_in(&repo.head(), repo.path());
    let later = commit_file(&repo, "app.sql", &lines(&[(3, "three"), (20, "other")]), "Later");
    phase.is_unknown_in(&later, repo.path());
    phase.is_not_in(&other, repo.path());
    // A conflict, settled for the file of the one side.
    repo.git(&["checkout", "--quiet", "-B", "conflict", other.as_str()]);
    let merged = std::process::Command::new("git")
        .args(["merge", "--quiet", "main"])
        .current_dir(repo.path())
        .output()
        .unwrap();
    assert!(!merged.status.success());
    repo.git(&["checkout", "--ours", "app.sql"]);
    let ours = repo.commit("Merge main");
    phase.is_unknown_in(&ours, repo.path());
}

#[test]
fn a_hotfix_that_is_merged_back_loses_nothing() {
    let repo = with_app();
    repo.git(&["branch", "release"]);
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.switch("release");
    repo.git(&["cherry-pick", "--no-commit", change.as_str()]);
    repo.commit("Pick it");
    let fixed = lines(&[(5, "fixed"), (20, "write both")]);
    commit_file(&repo, "app.sql", &fixed, "Hotfix");
    repo.switch("main");
    commit_file(&repo, "other", "x", "Meanwhile");
    repo.git(&["merge", "--quiet", "--no-edit", "release"]);
    Phase::of(&change).is_in(&repo.head(), repo.path());
}

#[test]
fn a_file_that_a_change_added_may_be_moved_but_not_lost() {
    let repo = with_app();
    repo.git(&["branch", "old"]);
    let change = commit_file(&repo, "dual.sql", "dual\n", "Write both");
    let phase = Phase::of(&change);
    repo.switch("old");
    commit_file(&repo, "other", "x", "Ahead");
    repo.git(&["merge", "--quiet", "--no-edit", "-s", "ours", "main"]);
    phase.is_unknown_in(&repo.head(), repo.path());
    repo.switch("main");
    repo.git(&["mv", "dual.sql", "moved.sql"]);
    let moved = repo.commit("Move it");
    phase.is_in(&moved, repo.path());
    repo.switch(change.as_str());
    repo.git(&["rm", "--quiet", "dual.sql"]);
    repo.write("more", "x");
    let removed = repo.commit("Remove the double writer");
    phase.is_unknown_in(&removed, repo.path());
    let anew = commit_file(&repo, "dual.sql", "otherwise\n", "Something else");
    phase.is_unknown_in(&anew, repo.path());
}

#[test]
fn a_file_that_was_copied_before_it_was_removed_is_still_there() {
    let repo = with_app();
    let change = commit_file(&repo, "dual.sql", "dual\n", "Write both");
    commit_file(&repo, "library/dual.sql", "dual\n", "Move it, one");
    repo.git(&["rm", "--quiet", "dual.sql"]);
    let moved = repo.commit("Move it, two");
    Phase::of(&change).is_unknown_in(&moved, repo.path());
    repo.git(&["rm", "--quiet", "library/dual.sql"]);
    Phase::of(&change).is_not_in(&repo.commit("Remove it"), repo.path());
}

#[test]
fn what_was_taken_back_along_with_something_else_stays_taken_back() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let phase = Phase::of(&change);
    repo.write("app.sql", &lines(&[]));
    repo.write("more", "x");
    let simplified = repo.commit("Simplify");
    phase.is_unknown_in(&simplified, repo.path());
    let later = commit_file(&repo, "app.sql", &lines(&[(3, "three")]), "Later");
    phase.is_unknown_in(&later, repo.path());
    // Until it is made again.
    repo.git(&["cherry-pick", change.as_str()]);
    phase.is_in(&repo.head(), repo.path());
}
