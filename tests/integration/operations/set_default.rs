//! `shipctl plan set-default`.

use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn a_default_is_set_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "another default",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, locale text NOT NULL DEFAULT 'de');
                  INSERT INTO users SELECT n FROM generate_series(1, 20) n;",
            arguments: &["set-default", "users.locale", "'en'"],
            oracle: "ALTER TABLE users ALTER COLUMN locale SET DEFAULT 'en'",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "the first default, of a column that nothing leaves out",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, balance numeric NOT NULL);
                  INSERT INTO users VALUES (1, 2);",
            arguments: &["set-default", "users.balance", "-1 -- none yet"],
            oracle: "ALTER TABLE users ALTER COLUMN balance SET DEFAULT (-1)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "difficult names, instead of a sequence",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"I.d\"\"\" serial, x int);
                  COMMENT ON COLUMN \"My Schema\".\"User.s 🐘\".\"I.d\"\"\" IS 'counted';
                  INSERT INTO \"My Schema\".\"User.s 🐘\" SELECT n FROM generate_series(1, 20) n;",
            arguments: &[
                "set-default",
                "\"My Schema\".\"User.s 🐘\".\"I.d\"\"\"",
                "CASE WHEN random() < 0.5 THEN 1 END",
                "--at-once",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER COLUMN \"I.d\"\"\"
                     SET DEFAULT CASE WHEN random() < 0.5 THEN 1 END",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a partitioned table",
            ddl: "CREATE TABLE visits (day int, who text) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
                  INSERT INTO visits SELECT n FROM generate_series(1, 9) n;",
            arguments: &["set-default", "visits.who", "'somebody' || current_user"],
            oracle: "ALTER TABLE visits ALTER COLUMN who SET DEFAULT 'somebody' || current_user",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "parents and children",
            ddl: "CREATE TABLE parents (a int DEFAULT 1); CREATE TABLE children (b int) INHERITS (parents);
                  INSERT INTO children VALUES (1, 2);",
            arguments: &["set-default", "parents.a", "2"],
            oracle: "ALTER TABLE parents ALTER COLUMN a SET DEFAULT 2",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn code_comes_first_unless_nothing_can_leave_the_column_out() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute("CREATE TABLE users (a text DEFAULT 'x', b text, c text NOT NULL);
             CREATE DOMAIN lang AS text DEFAULT 'de'; CREATE DOMAIN tongue AS lang;
             CREATE TABLE people (a tongue NOT NULL);
             CREATE FUNCTION fills() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := ''x''; RETURN NEW; END';
             CREATE TABLE visits (day int, a text NOT NULL) PARTITION BY RANGE (day);
             CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
             CREATE TRIGGER fills BEFORE INSERT ON visits_1 FOR EACH ROW EXECUTE FUNCTION fills();
             CREATE TABLE ruled (a text NOT NULL); CREATE TABLE ruled_in (a text);
             CREATE RULE moved AS ON INSERT TO ruled DO INSTEAD INSERT INTO ruled_in VALUES (coalesce(NEW.a, 'x'));")
        .await;
    for (arguments, phases) in [
        (
            &["set-default", "users.a", "'y'"][..],
            &["always-write", "set-default"][..],
        ),
        (
            &["set-default", "users.b", "'y'"],
            &["always-write", "set-default"],
        ),
        (&["set-default", "users.c", "'y'"], &["set-default"]),
        (
            &["set-default", "people.a", "'y'"],
            &["always-write", "set-default"],
        ),
        (
            &["set-default", "visits.a", "'y'"],
            &["always-write", "set-default"],
        ),
        (
            &["set-default", "ruled.a", "'y'"],
            &["always-write", "set-default"],
        ),
        (
            &["set-default", "users.a", "'y'", "--at-once", "--id", "now"],
            &["set-default"],
        ),
    ] {
        let plan = planned(&project, arguments);
        let ids: Vec<String> = plan.phases().iter().map(|phase| phase.id.to_string()).collect();
        assert_eq!(ids, phases, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_default_that_cannot_be_set_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int GENERATED BY DEFAULT AS IDENTITY, locale text DEFAULT 'en', age int,
                 small int NOT NULL CHECK (small < 100), short varchar(3), CONSTRAINT \"No 7\" CHECK (age <> 7) NOT VALID,
                 twice int GENERATED ALWAYS AS (2) STORED);
             CREATE TABLE visits (day int, who text DEFAULT 'a') PARTITION BY RANGE (day);
             CREATE TABLE \"Visits 1\" PARTITION OF visits FOR VALUES FROM (0) TO (10);
             ALTER TABLE \"Visits 1\" ALTER who SET DEFAULT 'b';",
        )
        .await;
    for (column, default, why) in [
        ("users.id", "1", "identity of id"),
        (
            "users.locale",
            "'en'",
            "the default of public.users.locale is 'en' already",
        ),
        ("users.age", "'old'", "invalid input syntax for type integer"),
        ("users.age", "id + 1", "column \"id\" does not exist"),
        ("users.age", "1; DROP TABLE users", "is not a usable default"),
        ("users.twice", "1", "generated column twice"),
        ("visits.who", "'c'", "default of who in public.\"Visits 1\""),
        ("users.age", "'5'::text", "it must be type integer"),
        ("users.age", "(select 1)", "a default cannot have a query"),
        ("users.age", "generate_series(1, 3)", "it must not return a"),
        ("users.age", "max(1)", "aggregate functions are"),
        ("users.age", "3 + 4", "constraint \"No 7\""),
        ("users.small", "500", "constraint users_small_check"),
        ("users.small", "NULL", "it is NULL, and the column"),
        ("users.short", "'toolong'", "it does not fit character"),
        ("users.agee", "1", "did you mean age?"),
    ] {
        let said = refused(&project, &["set-default", column, default]);
        assert!(said.contains(why), "{column}: {said}");
    }
}
