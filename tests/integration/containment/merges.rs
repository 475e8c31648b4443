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
