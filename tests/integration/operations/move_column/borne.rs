//! What code has to bear while a column moves, and what it is told of that.

use super::super::super::catalog::forward;
use super::super::{SERVICES, planned, refused};
use super::{ROWS, USERS, lived};
use crate::support::Project;

#[tokio::test]
async fn a_key_that_cascades_takes_a_value_along_that_is_written_with_it() {
    let ddl = "CREATE TABLE users (id bigint PRIMARY KEY, name text, bio text);
               CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users ON UPDATE CASCADE, theme text);";
    lived(ddl, &["move-column", "users.bio", "profiles.about"], ROWS, &[
        ("INSERT INTO users VALUES (1, 'x', 'one'), (2, 'y', NULL), (3, 'z', 'three'); INSERT INTO profiles (user_id) VALUES (1), (3)",
         "1|one|one 2|-|none 3|three|three"),
        ("UPDATE users SET id = 100, bio = 'new' WHERE id = 1", "2|-|none 3|three|three 100|new|new"),
        ("INSERT INTO users VALUES (100, 'x', 'newer') ON CONFLICT (id) DO UPDATE SET id = 101, bio = EXCLUDED.bio",
         "2|-|none 3|three|three 101|newer|newer"),
        ("UPDATE users SET id = 102, bio = NULL WHERE id = 101", "2|-|none 3|three|three 102|-|-"),
        ("UPDATE users SET id = 103, bio = 'again' WHERE id = 102", "2|-|none 3|three|three 103|again|again"),
        ("UPDATE users SET id = id + 1000, bio = bio || '!' WHERE id <> 2", "2|-|none 1003|three!|three! 1103|again!|again!"),
        // Which of both is meant cannot be told, though the partner before is gone.
        ("UPDATE profiles SET user_id = 2 WHERE user_id = 1103", "23000"),
        ("WITH gone AS (DELETE FROM users WHERE id = 1103) UPDATE profiles SET user_id = 2 WHERE user_id = 1103", "23000"),
        ("UPDATE profiles SET user_id = 2, about = 'given' WHERE user_id = 1103", "2|given|given 1003|three!|three! 1103|again!|none"),
    ])
    .await;
}

#[tokio::test]
async fn a_row_that_pairs_anew_hands_its_value_to_one_without() {
    let ddl = "CREATE TABLE profiles (user_id bigint PRIMARY KEY, theme text);
               CREATE TABLE users (id bigint PRIMARY KEY REFERENCES profiles ON UPDATE CASCADE, name text, bio text);
               INSERT INTO profiles VALUES (1), (2), (3), (4); INSERT INTO users VALUES (4, 'w', 'd');";
    lived(
        ddl,
        &["move-column", "users.bio", "profiles.about"],
        ROWS,
        &[
            // Before it is filled as well.
            (
                "UPDATE profiles SET user_id = 5 WHERE user_id = 4; UPDATE users SET bio = bio || '!'",
                "1|-|- 2|-|- 3|-|- 5|d!|d!",
            ),
            ("INSERT INTO users VALUES (1, 'x', 'a')", "1|a|a 2|-|- 3|-|- 5|d!|d!"),
            (
                "UPDATE profiles SET user_id = 51, about = 'q' || about WHERE user_id = 1",
                "2|-|- 3|-|- 5|d!|d! 51|qa|qa",
            ),
            (
                "UPDATE profiles SET user_id = 52, about = NULL WHERE user_id = 5",
                "2|-|- 3|-|- 51|qa|qa 52|-|-",
            ),
            ("UPDATE users SET id = 2 WHERE id = 51", "2|qa|qa 3|-|- 51|-|qa 52|-|-"),
            // Of two values either may be the one that is meant.
            ("UPDATE profiles SET about = 't' WHERE user_id = 3", "2|qa|qa 3|-|t 51|-|qa 52|-|-"),
            ("UPDATE users SET id = 3 WHERE id = 2", "23000"),
            ("UPDATE users SET id = 3, bio = 'u' WHERE id = 2", "2|-|qa 3|u|u 51|-|qa 52|-|-"),
            // What `tolerate` tells of: a value stays with the row it paired with, unless it is set NULL before.
            (
                "DELETE FROM users WHERE id = 3; INSERT INTO users (id) VALUES (3)",
                "2|-|qa 3|u|u 51|-|qa 52|-|-",
            ),
            (
                "UPDATE users SET bio = NULL WHERE id = 3; DELETE FROM users WHERE id = 3; INSERT INTO users (id) VALUES (3)",
                "2|-|qa 3|-|- 51|-|qa 52|-|-",
            ),
            (
                "DELETE FROM users WHERE id = 3; INSERT INTO users (id, bio) VALUES (2, 'v')",
                "2|v|v 3|-|- 51|-|qa 52|-|-",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn code_is_told_first_what_it_has_to_bear() {
    for (ddl, arguments, told) in [
        (USERS, &["move-column", "users.bio", "profiles.about"][..], None),
        (
            USERS,
            &["move-column", "users.bio", "profiles.about", "--create-rows"],
            Some("ON CONFLICT … DO UPDATE"),
        ),
        (
            USERS,
            &["move-column", "profiles.theme", "users.theme"],
            Some("the next row that comes without a value takes it"),
        ),
    ] {
        let project = Project::new(SERVICES).await;
        project.database.execute(ddl).await;
        let plan = planned(&project, arguments);
        let first = plan.phases()[0].id.as_str().to_owned();
        let text =
            std::fs::read_to_string(project.repo.path().join(format!("plans/{}.toml", plan.id()))).unwrap();
        let Some(told) = told else {
            assert_eq!(first, "add", "{text}");
            continue;
        };
        assert_eq!(first, "tolerate", "{text}");
        let comments = text
            .split("id = \"tolerate\"")
            .next()
            .unwrap()
            .replace("\n# ", " ");
        assert!(comments.contains(told), "{told}: {comments}");
    }
}

#[tokio::test]
async fn a_default_that_nobody_wrote_is_not_lost() {
    for (column, given, not_given) in [
        ("int NOT NULL DEFAULT 7", "8", "7"),
        ("int DEFAULT 7", "8", "7"),
        ("text DEFAULT '-'", "'x'", "'-'"),
        ("numeric(4, 1) NOT NULL DEFAULT '-1.5'", "2", "-1.5"),
    ] {
        let project = Project::new(SERVICES).await;
        project
            .database
            .execute(&format!(
                "CREATE TABLE users (id bigint PRIMARY KEY, bio {column}); CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users)"
            ))
            .await;
        let plan = planned(&project, &["move-column", "users.bio", "profiles.about"]);
        let session = project.database.session().await;
        let mut verify = String::new();
        for phase in plan.phases() {
            if let shipctl::plan::PhaseDetail::Backfill(fill) = &phase.detail {
                verify.clone_from(&fill.verify);
            }
            if phase.id.as_str() == "compare" {
                break;
            }
            forward(&session, &phase.detail).await;
        }
        let client = session.client();
        client
            .batch_execute(&format!(
                "INSERT INTO users (id) VALUES (1), (2); INSERT INTO users VALUES (3, {not_given}), (4, {given}), (5, {given});
                 INSERT INTO profiles VALUES (2, {given}), (5, {given}); ALTER TABLE profiles DISABLE TRIGGER USER;
                 UPDATE profiles SET about = {not_given} WHERE user_id = 5"
            ))
            .await
            .unwrap();
        let lost = format!(
            "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM users WHERE ({verify}) IS NOT TRUE"
        );
        let found: String = client.query_one(&lost, &[]).await.unwrap().get(0);
        assert_eq!(found, "4 5", "{column}: {verify}");
    }
    // What comes to something else each time cannot be told from what was given.
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id bigint PRIMARY KEY, seen date DEFAULT CURRENT_DATE);
             CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users)",
        )
        .await;
    let plan = planned(&project, &["move-column", "users.seen", "profiles"]);
    let text =
        std::fs::read_to_string(project.repo.path().join(format!("plans/{}.toml", plan.id()))).unwrap();
    let compare = text.split("id = \"compare\"").nth(1).unwrap();
    assert!(!compare.contains("CURRENT_DATE"), "{text}");
}

#[tokio::test]
async fn what_would_fail_for_code_meanwhile_is_refused_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, bio text, late text UNIQUE DEFERRABLE, later text UNIQUE DEFERRABLE INITIALLY DEFERRED);
             CREATE TABLE profiles (user_id int PRIMARY KEY REFERENCES users);
             CREATE FUNCTION makes() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO Profiles SELECT id FROM users u WHERE NOT EXISTS (SELECT FROM profiles WHERE user_id = u.id); RETURN NULL; END $$;
             CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
             CREATE TRIGGER \"a maker\" AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION makes();
             CREATE TRIGGER \"zz maker\" AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION makes();
             CREATE TRIGGER \"maker of all\" AFTER INSERT OR DELETE ON users EXECUTE FUNCTION makes();
             CREATE CONSTRAINT TRIGGER \"maker in the end\" AFTER INSERT ON users DEFERRABLE FOR EACH ROW EXECUTE FUNCTION makes();
             CREATE TRIGGER \"not there\" AFTER INSERT ON users EXECUTE FUNCTION makes();
             ALTER TABLE users DISABLE TRIGGER \"not there\";
             CREATE TRIGGER counter AFTER INSERT ON users EXECUTE FUNCTION counts()",
        )
        .await;
    for (arguments, names) in [
        (
            &["move-column", "users.late", "profiles"][..],
            &["unique constraint users_late_key", "not deferrable"][..],
        ),
        (
            &["move-column", "users.later", "profiles"],
            &["unique constraint users_later_key"],
        ),
        (
            &["move-column", "users.bio", "profiles", "--create-rows"],
            &[
                "trigger \"maker in the end\"",
                "trigger \"maker of all\"",
                "trigger \"zz maker\"",
                "public.users",
            ],
        ),
    ] {
        let said = refused(&project, arguments).replace("\n  │ ", " ");
        for name in names {
            assert!(said.contains(name), "{arguments:?}: {name} is not in {said}");
        }
        for name in ["a maker", "not there", "counter"] {
            assert!(!said.contains(name), "{arguments:?}: {name} is in {said}");
        }
    }
    project
        .database
        .execute("DROP TRIGGER \"maker in the end\" ON users; DROP TRIGGER \"maker of all\" ON users; DROP TRIGGER \"zz maker\" ON users")
        .await;
    let said = remarked(
        &project,
        &["move-column", "users.bio", "profiles", "--create-rows"],
    );
    assert!(
        said.contains("trigger counter of public.users") && !said.contains("a maker"),
        "{said}"
    );
    planned(&project, &["move-column", "users.bio", "profiles"]);
}

#[tokio::test]
async fn what_stays_different_meanwhile_is_remarked_on() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, bio text UNIQUE, kind int NOT NULL DEFAULT 0);
             CREATE TABLE profiles (user_id int PRIMARY KEY REFERENCES users, theme text UNIQUE)",
        )
        .await;
    for (arguments, told, not_told) in [
        (
            &["move-column", "users.bio", "profiles"][..],
            &[
                "Where a row of public.profiles is deleted before `drop`",
                "cannot use a value again",
            ][..],
            &["DEFAULT", "hands"][..],
        ),
        (
            &["move-column", "users.kind", "profiles"],
            &[
                "says DEFAULT or NULL",
                "a value that is the default counts as none",
            ],
            &["a row of public.profiles is made", "cannot use a value again"],
        ),
        (
            &["move-column", "users.kind", "profiles", "--create-rows"],
            &["says DEFAULT or NULL", "a row of public.profiles is made"],
            &[],
        ),
        (
            &["move-column", "profiles.theme", "users"],
            &[
                "Where a row of public.profiles is deleted or pairs with another before `drop`, its value stays in public.users",
                "cannot use a value again",
                "hands it its value where it has none",
            ],
            &["Where a row of public.users is deleted"],
        ),
    ] {
        let said = remarked(&project, arguments);
        for part in told {
            assert!(said.contains(part), "{arguments:?}: {part} is not in {said}");
        }
        for part in not_told {
            assert!(!said.contains(part), "{arguments:?}: {part} is in {said}");
        }
    }
}

/// What the program says of a plan that it does not write.
fn remarked(project: &Project, arguments: &[&str]) -> String {
    let arguments = [&["plan"], arguments, &["--dry-run"]].concat();
    let output = project.shipctl(&arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let words: Vec<String> = String::from_utf8_lossy(&said)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    words.join(" ")
}

#[tokio::test]
async fn what_has_changed_since_the_plan_is_not_changed_back() {
    for (own, since, why) in [
        (
            "int DEFAULT 7",
            "SET DEFAULT 8",
            "does not have the default any more",
        ),
        (
            "int DEFAULT 7",
            "DROP DEFAULT",
            "does not have the default any more",
        ),
        (
            "mood DEFAULT 'it''s'",
            "SET DEFAULT 'other'",
            "does not have the default any more",
        ),
        ("int", "SET NOT NULL", "is NOT NULL by now"),
    ] {
        let project = Project::new(SERVICES).await;
        let database = &project.database;
        database
            .execute(&format!(
                "CREATE TYPE mood AS ENUM ('it''s', 'other');
                 CREATE TABLE users (id int PRIMARY KEY, bio {own}); CREATE TABLE profiles (user_id int PRIMARY KEY REFERENCES users)"
            ))
            .await;
        let plan = planned(&project, &["move-column", "users.bio", "profiles.about"]);
        database
            .execute(&format!("ALTER TABLE users ALTER bio {since}"))
            .await;
        let has = "SELECT concat(a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) FROM pg_attribute a
                     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                    WHERE a.attrelid = 'users'::regclass AND a.attname = 'bio'";
        let before = database.value(has).await;
        let output = project
            .shipctl(&["run", plan.id().as_str(), "--to", "add"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains(why), "{own}, {since}: {said}");
        assert_eq!(database.value(has).await, before, "{own}, {since}");
    }
}
