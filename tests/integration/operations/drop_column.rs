//! `shipctl plan drop-column`.

use super::super::catalog::forward;
use super::rename::DEPENDENTS;
use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn a_column_is_dropped_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, nickname text);
                  INSERT INTO users SELECT n, 'nick' || n FROM generate_series(1, 20) n;",
            arguments: &["drop-column", "users.nickname"],
            oracle: "ALTER TABLE users DROP COLUMN nickname",
            stays: "UPDATE users SET nickname = NULL",
            proof: "safe",
        },
        Case {
            name: "NOT NULL without a default",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);
                  CREATE UNIQUE INDEX ON users (email);
                  INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 20) n;",
            arguments: &["drop-column", "users.email", "--fill", "'gone ' || id"],
            oracle: "ALTER TABLE users DROP COLUMN email",
            stays: "UPDATE users SET email = 'gone ' || id",
            proof: "safe",
        },
        Case {
            name: "NOT NULL with a default",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email varchar(20) COLLATE \"C\" NOT NULL DEFAULT 'a' || 'b');
                  CREATE INDEX ON users (email);
                  COMMENT ON COLUMN users.email IS 'no more';
                  INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 20) n;",
            arguments: &["drop-column", "users.email"],
            oracle: "ALTER TABLE users DROP COLUMN email",
            stays: "UPDATE users SET email = 'ab'",
            proof: "safe",
        },
        Case {
            name: "NOT NULL with a default that is another for each row",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, luck float8 NOT NULL DEFAULT random() * 0);
                  INSERT INTO users SELECT n, n FROM generate_series(1, 20) n;",
            arguments: &["drop-column", "users.luck"],
            oracle: "ALTER TABLE users DROP COLUMN luck",
            stays: "UPDATE users SET luck = 0",
            proof: "safe",
        },
        Case {
            name: "NOT NULL with a default that is another for each row, by a difficult name",
            ddl: "CREATE FUNCTION \"my fn\"() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 0; END';
                  CREATE TABLE users (id bigint PRIMARY KEY, luck int NOT NULL DEFAULT \"my fn\"());
                  INSERT INTO users SELECT n, n FROM generate_series(1, 20) n;",
            arguments: &["drop-column", "users.luck"],
            oracle: "ALTER TABLE users DROP COLUMN luck",
            stays: "UPDATE users SET luck = 0",
            proof: "safe",
        },
        Case {
            name: "all that a column can carry",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".teams (id int PRIMARY KEY); INSERT INTO \"My Schema\".teams VALUES (1), (2);
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int, other text, \"Nick.name \"\"x\"\"\" int
                      CONSTRAINT \"Belongs\" REFERENCES \"My Schema\".teams ON DELETE SET NULL DEFERRABLE,
                      CONSTRAINT \"Small\" CHECK (\"Nick.name \"\"x\"\"\" < 10),
                      CONSTRAINT \"Given\" CHECK (\"Nick.name \"\"x\"\"\" IS NOT NULL),
                      CONSTRAINT \"One each\" UNIQUE (\"Nick.name \"\"x\"\"\", \"Id\") DEFERRABLE INITIALLY DEFERRED);
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ADD CONSTRAINT later CHECK (\"Nick.name \"\"x\"\"\" <> 5) NOT VALID;
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ADD CONSTRAINT \"both?\"
                      CHECK (\"Nick.name \"\"x\"\"\" > 0 OR other IS NULL);
                  COMMENT ON CONSTRAINT \"Belongs\" ON \"My Schema\".\"User.s 🐘\" IS 'to a team';
                  COMMENT ON CONSTRAINT \"One each\" ON \"My Schema\".\"User.s 🐘\" IS 'of a kind';
                  COMMENT ON CONSTRAINT \"Small\" ON \"My Schema\".\"User.s 🐘\" IS 'digits';
                  COMMENT ON COLUMN \"My Schema\".\"User.s 🐘\".\"Nick.name \"\"x\"\"\" IS 'it''s \\ gone';
                  CREATE INDEX \"I 1\" ON \"My Schema\".\"User.s 🐘\" (\"Nick.name \"\"x\"\"\" DESC NULLS LAST)
                      WITH (fillfactor = 70) WHERE \"Nick.name \"\"x\"\"\" > 1;
                  CREATE INDEX \"I 2\" ON \"My Schema\".\"User.s 🐘\" ((\"Nick.name \"\"x\"\"\" + 1));
                  CREATE INDEX \"I 3\" ON \"My Schema\".\"User.s 🐘\" (other) WHERE \"Nick.name \"\"x\"\"\" IS NOT NULL;
                  COMMENT ON INDEX \"My Schema\".\"I 1\" IS 'for lookups';
                  ALTER INDEX \"My Schema\".\"I 2\" ALTER COLUMN 1 SET STATISTICS 400;
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" CLUSTER ON \"I 2\";
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER COLUMN \"Nick.name \"\"x\"\"\" SET STATISTICS 250;
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER COLUMN \"Nick.name \"\"x\"\"\" SET (n_distinct = -0.5);
                  GRANT SELECT (\"Nick.name \"\"x\"\"\") ON \"My Schema\".\"User.s 🐘\" TO pg_monitor WITH GRANT OPTION;
                  INSERT INTO \"My Schema\".\"User.s 🐘\" VALUES (1, 'a', 1), (2, NULL, 2);",
            arguments: &[
                "drop-column",
                "\"My Schema\".\"User.s 🐘\".\"Nick.name \"\"x\"\"\"",
                "--drop-dependent",
                "\"One each\"",
                "--drop-dependent",
                "\"both?\"",
                "--drop-dependent",
                "\"I 3\"",
                "--fill",
                "1",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\" DROP COLUMN \"Nick.name \"\"x\"\"\"",
            stays: "UPDATE \"My Schema\".\"User.s 🐘\" SET \"Nick.name \"\"x\"\"\" = 1",
            proof: "safe",
        },
        Case {
            name: "what may go where it is named",
            ddl: DEPENDENTS,
            arguments: &[
                "drop-column",
                "users.\"nick name\"",
                "--drop-dependent",
                "\"Seen\"",
                "--drop-dependent",
                "\"a watch\"",
                "--drop-dependent",
                "\"own's\"",
                "--drop-dependent",
                "\"to gether\"",
            ],
            oracle: "DROP VIEW \"Seen\"; DROP TRIGGER \"a watch\" ON users; DROP POLICY \"own's\" ON users; DROP STATISTICS \"to gether\"; 
                     ALTER TABLE users DROP COLUMN \"nick name\"",
            stays: "UPDATE users SET \"nick name\" = NULL",
            // Row security decides which rows are seen.
            proof: "not-proved",
        },
        Case {
            name: "a unique column with a default",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, code text DEFAULT 'none' CHECK (code <> '') UNIQUE);
                  INSERT INTO users SELECT n, 'code ' || n FROM generate_series(1, 20) n;",
            arguments: &["drop-column", "users.code", "--fill", "'code ' || id"],
            oracle: "ALTER TABLE users DROP COLUMN code",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn code_leaves_the_column_out_once_nothing_holds_it() {
    let project = Project::new(SERVICES).await;
    let session = project.database.session().await;
    project
        .database
        .execute("CREATE TABLE teams (id int PRIMARY KEY)")
        .await;
    let (short, long) = ("ignore drop", "stop-reading relax ignore drop");
    for (number, (columns, more, phases)) in [
        ("c text", &[][..], short),
        ("c text NOT NULL", &[], long),
        ("c text NOT NULL DEFAULT 'x'", &[], short),
        ("c text NOT NULL DEFAULT 'x'", &["--fill", "'y'"], long),
        ("c float8 NOT NULL DEFAULT random()", &[], long),
        ("c text CHECK (c <> '')", &[], short),
        ("c text CHECK (coalesce(c, '') <> '')", &[], long),
        ("c text NOT NULL DEFAULT 'x' CHECK (c <> '')", &[], short),
        ("c text DEFAULT '' CHECK (c <> '')", &[], long),
        ("c text DEFAULT '' CHECK (c <> '' AND c IS NOT NULL)", &[], long),
        ("c text UNIQUE", &[], short),
        ("c text UNIQUE NULLS NOT DISTINCT", &[], long),
        ("c text NOT NULL DEFAULT '' UNIQUE", &[], long),
        ("c int REFERENCES teams", &[], short),
        ("c int DEFAULT 1 REFERENCES teams", &[], long),
        (
            "c int, CONSTRAINT both_7 CHECK (c > 0 OR id < 0)",
            &["--drop-dependent", "both_7"],
            long,
        ),
        (
            "c int DEFAULT 3, CONSTRAINT both_8 UNIQUE (id, c)",
            &["--drop-dependent", "both_8"],
            long,
        ),
        ("c text); CREATE UNIQUE INDEX ON t17 (coalesce(c, '')", &[], long),
        (
            "c text); CREATE UNIQUE INDEX by_id ON t18 (id) WHERE (c IS NULL",
            &["--drop-dependent", "by_id"],
            long,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        if columns.contains("NULLS NOT") && session.server_version() < 150_000 {
            continue;
        }
        let table = format!("t{number}");
        project
            .database
            .execute(&format!("CREATE TABLE {table} (id int, {columns})"))
            .await;
        let column = format!("{table}.c");
        let plan = planned(&project, &[&["drop-column", &column], more].concat());
        let ids: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
        assert_eq!(ids.join(" "), phases, "{columns}");
        for phase in plan.phases() {
            if phase.id.as_str() == "drop" {
                project
                    .database
                    .execute(&format!("INSERT INTO {table} (id) VALUES (1), (1), (2)"))
                    .await;
            }
            forward(&session, &phase.detail).await;
        }
    }
}

#[tokio::test]
async fn it_is_said_that_the_values_are_lost_and_what_is_waited_for() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute("CREATE TABLE users (id int, name text NOT NULL)")
        .await;
    let plan = ["plan", "drop-column", "users.name", "--soak", "2h", "--dry-run"];
    let output = project.shipctl(&plan).output().unwrap();
    let (plan, notes) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(plan.contains("not with its values: these are lost"), "{plan}");
    assert!(plan.contains("gate = { approvals = 1, soak = \"2h\" }"), "{plan}");
    assert!(notes.contains("`drop` loses the values of name"), "{notes}");
    assert!(notes.contains("`relax` cannot be undone"), "{notes}");
}

#[tokio::test]
async fn what_would_be_lost_or_broken_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE EXTENSION btree_gist;
             CREATE TABLE t (id serial PRIMARY KEY, a int UNIQUE, b int, doubled int GENERATED ALWAYS AS (a * 2) STORED,
                 n int GENERATED ALWAYS AS IDENTITY,
                 CONSTRAINT apart EXCLUDE USING gist (a WITH =), CONSTRAINT together CHECK (a > b));
             CREATE INDEX pair ON t (b, a);
             CREATE INDEX portion ON t (b) WHERE a > 0;
             CREATE TABLE children (a int CONSTRAINT to_t REFERENCES t (a));
             CREATE VIEW seen AS SELECT a FROM t;
             CREATE STATISTICS statistic ON a, b FROM t;
             CREATE POLICY own ON t USING (a > 0);
             CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER watches BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE PUBLICATION everything FOR TABLE t;
             CREATE DOMAIN short AS text CHECK (length(VALUE) < 9); CREATE TABLE d (short short, long text);
             CREATE TABLE e (a int NOT NULL, b int CONSTRAINT a_is_set CHECK (b > 0));
             CREATE TABLE split (a int, b int) PARTITION BY RANGE (a);",
        )
        .await;
    for (arguments, names) in [
        (
            &["t.a"][..],
            &[
                "apart",
                "to_t",
                "doubled",
                "view public.seen",
                "statistic",
                "policy own",
                "trigger watches",
                "pair",
                "portion",
                "together",
                "index pair",
                "check constraint together",
                "'pair'",
            ][..],
        ),
        (&["t.id"], &["primary key t_pkey", "t_id_seq"]),
        (&["t.n"], &["identity of n"]),
        (&["t.doubled"], &["generated column doubled"]),
        (&["d.short"], &["domain public.short"]),
        (&["e.a"], &["constraint a_is_set"]),
        (&["split.b"], &["partitioned table public.split"]),
        (
            &["d.long", "--drop-dependent", "d_pkey"],
            &["--drop-dependent d_pkey"],
        ),
        (&["d.long", "--fill", "longer"], &["is not a usable --fill"]),
        (&["d.lon"], &["did you mean long?"]),
    ] {
        let said = refused(&project, &[&["drop-column"], arguments].concat());
        for name in names {
            assert!(said.contains(name), "{arguments:?}: {name} is not in {said}");
        }
        assert!(!said.contains("the rename"), "{said}");
    }
}
