//! Code that lives through columns that move to another table.

use super::super::clients::{Code, Story};
use super::{all, at_once};

const GONE: &str = "DELETE FROM profiles WHERE user_id = {id}; DELETE FROM users WHERE id = {id}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_columns_that_move_to_another_table() {
    let of_users = Code {
        insert: "INSERT INTO users (id, bio) VALUES ({id}, 'v{n}'); INSERT INTO profiles (user_id) VALUES ({id})",
        update: "UPDATE users SET bio = 'v{n}' WHERE id = {id}",
        read: "SELECT bio FROM users WHERE id = {id}",
        delete: GONE,
    };
    let of_profiles = Code {
        insert: "INSERT INTO users (id) VALUES ({id}); INSERT INTO profiles (user_id, about) VALUES ({id}, 'v{n}')",
        update: "UPDATE profiles SET about = 'v{n}' WHERE user_id = {id}",
        read: "SELECT about FROM profiles WHERE user_id = {id}",
        delete: GONE,
    };
    // A row of its own without a value shows its name.
    let forgets = Code {
        insert: "INSERT INTO users (id) VALUES ({id}) ON CONFLICT DO NOTHING; INSERT INTO profiles (user_id, name) VALUES ({id}, 'v{n}')",
        update: "UPDATE profiles SET about = 'v{n}' WHERE user_id = {id}",
        read: "SELECT coalesce(about, name) FROM profiles WHERE user_id = {id}",
        delete: "DELETE FROM profiles WHERE user_id = {id}",
    };
    all(&[
        Story {
            name: "move-column",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, bio text NOT NULL DEFAULT '-'); CREATE INDEX by_bio ON users (bio);
                  CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n; INSERT INTO profiles SELECT id FROM users",
            arguments: at_once(&["move-column", "users.bio", "profiles.about"]),
            code: vec![of_users, of_profiles],
            back: true,
        },
        Story {
            name: "move-column, with rows that are made",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, bio text);
                  CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users, theme text);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: at_once(&["move-column", "users.bio", "profiles.about", "--create-rows"]),
            code: vec![
                of_users,
                Code {
                    insert: "INSERT INTO users (id, bio) VALUES ({id}, 'v{n}'); INSERT INTO profiles (user_id, theme) VALUES ({id}, 'dark')
                             ON CONFLICT (user_id) DO UPDATE SET theme = EXCLUDED.theme",
                    ..of_users
                },
                Code {
                    insert: "INSERT INTO users (id) VALUES ({id}); INSERT INTO profiles (user_id, about) VALUES ({id}, 'v{n}')
                             ON CONFLICT (user_id) DO UPDATE SET about = EXCLUDED.about",
                    ..of_profiles
                },
            ],
            back: true,
        },
        Story {
            name: "move-column, to the table that is referred to",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY);
                  CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users, about text DEFAULT '-');
                  INSERT INTO users SELECT n FROM generate_series(1, 50) n; INSERT INTO profiles SELECT id, 'v' || id FROM users",
            arguments: at_once(&["move-column", "profiles.about", "users.bio"]),
            code: vec![of_profiles, of_profiles, of_users],
            back: true,
        },
        Story {
            name: "move-column, from rows that go before those they refer to",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY);
                  CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users, name text, about text);
                  INSERT INTO users SELECT n FROM generate_series(1, 50) n; INSERT INTO profiles SELECT id, '-', 'v' || id FROM users",
            arguments: at_once(&["move-column", "profiles.about", "users.bio"]),
            code: vec![
                forgets,
                Code {
                    delete: "UPDATE profiles SET about = NULL WHERE user_id = {id}; DELETE FROM profiles WHERE user_id = {id}",
                    ..forgets
                },
                Code {
                    update: "UPDATE users SET bio = 'v{n}' WHERE id = {id}",
                    read: "SELECT coalesce(bio, name) FROM users JOIN profiles ON user_id = id WHERE id = {id}",
                    delete: "UPDATE users SET bio = NULL WHERE id = {id}; DELETE FROM profiles WHERE user_id = {id}",
                    ..forgets
                },
            ],
            back: true,
        },
    ])
    .await;
}
