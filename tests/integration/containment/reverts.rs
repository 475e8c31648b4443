//! Changes that were taken back, wholly or in part, with and without a word.

use super::{Phase, commit_file, lines, with_app};

#[test]
fn reverts_count_by_parity() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let phase = Phase::of(&change);
    for (round, contained) in [false, true, false, true].into_iter().enumerate() {
        repo.git(&["revert", "--no-edit", "HEAD"]);
        commit_file(&repo, "other", &round.to_string(), "Meanwhile");
        repo.git(&["commit", "--quiet", "--allow-empty", "--message", "Nothing"]);
        if contained {
            phase.is_in(&repo.head(), repo.path());
        } else {
            let evidence = phase.is_not_in(&repo.head(), repo.path());
            assert!(evidence.contains("takes it back"), "{evidence}");
        }
        repo.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    }
}

#[test]
fn the_inverse_patch_takes_it_back_whatever_its_message() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    commit_file(&repo, "other", "x", "Meanwhile");
    repo.git(&["revert", "--no-commit", change.as_str()]);
    let undone = repo.commit("Tidy up");
    let phase = Phase::of(&change);
    phase.is_not_in(&undone, repo.path());
    // Made again just as silently.
    repo.git(&["cherry-pick", change.as_str()]);
    phase.is_in(&repo.head(), repo.path());
}

#[test]
fn a_revert_in_part_is_unknown() {
    let repo = with_app();
    let both = lines(&[(10, "write one"), (30, "write the other")]);
    let change = commit_file(&repo, "app.sql", &both, "Write both");
    let half = format!("Revert \"Write both\"\n\nThis reverts commit {change}.");
    let part = commit_file(&repo, "app.sql", &lines(&[(30, "write the other")]), &half);
    let doubt = Phase::of(&change).is_unknown_in(&part, repo.path());
    assert!(doubt.why.contains("part of it may be left"), "{doubt:?}");
    // The rest as well, in a commit that is not the inverse either: gone, but nobody can say how.
    let rest = commit_file(&repo, "app.sql", &lines(&[]), "The rest");
    Phase::of(&change).is_unknown_in(&rest, repo.path());
    repo.switch(change.as_str());
    let whole = commit_file(&repo, "app.sql", &lines(&[]), &half);
    Phase::of(&change).is_not_in(&whole, repo.path());
}

#[test]
fn a_revert_of_a_revert_in_part_is_unknown() {
    let repo = with_app();
    let both = lines(&[(10, "write one"), (30, "write the other")]);
    let change = commit_file(&repo, "app.sql", &both, "Write both");
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let reverted = repo.head();
    let half = format!("Reapply \"Write both\"\n\nThis reverts commit {reverted}.");
    let part = commit_file(&repo, "app.sql", &lines(&[(30, "write the other")]), &half);
    Phase::of(&change).is_unknown_in(&part, repo.path());
}

#[test]
fn a_change_that_was_made_anew_after_its_revert_is_unknown() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let anew = commit_file(&repo, "app.sql", &lines(&[(20, "write both, better")]), "Again");
    Phase::of(&change).is_unknown_in(&anew, repo.path());
}

#[test]
fn the_revert_of_a_merge_takes_back_all_it_brought_and_nothing_else() {
    let repo = with_app();
    repo.branch("feature");
    let first = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let second = commit_file(
        &repo,
        "app.sql",
        &lines(&[(20, "write both"), (30, "more")]),
        "More",
    );
    repo.switch("main");
    let mainline = commit_file(&repo, "other", "x", "Mainline");
    repo.git(&["merge", "--quiet", "--no-ff", "--no-edit", "feature"]);
    let merged = repo.head();
    repo.git(&["revert", "--no-edit", "-m", "1", "HEAD"]);
    let reverted = repo.head();
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let again = repo.head();
    for change in [&first, &second] {
        let phase = Phase::of(change);
        phase.is_in(&merged, repo.path());
        phase.is_not_in(&reverted, repo.path());
        phase.is_in(&again, repo.path());
    }
    Phase::of(&mainline).is_in(&reverted, repo.path());
    // Silently.
    repo.switch(merged.as_str());
    repo.git(&["revert", "--no-commit", "-m", "1", merged.as_str()]);
    let silent = repo.commit("Tidy up");
    Phase::of(&first).is_not_in(&silent, repo.path());
}

#[test]
fn a_pull_request_is_reverted_by_its_number() {
    let repo = with_app();
    let change = commit_file(
        &repo,
        "app.sql",
        &lines(&[(20, "write both")]),
        "Write both (#12)",
    );
    let other = commit_file(&repo, "other", "x", "Something else (#13)");
    repo.git(&["revert", "--no-commit", change.as_str()]);
    let reverted = repo.commit("Undo that (#14)\n\nReverts owner/name#12");
    Phase::of(&change).is_not_in(&reverted, repo.path());
    Phase::of(&other).is_in(&reverted, repo.path());
}

#[test]
fn a_revert_on_another_branch_is_none_of_this_one() {
    let repo = with_app();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.branch("other");
    repo.git(&["revert", "--no-edit", "HEAD"]);
    let reverted = repo.head();
    repo.switch("main");
    let main = commit_file(&repo, "other", "x", "Mainline");
    Phase::of(&change).is_in(&main, repo.path());
    Phase::of(&change).is_not_in(&reverted, repo.path());
}

#[test]
fn a_merge_that_keeps_only_its_own_side_loses_the_change() {
    let repo = with_app();
    repo.branch("feature");
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    for (strategy, kept) in [("ours", false), ("ort", true)] {
        repo.switch("main");
        repo.git(&["checkout", "--quiet", "-B", strategy]);
        commit_file(&repo, "other", "x", "Mainline");
        repo.git(&["merge", "--quiet", "--no-edit", "-s", strategy, "feature"]);
        let merged = repo.head();
        if kept {
            Phase::of(&change).is_in(&merged, repo.path());
        } else {
            let doubt = Phase::of(&change).is_unknown_in(&merged, repo.path());
            assert!(doubt.why.contains("lost in a merge"), "{doubt:?}");
        }
    }
}

#[test]
fn a_revert_that_names_the_copy_takes_back_the_change() {
    let repo = with_app();
    repo.git(&["branch", "release"]);
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    repo.switch("release");
    commit_file(&repo, "other", "x", "Ahead");
    repo.git(&["cherry-pick", change.as_str()]);
    let copy = repo.head();
    repo.switch("main");
    repo.git(&["merge", "--quiet", "--no-edit", "release"]);
    let near = lines(&[(18, "near"), (20, "write both")]);
    let standing = commit_file(&repo, "app.sql", &near, "Near");
    repo.git(&["revert", "--no-edit", copy.as_str()]);
    for one in [&change, &copy] {
        Phase::of(one).is_in(&standing, repo.path());
        Phase::of(one).is_unknown_in(&repo.head(), repo.path());
    }
}

#[test]
fn of_several_copies_whichever_is_reverted_is_the_change() {
    let repo = with_app();
    let base = repo.head();
    let change = commit_file(&repo, "app.sql", &lines(&[(20, "write both")]), "Write both");
    let mut copies = Vec::new();
    for name in ["one", "two"] {
        repo.git(&["checkout", "--quiet", "-B", name, base.as_str()]);
        commit_file(&repo, name, name, name);
        repo.git(&["cherry-pick", "--no-commit", change.as_str()]);
        copies.push(repo.commit(&format!("Both, for {name}")));
    }
    repo.git(&["merge", "--quiet", "--no-edit", "one"]);
    let near = lines(&[(18, "near"), (20, "write both")]);
    let standing = commit_file(&repo, "app.sql", &near, "Near");
    Phase::of(&change).is_in(&standing, repo.path());
    for copy in &copies {
        repo.switch(standing.as_str());
        repo.git(&["revert", "--no-edit", copy.as_str()]);
        Phase::of(&change).is_unknown_in(&repo.head(), repo.path());
    }
}
