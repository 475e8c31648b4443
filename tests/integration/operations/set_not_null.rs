//! `shipctl plan set-not-null`.

use shipctl::plan::PhaseDetail;

use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn a_column_becomes_not_null_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "no row is NULL",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text DEFAULT 'none');
                  INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 20) n;",
            arguments: &["set-not-null", "users.email"],
            oracle: "ALTER TABLE users ALTER COLUMN email SET NOT NULL",
            stays: "",
            proof: "not-proved",
        },
        Case {
            name: "rows that are NULL",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int, \"e.mail\"\"\" text);
                  INSERT INTO \"My Schema\".\"User.s 🐘\" SELECT n, nullif('mail ' || n % 3, 'mail 0')
                    FROM generate_series(1, 20) n;",
            arguments: &[
                "set-not-null",
                "\"My Schema\".\"User.s 🐘\".\"e.mail\"\"\"",
                "--fill",
                "'nobody ' || \"Id\"",
            ],
            oracle: "UPDATE \"My Schema\".\"User.s 🐘\" SET \"e.mail\"\"\" = 'nobody ' || \"Id\" WHERE \"e.mail\"\"\" IS NULL;
                     ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER COLUMN \"e.mail\"\"\" SET NOT NULL",
            stays: "UPDATE \"My Schema\".\"User.s 🐘\" SET \"e.mail\"\"\" = 'nobody ' || \"Id\" WHERE \"e.mail\"\"\" IS NULL",
            proof: "safe",
        },
        Case {
            name: "a partitioned table",
            ddl: "CREATE TABLE visits (day int, who text) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
                  CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20);
                  INSERT INTO visits SELECT n, nullif(n % 2, 0)::text FROM generate_series(1, 19) n;",
            arguments: &["set-not-null", "visits.who", "--fill", "'?'"],
            oracle: "UPDATE visits SET who = '?' WHERE who IS NULL; ALTER TABLE visits ALTER COLUMN who SET NOT NULL",
            stays: "UPDATE visits SET who = '?' WHERE who IS NULL",
            proof: "safe",
        },
        Case {
            name: "a generated column",
            ddl: "CREATE TABLE orders (id int, price int, amount int, total int GENERATED ALWAYS AS (price * amount) STORED);
                  INSERT INTO orders SELECT n, n, 2 FROM generate_series(1, 20) n;",
            arguments: &["set-not-null", "orders.total"],
            oracle: "ALTER TABLE orders ALTER COLUMN total SET NOT NULL",
            stays: "",
            proof: "not-proved",
        },
    ])
    .await;
}

#[tokio::test]
async fn what_cannot_become_not_null_in_phases_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text, age int, twice int GENERATED ALWAYS AS (id * 2) STORED);
             CREATE TABLE parents (a int); CREATE TABLE children () INHERITS (parents);
             CREATE VIEW seen AS SELECT * FROM users;",
        )
        .await;
    for (column, more, why) in [
        ("users.id", &[][..], "users.id is NOT NULL already"),
        ("users.emial", &[], "did you mean email?"),
        ("user.email", &[], "did you mean users?"),
        ("users.twice", &["--fill", "1"], "generated column twice"),
        ("children.a", &[], "inheritance of public.children"),
        ("seen.email", &[], "it is not a table"),
        ("users.age", &["--fill", "'5'::text"], "it must be type integer"),
        (
            "users.email",
            &["--fill", "max(email)"],
            "aggregate functions are",
        ),
        ("users.email", &["--fill", "1; DROP TABLE users"], "--fill"),
    ] {
        let said = refused(&project, &[&["set-not-null", column], more].concat());
        assert!(said.contains(why), "{column}: {said}");
    }
}

#[tokio::test]
async fn code_that_a_generated_column_comes_out_null_of_has_to_be_gone_too() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute("CREATE TABLE orders (id int, price int, amount int, total int GENERATED ALWAYS AS (price * amount) STORED)")
        .await;
    let plan = planned(&project, &["set-not-null", "orders.total"]);
    let ids: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
    assert_eq!(ids, ["always-write", "constrain"]);
    let PhaseDetail::Code(code) = &plan.phases()[0].detail else {
        panic!("always-write is a code phase");
    };
    let written: Vec<String> = code.writes.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(
        written,
        [
            "public.orders.amount",
            "public.orders.price",
            "public.orders.total"
        ]
    );
}

#[tokio::test]
async fn what_tables_below_have_of_their_own_is_not_lost() {
    let project = Project::new(SERVICES).await;
    let database = &project.database;
    database
        .execute(
            "CREATE TABLE visits (day int, who text) PARTITION BY RANGE (day);
             CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (day);
             CREATE TABLE \"Visits 2\" PARTITION OF visits_1 (CONSTRAINT who_is_set CHECK (day > 0))
                FOR VALUES FROM (0) TO (10);",
        )
        .await;
    let said = refused(&project, &["set-not-null", "visits.who"]);
    assert!(said.contains("constraint who_is_set"), "{said}");
    if database.session().await.server_version() < 180_000 {
        database
            .execute("ALTER TABLE \"Visits 2\" DROP CONSTRAINT who_is_set, ALTER who SET NOT NULL")
            .await;
        let said = refused(&project, &["set-not-null", "visits.who"]);
        assert!(said.contains("NOT NULL of who in public.\"Visits 2\""), "{said}");
    }
}

#[tokio::test]
async fn rows_that_are_null_end_the_plan_before_anything_is_refused() {
    let project = Project::new(SERVICES).await;
    let database = &project.database;
    database
        .execute("CREATE TABLE users (id int, email text); INSERT INTO users VALUES (1, 'a'), (2, NULL)")
        .await;
    let plan = planned(&project, &["set-not-null", "users.email"]);
    let PhaseDetail::Expand(run) = &plan.phases()[1].detail else {
        panic!("constrain is the second phase");
    };
    let session = database.session().await;
    let first = &run.migration.up.steps[0].statements[0].text;
    let error = session.client().batch_execute(first).await.unwrap_err();
    let said = error.as_db_error().unwrap().message();
    assert!(
        said.contains("public.users holds rows in which email is NULL"),
        "{said}"
    );
    database.execute("DELETE FROM users WHERE email IS NULL").await;
    session.client().batch_execute(first).await.unwrap();
}
