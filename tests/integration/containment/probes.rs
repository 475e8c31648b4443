//! Probes by text, regular expression and glob, which outrank history.

use shipctl::observe::git::Repository;
use shipctl::plan::{ContentPattern, ContentProbe};
use shipctl::safety::{Containment, Version};

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

fn text(pattern: &str, path: &str, present: bool) -> ContentProbe {
    ContentProbe {
        pattern: ContentPattern::Text(pattern.to_owned()),
        paths: vec![path.to_owned()],
        present,
    }
}

#[test]
fn lines_may_end_in_any_way() {
    let repo = with_app();
    let version = commit_file(&repo, "src/a.cs", "a\r\nname = x.name\r\nb\r\n", "Old");
    for pattern in [r"x\.name$", r"^name = .*e$"] {
        let absent = Phase::by_trailer().probing(regex(pattern, "src", false));
        absent.is_not_in(&version, repo.path());
        let present = Phase::by_trailer().probing(regex(pattern, "src", true));
        present.is_in(&version, repo.path());
    }
}

#[test]
fn what_a_symbolic_link_leads_to_is_not_seen() {
    let repo = with_app();
    commit_file(&repo, "lib/a.rs", "users.name", "Library");
    commit_file(&repo, "src/b.rs", "x", "Code");
    let link = |target: &str, path: &str| {
        std::os::unix::fs::symlink(target, repo.path().join(path)).unwrap();
        repo.commit("Link")
    };
    let linked = link("../lib", "src/shared");
    for (path, pattern) in [
        ("src", "users.name"),
        ("src/**/*.rs", "users.name"),
        ("src/shared", "lib"),
    ] {
        let absent = Phase::by_trailer().probing(text(pattern, path, false));
        let doubt = absent.is_unknown_in(&linked, repo.path());
        assert!(doubt.why.contains("symbolic link"), "{doubt:?}");
        let present = Phase::by_trailer().probing(text(pattern, path, true));
        present.is_unknown_in(&linked, repo.path());
    }
    // What is found is found, and a link to a file of another name is none of a glob's.
    let there = Phase::by_trailer().probing(text("x", "src", true));
    there.is_in(&linked, repo.path());
    repo.git(&["rm", "--quiet", "src/shared"]);
    let other = link("../app.sql", "src/notes");
    let absent = Phase::by_trailer().probing(text("users.name", "src/**/*.rs", false));
    absent.is_in(&other, repo.path());
}

#[test]
fn text_cannot_be_said_to_be_absent_from_what_is_no_text() {
    let repo = with_app();
    let utf16: String = "users.name".chars().flat_map(|c| [c, '\0']).collect();
    for (path, bytes) in [
        ("utf16/a.sql", [b"\xff\xfe", utf16.as_bytes()].concat()),
        ("binary/a", b"\x7fELF\0\0users".to_vec()),
    ] {
        let file = repo.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
    let version = repo.commit("Add them");
    for path in ["utf16", "binary"] {
        let absent = Phase::by_trailer().probing(text("users.name", path, false));
        absent.is_unknown_in(&version, repo.path());
    }
    // Pictures and the like are nothing that code is looked for in.
    let present = Phase::by_trailer().probing(text("users.name", "binary", true));
    present.is_not_in(&version, repo.path());
    let present = Phase::by_trailer().probing(text("users.name", "utf16", true));
    present.is_unknown_in(&version, repo.path());
}

#[test]
fn plans_are_not_code() {
    let repo = with_app();
    commit_file(&repo, "db/plans/p.toml", "pattern = 'users.name'", "Plan");
    let version = commit_file(&repo, "db/code.sql", "x", "Code");
    let without = |probe: ContentProbe| {
        let phase = Phase::by_trailer().probing(probe);
        let asked = Version {
            service: "web".parse().unwrap(),
            commit: version.clone(),
        };
        let (plan, name) = ("p".parse().unwrap(), "dual-write".parse().unwrap());
        Repository::discover(repo.path())
            .unwrap()
            .with_plans_in(&repo.path().join("db/plans"))
            .contains(&asked, &plan, &name, &phase.0)
    };
    for path in ["db", "db/**"] {
        let answer = without(text("users.name", path, false));
        assert!(matches!(answer, Containment::Yes { .. }), "{path} {answer:?}");
        let answer = without(text("users.name", path, true));
        assert!(matches!(answer, Containment::No { .. }), "{path} {answer:?}");
    }
    for path in ["db/plans", "db/plans/p.toml"] {
        let answer = without(text("users.name", path, false));
        assert!(matches!(answer, Containment::Unknown(_)), "{path} {answer:?}");
    }
}
