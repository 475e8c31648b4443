//! `shipctl plan replace-index`.

use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn an_index_takes_the_place_of_another_as_by_two_statements() {
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text);
                  CREATE INDEX users_email_idx ON users (email);
                  INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 20) n;",
            arguments: &["replace-index", "users", "users_email_idx", "lower(email)"],
            oracle: "DROP INDEX users_email_idx; CREATE INDEX users_expr_idx ON users (lower(email))",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "difficult names, and the old one's name for the new one",
            ddl: "CREATE SCHEMA \"S.1\"; CREATE TABLE \"S.1\".\"T 🐘\" (\"A\" int, \"b\"\"c\" text);
                  CREATE INDEX \"I\"\" 🐘\" ON \"S.1\".\"T 🐘\" (\"A\"); CREATE INDEX \"T 🐘_b\"\"c_A_idx\" ON \"S.1\".\"T 🐘\" (\"A\");",
            arguments: &[
                "replace-index", "\"S.1\".\"T 🐘\"", "\"I\"\" 🐘\"", "\"b\"\"c\" DESC", "--include", "\"A\"", "--keep-name",
            ],
            oracle: "DROP INDEX \"S.1\".\"I\"\" 🐘\";
                     CREATE INDEX \"I\"\" 🐘\" ON \"S.1\".\"T 🐘\" (\"b\"\"c\" DESC) INCLUDE (\"A\")",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "all that hangs on the old one",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text, name text);
                  CREATE INDEX by_email ON users (lower(email) DESC, name text_pattern_ops) WITH (fillfactor = 70)
                    WHERE name <> '';
                  COMMENT ON INDEX by_email IS 'it''s \\ needed';
                  ALTER INDEX by_email ALTER COLUMN 1 SET STATISTICS 400; ALTER TABLE users REPLICA IDENTITY FULL;",
            arguments: &["replace-index", "users", "by_email", "name", "--using", "hash", "--as", "by_name", "--soak", "0s"],
            oracle: "DROP INDEX by_email; CREATE INDEX by_name ON users USING hash (name)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a name as long as names may be",
            ddl: "CREATE TABLE t (a int, b int);
                  CREATE INDEX an_index_with_a_name_that_is_as_long_as_a_name_may_be_in_here_1 ON t (a);
                  ALTER TABLE t CLUSTER ON an_index_with_a_name_that_is_as_long_as_a_name_may_be_in_here_1;",
            arguments: &[
                "replace-index", "t", "an_index_with_a_name_that_is_as_long_as_a_name_may_be_in_here_1", "a", "b", "--keep-name",
            ],
            oracle: "DROP INDEX an_index_with_a_name_that_is_as_long_as_a_name_may_be_in_here_1;
                     CREATE INDEX an_index_with_a_name_that_is_as_long_as_a_name_may_be_in_here_1 ON t (a, b)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "becomes unique",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text); CREATE INDEX by_email ON users (email);",
            arguments: &["replace-index", "users", "by_email", "email", "--unique", "--keep-name"],
            oracle: "DROP INDEX by_email; CREATE UNIQUE INDEX by_email ON users (email)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "unique as before",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text, name text, team int);
                  CREATE UNIQUE INDEX one_each ON users (team, email); INSERT INTO users VALUES (1, 'a', 'b', 1), (2, 'a', 'b', 2);",
            arguments: &["replace-index", "users", "one_each", "email DESC", "team", "--unique", "--include", "name", "--keep-name"],
            oracle: "DROP INDEX one_each; CREATE UNIQUE INDEX one_each ON users (email DESC, team) INCLUDE (name)",
            stays: "",
            // What refuses the same already is in the catalog, which the proof does not read.
            proof: "not-proved",
        },
        Case {
            name: "unique by other keys",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text, gone boolean);
                  CREATE UNIQUE INDEX one_each ON users (lower(email)) WHERE NOT gone;
                  INSERT INTO users VALUES (1, 'a', false), (2, 'a', true);",
            arguments: &[
                "replace-index", "users", "one_each", "upper(email)", "--unique", "--where", "NOT gone", "--as", "one",
            ],
            oracle: "DROP INDEX one_each; CREATE UNIQUE INDEX one ON users (upper(email)) WHERE NOT gone",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "no longer unique",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text);
                  CREATE UNIQUE INDEX one_each ON users (email) NULLS NOT DISTINCT; INSERT INTO users VALUES (1, 'a'), (2, NULL);",
            arguments: &["replace-index", "users", "one_each", "email", "--as", "by_email", "--approvals", "0"],
            oracle: "DROP INDEX one_each; CREATE INDEX by_email ON users (email)",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn releases_come_only_where_a_guarantee_changes() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE t (a int, b int, c text);
             CREATE INDEX plain ON t (a); CREATE UNIQUE INDEX one ON t (a, b); CREATE UNIQUE INDEX part ON t (b) WHERE a > 0;
             CREATE UNIQUE INDEX odd ON t (c COLLATE \"C\");",
        )
        .await;
    for (arguments, phases) in [
        (&["plain", "b"][..], &["build", "drop"][..]),
        (&["plain", "a", "--unique"], &["obey", "build", "drop"]),
        (&["one", "b", "a", "--unique"], &["build", "drop"]),
        (&["one", "a", "--unique"], &["obey", "build", "switch", "drop"]),
        (&["one", "a", "b", "c", "--unique"], &["build", "switch", "drop"]),
        (
            &["one", "a", "b", "--unique", "--where", "a > 1"],
            &["build", "switch", "drop"],
        ),
        (
            &["part", "b", "--unique", "--include", "c"],
            &["obey", "build", "switch", "drop"],
        ),
        (&["odd", "c", "--unique"], &["obey", "build", "switch", "drop"]),
        (
            &["one", "a", "c", "--keep-name"],
            &["build", "switch", "drop", "rename"],
        ),
    ] {
        let arguments = [&["replace-index", "t"], arguments, &["--dry-run"]].concat();
        let output = project
            .shipctl(&[&["plan"], arguments.as_slice()].concat())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let ids: Vec<&str> = said
            .split("[[phase]]\n")
            .skip(1)
            .filter_map(|phase| phase.trim_start().strip_prefix("id = \"")?.split('"').next())
            .collect();
        assert_eq!(ids, phases, "{arguments:?}: {said}");
    }
    let plan = planned(&project, &["replace-index", "t", "one", "a", "--unique"]);
    assert_eq!(plan.id().as_str(), "replace-index-t-one");
}

#[tokio::test]
async fn indexes_that_cannot_be_replaced_are_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, name text NOT NULL);
             CREATE UNIQUE INDEX by_name ON users (name); ALTER TABLE users REPLICA IDENTITY USING INDEX by_name;
             CREATE UNIQUE INDEX keyed ON users (id, name); CREATE INDEX plain ON users (email);
             CREATE TABLE orders (id int, name text, FOREIGN KEY (id, name) REFERENCES users (id, name));
             CREATE TABLE trips (day int) PARTITION BY RANGE (day);
             CREATE TABLE trips_1 PARTITION OF trips FOR VALUES FROM (0) TO (10);
             CREATE INDEX on_trips ON trips (day);",
        )
        .await;
    for (arguments, why) in [
        (&["users", "plian", "name"][..], "did you mean plain?"),
        (&["users", "plain", "nmae"], "did you mean name?"),
        (
            &["users", "plain", "name", "--as", "orders"],
            "choose another with --as",
        ),
        (&["users", "plain", "email"], "REINDEX INDEX CONCURRENTLY"),
        (
            &["users", "plain", "name", "--approvals", "0"],
            "--approvals 0 stands in the way",
        ),
        (
            &["users", "plain", "name", "--as", "x", "--keep-name"],
            "cannot be used with",
        ),
        (&["users", "plain", "(random())"], "IMMUTABLE"),
        (&["users", "users_email_key", "name"], "add-unique"),
        (&["users", "by_name", "email"], "replica identity by_name"),
        (&["users", "keyed", "name"], "orders_id_name_fkey"),
        (
            &["trips", "on_trips", "day DESC"],
            "partitioned table public.trips",
        ),
        (
            &["trips_1", "trips_1_day_idx", "day DESC"],
            "the partitioned index above trips_1_day_idx",
        ),
    ] {
        let arguments = [&["replace-index"], arguments].concat();
        let said = refused(&project, &arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}
