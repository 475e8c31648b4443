//! The code that lives through each operation; see [`live_through`].

use super::clients::{Code, Story, live_through};

/// Code that knows a table of names only.
const NAMES: Code = Code {
    insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n}')",
    update: "UPDATE users SET name = 'v{n}' WHERE id = {id}",
    read: "SELECT name FROM users WHERE id = {id}",
};

const BOTH_NAMES: Code = Code {
    insert: "INSERT INTO users (id, name, display_name) VALUES ({id}, 'v{n}', 'v{n}')",
    update: "UPDATE users SET name = 'v{n}', display_name = 'v{n}' WHERE id = {id}",
    read: "SELECT name FROM users WHERE id = {id}",
};

const NEW_NAMES: Code = Code {
    insert: "INSERT INTO users (id, display_name) VALUES ({id}, 'v{n}')",
    update: "UPDATE users SET display_name = 'v{n}' WHERE id = {id}",
    read: "SELECT display_name FROM users WHERE id = {id}",
};

/// Code that leaves the locale NULL now and then, and reads the name for it.
const MAY_BE_NULL: Code = Code {
    insert: "INSERT INTO users (id, name, locale) VALUES ({id}, 'v{n}', CASE WHEN {n} % 2 = 0 THEN 'v{n}' END)",
    update: "UPDATE users SET name = 'v{n}', locale = CASE WHEN {n} % 2 = 0 THEN 'v{n}' END WHERE id = {id}",
    read: "SELECT coalesce(locale, name) FROM users WHERE id = {id}",
};

const NEVER_NULL: Code = Code {
    insert: "INSERT INTO users (id, name, locale) VALUES ({id}, 'v{n}', 'v{n}')",
    update: "UPDATE users SET name = 'v{n}', locale = 'v{n}' WHERE id = {id}",
    read: "SELECT coalesce(locale, name) FROM users WHERE id = {id}",
};

const LOCALE: Code = Code {
    read: "SELECT locale FROM users WHERE id = {id}",
    ..NEVER_NULL
};

async fn all(stories: &[Story]) {
    for story in stories {
        live_through(story).await;
    }
}

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
            code: &[
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
            code: &[NAMES, NEW_NAMES],
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
            code: &[
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
            code: &[
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
            code: &[
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
            code: &[MAY_BE_NULL, NEVER_NULL],
            back: true,
        },
        Story {
            name: "drop-not-null",
            ddl: names,
            arguments: &["drop-not-null", "users.locale", "--fill", "name"],
            code: &[LOCALE, NEVER_NULL, MAY_BE_NULL],
            back: true,
        },
        Story {
            name: "set-default",
            ddl,
            arguments: &["set-default", "users.locale", "'de'"],
            code: &[
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
            code: &[
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_constraints_and_indexes() {
    let ddl = "CREATE TABLE teams (id bigint PRIMARY KEY); INSERT INTO teams SELECT generate_series(1, 9);
               CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, locale text, team_id bigint DEFAULT 3,
                   CONSTRAINT named CHECK (name <> ''));
               CREATE INDEX by_name ON users (name);
               INSERT INTO users SELECT n, 'v' || n, 'v' || n FROM generate_series(1, 50) n";
    let teams = Code {
        insert: "INSERT INTO users (id, name, team_id) VALUES ({id}, 'v{n}', 1 + {n} % 9)",
        update: "UPDATE users SET name = 'v{n}', team_id = 1 + {n} % 9 WHERE id = {id}",
        read: NAMES.read,
    };
    let at_last: &[&str] = &["--soak", "0s", "--approvals", "0"];
    let drop_constraint = [&["drop-constraint", "users", "named"], at_last].concat();
    let drop_index: &[&str] = &["drop-index", "users", "by_name", "--soak", "0s"];
    let drop_constraint: &'static [&'static str] = Vec::leak(drop_constraint);
    for (name, arguments, code) in [
        (
            "add-check",
            &["add-check", "users", "starts", "name LIKE 'v%'"][..],
            &[NAMES, NAMES][..],
        ),
        (
            "add-foreign-key",
            &["add-foreign-key", "users.team_id", "teams.id"],
            &[NAMES, NAMES],
        ),
        ("add-unique", &["add-unique", "users", "name"], &[NAMES, NAMES]),
        ("drop-constraint", drop_constraint, &[NAMES, NAMES]),
        ("add-index", &["add-index", "users", "lower(name)"], &[NAMES]),
        ("drop-index", drop_index, &[NAMES]),
    ] {
        let code: Vec<Code> = match name {
            "add-foreign-key" => code.iter().map(|_| teams).collect(),
            _ => code.to_vec(),
        };
        live_through(&Story {
            name,
            ddl,
            arguments,
            code: Vec::leak(code),
            back: true,
        })
        .await;
    }
}
