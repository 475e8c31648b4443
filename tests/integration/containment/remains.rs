//! Versions that no commit shows to have the change, but from which it could be taken out: no no.

use super::{Phase, commit_file, lines, with_app};

#[test]
fn what_was_reapplied_was_there_before() {
    let repo = with_app();
    let base = repo.head();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let reverted = repo.head();
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let phase = Phase::of(&repo.head());
    let doubt = phase.is_unknown_in(&change, repo.path());
    assert!(doubt.why.contains("could be taken out"), "{doubt:?}");
    phase.is_not_in(&reverted, repo.path());
    phase.is_not_in(&base, repo.path());
    // A release on top of the first one.
    repo.switch(change.as_str());
    let release = commit_file(&repo, "other", "x", "Ahead");
    phase.is_unknown_in(&release, repo.path());
    repo.git(&["revert", "--no-edit", change.as_str()]);
    phase.is_not_in(&repo.head(), repo.path());
}

#[test]
fn a_squash_in_another_surrounding_is_no_no() {
    for message in ["Write both", "Write both\n\nShip-Phase: p/dual-write"] {
        let repo = with_app();
        repo.branch("feature");
        let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), message);
        repo.switch("main");
        let before = commit_file(&repo, "app.sql", &lines(&[(18, "near")]), "Near");
        repo.git(&["merge", "--quiet", "--squash", "feature"]);
        let squash = repo.commit("Write both (#12)");
        for phase in [Phase::of(&change), Phase::by_trailer()] {
            phase.is_not_in(&before, repo.path());
            if message.contains("Ship") || !phase.0.commits.is_empty() {
                phase.is_unknown_in(&squash, repo.path());
            }
        }
    }
}

#[test]
fn a_squash_of_more_than_the_commit_is_no_no() {
    let repo = with_app();
    repo.branch("feature");
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    commit_file(&repo, "test.sql", "t", "Test it");
    repo.switch("main");
    let before = repo.head();
    repo.git(&["merge", "--quiet", "--squash", "feature"]);
    let squash = repo.commit("Dual writing");
    repo.git(&["branch", "--quiet", "-D", "feature"]);
    Phase::of(&change).is_unknown_in(&squash, repo.path());
    Phase::of(&change).is_not_in(&before, repo.path());
    repo.git(&["mv", "app.sql", "moved.sql"]);
    let moved = repo.commit("Move it");
    Phase::of(&change).is_unknown_in(&moved, repo.path());
}

#[test]
fn what_is_there_in_part_is_no_no() {
    let repo = with_app();
    repo.git(&["branch", "release"]);
    repo.write("new.sql", "both");
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let both = {
        repo.git(&["add", "new.sql"]);
        repo.git(&["commit", "--quiet", "--amend", "--no-edit"]);
        repo.head()
    };
    assert_ne!(both, change);
    repo.switch("release");
    let before = commit_file(&repo, "app.sql", &lines(&[(20, "in the way")]), "In the way");
    let part = commit_file(&repo, "new.sql", "both", "Only the new file");
    Phase::of(&both).is_unknown_in(&part, repo.path());
    Phase::of(&both).is_not_in(&before, repo.path());
}

#[test]
fn attributes_do_not_hide_what_a_file_says() {
    let repo = with_app();
    commit_file(&repo, ".gitattributes", "app.sql -diff\n", "Hide it");
    repo.git(&["branch", "release"]);
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.switch("release");
    let before = commit_file(&repo, "app.sql", &lines(&[(1, "elsewhere")]), "Ahead");
    let both = lines(&[(1, "elsewhere"), (20, "write both")]);
    let backport = commit_file(&repo, "app.sql", &both, "Backport");
    Phase::of(&change).is_in(&backport, repo.path());
    Phase::of(&change).is_not_in(&before, repo.path());
}

#[test]
fn looking_leaves_nothing_behind() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.git(&["checkout", "--quiet", "-b", "release", "HEAD~1"]);
    let near = lines(&[(1, "elsewhere"), (18, "near"), (20, "write both")]);
    let version = commit_file(&repo, "app.sql", &near, "Otherwise");
    let objects = || repo.git(&["count-objects", "--verbose"]);
    let before = objects();
    Phase::of(&change).is_unknown_in(&version, repo.path());
    assert_eq!(objects(), before);
}
