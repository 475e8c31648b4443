//! `shipctl plan move-column`.

mod borne;

use super::super::catalog::forward;
use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, name text, bio text);
    CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE, theme text);";

const DIFFICULT: &str = "CREATE SCHEMA \"My Schema\"; CREATE SCHEMA \"Other.s\";
    CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int, region text COLLATE \"C\", held text, differs int,
        \"Na.me \"\"x\"\"\" varchar(30) COLLATE \"C\", PRIMARY KEY (\"Id\", region));
    CREATE TABLE \"Other.s\".\"User.s 🐘\" (region text COLLATE \"C\" NOT NULL, \"I.d\" int NOT NULL, moved text, held int, theirs int,
        CONSTRAINT \"To users\" FOREIGN KEY (\"I.d\", region) REFERENCES \"My Schema\".\"User.s 🐘\" ON UPDATE CASCADE,
        CONSTRAINT \"One each\" UNIQUE (region, \"I.d\"));
    INSERT INTO \"My Schema\".\"User.s 🐘\" VALUES (1, 'a', 'x', 1, 'v1'), (1, 'b', 'x', 1, 'v2 $sync$'), (2, 'a', 'x', 1, NULL);
    INSERT INTO \"Other.s\".\"User.s 🐘\" VALUES ('a', 1, 'x', 1, 1), ('b', 1, 'x', 1, 1), ('a', 2, 'x', 1, 1);";

const ALL: &str = "CREATE TABLE teams (name text PRIMARY KEY); INSERT INTO teams VALUES ('red'), ('blue');
    CREATE TABLE users (id int PRIMARY KEY, other int, team text NOT NULL DEFAULT 'red'
            CONSTRAINT known REFERENCES teams DEFERRABLE INITIALLY DEFERRED CONSTRAINT filled CHECK (team <> ''),
        CONSTRAINT together CHECK (team <> 'x' OR other > 1 OR other IS NULL));
    ALTER TABLE users ADD CONSTRAINT later CHECK (length(team) < 100) NOT VALID;
    COMMENT ON COLUMN users.team IS 'it''s \\ one''s';
    COMMENT ON CONSTRAINT known ON users IS 'to a team'; COMMENT ON CONSTRAINT filled ON users IS 'not empty';
    CREATE INDEX \"by Team\" ON users (team DESC NULLS LAST) WITH (fillfactor = 70) WHERE team > 'a';
    COMMENT ON INDEX \"by Team\" IS 'for lookups';
    CREATE INDEX lowered ON users (lower(team)); ALTER INDEX lowered ALTER COLUMN 1 SET STATISTICS 400;
    ALTER TABLE users CLUSTER ON lowered;
    CREATE INDEX pair ON users (team, other);
    CREATE VIEW seen AS SELECT id, team FROM users; GRANT SELECT ON seen TO pg_monitor; COMMENT ON VIEW seen IS 'seen';
    CREATE STATISTICS related ON team, other FROM users;
    ALTER TABLE users ALTER COLUMN team SET STATISTICS 250; ALTER TABLE users ALTER COLUMN team SET STORAGE EXTERNAL;
    ALTER TABLE users ALTER COLUMN team SET (n_distinct = -0.5);
    GRANT SELECT (team), REFERENCES (team) ON users TO pg_monitor WITH GRANT OPTION;
    CREATE TABLE members (user_id int PRIMARY KEY CONSTRAINT to_users REFERENCES users, side text);
    GRANT SELECT ON members TO pg_monitor; COMMENT ON TABLE members IS 'of teams';
    INSERT INTO users VALUES (1, 1, 'red'), (2, 2, 'blue'), (3, NULL, 'blue'); INSERT INTO members VALUES (1, 'a'), (2, 'b'), (3, 'c');";

#[tokio::test]
async fn a_column_moves_as_by_a_few_statements() {
    let ddl = |more: &str| &*format!("{USERS} {more}").leak();
    hold(&[
        Case {
            name: "plain",
            ddl: ddl(
                "INSERT INTO users SELECT n, 'n' || n, 'bio ' || n FROM generate_series(1, 20) n;
                 INSERT INTO users VALUES (21, 'x', NULL), (22, 'y', NULL);
                 INSERT INTO profiles SELECT n, 'dark' FROM generate_series(1, 21) n;",
            ),
            arguments: &["move-column", "users.bio", "profiles"],
            oracle: "ALTER TABLE profiles ADD COLUMN bio text;
                     UPDATE profiles SET bio = users.bio FROM users WHERE users.id = user_id;
                     ALTER TABLE users DROP COLUMN bio",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "another name, a schema, and --on",
            ddl: ddl("INSERT INTO users VALUES (1, 'x', 'a'); INSERT INTO profiles VALUES (1, 'x')"),
            arguments: &["move-column", "users.bio", "public.profiles.about", "--on", "users.id=profiles.user_id"],
            oracle: "ALTER TABLE profiles ADD COLUMN about text;
                     UPDATE profiles SET about = users.bio FROM users WHERE users.id = user_id;
                     ALTER TABLE users DROP COLUMN bio",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "with rows that are made",
            ddl: ddl(
                "INSERT INTO users SELECT n, 'n' || n, 'bio ' || n FROM generate_series(1, 20) n;
                 INSERT INTO users VALUES (21, 'x', NULL); INSERT INTO profiles VALUES (7, 'dark'), (21, 'light');",
            ),
            arguments: &["move-column", "users.bio", "profiles.about", "--create-rows"],
            oracle: "ALTER TABLE profiles ADD COLUMN about text;
                     INSERT INTO profiles (user_id) SELECT id FROM users WHERE bio IS NOT NULL ON CONFLICT DO NOTHING;
                     UPDATE profiles SET about = users.bio FROM users WHERE users.id = user_id;
                     ALTER TABLE users DROP COLUMN bio",
            stays: "INSERT INTO profiles (user_id) SELECT id FROM users WHERE bio IS NOT NULL ON CONFLICT DO NOTHING",
            proof: "safe",
        },
        Case {
            name: "with values that may go",
            ddl: ddl(
                "INSERT INTO users VALUES (1, 'x', 'a'), (2, 'y', 'b'); INSERT INTO profiles VALUES (1, 'x')",
            ),
            arguments: &["move-column", "users.bio", "profiles", "--lossy"],
            oracle: "ALTER TABLE profiles ADD COLUMN bio text;
                     UPDATE profiles SET bio = users.bio FROM users WHERE users.id = user_id;
                     ALTER TABLE users DROP COLUMN bio",
            stays: "UPDATE users SET bio = NULL WHERE id = 2",
            proof: "safe",
        },
        Case {
            name: "unique",
            ddl: ddl(
                "ALTER TABLE users ADD UNIQUE (bio); COMMENT ON CONSTRAINT users_bio_key ON users IS 'one each';
                 INSERT INTO users VALUES (1, 'x', 'a'), (2, 'y', 'b'); INSERT INTO profiles VALUES (1, 'x'), (2, 'y')",
            ),
            arguments: &["move-column", "users.bio", "profiles"],
            oracle: "ALTER TABLE profiles ADD COLUMN bio text;
                     UPDATE profiles SET bio = users.bio FROM users WHERE users.id = user_id;
                     ALTER TABLE users DROP COLUMN bio;
                     ALTER TABLE profiles ADD CONSTRAINT users_bio_key UNIQUE (bio);
                     COMMENT ON CONSTRAINT users_bio_key ON profiles IS 'one each'",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "to the table that the other refers to",
            ddl: "CREATE TABLE users (id int PRIMARY KEY, name text);
                  CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users, about numeric DEFAULT 1.50);
                  INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO profiles VALUES (1, 1.50), (3, NULL);",
            arguments: &["move-column", "profiles.about", "users"],
            oracle: "ALTER TABLE users ADD COLUMN about numeric;
                     UPDATE users SET about = profiles.about FROM profiles WHERE users.id = user_id;
                     ALTER TABLE users ALTER COLUMN about SET DEFAULT 1.50; ALTER TABLE profiles DROP COLUMN about",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "difficult names",
            ddl: DIFFICULT,
            arguments: &[
                "move-column",
                "\"My Schema\".\"User.s 🐘\".\"Na.me \"\"x\"\"\"",
                "\"Other.s\".\"User.s 🐘\".\"Na.me \"\"y\"\"\"",
                "--on",
                "\"Other.s\".\"User.s 🐘\".region=\"My Schema\".\"User.s 🐘\".region",
                "--on",
                "\"My Schema\".\"User.s 🐘\".\"Id\"=\"Other.s\".\"User.s 🐘\".\"I.d\"",
            ],
            oracle: "ALTER TABLE \"Other.s\".\"User.s 🐘\" ADD COLUMN \"Na.me \"\"y\"\"\" varchar(30) COLLATE \"C\";
                     UPDATE \"Other.s\".\"User.s 🐘\" t SET \"Na.me \"\"y\"\"\" = s.\"Na.me \"\"x\"\"\" FROM \"My Schema\".\"User.s 🐘\" s
                      WHERE s.\"Id\" = t.\"I.d\" AND s.region = t.region;
                     ALTER TABLE \"My Schema\".\"User.s 🐘\" DROP COLUMN \"Na.me \"\"x\"\"\"",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "names as long as they can be",
            ddl: "CREATE TABLE ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt (id int PRIMARY KEY, üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü text);
                  CREATE TABLE theirs (id int PRIMARY KEY REFERENCES ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt);
                  CREATE INDEX iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii
                      ON ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt (üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü);
                  INSERT INTO ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt VALUES (1, 'a'); INSERT INTO theirs VALUES (1)",
            arguments: &[
                "move-column",
                "ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt.üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü",
                "theirs.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ],
            oracle: "ALTER TABLE theirs ADD COLUMN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa text;
                     UPDATE theirs SET aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 'a';
                     ALTER TABLE ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt DROP COLUMN üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü;
                     CREATE INDEX iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii
                         ON theirs (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "all that a column can carry",
            ddl: ALL.replace("CONSTRAINT together CHECK (team <> 'x' OR other > 1 OR other IS NULL)", "CHECK (other > 0)").leak(),
            arguments: &[
                "move-column", "users.team", "members.\"Te am\"",
                "--drop-dependent", "pair", "--drop-dependent", "seen", "--drop-dependent", "related",
            ],
            oracle: "ALTER TABLE members ADD COLUMN \"Te am\" text;
                     UPDATE members SET \"Te am\" = team FROM users WHERE users.id = user_id;
                     DROP VIEW seen; DROP STATISTICS related; ALTER TABLE users DROP COLUMN team;
                     ALTER TABLE members ALTER COLUMN \"Te am\" SET NOT NULL, ALTER COLUMN \"Te am\" SET DEFAULT 'red',
                         ADD CONSTRAINT known FOREIGN KEY (\"Te am\") REFERENCES teams DEFERRABLE INITIALLY DEFERRED,
                         ADD CONSTRAINT filled CHECK (\"Te am\" <> '');
                     ALTER TABLE members ADD CONSTRAINT later CHECK (length(\"Te am\") < 100) NOT VALID;
                     COMMENT ON COLUMN members.\"Te am\" IS 'it''s \\ one''s';
                     COMMENT ON CONSTRAINT known ON members IS 'to a team'; COMMENT ON CONSTRAINT filled ON members IS 'not empty';
                     CREATE INDEX \"by Team\" ON members (\"Te am\" DESC NULLS LAST) WITH (fillfactor = 70) WHERE \"Te am\" > 'a';
                     COMMENT ON INDEX \"by Team\" IS 'for lookups';
                     CREATE INDEX lowered ON members (lower(\"Te am\")); ALTER INDEX lowered ALTER COLUMN 1 SET STATISTICS 400;
                     ALTER TABLE members ALTER COLUMN \"Te am\" SET STATISTICS 250;
                     ALTER TABLE members ALTER COLUMN \"Te am\" SET STORAGE EXTERNAL;
                     ALTER TABLE members ALTER COLUMN \"Te am\" SET (n_distinct = -0.5);
                     GRANT SELECT (\"Te am\"), REFERENCES (\"Te am\") ON members TO pg_monitor WITH GRANT OPTION",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

const ROWS: &str = "SELECT coalesce(string_agg(concat_ws('|', coalesce(u.id, p.user_id), coalesce(u.bio, '-'),
    CASE WHEN p.user_id IS NULL THEN 'none' ELSE coalesce(p.about, '-') END), ' ' ORDER BY coalesce(u.id, p.user_id)), '')
    FROM users u FULL JOIN profiles p ON p.user_id = u.id";

/// Takes a plan up to a phase, and tells what statements come to; an error by its code.
async fn lived(ddl: &str, arguments: &[&str], rows: &str, statements: &[(&str, &str)]) {
    for until in ["add", "backfill", "compare"] {
        let project = Project::new(SERVICES).await;
        let session = project.database.session().await;
        project.database.execute(ddl).await;
        let plan = planned(&project, arguments);
        for phase in plan.phases() {
            forward(&session, &phase.detail).await;
            if phase.id.as_str() == until {
                break;
            }
        }
        let client = session.client();
        for (statement, expected) in statements {
            if let Err(error) = client.batch_execute(statement).await {
                let _ = client.batch_execute("ROLLBACK").await;
                let code = error
                    .code()
                    .map_or_else(|| error.to_string(), |code| code.code().to_owned());
                assert_eq!(&code, expected, "{until}: {statement}: {error:?}");
                continue;
            }
            let found: String = client.query_one(rows, &[]).await.unwrap().get(0);
            assert_eq!(&found, expected, "{until}: {statement}");
        }
    }
}

#[tokio::test]
async fn old_and_new_code_see_what_the_other_writes() {
    lived(USERS, &["move-column", "users.bio", "profiles.about"], ROWS, &[
        // Old code.
        ("INSERT INTO users VALUES (1, 'x', 'a'), (2, 'y', NULL), (3, 'z', 'c')", "1|a|none 2|-|none 3|c|none"),
        ("INSERT INTO profiles (user_id) VALUES (1), (2)", "1|a|a 2|-|- 3|c|none"),
        ("UPDATE users SET bio = bio || '!', name = 'n'", "1|a!|a! 2|-|- 3|c!|none"),
        ("UPDATE users SET bio = 'b' WHERE id = 2; UPDATE users SET bio = NULL WHERE id = 1", "1|-|- 2|b|b 3|c!|none"),
        ("UPDATE users SET name = 'm'; UPDATE users SET bio = bio; UPDATE profiles SET theme = 'dark'", "1|-|- 2|b|b 3|c!|none"),
        ("INSERT INTO users VALUES (2, 'y', 'bb'), (4, 'w', 'd') ON CONFLICT (id) DO UPDATE SET bio = EXCLUDED.bio", "1|-|- 2|bb|bb 3|c!|none 4|d|none"),
        ("WITH made AS (INSERT INTO users VALUES (5, 'v', 'e') RETURNING id) INSERT INTO profiles SELECT id, 'dark' FROM made; SET CONSTRAINTS ALL IMMEDIATE",
         "1|-|- 2|bb|bb 3|c!|none 4|d|none 5|e|e"),
        ("WITH changed AS (UPDATE users SET bio = 'dd' WHERE id = 4 RETURNING id) INSERT INTO profiles SELECT id, 'dark' FROM changed",
         "1|-|- 2|bb|bb 3|c!|none 4|dd|dd 5|e|e"),
        ("DELETE FROM profiles WHERE user_id = 4; DELETE FROM users WHERE id = 5", "1|-|- 2|bb|bb 3|c!|none 4|dd|none"),
        // A value lives on without the row, and comes back with one.
        ("INSERT INTO profiles (user_id) VALUES (4)", "1|-|- 2|bb|bb 3|c!|none 4|dd|dd"),
        // New code.
        ("UPDATE profiles SET about = 'n' WHERE user_id = 1; UPDATE profiles SET about = NULL WHERE user_id = 4", "1|n|n 2|bb|bb 3|c!|none 4|-|-"),
        ("INSERT INTO profiles (user_id, about) VALUES (3, 'm') ON CONFLICT DO NOTHING", "1|n|n 2|bb|bb 3|m|m 4|-|-"),
        ("INSERT INTO profiles (user_id, about) VALUES (3, 'o') ON CONFLICT DO NOTHING", "1|n|n 2|bb|bb 3|m|m 4|-|-"),
        ("INSERT INTO profiles (user_id, about) VALUES (3, 'p'), (4, 'q') ON CONFLICT (user_id) DO UPDATE SET about = EXCLUDED.about", "1|n|n 2|bb|bb 3|p|p 4|q|q"),
        ("INSERT INTO profiles (user_id, about) VALUES (3, NULL) ON CONFLICT (user_id) DO UPDATE SET about = EXCLUDED.about", "1|n|n 2|bb|bb 3|-|- 4|q|q"),
        ("INSERT INTO users (id, name) VALUES (6, 'u'); INSERT INTO profiles (user_id, about) VALUES (6, 'f')", "1|n|n 2|bb|bb 3|-|- 4|q|q 6|f|f"),
        ("DELETE FROM users WHERE id IN (1, 3)", "2|bb|bb 4|q|q 6|f|f"),
        ("INSERT INTO profiles (user_id, about) VALUES (9, 'x')", "23503"),
        // Keys: a row with another value does not become the partner of this one.
        ("UPDATE profiles SET user_id = 7 WHERE user_id = 6", "23503"),
        ("INSERT INTO users VALUES (7, 't', 'g'), (8, 's', 'f')", "2|bb|bb 4|q|q 6|f|f 7|g|none 8|f|none"),
        ("UPDATE profiles SET user_id = 7 WHERE user_id = 6", "23000"),
        ("UPDATE profiles SET user_id = 8 WHERE user_id = 6", "2|bb|bb 4|q|q 6|f|none 7|g|none 8|f|f"),
        ("UPDATE profiles SET user_id = 7, about = 'h' WHERE user_id = 8", "2|bb|bb 4|q|q 6|f|none 7|h|h 8|f|none"),
        ("UPDATE users SET id = 9 WHERE id = 2", "23503"),
        // One without a value takes that of its new partner.
        ("UPDATE profiles SET about = NULL WHERE user_id = 7; UPDATE profiles SET user_id = 6 WHERE user_id = 7", "2|bb|bb 4|q|q 6|f|f 7|-|none 8|f|none"),
        // What logical replication brings.
        ("SET session_replication_role = replica; UPDATE users SET bio = 'r' WHERE id = 2; UPDATE profiles SET about = 's' WHERE user_id = 4;
          RESET session_replication_role", "2|r|r 4|s|s 6|f|f 7|-|none 8|f|none"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE users SET bio = 't' WHERE id = 2; UPDATE profiles SET about = about || 'u' WHERE user_id = 2; COMMIT",
         "2|tu|tu 4|s|s 6|f|f 7|-|none 8|f|none"),
    ])
    .await;
}

#[tokio::test]
async fn rows_are_made_for_values_that_have_none() {
    lived(USERS, &["move-column", "users.bio", "profiles.about", "--create-rows"], ROWS, &[
        ("INSERT INTO users VALUES (1, 'x', 'a'), (2, 'y', NULL)", "1|a|a 2|-|none"),
        ("UPDATE users SET bio = 'b'", "1|b|b 2|b|b"),
        ("DELETE FROM profiles WHERE user_id = 1; UPDATE users SET bio = 'c' WHERE id = 1", "1|c|c 2|b|b"),
        ("INSERT INTO users (id) VALUES (3); INSERT INTO profiles (user_id, about) VALUES (3, 'd'), (2, 'e')
              ON CONFLICT (user_id) DO UPDATE SET about = EXCLUDED.about", "1|c|c 2|e|e 3|d|d"),
        ("UPDATE users SET bio = NULL WHERE id = 3; UPDATE users SET id = 4 WHERE id = 3", "23503"),
        ("UPDATE users SET bio = NULL WHERE id = 3; UPDATE profiles SET about = 'f' WHERE user_id = 1", "1|f|f 2|e|e 3|-|-"),
    ])
    .await;
}

#[tokio::test]
async fn the_table_that_is_referred_to_gets_the_column_of_the_other() {
    let ddl = "CREATE TABLE profiles (user_id bigint PRIMARY KEY, theme text);
               CREATE TABLE users (id bigint PRIMARY KEY REFERENCES profiles ON UPDATE CASCADE ON DELETE CASCADE, name text, bio text DEFAULT 'none yet');
               INSERT INTO profiles VALUES (1), (2), (3), (4), (5); INSERT INTO users VALUES (1, 'x', 'a');";
    lived(
        ddl,
        &["move-column", "users.bio", "profiles.about"],
        ROWS,
        &[
            ("UPDATE users SET bio = 'b'", "1|b|b 2|-|- 3|-|- 4|-|- 5|-|-"),
            (
                "INSERT INTO users VALUES (2, 'y', 'c'), (3, 'z', NULL)",
                "1|b|b 2|c|c 3|-|- 4|-|- 5|-|-",
            ),
            (
                "INSERT INTO users (id) VALUES (4)",
                "1|b|b 2|c|c 3|-|- 4|none yet|none yet 5|-|-",
            ),
            (
                "UPDATE profiles SET about = 'd' WHERE user_id IN (1, 5)",
                "1|d|d 2|c|c 3|-|- 4|none yet|none yet 5|-|d",
            ),
            // New code leaves it out; the default is none that was given.
            (
                "INSERT INTO users (id) VALUES (5)",
                "1|d|d 2|c|c 3|-|- 4|none yet|none yet 5|d|d",
            ),
            (
                "INSERT INTO profiles (user_id, about) VALUES (6, 'e'); INSERT INTO users (id) VALUES (6)",
                "1|d|d 2|c|c 3|-|- 4|none yet|none yet 5|d|d 6|e|e",
            ),
            (
                "DELETE FROM users WHERE id = 6; INSERT INTO users (id, bio) VALUES (6, 'f')",
                "1|d|d 2|c|c 3|-|- 4|none yet|none yet 5|d|d 6|f|f",
            ),
            (
                "DELETE FROM profiles WHERE user_id IN (3, 4, 5)",
                "1|d|d 2|c|c 6|f|f",
            ),
            // The key of both changes together.
            (
                "UPDATE profiles SET user_id = 7 WHERE user_id = 6; UPDATE users SET bio = 'g' WHERE id = 7",
                "1|d|d 2|c|c 7|g|g",
            ),
            ("UPDATE users SET id = 2 WHERE id = 7", "23505"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_plan_that_is_made_worse_is_not_safe_any_more() {
    let without = |what: &'static [&'static str]| {
        move |text: String| {
            let mut statements: Vec<&str> = text.split(";\n").collect();
            let before = statements.len();
            statements.retain(|statement| !what.iter().any(|part| statement.trim_start().starts_with(part)));
            assert!(statements.len() < before, "{what:?}: {text}");
            let mut text = statements.join(";\n");
            for part in what {
                if let Some(name) = part.strip_prefix("CREATE TRIGGER ") {
                    let name = name.split(' ').next().unwrap();
                    let table = part.rsplit(' ').next().unwrap();
                    // It is neither enabled then.
                    let enable = format!("ALTER TABLE {table} ");
                    text = text
                        .split('\n')
                        .map(|line| {
                            if line.starts_with(&enable) {
                                line.replace(&format!(", ENABLE ALWAYS TRIGGER {name}"), "")
                                    .replace(&format!("ENABLE ALWAYS TRIGGER {name}, "), "")
                            } else {
                                line.to_owned()
                            }
                        })
                        .collect::<Vec<_>>()
                        .join("\n");
                }
            }
            text
        }
    };
    let replaced = |from: &'static str, to: &'static str| {
        move |text: String| {
            assert!(text.contains(from), "{from}: {text}");
            text.replacen(from, to, 1)
        }
    };
    type Worse = Box<dyn Fn(String) -> String>;
    let cases: Vec<(&str, &str, Worse, &str)> = vec![
        ("nothing", "plans", Box::new(|text| text), "safe"),
        (
            "the switch before the backfill",
            "plans",
            Box::new(replaced("needs = [\"constrain\"]", "needs = [\"add\"]")),
            "profiles.bio",
        ),
        (
            "the switch beside the backfill",
            "plans",
            Box::new(replaced("needs = [\"constrain\"]", "needs = [\"add\"]")),
            "nothing has filled",
        ),
        (
            "the drop before the switch",
            "plans",
            Box::new(replaced("needs = [\"relax\"]", "needs = [\"constrain\"]")),
            "users.bio",
        ),
        (
            "the drop before all",
            "plans",
            Box::new(replaced("needs = [\"relax\"]", "needs = [\"add\"]")),
            "users.bio",
        ),
        (
            "no word of the triggers",
            "plans",
            Box::new(replaced("synced_by = \"trigger\"\n", "")),
            "profiles.bio",
        ),
        (
            "no trigger hands on the source",
            "add",
            Box::new(without(&[
                "CREATE TRIGGER zz_move_users_bio_update AFTER UPDATE OF bio ON public.users",
            ])),
            "profiles.bio",
        ),
        (
            "no trigger hands on the target",
            "add",
            Box::new(without(&[
                "CREATE TRIGGER zz_move_users_bio_update AFTER UPDATE OF bio ON public.profiles",
            ])),
            "users.bio",
        ),
        (
            "no trigger takes for rows that come",
            "add",
            Box::new(without(&[
                "CREATE TRIGGER zz_move_users_bio_insert BEFORE INSERT ON public.profiles",
            ])),
            "profiles.bio",
        ),
        (
            "no trigger hands on rows that come",
            "add",
            Box::new(without(&[
                "CREATE TRIGGER zz_move_users_bio_pair AFTER INSERT ON public.profiles",
            ])),
            "users.bio",
        ),
        (
            "it hands on something else",
            "add",
            Box::new(|text: String| text.replace("SET bio = NEW.bio", "SET bio = NEW.id::text")),
            "bio",
        ),
        (
            "the triggers go before the old code",
            "constrain",
            Box::new(replaced(
                "CREATE INDEX",
                "DROP TRIGGER zz_move_users_bio_update ON public.users;\nCREATE INDEX",
            )),
            "users.bio",
        ),
        (
            "the triggers of the target stay",
            "drop",
            Box::new(without(&[
                "DROP TRIGGER zz_move_users_bio_insert ON public.profiles",
                "DROP TRIGGER zz_move_users_bio_pair ON public.profiles",
                "DROP TRIGGER zz_move_users_bio_update ON public.profiles",
                "DROP FUNCTION public.zz_move_users_bio_target",
            ])),
            "users.bio",
        ),
    ];
    for (name, place, worse, said) in cases {
        let project = Project::new(SERVICES).await;
        project
            .database
            .execute(&format!("{USERS} CREATE INDEX by_bio ON users (bio); ALTER TABLE users ADD CONSTRAINT filled CHECK (bio <> '')"))
            .await;
        planned(&project, &["move-column", "users.bio", "profiles"]);
        let folder = if place == "plans" { "plans" } else { "migrations" };
        let file = std::fs::read_dir(project.repo.path().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| place == "plans" || path.to_string_lossy().contains(&format!("_{place}_")))
            .unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, worse(text)).unwrap();
        let output = project.shipctl(&["check", "--json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdict = told["proof"]["verdict"].as_str().unwrap_or_default();
        if said == "safe" {
            assert_eq!(verdict, "safe", "{name}: {:#}", told["proof"]);
            continue;
        }
        assert_eq!(verdict, "unsafe", "{name}: {:#}", told["proof"]);
        let why = told["proof"]["harm"]["message"].to_string();
        assert!(why.contains(said), "{name}: {why}");
    }
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, bio text, strict text NOT NULL, often uuid NOT NULL DEFAULT gen_random_uuid(),
                 once text DEFAULT 'x' UNIQUE, checked text CONSTRAINT is_set CHECK (checked IS NOT NULL), pair text, other text,
                 made text GENERATED ALWAYS AS (bio) STORED, parent int CONSTRAINT to_parent REFERENCES users ON DELETE CASCADE);
             CREATE INDEX together ON users (pair, other); CREATE VIEW seen AS SELECT pair FROM users;
             CREATE TABLE profiles (user_id int PRIMARY KEY CONSTRAINT to_users REFERENCES users, theme text, needed int NOT NULL);
             CREATE TABLE many (user_id int NOT NULL REFERENCES users); CREATE TABLE nullable (user_id int UNIQUE REFERENCES users);
             CREATE TABLE late (user_id int PRIMARY KEY CONSTRAINT to_late REFERENCES users DEFERRABLE);
             CREATE TABLE partly (user_id int NOT NULL REFERENCES users, gone boolean);
             CREATE UNIQUE INDEX ON partly (user_id) WHERE NOT gone;
             CREATE TABLE loose (user_id int PRIMARY KEY);
             CREATE TABLE twice (user_id int PRIMARY KEY CONSTRAINT one REFERENCES users, id int NOT NULL UNIQUE CONSTRAINT two REFERENCES users);
             CREATE UNLOGGED TABLE quick (user_id int PRIMARY KEY REFERENCES users);
             CREATE TABLE hidden (user_id int PRIMARY KEY REFERENCES users); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
             CREATE TABLE ruled (user_id int PRIMARY KEY REFERENCES users); CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;
             CREATE TABLE amounts (id numeric PRIMARY KEY, x text); CREATE TABLE typed (user_id int PRIMARY KEY REFERENCES amounts);
             CREATE TABLE parted (user_id int PRIMARY KEY REFERENCES users) PARTITION BY HASH (user_id);
             CREATE TABLE kid () INHERITS (loose);
             CREATE TABLE has (user_id int PRIMARY KEY REFERENCES users, bio text, CONSTRAINT later CHECK (bio <> ''));
             ALTER TABLE users ADD CONSTRAINT later CHECK (bio <> '');
             CREATE ROLE \"mover ü\"; GRANT UPDATE ON users TO \"mover ü\";",
        )
        .await;
    for (column, target, more, names) in [
        ("users.nope", "profiles", &[][..], &["no column nope"][..]),
        ("users.bio", "nowhere", &[], &["no table nowhere"]),
        ("users.bio", "profiles.b.c", &[], &["no table profiles.b"]),
        ("users.bio", "users", &[], &["table public.users"]),
        (
            "users.id",
            "profiles.x",
            &[],
            &["primary key users_pkey", "rows pair by id itself"],
        ),
        (
            "users.strict",
            "profiles",
            &[],
            &["NOT NULL of strict", "set-default"],
        ),
        (
            "users.often",
            "profiles",
            &[],
            &["default of often", "gen_random_uuid()"],
        ),
        ("users.once", "profiles", &[], &["unique index users_once_key"]),
        ("users.checked", "profiles", &[], &["check constraint is_set"]),
        (
            "users.pair",
            "profiles",
            &[],
            &[
                "index together",
                "view public.seen",
                "--drop-dependent 'together'",
                "--drop-dependent 'seen'",
            ],
        ),
        (
            "users.pair",
            "profiles",
            &["--drop-dependent", "nothing"],
            &["--drop-dependent nothing"],
        ),
        ("users.made", "profiles", &[], &["generated column made"]),
        ("users.bio", "profiles", &[], &["made of table public.users"]),
        (
            "users.parent",
            "profiles",
            &[],
            &["foreign key to_parent", "RESTRICT"],
        ),
        (
            "users.other",
            "many",
            &[],
            &["public.many (user_id)", "add-unique"],
        ),
        (
            "users.other",
            "nullable",
            &[],
            &["column public.nullable.user_id", "set-not-null"],
        ),
        ("users.other", "late", &[], &["foreign key to_late"]),
        ("users.other", "partly", &[], &["public.partly (user_id)"]),
        (
            "users.other",
            "loose",
            &[],
            &["the pairing of public.users and public.loose", "add-foreign-key"],
        ),
        (
            "users.other",
            "loose",
            &["--on", "loose.user_id=users.id"],
            &["add-foreign-key"],
        ),
        ("users.other", "twice", &[], &["one and two", "--on"]),
        (
            "users.other",
            "profiles",
            &["--on", "profiles.theme=users.id"],
            &["the pairing of"],
        ),
        (
            "users.other",
            "profiles",
            &["--on", "many.user_id=users.id"],
            &["does not name a column of either table"],
        ),
        (
            "users.other",
            "profiles",
            &["--on", "profiles.nope=users.id"],
            &["no column nope"],
        ),
        (
            "users.other",
            "quick",
            &[],
            &["persistence of public.users and public.quick"],
        ),
        ("users.other", "hidden", &[], &["row security of public.hidden"]),
        ("users.other", "ruled", &[], &["rules of public.ruled"]),
        (
            "amounts.x",
            "typed",
            &[],
            &["types of public.amounts.id and public.typed.user_id"],
        ),
        ("users.other", "parted", &[], &["kind of public.parted"]),
        ("users.other", "profiles.theme", &[], &["column theme"]),
        ("users.other", "profiles.ctid", &[], &["name ctid"]),
        (
            "users.other",
            "profiles",
            &["--create-rows"],
            &["column public.profiles.needed"],
        ),
        (
            "profiles.theme",
            "users",
            &["--create-rows"],
            &["--create-rows", "leave it out"],
        ),
        (
            "users.bio",
            "has.other",
            &[],
            &["name later", "UPDATE ON public.has", "\"mover ü\""],
        ),
        (
            "users.bio",
            "profiles",
            &[],
            &[
                "SELECT ON public.users for \"mover ü\"",
                "UPDATE ON public.profiles for \"mover ü\"",
            ],
        ),
    ] {
        let arguments = [&["move-column", column, target][..], more].concat();
        let said = refused(&project, &arguments).replace("\n  │ ", " ");
        for name in names {
            assert!(said.contains(name), "{arguments:?}: {name} is not in {said}");
        }
    }
    project
        .database
        .execute("CREATE SCHEMA profiles; CREATE TABLE profiles.other (id int)")
        .await;
    let said = refused(&project, &["move-column", "users.other", "profiles.other"]);
    assert!(
        said.contains("may be a table with its schema, or a column"),
        "{said}"
    );
    project
        .database
        .execute("DROP OWNED BY \"mover ü\"; DROP ROLE \"mover ü\"")
        .await;
    planned(
        &project,
        &[
            "move-column",
            "users.other",
            "twice.x",
            "--on",
            "twice.id = users.id",
            "--drop-dependent",
            "together",
        ],
    );
}

/// Two sessions, and what is asked of both tables in the end.
struct Pairs {
    project: Project,
    one: shipctl::postgres::Session,
    other: shipctl::postgres::Session,
    plan: shipctl::plan::Plan,
}

impl Pairs {
    async fn up_to(until: &str) -> Self {
        let project = Project::new(SERVICES).await;
        project
            .database
            .execute(&format!(
                "{USERS} INSERT INTO users VALUES (1, 'x', 'old'), (2, 'y', NULL), (3, 'z', 'c')"
            ))
            .await;
        let plan = planned(&project, &["move-column", "users.bio", "profiles.about"]);
        let (one, other) = (project.database.session().await, project.database.session().await);
        for phase in plan.phases() {
            forward(&one, &phase.detail).await;
            if phase.id.as_str() == until {
                break;
            }
        }
        Self {
            project,
            one,
            other,
            plan,
        }
    }

    async fn rows(&self) -> String {
        self.project
            .database
            .session()
            .await
            .client()
            .query_one(ROWS, &[])
            .await
            .unwrap()
            .get(0)
    }

    /// Runs a statement of the one while the other, which has done something, has not committed yet; then commits both.
    async fn meet(&self, first: &str, second: &str) -> Result<(), String> {
        let (one, other) = (self.one.client(), self.other.client());
        one.batch_execute(first).await.unwrap();
        let waiting = other.batch_execute(second);
        let going_on = async {
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            one.batch_execute("COMMIT").await.unwrap();
        };
        let (answer, ()) = tokio::join!(waiting, going_on);
        let end = if answer.is_ok() { "COMMIT" } else { "ROLLBACK" };
        other.batch_execute(end).await.unwrap();
        answer.map_err(|error| error.code().unwrap().code().to_owned())
    }
}

#[tokio::test]
async fn rows_that_are_written_at_the_same_moment_do_not_miss_each_other() {
    // What the one does, what the other does while it has not committed, and what both rows hold then.
    for (first, second, expected) in [
        // A row of the target comes while the source is written, and the other way round.
        (
            "BEGIN; UPDATE users SET bio = 'new' WHERE id = 1",
            "BEGIN; INSERT INTO profiles (user_id) VALUES (1)",
            "1|new|new",
        ),
        (
            "BEGIN; INSERT INTO profiles (user_id) VALUES (1)",
            "BEGIN; UPDATE users SET bio = 'new' WHERE id = 1",
            "1|new|new",
        ),
        (
            "BEGIN; INSERT INTO profiles (user_id, about) VALUES (1, 'n')",
            "BEGIN; UPDATE users SET bio = 'new' WHERE id = 1",
            "1|new|new",
        ),
        (
            "BEGIN; UPDATE users SET bio = 'new' WHERE id = 1",
            "BEGIN; INSERT INTO profiles (user_id, about) VALUES (1, 'n')",
            "1|n|n",
        ),
        (
            "BEGIN; INSERT INTO users VALUES (4, 'w', 'd')",
            "BEGIN; INSERT INTO profiles (user_id) VALUES (4)",
            "23503",
        ),
        // With a snapshot from before, one of both fails instead of missing the row.
        (
            "BEGIN; INSERT INTO profiles (user_id) VALUES (1)",
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; UPDATE users SET bio = 'new' WHERE id = 1",
            "40001",
        ),
        (
            "BEGIN; INSERT INTO profiles (user_id, about) VALUES (1, 'old')",
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; UPDATE users SET bio = 'new' WHERE id = 1",
            "40001",
        ),
        (
            "BEGIN; UPDATE users SET bio = 'new' WHERE id = 1",
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; INSERT INTO profiles (user_id) VALUES (1)",
            "40001",
        ),
        // Both rows are there.
        (
            "BEGIN; INSERT INTO profiles (user_id) VALUES (1); COMMIT; BEGIN; UPDATE users SET bio = 'new' WHERE id = 1",
            "BEGIN; UPDATE users SET bio = bio || '!' WHERE id = 1",
            "1|new!|new!",
        ),
        (
            "BEGIN; INSERT INTO profiles (user_id) VALUES (1); COMMIT; BEGIN; UPDATE users SET bio = 'new' WHERE id = 1",
            "BEGIN; UPDATE profiles SET about = about || '!' WHERE user_id = 1",
            "1|new!|new!",
        ),
        (
            "BEGIN; INSERT INTO profiles (user_id) VALUES (1); COMMIT; BEGIN; UPDATE profiles SET about = 'new' WHERE user_id = 1",
            "BEGIN; UPDATE users SET bio = bio || '!' WHERE id = 1",
            "1|new!|new!",
        ),
        (
            "BEGIN; INSERT INTO profiles (user_id) VALUES (1); COMMIT; BEGIN; UPDATE users SET bio = 'new' WHERE id = 1",
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; UPDATE profiles SET about = about || '!' WHERE user_id = 1",
            "40001",
        ),
    ] {
        let pairs = Pairs::up_to("backfill").await;
        let answer = pairs.meet(first, second).await;
        let rows = pairs.rows().await;
        match answer {
            Ok(()) => assert!(rows.starts_with(expected), "{first} / {second}: {rows}"),
            Err(code) => {
                assert_eq!(code, expected, "{first} / {second}: {rows}");
                // What went through is the same on both sides.
                for row in rows.split(' ') {
                    let parts: Vec<&str> = row.split('|').collect();
                    assert!(
                        parts[2] == "none" || parts[1] == parts[2],
                        "{first} / {second}: {rows}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_fill_never_writes_over_what_is_newer() {
    let pairs = Pairs::up_to("add").await;
    let shipctl::plan::PhaseDetail::Backfill(fill) = &pairs.plan.phases()[1].detail else {
        panic!();
    };
    let batch = format!(
        "BEGIN; SET LOCAL shipctl.backfill = 'on'; UPDATE profiles SET about = ({}) WHERE ({}) IS NOT TRUE",
        fill.set[0].expression, fill.verify
    );
    pairs
        .project
        .database
        .execute("ALTER TABLE profiles DISABLE TRIGGER ALL; INSERT INTO profiles (user_id) VALUES (1), (2), (3);
                  ALTER TABLE profiles ENABLE TRIGGER ALL; ALTER TABLE profiles ENABLE ALWAYS TRIGGER zz_move_users_bio_insert,
                  ENABLE ALWAYS TRIGGER zz_move_users_bio_pair, ENABLE ALWAYS TRIGGER zz_move_users_bio_fill,
                  ENABLE ALWAYS TRIGGER zz_move_users_bio_update, ENABLE ALWAYS TRIGGER zz_move_users_bio_key")
        .await;
    assert_eq!(pairs.rows().await, "1|old|- 2|-|- 3|c|-");
    // The batch begins with the snapshot of before, waits for the row, and finds it written since.
    pairs
        .meet("BEGIN; UPDATE users SET bio = 'new' WHERE id = 1", &batch)
        .await
        .unwrap();
    assert_eq!(pairs.rows().await, "1|new|new 2|-|- 3|c|c");
    // The other way round, whoever writes waits for the batch.
    pairs
        .project
        .database
        .execute(
            "ALTER TABLE users DISABLE TRIGGER zz_move_users_bio_update; UPDATE users SET bio = 'x';
        ALTER TABLE users ENABLE ALWAYS TRIGGER zz_move_users_bio_update",
        )
        .await;
    pairs
        .meet(&batch, "BEGIN; UPDATE users SET bio = 'y' WHERE id = 1")
        .await
        .unwrap();
    assert_eq!(pairs.rows().await, "1|y|y 2|x|x 3|x|x");
    pairs
        .meet(&batch, "BEGIN; UPDATE profiles SET about = 'z' WHERE user_id = 1")
        .await
        .unwrap();
    assert_eq!(pairs.rows().await, "1|z|z 2|x|x 3|x|x");
}

#[tokio::test]
async fn what_would_be_lost_stops_the_plan_before_the_drop() {
    let pairs = Pairs::up_to("backfill").await;
    let compare = pairs
        .plan
        .phases()
        .iter()
        .find(|phase| phase.id.as_str() == "compare")
        .unwrap();
    let shipctl::plan::PhaseDetail::Backfill(fill) = &compare.detail else {
        panic!();
    };
    assert!(fill.set[0].is_idle());
    let client = pairs.one.client();
    let lost = format!(
        "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM users WHERE ({}) IS NOT TRUE",
        fill.verify
    );
    let find = async || -> String { client.query_one(&lost, &[]).await.unwrap().get(0) };
    assert_eq!(find().await, "1 3");
    client
        .batch_execute("INSERT INTO profiles (user_id) VALUES (1), (2)")
        .await
        .unwrap();
    assert_eq!(find().await, "3");
    client
        .batch_execute("UPDATE users SET bio = NULL WHERE id = 3")
        .await
        .unwrap();
    assert_eq!(find().await, "");
    // Whatever made both differ.
    client
        .batch_execute("SET shipctl.backfill = 'on'; ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET bio = 'other' WHERE id = 2")
        .await
        .unwrap();
    assert_eq!(find().await, "2");
}

#[tokio::test]
async fn large_tables_are_filled_and_compared_through_their_indexes() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(&format!(
            "{USERS} INSERT INTO users SELECT n, repeat('n', 50), CASE WHEN n % 3 > 0 THEN 'bio ' || n END FROM generate_series(1, 20000) n;
             INSERT INTO profiles SELECT n, repeat('t', 50) FROM generate_series(1, 20000, 2) n; ANALYZE"
        ))
        .await;
    let plan = planned(
        &project,
        &["move-column", "users.bio", "profiles", "--create-rows"],
    );
    // Without the code that it waits for.
    let file = project.repo.path().join(format!("plans/{}.toml", plan.id()));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replacen("needs = [\"switch\"]", "needs = [\"constrain\"]", 1)
            .replacen("needs = [\"tolerate\"]\n", "", 1)
            .replace("gate = { soak = \"24h\" }\n", ""),
    )
    .unwrap();
    let run = || {
        let output = project
            .shipctl(&[
                "run",
                plan.id().as_str(),
                "--env",
                "production",
                "--yes",
                "--to",
                "compare",
            ])
            .output()
            .unwrap();
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (done, said) = run();
    assert!(done, "{said}");
    let counts = project
        .database
        .value(
            "SELECT concat_ws(' ', count(*), count(p.bio), count(*) FILTER (WHERE p.bio IS DISTINCT FROM u.bio))
               FROM profiles p JOIN users u ON u.id = p.user_id",
        )
        .await;
    // Every other row, and those with a value.
    assert_eq!(counts.as_deref(), Some("16667 13334 0"));
    // What was deleted at the target since is named, and not made again.
    project
        .database
        .execute("DELETE FROM profiles WHERE user_id = 17")
        .await;
    let text = text.replace("id = \"compare\"", "id = \"compare-again\"");
    assert_eq!(text.matches("compare-again").count(), 1);
    let again = text.split_once("[[phase]]\nid = \"compare-again\"").unwrap().1;
    let alone: Vec<&str> = again
        .split("\n\n")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("needs") && !line.starts_with("gate"))
        .collect();
    std::fs::write(
        project.repo.path().join("plans/again.toml"),
        format!(
            "id = \"again\"\n\n[[phase]]\nid = \"compare-again\"\n{}\n",
            alone.join("\n")
        ),
    )
    .unwrap();
    let output = project
        .shipctl(&["run", "again", "--env", "production"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("17"), "{said}");
    let deleted = project
        .database
        .value("SELECT count(*) FROM profiles WHERE user_id = 17")
        .await;
    assert_eq!(deleted.as_deref(), Some("0"));
}

#[tokio::test]
async fn whoever_may_write_both_tables_needs_no_more() {
    let project = Project::new(SERVICES).await;
    let database = &project.database;
    database
        .execute(&format!(
            "{USERS} CREATE ROLE mover_app; GRANT SELECT (id, bio), INSERT, UPDATE (bio), DELETE ON users TO mover_app;
             GRANT SELECT, INSERT, UPDATE ON profiles TO mover_app; REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
             ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"
        ))
        .await;
    let plan = planned(
        &project,
        &["move-column", "users.bio", "profiles.about", "--create-rows"],
    );
    let session = database.session().await;
    for phase in plan.phases().iter().take(4) {
        forward(&session, &phase.detail).await;
    }
    let client = session.client();
    for (statement, expected) in [
        (
            "INSERT INTO users (id, name, bio) VALUES (1, 'x', 'a'), (2, 'y', NULL)",
            "1|a|a 2|-|none",
        ),
        ("UPDATE users SET bio = 'b' WHERE id = 1", "1|b|b 2|-|none"),
        (
            "INSERT INTO profiles (user_id, about) VALUES (2, 'c')",
            "1|b|b 2|c|c",
        ),
        ("UPDATE profiles SET about = 'd'", "1|d|d 2|d|d"),
    ] {
        client
            .batch_execute(&format!("SET ROLE mover_app; {statement}; RESET ROLE"))
            .await
            .unwrap();
        let found: String = client.query_one(ROWS, &[]).await.unwrap().get(0);
        assert_eq!(found, expected, "{statement}");
    }
    client
        .batch_execute("DROP OWNED BY mover_app; DROP ROLE mover_app; ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC")
        .await
        .unwrap();
}
