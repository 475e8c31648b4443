//! `shipctl plan extract-json`.

use shipctl::plan::{MigrationPhase, PhaseDetail, Plan};
use shipctl::postgres::Session;

use super::super::catalog::forward;
use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

const DIFFICULT: &str = "CREATE SCHEMA \"My Schema\";
    CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int PRIMARY KEY, \"Pro \"\"file\"\"\" json NOT NULL, other int);
    COMMENT ON COLUMN \"My Schema\".\"User.s 🐘\".\"Pro \"\"file\"\"\" IS 'it''s \\ here';
    CREATE INDEX \"I 1\" ON \"My Schema\".\"User.s 🐘\" ((\"Pro \"\"file\"\"\" ->> 'x'));
    CREATE FUNCTION \"My Schema\".tidy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER \"zz_~\" BEFORE INSERT OR UPDATE ON \"My Schema\".\"User.s 🐘\"
        FOR EACH ROW EXECUTE FUNCTION \"My Schema\".tidy();
    CREATE VIEW \"My Schema\".seen AS SELECT \"Pro \"\"file\"\"\" FROM \"My Schema\".\"User.s 🐘\";
    INSERT INTO \"My Schema\".\"User.s 🐘\" VALUES
        (1, '{\"a.b \\\"c\\\"\": [{\"it''s 🐘\": 1.5}, 2]}'), (2, '{}'), (3, '[]'), (4, '{\"a.b \\\"c\\\"\": {\"0\": 7}}');";

#[tokio::test]
async fn a_column_is_made_as_by_two_statements() {
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, profile jsonb);
                  INSERT INTO users SELECT n, jsonb_build_object('country', 'c' || n, 'n', n) FROM generate_series(1, 20) n;
                  INSERT INTO users VALUES (21, NULL), (22, '{}'), (23, '{\"country\": null}'), (24, '[1]'), (25, '\"x\"');",
            arguments: &["extract-json", "users.profile", "country", "country", "text"],
            oracle: "ALTER TABLE users ADD COLUMN country text; UPDATE users SET country = profile ->> 'country'",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "by code",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, profile jsonb);
                  INSERT INTO users SELECT n, jsonb_build_object('n', n) FROM generate_series(1, 20) n; INSERT INTO users VALUES (21, NULL);",
            arguments: &["extract-json", "users.profile", "n", "number", "numeric(9,2)", "--sync", "code"],
            oracle: "ALTER TABLE users ADD COLUMN number numeric(9,2); UPDATE users SET number = (profile ->> 'n')::numeric",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "by code, and the key goes",
            ddl: DIFFICULT,
            arguments: &[
                "extract-json",
                "\"My Schema\".\"User.s 🐘\".\"Pro \"\"file\"\"\"",
                "\"a.b \"\"c\"\"\"[0].\"it's 🐘\"",
                "\"New 🐘\"",
                "numeric",
                "--sync",
                "code",
                "--remove-key",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\" ADD COLUMN \"New 🐘\" numeric;
                     UPDATE \"My Schema\".\"User.s 🐘\" SET \"New 🐘\" = 1.5,
                       \"Pro \"\"file\"\"\" = '{\"a.b \\\"c\\\"\": [{}, 2]}' WHERE \"Id\" = 1",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a path, a cast and difficult names",
            ddl: DIFFICULT,
            arguments: &[
                "extract-json",
                "\"My Schema\".\"User.s 🐘\".\"Pro \"\"file\"\"\"",
                "\"a.b \"\"c\"\"\"[0].\"it's 🐘\"",
                "\"New 🐘\"",
                "numeric(5,2)",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\" ADD COLUMN \"New 🐘\" numeric(5,2);
                     UPDATE \"My Schema\".\"User.s 🐘\" SET \"New 🐘\" = 1.5 WHERE \"Id\" = 1",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "names as long as they can be",
            ddl: "CREATE TABLE ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt (id int PRIMARY KEY, üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü jsonb); INSERT INTO ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt VALUES (1, '{\"n\": true}')",
            arguments: &["extract-json", "ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt.üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü", "n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "boolean", "--remove-key"],
            oracle: "ALTER TABLE ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt ADD COLUMN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa boolean; UPDATE ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt SET aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = true, üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü = '{}'",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "what does not fit is NULL",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, profile jsonb NOT NULL DEFAULT '{}');
                  INSERT INTO users VALUES (1, '{\"age\": 1}'), (2, '{\"age\": \"abc\"}'), (3, '{\"age\": 1.5}'), (4, '{\"age\": \"7\"}');",
            arguments: &["extract-json", "users.profile", "age", "age", "integer", "--or-null"],
            oracle: "ALTER TABLE users ADD COLUMN age integer; UPDATE users SET age = 1 WHERE id = 1;
                     UPDATE users SET age = 7 WHERE id = 4",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a value that is JSON itself",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, profile jsonb);
                  INSERT INTO users VALUES (1, '{\"tags\": [1, {\"a\": null}]}'), (2, '{\"tags\": null}'), (3, '{\"tags\": \"x\"}');",
            arguments: &["extract-json", "users.profile", "tags", "tags", "jsonb"],
            oracle: "ALTER TABLE users ADD COLUMN tags jsonb;
                     UPDATE users SET tags = nullif(profile -> 'tags', 'null')",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "the key goes",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, profile jsonb);
                  INSERT INTO users SELECT n, jsonb_build_object('address', jsonb_build_object('city', n::text, 'n', n))
                      FROM generate_series(1, 20) n;
                  INSERT INTO users VALUES (21, NULL), (22, '{}'), (23, '[1]'), (24, '{\"address\": [\"city\"]}');",
            arguments: &["extract-json", "users.profile", "address.city", "city", "text", "--remove-key"],
            oracle: "ALTER TABLE users ADD COLUMN city text;
                     UPDATE users SET city = profile -> 'address' ->> 'city', profile = profile #- '{address,city}' WHERE id < 21",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "the key goes from json",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, profile json);
                  INSERT INTO users VALUES (1, '{\"n\": 1, \"age\": 5}'), (2, '{\"x\":0}');",
            arguments: &["extract-json", "users.profile", "age", "age", "bigint", "--remove-key"],
            oracle: "ALTER TABLE users ADD COLUMN age bigint;
                     UPDATE users SET age = 5, profile = '{\"n\": 1}' WHERE id = 1",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

async fn up_to(session: &Session, plan: &Plan, last: &str) {
    for phase in plan.phases() {
        forward(session, &phase.detail).await;
        if phase.id.as_str() == last {
            break;
        }
    }
}

/// What a statement comes to: the rows, or the code of the error.
async fn after(session: &Session, statement: &str, rows: &str) -> String {
    match session.client().batch_execute(statement).await {
        Ok(()) => session.client().query_one(rows, &[]).await.unwrap().get(0),
        Err(error) => error.as_db_error().unwrap().message().to_owned(),
    }
}

const ROWS: &str = "SELECT coalesce(string_agg(concat_ws(' ', id, coalesce(profile::text, '-'), coalesce(value::text, '-')), '; '
    ORDER BY id), '') FROM t";

/// Each statement, and what the table holds then.
async fn each_comes_to(session: &Session, steps: &[(&str, &str)]) {
    for (statement, expected) in steps {
        assert_eq!(&after(session, statement, ROWS).await, expected, "{statement}");
    }
}

#[tokio::test]
async fn old_and_new_code_see_what_the_other_writes() {
    for until in ["add", "compare"] {
        let project = Project::new(SERVICES).await;
        let session = project.database.session().await;
        project
            .database
            .execute("CREATE TABLE t (id int PRIMARY KEY, profile jsonb, other int)")
            .await;
        let plan = planned(&project, &["extract-json", "t.profile", "a.n", "value", "int"]);
        up_to(&session, &plan, until).await;
        each_comes_to(
            &session,
            &[
                // Old code.
                (
                    "INSERT INTO t VALUES (1, '{\"a\": {\"n\": 1}, \"b\": 2}'), (2, '{}'), (3, NULL)",
                    r#"1 {"a": {"n": 1}, "b": 2} 1; 2 {} -; 3 - -"#,
                ),
                ("DELETE FROM t WHERE id = 3", r#"1 {"a": {"n": 1}, "b": 2} 1; 2 {} -"#),
                ("UPDATE t SET profile = '{\"a\": {\"n\": 5}}' WHERE id = 1", r#"1 {"a": {"n": 5}} 5; 2 {} -"#),
                // A value that does not fit makes nothing fail.
                (
                    "UPDATE t SET profile = '{\"a\": {\"n\": \"abc\"}}' WHERE id = 1",
                    r#"1 {"a": {"n": "abc"}} -; 2 {} -"#,
                ),
                ("UPDATE t SET profile = NULL WHERE id = 1", "1 - -; 2 {} -"),
                // New code.
                ("UPDATE t SET value = 7", r#"1 {"a": {"n": 7}} 7; 2 {"a": {"n": 7}} 7"#),
                ("UPDATE t SET other = 1", r#"1 {"a": {"n": 7}} 7; 2 {"a": {"n": 7}} 7"#),
                ("UPDATE t SET value = NULL WHERE id = 2", r#"1 {"a": {"n": 7}} 7; 2 {"a": {}} -"#),
                ("UPDATE t SET value = value + 1", r#"1 {"a": {"n": 8}} 8; 2 {"a": {}} -"#),
                (
                    "INSERT INTO t (id, value) VALUES (1, 9), (4, 4) ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value",
                    r#"1 {"a": {"n": 9}} 9; 2 {"a": {}} -; 4 {"a": {"n": 4}} 4"#,
                ),
                // Old code meets a row of new code.
                (
                    "INSERT INTO t (id, profile) VALUES (4, '{\"a\": {\"n\": 3}}')
                         ON CONFLICT (id) DO UPDATE SET profile = t.profile || EXCLUDED.profile",
                    r#"1 {"a": {"n": 9}} 9; 2 {"a": {}} -; 4 {"a": {"n": 3}} 3"#,
                ),
                // Both at once: the column wins, and the rest of the document is kept.
                (
                    "UPDATE t SET profile = '{\"x\": 1, \"a\": {\"n\": 0}}', value = 2 WHERE id = 4; DELETE FROM t WHERE id < 4",
                    r#"4 {"a": {"n": 2}, "x": 1} 2"#,
                ),
                (
                    "INSERT INTO t (id, profile, value) VALUES (5, '{\"x\": 1}', 5); DELETE FROM t WHERE id = 4",
                    r#"5 {"a": {"n": 5}, "x": 1} 5"#,
                ),
                // Nothing that stands in the way is overwritten.
                (
                    "UPDATE t SET profile = '{\"a\": \"here\"}'",
                    r#"5 {"a": "here"} -"#,
                ),
                (
                    "UPDATE t SET value = 1",
                    "a.n of public.t.profile has no place for value: what is there is no object",
                ),
                ("UPDATE t SET value = NULL, other = 2", r#"5 {"a": "here"} -"#),
                ("UPDATE t SET profile = '[]'", "5 [] -"),
                (
                    "UPDATE t SET value = 1",
                    "a.n of public.t.profile has no place for value: what is there is no object",
                ),
                // What logical replication brings.
                (
                    "SET session_replication_role = replica; UPDATE t SET profile = '{\"a\": {\"n\": 6}}'; RESET session_replication_role",
                    r#"5 {"a": {"n": 6}} 6"#,
                ),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn what_was_written_without_the_trigger_is_not_overwritten_when_it_comes_back() {
    for more in [&[][..], &["--remove-key"]] {
        let project = Project::new(SERVICES).await;
        let session = project.database.session().await;
        project
            .database
            .execute(
                "CREATE TABLE t (id int PRIMARY KEY, profile jsonb);
                 INSERT INTO t SELECT n, '{\"n\": 1}' FROM generate_series(1, 4) n",
            )
            .await;
        let plan = planned(
            &project,
            &[&["extract-json", "t.profile", "n", "value", "int"], more].concat(),
        );
        up_to(&session, &plan, "remove-key").await;
        let client = session.client();
        client
            .batch_execute("UPDATE t SET value = 2; UPDATE t SET value = NULL WHERE id = 3; INSERT INTO t VALUES (5, '{}', 5)")
            .await
            .unwrap();
        let drop = plan
            .phases()
            .iter()
            .find(|phase| phase.id.as_str() == "drop")
            .unwrap();
        let PhaseDetail::Contract(run) = &drop.detail else {
            panic!("{drop:?}");
        };
        for statement in run
            .migration
            .down
            .as_ref()
            .unwrap()
            .steps
            .iter()
            .flat_map(|step| &step.statements)
        {
            client.batch_execute(&statement.text).await.unwrap();
        }
        // New code goes on, before the restore has come by.
        each_comes_to(
            &session,
            &[(
                "UPDATE t SET profile = profile || '{\"x\": 1}' WHERE id IN (1, 3); DELETE FROM t WHERE id = 4",
                if more.is_empty() {
                    r#"1 {"n": 2, "x": 1} 2; 2 {"n": 1} 2; 3 {"x": 1} -; 5 {} 5"#
                } else {
                    r#"1 {"n": 2, "x": 1} 2; 2 {} 2; 3 {"x": 1} -; 5 {} 5"#
                },
            )],
        )
        .await;
        let PhaseDetail::Contract(MigrationPhase {
            restore: Some(fill), ..
        }) = &drop.detail
        else {
            panic!("{drop:?}");
        };
        client
            .batch_execute(&format!(
                "SET shipctl.backfill = 'on'; UPDATE t SET {} = {} WHERE ({}) IS NOT TRUE; SET shipctl.backfill = 'off'",
                fill.set[0].column, fill.set[0].expression, fill.verify
            ))
            .await
            .unwrap();
        let rest = [
            (
                "",
                r#"1 {"n": 2, "x": 1} 2; 2 {"n": 2} 2; 3 {"x": 1} -; 5 {"n": 5} 5"#,
            ),
            // Old code is back.
            (
                "UPDATE t SET profile = '{\"n\": 7}' WHERE id = 3; UPDATE t SET profile = profile - 'n' WHERE id = 2",
                r#"1 {"n": 2, "x": 1} 2; 2 {} -; 3 {"n": 7} 7; 5 {"n": 5} 5"#,
            ),
        ];
        each_comes_to(&session, &rest).await;
    }
}

#[tokio::test]
async fn elements_of_arrays_are_put_where_there_is_a_place() {
    let project = Project::new(SERVICES).await;
    let session = project.database.session().await;
    project
        .database
        .execute("CREATE TABLE t (id int PRIMARY KEY, profile json)")
        .await;
    let plan = planned(
        &project,
        &["extract-json", "t.profile", "l[1].\"Ü '\"", "value", "date"],
    );
    up_to(&session, &plan, "add").await;
    each_comes_to(
        &session,
        &[
            (
                "INSERT INTO t VALUES (1, '{\"l\": [0, {\"Ü ''\": \"2020-02-29\"}, 2]}')",
                r#"1 {"l": [0, {"Ü '": "2020-02-29"}, 2]} 2020-02-29"#,
            ),
            ("UPDATE t SET value = value + 1", r#"1 {"l": [0, {"Ü '": "2020-03-01"}, 2]} 2020-03-01"#),
            // Left as it was written, as nothing changes.
            (
                "UPDATE t SET profile = '{\"l\":  [0,{\"Ü ''\":\"2020-03-02\"}]}', value = '2020-03-02'",
                r#"1 {"l":  [0,{"Ü '":"2020-03-02"}]} 2020-03-02"#,
            ),
            ("UPDATE t SET value = NULL", r#"1 {"l": [0, {}]} -"#),
            ("UPDATE t SET profile = '{\"l\": [0]}'", r#"1 {"l": [0]} -"#),
            ("UPDATE t SET value = '2020-03-03'", r#"1 {"l": [0, {"Ü '": "2020-03-03"}]} 2020-03-03"#),
            ("UPDATE t SET profile = '{\"l\": []}'", r#"1 {"l": []} -"#),
            (
                "UPDATE t SET value = '2020-03-03'",
                "l[1].\"Ü '\" of public.t.profile has no place for value: what is there is no array of 1 or more",
            ),
            // json holds what is no text; reading it fails nobody.
            ("UPDATE t SET profile = '{\"l\": [0, {\"Ü ''\": \"\\u0000\"}]}'", r#"1 {"l": [0, {"Ü '": "\u0000"}]} -"#),
        ],
    )
    .await;
}

#[tokio::test]
async fn other_triggers_are_seen_and_roles_need_no_more_rights() {
    let project = Project::new(SERVICES).await;
    let session = project.database.session().await;
    project
        .database
        .execute(
            "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
             CREATE TABLE t (id int PRIMARY KEY, profile jsonb, other int);
             CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS
                 $$BEGIN NEW.profile := jsonb_build_object('n', NEW.other); RETURN NEW; END$$;
             CREATE TRIGGER zz_t BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tidy();
             DROP ROLE IF EXISTS writer_of_documents; CREATE ROLE writer_of_documents;
             GRANT INSERT (id, profile), UPDATE (other) ON t TO writer_of_documents; GRANT SELECT (id) ON t TO writer_of_documents;",
        )
        .await;
    let plan = planned(&project, &["extract-json", "t.profile", "n", "value", "smallint"]);
    up_to(&session, &plan, "add").await;
    each_comes_to(
        &session,
        &[
            (
                "SET ROLE writer_of_documents; INSERT INTO t VALUES (1, '{\"n\": 3}'); RESET ROLE",
                r#"1 {"n": 3} 3"#,
            ),
            (
                "SET ROLE writer_of_documents; UPDATE t SET other = 4 WHERE id = 1; RESET ROLE",
                r#"1 {"n": 4} 4"#,
            ),
        ],
    )
    .await;
    session
        .client()
        .batch_execute("DROP OWNED BY writer_of_documents; DROP ROLE writer_of_documents")
        .await
        .unwrap();
}

#[tokio::test]
async fn what_does_not_fit_stops_the_fill_and_the_second_look() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, profile jsonb);
             INSERT INTO t SELECT n, '{\"n\": 1}' FROM generate_series(1, 9) n; INSERT INTO t VALUES (77, '{\"n\": 1.5}')",
        )
        .await;
    let plan = planned(&project, &["extract-json", "t.profile", "n", "value", "int"]);
    let ids: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
    assert_eq!(ids, ["add", "backfill", "switch", "compare", "drop"]);
    let output = project
        .shipctl(&["run", plan.id().as_str(), "--env", "production"])
        .output()
        .unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("backfill") && said.contains("77"), "{said}");
    project
        .database
        .execute("UPDATE t SET profile = '{\"n\": 2}' WHERE id = 77")
        .await;
    let output = project
        .shipctl(&["run", plan.id().as_str(), "--env", "production"])
        .output()
        .unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("77") && said.contains("switch"), "{said}");
}

#[tokio::test]
async fn a_plan_that_is_made_worse_is_not_safe_any_more() {
    for (from, to, said) in [
        (
            "needs = [\"backfill\"]",
            "needs = [\"add\"]",
            "t.value, which nothing has filled",
        ),
        ("synced_by = \"trigger\"\n", "", "t.value"),
        // Old code writes what nothing brings over any more.
        ("needs = [\"compare\"]", "needs = [\"backfill\"]", "t.value"),
    ] {
        let project = Project::new(SERVICES).await;
        project
            .database
            .execute("CREATE TABLE t (id int PRIMARY KEY, profile jsonb)")
            .await;
        let plan = planned(&project, &["extract-json", "t.profile", "n", "value", "int"]);
        let file = format!("plans/{}.toml", plan.id());
        let text = project.repo.read(&file);
        assert!(text.contains(from), "{from}: {text}");
        project.repo.write(&file, &text.replace(from, to));
        let output = project.shipctl(&["check", "--json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_ne!(told["proof"]["verdict"], "safe", "{to} for {from}: {told:#}");
        let why = told["proof"]["harm"]["message"].to_string() + &told["warnings"].to_string();
        assert!(why.contains(said), "{to} for {from}: {why}");
    }
}

#[tokio::test]
async fn by_code_that_is_made_worse_is_not_safe_any_more() {
    for (from, to) in [
        ("needs = [\"dual-write\"]", "needs = [\"add\"]"),
        ("needs = [\"backfill\"]", "needs = [\"dual-write\"]"),
        (
            "writes = [\"public.t.value\", \"public.t.profile\"]",
            "writes = [\"public.t.profile\"]",
        ),
    ] {
        let project = Project::new(SERVICES).await;
        project
            .database
            .execute("CREATE TABLE t (id int PRIMARY KEY, profile jsonb)")
            .await;
        let plan = planned(
            &project,
            &["extract-json", "t.profile", "n", "value", "int", "--sync", "code"],
        );
        assert_eq!(
            plan.phases()
                .iter()
                .map(|phase| phase.id.as_str())
                .collect::<Vec<_>>(),
            [
                "add",
                "dual-write",
                "backfill",
                "switch-read",
                "compare",
                "stop-write",
                "drop"
            ]
        );
        let file = format!("plans/{}.toml", plan.id());
        let text = project.repo.read(&file);
        let worse = text.replacen(from, to, 1);
        assert_ne!(text, worse, "{from}");
        project.repo.write(&file, &worse);
        let output = project.shipctl(&["check", "--json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_ne!(told["proof"]["verdict"], "safe", "{to} for {from}: {told:#}");
    }
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, profile jsonb, words text, taken int,
                 made jsonb GENERATED ALWAYS AS ('{}'::jsonb) STORED);
             CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
             CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TABLE late (profile jsonb); CREATE TRIGGER \"~\" BEFORE INSERT ON late FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE TABLE split (profile jsonb) PARTITION BY HASH (profile);
             CREATE TABLE parent (profile jsonb); CREATE TABLE child () INHERITS (parent);",
        )
        .await;
    for (arguments, names) in [
        (&["t.words", "a", "b", "text"][..], &["type text of words"][..]),
        (&["t.made", "a", "b", "text"], &["generated column made"]),
        (&["t.profile", "a", "taken", "text"], &["column taken"]),
        (&["t.profile", "a", "taken", "int4"], &["is there already"]),
        (&["t.profile", "a", "ctid", "text"], &["name ctid"]),
        (&["t.profile", "a", "b", "short"], &["domain public.short"]),
        (&["t.profile", "a", "b", "int[]"], &["type integer[]"]),
        (&["t.profile", "a", "b", "json"], &["type json"]),
        (&["t.profile", "a", "b", "t"], &["type public.t"]),
        (&["t.profile", "a", "b", "nothing"], &["nothing"]),
        (&["t.profile", "a", "b", "int NOT NULL"], &["NOT NULL"]),
        (
            &["t.profile", "a[0]", "b", "int", "--remove-key", "--or-null"],
            &[
                "--or-null with --remove-key",
                "--remove-key of an array's element",
            ],
        ),
        (&["t.profile", "->>a", "b", "int"], &["double quotes"]),
        (&["t.profil", "a", "b", "int"], &["did you mean profile?"]),
        (&["late.profile", "a", "b", "int"], &["trigger \"~\""]),
        (&["split.profile", "a", "b", "int"], &["kind of public.split"]),
        (&["parent.profile", "a", "b", "int"], &["kind of public.parent"]),
        (&["child.profile", "a", "b", "int"], &["kind of public.child"]),
    ] {
        let said = refused(&project, &[&["extract-json"], arguments].concat());
        for name in names {
            assert!(said.contains(name), "{arguments:?}: {name} is not in {said}");
        }
    }
}
