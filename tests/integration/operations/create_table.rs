//! `shipctl plan create-table`.

use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn a_table_is_made_as_by_its_own_statement() {
    hold(&[
        Case {
            name: "a plain table",
            ddl: "",
            arguments: &[
                "create-table",
                "CREATE TABLE tags (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE DEFAULT 'x')",
            ],
            oracle: "CREATE TABLE tags (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE DEFAULT 'x')",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "foreign keys to several tables, with difficult names",
            ddl: "CREATE SCHEMA \"My Schema\"; CREATE TABLE \"My Schema\".\"Te.ams \"\"🐘\" (\"I d\" bigint PRIMARY KEY, \"(\" text UNIQUE);
                  CREATE TABLE users (id int, region text, PRIMARY KEY (id, region));
                  INSERT INTO users VALUES (1, 'eu');",
            arguments: &[
                "create-table",
                "/* all of it */
                 CREATE TABLE \"My Schema\".\"Mem, bers 🐘\" (
                     \"Id\" serial PRIMARY KEY,
                     team bigint NOT NULL CONSTRAINT \"of, a team\" REFERENCES \"My Schema\".\"Te.ams \"\"🐘\" (\"I d\") ON DELETE CASCADE
                         DEFERRABLE INITIALLY DEFERRED CHECK (team > 0), -- the team, of course
                     \"lett(er\" text COLLATE \"C\" REFERENCES \"My Schema\".\"Te.ams \"\"🐘\" (\"(\"),
                     boss int REFERENCES \"My Schema\".\"Mem, bers 🐘\",
                     user_id int, region text DEFAULT 'e,u',
                     CONSTRAINT \"both, of them\" FOREIGN KEY (user_id, region) REFERENCES users MATCH FULL ON DELETE SET NULL,
                     UNIQUE (region, \"Id\")
                 ) WITH (fillfactor = 70);
                 CREATE INDEX \"by let(ter\" ON \"My Schema\".\"Mem, bers 🐘\" (\"lett(er\" DESC, lower(region)) WHERE team > 3;
                 COMMENT ON TABLE \"My Schema\".\"Mem, bers 🐘\" IS 'it''s; all';
                 COMMENT ON COLUMN \"My Schema\".\"Mem, bers 🐘\".\"lett(er\" IS 'a letter';
                 COMMENT ON CONSTRAINT \"both, of them\" ON \"My Schema\".\"Mem, bers 🐘\" IS 'both';
                 COMMENT ON INDEX \"My Schema\".\"by let(ter\" IS 'an index';
                 GRANT SELECT, INSERT (team) ON \"My Schema\".\"Mem, bers 🐘\" TO PUBLIC;",
            ],
            oracle: "CREATE TABLE \"My Schema\".\"Mem, bers 🐘\" (
                     \"Id\" serial PRIMARY KEY,
                     team bigint NOT NULL CONSTRAINT \"of, a team\" REFERENCES \"My Schema\".\"Te.ams \"\"🐘\" (\"I d\") ON DELETE CASCADE
                         DEFERRABLE INITIALLY DEFERRED CHECK (team > 0),
                     \"lett(er\" text COLLATE \"C\" REFERENCES \"My Schema\".\"Te.ams \"\"🐘\" (\"(\"),
                     boss int REFERENCES \"My Schema\".\"Mem, bers 🐘\",
                     user_id int, region text DEFAULT 'e,u',
                     CONSTRAINT \"both, of them\" FOREIGN KEY (user_id, region) REFERENCES users MATCH FULL ON DELETE SET NULL,
                     UNIQUE (region, \"Id\")
                 ) WITH (fillfactor = 70);
                 CREATE INDEX \"by let(ter\" ON \"My Schema\".\"Mem, bers 🐘\" (\"lett(er\" DESC, lower(region)) WHERE team > 3;
                 CREATE INDEX ON \"My Schema\".\"Mem, bers 🐘\" (team); CREATE INDEX ON \"My Schema\".\"Mem, bers 🐘\" (\"lett(er\");
                 CREATE INDEX ON \"My Schema\".\"Mem, bers 🐘\" (boss); CREATE INDEX ON \"My Schema\".\"Mem, bers 🐘\" (user_id, region);
                 COMMENT ON TABLE \"My Schema\".\"Mem, bers 🐘\" IS 'it''s; all';
                 COMMENT ON COLUMN \"My Schema\".\"Mem, bers 🐘\".\"lett(er\" IS 'a letter';
                 COMMENT ON CONSTRAINT \"both, of them\" ON \"My Schema\".\"Mem, bers 🐘\" IS 'both';
                 COMMENT ON INDEX \"My Schema\".\"by let(ter\" IS 'an index';
                 GRANT SELECT, INSERT (team) ON \"My Schema\".\"Mem, bers 🐘\" TO PUBLIC;",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "an unlogged table, all of whose referring columns are found already",
            ddl: "CREATE TABLE users (id int PRIMARY KEY);",
            arguments: &[
                "create-table",
                "CREATE UNLOGGED TABLE seats (user_id int PRIMARY KEY REFERENCES users, other int, place int, UNIQUE (other, place),
                     FOREIGN KEY (other) REFERENCES users (id) ON UPDATE CASCADE)",
            ],
            oracle: "CREATE UNLOGGED TABLE seats (user_id int PRIMARY KEY REFERENCES users, other int, place int, UNIQUE (other, place),
                     FOREIGN KEY (other) REFERENCES users (id) ON UPDATE CASCADE)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a partitioned table",
            ddl: "CREATE TABLE users (id int PRIMARY KEY);",
            arguments: &[
                "create-table",
                "CREATE TABLE visits (day date, user_id int REFERENCES users) PARTITION BY RANGE (day);
                 CREATE INDEX ON visits (user_id)",
            ],
            oracle: "CREATE TABLE visits (day date, user_id int REFERENCES users) PARTITION BY RANGE (day);
                 CREATE INDEX ON visits (user_id)",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn the_sql_may_be_in_a_file_and_each_other_table_is_locked_by_itself() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute("CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE teams (id int PRIMARY KEY);")
        .await;
    project.repo.write(
        "seats.sql",
        "CREATE TABLE seats (user_id int REFERENCES users, team_id int REFERENCES teams);",
    );
    let plan = planned(&project, &["create-table", "--from", "seats.sql"]);
    let shipctl::plan::PhaseDetail::Expand(run) = &plan.phases()[0].detail else {
        panic!("{:?}", plan.phases()[0].detail);
    };
    for script in [Some(&run.migration.up), run.migration.down.as_ref()]
        .into_iter()
        .flatten()
    {
        for step in &script.steps {
            let others: std::collections::BTreeSet<String> = step
                .statements
                .iter()
                .flat_map(|statement| &statement.locks)
                .filter_map(|lock| lock.table.as_ref())
                .map(ToString::to_string)
                .filter(|table| !table.ends_with("seats"))
                .collect();
            assert!(others.len() < 2, "{others:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_new_table_or_cannot_be_made_is_told() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, name text); CREATE TYPE kind AS ENUM ('a');
             CREATE TABLE split (a int) PARTITION BY RANGE (a);",
        )
        .await;
    for (sql, what) in [
        ("", "does not begin with CREATE TABLE"),
        ("CREATE TABLE", "not valid SQL"),
        ("SELECT 1", "does not begin with CREATE TABLE"),
        ("CREATE TABLE t AS SELECT 1", "does not begin with CREATE TABLE"),
        ("CREATE TABLE t (a int); DROP TABLE users", "neither an index"),
        (
            "CREATE TABLE t (a int); CREATE INDEX ON users (name)",
            "another table",
        ),
        (
            "CREATE TABLE t (a int); COMMENT ON TABLE users IS ''",
            "not about the new table",
        ),
        (
            "CREATE TABLE t (a int); COMMENT ON INDEX users_pkey IS ''",
            "not about the new table",
        ),
        (
            "CREATE TABLE t (a int); GRANT SELECT ON t, users TO PUBLIC",
            "the new table alone",
        ),
        (
            "CREATE TABLE t (a int); GRANT postgres TO t",
            "the new table alone",
        ),
        ("CREATE TABLE t (a int); CREATE TABLE u (a int)", "another table"),
        (
            "CREATE TABLE t (a int); CREATE INDEX CONCURRENTLY i ON t (a)",
            "leave the word out",
        ),
        ("CREATE TABLE IF NOT EXISTS t (a int)", "IF NOT EXISTS"),
        ("CREATE TEMP TABLE t (a int)", "temporary table"),
        ("CREATE TABLE t (LIKE users)", "LIKE"),
        ("CREATE TABLE t () INHERITS (users)", "INHERITS"),
        (
            "CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (1)",
            "attach-partition",
        ),
        ("CREATE TABLE t ()", "no columns"),
        ("CREATE TABLE t (a nothing)", "type \"nothing\" does not exist"),
        (
            "CREATE TABLE t (a int DEFAULT f())",
            "function f() does not exist",
        ),
        ("CREATE TABLE users (a int)", "relation users"),
        ("CREATE TABLE kind (a int)", "type kind"),
        ("CREATE TABLE nowhere.t (a int)", "no schema for nowhere.t"),
        (
            "CREATE TABLE t (a int); CREATE INDEX users_pkey ON t (a)",
            "relation users_pkey",
        ),
        ("CREATE TABLE t (a int REFERENCES others)", "no table others"),
        (
            "CREATE TABLE t (a text REFERENCES users (name))",
            "public.users (name)",
        ),
        ("CREATE TABLE t (a bigint REFERENCES users)", "type bigint of a"),
        (
            "CREATE TABLE t (a int REFERENCES users (nmae))",
            "column nmae of public.users",
        ),
        (
            "CREATE TABLE t (a int, b int, FOREIGN KEY (a, b) REFERENCES users)",
            "as many columns",
        ),
        ("CREATE TABLE t (a int REFERENCES split)", "as many columns"),
    ] {
        let said = refused(&project, &["create-table", sql]);
        // It is broken into lines.
        let said: Vec<&str> = said.split_whitespace().filter(|word| *word != "│").collect();
        let said = said.join(" ");
        assert!(said.contains(what), "{sql}: {said}");
    }
}
