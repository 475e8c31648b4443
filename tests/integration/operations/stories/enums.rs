//! Values of enum types.

use super::{Code, GONE, Story, all, live_through_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_changes_of_enum_values() {
    let ddl = "CREATE TYPE mood AS ENUM ('glad', 'sad');
               CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, mood mood NOT NULL);
               INSERT INTO users SELECT n, 'v' || n, 'sad' FROM generate_series(1, 50) n";
    let sad = Code {
        insert: "INSERT INTO users (id, name, mood) VALUES ({id}, 'v{n}', 'sad')",
        update: "UPDATE users SET name = 'v{n}', mood = 'sad' WHERE id = {id}",
        // What it does not know it cannot read.
        read: "SELECT CASE mood::text WHEN 'sad' THEN name WHEN 'glad' THEN name END FROM users WHERE id = {id}",
        delete: GONE,
    };
    let low = Code {
        insert: "INSERT INTO users (id, name, mood) VALUES ({id}, 'v{n}', 'low')",
        update: "UPDATE users SET name = 'v{n}', mood = 'low' WHERE id = {id}",
        read: "SELECT CASE mood::text WHEN 'low' THEN name WHEN 'glad' THEN name END FROM users WHERE id = {id}",
        delete: GONE,
    };
    let reads_both =
        "SELECT CASE mood::text WHEN 'low' THEN name WHEN 'sad' THEN name WHEN 'glad' THEN name END
                        FROM users WHERE id = {id}";
    let glad = Code {
        insert: "INSERT INTO users (id, name, mood) VALUES ({id}, 'v{n}', 'glad')",
        update: "UPDATE users SET name = 'v{n}', mood = 'glad' WHERE id = {id}",
        read: sad.read,
        delete: GONE,
    };
    // A value that was written does not go away by itself.
    live_through_with(
        &Story {
            name: "add-enum-value",
            ddl,
            arguments: &["add-enum-value", "mood", "low", "--after", "glad"],
            code: vec![
                sad,
                Code {
                    read: reads_both,
                    ..sad
                },
                Code {
                    read: reads_both,
                    ..low
                },
            ],
            back: true,
        },
        &[],
        Some("UPDATE users SET mood = 'sad' WHERE mood = 'low'"),
    )
    .await;
    all(&[
        Story {
            name: "rename-enum-value",
            ddl,
            arguments: &["rename-enum-value", "mood", "sad", "low"],
            code: vec![
                sad,
                Code {
                    read: reads_both,
                    ..sad
                },
                Code {
                    read: reads_both,
                    ..low
                },
                low,
            ],
            back: true,
        },
        Story {
            name: "drop-enum-value",
            ddl,
            arguments: &["drop-enum-value", "mood", "sad", "--fill", "glad"],
            code: vec![sad, glad],
            back: true,
        },
    ])
    .await;
}
