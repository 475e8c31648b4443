//! Columns that are made of others.

use super::{Code, GONE, NAMES, Story, all, at_once};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_columns_that_are_made_of_others() {
    let ddl = "CREATE TABLE users (id bigint PRIMARY KEY, profile jsonb, name text NOT NULL, nickname text, locale text);
               CREATE INDEX by_name ON users (name);
               INSERT INTO users SELECT n, jsonb_build_object('city', 'v' || n), 'v' || n || ' x', 'v' || n, 'x'
                 FROM generate_series(1, 50) n";
    let both_sides = Code {
        insert: "INSERT INTO users (id, name, first_name, last_name) VALUES ({id}, 'v{n} x', 'v{n}', 'x')",
        update: "UPDATE users SET name = 'v{n} x', first_name = 'v{n}', last_name = 'x' WHERE id = {id}",
        read: "SELECT split_part(name, ' ', 1) FROM users WHERE id = {id}",
        delete: GONE,
    };
    all(&[
        Story {
            name: "replace-index",
            ddl,
            arguments: &["replace-index", "users", "by_name", "lower(name)", "--soak", "0s"],
            code: vec![Code {
                insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n}')",
                update: NAMES.update,
                read: "SELECT split_part(name, ' ', 1) FROM users WHERE id = {id}",
                delete: GONE,
            }],
            back: true,
        },
        Story {
            name: "extract-json",
            ddl,
            arguments: at_once(&["extract-json", "users.profile", "city", "city", "text"]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name, profile) VALUES ({id}, 'x', '{\"city\": \"v{n}\"}')",
                    update: "UPDATE users SET profile = profile || '{\"city\": \"v{n}\"}' WHERE id = {id}",
                    read: "SELECT profile ->> 'city' FROM users WHERE id = {id}",
                    delete: GONE,
                },
                Code {
                    insert: "INSERT INTO users (id, name, city) VALUES ({id}, 'x', 'v{n}')",
                    update: "UPDATE users SET city = 'v{n}' WHERE id = {id}",
                    read: "SELECT city FROM users WHERE id = {id}",
                    delete: GONE,
                },
            ],
            back: true,
        },
        Story {
            name: "split-column",
            ddl,
            arguments: at_once(&[
                "split-column",
                "users.name",
                "first_name",
                "last_name",
                "--into",
                "split_part(name, ' ', 1)",
                "--into",
                "split_part(name, ' ', 2)",
                "--from",
                "first_name || ' ' || last_name",
            ]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n} x')",
                    update: "UPDATE users SET name = 'v{n} x' WHERE id = {id}",
                    read: "SELECT split_part(name, ' ', 1) FROM users WHERE id = {id}",
                    delete: GONE,
                },
                Code {
                    insert: "INSERT INTO users (id, first_name, last_name) VALUES ({id}, 'v{n}', 'x')",
                    update: "UPDATE users SET first_name = 'v{n}' WHERE id = {id}",
                    read: "SELECT first_name FROM users WHERE id = {id}",
                    delete: GONE,
                },
            ],
            back: true,
        },
        Story {
            name: "extract-json, and the key goes",
            ddl,
            arguments: at_once(&["extract-json", "users.profile", "city", "city", "text", "--remove-key"]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name, profile) VALUES ({id}, 'x', '{\"city\": \"v{n}\", \"n\": 1}')",
                    update: "UPDATE users SET profile = coalesce(profile, '{}') || '{\"city\": \"v{n}\"}' WHERE id = {id}",
                    read: "SELECT profile ->> 'city' FROM users WHERE id = {id}",
                    delete: GONE,
                },
                Code {
                    insert: "INSERT INTO users (id, name, city) VALUES ({id}, 'x', 'v{n}')",
                    update: "UPDATE users SET city = 'v{n}' WHERE id = {id}",
                    read: "SELECT city FROM users WHERE id = {id}",
                    delete: GONE,
                },
            ],
            back: true,
        },
        Story {
            name: "extract-json, kept by code",
            ddl,
            arguments: at_once(&[
                "extract-json",
                "users.profile",
                "city",
                "city",
                "text",
                "--sync",
                "code",
                "--remove-key",
            ]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name, profile) VALUES ({id}, 'x', '{\"city\": \"v{n}\", \"n\": 1}')",
                    update: "UPDATE users SET profile = coalesce(profile, '{}') || '{\"city\": \"v{n}\"}' WHERE id = {id}",
                    read: "SELECT profile ->> 'city' FROM users WHERE id = {id}",
                    delete: GONE,
                },
                Code {
                    insert: "INSERT INTO users (id, name, profile, city) VALUES ({id}, 'x', '{\"city\": \"v{n}\"}', 'v{n}')",
                    update: "UPDATE users SET profile = coalesce(profile, '{}') || '{\"city\": \"v{n}\"}', city = 'v{n}' WHERE id = {id}",
                    read: "SELECT profile ->> 'city' FROM users WHERE id = {id}",
                    delete: GONE,
                },
                Code {
                    insert: "INSERT INTO users (id, name, profile, city) VALUES ({id}, 'x', '{\"city\": \"v{n}\"}', 'v{n}')",
                    update: "UPDATE users SET profile = coalesce(profile, '{}') || '{\"city\": \"v{n}\"}', city = 'v{n}' WHERE id = {id}",
                    read: "SELECT city FROM users WHERE id = {id}",
                    delete: GONE,
                },
                Code {
                    insert: "INSERT INTO users (id, name, profile, city) VALUES ({id}, 'x', '{\"n\": 1}', 'v{n}')",
                    update: "UPDATE users SET city = 'v{n}' WHERE id = {id}",
                    read: "SELECT city FROM users WHERE id = {id}",
                    delete: GONE,
                },
            ],
            back: true,
        },
        Story {
            name: "split-column, kept by code",
            ddl,
            arguments: at_once(&[
                "split-column",
                "users.name",
                "first_name",
                "last_name",
                "--into",
                "split_part(name, ' ', 1)",
                "--into",
                "split_part(name, ' ', 2)",
                "--from",
                "first_name || ' ' || last_name",
                "--sync",
                "code",
            ]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n} x')",
                    update: "UPDATE users SET name = 'v{n} x' WHERE id = {id}",
                    ..both_sides
                },
                both_sides,
                Code {
                    read: "SELECT first_name FROM users WHERE id = {id}",
                    ..both_sides
                },
                Code {
                    insert: "INSERT INTO users (id, first_name, last_name) VALUES ({id}, 'v{n}', 'x')",
                    update: "UPDATE users SET first_name = 'v{n}' WHERE id = {id}",
                    read: "SELECT first_name FROM users WHERE id = {id}",
                    delete: GONE,
                },
            ],
            back: true,
        },
        Story {
            name: "merge-columns",
            ddl,
            arguments: at_once(&[
                "merge-columns",
                "users",
                "label",
                "--of",
                "nickname,locale",
                "--into",
                "nickname || ':' || locale",
                "--from",
                "split_part(label, ':', 1)",
                "--from",
                "split_part(label, ':', 2)",
            ]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name, nickname, locale) VALUES ({id}, 'x', 'v{n}', 'y')",
                    update: "UPDATE users SET nickname = 'v{n}' WHERE id = {id}",
                    read: "SELECT nickname FROM users WHERE id = {id}",
                    delete: GONE,
                },
                Code {
                    insert: "INSERT INTO users (id, name, label) VALUES ({id}, 'x', 'v{n}:y')",
                    update: "UPDATE users SET label = 'v{n}:y' WHERE id = {id}",
                    read: "SELECT split_part(label, ':', 1) FROM users WHERE id = {id}",
                    delete: GONE,
                },
            ],
            back: true,
        },
    ])
    .await;
}
