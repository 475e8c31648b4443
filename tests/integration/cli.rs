//! The command line itself: help, versions, and what a wrong use gives.

use super::support::{Repo, shipctl};

#[test]
fn help_teaches_where_to_start_and_what_exit_codes_mean() {
    let repo = Repo::new();
    let output = shipctl(repo.path(), &["--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for needle in ["Start here:", "shipctl init", "Exit codes:", "can-deploy"] {
        assert!(text.contains(needle), "{needle}: {text}");
    }
}

#[test]
fn the_judging_commands_have_examples() {
    let repo = Repo::new();
    for command in ["status", "gate", "can-deploy", "approve", "log"] {
        let output = shipctl(repo.path(), &[command, "--help"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("Example"), "{command}: {text}");
    }
}

#[test]
fn wrong_usage_and_a_missing_project_exit_with_2() {
    let repo = Repo::new();
    for args in [&["no-such-command"][..], &["gate"][..], &["status"][..]] {
        let output = shipctl(repo.path(), args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    let output = shipctl(repo.path(), &["status", "--json"]).output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["schema_version"], 1);
    assert_eq!(value["error"]["exit"], 2);
}

#[test]
fn an_invalid_plan_opens_nothing() {
    let repo = Repo::new();
    repo.write(
        "shipctl.toml",
        "[environments.production]\ndatabase = \"host=/nowhere\"\n\
         [[environments.production.services]]\nname = \"web\"\n\
         source = { kind = \"connections\", application_name = \"web@{commit}\" }\n",
    );
    repo.write("plans/broken.toml", "id = \"broken\"\nphases = 3\n");
    repo.commit("A broken plan");
    for args in [&["can-deploy", "HEAD"][..], &["status"][..]] {
        let output = shipctl(repo.path(), args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}

/// Every long option of every command stands in the reference, so that neither runs ahead of the other.
#[test]
fn the_reference_names_every_option() {
    let reference = include_str!("../../docs/reference.md");
    let commands = "init|plan rename|check|link|graph|status|gate|can-deploy|deployed|deployed record|run|rollback|pause|resume|throttle|approve|\
                    log|checklist|explain|migrate up|migrate down|migrate status|migrate new|migrate baseline|demo|completions";
    let mut missing = Vec::new();
    for command in commands.split('|') {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_shipctl"))
            .args(command.split(' '))
            .arg("--help")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let listed = help
            .lines()
            .map(str::trim_start)
            .filter(|line| line.starts_with('-'));
        for line in listed {
            let option = line
                .split([' ', ',', '.', '['])
                .find(|word| word.starts_with("--"));
            let known = ["--verbose", "--directory", "--help", "--version"];
            if let Some(option) = option
                && !known.contains(&option)
                && !reference.contains(option)
            {
                missing.push(format!("{command} {option}"));
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/reference.md: {missing:?}");
}
