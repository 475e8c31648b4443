//! `shipctl plan widen-key`.

use super::{Case, hold};

#[tokio::test]
async fn a_key_and_what_refers_to_it_are_widened_as_by_the_one_statement() {
    hold(&[Case {
        name: "a serial key and two tables that refer to it",
        ddl: "CREATE TABLE users (id serial PRIMARY KEY, name text);
                  CREATE TABLE orders (id bigint PRIMARY KEY, user_id int NOT NULL REFERENCES users);
                  CREATE INDEX orders_user ON orders (user_id);
                  CREATE TABLE notes (user_id int REFERENCES users, text text);
                  INSERT INTO users (name) SELECT 'name ' || n FROM generate_series(1, 20) n;
                  INSERT INTO orders SELECT n, n FROM generate_series(1, 20) n;
                  INSERT INTO notes SELECT nullif(n, 7), 'x' FROM generate_series(1, 20) n;",
        arguments: &["widen-key", "users"],
        oracle: "ALTER TABLE users ALTER id TYPE bigint; ALTER TABLE orders ALTER user_id TYPE bigint;
                     ALTER TABLE notes ALTER user_id TYPE bigint; ALTER SEQUENCE users_id_seq AS bigint",
        stays: "",
        proof: "safe",
    }])
    .await;
}
