//! `shipctl plan add-unique`.

use super::{Case, SERVICES, hold, refused};
use crate::support::Project;

#[tokio::test]
async fn columns_become_unique_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "one column",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, email text);
                  INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 20) n;
                  INSERT INTO users VALUES (21), (22);",
            arguments: &["add-unique", "users", "email"],
            oracle: "ALTER TABLE users ADD UNIQUE (email)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "several columns with difficult names, and names that are cut",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"
                      (\"Id\" int NOT NULL, \"e.mail\"\"\" text, \"order\" text);
                  INSERT INTO \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"
                      SELECT n, 'mail', 'x' FROM generate_series(1, 20) n;",
            arguments: &[
                "add-unique",
                "\"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"",
                "\"e.mail\"\"\"",
                "order",
                "\"Id\"",
            ],
            oracle:
                "ALTER TABLE \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"
                         ADD UNIQUE (\"e.mail\"\"\", \"order\", \"Id\")",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a default name that is taken, by indexes that do not do",
            ddl: "CREATE TABLE users (id int, email text, gone boolean);
                  CREATE UNIQUE INDEX users_email_key ON users (email) WHERE NOT gone;
                  CREATE UNIQUE INDEX pairs ON users (email, id);
                  ALTER TABLE users ADD CONSTRAINT later UNIQUE (email) DEFERRABLE;
                  CREATE VIEW users_email_key1 AS SELECT 1;
                  INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 20) n;",
            arguments: &["add-unique", "users", "email"],
            oracle: "ALTER TABLE users ADD UNIQUE (email)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a name of one's own",
            ddl: "CREATE TABLE users (a int, b int);",
            arguments: &["add-unique", "users", "b", "a", "--name", "\"One 🐘 each\""],
            oracle: "ALTER TABLE users ADD CONSTRAINT \"One 🐘 each\" UNIQUE (b, a)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a partition",
            ddl: "CREATE TABLE visits (day int, who text) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
                  INSERT INTO visits SELECT n, n::text FROM generate_series(1, 9) n;",
            arguments: &["add-unique", "visits_1", "who"],
            oracle: "ALTER TABLE visits_1 ADD UNIQUE (who)",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn what_cannot_become_unique_in_phases_is_refused_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text, code int CONSTRAINT there CHECK (code > 0), data json);
             CREATE UNIQUE INDEX single ON users (code);
             CREATE TABLE taken ();
             CREATE TABLE split (a int, b int) PARTITION BY RANGE (a);
             CREATE VIEW seen AS SELECT * FROM users;
             INSERT INTO users VALUES (1, 'same'), (2, 'same');",
        )
        .await;
    let session = project.database.session().await;
    session
        .client()
        .batch_execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON users (email)")
        .await
        .unwrap_err();
    for (arguments, why) in [
        (&["users", "id"][..], "is unique already, by users_pkey"),
        (&["users", "code"], "is unique already, by single"),
        (&["users", "emial"], "did you mean email?"),
        (&["users", "email", "email"], "it is named twice"),
        (&["users", "email", "--name", "taken"], "relation taken"),
        (
            &["users", "email", "--name", "there"],
            "constraint there of public.users",
        ),
        (
            &["users", "email", "--name", "broken"],
            "DROP INDEX CONCURRENTLY public.broken",
        ),
        (&["split", "a"], "CONCURRENTLY"),
        (&["seen", "email"], "it is not a table"),
        (&["users", "data"], "json"),
    ] {
        let said = refused(&project, &[&["add-unique"], arguments].concat());
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}
