//! The change under another id: picked, rebased, squashed.

use super::{Phase, commit_file, lines, with_app};
use crate::support::Repo;

/// `main` and `release` part; then `main` writes both columns.
fn parted() -> (Repo, shipctl::domain::CommitId) {
    let repo = with_app();
    repo.git(&["branch", "release"]);
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    (repo, change)
}

#[test]
fn a_clean_cherry_pick_is_the_change() {
    let (repo, change) = parted();
    let other = commit_file(&repo, "other.sql", "x", "Something else");
    repo.switch("release");
    commit_file(&repo, "app.sql", &lines(&[(1, "elsewhere")]), "Ahead");
    let before = repo.head();
    repo.git(&["cherry-pick", change.as_str()]);
    let picked = repo.head();
    let evidence = Phase::of(&change).is_in(&picked, repo.path());
    assert!(evidence.contains("the same patch as"), "{evidence}");
    assert!(
        Phase::of(&change)
            .is_not_in(&before, repo.path())
            .contains("same patch")
    );
    Phase::of(&other).is_not_in(&picked, repo.path());
}

#[test]
fn a_cherry_pick_with_a_conflict_is_a_claim_that_the_plan_may_accept() {
    let (repo, change) = parted();
    repo.switch("release");
    let before = commit_file(&repo, "app.sql", &lines(&[(20, "in the way")]), "In the way");
    let conflict = |arguments: &[&str]| {
        repo.git(&["checkout", "--quiet", "--detach", before.as_str()]);
        let tried = std::process::Command::new("git")
            .args(arguments)
            .current_dir(repo.path())
            .output()
            .unwrap();
        assert!(!tried.status.success());
        repo.write("app.sql", &lines(&[(20, "in the way, write both")]));
        repo.git(&["add", "app.sql"]);
        repo.git(&["-c", "core.editor=true", "cherry-pick", "--continue"]);
        repo.head()
    };
    let named = conflict(&["cherry-pick", "-x", change.as_str()]);
    let doubt = Phase::of(&change).is_unknown_in(&named, repo.path());
    assert!(doubt.why.contains("made from that one"), "{doubt:?}");
    assert!(doubt.fix.unwrap().contains("accept = [\"message\"]"));
    Phase::of(&change).accepting_messages().is_in(&named, repo.path());
    Phase::of(&change)
        .accepting_messages()
        .is_not_in(&before, repo.path());
    // Without a word about its origin, nothing can be accepted, but nothing be denied either.
    let unnamed = conflict(&["cherry-pick", change.as_str()]);
    for phase in [Phase::of(&change), Phase::of(&change).accepting_messages()] {
        let doubt = phase.is_unknown_in(&unnamed, repo.path());
        assert!(doubt.why.contains("title, author and date"), "{doubt:?}");
    }
    Phase::of(&change).is_not_in(&before, repo.path());
}

#[test]
fn an_accepted_claim_that_was_reverted_is_no_proof() {
    let (repo, change) = parted();
    repo.switch("release");
    let claim = format!("Write both\n\n(cherry picked from commit {change})");
    let claimed = commit_file(&repo, "app.sql", &lines(&[(21, "both")]), &claim);
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let phase = Phase::of(&change).accepting_messages();
    phase.is_in(&claimed, repo.path());
    phase.is_not_in(&repo.head(), repo.path());
}

#[test]
fn a_rebased_branch_has_its_old_commits() {
    let repo = with_app();
    repo.branch("feature");
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let last = commit_file(&repo, "more.sql", "x", "More");
    repo.switch("main");
    let main = commit_file(&repo, "app.sql", &lines(&[(1, "elsewhere")]), "Ahead");
    repo.switch("feature");
    repo.git(&["rebase", "--quiet", "main"]);
    let rebased = repo.head();
    assert_ne!(rebased, last);
    for old in [&change, &last] {
        Phase::of(old).is_in(&rebased, repo.path());
        Phase::of(old).is_not_in(&main, repo.path());
    }
}

/// A branch of two commits, squashed onto `main` under the given message (or git's own). Returns the commits of the
/// branch, the line before, and the squash.
fn squashed(message: Option<&str>) -> (Repo, [shipctl::domain::CommitId; 4]) {
    let repo = with_app();
    repo.branch("feature");
    let first = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let last = commit_file(
        &repo,
        "app.sql",
        &lines(&[(20, "write both"), (30, "more")]),
        "Write more",
    );
    repo.switch("main");
    let before = commit_file(&repo, "other.sql", "x", "Ahead");
    repo.git(&["merge", "--quiet", "--squash", "feature"]);
    match message {
        Some(message) => repo.git(&["commit", "--quiet", "--message", message]),
        None => repo.git(&["commit", "--quiet", "--no-edit"]),
    };
    let squash = repo.head();
    (repo, [first, last, before, squash])
}

#[test]
fn a_squash_with_the_trailer_is_the_phase() {
    let (repo, [_, _, before, squash]) = squashed(Some("Write both (#7)\n\nShip-Phase: p/dual-write"));
    Phase::by_trailer().is_in(&squash, repo.path());
    Phase::by_trailer().is_not_in(&before, repo.path());
}

#[test]
fn a_squash_without_the_trailer_is_the_whole_branch() {
    let (repo, [first, last, before, squash]) = squashed(Some("Everything (#7)"));
    let later = commit_file(&repo, "later.sql", "x", "Later");
    for version in [&squash, &later] {
        let evidence = Phase::of(&last).is_in(version, repo.path());
        assert!(evidence.contains("the whole branch up to"), "{evidence}");
        // A commit in the middle of it, as long as the branch is there to compare with.
        let evidence = Phase::of(&first).is_in(version, repo.path());
        assert!(evidence.contains("the whole of feature"), "{evidence}");
    }
    for change in [&first, &last] {
        Phase::of(change).is_not_in(&before, repo.path());
    }
    repo.git(&["branch", "--quiet", "-D", "feature"]);
    Phase::of(&last).is_in(&squash, repo.path());
    // The squash of another branch.
    repo.switch(before.as_str());
    let other = commit_file(
        &repo,
        "app.sql",
        &lines(&[(20, "write both"), (31, "else")]),
        "Other (#8)",
    );
    Phase::of(&last).is_not_in(&other, repo.path());
}

#[test]
fn a_branch_whose_commits_bear_the_trailer_is_found_in_a_squash_that_lost_it() {
    let repo = with_app();
    repo.branch("feature");
    commit_file(
        &repo,
        "app.sql",
        &lines(&[(20, "both")]),
        "One\n\nShip-Phase: p/dual-write",
    );
    commit_file(
        &repo,
        "app.sql",
        &lines(&[(20, "both"), (30, "x")]),
        "Two\n\nShip-Phase: p/dual-write",
    );
    repo.switch("main");
    let before = repo.head();
    repo.git(&["merge", "--quiet", "--squash", "feature"]);
    let squash = repo.commit("Everything (#7)");
    Phase::by_trailer().is_in(&squash, repo.path());
    Phase::by_trailer().is_not_in(&before, repo.path());
}

#[test]
fn a_commit_in_the_middle_of_a_squash_may_be_taken_back_alone() {
    let (repo, [first, last, ..]) = squashed(Some("Everything (#7)"));
    repo.git(&["revert", "--no-commit", first.as_str()]);
    let silent = repo.commit("Tidy up");
    for change in [&first, &last] {
        Phase::of(change).is_unknown_in(&silent, repo.path());
    }
    repo.git(&["cherry-pick", first.as_str()]);
    for change in [&first, &last] {
        Phase::of(change).is_in(&repo.head(), repo.path());
    }
}

#[test]
fn what_a_squash_says_of_its_commits_is_a_claim() {
    // By then the branch has gone, and the phase names a commit in its middle.
    for (message, acceptable) in [
        (None, true),
        (Some("Everything (#7)\n\n* Write both\n\n* Write more"), false),
    ] {
        let (repo, [first, _, before, squash]) = squashed(message);
        repo.git(&["branch", "--quiet", "-D", "feature"]);
        let phase = Phase::of(&first);
        phase.is_unknown_in(&squash, repo.path());
        phase.is_not_in(&before, repo.path());
        if acceptable {
            phase.accepting_messages().is_in(&squash, repo.path());
        } else {
            phase.accepting_messages().is_unknown_in(&squash, repo.path());
        }
    }
}

#[test]
fn a_merge_that_was_picked_is_a_claim() {
    let (repo, change) = parted();
    repo.git(&["checkout", "--quiet", "-b", "feature", "main"]);
    commit_file(&repo, "a.sql", "a", "One");
    commit_file(&repo, "b.sql", "b", "Two");
    repo.switch("main");
    repo.git(&["merge", "--quiet", "--no-ff", "--no-edit", "feature"]);
    let merge = repo.head();
    repo.switch("release");
    let before = repo.head();
    repo.git(&["cherry-pick", "-m", "1", merge.as_str()]);
    let picked = repo.head();
    // Whether the release has what the merge was made on, nobody can see from what it brought there.
    let phase = Phase::of(&merge);
    let doubt = phase.is_unknown_in(&picked, repo.path());
    assert!(doubt.why.contains("first parent"), "{doubt:?}");
    phase.clone().accepting_messages().is_in(&picked, repo.path());
    phase.is_not_in(&before, repo.path());
    Phase::of(&change).is_not_in(&picked, repo.path());
}

#[test]
fn the_branch_has_what_its_squash_has() {
    let (repo, [first, last, _, squash]) = squashed(Some("Everything (#7)"));
    let phase = Phase::of(&squash);
    assert!(phase.is_in(&last, repo.path()).contains("branch as a whole"));
    // Half of it is there.
    phase.is_unknown_in(&first, repo.path());
}

#[test]
fn indentation_makes_another_patch() {
    let (repo, change) = parted();
    repo.switch("release");
    let indented = commit_file(&repo, "app.sql", &lines(&[(20, "    write both")]), "Indented");
    Phase::of(&change).is_not_in(&indented, repo.path());
}

#[test]
fn binary_files_are_compared_by_their_contents() {
    let repo = with_app();
    commit_file(&repo, "data.bin", "a\0b", "Data");
    repo.git(&["branch", "release"]);
    let change = commit_file(&repo, "data.bin", "a\0c", "Change");
    repo.switch("release");
    let before = commit_file(&repo, "x", "x", "Ahead");
    repo.git(&["cherry-pick", change.as_str()]);
    Phase::of(&change).is_in(&repo.head(), repo.path());
    repo.switch(before.as_str());
    let other = commit_file(&repo, "data.bin", "a\0d", "Otherwise");
    Phase::of(&change).is_not_in(&other, repo.path());
}

#[test]
fn a_picked_change_is_taken_back_and_restored_like_any_other() {
    let (repo, change) = parted();
    repo.switch("release");
    commit_file(&repo, "x", "x", "Ahead");
    repo.git(&["cherry-pick", change.as_str()]);
    let phase = Phase::of(&change);
    phase.is_in(&repo.head(), repo.path());
    repo.git(&["revert", "--no-edit", "HEAD"]);
    phase.is_not_in(&repo.head(), repo.path());
    repo.git(&["revert", "--no-edit", "HEAD"]);
    phase.is_in(&repo.head(), repo.path());
    // The revert of the original, picked: it names a commit that is not here.
    repo.switch("main");
    repo.git(&["revert", "--no-edit", change.as_str()]);
    let revert = repo.head();
    repo.switch("release");
    repo.git(&["cherry-pick", revert.as_str()]);
    phase.is_not_in(&repo.head(), repo.path());
}

#[test]
fn a_trailer_beside_a_named_commit_is_a_claim() {
    let (repo, change) = parted();
    repo.switch("release");
    let before = repo.head();
    let backport = commit_file(
        &repo,
        "app.sql",
        &lines(&[(20, "both, otherwise")]),
        "Backport\n\nShip-Phase: p/dual-write",
    );
    let phase = Phase::of(&change);
    phase.is_unknown_in(&backport, repo.path());
    phase.clone().accepting_messages().is_in(&backport, repo.path());
    phase.accepting_messages().is_not_in(&before, repo.path());
}

#[test]
fn a_reapplied_change_that_was_picked_with_a_conflict_is_a_claim() {
    let (repo, change) = parted();
    repo.git(&["revert", "--no-edit", change.as_str()]);
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let again = repo.head();
    repo.switch("release");
    let before = commit_file(&repo, "app.sql", &lines(&[(20, "in the way")]), "In the way");
    let said = repo.git(&["show", "--no-patch", "--format=%B", again.as_str()]);
    let picked = commit_file(
        &repo,
        "app.sql",
        &lines(&[(20, "in the way, write both")]),
        &format!("{said}\n(cherry picked from commit {again})"),
    );
    let phase = Phase::of(&again);
    phase.is_unknown_in(&picked, repo.path());
    phase.clone().accepting_messages().is_in(&picked, repo.path());
    phase.is_not_in(&before, repo.path());
    // What takes back the very commit that it names is not for a message to settle.
    let both = format!("Squashed\n\ncommit {again}\n\nThis reverts commit {again}.");
    repo.switch(before.as_str());
    let squashed = commit_file(&repo, "app.sql", &lines(&[(20, "still in the way")]), &both);
    phase.accepting_messages().is_unknown_in(&squashed, repo.path());
}

/// Adds commits on top of one, each with a tag of its own.
fn tag_many(repo: &Repo, from: &shipctl::domain::CommitId, count: usize) {
    use std::io::Write as _;
    let mut stream = String::new();
    for number in 1..=count {
        let parent = match number {
            1 => from.to_string(),
            _ => format!(":{}", number - 1),
        };
        stream += &format!(
            "commit refs/tags/v{number}\nmark :{number}\ncommitter A <a@example.org> {} +0000\ndata 1\nx\n\
             from {parent}\nM 644 inline tagged/{number}\ndata 1\nx\n\n",
            1_700_000_000 + number
        );
    }
    let mut import = std::process::Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(repo.path())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
}

#[test]
fn however_many_tags_hold_the_change_nothing_is_passed_over() {
    let (repo, change) = parted();
    repo.switch("release");
    let elsewhere = commit_file(&repo, "other.sql", "x", "Ahead");
    let near = commit_file(&repo, "app.sql", &lines(&[(1, "elsewhere")]), "In the same file");
    tag_many(&repo, &change, 150);
    for graph in [false, true] {
        if graph {
            repo.git(&["commit-graph", "write", "--reachable"]);
        }
        Phase::of(&change).is_not_in(&elsewhere, repo.path());
        let doubt = Phase::of(&change).is_unknown_in(&near, repo.path());
        assert!(doubt.why.contains("branches and tags"), "{doubt:?}");
        Phase::of(&change).is_in(&repo.git(&["rev-parse", "v150"]).parse().unwrap(), repo.path());
    }
    // A branch comes before them.
    repo.git(&["branch", "whole", "v2"]);
    repo.switch(near.as_str());
    repo.git(&["cherry-pick", "--no-commit", change.as_str(), "v1", "v2"]);
    let squash = repo.commit("Everything");
    Phase::of(&change).is_in(&squash, repo.path());
}
