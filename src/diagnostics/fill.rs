//! Fills: backfills, their repetition, and the restoring of data; and the manners they keep.

use super::example::{GUARD, elsewhere, written};
use super::{Base, Diagnostic, Example, Group, Scene};
use crate::domain::Exit::{Failed, Unknown, Waiting};

const FILLED: &[&str] = &[
    "shipctl run rename --to add",
    "git tag --force deployed dual-write",
    "shipctl run rename --to backfill",
];

const NEVER_CLEAN: &str = r#"id = "rename"

[[phase]]
id = "add"
kind = "expand"
migration = "0001_add"

[[phase]]
id = "dual-write"
kind = "code"
needs = ["add"]

[[phase]]
id = "backfill"
kind = "backfill"
needs = ["dual-write"]
table = "users"
set = { display_name = "name" }
verify = "display_name = upper(name)"
"#;

const DIVIDED: &str = r#"id = "rename"

[[phase]]
id = "add"
kind = "expand"
migration = "0001_add"

[[phase]]
id = "dual-write"
kind = "code"
needs = ["add"]

[[phase]]
id = "backfill"
kind = "backfill"
needs = ["dual-write"]
table = "users"
set = { display_name = "(1 / (id - 1))::text" }
"#;

const A_VIEW: &str = r#"id = "rename"

[[phase]]
id = "add"
kind = "expand"
migration = "0001_add"

[[phase]]
id = "dual-write"
kind = "code"
needs = ["add"]

[[phase]]
id = "backfill"
kind = "backfill"
needs = ["dual-write"]
table = "people"
set = { display_name = "name" }
"#;

/// Fills.
pub(super) const GROUP: Group = Group {
    title: "Fills and their manners",
    entries: &[
        Diagnostic {
            code: "backfill-unclean",
            exits: &[Failed],
            condition: "After five passes, rows are left for which `verify` is not true; the message shows some of their keys.",
            effect: "The phase failed: what builds on it would meet rows without their value.",
            remedy: "Either something still writes rows without filling the column (see `shipctl deployed`), or `set` does not make `verify` true; mend that and run again.",
            example: written(Base::Rename, &[("plans/rename.toml", NEVER_CLEAN)], &[], FILLED),
        },
        Diagnostic {
            code: "fill-failed",
            exits: &[Failed],
            condition: "The server refused a batch of a fill: a value that cannot be computed, a constraint, a trigger that objects.",
            effect: "That batch was rolled back; those before it stay, with the place they came to.",
            remedy: "Mend the rows or the plan's `set`; then run again: it goes on where it stopped.",
            example: written(Base::Rename, &[("plans/rename.toml", DIVIDED)], &[], FILLED),
        },
        Diagnostic {
            code: "batch-would-scan",
            exits: &[Failed],
            condition: "Each batch of a fill would look through a whole table: the one that is filled, or a large one in which `set` or `verify` looks things up.",
            effect: "A fill of many batches would read it as often, and live traffic would feel it. Nothing was written.",
            remedy: "Give that table an index for the condition by which rows are looked up.",
            example: elsewhere(
                "tests/integration/fill.rs",
                "a_fill_whose_batches_would_each_read_a_large_table_is_refused_before_it_writes",
            ),
        },
        Diagnostic {
            code: "not-a-table",
            exits: &[Failed],
            condition: "A fill names something that is not an ordinary or partitioned table, such as a view or a foreign table.",
            effect: "It cannot be gone through in batches whose place is committed with their rows.",
            remedy: "Name the table that holds the rows.",
            example: Example::Played {
                bad: Scene {
                    base: Base::Rename,
                    files: &[("plans/rename.toml", A_VIEW)],
                    commands: &[
                        "shipctl run rename --to add",
                        "psql -c 'CREATE VIEW people AS SELECT * FROM users'",
                        "git tag --force deployed dual-write",
                        "shipctl run rename --to backfill",
                    ],
                },
                good: Scene {
                    base: Base::Rename,
                    files: &[],
                    commands: FILLED,
                },
            },
        },
        Diagnostic {
            code: "no-key",
            exits: &[Failed],
            condition: "The table has no primary key and no other unique key of NOT NULL columns, and cannot be gone through by its blocks: the server is older than PostgreSQL 14, or the table has an access method of its own.",
            effect: "Each batch would scan the whole table.",
            remedy: "Add a unique index on NOT NULL columns first.",
            example: Example::Unplayed("it takes a server older than PostgreSQL 14"),
        },
        Diagnostic {
            code: "rows-hidden",
            exits: &[Failed],
            condition: "Row security hides rows of the table from the role that shipctl connects as.",
            effect: "Rows that cannot be seen would neither be filled nor be missed by the verification.",
            remedy: "Connect as the table's owner or as a role with BYPASSRLS.",
            example: elsewhere(
                "tests/integration/run.rs",
                "hidden_rows_are_not_passed_over_in_silence",
            ),
        },
        Diagnostic {
            code: "relation-gone",
            exits: &[Failed],
            condition: "While a fill was at work, a partition of its table was added, detached or dropped, or the table was replaced.",
            effect: "The ranges that were laid out are not those of the table as it is now.",
            remedy: "Run the same command again: it goes on with the table as it is now.",
            example: Example::Unplayed("it takes a table that changes between two batches"),
        },
        Diagnostic {
            code: "cursor-unwritable",
            exits: &[Failed],
            condition: "The place that a fill has come to could not be put into the form in which the ledger keeps it.",
            effect: "A batch commits together with its place, or not at all.",
            remedy: "Report it with the plan.",
            example: GUARD,
        },
        Diagnostic {
            code: "may-not-vacuum",
            exits: &[Failed],
            condition: "The table that is filled belongs to another role, and shipctl's may not vacuum it. It is told during the fill and stops nothing.",
            effect: "The table may grow more than it would need to.",
            remedy: "Connect as the table's owner, or from PostgreSQL 17 on GRANT MAINTAIN on it; or let autovacuum do it.",
            example: Example::Unplayed(
                "it is told in a line while a fill goes on, and is no end of a command",
            ),
        },
        Diagnostic {
            code: "no-run",
            exits: &[Waiting],
            condition: "`shipctl run PLAN --join` waited for ten seconds, and nobody runs the plan.",
            effect: "A process can only join the fill of a run that is at work, since that run holds the lock.",
            remedy: "Start the run itself: `shipctl run PLAN`.",
            example: elsewhere(
                "tests/integration/fill.rs",
                "whoever_joins_works_until_nothing_is_left_and_ends_with_the_run_that_it_joined",
            ),
        },
        Diagnostic {
            code: "run-hidden",
            exits: &[Unknown],
            condition: "`shipctl run PLAN --join` finds a run whose session belongs to another database role, and may not see since when that session is there.",
            effect: "What an earlier run left behind cannot be told from what the run at work has begun, so nothing is joined.",
            remedy: "Connect as the role that runs the plan, or let the role that joins look: `GRANT pg_read_all_stats TO` it.",
            example: elsewhere(
                "tests/integration/fill.rs",
                "whoever_may_not_look_at_the_run_is_told_so_and_joins_nothing",
            ),
        },
        Diagnostic {
            code: "no-replica",
            exits: &[Unknown],
            condition: "One of the `replicas` in an environment's manners is not a replica, or not any more.",
            effect: "How far replicas lag behind is not known, so a fill with a limit for it pauses.",
            remedy: "Correct `replicas` in shipctl.toml, or set the limit to `off`.",
            example: elsewhere(
                "tests/integration/manners.rs",
                "a_replica_that_is_a_primary_is_none",
            ),
        },
        Diagnostic {
            code: "replication-hidden",
            exits: &[Unknown],
            condition: "The role that shipctl connects as may not see how far replicas have come.",
            effect: "Their lag is not watched; the fill says so once and goes on.",
            remedy: "GRANT pg_monitor to the role, or name `replicas` in the environment's manners.",
            example: elsewhere(
                "tests/integration/manners.rs",
                "a_role_that_may_not_see_replicas_is_told_once_and_goes_on",
            ),
        },
        Diagnostic {
            code: "disk-unknown",
            exits: &[Unknown],
            condition: "A fill has a limit for free disk space, and the space cannot be known, mostly because the database is on another machine.",
            effect: "Free disk space is not watched; the fill says so once and goes on.",
            remedy: "Watch it by other means, and pause the fill with `shipctl pause PLAN` if it runs short; or take `min_free_disk` out.",
            example: Example::Unplayed(
                "it is told in a line while a fill goes on, and is no end of a command",
            ),
        },
        Diagnostic {
            code: "no-answer",
            exits: &[Unknown],
            condition: "Something that is watched while a fill goes on did not answer in time.",
            effect: "A replica that was named and does not answer pauses the fill; anything else is told once.",
            remedy: "See that it can be reached; `shipctl throttle PLAN` sets the limit to `off`.",
            example: Example::Unplayed("it takes a server that hangs"),
        },
    ],
};
