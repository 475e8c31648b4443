//! The plain migration runner, `shipctl migrate`.

use super::example::{typed, written};
use super::{Base, Diagnostic, Group};
use crate::domain::Exit::{Blocked, Done, Failed, Usage};

const COLOURS: (&str, &str) = (
    "migrations/0001_colours.sql",
    "-- UP\nCREATE TABLE colours (name text);\n\n-- DOWN\nDROP TABLE colours;\n",
);

const TWO_STEPS: (&str, &str) = (
    "migrations/0001_colours.sql",
    "-- UP\nCREATE TABLE colours (name text);\nCREATE INDEX CONCURRENTLY by_name ON colours (name);\nSELECT 1 / 0;\n",
);

/// `shipctl migrate`.
pub(super) const GROUP: Group = Group {
    title: "The migration runner",
    entries: &[
        Diagnostic {
            code: "migration-failed",
            exits: &[Failed],
            condition: "The server refused a statement of a migration.",
            effect: "A migration that runs in one transaction left nothing behind; one that cannot tells how many of its steps took effect and are recorded. Later migrations did not run.",
            remedy: "Correct the statement that is shown, or what it met in the database; then `shipctl migrate up` goes on where it stopped.",
            example: written(
                Base::Project,
                &[(
                    "migrations/0001_colours.sql",
                    "-- UP\nCREATE INDEX by_name ON colours (name);\n",
                )],
                &[COLOURS],
                &["shipctl migrate up"],
            ),
        },
        Diagnostic {
            code: "migration-edited",
            exits: &[Done, Blocked],
            condition: "The file of a migration was edited after it had been applied. `migrate up` remarks on it; `migrate down` refuses to undo it.",
            effect: "The database has what the file said before: the edit is not applied anywhere it ran, and its DOWN side may no longer undo what did.",
            remedy: "Put the change into a new migration and restore the file; `migrate down --force` undoes it by the file as it is.",
            example: typed(
                Base::Project,
                &[COLOURS],
                &[
                    "shipctl migrate up",
                    "sed -i 's/name text/name varchar/' migrations/0001_colours.sql",
                    "shipctl migrate down",
                ],
                &["shipctl migrate up", "shipctl migrate down"],
            ),
        },
        Diagnostic {
            code: "migration-edited-halfway",
            exits: &[Blocked],
            condition: "A migration that runs step by step was interrupted or failed, and a step that had taken effect reads otherwise now.",
            effect: "What has run cannot be run again in another form, and the rest may count on what it did.",
            remedy: "Restore those steps as they were and run again; change what follows them only.",
            example: typed(
                Base::Project,
                &[TWO_STEPS],
                &[
                    "shipctl migrate up",
                    "sed -i 's/name text/name varchar/' migrations/0001_colours.sql",
                    "shipctl migrate up",
                ],
                &[
                    "shipctl migrate up",
                    "sed -i 's|1 / 0|1|' migrations/0001_colours.sql",
                    "shipctl migrate up",
                ],
            ),
        },
        Diagnostic {
            code: "migration-empty",
            exits: &[Usage],
            condition: "A migration that is due holds no statement.",
            effect: "It would be recorded as applied, and whatever is written into it later would never run.",
            remedy: "Write its UP side, or delete the file.",
            example: written(
                Base::Project,
                &[("migrations/0001_colours.sql", "-- UP\n\n-- DOWN\n")],
                &[COLOURS],
                &["shipctl migrate up"],
            ),
        },
        Diagnostic {
            code: "migration-of-plan",
            exits: &[Blocked],
            condition: "`migrate down` comes to a migration that was applied by the plain runner and that a phase of a release plan claims now.",
            effect: "Whether it may be undone depends on the code that is running, which the plain runner does not look at.",
            remedy: "Undo it through its gates, with `shipctl rollback PLAN --to PHASE`; or give the plan a migration of its own.",
            example: typed(
                Base::Project,
                &[
                    COLOURS,
                    (
                        "drafts/colours.toml",
                        "id = \"colours\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nmigration = \"0001_colours\"\n",
                    ),
                ],
                &["shipctl migrate up", "mv drafts plans", "shipctl migrate down"],
                &["shipctl migrate up", "shipctl migrate down"],
            ),
        },
        Diagnostic {
            code: "migration-file-missing",
            exits: &[Blocked],
            condition: "A migration that is to be undone is applied, but its file is not in this checkout.",
            effect: "How to undo it is not known.",
            remedy: "Bring the file back, for example with `git checkout REV -- migrations`.",
            example: typed(
                Base::Project,
                &[COLOURS],
                &[
                    "shipctl migrate up",
                    "rm migrations/0001_colours.sql",
                    "shipctl migrate down",
                ],
                &["shipctl migrate up", "shipctl migrate down"],
            ),
        },
        Diagnostic {
            code: "migration-without-down",
            exits: &[Blocked],
            condition: "A migration that is to be undone has no DOWN side.",
            effect: "How to undo it is not known.",
            remedy: "Write one below a line `-- DOWN`; `SELECT 1;` says that nothing needs to be undone.",
            example: written(
                Base::Project,
                &[(
                    "migrations/0001_colours.sql",
                    "-- UP\nCREATE TABLE colours (name text);\n",
                )],
                &[COLOURS],
                &["shipctl migrate up", "shipctl migrate down"],
            ),
        },
        Diagnostic {
            code: "unknown-migration",
            exits: &[Usage],
            condition: "The migration named with --to is neither a file nor recorded.",
            effect: "It is not known how far to go.",
            remedy: "Name it by its id, its name or its file; `shipctl migrate status` lists all of them.",
            example: typed(
                Base::Project,
                &[COLOURS],
                &["shipctl migrate up --to 7"],
                &["shipctl migrate up --to 1"],
            ),
        },
        Diagnostic {
            code: "migration-name",
            exits: &[Usage],
            condition: "A new migration was given a name without any letter or digit.",
            effect: "No file can be named by it.",
            remedy: "Say in a few words what it does, such as `shipctl migrate new add users email`.",
            example: typed(
                Base::Project,
                &[],
                &["shipctl migrate new '!'"],
                &["shipctl migrate new add users email"],
            ),
        },
        Diagnostic {
            code: "migration-unwritable",
            exits: &[Failed],
            condition: "The file of a new migration cannot be written.",
            effect: "There is no new migration; nothing else was changed.",
            remedy: "See who may write into the folder, what stands in the way, and that the disk has room.",
            example: typed(
                Base::Project,
                &[],
                &["mkdir -p migrations/0001_add.sql", "shipctl migrate new add"],
                &["shipctl migrate new add"],
            ),
        },
        Diagnostic {
            code: "migration-row-gone",
            exits: &[Failed],
            condition: "A migration was to be undone, and its row in the table of migrations could not be deleted: something else has changed or deleted it meanwhile, or a rule or trigger of that table keeps it.",
            effect: "The transaction was rolled back, so the migration is still applied; but somebody else has a say in that table too.",
            remedy: "Run `shipctl migrate status` and see what else runs migrations against this database, or hangs on the table; then try again.",
            example: typed(
                Base::Project,
                &[COLOURS],
                &[
                    "psql -c 'CREATE TABLE migrations (id text, name text, applied_at timestamptz)'",
                    "shipctl migrate up",
                    "psql -c 'CREATE RULE keep AS ON DELETE TO migrations DO INSTEAD NOTHING'",
                    "shipctl migrate down",
                ],
                &[
                    "psql -c 'CREATE TABLE migrations (id text, name text, applied_at timestamptz)'",
                    "shipctl migrate up",
                    "shipctl migrate down",
                ],
            ),
        },
    ],
};
