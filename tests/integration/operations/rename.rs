//! `shipctl plan rename`: what cannot be carried over, and may go. Everything else about it is in `rename` and `sync_trigger`.

use super::{Case, SERVICES, hold, refused};
use crate::support::Project;

/// A column that a view, a trigger, a policy and extended statistics rest on.
pub const DEPENDENTS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, other int, \"nick name\" text);
                  INSERT INTO users SELECT n, n, 'nick' || n FROM generate_series(1, 20) n;
                  CREATE VIEW \"Seen\" WITH (security_barrier = true) AS SELECT id, \"nick name\" AS name FROM users;
                  COMMENT ON VIEW \"Seen\" IS 'it''s \\ seen'; COMMENT ON COLUMN \"Seen\".name IS 'named';
                  GRANT SELECT ON \"Seen\" TO pg_monitor WITH GRANT OPTION; GRANT INSERT ON \"Seen\" TO PUBLIC;
                  CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
                  CREATE TRIGGER \"a watch\" BEFORE UPDATE OF \"nick name\" ON users FOR EACH ROW EXECUTE FUNCTION noop();
                  COMMENT ON TRIGGER \"a watch\" ON users IS 'watches';
                  ALTER TABLE users ENABLE ALWAYS TRIGGER \"a watch\";
                  CREATE POLICY \"own's\" ON users AS RESTRICTIVE FOR SELECT TO pg_monitor USING (\"nick name\" <> '');
                  COMMENT ON POLICY \"own's\" ON users IS 'rows';
                  CREATE STATISTICS \"to gether\" (dependencies) ON \"nick name\", other FROM users;
                  COMMENT ON STATISTICS \"to gether\" IS 'counted'; ALTER STATISTICS \"to gether\" SET STATISTICS 20;";

#[tokio::test]
async fn what_cannot_be_carried_over_goes_where_it_is_named() {
    for more in [&[][..], &["--sync", "trigger"]] {
        let arguments = [
            &[
                "rename",
                "users.\"nick name\"",
                "nick",
                "--drop-dependent",
                "\"Seen\"",
                "--drop-dependent",
                "\"a watch\"",
                "--drop-dependent",
                "\"own's\"",
                "--drop-dependent",
                "\"to gether\"",
            ],
            more,
        ]
        .concat();
        hold(&[Case {
            name: "views and the like",
            ddl: DEPENDENTS,
            arguments: Vec::leak(arguments),
            oracle: "DROP VIEW \"Seen\"; DROP TRIGGER \"a watch\" ON users; DROP POLICY \"own's\" ON users; DROP STATISTICS \"to gether\"; 
                     ALTER TABLE users RENAME COLUMN \"nick name\" TO nick",
            stays: "",
            // Row security decides which rows are seen.
            proof: "not-proved",
        }])
        .await;
    }
}

#[tokio::test]
async fn a_name_that_two_dependents_have_lets_neither_go() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE SCHEMA other; CREATE TABLE users (id int, nick text);
             CREATE VIEW seen AS SELECT nick FROM users; CREATE VIEW other.seen AS SELECT nick FROM users",
        )
        .await;
    for operation in [
        &["rename", "users.nick", "name"][..],
        &["drop-column", "users.nick"],
    ] {
        let said = refused(&project, &[operation, &["--drop-dependent", "seen"]].concat());
        let said = said.replace("\n  │ ", " ");
        for name in [
            "view public.seen",
            "view other.seen",
            "--drop-dependent 'other.seen'",
        ] {
            assert!(said.contains(name), "{name}: {said}");
        }
    }
    for (operation, oracle) in [
        (
            &["rename", "users.nick", "name"][..],
            "ALTER TABLE users RENAME nick TO name",
        ),
        (&["drop-column", "users.nick"], "ALTER TABLE users DROP nick"),
    ] {
        let by_schema = [
            "--drop-dependent",
            "public.seen",
            "--drop-dependent",
            "\"Other 1\".seen",
        ];
        hold(&[Case {
            name: "both, by their schemas",
            ddl: "CREATE SCHEMA \"Other 1\"; CREATE TABLE users (id int, nick text);
                  CREATE VIEW seen AS SELECT nick FROM users; CREATE VIEW \"Other 1\".seen AS SELECT nick FROM users",
            arguments: Vec::leak([operation, &by_schema].concat()),
            oracle: String::leak(format!(
                "DROP VIEW seen; DROP VIEW \"Other 1\".seen; {oracle}"
            )),
            stays: "",
            proof: "safe",
        }])
        .await;
    }
}
