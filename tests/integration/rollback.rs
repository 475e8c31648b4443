//! `shipctl rollback`: from the middle, from the end, and what it refuses.

use shipctl::domain::CommitId;

use super::run::{command, run, ship, stage, stage_value, to_the_end};

const COLUMNS: &str =
    "SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END, ',' ORDER BY attname)
     FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped";

#[tokio::test(flavor = "multi_thread")]
async fn from_the_middle_everything_goes_back_once_the_old_code_is_back() {
    let (mut stage, first) = stage(500).await;
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "constrain"], 0);
    assert_eq!(stage_value(&stage, COLUMNS).await, "display_name!,id!,name!");

    // What the running code does not need goes; what it needs stays until it is gone.
    let said = command(&stage, "rollback", &["--all"], 1);
    assert!(said.contains("new-version-running"), "{said}");
    assert_eq!(stage_value(&stage, COLUMNS).await, "display_name,id!,name!");

    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    command(&stage, "rollback", &["--all"], 0);
    assert_eq!(stage_value(&stage, COLUMNS).await, "id!,name!");
    let said = command(&stage, "rollback", &["--all"], 0);
    assert!(said.contains("nothing to undo"), "{said}");

    // And forward again, from the start.
    run(&stage, &["--to", "add"], 0);
    assert_eq!(stage_value(&stage, COLUMNS).await, "display_name,id!,name!");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_end_the_dropped_column_comes_back_with_its_data() {
    let (mut stage, _) = stage(2_000).await;
    to_the_end(&mut stage).await;
    let database = &stage.project.database;
    database
        .execute("INSERT INTO users (id, display_name) VALUES (9001, 'new'); UPDATE users SET display_name = 'changed' WHERE id = 7")
        .await;

    // A dry run says what would happen and changes nothing.
    let said = command(&stage, "rollback", &["--to", "constrain", "--dry-run"], 0);
    assert!(said.contains("ADD COLUMN name"), "{said}");
    assert_eq!(stage_value(&stage, COLUMNS).await, "display_name!,id!");

    // The drop is undone at once; restoring waits until the code that writes only the new column is gone.
    let said = command(&stage, "rollback", &["--to", "constrain"], 1);
    assert!(said.contains("stop-write"), "{said}");
    assert_eq!(stage_value(&stage, COLUMNS).await, "display_name!,id!,name");
    stage
        .project
        .database
        .execute("INSERT INTO users (id, display_name) VALUES (9002, 'late')")
        .await;

    let switch = stage
        .project
        .repo
        .git(&["log", "--format=%H", "--grep", "switch-read$", "-1"]);
    let switch: CommitId = switch.parse().unwrap();
    let (exit, out, error) = stage.run(&["can-deploy", switch.as_str()]);
    assert_eq!(exit, 0, "{out}{error}");
    for service in ["web", "worker"] {
        stage.deploy(service, &switch).await;
    }
    let said = command(&stage, "rollback", &["--to", "switch-read"], 0);
    assert!(said.contains("relax"), "{said}");
    assert_eq!(stage_value(&stage, COLUMNS).await, "display_name!,id!,name!");
    let wrong = "SELECT count(*) FROM users WHERE name IS DISTINCT FROM display_name";
    assert_eq!(stage_value(&stage, wrong).await, "0");
    assert_eq!(stage_value(&stage, "SELECT count(*) FROM users").await, "2002");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_without_a_way_back_stops_the_rollback_before_it_begins() {
    let (mut stage, first) = stage(10).await;
    let file = "migrations/20261122_101500_add_users_display_name.sql";
    let text = stage.project.repo.read(file);
    let up_only = text.split("-- DOWN").next().unwrap().to_owned();
    stage.project.repo.write(file, &up_only);
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "constrain"], 0);
    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    let said = command(&stage, "rollback", &["--all"], 1);
    assert!(said.contains("no-way-back"), "{said}");
    assert_eq!(stage_value(&stage, COLUMNS).await, "display_name!,id!,name!");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_failed_half_way_can_be_undone() {
    let (mut stage, first) = stage(10).await;
    let file = "migrations/20261122_101501_constrain_users_display_name.sql";
    stage.project.repo.write(
        file,
        "-- UP\nALTER TABLE users ADD CONSTRAINT a CHECK (display_name <> '') NOT VALID;\n\
         CREATE UNIQUE INDEX CONCURRENTLY users_display_name_key ON users (display_name);\n\
         -- DOWN\nDROP INDEX CONCURRENTLY users_display_name_key;\nALTER TABLE users DROP CONSTRAINT a;\n",
    );
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    stage
        .project
        .database
        .execute("INSERT INTO users VALUES (100, 'twice', 'twice'), (101, 'twice', 'twice')")
        .await;
    let said = run(&stage, &["--to", "constrain"], 5);
    assert!(said.contains("23505"), "{said}");
    let leftovers = "SELECT count(*) FROM pg_index WHERE indrelid = 'users'::regclass AND NOT indisvalid";
    assert_eq!(stage_value(&stage, leftovers).await, "0");

    for service in ["web", "worker"] {
        stage.deploy(service, &first).await;
    }
    let said = command(&stage, "rollback", &["--all"], 0);
    assert!(said.contains("passed over"), "{said}");
    assert_eq!(stage_value(&stage, COLUMNS).await, "id!,name!");
}
