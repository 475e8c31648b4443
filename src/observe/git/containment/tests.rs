//! What a version contains, in histories of every shape.

use super::super::fixture::Fixture;
use super::*;
use crate::domain::CommitId;
use crate::plan::{ContentPattern, ContentProbe};
use crate::safety::Services;

pub(super) fn code(revision: Option<&CommitId>) -> CodePhase {
    CodePhase {
        services: Services::All,
        reads: None,
        writes: None,
        accepts: Vec::new(),
        commits: revision
            .map(|id| Commit {
                service: None,
                revision: id.to_string(),
                span: 0..0,
            })
            .into_iter()
            .collect(),
        content: Vec::new(),
        restore: None,
    }
}

pub(super) fn ask(repository: &Repository, commit: &CommitId, code: &CodePhase) -> Containment {
    let version = Version {
        service: "web".parse().unwrap(),
        commit: commit.clone(),
    };
    repository.contains(
        &version,
        &"p".parse().unwrap(),
        &"dual-write".parse().unwrap(),
        code,
    )
}

pub(super) fn yes(answer: &Containment) -> &str {
    match answer {
        Containment::Yes { evidence } => evidence,
        other => panic!("{other:?}"),
    }
}

pub(super) fn no(answer: &Containment) -> &str {
    match answer {
        Containment::No { evidence } => evidence,
        other => panic!("{other:?}"),
    }
}

pub(super) fn unknown(answer: &Containment) -> &Doubt {
    match answer {
        Containment::Unknown(doubt) => doubt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_commit_and_its_descendants_contain_it_and_older_or_other_ones_do_not() {
    let fixture = Fixture::new();
    let before = fixture.commit("before");
    fixture.git(&["branch", "side"]);
    let change = fixture.commit("change");
    fixture.commit("more");
    let after = fixture.commit("after");
    fixture.git(&["checkout", "-q", "side"]);
    let side = fixture.commit("aside");
    let repository = fixture.open();
    let code = code(Some(&change));
    assert!(yes(&ask(&repository, &change, &code)).contains("the commit itself"));
    let evidence = ask(&repository, &after, &code);
    assert!(yes(&evidence).contains("descends from"), "{evidence:?}");
    assert!(
        yes(&evidence).contains("(\"change\"), 2 commits later"),
        "{evidence:?}"
    );
    assert!(no(&ask(&repository, &before, &code)).contains("1 commit before it"));
    assert!(no(&ask(&repository, &side, &code)).contains("does not descend"));
}

#[test]
fn a_version_or_a_phase_commit_that_is_not_here_is_unknown() {
    let fixture = Fixture::new();
    let here = fixture.commit("here");
    fixture.git(&["remote", "add", "origin", "nowhere"]);
    let repository = fixture.open();
    let gone: CommitId = "0123456789012345678901234567890123456789".parse().unwrap();
    let sha256: CommitId = "a".repeat(64).parse().unwrap();
    for missing in [&gone, &sha256] {
        let answer = ask(&repository, missing, &code(Some(&here)));
        assert!(
            unknown(&answer)
                .fix
                .as_deref()
                .unwrap()
                .contains(missing.as_str())
        );
        unknown(&ask(&repository, &here, &code(Some(missing))));
    }
}

#[test]
fn a_trailer_stands_in_for_a_commit() {
    let fixture = Fixture::new();
    let before = fixture.commit("before");
    let change = fixture.commit("Write both\n\nShip-Phase: p/dual-write");
    let after = fixture.commit("after");
    let other = fixture.commit("Other\n\nShip-Phase: p/dual-write-2");
    let repository = fixture.open();
    for version in [&change, &after, &other] {
        assert!(yes(&ask(&repository, version, &code(None))).contains("trailer names p/dual-write"));
    }
    no(&ask(&repository, &before, &code(None)));
}

#[test]
fn half_of_a_phase_is_not_the_phase() {
    let fixture = Fixture::new();
    let first = fixture.commit("One\n\nShip-Phase: p/dual-write");
    let between = fixture.commit("between");
    let second = fixture.commit("Two\n\nShip-Phase: p/dual-write");
    let repository = fixture.open();
    unknown(&ask(&repository, &first, &code(None)));
    unknown(&ask(&repository, &between, &code(None)));
    yes(&ask(&repository, &second, &code(None)));
}

#[test]
fn a_backport_with_the_trailer_counts_on_its_own_branch() {
    let fixture = Fixture::new();
    fixture.commit("base");
    fixture.git(&["branch", "release"]);
    let main = fixture.commit("One\n\nShip-Phase: p/dual-write");
    fixture.git(&["checkout", "-q", "release"]);
    let release = fixture.commit("One (backport)\n\nShip-Phase: p/dual-write");
    let repository = fixture.open();
    yes(&ask(&repository, &main, &code(None)));
    yes(&ask(&repository, &release, &code(None)));
    // With a commit the plan names, the backport is no proof, but no proof of absence either.
    unknown(&ask(&repository, &release, &code(Some(&main))));
}

#[test]
fn a_revert_takes_the_answer_back_and_a_reverted_revert_restores_it() {
    let fixture = Fixture::new();
    fixture.commit("base");
    let change = fixture.commit("Change\n\nShip-Phase: p/dual-write");
    fixture.git(&["revert", "--no-edit", "HEAD"]);
    let reverted = fixture.head();
    fixture.git(&["revert", "--no-edit", "HEAD"]);
    let again = fixture.head();
    let repository = fixture.open();
    for code in [code(Some(&change)), code(None)] {
        yes(&ask(&repository, &change, &code));
        assert!(no(&ask(&repository, &reverted, &code)).contains("takes it back"));
        yes(&ask(&repository, &again, &code));
    }
}

#[test]
fn the_revert_of_a_merge_takes_back_what_it_brought() {
    let fixture = Fixture::new();
    fixture.commit("base");
    fixture.git(&["checkout", "-q", "-b", "feature"]);
    let change = fixture.commit("Change");
    fixture.git(&["checkout", "-q", "main"]);
    let old = fixture.commit("mainline");
    fixture.git(&["merge", "-q", "--no-ff", "--no-edit", "feature"]);
    let merged = fixture.head();
    fixture.git(&["revert", "--no-edit", "-m", "1", "HEAD"]);
    let reverted = fixture.head();
    let repository = fixture.open();
    yes(&ask(&repository, &merged, &code(Some(&change))));
    no(&ask(&repository, &reverted, &code(Some(&change))));
    yes(&ask(&repository, &reverted, &code(Some(&old))));
}

#[test]
fn a_phase_made_anew_after_a_revert_is_contained() {
    let fixture = Fixture::new();
    fixture.commit("base");
    fixture.commit_file("a", "both", "Change\n\nShip-Phase: p/dual-write");
    fixture.git(&["revert", "--no-edit", "HEAD"]);
    let elsewhere = fixture.commit_file("b", "both", "The rest\n\nShip-Phase: p/dual-write");
    unknown(&ask(&fixture.open(), &elsewhere, &code(None)));
    let anew = fixture.commit_file("a", "both, better", "Change, better\n\nShip-Phase: p/dual-write");
    yes(&ask(&fixture.open(), &anew, &code(None)));
}

#[test]
fn a_branch_is_no_commit_of_a_phase() {
    let fixture = Fixture::new();
    fixture.commit("base");
    let change = fixture.commit("change");
    fixture.git(&["branch", "feature"]);
    fixture.git(&["tag", "v1"]);
    fixture.git(&["tag", "-a", "v2", "-m", "two"]);
    let repository = fixture.open();
    let by = |revision: &str| {
        let mut code = code(Some(&change));
        code.commits[0].revision = revision.to_owned();
        ask(&repository, &change, &code)
    };
    for fixed in [&change.as_str()[..8], "v1", "v2", &change.as_str().to_uppercase()] {
        yes(&by(fixed));
    }
    for moving in [
        "feature",
        "main",
        "HEAD",
        "heads/feature",
        "v1^{commit}",
        "HEAD~1",
    ] {
        assert!(unknown(&by(moving)).why.contains("tomorrow"), "{moving}");
    }
}

#[test]
fn a_revert_that_quotes_the_trailer_is_not_the_phase() {
    let fixture = Fixture::new();
    fixture.commit("base");
    let change = fixture.commit("Change\n\nShip-Phase: p/dual-write");
    let reverted = fixture.commit(&format!(
        "Revert \"Change\"\n\nThis reverts commit {change}.\n\nIts message was:\n\nShip-Phase: p/dual-write"
    ));
    let repository = fixture.open();
    unknown(&ask(&repository, &reverted, &code(None)));
    // A squash of a branch that made the change and took it back.
    fixture.git(&["checkout", "-q", "--orphan", "other"]);
    let squashed = fixture.commit(
        "Try (#7)\n\n* Change\n\nShip-Phase: p/dual-write\n\n* Revert \"Change\"\n\nThis reverts commit abcdef01.",
    );
    unknown(&ask(&fixture.open(), &squashed, &code(None)));
}

#[test]
fn a_revert_that_names_no_commit_of_this_history_still_takes_it_back() {
    for (title, revert) in [
        ("Change (#12)", "Revert \"Change\" (#13)\n\nReverts owner/name#12"),
        (
            "Change",
            "Revert \"Change\"\n\nThis reverts commit 0123456789abcdef.",
        ),
    ] {
        let fixture = Fixture::new();
        fixture.commit("base");
        let change = fixture.commit(&format!("{title}\n\nShip-Phase: p/dual-write"));
        let reverted = fixture.commit(revert);
        let repository = fixture.open();
        for code in [code(Some(&change)), code(None)] {
            unknown(&ask(&repository, &reverted, &code));
        }
    }
}

#[test]
fn a_change_that_was_lost_without_a_word_is_noticed() {
    let fixture = Fixture::new();
    fixture.commit_file("a", "old", "base");
    fixture.git(&["checkout", "-q", "-b", "feature"]);
    let change = fixture.commit_file("a", "both", "Change\n\nShip-Phase: p/dual-write");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.commit("mainline");
    fixture.git(&["merge", "-q", "-s", "ours", "--no-edit", "feature"]);
    let merged = fixture.head();
    let repository = fixture.open();
    for code in [code(Some(&change)), code(None)] {
        yes(&ask(&repository, &change, &code));
        assert!(
            unknown(&ask(&repository, &merged, &code))
                .why
                .contains("lost in a merge")
        );
    }
}

#[test]
fn a_shallow_clone_never_says_no() {
    let fixture = Fixture::new();
    let change = fixture.commit("Change\n\nShip-Phase: p/dual-write");
    for n in 0..3 {
        fixture.commit(&format!("later {n}"));
    }
    let last = fixture.head();
    let clone = fixture.shallow_clone(2);
    let repository = Repository::discover(clone.path()).unwrap();
    assert!(repository.is_shallow());
    let doubt = ask(&repository, &last, &code(None));
    assert_eq!(unknown(&doubt).fix.as_deref(), Some("git fetch --unshallow"));
    // The same once the phase's commit was fetched by itself, which makes no path to it.
    fixture.git_in(
        clone.path(),
        &["fetch", "-q", "--depth=1", "origin", change.as_str()],
    );
    let repository = Repository::discover(clone.path()).unwrap();
    unknown(&ask(&repository, &last, &code(Some(&change))));
    fixture.git_in(clone.path(), &["fetch", "-q", "--unshallow"]);
    let repository = Repository::discover(clone.path()).unwrap();
    yes(&ask(&repository, &last, &code(Some(&change))));
    yes(&ask(&repository, &last, &code(None)));
}

#[test]
fn content_outranks_ancestry() {
    let fixture = Fixture::new();
    let change = fixture.commit_file("src/a.sql", "INSERT users.name, users.display_name", "Change");
    let lost = fixture.commit_file("src/a.sql", "INSERT users.name", "Merge queue accident");
    let repository = fixture.open();
    let mut code = code(Some(&change));
    code.content.push(ContentProbe {
        pattern: ContentPattern::Text("users.display_name".to_owned()),
        paths: vec!["./src/".to_owned()],
        present: true,
    });
    yes(&ask(&repository, &change, &code));
    no(&ask(&repository, &lost, &code));
    code.content[0].present = false;
    no(&ask(&repository, &change, &code));
    yes(&ask(&repository, &lost, &code));
    code.content[0].paths = vec!["app".to_owned()];
    assert!(unknown(&ask(&repository, &lost, &code)).why.contains("app"));
}

#[test]
fn a_service_of_another_repository_needs_a_commit_of_its_own() {
    let fixture = Fixture::new();
    let here = fixture.commit("here");
    let repository =
        Repository::of_services(fixture.path(), ["web".parse().unwrap()].into_iter().collect()).unwrap();
    let mut code = code(Some(&here));
    assert!(
        unknown(&ask(&repository, &here, &code))
            .why
            .contains("none for the repository of web")
    );
    code.commits[0].service = Some("web".parse().unwrap());
    yes(&ask(&repository, &here, &code));
}

#[test]
fn what_is_advised_for_another_repository_is_aimed_at_it() {
    let fixture = Fixture::new();
    fixture.commit_file("a", "base", "base");
    fixture.git(&["branch", "release"]);
    let change = fixture.commit_file("a", "both", "Change");
    fixture.git(&["checkout", "-q", "release"]);
    let claim = format!("Pick\n\n(cherry picked from commit {change})");
    let picked = fixture.commit_file("a", "otherwise", &claim);
    let services = ["web".parse().unwrap()].into_iter().collect();
    let repository = Repository::of_services(fixture.path(), services).unwrap();
    let mut code = code(Some(&change));
    code.commits[0].service = Some("web".parse().unwrap());
    let answer = ask(&repository, &picked, &code);
    let fix = unknown(&answer).fix.as_deref().unwrap();
    assert!(fix.contains("git -C ") && fix.contains(" range-diff "), "{fix}");
}
