//! Probes by text, regular expression and glob, which outrank history.

use shipctl::plan::{ContentPattern, ContentProbe};

use super::{Phase, commit_file, with_app};

fn regex(pattern: &str, path: &str, present: bool) -> ContentProbe {
    ContentProbe {
        pattern: ContentPattern::Regex(pattern.to_owned()),
        paths: vec![path.to_owned()],
        present,
    }
}

#[test]
fn a_regular_expression_settles_what_ancestry_gets_wrong() {
    let repo = with_app();
    commit_file(&repo, "src/a/one.rs", "users.name\n", "Old");
    repo.branch("feature");
    let change = commit_file(&repo, "src/a/one.rs", "users.names\n", "Stop writing");
    repo.switch("main");
    commit_file(&repo, "other", "x", "Mainline");
    repo.git(&["merge", "--quiet", "--no-edit", "-s", "ours", "feature"]);
    let lost = repo.head();
    let phase = Phase::of(&change).probing(regex(r"^users\.name$", "src/**", false));
    phase.is_in(&change, repo.path());
    let evidence = phase.is_not_in(&lost, repo.path());
    assert!(evidence.contains("occurs under src/**"), "{evidence}");
    let phase = Phase::of(&change).probing(regex(r"users\.names\b", "src", true));
    phase.is_in(&change, repo.path());
    phase.is_not_in(&lost, repo.path());
}

#[test]
fn a_glob_says_which_files_are_meant() {
    let repo = with_app();
    commit_file(&repo, "src/a/one.rs", "new", "New");
    let version = commit_file(&repo, "src/a/notes.md", "old", "Notes about the old one");
    for (path, found) in [
        ("src/**", true),
        ("src/**/*.md", true),
        ("src/*/*.md", true),
        ("src/**/*.rs", false),
        ("src/a/*.{rs,sql}", false),
    ] {
        let absent = Phase::by_trailer().probing(regex("old", path, false));
        if found {
            absent.is_not_in(&version, repo.path());
        } else {
            absent.is_in(&version, repo.path());
        }
    }
    // What matches nothing may have moved.
    for path in ["src/*.rs", "lib/**"] {
        let absent = Phase::by_trailer().probing(regex("old", path, false));
        assert!(absent.is_unknown_in(&version, repo.path()).why.contains(path));
    }
}
