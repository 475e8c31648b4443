//! `shipctl plan merge-columns`.

use super::super::catalog::forward;
use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

const NAMES: &[&str] = &[
    "merge-columns",
    "users",
    "name",
    "--of",
    "first_name,last_name",
    "--into",
    "first_name || coalesce(' ' || last_name, '')",
    "--from",
    "split_part(name, ' ', 1)",
    "--from",
    "nullif(split_part(name, ' ', 2), '')",
];

#[tokio::test]
async fn columns_are_merged_as_by_a_few_statements() {
    let with = |more: &[&'static str]| &*[NAMES, more].concat().leak();
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, first_name text, last_name text);
                  INSERT INTO users SELECT n, 'Ada', n FROM generate_series(1, 20) n; INSERT INTO users VALUES (21, 'x'), (22, NULL);",
            arguments: NAMES,
            oracle: "ALTER TABLE users ADD COLUMN name text;
                     UPDATE users SET name = first_name || coalesce(' ' || last_name, '');
                     ALTER TABLE users DROP COLUMN first_name, DROP COLUMN last_name",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "by code",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL DEFAULT 'x',
                      UNIQUE (first_name, last_name));
                  INSERT INTO users SELECT n, 'Ada', n FROM generate_series(1, 20) n;",
            arguments: with(&["--sync", "code", "--not-null"]),
            oracle: "ALTER TABLE users ADD COLUMN name text;
                     UPDATE users SET name = first_name || ' ' || last_name;
                     ALTER TABLE users DROP COLUMN first_name, DROP COLUMN last_name, ALTER COLUMN name SET NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a type without equality",
            ddl: "CREATE TABLE shops (id int PRIMARY KEY, x float8 NOT NULL, y float8 NOT NULL); INSERT INTO shops VALUES (1, 2, 3.5);",
            arguments: &[
                "merge-columns", "shops", "place:point", "--of", "x,y", "--into", "point(x, y)", "--from", "place[0]",
                "--from", "place[1]", "--not-null",
            ],
            oracle: "ALTER TABLE shops ADD COLUMN place point; UPDATE shops SET place = point(x, y);
                     ALTER TABLE shops DROP COLUMN x, DROP COLUMN y, ALTER COLUMN place SET NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "all that columns can carry",
            ddl: "CREATE SCHEMA \"My Schema\"; CREATE TABLE \"My Schema\".\"T, 🐘\" (\"Id\" int, \"A, \"\"1\"\"\" text NOT NULL DEFAULT 'a',
                      b varchar(9) UNIQUE, other int, CONSTRAINT \"both\" CHECK (\"A, \"\"1\"\"\" <> b), CONSTRAINT three CHECK (b <> 'c' OR other > 0));
                  ALTER TABLE \"My Schema\".\"T, 🐘\" ADD CONSTRAINT later CHECK (\"A, \"\"1\"\"\" > b) NOT VALID;
                  COMMENT ON CONSTRAINT \"both\" ON \"My Schema\".\"T, 🐘\" IS 'of a kind';
                  COMMENT ON COLUMN \"My Schema\".\"T, 🐘\".b IS 'it''s';
                  CREATE INDEX pair ON \"My Schema\".\"T, 🐘\" (b, \"A, \"\"1\"\"\" DESC) WHERE b IS NOT NULL;
                  CREATE INDEX on_b ON \"My Schema\".\"T, 🐘\" (b text_pattern_ops);
                  ALTER TABLE \"My Schema\".\"T, 🐘\" ALTER COLUMN b SET STATISTICS 20;
                  GRANT UPDATE (b), SELECT (\"A, \"\"1\"\"\") ON \"My Schema\".\"T, 🐘\" TO pg_monitor;
                  INSERT INTO \"My Schema\".\"T, 🐘\" VALUES (1, 'x', 'b', 1), (2, 'y', NULL, 2);",
            arguments: &[
                "merge-columns",
                "\"My Schema\".\"T, 🐘\"",
                "\"Both 🐘\":jsonb",
                "--of",
                "\"A, \"\"1\"\"\",b",
                "--into",
                "jsonb_build_array(\"A, \"\"1\"\"\", b)",
                "--from",
                "\"Both 🐘\" ->> 0",
                "--from",
                "\"T, 🐘\".\"Both 🐘\" ->> 1",
                "--drop-dependent",
                "three",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"T, 🐘\" ADD COLUMN \"Both 🐘\" jsonb;
                     UPDATE \"My Schema\".\"T, 🐘\" SET \"Both 🐘\" = jsonb_build_array(\"A, \"\"1\"\"\", b);
                     ALTER TABLE \"My Schema\".\"T, 🐘\" DROP COLUMN \"A, \"\"1\"\"\", DROP COLUMN b",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

const ROWS: &str =
    "SELECT coalesce(string_agg(concat_ws('|', id, coalesce(first_name, '-'), coalesce(last_name, '-'),
    coalesce(name, '-')), ' ' ORDER BY id), '') FROM users";

#[tokio::test]
async fn old_and_new_code_see_what_the_other_writes() {
    for until in ["add", "backfill", "compare", "relax"] {
        let project = Project::new(SERVICES).await;
        let session = project.database.session().await;
        project
            .database
            .execute(
                "CREATE TABLE users (id int PRIMARY KEY, first_name text NOT NULL DEFAULT 'A', last_name text, other int);
                 CREATE FUNCTION upper_case() RETURNS trigger LANGUAGE plpgsql AS
                     $$BEGIN NEW.last_name := upper(NEW.last_name); RETURN NEW; END$$;
                 CREATE TRIGGER zz_upper BEFORE UPDATE ON users FOR EACH ROW WHEN (NEW.other = 5) EXECUTE FUNCTION upper_case()",
            )
            .await;
        let plan = planned(&project, NAMES);
        for phase in plan.phases() {
            forward(&session, &phase.detail).await;
            if phase.id.as_str() == until {
                break;
            }
        }
        for (statement, expected) in [
            // Old code.
            (
                "INSERT INTO users (id, first_name, last_name) VALUES (1, 'B', 'C'), (2, 'B', NULL); INSERT INTO users (id) VALUES (3)",
                "1|B|C|B C 2|B|-|B 3|A|-|A",
            ),
            (
                "UPDATE users SET last_name = 'D'",
                "1|B|D|B D 2|B|D|B D 3|A|D|A D",
            ),
            (
                "INSERT INTO users (id, last_name) VALUES (1, 'E') ON CONFLICT (id) DO UPDATE SET last_name = EXCLUDED.last_name",
                "1|B|E|B E 2|B|D|B D 3|A|D|A D",
            ),
            (
                "UPDATE users SET last_name = NULL WHERE id < 3; UPDATE users SET other = 1",
                "1|B|-|B 2|B|-|B 3|A|D|A D",
            ),
            // New code.
            (
                "UPDATE users SET name = 'F G' WHERE id = 1",
                "1|F|G|F G 2|B|-|B 3|A|D|A D",
            ),
            (
                "INSERT INTO users (id, name) VALUES (2, 'H'), (4, 'I J') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
                "1|F|G|F G 2|H|-|H 3|A|D|A D 4|I|J|I J",
            ),
            // Old code meets a row of new code, and another trigger a row of either.
            (
                "UPDATE users SET last_name = last_name || 'x', other = 5 WHERE id = 4; DELETE FROM users WHERE id IN (2, 3)",
                "1|F|G|F G 4|I|JX|I JX",
            ),
            (
                "UPDATE users SET first_name = 'K', name = 'L M' WHERE id = 1",
                "1|L|M|L M 4|I|JX|I JX",
            ),
            (
                "SET session_replication_role = replica; UPDATE users SET last_name = 'N' WHERE id = 1;
                 UPDATE users SET name = 'O P' WHERE id = 4; RESET session_replication_role",
                "1|L|N|L N 4|O|P|O P",
            ),
        ] {
            let client = session.client();
            client.batch_execute(statement).await.unwrap();
            let found: String = client.query_one(ROWS, &[]).await.unwrap().get(0);
            assert_eq!(found, expected, "{until}: {statement}");
        }
        if until != "relax" {
            // What the one side may not hold, the other may not make of it.
            let null = session
                .client()
                .batch_execute("UPDATE users SET name = NULL WHERE id = 1")
                .await;
            assert_eq!(null.unwrap_err().code().unwrap().code(), "23502");
        }
    }
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, a text, b text, c int GENERATED ALWAYS AS IDENTITY, d text);
             CREATE INDEX pair ON t (b, d); CREATE VIEW seen AS SELECT a, b FROM t;",
        )
        .await;
    let both = ["--into", "a || b", "--from", "n", "--from", "n"];
    for (arguments, names) in [
        (
            &[&["t", "n", "--of", "a,b"], &both[..]].concat()[..],
            &["view public.seen", "index pair"][..],
        ),
        (
            &[&["t", "n", "--of", "a"], &both[..]].concat()[..],
            &["two columns at least"],
        ),
        (
            &[&["t", "n", "--of", "a,a"], &both[..]].concat()[..],
            &["named twice"],
        ),
        (
            &[&["t", "n", "--of", "a,n"], &both[..]].concat()[..],
            &["named twice"],
        ),
        (
            &[
                &["t", "id", "--of", "a,b"],
                &["--into", "a || b", "--from", "id", "--from", "id"][..],
            ]
            .concat()[..],
            &["column id"],
        ),
        (
            &[
                "t", "n", "--of", "a,c", "--into", "a || c", "--from", "n", "--from", "n::int",
            ],
            &["no type is given for n", "n:text"],
        ),
        (
            &[
                "t", "n:text", "--of", "a,c", "--into", "a || c", "--from", "n", "--from", "n::int",
            ],
            &["identity of c"],
        ),
        (
            &[
                "t", "n", "--of", "a,b", "--into", "a", "--from", "n", "--from", "n",
            ],
            &["column b", "would be lost"],
        ),
        (
            &["t", "n", "--of", "a,b", "--into", "a || b", "--from", "n"],
            &["--from is given 1 times"],
        ),
        (
            &[
                "nope", "n", "--of", "a,b", "--into", "a || b", "--from", "n", "--from", "n",
            ],
            &["nope"],
        ),
    ] {
        let said = refused(&project, &[&["merge-columns"], arguments].concat());
        for name in names {
            assert!(said.contains(name), "{arguments:?}: {name} is not in {said}");
        }
    }
}
