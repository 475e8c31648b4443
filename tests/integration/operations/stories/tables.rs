//! Tables and partitions that come and go.

use super::{Code, NAMES, Story, all, at_once};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_changes_of_whole_tables() {
    let ddl = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
               CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL);
               INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n; INSERT INTO people TABLE users";
    let people = Code {
        insert: "INSERT INTO people (id, name) VALUES ({id}, 'v{n}')",
        update: "UPDATE people SET name = 'v{n}' WHERE id = {id}",
        read: "SELECT name FROM people WHERE id = {id}",
        delete: "DELETE FROM people WHERE id = {id}",
    };
    let accounts = Code {
        insert: "INSERT INTO accounts (id, name) VALUES ({id}, 'v{n}')",
        update: "UPDATE accounts SET name = 'v{n}' WHERE id = {id}",
        read: "SELECT name FROM accounts WHERE id = {id} FOR UPDATE",
        delete: "DELETE FROM accounts WHERE id = {id}",
    };
    let both = Code {
        insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n}') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name;
                 INSERT INTO people (id, name) VALUES ({id}, 'v{n}')",
        update: "UPDATE users SET name = 'v{n}' WHERE id = {id}; UPDATE people SET name = 'v{n}' WHERE id = {id}",
        read: people.read,
        delete: "DELETE FROM users WHERE id = {id}; DELETE FROM people WHERE id = {id}",
    };
    all(&[
        Story {
            name: "rename-table",
            ddl,
            arguments: at_once(&["rename-table", "users", "accounts"]),
            code: vec![
                Code {
                    read: "SELECT name FROM users WHERE id = {id} FOR UPDATE",
                    ..NAMES
                },
                accounts,
            ],
            back: true,
        },
        Story {
            name: "drop-table",
            ddl,
            arguments: at_once(&["drop-table", "users"]),
            code: vec![both, people],
            // Its rows are lost, and the old code of this story reads the other table.
            back: true,
        },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_tables_and_partitions_that_come_and_go() {
    let both = Code {
        insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n}'); INSERT INTO people (id, name) VALUES ({id}, 'v{n}')",
        ..NAMES
    };
    let everybody = Code {
        insert: "INSERT INTO everybody (id, name) VALUES ({id}, 'v{n}')",
        update: "UPDATE everybody SET name = 'v{n}' WHERE id = {id}",
        read: "SELECT name FROM everybody WHERE id = {id}",
        delete: "DELETE FROM everybody WHERE id = {id}",
    };
    all(&[
        Story {
            name: "create-table",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: &[
                "create-table",
                "CREATE TABLE people (id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE, name text)",
            ],
            code: vec![NAMES, both],
            back: true,
        },
        Story {
            name: "attach-partition",
            ddl: "CREATE TABLE everybody (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
                  CREATE TABLE users (id bigint NOT NULL, name text);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: &[
                "attach-partition",
                "everybody",
                "users",
                "--for",
                "FROM (0) TO (1000000)",
            ],
            code: vec![NAMES, NAMES],
            back: true,
        },
        Story {
            name: "detach-partition",
            ddl: "CREATE TABLE everybody (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
                  CREATE TABLE users PARTITION OF everybody FOR VALUES FROM (0) TO (1000000);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: at_once(&["detach-partition", "everybody", "users"]),
            code: vec![everybody, NAMES],
            back: true,
        },
    ])
    .await;
}
