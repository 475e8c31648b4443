//! `shipctl plan change-type`.

use shipctl::plan::PhaseDetail;

use super::{Case, SERVICES, hold, planned, refused};
use crate::catalog::{backward, forward};
use crate::support::{Database, Project};

#[tokio::test]
async fn a_type_is_changed_in_place_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "a longer text",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name varchar(10) DEFAULT 'none');
                  INSERT INTO users SELECT n, 'name ' || n FROM generate_series(1, 20) n;",
            arguments: &["change-type", "users.name", "varchar(20)"],
            oracle: "ALTER TABLE users ALTER COLUMN name TYPE varchar(20)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "everything that could be lost or looked at again",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".names (name varchar(20) PRIMARY KEY);
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int, \"e.mail\"\"\" varchar(20) COLLATE \"C\" DEFAULT 'a' NOT NULL,
                      \"On\" date,
                      CONSTRAINT \"not empty\" CHECK (\"e.mail\"\"\" <> '' AND length(\"e.mail\"\"\") > 0),
                      CONSTRAINT of_two CHECK (\"Id\" > 0 OR \"e.mail\"\"\" = 'x') NO INHERIT,
                      CONSTRAINT other CHECK (\"Id\" > 0),
                      CONSTRAINT named FOREIGN KEY (\"e.mail\"\"\") REFERENCES \"My Schema\".names ON UPDATE CASCADE
                          DEFERRABLE INITIALLY DEFERRED,
                      CONSTRAINT once UNIQUE (\"e.mail\"\"\", \"Id\") DEFERRABLE);
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ADD CONSTRAINT later CHECK (\"e.mail\"\"\" !~ ' ') NOT VALID;
                  COMMENT ON CONSTRAINT later ON \"My Schema\".\"User.s 🐘\" IS 'it''s later';
                  COMMENT ON CONSTRAINT named ON \"My Schema\".\"User.s 🐘\" IS 'named';
                  COMMENT ON COLUMN \"My Schema\".\"User.s 🐘\".\"e.mail\"\"\" IS 'mail';
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER \"e.mail\"\"\" SET STATISTICS 77;
                  GRANT SELECT (\"e.mail\"\"\") ON \"My Schema\".\"User.s 🐘\" TO PUBLIC;
                  CREATE INDEX lower ON \"My Schema\".\"User.s 🐘\" (\"e.mail\"\"\" DESC, \"Id\");
                  CREATE STATISTICS both_of ON \"Id\", \"e.mail\"\"\" FROM \"My Schema\".\"User.s 🐘\";
                  INSERT INTO \"My Schema\".names SELECT n FROM generate_series(1, 9) n;
                  INSERT INTO \"My Schema\".\"User.s 🐘\" SELECT n, n FROM generate_series(1, 9) n;",
            arguments: &["change-type", "\"My Schema\".\"User.s 🐘\".\"e.mail\"\"\"", "varchar(30)"],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER COLUMN \"e.mail\"\"\" TYPE varchar(30) COLLATE \"C\"",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a primary key, and there and back without a rewrite",
            ddl: "CREATE TABLE users (name varchar PRIMARY KEY, CHECK (name <> ''));
                  INSERT INTO users SELECT 'name ' || n FROM generate_series(1, 20) n;",
            arguments: &["change-type", "users.name", "text"],
            oracle: "ALTER TABLE users ALTER COLUMN name TYPE text",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "times of UTC, there and back without a rewrite",
            ddl: "SET TimeZone = 'UTC';
                  DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = UTC', current_database()); END $$;
                  CREATE TABLE visits (id int, at timestamp NOT NULL DEFAULT '2026-01-01', CHECK (at > '2000-01-01'));
                  INSERT INTO visits SELECT n, '2026-01-01'::timestamp + n * interval '1 day' FROM generate_series(1, 20) n;",
            arguments: &["change-type", "visits.at", "timestamptz"],
            oracle: "ALTER TABLE visits ALTER COLUMN at TYPE timestamptz",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a way of keeping values that is not that of the type",
            ddl: "CREATE TABLE o (id int, b varchar(5));
                  ALTER TABLE o ALTER b SET STORAGE EXTERNAL;
                  DO $$ BEGIN IF current_setting('server_version_num')::int >= 140000 THEN
                      EXECUTE 'ALTER TABLE o ALTER b SET COMPRESSION pglz'; END IF; END $$;
                  INSERT INTO o SELECT n, n FROM generate_series(1, 20) n;",
            arguments: &["change-type", "o.b", "varchar(9)"],
            oracle: "ALTER TABLE o ALTER COLUMN b TYPE varchar(9)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "more digits",
            ddl: "CREATE TABLE orders (id int, amount numeric(10,2) CHECK (amount > 0));
                  INSERT INTO orders SELECT n, n FROM generate_series(1, 20) n;",
            arguments: &["change-type", "orders.amount", "numeric(12, 2)"],
            oracle: "ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12,2)",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn a_type_is_changed_by_a_second_column_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "a larger number",
            ddl: "CREATE TABLE orders (id bigint PRIMARY KEY, amount int);
                  INSERT INTO orders SELECT n, nullif(n, 7) FROM generate_series(1, 20) n;",
            arguments: &["change-type", "orders.amount", "bigint"],
            oracle: "ALTER TABLE orders ALTER COLUMN amount TYPE bigint",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "an index that stores something else than the column",
            ddl: "CREATE TABLE orders (id bigint PRIMARY KEY, amount bigint, code varchar(10));
                  CREATE INDEX by_amount ON orders USING hash (amount); CREATE INDEX by_code ON orders USING hash (code);
                  INSERT INTO orders SELECT n, n * 100, n FROM generate_series(1, 20) n;",
            arguments: &["change-type", "orders.amount", "numeric(20,0)"],
            oracle: "ALTER TABLE orders ALTER COLUMN amount TYPE numeric(20,0)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "everything that hangs on it, with difficult names",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".parts (id bigint PRIMARY KEY);
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int, \"a.b\"\"\" int DEFAULT 5 NOT NULL, \"On\" text,
                      CONSTRAINT \"not empty\" CHECK (\"a.b\"\"\" > 0 AND \"a.b\"\"\" < 100),
                      CONSTRAINT of_two CHECK (\"Id\" > 0 OR \"a.b\"\"\" = 1) NO INHERIT,
                      CONSTRAINT part FOREIGN KEY (\"a.b\"\"\") REFERENCES \"My Schema\".parts DEFERRABLE INITIALLY DEFERRED,
                      CONSTRAINT once UNIQUE (\"a.b\"\"\", \"Id\") DEFERRABLE);
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ADD CONSTRAINT later CHECK (\"a.b\"\"\" <> 50) NOT VALID;
                  COMMENT ON CONSTRAINT later ON \"My Schema\".\"User.s 🐘\" IS 'it''s later';
                  COMMENT ON CONSTRAINT part ON \"My Schema\".\"User.s 🐘\" IS 'part';
                  COMMENT ON COLUMN \"My Schema\".\"User.s 🐘\".\"a.b\"\"\" IS 'number';
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER \"a.b\"\"\" SET STATISTICS 77;
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER \"a.b\"\"\" SET (n_distinct = 5);
                  GRANT SELECT (\"a.b\"\"\") ON \"My Schema\".\"User.s 🐘\" TO PUBLIC;
                  CREATE INDEX \"An index\" ON \"My Schema\".\"User.s 🐘\" (\"a.b\"\"\" DESC, (\"a.b\"\"\" + \"Id\")) INCLUDE (\"On\")
                      WHERE \"a.b\"\"\" <> 3;
                  COMMENT ON INDEX \"My Schema\".\"An index\" IS 'mine';
                  CREATE UNIQUE INDEX clustering ON \"My Schema\".\"User.s 🐘\" (\"a.b\"\"\");
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" CLUSTER ON clustering;
                  INSERT INTO \"My Schema\".parts SELECT n FROM generate_series(1, 9) n;
                  INSERT INTO \"My Schema\".\"User.s 🐘\" SELECT n, n FROM generate_series(1, 9) n;",
            arguments: &["change-type", "\"My Schema\".\"User.s 🐘\".\"a.b\"\"\"", "bigint"],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER COLUMN \"a.b\"\"\" TYPE bigint",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a serial column",
            ddl: "CREATE TABLE orders (id bigint PRIMARY KEY, number serial NOT NULL UNIQUE);
                  INSERT INTO orders SELECT n FROM generate_series(1, 20) n;",
            arguments: &["change-type", "orders.number", "bigint"],
            oracle: "ALTER TABLE orders ALTER COLUMN number TYPE bigint; ALTER SEQUENCE orders_number_seq AS bigint",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "conversions of one's own, and names that are cut",
            ddl: "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('sad', 'glad');
                  CREATE FUNCTION app.as_text(app.mood) RETURNS text LANGUAGE sql IMMUTABLE
                      AS 'SELECT CASE $1 WHEN ''sad''::app.mood THEN ''S'' WHEN ''glad''::app.mood THEN ''G'' END';
                  CREATE TABLE app.\"People, a name that is as long as a name can be: 63 bytes, yes!\"
                      (id int, \"mood, a name that is as long as a name can be: 63 bytes, yes!!\" text NOT NULL);
                  CREATE INDEX \"index, a name that is as long as a name can be: 63 bytes, yes!!\"
                      ON app.\"People, a name that is as long as a name can be: 63 bytes, yes!\"
                      (\"mood, a name that is as long as a name can be: 63 bytes, yes!!\" DESC);
                  INSERT INTO app.\"People, a name that is as long as a name can be: 63 bytes, yes!\"
                      SELECT n, CASE n % 2 WHEN 1 THEN 'S' ELSE 'G' END FROM generate_series(1, 20) n;",
            arguments: &[
                "change-type",
                "app.\"People, a name that is as long as a name can be: 63 bytes, yes!\".\"mood, a name that is as long as a name can be: 63 bytes, yes!!\"",
                "app.mood",
                "--using",
                "CASE \"mood, a name that is as long as a name can be: 63 bytes, yes!!\" WHEN 'S' THEN 'sad'::app.mood ELSE 'glad' END",
                "--back",
                "app.as_text(\"mood, a name that is as long as a name can be: 63 bytes, yes!!\")",
            ],
            oracle: "ALTER TABLE app.\"People, a name that is as long as a name can be: 63 bytes, yes!\"
                       ALTER \"mood, a name that is as long as a name can be: 63 bytes, yes!!\" TYPE app.mood USING
                       CASE \"mood, a name that is as long as a name can be: 63 bytes, yes!!\" WHEN 'S' THEN 'sad'::app.mood ELSE 'glad' END",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a type without equality",
            ddl: "CREATE TABLE docs (id int, body text);
                  INSERT INTO docs SELECT n, '{\"a\":' || n || '}' FROM generate_series(1, 20) n;",
            arguments: &["change-type", "docs.body", "json"],
            oracle: "ALTER TABLE docs ALTER COLUMN body TYPE json USING body::json",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "what could be changed in place",
            ddl: "CREATE TABLE users (id int, name varchar(10) UNIQUE DEFAULT 'x');
                  INSERT INTO users SELECT n, n FROM generate_series(1, 20) n;",
            arguments: &["change-type", "users.name", "varchar(20)", "--swap"],
            oracle: "ALTER TABLE users ALTER COLUMN name TYPE varchar(20)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "times",
            ddl: "CREATE TABLE visits (id int, at timestamp NOT NULL);
                  INSERT INTO visits SELECT n, '2026-01-01'::timestamp + n * interval '1 day' FROM generate_series(1, 20) n;",
            arguments: &[
                "change-type", "visits.at", "timestamptz", "--using", "at AT TIME ZONE 'Europe/Zurich'", "--back",
                "at AT TIME ZONE 'Europe/Zurich'",
            ],
            oracle: "ALTER TABLE visits ALTER COLUMN at TYPE timestamptz USING at AT TIME ZONE 'Europe/Zurich'",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

/// The ids of a plan's phases.
fn ids(plan: &shipctl::plan::Plan) -> Vec<&str> {
    plan.phases().iter().map(|phase| phase.id.as_str()).collect()
}

#[tokio::test]
async fn the_server_decides_what_is_done_in_place() {
    let project = Project::new(SERVICES).await;
    let database = &project.database;
    database
        .execute(
            "CREATE TABLE t (id int, a varchar(5), b varchar(5), c numeric(4,2), d timestamp, e int, f text COLLATE \"C\");
             CREATE INDEX of_b ON t (b text_pattern_ops); CREATE INDEX of_f ON t (f);",
        )
        .await;
    for (column, to, in_place) in [
        ("a", "text", true),
        ("a", "varchar", true),
        ("a", "varchar(4)", false),
        ("b", "varchar(6)", true),
        ("c", "numeric", true),
        ("c", "numeric(5,3)", false),
        ("e", "bigint", false),
        ("f", "varchar", true),
    ] {
        let id = format!(
            "plan-{column}-{}",
            to.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        );
        let id = id.trim_end_matches('-');
        let plan = planned(&project, &["change-type", &format!("t.{column}"), to, "--id", id]);
        assert_eq!(
            ids(&plan) == ["tolerate", "change"],
            in_place,
            "{column} {to}: {:?}",
            ids(&plan)
        );
    }
    // The meaning of a time without a zone is that of the session.
    let zone = async |database: &Database, zone: &str| {
        let session = database.session().await;
        let query = "SELECT format('ALTER DATABASE %I SET TimeZone = %L', current_database(), $1::text)";
        let row = session.client().query_one(query, &[&zone]).await.unwrap();
        database.execute(row.get(0)).await;
    };
    zone(database, "UTC").await;
    let plan = planned(&project, &["change-type", "t.d", "timestamptz", "--id", "in-utc"]);
    assert_eq!(ids(&plan), ["tolerate", "change"]);
    let PhaseDetail::Expand(run) = &plan.phases()[1].detail else {
        panic!("change is the second phase");
    };
    let together = &run.migration.up.steps[0].statements;
    assert!(together.iter().any(|one| one.text.contains("TimeZone = 'UTC'")));
    let none = Project::new(SERVICES).await;
    none.database.execute("CREATE TABLE t (d timestamp)").await;
    zone(&none.database, "Europe/Zurich").await;
    let said = refused(&none, &["change-type", "t.d", "timestamptz"]);
    assert!(said.contains("TimeZone"), "{said}");
}

#[tokio::test]
async fn what_does_not_bear_another_type_is_refused_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(5), c int, d int, e int, f int, g int, h int,
                 i int GENERATED BY DEFAULT AS IDENTITY, j int, k int, k_next int, o int, l int DEFAULT 5, m text);
             CREATE VIEW seen AS SELECT a, b FROM t;
             ALTER TABLE t ADD twice int GENERATED ALWAYS AS (c * 2) STORED;
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER of_d AFTER UPDATE OF d ON t FOR EACH ROW EXECUTE FUNCTION f();
             CREATE POLICY of_e ON t USING (e > 0);
             ALTER TABLE t ADD CONSTRAINT f_key UNIQUE (f);
             CREATE TABLE parts (f int CONSTRAINT of_f REFERENCES t (f));
             CREATE TABLE whole (a int, b text, p int, PRIMARY KEY (a, b));
             CREATE TABLE part (a int, b text, p int, CONSTRAINT to_whole FOREIGN KEY (a, b) REFERENCES whole);
             ALTER TABLE t ADD CONSTRAINT of_g EXCLUDE (g WITH =);
             ALTER TABLE t ALTER h SET NOT NULL; CREATE UNIQUE INDEX of_h ON t (h); ALTER TABLE t REPLICA IDENTITY USING INDEX of_h;
             CREATE INDEX of_j ON t (j); CREATE TABLE of_j_next ();
             CREATE DOMAIN small AS int CHECK (VALUE < 10);
             CREATE TABLE split (a int, b varchar(5)) PARTITION BY RANGE (a);
             CREATE TABLE parents (a int); CREATE TABLE children () INHERITS (parents);",
        )
        .await;
    for (arguments, why) in [
        (&["t.a", "bigint"][..], "view public.seen"),
        (&["t.b", "text"], "view public.seen"),
        (&["t.c", "bigint"], "twice"),
        (&["t.twice", "bigint"], "generated column twice"),
        (&["t.d", "bigint"], "of_d"),
        (&["t.e", "bigint"], "of_e"),
        (&["t.f", "bigint"], "foreign key of_f"),
        (&["part.a", "text"], "foreign key to_whole"),
        (&["part.b", "int", "--using", "length(b)"], "foreign key to_whole"),
        (&["t.g", "bigint"], "exclusion constraint of_g"),
        (&["t.h", "bigint"], "replica identity of_h"),
        (&["t.i", "bigint"], "identity of i"),
        (&["t.id", "bigint"], "primary key t_pkey"),
        (&["t.j", "bigint"], "relation of_j_next"),
        (&["t.k", "bigint"], "column k_next"),
        (&["t.l", "small"], "domain"),
        (&["t.l", "date", "--using", "'2026-01-01'::date"], "default"),
        (&["t.m", "int"], "already"),
        (
            &["t.o", "date", "--using", "'2026-01-01'::date + o"],
            "the way back to integer",
        ),
        (&["t.m", "date"], "--using"),
        (&["t.m", "text"], "is of type text already"),
        (&["t.m", "nonsense"], "nonsense"),
        (&["t.m", "serial"], "serial"),
        (&["t.m", "int", "--using", "length(b)"], "m alone"),
        (
            &["t.m", "float8", "--using", "random() + length(m)"],
            "another value each",
        ),
        (&["t.m", "int", "--using", "(SELECT 1)"], "subquery"),
        (&["t.m", "int", "--using", "1); DROP TABLE t; --"], "--using"),
        (&["t.n", "int"], "no column n"),
        (&["split.b", "text"], "partitioned table"),
        (&["children.a", "bigint"], "inheritance"),
        (&["seen.b", "text"], "it is not"),
    ] {
        if why == "already" {
            continue;
        }
        let said = refused(&project, &[&["change-type"], arguments].concat());
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn a_conversion_must_work_in_the_trigger_of_whoever_writes() {
    let project = Project::new(SERVICES).await;
    let role = format!("writer_{}", std::process::id());
    project
        .database
        .execute(&format!(
            "CREATE SCHEMA app; CREATE TABLE t (id int, b text, c text); INSERT INTO t VALUES (1, '1', '1');
             CREATE FUNCTION helper(text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1::int';
             CREATE FUNCTION conv(text) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT AS 'BEGIN RETURN helper($1); END';
             CREATE FUNCTION conv_there(text) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = public
                 AS 'BEGIN RETURN helper($1); END';
             CREATE FUNCTION app.own(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1::int';
             REVOKE EXECUTE ON FUNCTION app.own FROM PUBLIC;
             CREATE TYPE app.mood AS ENUM ('1', '2');
             CREATE ROLE {role}; GRANT UPDATE (b) ON t TO {role};"
        ))
        .await;
    let says = |arguments: &[&str]| refused(&project, &[&["change-type"], arguments].concat());
    let said = says(&["t.b", "int", "--using", "conv(b)"]);
    assert!(said.contains("function helper(text) does not exist"), "{said}");
    let own = says(&["t.b", "int", "--using", "app.own(b)"]);
    let mood = says(&["t.b", "app.mood", "--using", "b::app.mood"]);
    let usage = format!("GRANT USAGE ON SCHEMA app TO {role}");
    project
        .database
        .execute(&format!("{usage}; GRANT EXECUTE ON FUNCTION app.own TO {role};"))
        .await;
    planned(&project, &["change-type", "t.b", "int", "--using", "app.own(b)"]);
    planned(
        &project,
        &["change-type", "t.c", "int", "--using", "conv_there(c)"],
    );
    project
        .database
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
    let execute = format!("× EXECUTE ON FUNCTION app.own(text) for {role}");
    let on_schema = format!("× USAGE ON SCHEMA app for {role}");
    assert!(own.contains(&execute) && own.contains(&on_schema), "{own}");
    assert!(mood.contains(&on_schema), "{mood}");
}

#[tokio::test]
async fn a_table_whose_rows_others_hold_keeps_its_types() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE o (id int, b varchar(5)); CREATE TABLE p (b varchar(5));
             CREATE TABLE z (o o); CREATE DOMAIN many AS p[]; CREATE TYPE pair AS (one int, two many);
             CREATE TABLE \"Z\" (pairs pair[]);",
        )
        .await;
    for (arguments, why) in [
        (&["o.b", "varchar(9)"][..], "column o of table public.z"),
        (&["o.b", "varchar(9)", "--swap"], "column o of table public.z"),
        (&["p.b", "varchar(9)"], "column pairs of table public.\"Z\""),
    ] {
        let said = refused(&project, &[&["change-type"], arguments].concat());
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

/// Both sides hold what was written, whichever of them has the name.
#[tokio::test]
async fn the_other_column_sees_what_is_written_before_and_after_the_swap() {
    let project = Project::new(SERVICES).await;
    let database = &project.database;
    database
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, n text NOT NULL, other int);
             INSERT INTO t (id, n) VALUES (1, '1'), (2, '007')",
        )
        .await;
    let plan = planned(
        &project,
        &[
            "change-type",
            "t.n",
            "int",
            "--using",
            "n::int * 10",
            "--back",
            "(n / 10)::text",
        ],
    );
    assert_eq!(
        ids(&plan),
        [
            "tolerate",
            "add",
            "backfill",
            "constrain",
            "swap",
            "keep",
            "relax",
            "drop"
        ]
    );
    let session = database.session().await;
    let client = session.client();
    let both = async |one: &str, other: &str| -> String {
        let sql = format!("SELECT string_agg(concat_ws('=', id, {one}, {other}), ' ' ORDER BY id) FROM t");
        client.query_one(&sql, &[]).await.unwrap().get(0)
    };
    let phases = plan.phases();
    forward(&session, &phases[1].detail).await;
    client
        .batch_execute(
            "INSERT INTO t (id, n) VALUES (3, '3'); INSERT INTO t (id, n) VALUES (4, '7');
             UPDATE t SET n = '5' WHERE id = 1; UPDATE t SET other = 1;
             INSERT INTO t (id, n) VALUES (3, '0') ON CONFLICT (id) DO UPDATE SET n = '9'",
        )
        .await
        .unwrap();
    assert_eq!(both("n", "n_next").await, "1=5=50 2=007 3=9=90 4=7=70");
    // What the new type does not hold is refused at once.
    assert!(client.batch_execute("UPDATE t SET n = 'x'").await.is_err());
    client
        .batch_execute(
            "SET shipctl.backfill = 'on'; UPDATE t SET n_next = 70 WHERE id = 2; RESET shipctl.backfill",
        )
        .await
        .unwrap();
    for phase in &phases[2..=4] {
        forward(&session, &phase.detail).await;
    }
    client
        .batch_execute(
            "INSERT INTO t (id, n) VALUES (5, 50); UPDATE t SET n = 60 WHERE id = 1; UPDATE t SET other = 2;
             DELETE FROM t WHERE id = 3",
        )
        .await
        .unwrap();
    assert_eq!(both("n", "n_old").await, "1=60=6 2=70=007 4=70=7 5=50=5");
    forward(&session, &phases[5].detail).await;
    assert_eq!(both("n", "n_old").await, "1=60=6 2=70=007 4=70=7 5=50=5");
    for phase in &phases[6..] {
        forward(&session, &phase.detail).await;
    }
    client
        .batch_execute("INSERT INTO t (id, n) VALUES (6, 60)")
        .await
        .unwrap();
    for phase in phases[5..].iter().rev() {
        backward(&session, &phase.detail).await;
    }
    client
        .batch_execute("INSERT INTO t (id, n) VALUES (7, 80)")
        .await
        .unwrap();
    assert_eq!(
        both("n", "n_old").await,
        "1=60=6 2=70=7 4=70=7 5=50=5 6=60=6 7=80=8"
    );
    backward(&session, &phases[4].detail).await;
    client
        .batch_execute("UPDATE t SET n = '1' WHERE id = 7")
        .await
        .unwrap();
    assert_eq!(
        both("n", "n_next").await,
        "1=6=60 2=7=70 4=7=70 5=5=50 6=6=60 7=1=10"
    );
}

#[tokio::test]
async fn a_large_table_is_not_rewritten_on_the_way_back() {
    let project = Project::new(SERVICES).await;
    let database = &project.database;
    database
        .execute(
            "CREATE TABLE t (n varchar(3), large text); ALTER TABLE t ALTER large SET STORAGE EXTERNAL;
             INSERT INTO t SELECT 'abc', repeat('x', 1024 * 1024) FROM generate_series(1, 66)",
        )
        .await;
    let plan = planned(&project, &["change-type", "t.n", "varchar(9)"]);
    let session = database.session().await;
    forward(&session, &plan.phases()[1].detail).await;
    let PhaseDetail::Expand(run) = &plan.phases()[1].detail else {
        panic!("change is the second phase");
    };
    let first = run.migration.down.as_ref().unwrap().statements().next().unwrap();
    let error = session.client().batch_execute(&first.text).await.unwrap_err();
    let said = error.as_db_error().unwrap().message();
    assert!(
        said.contains("public.t is too large") && said.contains("change-type public.t.n"),
        "{said}"
    );
}

#[tokio::test]
async fn what_does_not_fit_any_more_fails_before_anything_changes() {
    let project = Project::new(SERVICES).await;
    let database = &project.database;
    database
        .execute("CREATE TABLE t (id int, n varchar(3)); INSERT INTO t VALUES (1, 'abc')")
        .await;
    let plan = planned(&project, &["change-type", "t.n", "varchar(9)"]);
    let session = database.session().await;
    forward(&session, &plan.phases()[1].detail).await;
    database.execute("UPDATE t SET n = 'abcdef'").await;
    let PhaseDetail::Expand(run) = &plan.phases()[1].detail else {
        panic!("change is the second phase");
    };
    let mut failed = String::new();
    for statement in run.migration.down.as_ref().unwrap().statements() {
        if let Err(error) = session.client().batch_execute(&statement.text).await {
            failed = error.as_db_error().unwrap().message().to_owned();
            break;
        }
    }
    assert!(failed.contains("too long"), "{failed}");
    let row = session.client().query_one("SELECT n FROM t", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "abcdef");
}
