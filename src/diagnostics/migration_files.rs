//! What can be wrong with migration files.

use super::example::{GUARD, checked, typed};
use super::{Base, Diagnostic, Group};
use crate::domain::Exit::{Blocked, Done, Usage};

const GOOD: (&str, &str) = (
    "migrations/0001_add.sql",
    "-- UP\nALTER TABLE users ADD COLUMN email text;\n\n-- DOWN\nALTER TABLE users DROP COLUMN email;\n",
);

/// Migration files.
pub(super) const GROUP: Group = Group {
    title: "Migration files",
    entries: &[
        Diagnostic {
            code: "sql-syntax",
            exits: &[Usage],
            condition: "A migration is not SQL that PostgreSQL's grammar knows.",
            effect: "Nothing of a script that cannot be parsed as a whole is executed, so that none is left half done for a misspelt word.",
            remedy: "Correct the place that is shown.",
            example: checked(
                &[(
                    "migrations/0001_add.sql",
                    "-- UP\nALTER TABEL users ADD COLUMN email text;\n",
                )],
                &[GOOD],
            ),
        },
        Diagnostic {
            code: "sql-meta-command",
            exits: &[Usage],
            condition: "A migration holds a command of psql, such as `\\i` or `\\set`.",
            effect: "Only psql understands it; the server would not.",
            remedy: "Take it out; put what an included file holds into the migration itself.",
            example: checked(
                &[("migrations/0001_add.sql", "-- UP\n\\i columns.sql\n")],
                &[GOOD],
            ),
        },
        Diagnostic {
            code: "sql-copy-data",
            exits: &[Usage],
            condition: "A migration reads data from the client, with COPY … FROM STDIN, or writes to it.",
            effect: "The rows below such a COPY are no SQL; only psql knows what to do with them.",
            remedy: "Write the rows as INSERT … VALUES, or COPY from a file on the server.",
            example: checked(
                &[(
                    "migrations/0001_add.sql",
                    "-- UP\nCOPY colours (name) FROM STDIN;\nred\n\\.\n",
                )],
                &[(
                    "migrations/0001_add.sql",
                    "-- UP\nINSERT INTO colours (name) VALUES ('red');\n",
                )],
            ),
        },
        Diagnostic {
            code: "sql-transaction",
            exits: &[Usage],
            condition: "A migration steers its transaction by more than a plain BEGIN and COMMIT around some statements: ROLLBACK, SAVEPOINT, PREPARE TRANSACTION, a BEGIN within a transaction or with modes, one of the two without the other.",
            effect: "The record that a step is done commits together with the step, or neither does; that cannot be kept if the script ends the transaction itself.",
            remedy: "Take it out; SET TRANSACTION may be the first statement after BEGIN.",
            example: checked(
                &[(
                    "migrations/0001_add.sql",
                    "-- UP\nBEGIN;\nALTER TABLE users ADD COLUMN email text;\n",
                )],
                &[(
                    "migrations/0001_add.sql",
                    "-- UP\nBEGIN;\nALTER TABLE users ADD COLUMN email text;\nCOMMIT;\n",
                )],
            ),
        },
        Diagnostic {
            code: "sql-not-transactional",
            exits: &[Usage],
            condition: "A statement that cannot run in a transaction, such as CREATE INDEX CONCURRENTLY or VACUUM, stands between BEGIN and COMMIT.",
            effect: "The server would refuse it, after what stands before it has run for nothing.",
            remedy: "Move it out of the bracket; it then runs on its own, with a record before and after.",
            example: checked(
                &[(
                    "migrations/0001_index.sql",
                    "-- UP\nBEGIN;\nCREATE INDEX CONCURRENTLY users_name ON users (name);\nCOMMIT;\n",
                )],
                &[(
                    "migrations/0001_index.sql",
                    "-- UP\nCREATE INDEX CONCURRENTLY users_name ON users (name);\n",
                )],
            ),
        },
        Diagnostic {
            code: "sql-unnamed-index",
            exits: &[Usage],
            condition: "An index is built concurrently without a name.",
            effect: "After a crash, only the name tells whether the index was built, and which unusable leftover is to be dropped.",
            remedy: "Write CREATE INDEX CONCURRENTLY name ON ….",
            example: checked(
                &[(
                    "migrations/0001_index.sql",
                    "-- UP\nCREATE INDEX CONCURRENTLY ON users (name);\n",
                )],
                &[(
                    "migrations/0001_index.sql",
                    "-- UP\nCREATE INDEX CONCURRENTLY users_name ON users (name);\n",
                )],
            ),
        },
        Diagnostic {
            code: "sql-range",
            exits: &[Usage],
            condition: "A side of a migration was looked for at bytes that its file does not have.",
            effect: "No statement is run that was not read.",
            remedy: "Report it; the file's markers were not understood.",
            example: GUARD,
        },
        Diagnostic {
            code: "migration-markers",
            exits: &[Usage],
            condition: "The lines `-- UP` and `-- DOWN` of a migration contradict one another: a side begins twice, statements stand before the first marker, or a file of a pair holds the other's marker.",
            effect: "A statement could be run in the wrong direction: a DROP meant for the way back on the way there.",
            remedy: "Keep one marker for each side, with every statement below one of them.",
            example: checked(
                &[(
                    "migrations/0001_add.sql",
                    "-- UP\nALTER TABLE users ADD COLUMN email text;\n\n-- UP\nALTER TABLE users DROP COLUMN email;\n",
                )],
                &[GOOD],
            ),
        },
        Diagnostic {
            code: "migration-id-twice",
            exits: &[Usage],
            condition: "Two migrations begin with the same number or time.",
            effect: "The id is what the database remembers of a migration; one of them would be taken for the other.",
            remedy: "Rename the one that was not applied anywhere, so that it begins with another number.",
            example: checked(
                &[
                    GOOD,
                    (
                        "migrations/0001_index.sql",
                        "-- UP\nCREATE INDEX users_name ON users (name);\n",
                    ),
                ],
                &[
                    GOOD,
                    (
                        "migrations/0002_index.sql",
                        "-- UP\nCREATE INDEX users_name ON users (name);\n",
                    ),
                ],
            ),
        },
        Diagnostic {
            code: "migration-twice",
            exits: &[Usage],
            condition: "A migration exists in more than one layout: as one file, as a pair, or as a folder.",
            effect: "It is not clear which of them is meant to run.",
            remedy: "Keep one of them.",
            example: checked(
                &[
                    GOOD,
                    (
                        "migrations/0001_add.up.sql",
                        "ALTER TABLE users ADD COLUMN email text;\n",
                    ),
                ],
                &[GOOD],
            ),
        },
        Diagnostic {
            code: "migration-without-up",
            exits: &[Usage],
            condition: "There is a file to undo a migration, but none that runs it.",
            effect: "What it would undo was never done.",
            remedy: "Add the forward side, or delete the file.",
            example: checked(
                &[(
                    "migrations/0001_add.down.sql",
                    "ALTER TABLE users DROP COLUMN email;\n",
                )],
                &[
                    (
                        "migrations/0001_add.up.sql",
                        "ALTER TABLE users ADD COLUMN email text;\n",
                    ),
                    (
                        "migrations/0001_add.down.sql",
                        "ALTER TABLE users DROP COLUMN email;\n",
                    ),
                ],
            ),
        },
        Diagnostic {
            code: "migration-not-utf8",
            exits: &[Usage],
            condition: "A migration is not UTF-8 text.",
            effect: "Its statements cannot be told apart, and names in it could come out differently than meant.",
            remedy: "Save it as UTF-8; the message names the line.",
            example: typed(
                Base::Project,
                &[GOOD],
                &[
                    r"printf -- '-- \377\n' >> migrations/0001_add.sql",
                    "shipctl check",
                ],
                &["shipctl check"],
            ),
        },
        Diagnostic {
            code: "migration-unreadable",
            exits: &[Usage],
            condition: "A migration cannot be read: this user may not, or it is a link that leads nowhere.",
            effect: "Later migrations may count on it, so none is run.",
            remedy: "See who may read it, and where it leads.",
            example: typed(
                Base::Project,
                &[GOOD],
                &["ln -s nowhere.sql migrations/0002_index.sql", "shipctl check"],
                &["shipctl check"],
            ),
        },
        Diagnostic {
            code: "migrations-unreadable",
            exits: &[Usage],
            condition: "The folder of the migrations cannot be read: it is a file, or this user may not look into it.",
            effect: "It is not known what there is to run.",
            remedy: "Correct `migrations` in the [project] table of shipctl.toml, or see who may read the folder.",
            example: typed(
                Base::Project,
                &[],
                &["touch migrations", "shipctl check"],
                &["mkdir migrations", "shipctl check"],
            ),
        },
        Diagnostic {
            code: "no-way-back",
            exits: &[Done, Blocked],
            condition: "The migration of a phase has no DOWN side, or a code phase that abandons data has no `restore`. `check` remarks on it; `rollback` refuses before it undoes anything.",
            effect: "The phase cannot be undone once it has run, and so neither can anything above it.",
            remedy: "Add a `-- DOWN` section as long as the phase has not begun (`SELECT 1;` says that nothing needs to be undone); give the code phase a `restore = { table, set, verify }`.",
            example: checked(
                &[
                    (
                        "plans/email.toml",
                        "id = \"email\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nmigration = \"0001_add\"\n",
                    ),
                    (
                        "migrations/0001_add.sql",
                        "-- UP\nALTER TABLE users ADD COLUMN email text;\n",
                    ),
                ],
                &[
                    (
                        "plans/email.toml",
                        "id = \"email\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nmigration = \"0001_add\"\n",
                    ),
                    GOOD,
                ],
            ),
        },
    ],
};
