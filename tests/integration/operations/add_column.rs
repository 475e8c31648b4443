//! `shipctl plan add-column`.

use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn a_column_is_added_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "nullable",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users SELECT n FROM generate_series(1, 20) n;",
            arguments: &["add-column", "users.nickname", "varchar(20)", "--comment", "what people's \\ friends say"],
            oracle: "ALTER TABLE users ADD COLUMN nickname varchar(20);
                     COMMENT ON COLUMN users.nickname IS E'what people''s \\\\ friends say'",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "one value for all rows, NOT NULL",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users SELECT n FROM generate_series(1, 20) n;",
            arguments: &["add-column", "users.locale", "text", "--default", "'en'", "--not-null"],
            oracle: "ALTER TABLE users ADD COLUMN locale text NOT NULL DEFAULT 'en'",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a default that PostgreSQL computes once",
            ddl: "CREATE FUNCTION answer() RETURNS int LANGUAGE sql STABLE AS 'SELECT 42';
                  CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users SELECT n FROM generate_series(1, 20) n;",
            arguments: &["add-column", "users.answer", "numeric(6, 2)[]", "--default", "ARRAY[answer(), 1] -- twice"],
            oracle: "ALTER TABLE users ADD COLUMN answer numeric(6, 2)[] DEFAULT ARRAY[answer(), 1]",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "another value for each row",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users SELECT n FROM generate_series(1, 20) n;",
            arguments: &["add-column", "users.luck", "float8", "--default", "random() * 0", "--not-null"],
            oracle: "ALTER TABLE users ADD COLUMN luck float8 NOT NULL DEFAULT random() * 0",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "filled from other columns, NOT NULL, without a default",
            ddl: "CREATE SCHEMA \"My Schema\"; CREATE DOMAIN \"My Schema\".\"A type\" AS text;
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int);
                  INSERT INTO \"My Schema\".\"User.s 🐘\" SELECT n FROM generate_series(1, 20) n;",
            arguments: &[
                "add-column",
                "\"My Schema\".\"User.s 🐘\".\"a.column \"\" with a name that is as long as PostgreSQL lets it be\"",
                "\"My Schema\".\"A type\"",
                "--fill",
                "'user ' || \"Id\"",
                "--not-null",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\"
                       ADD COLUMN \"a.column \"\" with a name that is as long as PostgreSQL lets it be\" \"My Schema\".\"A type\";
                     UPDATE \"My Schema\".\"User.s 🐘\"
                        SET \"a.column \"\" with a name that is as long as PostgreSQL lets it be\" = 'user ' || \"Id\";
                     ALTER TABLE \"My Schema\".\"User.s 🐘\"
                       ALTER COLUMN \"a.column \"\" with a name that is as long as PostgreSQL lets it be\" SET NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a default for new rows and a fill for the others, in a partitioned table",
            ddl: "CREATE TABLE visits (day int) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
                  INSERT INTO visits SELECT n FROM generate_series(1, 9) n;",
            arguments: &["add-column", "visits.week", "int", "--default", "-1", "--fill", "day / 7"],
            oracle: "ALTER TABLE visits ADD COLUMN week int; UPDATE visits SET week = day / 7;
                     ALTER TABLE visits ALTER COLUMN week SET DEFAULT -1",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn only_what_rows_need_takes_the_long_way() {
    let project = Project::new(SERVICES).await;
    project.database.execute("CREATE TABLE users (id int)").await;
    for (arguments, phases) in [
        (&["users.a", "int"][..], "add use"),
        (&["users.b", "int", "--default", "1"], "add use"),
        (
            &["users.c", "timestamptz", "--default", "now()", "--not-null"],
            "add use",
        ),
        (
            &["users.d", "uuid", "--default", "gen_random_uuid()"],
            "add write fill read",
        ),
        (
            &["users.e", "int", "--fill", "id", "--not-null"],
            "add write fill constrain read",
        ),
    ] {
        let plan = planned(&project, &[&["add-column"], arguments].concat());
        let ids: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
        assert_eq!(ids.join(" "), phases, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_default_that_is_another_each_time_is_known_however_it_is_called() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int); CREATE SCHEMA s;
             CREATE FUNCTION s.fn$v() RETURNS text LANGUAGE sql AS 'SELECT ''a''::text';
             CREATE FUNCTION s.\"my fn\"() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN ''a''; END';
             CREATE FUNCTION s.fnx() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN ''a''; END';
             CREATE FUNCTION s.both(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
             CREATE OPERATOR s.|+| (LEFTARG = int, RIGHTARG = int, FUNCTION = s.both);",
        )
        .await;
    for (number, (default, phases)) in [
        ("GEN_RANDOM_UUID()", "add write fill read"),
        ("Random()", "add write fill read"),
        ("'a' || RANDOM()", "add write fill read"),
        ("s.fn$v()", "add write fill read"),
        ("S.FNX ()", "add write fill read"),
        ("S.\"my fn\"()", "add write fill read"),
        ("1 OPERATOR(s.|+|) 2", "add write fill read"),
        ("NOW()", "add use"),
        ("Upper('a') || CURRENT_DATE", "add use"),
    ]
    .into_iter()
    .enumerate()
    {
        let column = format!("users.c{number}");
        let plan = planned(&project, &["add-column", &column, "text", "--default", default]);
        let ids: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
        assert_eq!(ids.join(" "), phases, "{default}");
    }
}

#[tokio::test]
async fn what_cannot_be_added_at_once_or_in_phases_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int, name text, CONSTRAINT set_is_set CHECK (id > 0));
             CREATE DOMAIN short AS text CHECK (length(VALUE) < 9); CREATE DOMAIN shorter AS short;
             CREATE TABLE parents (a int); CREATE TABLE children () INHERITS (parents);
             CREATE TABLE visits (day int, week int) PARTITION BY RANGE (week);
             CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (day);
             CREATE VIEW seen AS SELECT * FROM users;",
        )
        .await;
    for (arguments, why) in [
        (
            &["users.name", "text"][..],
            "users.name is there already, and is text",
        ),
        (&["users.name", "int"], "column name of type text"),
        (&["users.xmin", "int"], "the name xmin"),
        (&["users.a", "bigserial"], "bigserial stands in the way"),
        (
            &["users.a", "int GENERATED ALWAYS AS IDENTITY"],
            "an identity column",
        ),
        (
            &["users.a", "int GENERATED ALWAYS AS (id) STORED"],
            "a generated column",
        ),
        (&["users.a", "int REFERENCES users"], "references in the type"),
        (&["users.a", "text COLLATE \"C\""], "COLLATE in the type"),
        (&["users.a", "int DEFAULT 1"], "--not-null and --default"),
        (&["users.a", "shorter"], "domain public.shorter"),
        (&["users.a", "txet"], "type \"txet\" does not exist"),
        (&["users.a", "int; DROP TABLE users"], "is not a usable type"),
        (&["users.a", "int", "--not-null"], "NOT NULL without a default"),
        (
            &["users.set", "int", "--not-null", "--fill", "1"],
            "constraint set_is_set",
        ),
        (
            &["users.a", "int", "--default", "'x'"],
            "is not a usable --default",
        ),
        (
            &["users.a", "int", "--default", "id"],
            "column \"id\" does not exist",
        ),
        (&["users.a", "int", "--fill", "ids"], "is not a usable --fill"),
        (
            &["users.a", "int", "--fill", "'5'::text"],
            "it must be type integer",
        ),
        (
            &["users.a", "int", "--fill", "max(id)"],
            "aggregate functions are",
        ),
        (
            &["users.a", "int", "--default", "(select 1)"],
            "a default cannot have a query",
        ),
        (
            &["users.a", "int", "--default", "generate_series(1, 3)"],
            "it must not return a",
        ),
        (
            &["users.a", "int", "--default", "max(1)"],
            "aggregate functions are",
        ),
        (&["users.a", "int", "--default", "1 / 0"], "division by zero"),
        (&["users.a", "int", "--default", "$1"], "it has parameters"),
        (
            &["users.a", "varchar(3)", "--default", "'toolong'"],
            "default 'toolong'",
        ),
        (
            &["users.a", "int", "--default", "nullif(1, 1)", "--not-null"],
            "it is NULL, and the column",
        ),
        (
            &["users.a", "int", "--default", "null", "--not-null", "--fill", "1"],
            "it is NULL, and the column",
        ),
        (&["parents.b", "int"], "inheritance of public.parents"),
        (&["visits_1.b", "int"], "inheritance of public.visits_1"),
        (&["seen.b", "int"], "it is not a table"),
        (&["user.b", "int"], "did you mean users?"),
    ] {
        let said = refused(&project, &[&["add-column"], arguments].concat());
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}
