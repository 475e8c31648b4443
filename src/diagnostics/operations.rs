//! Planning operations other than a rename: `shipctl plan set-not-null` and the like.

use super::example::{elsewhere, typed};
use super::{Base, Diagnostic, Example, Group};
use crate::domain::Exit::Usage;

/// `shipctl plan OPERATION`.
pub(super) const GROUP: Group = Group {
    title: "Planning an operation",
    entries: &[
        Diagnostic {
            code: "operation-refused",
            exits: &[Usage],
            condition: "There is no way to carry the operation out in safe phases, for what stands in the way: each is named.",
            effect: "The plan would fail, lose something, or stop writers. Nothing was written.",
            remedy: "Deal with each of them first, as the line says, and plan again.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "psql -c 'CREATE TABLE seniors () INHERITS (users)'",
                    "shipctl plan set-not-null seniors.name --env production",
                ],
                &["shipctl plan set-not-null users.name --fill \"'x'\" --env production"],
            ),
        },
        Diagnostic {
            code: "operation-obstacle",
            exits: &[Usage],
            condition: "One thing that keeps an operation from being planned; it stands below `operation-refused`.",
            effect: "With it there, no order of safe phases leads to the end.",
            remedy: "Do what the line says.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "psql -c 'CREATE TABLE seniors () INHERITS (users)'",
                    "shipctl plan set-not-null seniors.name --env production",
                ],
                &["shipctl plan set-not-null users.name --env production"],
            ),
        },
        Diagnostic {
            code: "operation-needless",
            exits: &[Usage],
            condition: "The table is already as the operation would make it.",
            effect: "A plan without effect would only wait for releases. Nothing was written.",
            remedy: "Nothing has to be done; see that --env is the right one.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl plan set-not-null users.id --env production"],
                &["shipctl plan set-not-null users.name --env production"],
            ),
        },
        Diagnostic {
            code: "custom-phase",
            exits: &[Usage],
            condition: "`plan custom` is told of a phase that is not complete: no SQL file, no DOWN side, nothing to set, or a flag that names no such phase.",
            effect: "The plan could not be run, or not be undone. Nothing was written.",
            remedy: "Do what the line says. SQL that cannot be taken back is said so with --no-way-back.",
            example: typed(
                Base::Rename,
                &[
                    ("add.sql", "-- UP\nALTER TABLE users ADD COLUMN email text;\n"),
                    (
                        "both.sql",
                        "-- UP\nALTER TABLE users ADD COLUMN email text;\n-- DOWN\nALTER TABLE users DROP COLUMN email;\n",
                    ),
                ],
                &["shipctl plan custom add-email --phase expand:add=add.sql"],
                &["shipctl plan custom add-email --phase expand:add=both.sql"],
            ),
        },
        Diagnostic {
            code: "no-such-type",
            exits: &[Usage],
            condition: "There is no enum type of the name that was typed.",
            effect: "There is nothing to work on.",
            remedy: "Type the name that is suggested, with its schema where that is not on the search path; one with capitals needs double quotes.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "psql -c \"CREATE TYPE mood AS ENUM ('glad', 'sad')\"",
                    "shipctl plan add-enum-value moood calm --env production",
                ],
                &[
                    "psql -c \"CREATE TYPE mood AS ENUM ('glad', 'sad')\"",
                    "shipctl plan add-enum-value mood calm --env production",
                ],
            ),
        },
        Diagnostic {
            code: "no-such-value",
            exits: &[Usage],
            condition: "The enum type has no value of the name that was typed.",
            effect: "There is nothing to work on.",
            remedy: "Type the value that is suggested, as it is, without quotes of SQL.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "psql -c \"CREATE TYPE mood AS ENUM ('glad', 'sad')\"",
                    "shipctl plan rename-enum-value mood sda low --env production",
                ],
                &[
                    "psql -c \"CREATE TYPE mood AS ENUM ('glad', 'sad')\"",
                    "psql -c 'CREATE TABLE days (felt mood)'",
                    "shipctl plan rename-enum-value mood sad low --env production",
                ],
            ),
        },
        Diagnostic {
            code: "no-such-constraint",
            exits: &[Usage],
            condition: "The table has no constraint of the name that was typed.",
            effect: "There is nothing to work on.",
            remedy: "Type the name that is suggested; a name with capitals needs double quotes.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl plan drop-constraint users users_nmae_check --env production"],
                &[
                    "psql -c \"ALTER TABLE users ADD CHECK (name <> '')\"",
                    "shipctl plan drop-constraint users users_name_check --env production",
                ],
            ),
        },
        Diagnostic {
            code: "no-such-index",
            exits: &[Usage],
            condition: "The table has no index of the name that was typed.",
            effect: "There is nothing to work on.",
            remedy: "Type the name that is suggested; a name with capitals needs double quotes.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "psql -c 'CREATE INDEX by_name ON users (name)'",
                    "shipctl plan drop-index users by_nmae --env production",
                ],
                &[
                    "psql -c 'CREATE INDEX by_name ON users (name)'",
                    "shipctl plan drop-index users by_name --env production",
                ],
            ),
        },
        Diagnostic {
            code: "name-taken",
            exits: &[Usage],
            condition: "The name for a new index or constraint is that of something else in the schema, or on the table.",
            effect: "The migration could not be run. Nothing was written.",
            remedy: "Choose another name with --name.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl plan add-index users name --name users --env production"],
                &["shipctl plan add-index users name --name users_by_name --env production"],
            ),
        },
        Diagnostic {
            code: "plan-id-used",
            exits: &[Usage],
            condition: "The id that was given with --id is that of an earlier plan, which the ledger of the database or the trailer of a commit names.",
            effect: "What they say of the earlier plan would be taken for the new one's: a phase would count as done, or code as deployed, that is not.",
            remedy: "Give another id, or leave --id out: a number makes the usual one free.",
            example: elsewhere(
                "tests/integration/operations/ids.rs",
                "an_id_that_was_used_is_not_used_again",
            ),
        },
        Diagnostic {
            code: "plan-id",
            exits: &[Usage],
            condition: "No plan id can be made from the names of the table and what is changed.",
            effect: "The plan would have no name to be typed by.",
            remedy: "Give the plan an id of your own with --id.",
            example: Example::Unplayed(
                "names that give no id are cut and cleaned before, so that this is a last resort",
            ),
        },
    ],
};
