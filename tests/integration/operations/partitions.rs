//! `shipctl plan attach-partition` and `detach-partition`.

use super::{Case, SERVICES, hold, planned, refused};
use crate::catalog::forward;
use crate::support::Project;

#[tokio::test]
async fn a_table_is_attached_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "a range",
            ddl: "CREATE TABLE events (day int NOT NULL, what text) PARTITION BY RANGE (day);
                  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
                  CREATE TABLE events_2 (what text, day int NOT NULL);
                  INSERT INTO events_2 SELECT 'x', n FROM generate_series(10, 19) n;",
            arguments: &["attach-partition", "events", "events_2", "--for", "FROM (10) TO (20)"],
            oracle: "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM (10) TO (20)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a list with NULL, beside a default partition, with difficult names",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"Ord.ers 🐘\" (\"Co, untry\" text, \"I'd\" int) PARTITION BY LIST (lower(\"Co, untry\"));
                  CREATE TABLE \"My Schema\".\"The \"\"rest\" PARTITION OF \"My Schema\".\"Ord.ers 🐘\" DEFAULT;
                  CREATE TABLE \"My Schema\".\"N. 1\" (\"Co, untry\" text, \"I'd\" int);
                  INSERT INTO \"My Schema\".\"The \"\"rest\" VALUES ('FR', 1); INSERT INTO \"My Schema\".\"N. 1\" VALUES ('d''E', 1), (NULL, 2);",
            arguments: &[
                "attach-partition",
                "\"My Schema\".\"Ord.ers 🐘\"",
                "\"My Schema\".\"N. 1\"",
                "--for",
                "IN ('d''e', NULL) -- Germany",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"Ord.ers 🐘\" ATTACH PARTITION \"My Schema\".\"N. 1\" FOR VALUES IN ('d''e', NULL)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "the default partition",
            ddl: "CREATE TABLE events (day int, hour int) PARTITION BY RANGE (day, hour);
                  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0, MINVALUE) TO (10, 5);
                  CREATE TABLE events_rest (day int, hour int); INSERT INTO events_rest VALUES (10, 6), (NULL, 1);",
            arguments: &["attach-partition", "events", "events_rest", "--default"],
            oracle: "ALTER TABLE events ATTACH PARTITION events_rest DEFAULT",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "the only partition, as the default",
            ddl: "CREATE TABLE events (day int) PARTITION BY RANGE (day); CREATE TABLE events_rest (day int);",
            arguments: &["attach-partition", "events", "events_rest", "--default"],
            oracle: "ALTER TABLE events ATTACH PARTITION events_rest DEFAULT",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "with all that a partitioned table can have",
            ddl: "CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1);
                  CREATE TABLE events (day date NOT NULL, id int NOT NULL, user_id int, note text, PRIMARY KEY (day, id),
                      CONSTRAINT one UNIQUE (day, note) DEFERRABLE, CONSTRAINT noted CHECK (note <> ''),
                      CONSTRAINT of_a_user FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE,
                      FOREIGN KEY (id) REFERENCES users) PARTITION BY RANGE (day);
                  CREATE INDEX ON events (user_id, lower(note) DESC) WHERE note <> 'x';
                  CREATE INDEX found_by ON events (note text_pattern_ops) INCLUDE (id);
                  CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
                  CREATE TRIGGER watches AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION noop();
                  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
                  CREATE TABLE events_2 (id int NOT NULL, day date NOT NULL, gone int, user_id int, note text DEFAULT 'y',
                      CONSTRAINT noted CHECK (note <> ''), CONSTRAINT own CHECK (id < 9),
                      CONSTRAINT \"a user\" FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE);
                  ALTER TABLE events_2 DROP gone;
                  CREATE INDEX \"found too\" ON events_2 (note text_pattern_ops) INCLUDE (id);
                  COMMENT ON INDEX \"found too\" IS 'too';
                  INSERT INTO events_2 VALUES (1, '2021-05-05', 1);",
            arguments: &[
                "attach-partition",
                "events",
                "events_2",
                "--for",
                "FROM ('2021-01-01') TO (date '2022-01-01')",
            ],
            oracle: "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "with an index and a foreign key of its own name",
            ddl: "CREATE TABLE users (id int PRIMARY KEY);
                  CREATE TABLE events (day int, user_id int REFERENCES users, UNIQUE (day, user_id)) PARTITION BY RANGE (day);
                  CREATE INDEX ON events (user_id);
                  CREATE TABLE events_2 (day int, user_id int);",
            arguments: &["attach-partition", "events", "events_2", "--for", "FROM (0) TO (MAXVALUE)"],
            oracle: "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM (0) TO (MAXVALUE)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "below a partition",
            ddl: "CREATE TABLE events (day int, kind text) PARTITION BY RANGE (day);
                  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10) PARTITION BY LIST (kind);
                  CREATE TABLE events_1_a (day int, kind text); INSERT INTO events_1_a VALUES (1, 'a');",
            arguments: &["attach-partition", "events_1", "events_1_a", "--for", "IN ('a')"],
            oracle: "ALTER TABLE events_1 ATTACH PARTITION events_1_a FOR VALUES IN ('a')",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn a_partition_is_detached_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "a range",
            ddl: "CREATE TABLE events (day int NOT NULL, what text) PARTITION BY RANGE (day);
                  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
                  CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (MAXVALUE);
                  INSERT INTO events SELECT n, 'x' FROM generate_series(1, 19) n;",
            arguments: &["detach-partition", "events", "events_1"],
            oracle: "ALTER TABLE events DETACH PARTITION events_1",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a list, with difficult names",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"Ord.ers 🐘\" (\"Co, untry\" text, \"I'd\" int) PARTITION BY LIST (\"Co, untry\");
                  CREATE TABLE \"My Schema\".\"N. 1\" PARTITION OF \"My Schema\".\"Ord.ers 🐘\" FOR VALUES IN ('d''e', NULL);
                  INSERT INTO \"My Schema\".\"Ord.ers 🐘\" VALUES ('d''e', 1), (NULL, 2);",
            arguments: &[
                "detach-partition",
                "\"My Schema\".\"Ord.ers 🐘\"",
                "\"My Schema\".\"N. 1\"",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"Ord.ers 🐘\" DETACH PARTITION \"My Schema\".\"N. 1\"",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "with all that a partitioned table can have",
            ddl: "CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1);
                  CREATE TABLE events (day date NOT NULL, id int NOT NULL, user_id int, note text, PRIMARY KEY (day, id),
                      CONSTRAINT one UNIQUE (day, note) DEFERRABLE, CONSTRAINT noted CHECK (note <> ''),
                      CONSTRAINT of_a_user FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE) PARTITION BY RANGE (day);
                  CREATE INDEX ON events (user_id, lower(note) DESC) WHERE note <> 'x';
                  CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
                  CREATE TRIGGER watches AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION noop();
                  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
                  ALTER TABLE events_1 ADD CONSTRAINT own CHECK (id < 9), ALTER note SET DEFAULT 'y';
                  COMMENT ON TABLE events_1 IS 'the first'; CREATE INDEX own_too ON events_1 (id);
                  INSERT INTO events VALUES ('2020-05-05', 1, 1, 'a');",
            arguments: &["detach-partition", "events", "events_1"],
            oracle: "ALTER TABLE events DETACH PARTITION events_1",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a partition of a partition, which has some itself",
            ddl: "CREATE TABLE events (day int, kind text, id int) PARTITION BY RANGE (day);
                  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10) PARTITION BY LIST (kind);
                  CREATE TABLE events_1_a PARTITION OF events_1 FOR VALUES IN ('a') PARTITION BY RANGE (id);
                  CREATE TABLE events_1_a_1 PARTITION OF events_1_a FOR VALUES FROM (0) TO (10);
                  INSERT INTO events VALUES (1, 'a', 1);",
            arguments: &["detach-partition", "events_1", "events_1_a"],
            oracle: "ALTER TABLE events_1 DETACH PARTITION events_1_a",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn attaching_reads_no_table_and_builds_nothing() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY);
             CREATE TABLE events (day int NOT NULL, id int NOT NULL, note text, PRIMARY KEY (day, id),
                 FOREIGN KEY (id) REFERENCES users) PARTITION BY RANGE (day);
             CREATE INDEX ON events (note);
             CREATE TABLE events_rest PARTITION OF events DEFAULT;
             CREATE TABLE events_1 (day int NOT NULL, id int NOT NULL, note text);
             INSERT INTO users SELECT generate_series(1, 100);
             INSERT INTO events_1 SELECT n % 10, n, 'x' FROM generate_series(1, 100) n;
             INSERT INTO events_rest SELECT n % 10 + 10, n, 'x' FROM generate_series(1, 100) n;",
        )
        .await;
    let plan = planned(
        &project,
        &[
            "attach-partition",
            "events",
            "events_1",
            "--for",
            "FROM (0) TO (10)",
        ],
    );
    let session = project.database.session().await;
    let client = session.client();
    forward(&session, &plan.phases()[1].detail).await;
    let indexes = "SELECT count(*) FROM pg_index WHERE indrelid = 'events_1'::regclass";
    let before: i64 = client.query_one(indexes, &[]).await.unwrap().get(0);
    // Another session: what this one has read may not be counted yet.
    let attaching = project.database.session().await;
    let client = attaching.client();
    client
        .batch_execute("BEGIN; ALTER TABLE events ATTACH PARTITION events_1 FOR VALUES FROM (0) TO (10)")
        .await
        .unwrap();
    let read = client
        .query_one(
            "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint FROM pg_stat_xact_user_tables
              WHERE relname IN ('events_1', 'events_rest', 'users')",
            &[],
        )
        .await
        .unwrap();
    let after: i64 = client.query_one(indexes, &[]).await.unwrap().get(0);
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!((read.get::<_, i64>(0), after), (0, before));
    forward(&session, &plan.phases()[2].detail).await;
    let rows = client
        .query_one("SELECT count(*) FROM events", &[])
        .await
        .unwrap();
    assert_eq!(rows.get::<_, i64>(0), 200);
}

#[tokio::test]
async fn without_the_code_that_comes_first_neither_is_called_safe() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE events (day int) PARTITION BY RANGE (day); CREATE TABLE plain (day int);
             CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);",
        )
        .await;
    for (arguments, phase) in [
        (
            &[
                "attach-partition",
                "events",
                "plain",
                "--for",
                "FROM (10) TO (20)",
                "--id",
                "bad",
            ][..],
            "obey",
        ),
        (
            &["detach-partition", "events", "events_1", "--id", "bad"],
            "let-go",
        ),
    ] {
        planned(&project, arguments);
        let plan = project.repo.read("plans/bad.toml");
        let early = plan.replace(&format!("needs = [\"{phase}\"]\n"), "");
        assert_ne!(plan, early);
        project.repo.write("plans/bad.toml", &early);
        let checked = project.shipctl(&["check", "--json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_ne!(told["proof"]["verdict"], "safe", "{phase}: {told:#}");
        std::fs::remove_file(project.repo.path().join("plans/bad.toml")).unwrap();
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE events (day int NOT NULL, note text COLLATE \"C\", price numeric(5, 2), gone int,
                 CONSTRAINT noted CHECK (note <> ''), CONSTRAINT cheap CHECK (price < 3)) PARTITION BY RANGE (day);
             CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
             CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER watches AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE TABLE odd (day int, note text, price numeric(6, 2), more int, CONSTRAINT cheap CHECK (price < 4));
             CREATE TRIGGER watches AFTER INSERT ON odd FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE TRIGGER looks AFTER INSERT ON odd REFERENCING NEW TABLE AS n FOR EACH ROW EXECUTE FUNCTION noop();
             CREATE TABLE plain (day int NOT NULL, note text COLLATE \"C\", price numeric(5, 2), gone int,
                 CONSTRAINT noted CHECK (note <> ''), CONSTRAINT cheap CHECK (price < 3));
             CREATE TABLE hashed (a int) PARTITION BY HASH (a); CREATE TABLE h (a int);
             CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE child () INHERITS (plain);
             CREATE TABLE keyed (a int PRIMARY KEY) PARTITION BY RANGE (a); CREATE TABLE k (a int NOT NULL, b int PRIMARY KEY);
             CREATE TABLE refers (a int CONSTRAINT to_keyed REFERENCES keyed);
             CREATE TABLE keyed_1 PARTITION OF keyed FOR VALUES FROM (0) TO (1);
             CREATE TABLE rest (a int) PARTITION BY RANGE (a); CREATE TABLE rest_1 PARTITION OF rest FOR VALUES FROM (0) TO (1);
             CREATE TABLE rest_2 PARTITION OF rest DEFAULT;
             CREATE TABLE named (a int CONSTRAINT named_in_bound CHECK (a > 0));",
        )
        .await;
    let said = |arguments: &[&str]| {
        let said = refused(&project, arguments);
        // It is broken into lines.
        let words: Vec<&str> = said.split_whitespace().filter(|word| *word != "│").collect();
        words.join(" ")
    };
    let all = said(&["attach-partition", "events", "odd", "--for", "FROM (10) TO (20)"]);
    for what in [
        "column day of public.odd",
        "column note of public.odd",
        "column price of public.odd",
        "column gone of public.odd",
        "column more of public.odd",
        "constraint cheap of public.odd",
        "constraint noted of public.odd",
        "trigger watches of public.odd",
        "trigger looks of public.odd",
    ] {
        assert!(all.contains(what), "{what}: {all}");
    }
    for (arguments, what) in [
        (
            ["events", "plain", "--for", "FROM (5) TO (20)"],
            "would overlap partition",
        ),
        (
            ["events", "plain", "--for", "FROM (5) TO (5)"],
            "empty range bound",
        ),
        (["events", "plain", "--for", "IN (5)"], "for a range partition"),
        (
            ["events", "plain", "--for", "FROM (5) TO (20); DROP TABLE plain"],
            "more than a bound",
        ),
        (
            [
                "events",
                "plain",
                "--for",
                "FROM (5) TO (6) PARTITION BY RANGE (day)",
            ],
            "something follows",
        ),
        (
            ["events", "plain", "--for", "FROM (f()) TO (20)"],
            "function f() does not exist",
        ),
        (
            ["events", "events_1", "--for", "FROM (0) TO (10)"],
            "is a partition of public.events already",
        ),
        (
            ["hashed", "h", "--for", "WITH (MODULUS 2, REMAINDER 1)"],
            "the hash partitioning of public.hashed",
        ),
        (["plain", "h", "--for", "IN (1)"], "it is not partitioned"),
        (
            ["events", "child", "--for", "FROM (10) TO (20)"],
            "inheritance of public.child",
        ),
        (
            ["events", "hashed", "--for", "FROM (10) TO (20)"],
            "partitioned table public.hashed",
        ),
        (["keyed", "k", "--for", "FROM (10) TO (20)"], "primary key k_pkey"),
        (
            ["keyed", "h", "--for", "FROM (10) TO (20)"],
            "foreign key public.refers.to_keyed",
        ),
        (
            ["rest", "named", "--for", "FROM (10) TO (20)"],
            "constraint named_in_bound",
        ),
        (
            ["events", "evnts", "--for", "FROM (10) TO (20)"],
            "did you mean events",
        ),
    ] {
        let said = said(&[&["attach-partition"], arguments.as_slice()].concat());
        assert!(said.contains(what), "{what}: {said}");
    }
    for (parent, child, what) in [
        ("events", "plain", "plain is no partition of public.events"),
        ("hashed", "hashed_1", "the hash partitioning of public.hashed"),
        ("rest", "rest_1", "default partition public.rest_2"),
        ("rest", "rest_2", "default partition public.rest_2"),
        ("keyed", "keyed_1", "foreign key public.refers.to_keyed"),
    ] {
        let said = said(&["detach-partition", parent, child]);
        assert!(said.contains(what), "{what}: {said}");
    }
}
