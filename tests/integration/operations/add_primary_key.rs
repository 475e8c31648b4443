//! `shipctl plan add-primary-key`.

use shipctl::plan::PhaseDetail;

use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn columns_become_the_primary_key_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "a column that is NOT NULL",
            ddl: "CREATE TABLE events (id bigint NOT NULL, what text);
                  INSERT INTO events SELECT n, 'event ' || n FROM generate_series(1, 20) n;",
            arguments: &["add-primary-key", "events", "id"],
            oracle: "ALTER TABLE events ADD PRIMARY KEY (id)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "columns that may be NULL, with difficult names, and names that are cut",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"
                      (\"Id\" int NOT NULL, \"e.mail\"\"\" text DEFAULT 'a', \"order\" text);
                  COMMENT ON COLUMN \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\".\"Id\" IS 'x';
                  INSERT INTO \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"
                      SELECT n, 'mail', 'x' FROM generate_series(1, 20) n;",
            arguments: &[
                "add-primary-key",
                "\"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"",
                "\"e.mail\"\"\"",
                "order",
                "\"Id\"",
            ],
            oracle:
                "ALTER TABLE \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"
                         ADD PRIMARY KEY (\"e.mail\"\"\", \"order\", \"Id\")",
            stays: "",
            proof: "not-proved",
        },
        Case {
            name: "beside a unique constraint, under a name that is taken, with what refers to it",
            ddl: "CREATE TABLE events (id bigint NOT NULL UNIQUE, twice int GENERATED ALWAYS AS (1) STORED);
                  CREATE TABLE parts (event bigint REFERENCES events (id));
                  CREATE VIEW events_pkey AS SELECT * FROM events;
                  CREATE PUBLICATION p FOR TABLE events WITH (publish = 'insert');",
            arguments: &["add-primary-key", "events", "id"],
            oracle: "ALTER TABLE events ADD PRIMARY KEY (id)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "of an index with everything",
            ddl: "CREATE TABLE \"Odd.events\" (id bigint NOT NULL, \"Of\" int NOT NULL, what text);
                  CREATE UNIQUE INDEX \"An \"\"ON\"\" index\" ON \"Odd.events\" (\"Of\", id) INCLUDE (what) WITH (fillfactor = 70);
                  COMMENT ON INDEX \"An \"\"ON\"\" index\" IS 'it''s mine';
                  ALTER TABLE \"Odd.events\" CLUSTER ON \"An \"\"ON\"\" index\";
                  INSERT INTO \"Odd.events\" SELECT n, n % 3, 'x' FROM generate_series(1, 20) n;",
            arguments: &[
                "add-primary-key",
                "\"Odd.events\"",
                "\"Of\"",
                "id",
                "--using-index",
                "\"An \"\"ON\"\" index\"",
                "--name",
                "\"The key\"",
            ],
            oracle: "ALTER TABLE \"Odd.events\" ADD CONSTRAINT \"The key\" PRIMARY KEY USING INDEX \"An \"\"ON\"\" index\"",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "of the index that replicas tell rows apart by",
            ddl: "CREATE TABLE events (id bigint NOT NULL);
                  CREATE UNIQUE INDEX events_id ON events (id);
                  ALTER TABLE events REPLICA IDENTITY USING INDEX events_id;
                  INSERT INTO events SELECT n FROM generate_series(1, 20) n;",
            arguments: &["add-primary-key", "events", "--using-index", "events_id"],
            oracle: "ALTER TABLE events ADD PRIMARY KEY USING INDEX events_id",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "of the index of a column that may be NULL",
            ddl: "CREATE TABLE events (id bigint);
                  CREATE UNIQUE INDEX events_id ON events (id);
                  INSERT INTO events SELECT n FROM generate_series(1, 20) n;",
            arguments: &["add-primary-key", "events", "id", "--using-index", "events_id"],
            oracle: "ALTER TABLE events ADD PRIMARY KEY USING INDEX events_id",
            stays: "",
            proof: "not-proved",
        },
    ])
    .await;
}

#[tokio::test]
async fn what_cannot_be_the_primary_key_in_phases_is_refused_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, code int);
             CREATE TABLE events (id int NOT NULL, code int, data json, CONSTRAINT code_is_set CHECK (code > 0),
                                  CONSTRAINT one_code UNIQUE (code));
             CREATE UNIQUE INDEX used ON events (id);
             CREATE UNIQUE INDEX few ON events (id) WHERE id > 0;
             CREATE UNIQUE INDEX falling ON events (id DESC);
             CREATE UNIQUE INDEX computed ON events ((id + 1));
             CREATE TABLE parts (event int REFERENCES events (id));
             CREATE TABLE taken ();
             CREATE TABLE split (a int, b int) PARTITION BY RANGE (a);
             CREATE TABLE parents (a int); CREATE TABLE children () INHERITS (parents);
             CREATE VIEW seen AS SELECT * FROM events;
             INSERT INTO events VALUES (1, 1), (2, 2);",
        )
        .await;
    for (arguments, why) in [
        (
            &["users", "id"][..],
            "is the primary key of public.users already, by users_pkey",
        ),
        (&["users", "code"], "primary key users_pkey of public.users"),
        (&["events", "idd"], "did you mean id?"),
        (&["events", "id", "id"], "it is named twice"),
        (&["events", "id", "--name", "taken"], "relation taken"),
        (&["events", "code", "--name", "one_code"], "relation one_code"),
        (&["events", "code"], "constraint code_is_set"),
        (
            &["events", "--using-index", "one_code"],
            "it serves the constraint one_code",
        ),
        (&["events", "--using-index", "few"], "index few"),
        (&["events", "--using-index", "falling"], "index falling"),
        (
            &["events", "--using-index", "computed"],
            "a primary key has columns",
        ),
        (&["events", "id", "code", "--using-index", "used"], "index used"),
        (
            &["events", "--using-index", "used"],
            "parts.parts_event_fkey refers to it",
        ),
        (&["events", "--using-index", "usde"], "did you mean used?"),
        (&["events", "data"], "json"),
        (&["split", "a"], "CONCURRENTLY"),
        (&["parents", "a"], "inheritance of public.parents"),
        (&["children", "a"], "inheritance of public.children"),
        (&["seen", "id"], "it is not a table"),
    ] {
        let said = refused(&project, &[&["add-primary-key"], arguments].concat());
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    if project.database.session().await.server_version() >= 150_000 {
        project
            .database
            .execute(
                "CREATE TABLE ones (a int NOT NULL);
                      CREATE UNIQUE INDEX one_of ON ones (a) NULLS NOT DISTINCT",
            )
            .await;
        let said = refused(&project, &["add-primary-key", "ones", "--using-index", "one_of"]);
        assert!(said.contains("NULLS NOT DISTINCT"), "{said}");
    }
    if project.database.session().await.server_version() >= 180_000 {
        project
            .database
            .execute(
                "CREATE TABLE odd (a int, b int, CONSTRAINT a_there NOT NULL a NO INHERIT, c int GENERATED ALWAYS AS (1) VIRTUAL);
                 ALTER TABLE odd ADD CONSTRAINT b_there NOT NULL b NOT VALID",
            )
            .await;
        for (column, why) in [("a", "a_there"), ("b", "b_there"), ("c", "virtual")] {
            let said = refused(&project, &["add-primary-key", "odd", column]);
            assert!(said.contains(why), "{column}: {said}");
        }
    }
}

#[tokio::test]
async fn rows_that_are_null_end_the_plan_before_anything_is_refused() {
    let project = Project::new(SERVICES).await;
    let database = &project.database;
    database
        .execute("CREATE TABLE users (id int, email text); INSERT INTO users VALUES (1, 'a'), (NULL, 'b'), (2, NULL)")
        .await;
    let plan = planned(&project, &["add-primary-key", "users", "id", "email"]);
    let PhaseDetail::Expand(run) = &plan.phases()[1].detail else {
        panic!("constrain is the second phase");
    };
    let session = database.session().await;
    let first = &run.migration.up.steps[0].statements[0].text;
    let error = session.client().batch_execute(first).await.unwrap_err();
    let said = error.as_db_error().unwrap().message();
    assert!(
        said.contains("public.users holds rows in which id is NULL"),
        "{said}"
    );

    // The phase itself, without the code that it waits for: each column is looked at by itself.
    let text =
        std::fs::read_to_string(project.repo.path().join(format!("plans/{}.toml", plan.id()))).unwrap();
    let begin = "[[phase]]\nid = \"constrain\"\n";
    let (_, constrain) = text.split_once(begin).unwrap();
    let lines = constrain.lines().filter(|line| !line.starts_with("needs"));
    let alone = lines.collect::<Vec<_>>().join("\n");
    std::fs::remove_file(project.repo.path().join(format!("plans/{}.toml", plan.id()))).unwrap();
    project
        .repo
        .write("plans/look.toml", &format!("id = \"look\"\n\n{begin}{alone}\n"));
    for (column, mend) in [("id", "UPDATE users SET id = 3 WHERE id IS NULL"), ("email", "")] {
        let output = project
            .shipctl(&["run", "look", "--env", "production"])
            .output()
            .unwrap();
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        let said = String::from_utf8_lossy(&said).replace("\n  │ ", " ");
        for words in [
            format!("constrain: public.users holds rows in which {column} is NULL"),
            format!("`SELECT * FROM public.users WHERE {column} IS NULL`"),
        ] {
            assert!(said.contains(&words), "{words} is not in {said}");
        }
        assert!(!said.contains("invalid input syntax"), "{said}");
        database.execute(mend).await;
    }
}
