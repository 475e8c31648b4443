//! The demo, and private clusters.

use super::example::{GUARD, elsewhere};
use super::{Diagnostic, Example, Group};
use crate::domain::Exit::Failed;

/// The demo.
pub(super) const GROUP: Group = Group {
    title: "The demo and private clusters",
    entries: &[
        Diagnostic {
            code: "postgresql-missing",
            exits: &[Failed],
            condition: "A private PostgreSQL is to be started, and the server's programs (initdb, pg_ctl, postgres) are not to be found on this machine.",
            effect: "There is nowhere to play.",
            remedy: "Install them (Debian, Ubuntu: apt-get install postgresql), or set SHIPCTL_PG_BIN to their folder.",
            example: elsewhere(
                "tests/integration/explain.rs",
                "a_machine_without_postgresql_is_told_what_to_install",
            ),
        },
        Diagnostic {
            code: "private-cluster-failed",
            exits: &[Failed],
            condition: "A private PostgreSQL could not be set up or started, or does not answer.",
            effect: "There is nowhere to play. What was begun is cleared away.",
            remedy: "See what the message says; mostly a full disk, a long path, or limits of the machine.",
            example: elsewhere(
                "tests/integration/explain.rs",
                "a_cluster_that_cannot_be_made_is_told",
            ),
        },
        Diagnostic {
            code: "demo-stage",
            exits: &[Failed],
            condition: "The demo could not set its stage: a repository, its commits, or its files.",
            effect: "The demo ends; everything that it made is private to it.",
            remedy: "See that the folder for temporary files can be written to and has room.",
            example: Example::Unplayed("it takes a machine without room for temporary files"),
        },
        Diagnostic {
            code: "demo-database",
            exits: &[Failed],
            condition: "The demo's own database refused something.",
            effect: "The demo ends; everything that it made is private to it.",
            remedy: "Run it again; report it if it stays.",
            example: GUARD,
        },
        Diagnostic {
            code: "demo-client",
            exits: &[Failed],
            condition: "One of the clients that the demo lets play the application could not connect.",
            effect: "The demo ends, since without live traffic it would show nothing.",
            remedy: "Run it again; report it if it stays.",
            example: GUARD,
        },
        Diagnostic {
            code: "demo-went-wrong",
            exits: &[Failed],
            condition: "A command of the demo ended otherwise than the story needs; its output stands below.",
            effect: "What the demo would have claimed is not so, and it does not pretend.",
            remedy: "Report it with the output.",
            example: GUARD,
        },
    ],
};
