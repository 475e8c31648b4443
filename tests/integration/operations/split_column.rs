//! `shipctl plan split-column`.

use super::super::catalog::forward;
use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

/// Old and new code of a split.
const NAMES: &[&str] = &[
    "split-column",
    "users.name",
    "first_name",
    "last_name",
    "--into",
    "split_part(name, ' ', 1)",
    "--into",
    "nullif(split_part(name, ' ', 2), '')",
    "--from",
    "first_name || coalesce(' ' || last_name, '')",
];

const ALL: &str = "CREATE SCHEMA \"My Schema\";
    CREATE TABLE \"My Schema\".names (name text PRIMARY KEY); INSERT INTO \"My Schema\".names VALUES ('a b'), ('c d');
    CREATE FUNCTION \"My Schema\".\"part 🐘\"(whole text, number int) RETURNS text IMMUTABLE LANGUAGE sql
        AS $$SELECT split_part(whole, ' ', number)$$;
    CREATE FUNCTION \"My Schema\".tidy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int, other int, \"Na.me \"\"x\"\"\" text COLLATE \"C\" NOT NULL DEFAULT 'a b'
        CONSTRAINT \"Known\" REFERENCES \"My Schema\".names ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT \"Long\" CHECK (length(\"Na.me \"\"x\"\"\") > 2),
        CONSTRAINT \"One each\" UNIQUE (\"Na.me \"\"x\"\"\", \"Id\") DEFERRABLE);
    ALTER TABLE \"My Schema\".\"User.s 🐘\" ADD CONSTRAINT later CHECK (\"Na.me \"\"x\"\"\" <> 'x') NOT VALID;
    COMMENT ON CONSTRAINT \"Known\" ON \"My Schema\".\"User.s 🐘\" IS 'to a name';
    COMMENT ON CONSTRAINT \"One each\" ON \"My Schema\".\"User.s 🐘\" IS 'of a kind';
    COMMENT ON COLUMN \"My Schema\".\"User.s 🐘\".\"Na.me \"\"x\"\"\" IS 'it''s \\ gone';
    CREATE INDEX \"I 1\" ON \"My Schema\".\"User.s 🐘\" (\"Na.me \"\"x\"\"\" DESC NULLS LAST)
        WITH (fillfactor = 70) WHERE \"Na.me \"\"x\"\"\" > 'a';
    CREATE INDEX \"I 2\" ON \"My Schema\".\"User.s 🐘\" ((\"Na.me \"\"x\"\"\" || 'y'));
    COMMENT ON INDEX \"My Schema\".\"I 1\" IS 'for lookups';
    ALTER INDEX \"My Schema\".\"I 2\" ALTER COLUMN 1 SET STATISTICS 400;
    ALTER TABLE \"My Schema\".\"User.s 🐘\" CLUSTER ON \"I 2\";
    ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER COLUMN \"Na.me \"\"x\"\"\" SET STATISTICS 250;
    ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER COLUMN \"Na.me \"\"x\"\"\" SET STORAGE EXTERNAL;
    ALTER TABLE \"My Schema\".\"User.s 🐘\" ALTER COLUMN \"Na.me \"\"x\"\"\" SET (n_distinct = -0.5);
    GRANT SELECT (\"Na.me \"\"x\"\"\") ON \"My Schema\".\"User.s 🐘\" TO pg_monitor WITH GRANT OPTION;
    CREATE TRIGGER \"zz_~\" BEFORE INSERT OR UPDATE ON \"My Schema\".\"User.s 🐘\"
        FOR EACH ROW EXECUTE FUNCTION \"My Schema\".tidy();
    INSERT INTO \"My Schema\".\"User.s 🐘\" VALUES (1, 1, 'a b'), (2, 2, 'c d');";

#[tokio::test]
async fn a_column_is_split_as_by_a_few_statements() {
    let with = |more: &[&'static str]| &*[NAMES, more].concat().leak();
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text);
                  INSERT INTO users SELECT n, 'Ada ' || n FROM generate_series(1, 20) n; INSERT INTO users VALUES (21, 'x'), (22, NULL);",
            arguments: NAMES,
            oracle: "ALTER TABLE users ADD COLUMN first_name text, ADD COLUMN last_name text;
                     UPDATE users SET first_name = split_part(name, ' ', 1), last_name = nullif(split_part(name, ' ', 2), '');
                     ALTER TABLE users DROP COLUMN name",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "by code",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name varchar(30) NOT NULL UNIQUE CHECK (name <> ''));
                  INSERT INTO users SELECT n, 'Ada ' || n FROM generate_series(1, 20) n;",
            arguments: with(&["--sync", "code", "--not-null", "first_name"]),
            oracle: "ALTER TABLE users ADD COLUMN first_name varchar(30), ADD COLUMN last_name varchar(30);
                     UPDATE users SET first_name = split_part(name, ' ', 1), last_name = split_part(name, ' ', 2);
                     ALTER TABLE users DROP COLUMN name, ALTER COLUMN first_name SET NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "what does not come back",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
                  INSERT INTO users VALUES (1, 'Ada King Lovelace'), (2, 'Ada Lovelace');",
            arguments: with(&["--lossy"]),
            oracle: "ALTER TABLE users ADD COLUMN first_name text, ADD COLUMN last_name text;
                     UPDATE users SET first_name = split_part(name, ' ', 1), last_name = split_part(name, ' ', 2);
                     ALTER TABLE users DROP COLUMN name",
            stays: "UPDATE users SET name = 'Ada King' WHERE id = 1",
            proof: "safe",
        },
        Case {
            name: "NOT NULL in the end",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
                  INSERT INTO users VALUES (1, 'Ada King'), (2, 'Ada Lovelace');",
            arguments: with(&["--not-null", "first_name", "--not-null", "last_name"]),
            oracle: "ALTER TABLE users ADD COLUMN first_name text, ADD COLUMN last_name text;
                     UPDATE users SET first_name = split_part(name, ' ', 1), last_name = split_part(name, ' ', 2);
                     ALTER TABLE users DROP COLUMN name, ALTER COLUMN first_name SET NOT NULL, ALTER COLUMN last_name SET NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "other types, and one expression for all",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, price text);
                  INSERT INTO users VALUES (1, '1.50 EUR'), (2, '2.00 USD'), (3, NULL);",
            arguments: &[
                "split-column", "users.price", "amount:numeric(12,2)", "currency:char(3)",
                "--into", "split_part(users.price, chr(32), 1)::numeric", "--into", "split_part(price, chr(32), 2)",
                "--from", "amount || chr(32) || currency",
            ],
            oracle: "ALTER TABLE users ADD COLUMN amount numeric(12,2), ADD COLUMN currency char(3);
                     UPDATE users SET amount = split_part(price, ' ', 1)::numeric, currency = split_part(price, ' ', 2);
                     ALTER TABLE users DROP COLUMN price",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "names as long as they can be",
            ddl: "CREATE TABLE ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt (id int PRIMARY KEY, üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü text NOT NULL); INSERT INTO ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt VALUES (1, 'a b')",
            arguments: &[
                "split-column",
                "ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt.üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
                "--into",
                "split_part(üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü, ' ', 1)",
                "--into",
                "split_part(üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü, ' ', 2)",
                "--from",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa || ' ' || aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
                "--not-null",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "--not-null",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
            ],
            oracle: "ALTER TABLE ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt ADD COLUMN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa text, ADD COLUMN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab text;
                     UPDATE ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt SET aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 'a', aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab = 'b';
                     ALTER TABLE ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt DROP COLUMN üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü, ALTER COLUMN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa SET NOT NULL, ALTER COLUMN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab SET NOT NULL",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "all that a column can carry",
            ddl: ALL,
            arguments: &[
                "split-column",
                "\"My Schema\".\"User.s 🐘\".\"Na.me \"\"x\"\"\"",
                "\"First 🐘\"",
                "\"tg_op\"",
                "--into",
                "\"My Schema\".\"part 🐘\"(\"Na.me \"\"x\"\"\", 1)",
                "--into",
                "\"My Schema\".\"part 🐘\"(\"User.s 🐘\".\"Na.me \"\"x\"\"\", 2)",
                "--from",
                "\"First 🐘\" || ' ' || tg_op",
                "--drop-dependent",
                "\"One each\"",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\" ADD COLUMN \"First 🐘\" text, ADD COLUMN tg_op text;
                     UPDATE \"My Schema\".\"User.s 🐘\" SET \"First 🐘\" = split_part(\"Na.me \"\"x\"\"\", ' ', 1),
                         tg_op = split_part(\"Na.me \"\"x\"\"\", ' ', 2);
                     ALTER TABLE \"My Schema\".\"User.s 🐘\" DROP COLUMN \"Na.me \"\"x\"\"\"",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

const ROWS: &str =
    "SELECT coalesce(string_agg(concat_ws('|', id, coalesce(name, '-'), coalesce(first_name, '-'),
    coalesce(last_name, '-')), ' ' ORDER BY id), '') FROM users";

#[tokio::test]
async fn old_and_new_code_see_what_the_other_writes() {
    for until in ["add", "backfill", "compare", "relax"] {
        let project = Project::new(SERVICES).await;
        let session = project.database.session().await;
        project
            .database
            .execute("CREATE TABLE users (id int PRIMARY KEY, name text UNIQUE, other int)")
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
                "INSERT INTO users (id, name) VALUES (1, 'Ada Lovelace'), (2, 'Ada'), (3, NULL)",
                "1|Ada Lovelace|Ada|Lovelace 2|Ada|Ada|- 3|-|-|-",
            ),
            (
                "INSERT INTO users (id) VALUES (4); DELETE FROM users WHERE id = 3",
                "1|Ada Lovelace|Ada|Lovelace 2|Ada|Ada|- 4|-|-|-",
            ),
            (
                "UPDATE users SET name = 'Alan Mathison Turing' WHERE id = 4",
                "1|Ada Lovelace|Ada|Lovelace 2|Ada|Ada|- 4|Alan Mathison Turing|Alan|Mathison",
            ),
            // What concerns neither leaves what does not come back.
            (
                "UPDATE users SET other = 1; UPDATE users SET name = name; DELETE FROM users WHERE id = 1",
                "2|Ada|Ada|- 4|Alan Mathison Turing|Alan|Mathison",
            ),
            (
                "INSERT INTO users (id, name) VALUES (2, 'B C'), (5, 'D E') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
                "2|B C|B|C 4|Alan Mathison Turing|Alan|Mathison 5|D E|D|E",
            ),
            ("UPDATE users SET name = NULL WHERE id = 5", "2|B C|B|C 4|Alan Mathison Turing|Alan|Mathison 5|-|-|-"),
            // New code.
            (
                "UPDATE users SET last_name = 'Turing' WHERE id = 4; DELETE FROM users WHERE id = 5",
                "2|B C|B|C 4|Alan Turing|Alan|Turing",
            ),
            (
                "INSERT INTO users (id, first_name, last_name) VALUES (6, 'Ada King', 'Lovelace'), (7, 'F', NULL), (8, NULL, NULL)",
                "2|B C|B|C 4|Alan Turing|Alan|Turing 6|Ada King Lovelace|Ada King|Lovelace 7|F|F|- 8|-|-|-",
            ),
            (
                "INSERT INTO users (id, first_name) VALUES (6, 'G'), (9, 'H')
                     ON CONFLICT (id) DO UPDATE SET first_name = EXCLUDED.first_name; DELETE FROM users WHERE id IN (2, 4, 8)",
                "6|G Lovelace|G|Lovelace 7|F|F|- 9|H|H|-",
            ),
            (
                "UPDATE users SET first_name = NULL, last_name = NULL WHERE id = 9",
                "6|G Lovelace|G|Lovelace 7|F|F|- 9|-|-|-",
            ),
            // Old code meets a row of new code.
            (
                "UPDATE users SET name = name || ' X' WHERE id = 7",
                "6|G Lovelace|G|Lovelace 7|F X|F|X 9|-|-|-",
            ),
            // Both at once: the new side wins.
            (
                "UPDATE users SET name = 'Y', last_name = 'Z' WHERE id = 7; DELETE FROM users WHERE id = 9",
                "6|G Lovelace|G|Lovelace 7|F Z|F|Z",
            ),
            (
                "INSERT INTO users (id, name, first_name) VALUES (1, 'I J', 'K'); DELETE FROM users WHERE id = 6",
                "1|K|K|- 7|F Z|F|Z",
            ),
            // What logical replication brings.
            (
                "SET session_replication_role = replica; UPDATE users SET name = 'L M' WHERE id = 1;
                 INSERT INTO users (id, last_name, first_name) VALUES (2, 'N', 'O'); RESET session_replication_role",
                "1|L M|L|M 2|O N|O|N 7|F Z|F|Z",
            ),
        ] {
            let client = session.client();
            client.batch_execute(statement).await.unwrap();
            let found: String = client.query_one(ROWS, &[]).await.unwrap().get(0);
            assert_eq!(found, expected, "{until}: {statement}");
        }
        // The fill of a second run leaves what new code wrote.
        project
            .database
            .execute("UPDATE users SET first_name = 'Ada King' WHERE id = 1")
            .await;
        let fill = plan.phases().iter().find(|phase| phase.id.as_str() == "backfill");
        forward(&session, &fill.unwrap().detail).await;
        let found: String = session.client().query_one(ROWS, &[]).await.unwrap().get(0);
        assert_eq!(found, "1|Ada King M|Ada King|M 2|O N|O|N 7|F Z|F|Z");
    }
}

#[tokio::test]
async fn the_trigger_makes_the_very_same_of_a_value_as_the_fill() {
    let project = Project::new(SERVICES).await;
    let session = project.database.session().await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, name text COLLATE \"C\");
             INSERT INTO users VALUES (1, 'Ä Ö')",
        )
        .await;
    let plan = planned(
        &project,
        &[
            "split-column",
            "users.name",
            "first_name",
            "last_name",
            "--into",
            "lower(split_part(name, ' ', 1)) || (name < 'Z')",
            "--into",
            "split_part(users.name, ' ', 2)",
            "--from",
            "first_name || ' ' || last_name",
        ],
    );
    for phase in plan.phases().iter().take(2) {
        forward(&session, &phase.detail).await;
    }
    project
        .database
        .execute("INSERT INTO users VALUES (2, 'Ä Ö')")
        .await;
    let found: String = session.client().query_one(ROWS, &[]).await.unwrap().get(0);
    assert_eq!(found, "1|Ä Ö|Äfalse|Ö 2|Ä Ö|Äfalse|Ö");
}

#[tokio::test]
async fn a_plan_that_is_made_worse_is_not_safe_any_more() {
    for (arguments, from, to, said) in [
        (
            &[][..],
            "needs = [\"backfill\"]",
            "needs = [\"add\"]",
            "first_name, which nothing has filled",
        ),
        (&[], "needs = [\"relax\"]", "needs = [\"backfill\"]", "users.name"),
        (&[], "synced_by = \"trigger\"\n", "", "first_name"),
        (
            &["--sync", "code"],
            "needs = [\"backfill\"]",
            "needs = [\"dual-write\"]",
            "first_name, which nothing has filled",
        ),
        (
            &["--sync", "code"],
            "needs = [\"dual-write\"]",
            "needs = [\"add\"]",
            "first_name",
        ),
        (
            &["--sync", "code"],
            "needs = [\"stop-write\"]",
            "needs = [\"switch-read\"]",
            "users.name",
        ),
        (
            &["--sync", "code"],
            "needs = [\"relax\"]",
            "needs = [\"compare\"]",
            "NOT NULL",
        ),
    ] {
        let project = Project::new(SERVICES).await;
        project
            .database
            .execute("CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL UNIQUE)")
            .await;
        planned(&project, &[NAMES, arguments].concat());
        let file = project
            .repo
            .path()
            .join("plans/split-column-users-name-first_name-last_name.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
        let output = project.shipctl(&["check", "--json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_ne!(
            told["proof"]["verdict"], "safe",
            "{arguments:?}, {to} for {from}: {told:#}"
        );
        let why = told["proof"]["harm"]["message"].to_string() + &told["warnings"].to_string();
        assert!(why.contains(said), "{to} for {from}: {why}");
    }
}

#[tokio::test]
async fn what_would_be_lost_stops_the_plan_before_the_drop() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute("CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (77, 'Ada King Lovelace')")
        .await;
    let plan = planned(&project, NAMES);
    let ids: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
    assert_eq!(ids, ["add", "backfill", "switch", "compare", "drop"]);
    let text =
        std::fs::read_to_string(project.repo.path().join(format!("plans/{}.toml", plan.id()))).unwrap();
    assert!(
        text.contains("gate = { soak = \"24h\" }") && text.contains("gate = { approvals = 1 }"),
        "{text}"
    );

    // The phase itself, without the code that it waits for.
    let look = "[[phase]]\nid = \"compare\"\n";
    let (_, compare) = text.split_once(look).unwrap();
    let (compare, _) = compare.split_once("\n\n").unwrap();
    let lines = compare
        .lines()
        .filter(|line| !line.starts_with("needs") && !line.starts_with("gate"));
    let alone = lines.collect::<Vec<_>>().join("\n");
    std::fs::write(
        project.repo.path().join("plans/look.toml"),
        format!("id = \"look\"\n\n{look}{alone}\n"),
    )
    .unwrap();
    let session = project.database.session().await;
    for phase in plan.phases().iter().take(3) {
        forward(&session, &phase.detail).await;
    }
    let run = || {
        let output = project
            .shipctl(&["run", "look", "--env", "production"])
            .output()
            .unwrap();
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (done, said) = run();
    assert!(!done && said.contains("77"), "{said}");
    let state = "SELECT concat_ws('|', name, first_name, last_name) FROM users WHERE id = 77";
    let held: String = session.client().query_one(state, &[]).await.unwrap().get(0);
    assert_eq!(held, "Ada King Lovelace|Ada|King");
    project
        .database
        .execute("UPDATE users SET last_name = 'King-Lovelace'")
        .await;
    let (done, said) = run();
    assert!(done, "{said}");
}

#[tokio::test]
async fn expressions_are_looked_at_by_the_database() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, name text, other text);
             CREATE FUNCTION halves(text, int) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
             CREATE FUNCTION wild(text) RETURNS text STRICT LANGUAGE sql AS 'SELECT $1 || random()';",
        )
        .await;
    let good = ("left(name, 1)", "right(name, -1)", "a || b");
    for ((first, second, from), said) in [
        (
            (good.0, "right(other, 1)", good.2),
            "it reads other, but may read name only",
        ),
        (
            (good.0, good.1, "a || b || name"),
            "it reads name, but may read a, b only",
        ),
        ((good.0, good.1, "a"), "column b"),
        ((good.0, "'x'", good.2), "it reads no column"),
        (
            (good.0, "length(users::text)::text", good.2),
            "is not a usable --into",
        ),
        ((good.0, "name || xmin", good.2), "it reads xmin"),
        ((good.0, "name || $1", good.2), "is not a usable --into"),
        ((good.0, "halves(name, 2)", good.2), "need their schema"),
        ((good.0, "public.wild(name)", good.2), "volatile"),
        (
            (good.0, "(SELECT max(u.name) FROM users u)", good.2),
            "a query of its own",
        ),
        ((good.0, "max(name)", good.2), "is not a usable --into"),
        ((good.0, "length(name) > 1 OR", good.2), "is not valid SQL"),
        ((good.0, "name -- all", good.2), "is not a usable --into"),
        (
            (good.0, "name; DROP TABLE users", good.2),
            "is not a usable --into",
        ),
        ((good.0, "no_such(name)", good.2), "does not exist"),
    ] {
        let arguments = [
            "split-column",
            "users.name",
            "a",
            "b",
            "--into",
            first,
            "--into",
            second,
            "--from",
            from,
        ];
        let told = refused(&project, &arguments);
        let told = told.replace("\n  │ ", " ");
        assert!(told.contains(said), "{said} is not in {told}");
    }
    let told = refused(
        &project,
        &[
            "split-column",
            "users.name",
            "a",
            "b",
            "--into",
            "name",
            "--from",
            "a || b",
        ],
    );
    assert!(told.contains("--into is given 1 times"), "{told}");
    let told = refused(
        &project,
        &[
            "split-column",
            "users.name",
            "a:int",
            "b",
            "--into",
            "name::date",
            "--into",
            "name",
            "--from",
            "a || b",
        ],
    );
    assert!(told.contains("--into"), "{told}");
    planned(
        &project,
        &[
            "split-column",
            "users.name",
            "a",
            "b",
            "--into",
            "public.halves(name, 1)",
            "--into",
            good.1,
            "--from",
            "b || a",
        ],
    );
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, a text UNIQUE, b text, CONSTRAINT together CHECK (a > b));
             CREATE INDEX pair ON t (b, a);
             CREATE TABLE children (a text CONSTRAINT to_t REFERENCES t (a));
             CREATE VIEW seen AS SELECT a FROM t;
             CREATE POLICY own ON t USING (a > '');
             CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER watches BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE DOMAIN short AS text CHECK (length(VALUE) < 9); CREATE TABLE d (short short);
             CREATE TABLE late (a text); CREATE TRIGGER \"~\" BEFORE INSERT ON late FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE TABLE split (a text) PARTITION BY HASH (a);
             CREATE TABLE e (a text NOT NULL, b int CONSTRAINT a_is_set CHECK (b > 0));",
        )
        .await;
    for (column, new, more, names) in [
        (
            "t.a",
            ["x", "y"],
            &[][..],
            &[
                "to_t",
                "view public.seen",
                "policy own",
                "trigger watches",
                "index pair",
                "check constraint together",
            ][..],
        ),
        ("t.id", ["x", "y"], &[], &["primary key t_pkey"]),
        (
            "t.b",
            ["a", "y"],
            &["--drop-dependent", "pair", "--drop-dependent", "together"],
            &["column a"],
        ),
        ("t.b", ["b", "y"], &[], &["column b", "named twice"]),
        ("t.b", ["x", "x"], &[], &["column x", "named twice"]),
        ("t.b", ["ctid", "x"], &[], &["name ctid"]),
        ("t.b", ["x", "y"], &["--not-null", "z"], &["--not-null z"]),
        (
            "t.b",
            ["x", "y"],
            &["--drop-dependent", "t_pkey"],
            &["--drop-dependent t_pkey"],
        ),
        ("t.b", ["x", "y:short"], &[], &["domain public.short"]),
        ("d.short", ["x:text", "y:text"], &[], &["domain public.short"]),
        ("late.a", ["x", "y"], &[], &["trigger \"~\""]),
        ("split.a", ["x", "y"], &[], &["partitioned table public.split"]),
        ("e.a", ["x", "y"], &[], &["constraint a_is_set"]),
        ("e.c", ["x", "y"], &[], &["no column c"]),
    ] {
        let name = column.split_once('.').unwrap().1;
        let first = new[0].split(':').next().unwrap();
        let second = new[1].split(':').next().unwrap();
        let (into, from) = (
            format!("left({name}::text, 1)"),
            format!("({first}::text || {second}::text)::int"),
        );
        let from = if name == "id" {
            from
        } else {
            format!("{first}::text || {second}::text")
        };
        let into = if name == "id" { format!("{name} + 1") } else { into };
        let arguments = [
            &["split-column", column][..],
            &new,
            &["--into", &into, "--into", &into, "--from", &from],
            more,
        ]
        .concat();
        let said = refused(&project, &arguments);
        for name in names {
            assert!(said.contains(name), "{arguments:?}: {name} is not in {said}");
        }
        assert!(!said.contains("the rename"), "{said}");
    }
}
