//! `shipctl plan move-column`.

use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, name text, bio text);
    CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE, theme text);";

#[tokio::test]
async fn a_column_moves_as_by_a_few_statements() {
    let ddl = |more: &str| &*format!("{USERS} {more}").leak();
    hold(&[
        Case {
            name: "plain",
            ddl: ddl(
                "INSERT INTO users SELECT n, 'n' || n, 'bio ' || n FROM generate_series(1, 20) n;
                 INSERT INTO users VALUES (21, 'x', NULL), (22, 'y', NULL);
                 INSERT INTO profiles SELECT n, 'dark' FROM generate_series(1, 21) n;",
            ),
            arguments: &["move-column", "users.bio", "profiles"],
            oracle: "ALTER TABLE profiles ADD COLUMN bio text;
                     UPDATE profiles SET bio = users.bio FROM users WHERE users.id = user_id;
                     ALTER TABLE users DROP COLUMN bio",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}
