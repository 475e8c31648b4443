//! Making a plan: `shipctl plan`.

use super::example::{GUARD, typed};
use super::{Base, Diagnostic, Group};
use crate::domain::Exit::{Failed, Usage};

/// `shipctl plan`.
pub(super) const GROUP: Group = Group {
    title: "Making a plan",
    entries: &[
        Diagnostic {
            code: "no-such-table",
            exits: &[Usage, Failed],
            condition: "A table is named that the database does not have, or that is not on the search path of the role that shipctl connects as.",
            effect: "Nothing can be planned for it, and nothing filled in it.",
            remedy: "Type the name that is suggested, name the schema (SCHEMA.TABLE), and see that --env is the right one.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl plan rename user.name title --env production"],
                &["shipctl plan rename users.name title --env production"],
            ),
        },
        Diagnostic {
            code: "no-such-column",
            exits: &[Usage],
            condition: "The table has no column of the name that was typed.",
            effect: "There is nothing to rename.",
            remedy: "Type the name that is suggested; a name with capitals needs double quotes.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl plan rename users.nmae title --env production"],
                &["shipctl plan rename users.name title --env production"],
            ),
        },
        Diagnostic {
            code: "rename-name",
            exits: &[Usage],
            condition: "The new name cannot be had: the column has it already, another column of the table does, or PostgreSQL keeps it for itself.",
            effect: "A rename in phases makes the new column itself, so its name must be free.",
            remedy: "Choose another name, or drop a leftover of that name first.",
            example: typed(
                Base::Project,
                &[],
                &["shipctl plan rename users.name name --type text"],
                &["shipctl plan rename users.name title --type text"],
            ),
        },
        Diagnostic {
            code: "rename-refused",
            exits: &[Usage],
            condition: "Something hangs on the column that the plan could not carry over to the new one, such as a view, a generated column, or a partition key; each is named.",
            effect: "The plan would lose or break it. Nothing was written.",
            remedy: "Deal with each of them first: mostly, drop it before the rename and make it anew after.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "psql -c 'CREATE VIEW people AS SELECT name FROM users'",
                    "psql -c 'CREATE POLICY own ON users USING (name = current_user)'",
                    "shipctl plan rename users.name title --env production",
                ],
                &["shipctl plan rename users.name title --env production"],
            ),
        },
        Diagnostic {
            code: "rename-cannot-carry",
            exits: &[Usage],
            condition: "One thing that hangs on the column and keeps a rename from being planned; it stands below `rename-refused`.",
            effect: "After the rename it would be gone, or still look at the old column.",
            remedy: "Do what the line says; mostly, drop it before the rename and make it anew after.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "psql -c 'CREATE VIEW people AS SELECT name FROM users'",
                    "shipctl plan rename users.name title --env production",
                ],
                &["shipctl plan rename users.name title --env production"],
            ),
        },
        Diagnostic {
            code: "invalid-soak",
            exits: &[Usage],
            condition: "--soak of `shipctl plan` is not a duration, or is negative.",
            effect: "The gate before the drop would mean nothing.",
            remedy: "Write it as 24h, 30m or 7d; 0s for none.",
            example: typed(
                Base::Project,
                &[],
                &["shipctl plan rename users.name title --type text --soak tomorrow"],
                &["shipctl plan rename users.name title --type text --soak 24h"],
            ),
        },
        Diagnostic {
            code: "invalid-sql",
            exits: &[Usage],
            condition: "A type, expression or condition that was given to `shipctl plan` is not one by itself, or the database does not understand it.",
            effect: "It is written into the migrations, which could then not be run, or do something else.",
            remedy: "Write it as it stands in CREATE TABLE, such as `--type 'varchar(80)' --default \"'unknown'\"`.",
            example: typed(
                Base::Project,
                &[],
                &["shipctl plan rename users.name title --type 'text; DROP TABLE users'"],
                &["shipctl plan rename users.name title --type 'varchar(80)'"],
            ),
        },
        Diagnostic {
            code: "would-overwrite",
            exits: &[Usage],
            condition: "A plan or migration that `shipctl plan` would write exists already.",
            effect: "A plan that is in use must not be replaced behind its back. Nothing was written.",
            remedy: "Remove the files if they are leftovers, or give the new plan another id with --id.",
            example: typed(
                Base::Project,
                &[],
                &[
                    "shipctl plan rename users.name title --type text",
                    "shipctl plan rename users.name title --type text",
                ],
                &[
                    "shipctl plan rename users.name title --type text",
                    "shipctl plan rename users.name label --type text --id second",
                ],
            ),
        },
        Diagnostic {
            code: "no-free-moment",
            exits: &[Failed],
            condition: "No time could be found by which the new migrations could be numbered.",
            effect: "Two migrations with one id would be taken for one another, so none was written.",
            remedy: "See that this machine's clock is right.",
            example: GUARD,
        },
        Diagnostic {
            code: "catalog-unreadable",
            exits: &[Failed],
            condition: "The database's catalog answered in a form that was not expected, or the column went away while it was read.",
            effect: "What the column carries is not known for certain, so no plan is made.",
            remedy: "Run the command again; if it stays, report it with the version of the server.",
            example: GUARD,
        },
    ],
};
