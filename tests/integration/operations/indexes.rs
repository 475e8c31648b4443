//! `shipctl plan add-index` and `drop-index`.

use shipctl::plan::PhaseDetail;

use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn an_index_comes_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text);
                  INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 20) n;",
            arguments: &["add-index", "users", "email"],
            oracle: "CREATE INDEX ON users (email)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "everything at once, and a name that is taken",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int, \"e.mail\"\"\" text, at timestamptz);
                  CREATE TABLE \"My Schema\".\"User.s 🐘_e.mail\"\"_expr_at_idx\" ();",
            arguments: &[
                "add-index",
                "\"My Schema\".\"User.s 🐘\"",
                "\"e.mail\"\"\" COLLATE \"C\" text_pattern_ops DESC NULLS LAST",
                "(\"Id\" + 1)",
                "--include",
                "at",
                "--where",
                "\"Id\" > 3 OR at IS NULL",
            ],
            oracle: "CREATE INDEX ON \"My Schema\".\"User.s 🐘\" (\"e.mail\"\"\" COLLATE \"C\" text_pattern_ops DESC NULLS LAST, \
                     (\"Id\" + 1)) INCLUDE (at) WHERE \"Id\" > 3 OR at IS NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "another method and a given name",
            ddl: "CREATE TABLE documents (id int, body jsonb);",
            arguments: &["add-index", "documents", "body jsonb_path_ops", "--using", "gin", "--name", "\"By body\""],
            oracle: "CREATE INDEX \"By body\" ON documents USING gin (body jsonb_path_ops)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "unique",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text, gone boolean);",
            arguments: &["add-index", "users", "lower(email)", "--unique", "--where", "NOT gone", "--name", "one_each"],
            oracle: "CREATE UNIQUE INDEX one_each ON users (lower(email)) WHERE NOT gone",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "columns that are called by their table, and whole rows",
            ddl: "CREATE TABLE users (id bigint, email text, twice bigint GENERATED ALWAYS AS (id * 2) STORED);
                  CREATE FUNCTION fine(users) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';",
            arguments: &["add-index", "users", "twice", "--where", "users.id > 1 AND fine(users)", "--name", "by_twice"],
            oracle: "CREATE INDEX by_twice ON users (twice) WHERE users.id > 1 AND fine(users)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "columns that are called by a difficult table",
            ddl: "CREATE SCHEMA \"S.1\"; CREATE TABLE \"S.1\".\"T.1 🐘\" (id bigint GENERATED ALWAYS AS IDENTITY, a int);",
            arguments: &["add-index", "\"S.1\".\"T.1 🐘\"", "(\"T.1 🐘\".a + 1)", "--name", "by_a"],
            oracle: "CREATE INDEX by_a ON \"S.1\".\"T.1 🐘\" ((a + 1))",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a partitioned table",
            ddl: "CREATE TABLE visits (day int, who text) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
                  CREATE SCHEMA old; CREATE TABLE old.visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20);
                  INSERT INTO visits SELECT n, 'x' FROM generate_series(1, 19) n;",
            arguments: &["add-index", "visits", "who", "day DESC", "--name", "by_who"],
            // The names of those of the partitions are documented.
            oracle: "CREATE INDEX by_who ON visits (who, day DESC);
                     ALTER INDEX visits_1_who_day_idx RENAME TO visits_1_by_who_part;
                     ALTER INDEX old.visits_2_who_day_idx RENAME TO visits_2_by_who_part",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn an_index_goes_as_by_the_one_statement_and_comes_back_whole() {
    hold(&[
        Case {
            name: "all that hangs on it",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text, name text);
                  CREATE INDEX by_email ON users (lower(email) DESC, name text_pattern_ops) INCLUDE (id) WITH (fillfactor = 70)
                    WHERE name <> '';
                  COMMENT ON INDEX by_email IS 'it''s \\ needed';
                  ALTER INDEX by_email ALTER COLUMN 1 SET STATISTICS 400;
                  CREATE INDEX by_name ON users (name); ALTER TABLE users CLUSTER ON by_name;",
            arguments: &["drop-index", "users", "by_email"],
            oracle: "DROP INDEX by_email",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "clustered, with a difficult name",
            ddl: "CREATE SCHEMA \"S.1\"; CREATE TABLE \"S.1\".\"T\" (a int); CREATE INDEX \"I\"\" 🐘\" ON \"S.1\".\"T\" (a);
                  ALTER TABLE \"S.1\".\"T\" CLUSTER ON \"I\"\" 🐘\";",
            arguments: &["drop-index", "\"S.1\".\"T\"", "\"I\"\" 🐘\""],
            oracle: "DROP INDEX \"S.1\".\"I\"\" 🐘\"",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "unique",
            ddl: "CREATE TABLE users (id bigint, email text); CREATE UNIQUE INDEX one_each ON users (email) NULLS NOT DISTINCT;
                  INSERT INTO users VALUES (1, 'a'), (2, NULL);",
            arguments: &["drop-index", "users", "one_each", "--soak", "1h"],
            oracle: "DROP INDEX one_each",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn indexes_that_cannot_come_or_go_are_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, name text NOT NULL);
             CREATE UNIQUE INDEX by_name ON users (name); ALTER TABLE users REPLICA IDENTITY USING INDEX by_name;
             CREATE UNIQUE INDEX keyed ON users (id, name);
             CREATE TABLE orders (id int, name text, FOREIGN KEY (id, name) REFERENCES users (id, name));
             CREATE TABLE visits (day int) PARTITION BY RANGE (day);
             CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (day);
             CREATE INDEX on_visits ON visits (day);
             CREATE TABLE trips (day int) PARTITION BY RANGE (day);
             CREATE TABLE trips_1 PARTITION OF trips FOR VALUES FROM (0) TO (10);
             CREATE INDEX on_trips ON trips (day);
             CREATE TYPE mood AS ENUM ('glad');
             CREATE FUNCTION unsure(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
             CREATE TABLE far (a int) PARTITION BY RANGE (a);
             CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
             CREATE FOREIGN TABLE far_1 PARTITION OF far FOR VALUES FROM (0) TO (10) SERVER nowhere;
             CREATE TABLE odd (a int, felt mood, body text, j json, b point);
             CREATE TABLE plain (a int); CREATE INDEX on_plain ON plain (a);",
        )
        .await;
    for (arguments, why) in [
        (&["add-index", "users", "emial"][..], "did you mean email?"),
        (
            &["add-index", "users", "email); DROP TABLE users; --"],
            "is not a usable key",
        ),
        (&["add-index", "users", "email", "--where", "a; b"], "--where"),
        (
            &["add-index", "users", "email", "--name", "orders"],
            "orders is the name of something else",
        ),
        (
            &["add-index", "users", "email", "--include", "nmae"],
            "did you mean name?",
        ),
        (
            &["add-index", "visits", "day"],
            "partitions of the partition public.visits_1",
        ),
        (&["add-index", "trips", "day", "--unique"], "CONCURRENTLY"),
        (&["add-unique", "trips", "day"], "CONCURRENTLY"),
        (
            &["drop-index", "plain", "on_plain", "--approvals", "0"],
            "--approvals 0 stands in the way",
        ),
        (&["add-index", "far", "a"], "foreign partition public.far_1"),
        (&["add-index", "odd", "(random())"], "IMMUTABLE"),
        (
            &["add-index", "odd", "a", "--where", "now() > '2020-01-01'"],
            "IMMUTABLE",
        ),
        (&["add-index", "odd", "(unsure(a))"], "IMMUTABLE"),
        (&["add-index", "odd", "(sum(a))"], "aggregate"),
        (&["add-index", "odd", "a", "--where", "a + 1"], "boolean"),
        (
            &["add-index", "odd", "a", "--where", "felt = 'sad'"],
            "invalid input value",
        ),
        (
            &["add-index", "odd", "body", "--using", "gin"],
            "no default operator",
        ),
        (&["add-index", "odd", "j"], "no default operator"),
        (
            &["add-index", "odd", "a", "--using", "hash", "--unique"],
            "unique indexes",
        ),
        (&["add-index", "odd", "a", "--using", "gni"], "gni"),
        (&["add-index", "odd", "(missing(a))"], "missing"),
        (&["drop-index", "users", "by_nam"], "did you mean by_name?"),
        (
            &["drop-index", "users", "users_email_key"],
            "constraint users_email_key",
        ),
        (&["drop-index", "users", "by_name"], "replica identity by_name"),
        (&["drop-index", "users", "keyed"], "orders_id_name_fkey"),
        (
            &["drop-index", "trips", "on_trips"],
            "partitioned table public.trips",
        ),
        (
            &["drop-index", "trips_1", "trips_1_day_idx"],
            "the partitioned index above trips_1_day_idx",
        ),
    ] {
        let said = refused(&project, arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn a_partition_that_came_after_the_plan_lets_it_fail_until_it_has_its_index() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE SCHEMA \"It's 🐘\";
             CREATE TABLE \"It's 🐘\".\"V\" (day int) PARTITION BY RANGE (day);
             CREATE TABLE \"It's 🐘\".v1 PARTITION OF \"It's 🐘\".\"V\" FOR VALUES FROM (0) TO (10);",
        )
        .await;
    let arguments = ["add-index", "\"It's 🐘\".\"V\"", "day", "--name", "\"By d\""];
    let plan = planned(&project, &arguments);
    project
        .database
        .execute("CREATE TABLE \"It's 🐘\".v2 PARTITION OF \"It's 🐘\".\"V\" FOR VALUES FROM (10) TO (20)")
        .await;
    let PhaseDetail::Expand(run) = &plan.phases()[0].detail else {
        panic!("{:?}", plan.phases()[0]);
    };
    let statements: Vec<&str> = run
        .migration
        .up
        .steps
        .iter()
        .flat_map(|step| &step.statements)
        .map(|statement| statement.text.as_str())
        .collect();
    let (last, others) = statements.split_last().unwrap();
    for statement in others {
        project.database.execute(statement).await;
    }
    let session = project.database.session().await;
    let error = session.client().batch_execute(last).await.unwrap_err();
    let said = error.as_db_error().unwrap().message().to_owned();
    assert!(said.contains("\"It's 🐘\".\"By d\" is not valid"), "{said}");

    project
        .database
        .execute("CREATE INDEX CONCURRENTLY v2_by_d ON \"It's 🐘\".v2 (day)")
        .await;
    project
        .database
        .execute("ALTER INDEX \"It's 🐘\".\"By d\" ATTACH PARTITION \"It's 🐘\".v2_by_d")
        .await;
    session.client().batch_execute(last).await.unwrap();
}

#[tokio::test]
async fn the_only_index_below_a_foreign_key_is_remarked_on() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE teams (id int PRIMARY KEY);
             CREATE TABLE people (team int CONSTRAINT belongs REFERENCES teams, boss int CONSTRAINT leads REFERENCES teams);
             CREATE INDEX by_team ON people (team, boss); CREATE INDEX by_boss ON people (boss);
             CREATE INDEX by_boss_too ON people (boss, team);",
        )
        .await;
    for (index, is_told) in [("by_team", true), ("by_boss", false)] {
        let output = project
            .shipctl(&["plan", "drop-index", "people", index])
            .output()
            .unwrap();
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let remark = "for the foreign key belongs, each deletion from public.teams";
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains(remark), is_told, "{said}");
        assert!(!said.contains("leads"), "{said}");
    }
}
