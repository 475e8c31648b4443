//! Code that lives through keys that become wider.

use super::super::clients::{Code, Story, live_through};
use super::at_once;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_a_wider_key() {
    let notes = Code {
        insert: "INSERT INTO users (name) VALUES ('x'); INSERT INTO users (id, name) OVERRIDING SYSTEM VALUE VALUES (-{id}, 'x');
                 INSERT INTO notes (number, user_id, text) VALUES ({id}, -{id}, 'v{n}')",
        // Now and then it refers to another row, or to one that is new.
        update: "INSERT INTO users (id, name) OVERRIDING SYSTEM VALUE VALUES (1000000 + {n}, 'x');
                 UPDATE users SET name = 'v{n}' WHERE id = {n} % 50 + 1;
                 DELETE FROM users WHERE id BETWEEN 1000000 AND 1000000 + {n} - 200
                     AND NOT EXISTS (SELECT FROM notes WHERE user_id = users.id);
                 UPDATE notes SET text = 'v{n}', user_id = CASE WHEN {n} % 2 = 0 THEN 1000000 + {n} ELSE {n} % 50 + 1 END
                  WHERE number = {id}",
        read: "SELECT text FROM notes JOIN users ON users.id = user_id WHERE number = {id}",
        delete: "DELETE FROM notes WHERE number = {id}; DELETE FROM users WHERE id = -{id}",
    };
    live_through(&Story {
        name: "widen-key",
        ddl: "CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
              CREATE TABLE notes (number bigint PRIMARY KEY, user_id int NOT NULL REFERENCES users, text text);
              CREATE INDEX of_user ON notes (user_id);
              INSERT INTO users (name) SELECT 'v' || n FROM generate_series(1, 50) n;
              INSERT INTO notes SELECT n, n, 'v' || n FROM generate_series(1, 50) n",
        arguments: at_once(&["widen-key", "users"]),
        code: vec![notes, notes],
        back: true,
    })
    .await;
}
