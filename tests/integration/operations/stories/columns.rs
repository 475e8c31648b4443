//! Renames, and changes of a column.

use super::{BOTH_NAMES, Code, LOCALE, MAY_BE_NULL, NAMES, NEVER_NULL, NEW_NAMES, Story, all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_a_rename() {
    let ddl = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL UNIQUE CHECK (name <> ''));
               INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n";
    all(&[
        Story {
            name: "rename",
            ddl,
            arguments: &[
                "rename",
                "users.name",
                "display_name",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            code: vec![
                NAMES,
                BOTH_NAMES,
                Code {
                    read: NEW_NAMES.read,
                    ..BOTH_NAMES
                },
                NEW_NAMES,
            ],
            back: true,
        },
        Story {
            name: "rename, kept by a trigger",
            ddl,
            arguments: &[
                "rename",
                "users.name",
                "display_name",
                "--sync",
                "trigger",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            code: vec![NAMES, NEW_NAMES],
            back: true,
        },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_changes_of_a_column() {
    let ddl = "CREATE TABLE users (id bigint PRIMARY KEY, name text, locale text DEFAULT 'en');
               INSERT INTO users SELECT n, 'v' || n, CASE WHEN n % 2 = 0 THEN 'v' || n END FROM generate_series(1, 50) n";
    let names = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, locale text NOT NULL);
                 INSERT INTO users SELECT n, 'v' || n, 'v' || n FROM generate_series(1, 50) n";
    all(&[
        Story {
            name: "add-column",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: &[
                "add-column",
                "users.locale",
                "text",
                "--fill",
                "'en'",
                "--not-null",
            ],
            code: vec![
                NAMES,
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
                // What old code wrote before it was gone is filled.
                Code {
                    read: "SELECT CASE WHEN locale IS NOT NULL THEN name END FROM users WHERE id = {id}",
                    ..NEVER_NULL
                },
            ],
            back: true,
        },
        Story {
            name: "drop-column",
            ddl: names,
            arguments: &[
                "drop-column",
                "users.locale",
                "--fill",
                "name",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            code: vec![
                NEVER_NULL,
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
                NAMES,
            ],
            // Its values are lost.
            back: false,
        },
        Story {
            name: "drop-column, and back with other values",
            ddl: names,
            arguments: &[
                "drop-column",
                "users.locale",
                "--fill",
                "'none'",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            code: vec![
                Code {
                    read: "SELECT CASE WHEN locale IS NOT NULL THEN name END FROM users WHERE id = {id}",
                    ..NEVER_NULL
                },
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
                NAMES,
            ],
            back: true,
        },
        Story {
            name: "set-not-null",
            ddl,
            arguments: &["set-not-null", "users.locale", "--fill", "name"],
            code: vec![MAY_BE_NULL, NEVER_NULL],
            back: true,
        },
        Story {
            name: "drop-not-null",
            ddl: names,
            arguments: &["drop-not-null", "users.locale", "--fill", "name"],
            code: vec![LOCALE, NEVER_NULL, MAY_BE_NULL],
            back: true,
        },
        Story {
            name: "set-default",
            ddl,
            arguments: &["set-default", "users.locale", "'de'"],
            code: vec![
                NAMES,
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
            ],
            back: true,
        },
        Story {
            name: "drop-default",
            ddl,
            arguments: &["drop-default", "users.locale", "--soak", "0s", "--approvals", "0"],
            code: vec![
                NAMES,
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
            ],
            back: true,
        },
    ])
    .await;
}
