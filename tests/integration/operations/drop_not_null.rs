//! `shipctl plan drop-not-null`.

use super::{Case, SERVICES, hold, refused};
use crate::support::Project;

#[tokio::test]
async fn a_column_may_be_null_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL DEFAULT 'none');
                  INSERT INTO users SELECT n, 'name ' || n FROM generate_series(1, 20) n;",
            arguments: &["drop-not-null", "users.name"],
            oracle: "ALTER TABLE users ALTER COLUMN name DROP NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "difficult names, with a value for the way back",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int,
                      \"a.column \"\" with a name that is as long as PostgreSQL lets it be\" text NOT NULL);
                  INSERT INTO \"My Schema\".\"User.s 🐘\" SELECT n, 'x' FROM generate_series(1, 20) n;",
            arguments: &[
                "drop-not-null",
                "\"My Schema\".\"User.s 🐘\".\"a.column \"\" with a name that is as long as PostgreSQL lets it be\"",
                "--fill",
                "'nobody ' || \"Id\"",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\"
                     ALTER COLUMN \"a.column \"\" with a name that is as long as PostgreSQL lets it be\" DROP NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "what the column carries stays",
            ddl: "CREATE TABLE users (id int, name text NOT NULL CONSTRAINT filled CHECK (name <> '') UNIQUE);
                  COMMENT ON COLUMN users.name IS 'what people are called';
                  ALTER TABLE users ADD CONSTRAINT later CHECK (name !~ ' $') NOT VALID;
                  GRANT SELECT (name) ON users TO PUBLIC;
                  INSERT INTO users SELECT n, 'name ' || n FROM generate_series(1, 20) n;",
            arguments: &["drop-not-null", "users.name", "--fill", "'?'"],
            oracle: "ALTER TABLE users ALTER COLUMN name DROP NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a partitioned table",
            ddl: "CREATE TABLE visits (day int, who text NOT NULL) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
                  INSERT INTO visits SELECT n, 'x' FROM generate_series(1, 9) n;",
            arguments: &["drop-not-null", "visits.who"],
            oracle: "ALTER TABLE visits ALTER COLUMN who DROP NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a generated column",
            ddl: "CREATE TABLE users (id int NOT NULL, twice int NOT NULL GENERATED ALWAYS AS (id * 2) STORED);
                  INSERT INTO users VALUES (1), (2);",
            arguments: &["drop-not-null", "users.twice"],
            oracle: "ALTER TABLE users ALTER COLUMN twice DROP NOT NULL",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn what_cannot_be_null_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text, number int GENERATED ALWAYS AS IDENTITY,
                 key int NOT NULL CONSTRAINT users_key UNIQUE, name text NOT NULL,
                 CONSTRAINT name_is_set CHECK (name <> ''), twice int NOT NULL GENERATED ALWAYS AS (2) STORED);
             ALTER TABLE users REPLICA IDENTITY USING INDEX users_key;
             CREATE TABLE parents (a int NOT NULL); CREATE TABLE children () INHERITS (parents);
             CREATE TABLE visits (day int NOT NULL, week int) PARTITION BY RANGE (week);
             CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (day);",
        )
        .await;
    for (column, more, why) in [
        ("users.id", &[][..], "primary key users_pkey"),
        ("users.email", &[], "users.email may be NULL already"),
        ("users.number", &[], "identity of number"),
        ("users.key", &[], "replica identity of public.users"),
        ("users.name", &[], "constraint name_is_set"),
        ("users.key", &["--fill", "nothing"], "replica identity"),
        ("users.twice", &["--fill", "1"], "generated column twice"),
        ("parents.a", &[], "inheritance of public.parents"),
        ("children.a", &[], "inheritance of public.children"),
        ("visits_1.day", &[], "inheritance of public.visits_1"),
        ("users.nmae", &[], "did you mean name?"),
    ] {
        let said = refused(&project, &[&["drop-not-null", column], more].concat());
        assert!(said.contains(why), "{column}: {said}");
    }
    project
        .database
        .execute("ALTER TABLE users DROP CONSTRAINT name_is_set")
        .await;
    let said = refused(&project, &["drop-not-null", "users.name", "--fill", "nmae"]);
    assert!(
        said.contains("is not a usable --fill: column \"nmae\" does not exist"),
        "{said}"
    );
}
