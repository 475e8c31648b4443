//! `shipctl plan add-enum-value`, `rename-enum-value` and `drop-enum-value`.

use shipctl::plan::PhaseDetail;

use super::{Case, SERVICES, hold, planned, refused};
use crate::rename::{PLAN, Stage};
use crate::run::{command, run, ship, stage_value};
use crate::support::Project;

#[tokio::test]
async fn a_value_comes_as_by_the_one_statement_and_stays() {
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TYPE mood AS ENUM ('glad', 'sad');
                  CREATE TABLE days (id int, felt mood NOT NULL DEFAULT 'glad', feared mood);
                  INSERT INTO days VALUES (1, 'glad', NULL), (2, 'sad', 'sad');",
            arguments: &["add-enum-value", "mood", "calm"],
            oracle: "ALTER TYPE mood ADD VALUE 'calm'",
            stays: "ALTER TYPE mood ADD VALUE 'calm'",
            proof: "safe",
        },
        Case {
            name: "difficult names, arrays, domains and a place of its own",
            ddl: "CREATE SCHEMA \"S.1\"; CREATE TYPE \"S.1\".\"Mo'od 🐘\" AS ENUM ('a', 'it''s \\ so', 'z');
                  CREATE DOMAIN one AS \"S.1\".\"Mo'od 🐘\" CHECK (VALUE <> 'z'); CREATE DOMAIN many AS \"S.1\".\"Mo'od 🐘\"[];
                  CREATE TABLE \"S.1\".\"D\"\"ays\" (a one, b one[], \"C.c\" many, d \"S.1\".\"Mo'od 🐘\"[]);
                  INSERT INTO \"S.1\".\"D\"\"ays\" VALUES ('a', '{a,NULL}', '{z}', '{}');",
            arguments: &["add-enum-value", "\"S.1\".\"Mo'od 🐘\"", "don't \\ say \"x\"", "--after", "it's \\ so"],
            oracle: "ALTER TYPE \"S.1\".\"Mo'od 🐘\" ADD VALUE 'don''t \\ say \"x\"' BEFORE 'z'",
            stays: "ALTER TYPE \"S.1\".\"Mo'od 🐘\" ADD VALUE 'don''t \\ say \"x\"' BEFORE 'z'",
            proof: "safe",
        },
        Case {
            name: "in no table, with a value as long as it may be",
            ddl: "CREATE TYPE mood AS ENUM ();",
            arguments: &["add-enum-value", "mood", "a_value_that_is_as_long_as_a_value_of_an_enum_type_may_be_here_"],
            oracle: "ALTER TYPE mood ADD VALUE 'a_value_that_is_as_long_as_a_value_of_an_enum_type_may_be_here_'",
            stays: "ALTER TYPE mood ADD VALUE 'a_value_that_is_as_long_as_a_value_of_an_enum_type_may_be_here_'",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn a_value_gets_another_name_as_by_the_one_statement_but_for_the_old_one() {
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TYPE mood AS ENUM ('glad', 'sad', 'angry');
                  CREATE TABLE days (id int, felt mood DEFAULT 'glad', CHECK (felt <> 'angry')); CREATE INDEX ON days (felt, id);
                  INSERT INTO days VALUES (1, 'glad'), (2, 'sad'), (3, NULL);",
            arguments: &["rename-enum-value", "mood", "sad", "low"],
            oracle: "ALTER TYPE mood RENAME VALUE 'sad' TO 'low'; ALTER TYPE mood ADD VALUE 'sad' BEFORE 'low'",
            stays: "ALTER TYPE mood ADD VALUE 'low' AFTER 'sad'",
            proof: "safe",
        },
        Case {
            name: "several columns, arrays, domains, difficult names",
            ddl: "CREATE SCHEMA \"S.1\"; CREATE TYPE \"S.1\".\"Mood\" AS ENUM ('a', 'it''s \\ so', 'z');
                  CREATE DOMAIN one AS \"S.1\".\"Mood\" NOT NULL; CREATE DOMAIN many AS \"S.1\".\"Mood\"[] CHECK (VALUE <> '{z}');
                  CREATE TABLE \"S.1\".\"D\"\"ays\" (id int, a one, b one[], \"C.c\" many, d \"S.1\".\"Mood\"[] NOT NULL DEFAULT '{z}',
                      e \"S.1\".\"Mood\");
                  INSERT INTO \"S.1\".\"D\"\"ays\" VALUES (1, 'it''s \\ so', array['a', 'it''s \\ so']::\"S.1\".\"Mood\"[]::one[],
                          array['it''s \\ so', NULL, 'it''s \\ so']::\"S.1\".\"Mood\"[], '{}', NULL),
                      (2, 'a', NULL, NULL, '{a}', 'it''s \\ so'), (3, 'z', '{z}', '{a,z}', '{z}', 'z');",
            arguments: &["rename-enum-value", "\"S.1\".\"Mood\"", "it's \\ so", "New \"one\" 🐘"],
            oracle: "ALTER TYPE \"S.1\".\"Mood\" RENAME VALUE 'it''s \\ so' TO 'New \"one\" 🐘';
                     ALTER TYPE \"S.1\".\"Mood\" ADD VALUE 'it''s \\ so' BEFORE 'New \"one\" 🐘'",
            stays: "ALTER TYPE \"S.1\".\"Mood\" ADD VALUE 'New \"one\" 🐘' BEFORE 'z'",
            proof: "safe",
        },
        Case {
            name: "a partitioned table, and long names",
            ddl: "CREATE TYPE a_type_with_a_name_that_is_as_long_as_a_name_may_be_in_here_xyz AS ENUM ('a', 'b');
                  CREATE TABLE days (id int, felt a_type_with_a_name_that_is_as_long_as_a_name_may_be_in_here_xyz)
                      PARTITION BY RANGE (id);
                  CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (10);
                  INSERT INTO days VALUES (1, 'a'), (2, 'b');",
            arguments: &["rename-enum-value", "a_type_with_a_name_that_is_as_long_as_a_name_may_be_in_here_xyz", "b", "c"],
            oracle: "ALTER TYPE a_type_with_a_name_that_is_as_long_as_a_name_may_be_in_here_xyz RENAME VALUE 'b' TO 'c';
                     ALTER TYPE a_type_with_a_name_that_is_as_long_as_a_name_may_be_in_here_xyz ADD VALUE 'b' BEFORE 'c'",
            stays: "ALTER TYPE a_type_with_a_name_that_is_as_long_as_a_name_may_be_in_here_xyz ADD VALUE 'c'",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn a_value_is_forbidden_as_by_checks() {
    hold(&[
        Case {
            name: "plain",
            ddl: "CREATE TYPE mood AS ENUM ('glad', 'sad', 'angry');
                  CREATE TABLE days (id int, felt mood DEFAULT 'glad', CHECK (felt <> 'angry'));
                  INSERT INTO days VALUES (1, 'glad'), (2, 'sad'), (3, NULL);",
            arguments: &["drop-enum-value", "mood", "angry"],
            oracle: "ALTER TABLE days ADD CONSTRAINT days_felt_angry_check CHECK (felt <> 'angry')",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "several tables, arrays, domains, partitions, difficult names, and rows that hold it",
            ddl: "CREATE SCHEMA \"S.1\"; CREATE TYPE \"S.1\".\"Mood\" AS ENUM ('a', 'it''s \\ so', 'z');
                  CREATE DOMAIN many AS \"S.1\".\"Mood\"[];
                  CREATE TABLE \"S.1\".\"D\"\"ays\" (id int, a \"S.1\".\"Mood\" DEFAULT 'a', \"C.c\" many);
                  INSERT INTO \"S.1\".\"D\"\"ays\" VALUES (1, 'it''s \\ so', array['it''s \\ so', NULL]::\"S.1\".\"Mood\"[]), (2, NULL, '{z}');
                  CREATE TABLE weeks (id int, felt \"S.1\".\"Mood\") PARTITION BY RANGE (id);
                  CREATE TABLE weeks_1 PARTITION OF weeks FOR VALUES FROM (0) TO (10);
                  ALTER TABLE weeks_1 ADD CONSTRAINT \"weeks_felt_it's \\ so_check\" CHECK (id < 100);
                  INSERT INTO weeks VALUES (1, 'a');",
            arguments: &["drop-enum-value", "\"S.1\".\"Mood\"", "it's \\ so", "--fill", "z"],
            oracle: "UPDATE \"S.1\".\"D\"\"ays\" SET a = 'z', \"C.c\" = '{z,NULL}' WHERE id = 1;
                     ALTER TABLE \"S.1\".\"D\"\"ays\" ADD CONSTRAINT \"D\"\"ays_a_it's \\ so_check\" CHECK (a <> 'it''s \\ so'),
                         ADD CONSTRAINT \"D\"\"ays_C.c_it's \\ so_check\" CHECK ('it''s \\ so' <> ALL (\"C.c\"));
                     ALTER TABLE weeks ADD CONSTRAINT \"weeks_felt_it's \\ so_check1\" CHECK (felt <> 'it''s \\ so')",
            stays: "UPDATE \"S.1\".\"D\"\"ays\" SET a = 'z', \"C.c\" = '{z,NULL}' WHERE id = 1",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn the_way_back_of_a_value_sees_that_no_row_holds_it() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute("CREATE TYPE mood AS ENUM ('glad'); CREATE TABLE days (felt mood, all_day mood[])")
        .await;
    let plan = planned(&project, &["add-enum-value", "mood", "calm"]);
    project.database.execute("ALTER TYPE mood ADD VALUE 'calm'").await;
    let PhaseDetail::Expand(run) = &plan.phases()[1].detail else {
        panic!("{:?}", plan.phases()[1]);
    };
    let down = run.migration.down.as_ref().unwrap();
    let session = project.database.session().await;
    for (row, column) in [("('calm', NULL)", "felt"), ("('glad', '{glad,calm}')", "all_day")] {
        let sql = format!("TRUNCATE days; INSERT INTO days VALUES {row}");
        project.database.execute(&sql).await;
        let mut said = String::new();
        for statement in down.statements() {
            if let Err(error) = session.client().batch_execute(&statement.text).await {
                said.push_str(error.as_db_error().unwrap().message());
            }
        }
        assert!(
            said.contains(&format!("public.days holds rows in which {column} is 'calm'")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn plans_in_another_order_are_not_called_safe() {
    for (arguments, phase, needed, instead) in [
        // Written before it is there.
        (
            &["add-enum-value", "mood", "calm"][..],
            "write",
            "add",
            "tolerate",
        ),
        // Old code meets the new value.
        (
            &["rename-enum-value", "mood", "sad", "low"],
            "write-new",
            "add",
            "",
        ),
        // Forgotten before it is gone.
        (
            &["rename-enum-value", "mood", "sad", "low"],
            "read-new",
            "fill",
            "write-new",
        ),
        // Filled while code still writes the old value.
        (
            &["rename-enum-value", "mood", "sad", "low"],
            "fill",
            "write-new",
            "add",
        ),
        // Refused while code writes it.
        (&["drop-enum-value", "mood", "sad"], "forbid", "stop-writing", ""),
    ] {
        let project = Project::new(SERVICES).await;
        project
            .database
            .execute("CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TABLE days (felt mood)")
            .await;
        let plan = planned(&project, arguments);
        let path = format!("plans/{}.toml", plan.id());
        let text = project.repo.read(&path);
        let (before, after) = text
            .split_once(&format!("[[phase]]\nid = \"{phase}\"\n"))
            .unwrap();
        let (own, rest) = after.split_once(&format!("needs = [\"{needed}\"]\n")).unwrap();
        let needs = if instead.is_empty() {
            String::new()
        } else {
            format!("needs = [\"{instead}\"]\n")
        };
        project.repo.write(
            &path,
            &format!("{before}[[phase]]\nid = \"{phase}\"\n{own}{needs}{rest}"),
        );
        let output = project.shipctl(&["check", "--json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdict = &told["proof"]["verdict"];
        assert!(
            verdict == "unsafe" || verdict == "not-proved",
            "{arguments:?} {phase}: {told:#}"
        );
        if phase != "forbid" {
            assert_eq!(verdict, "unsafe", "{arguments:?} {phase}: {told:#}");
        }
    }
}

#[tokio::test]
async fn values_that_cannot_be_changed_are_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TYPE mood AS ENUM ('glad', 'sad', 'Angry'); CREATE SCHEMA app; CREATE TYPE app.size AS ENUM ('s', 'm', 'l');
             CREATE TABLE days (id int, felt mood DEFAULT 'sad', CONSTRAINT several CHECK (felt IN ('sad', 'glad')),
                 low boolean GENERATED ALWAYS AS (felt = 'sad') STORED);
             CREATE INDEX low_days ON days (id) WHERE felt = 'sad'; CREATE UNIQUE INDEX one_a_mood ON days (id, felt);
             CREATE VIEW sad_days AS SELECT id FROM days WHERE felt = 'sad';
             CREATE MATERIALIZED VIEW kept AS SELECT felt FROM days;
             CREATE POLICY glad_only ON days USING (felt <> 'sad');
             CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER looks BEFORE UPDATE ON days FOR EACH ROW WHEN (NEW.felt = 'sad') EXECUTE FUNCTION noop();
             CREATE TABLE weeks (felt mood) PARTITION BY LIST (felt);
             CREATE TYPE pair AS (one mood, two mood); CREATE TYPE span AS RANGE (subtype = mood);
             CREATE DOMAIN gloomy AS mood DEFAULT 'sad';
             CREATE TYPE hue AS ENUM ('red', 'blue'); CREATE FUNCTION any_hue() RETURNS hue LANGUAGE sql AS 'SELECT ''red''::hue';
             CREATE TABLE paints (id hue PRIMARY KEY, other hue DEFAULT any_hue());
             CREATE TABLE cans (paint hue REFERENCES paints);",
        )
        .await;
    for (arguments, reasons) in [
        (
            &["add-enum-value", "moood", "calm"][..],
            &["no-such-type", "did you mean mood?"][..],
        ),
        (&["add-enum-value", "size", "xl"], &["did you mean app.size?"]),
        (&["add-enum-value", "days", "xl"], &["no-such-type"]),
        (&["add-enum-value", "mood", "sad"], &["operation-needless"]),
        (
            &["add-enum-value", "mood", "calm", "--before", "sda"],
            &["no-such-value", "did you mean sad?"],
        ),
        (
            &[
                "add-enum-value",
                "mood",
                "calm",
                "--before",
                "sad",
                "--after",
                "glad",
            ],
            &["cannot be used with"],
        ),
        (
            &[
                "add-enum-value",
                "mood",
                "a_value_that_is_longer_than_a_value_of_an_enum_type_may_be_in_here",
            ],
            &["at most 63 bytes"],
        ),
        (
            &["rename-enum-value", "mood", "angry", "low"],
            &["did you mean Angry?"],
        ),
        (
            &["rename-enum-value", "mood", "sad", "sad"],
            &["operation-needless"],
        ),
        (
            &["rename-enum-value", "mood", "sad", "glad"],
            &["the value 'glad' stands in the way", "drop-enum-value"],
        ),
        (
            &["rename-enum-value", "mood", "sad", "low"],
            &[
                "default value for column felt of table public.days",
                "constraint several on table public.days",
                "default value for column low of table public.days",
                "index public.low_days",
                "public.one_a_mood of public.days",
                "rule _RETURN on view public.sad_days",
                "materialized view public.kept.felt",
                "policy glad_only on table public.days",
                "trigger looks on table public.days",
                "column public.weeks.felt",
                "partition key of public.weeks",
                "composite type public.pair.two",
                "range type public.span",
                "default of domain public.gloomy",
            ],
        ),
        (
            &["rename-enum-value", "hue", "red", "rose"],
            &["paints_pkey of public.paints", "cans_paint_fkey of public.cans"],
        ),
        (
            &["drop-enum-value", "mood", "sad", "--fill", "sad"],
            &[
                "rows would get 'sad' again",
                "default value for column felt of table public.days",
                "index public.low_days",
                "range type public.span",
                "partition key of public.weeks",
                "default of domain public.gloomy",
            ],
        ),
        (
            &["drop-enum-value", "mood", "sad", "--fill", "gald"],
            &["did you mean glad?"],
        ),
        (
            &["drop-enum-value", "hue", "red"],
            &["default of public.paints.other"],
        ),
        (
            &["drop-enum-value", "app.size", "s"],
            &["no column holds values of app.size"],
        ),
    ] {
        let said = refused(&project, arguments);
        let said = said
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace(" │ ", " ");
        for why in reasons {
            assert!(said.contains(why), "{arguments:?}, {why}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_value_runs_to_its_end_and_goes_back_with_its_rows() {
    let mut stage = Stage::new().await;
    for folder in ["plans", "migrations"] {
        for file in std::fs::read_dir(stage.project.repo.path().join(folder)).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
    stage
        .project
        .database
        .execute(
            "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TABLE days (id int PRIMARY KEY, felt mood);
             INSERT INTO days SELECT n, CASE WHEN n % 2 = 0 THEN 'sad' ELSE 'glad' END::mood FROM generate_series(1, 500) n",
        )
        .await;
    planned(
        &stage.project,
        &["rename-enum-value", "mood", "sad", "low", "--id", PLAN],
    );
    let first = stage.release("The first release", None);
    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    let said = run(&stage, &["--to", "add"], 1);
    assert!(said.contains("old-version-running"), "{said}");
    let both = ship(&mut stage, "read-both").await;
    run(&stage, &["--to", "add"], 0);
    let said = run(&stage, &["--to", "fill"], 1);
    assert!(said.contains("old-version-running"), "{said}");
    let new = ship(&mut stage, "write-new").await;
    stage
        .project
        .database
        .execute("INSERT INTO days VALUES (501, 'low')")
        .await;
    run(&stage, &["--to", "fill"], 0);
    let each = "SELECT string_agg(felt || '=' || n, ',' ORDER BY felt)
                  FROM (SELECT felt::text, count(*) AS n FROM days GROUP BY felt) x";
    assert_eq!(stage_value(&stage, each).await, "glad=250,low=251");

    // Code that writes the old name may not come back while rows are filled from it.
    let (exit, said, _) = stage.run(&["can-deploy", both.as_str()]);
    assert_eq!(exit, 1, "{said}");
    command(&stage, "rollback", &["--to", "write-new"], 0);
    let said = command(&stage, "rollback", &["--all"], 1);
    assert!(said.contains("write-new"), "{said}");
    let (exit, said, _) = stage.run(&["can-deploy", first.as_str()]);
    assert_eq!(exit, 1, "{said}");
    for service in ["web", "worker"] {
        stage.deploy(service, &both).await;
    }
    command(&stage, "rollback", &["--all"], 0);
    assert_eq!(stage_value(&stage, each).await, "glad=250,sad=251");

    // And forward again: the value is there already.
    run(&stage, &["--to", "add"], 0);
    for service in ["web", "worker"] {
        stage.deploy(service, &new).await;
    }
    run(&stage, &["--to", "fill"], 0);
    assert_eq!(stage_value(&stage, each).await, "glad=250,low=251");
    let last = ship(&mut stage, "read-new").await;
    let (exit, said, _) = stage.run(&["can-deploy", last.as_str()]);
    assert_eq!(exit, 0, "{said}");

    // Back from the end, code after code.
    for (code, to) in [(&new, &["--to", "write-new"][..]), (&both, &["--all"])] {
        for service in ["web", "worker"] {
            stage.deploy(service, code).await;
        }
        command(&stage, "rollback", to, 0);
    }
    assert_eq!(stage_value(&stage, each).await, "glad=250,sad=251");
}
