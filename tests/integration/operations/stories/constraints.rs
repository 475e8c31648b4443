//! Constraints and indexes, types and keys.

use super::{Code, GONE, NAMES, Story, all, at_once, live_through};

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
        delete: GONE,
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
            code,
            back: true,
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_changes_of_types_and_keys() {
    let ddl = "CREATE TABLE users (id bigint NOT NULL UNIQUE, name varchar(20) NOT NULL, amount integer NOT NULL DEFAULT 0);
               CREATE INDEX by_amount ON users (amount);
               INSERT INTO users SELECT n, 'v' || n, n FROM generate_series(1, 50) n";
    let amounts = Code {
        insert: "INSERT INTO users (id, name, amount) VALUES ({id}, 'x', {n})",
        update: "UPDATE users SET amount = {n} WHERE id = {id}",
        read: "SELECT 'v' || amount FROM users WHERE id = {id}",
        delete: GONE,
    };
    all(&[
        Story {
            name: "change-type, in place",
            ddl,
            arguments: &["change-type", "users.name", "text"],
            code: vec![NAMES, NAMES],
            back: true,
        },
        Story {
            name: "change-type, by a second column",
            ddl,
            arguments: at_once(&["change-type", "users.amount", "bigint"]),
            code: vec![amounts, amounts],
            back: true,
        },
        Story {
            name: "change-type, with expressions",
            ddl,
            arguments: at_once(&[
                "change-type",
                "users.amount",
                "text",
                "--using",
                "amount::text",
                "--back",
                "amount::integer",
            ]),
            code: vec![
                amounts,
                Code {
                    // It works with either type.
                    insert: "INSERT INTO users (id, name, amount) VALUES ({id}, 'x', '{n}')",
                    update: "UPDATE users SET amount = '{n}' WHERE id = {id}",
                    read: amounts.read,
                    delete: GONE,
                },
            ],
            back: true,
        },
        Story {
            name: "add-primary-key",
            ddl,
            arguments: &["add-primary-key", "users", "id"],
            code: vec![NAMES, NAMES],
            back: true,
        },
        Story {
            name: "add-identity",
            ddl,
            arguments: &["add-identity", "users.id"],
            code: vec![NAMES],
            back: true,
        },
        Story {
            name: "add-identity, always",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, amount integer NOT NULL);
                  CREATE INDEX by_amount ON users (amount);
                  INSERT INTO users SELECT n, 'v' || n, n FROM generate_series(1, 50) n",
            arguments: &["add-identity", "users.amount", "--always"],
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name, amount) VALUES ({id}, 'v{n}', {n})",
                    update: "UPDATE users SET name = 'v{n}' WHERE id = {id}",
                    ..NAMES
                },
                NAMES,
            ],
            back: true,
        },
    ])
    .await;
}
