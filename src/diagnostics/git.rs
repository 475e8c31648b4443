//! What shipctl needs of git.

use super::example::typed;
use super::{Base, Diagnostic, Example, Group};
use crate::domain::Exit::{Unknown, Usage};

/// git.
pub(super) const GROUP: Group = Group {
    title: "git",
    entries: &[
        Diagnostic {
            code: "unknown-commit",
            exits: &[Usage, Unknown],
            condition: "A revision that was typed names no commit of the repository in which it was looked up.",
            effect: "What is not known cannot be judged, linked or recorded.",
            remedy: "Run the fetch that the message suggests, or correct the revision; `git rev-parse REV` tells what git makes of it.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl link rename dual-write no-such-branch"],
                &["shipctl link rename dual-write dual-write"],
            ),
        },
        Diagnostic {
            code: "no-repository",
            exits: &[Usage],
            condition: "The project, or the `repository` of a service, does not lie in a git repository.",
            effect: "Code phases are tied to commits, so shipctl must be able to read them.",
            remedy: "Run it inside the repository, make one with `git init`, or correct `repository` in shipctl.toml.",
            example: typed(
                Base::Rename,
                &[],
                &["rm -rf .git", "shipctl link rename dual-write HEAD"],
                &["shipctl link rename dual-write HEAD"],
            ),
        },
        Diagnostic {
            code: "repository-not-trusted",
            exits: &[Usage],
            condition: "The git repository belongs to another user, as it often does in containers.",
            effect: "git refuses to read such repositories, because their configuration can run programs; so does shipctl.",
            remedy: "Run `git config --global --add safe.directory FOLDER` if you trust it, or let the repository belong to the user that runs shipctl.",
            example: Example::Unplayed("it takes a second user on the machine"),
        },
        Diagnostic {
            code: "object-format",
            exits: &[Usage],
            condition: "A git repository names its objects by something else than SHA-1.",
            effect: "shipctl reads repositories with SHA-1 ids only, so it could not tell what a version contains.",
            remedy: "Name a repository with SHA-1 ids that holds the services' commits.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "rm -rf .git",
                    "git init --quiet --object-format=sha256",
                    "shipctl link rename dual-write HEAD",
                ],
                &["shipctl link rename dual-write HEAD"],
            ),
        },
        Diagnostic {
            code: "repository-unreadable",
            exits: &[Usage],
            condition: "The git repository is there, but cannot be opened: its configuration is broken, or it has a format that is not known.",
            effect: "Which commits there are is not known.",
            remedy: "See what `git status` says there, and mend that.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "echo '[core' > .git/config",
                    "shipctl link rename dual-write HEAD",
                ],
                &["shipctl link rename dual-write HEAD"],
            ),
        },
    ],
};
