//! Phases whose commits are told by their trailers alone.

use super::{Phase, commit_file, lines, with_app};

const IN_USERS: &str = "Write both in users\n\nShip-Phase: p/dual-write";
const IN_ADMIN: &str = "Write both in admin\n\nShip-Phase: p/dual-write";

#[test]
fn every_commit_with_the_trailer_must_have_been_picked() {
    let repo = with_app();
    repo.git(&["branch", "release"]);
    let users = commit_file(&repo, "app.sql", &lines(&[(20, "both")]), IN_USERS);
    let admin = commit_file(&repo, "admin.sql", "both", IN_ADMIN);
    repo.switch("release");
    let before = commit_file(&repo, "other", "x", "Ahead");
    let pick = |change: &str| {
        repo.git(&["cherry-pick", "--no-commit", change]);
        repo.commit("Pick it")
    };
    let half = pick(admin.as_str());
    Phase::by_trailer().is_unknown_in(&half, repo.path());
    let whole = pick(users.as_str());
    Phase::by_trailer().is_in(&whole, repo.path());
    repo.switch(before.as_str());
    let half = pick(users.as_str());
    Phase::by_trailer().is_unknown_in(&half, repo.path());
    Phase::by_trailer().is_not_in(&before, repo.path());
}

#[test]
fn a_squash_of_a_branch_that_took_one_of_them_back_is_not_the_phase() {
    let repo = with_app();
    repo.branch("feature");
    commit_file(&repo, "app.sql", &lines(&[(20, "both")]), IN_USERS);
    repo.git(&["revert", "--no-commit", "HEAD"]);
    repo.commit("Tidy up");
    commit_file(&repo, "admin.sql", "both", IN_ADMIN);
    repo.switch("main");
    commit_file(&repo, "other", "x", "Ahead");
    repo.git(&["merge", "--quiet", "--squash", "feature"]);
    let squash = repo.commit("Everything");
    Phase::by_trailer().is_unknown_in(&squash, repo.path());
}

#[test]
fn a_commit_of_the_phase_elsewhere_does_not_make_up_for_one_that_was_reverted() {
    let repo = with_app();
    commit_file(&repo, "app.sql", &lines(&[(20, "both")]), IN_USERS);
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let reverted = repo.head();
    let elsewhere = commit_file(&repo, "admin.sql", "both", IN_ADMIN);
    Phase::by_trailer().is_unknown_in(&elsewhere, repo.path());
    Phase::by_trailer().is_not_in(&reverted, repo.path());
    repo.switch(reverted.as_str());
    let anew = commit_file(&repo, "app.sql", &lines(&[(20, "both, better")]), IN_USERS);
    Phase::by_trailer().is_in(&anew, repo.path());
}

#[test]
fn a_merge_with_the_trailer_may_be_missing_only_where_what_it_brought_is_there() {
    let repo = with_app();
    repo.branch("feature");
    let first = commit_file(&repo, "app.sql", &lines(&[(20, "both")]), IN_USERS);
    let last = commit_file(&repo, "admin.sql", "both", "Without a trailer");
    repo.switch("main");
    commit_file(&repo, "other", "x", "Ahead");
    let message = "Merge the branch\n\nShip-Phase: p/dual-write";
    repo.git(&["merge", "--quiet", "--no-ff", "--message", message, "feature"]);
    Phase::by_trailer().is_in(&repo.head(), repo.path());
    Phase::by_trailer().is_in(&last, repo.path());
    Phase::by_trailer().is_unknown_in(&first, repo.path());
}
