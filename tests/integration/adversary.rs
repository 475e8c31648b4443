//! Ways in which somebody, or bad luck, might open a gate that must stay closed.

use jiff::{SignedDuration, Timestamp};
use shipctl::observe::Observer;
use shipctl::plan;
use shipctl::project;

use super::rename::{PLAN, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_of_this_machine_neither_ages_nor_renews_anything() {
    let mut stage = Stage::new().await;
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.deploy("worker", &first).await;
    let project = project::discover(stage.project.repo.path()).unwrap();
    let plans = plan::load_all(&project).unwrap();
    let observer = Observer {
        project: &project,
        environment: project.environments.values().next().unwrap(),
        plans: &plans,
    };
    let session = stage.project.database.session().await;
    for wrong in [SignedDuration::from_hours(25), SignedDuration::from_hours(-25)] {
        let local = Timestamp::now() + wrong;
        let facts = observer.look(Some(&session), &[], local).await.unwrap().facts;
        let off = facts.now.duration_since(Timestamp::now()).abs();
        assert!(
            off < SignedDuration::from_mins(1),
            "a soak would end {off:#} early or late"
        );
        assert_eq!(facts.observed_at, facts.now);
        for census in facts.fleet.services.values() {
            assert_eq!(census.doubts, [], "connections are as fresh as ever");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_under_another_environments_name_is_not_taken_for_untouched() {
    let mut stage = Stage::new().await;
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.deploy("worker", &first).await;
    for phase in ["add", "backfill", "constrain", "relax", "drop"] {
        stage.done(phase).await;
    }
    assert_eq!(
        stage.run(&["can-deploy", first.as_str()]).0,
        1,
        "the rollback floor"
    );
    let config = stage
        .project
        .repo
        .read("shipctl.toml")
        .replace("production", "prod");
    stage.project.repo.write("shipctl.toml", &config);
    let (exit, value) = stage.json(&["can-deploy", first.as_str()]);
    assert_eq!(exit, 3, "{value:#}");
    let (exit, _, error) = stage.run(&["run", PLAN]);
    assert_eq!(exit, 3, "{error}");
    assert!(error.contains("production"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_checkout_with_an_older_plan_opens_nothing() {
    let mut stage = Stage::new().await;
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.deploy("worker", &first).await;
    stage.done("add").await;
    let file = format!("plans/{PLAN}.toml");
    let older = stage.project.repo.read(&file);
    stage
        .project
        .repo
        .write(&file, &format!("{older}\n# One more thought.\n"));
    stage.done("add").await;
    assert_eq!(stage.run(&["can-deploy", first.as_str()]).0, 0);
    stage.project.repo.write(&file, &older);
    let (exit, value) = stage.json(&["can-deploy", first.as_str()]);
    assert_eq!(exit, 0, "{value:#}");
    assert!(value.to_string().contains("is an older one"), "{value:#}");
    assert_eq!(
        stage.run(&["gate", PLAN, "backfill"]).0,
        1,
        "as an old version runs"
    );
    let (exit, _, error) = stage.run(&["run", PLAN]);
    assert_eq!(exit, 3, "{error}");
    assert!(error.contains("older"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_rolls_back_is_answered_by_the_plan_that_took_effect() {
    let mut stage = Stage::new().await;
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.deploy("worker", &first).await;
    stage.done("add").await;
    let dual = stage.release("Write both names", Some("dual-write"));
    stage.deploy("web", &dual).await;
    stage.deploy("worker", &dual).await;
    for phase in ["backfill", "constrain"] {
        stage.done(phase).await;
    }
    let switch = stage.release("Read the new name", None);
    let stop = stage.release("Write the new name only", None);
    let file = format!("plans/{PLAN}.toml");
    let older = stage.project.repo.read(&file);
    assert_eq!(stage.run(&["link", PLAN, "switch-read", switch.as_str()]).0, 0);
    assert_eq!(stage.run(&["link", PLAN, "stop-write", stop.as_str()]).0, 0);
    stage.deploy("web", &switch).await;
    stage.deploy("worker", &switch).await;
    stage.done("relax").await;
    stage.deploy("web", &stop).await;
    stage.deploy("worker", &stop).await;
    // By the older text no running version would contain what it links no commit to.
    stage.project.repo.write(&file, &older);
    let (exit, value) = stage.json(&["can-deploy", switch.as_str()]);
    assert_eq!(exit, 0, "{value:#}");
    let (exit, value) = stage.json(&["can-deploy", dual.as_str()]);
    assert_eq!(exit, 1, "{value:#}");
    let reasons = value["services"].to_string();
    assert!(reasons.contains("data-floor"), "{value:#}");
    assert_eq!(stage.run(&["gate", PLAN, "stop-write"]).0, 0);
    let (exit, out, error) = stage.run(&["status"]);
    assert_eq!(exit, 0, "{error}");
    assert!(error.contains("is an older one"), "{out}{error}");
    // What writes is refused as before.
    assert_eq!(stage.run(&["run", PLAN]).0, 3);
    assert_eq!(stage.run(&["rollback", PLAN, "--to", "backfill"]).0, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_from_before_the_commits_were_linked_forgets_no_floor() {
    let mut stage = Stage::new().await;
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.deploy("worker", &first).await;
    stage.done("add").await;
    let dual = stage.release("Write both names", Some("dual-write"));
    stage.deploy("web", &dual).await;
    stage.deploy("worker", &dual).await;
    for phase in ["backfill", "constrain"] {
        stage.done(phase).await;
    }
    let switch = stage.release("Read the new name", Some("switch-read"));
    let stop = stage.release("Write the new name only", None);
    let file = format!("plans/{PLAN}.toml");
    let unlinked = stage.project.repo.read(&file);
    assert_eq!(stage.run(&["link", PLAN, "stop-write", stop.as_str()]).0, 0);
    stage.deploy("web", &stop).await;
    stage.deploy("worker", &stop).await;
    assert_eq!(stage.run(&["status"]).0, 0);
    // Back to the code that reads the new name and writes both: nothing was lost.
    stage.deploy("web", &switch).await;
    stage.deploy("worker", &switch).await;
    let (exit, out, _) = stage.run(&["can-deploy", dual.as_str()]);
    assert_eq!(exit, 1, "{out}");
    stage.project.repo.write(&file, &unlinked);
    let (exit, out, _) = stage.run(&["can-deploy", dual.as_str()]);
    assert_eq!(exit, 3, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_runner_leaves_a_plans_migrations_alone_where_the_plan_is_not_here() {
    let stage = Stage::new().await;
    let repo = &stage.project.repo;
    stage.done("add").await;
    let file = format!("plans/{PLAN}.toml");
    std::fs::remove_file(repo.path().join(file)).unwrap();
    // A plan that never ran; its files say whose they are.
    repo.write(
        "migrations/2_drop.sql",
        "-- rename-other · phase drop\n\n-- UP\nDROP TABLE users;\n",
    );
    repo.write("migrations/3_plain.sql", "-- UP\nCREATE TABLE plain (id int);\n");
    let (exit, _, error) = stage.run(&["migrate", "up"]);
    assert_eq!(exit, 0, "{error}");
    let columns = "SELECT string_agg(relname || '.' || attname, ' ' ORDER BY relname, attnum) \
                   FROM pg_attribute JOIN pg_class c ON c.oid = attrelid \
                   WHERE attnum > 0 AND relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let found = stage.project.database.value(columns).await;
    assert_eq!(found.as_deref(), Some("plain.id users.id users.name"));
    let (exit, out, error) = stage.run(&["migrate", "status"]);
    assert_eq!(exit, 0, "{error}");
    assert!(out.contains("belongs to plan rename-other, phase drop"), "{out}");
    assert!(out.contains(&format!("belongs to plan {PLAN}")), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn glass_is_broken_for_one_phase_and_not_for_all_that_follow() {
    let mut stage = Stage::new().await;
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.deploy("worker", &first).await;
    let exception = [
        "--override",
        "old-version-running",
        "--reason",
        "nobody writes today",
    ];
    let with = |more: &[&'static str]| [&["run", PLAN][..], &exception, more].concat();
    assert_eq!(stage.run(&with(&[])).0, 2, "not for every phase");
    assert_eq!(
        stage.run(&with(&["--to", "backfill", "--watch"])).0,
        2,
        "not for later"
    );
    let blank = [
        "run",
        PLAN,
        "--to",
        "backfill",
        "--override",
        "old-version-running",
        "--reason",
        " ",
    ];
    assert_eq!(stage.run(&blank).0, 2, "not without a word");
    let (exit, _, error) = stage.run(&with(&["--to", "constrain"]));
    assert_eq!(exit, 1, "the backfill above was not meant: {error}");
    let (exit, _, error) = stage.run(&with(&["--to", "backfill"]));
    assert_eq!(exit, 0, "{error}");
    let (_, out, _) = stage.run(&["log", PLAN]);
    assert!(out.contains("nobody writes today"), "{out}");
}

/// Runs it all up to the drop, whose gate asks for a soak of this long.
async fn up_to_the_soak(soak: &str) -> Stage {
    let mut stage = Stage::new().await;
    let file = format!("plans/{PLAN}.toml");
    let text = stage.project.repo.read(&file);
    let gate = text
        .lines()
        .rfind(|line| line.starts_with("gate = "))
        .unwrap()
        .to_owned();
    let text = text.replace(&gate, &format!("gate = {{ soak = \"{soak}\" }}"));
    stage.project.repo.write(&file, &text);
    let first = stage.release("The first release", None);
    stage.deploy("web", &first).await;
    stage.deploy("worker", &first).await;
    for phase in ["dual-write", "switch-read", "stop-write"] {
        let (exit, out, error) = stage.run(&["run", PLAN]);
        assert_eq!(exit, 1, "{out}{error}");
        let commit = stage.release(phase, Some(phase));
        stage.deploy("web", &commit).await;
        stage.deploy("worker", &commit).await;
    }
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soak_begins_with_the_first_look_and_its_end_is_not_slept_through() {
    let stage = up_to_the_soak("3s").await;
    let began = std::time::Instant::now();
    let (exit, out, error) = stage.run(&["run", PLAN, "--watch", "--interval", "60"]);
    assert_eq!(exit, 0, "{out}{error}");
    assert!(error.contains("the gate opens at"), "{error}");
    assert!(!error.contains("has not begun"), "{error}");
    let took = began.elapsed();
    assert!(took < std::time::Duration::from_secs(40), "{took:?}");
    assert!(took >= std::time::Duration::from_secs(3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_aside_to_restore_data_is_written_down() {
    let stage = up_to_the_soak("24h").await;
    let to_the_old_readers = ["rollback", PLAN, "--to", "switch-read"];
    let (exit, out, error) = stage.run(&to_the_old_readers);
    assert_eq!(exit, 1, "{out}{error}");
    let exception = [
        "--override",
        "new-version-running",
        "--reason",
        "nobody writes today",
    ];
    let (exit, out, error) = stage.run(&[&to_the_old_readers[..], &exception].concat());
    assert_eq!(
        exit, 1,
        "as stop-write still runs, the data is stale again: {out}{error}"
    );
    assert!(out.contains("data-floor"), "{out}{error}");
    let records = "SELECT string_agg(phase, ',') FROM shipctl.events WHERE kind = 'overridden'";
    let found = stage.project.database.value(records).await;
    assert_eq!(found.as_deref(), Some("stop-write"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_does_not_pass_for_the_database() {
    let stage = Stage::new().await;
    let first = stage.release("The first release", None);
    let cluster = shipctl::postgres::Cluster::builder().throwaway().start().unwrap();
    let url = cluster.url("postgres");
    let ask = |args: &[&str]| {
        let output = stage
            .project
            .shipctl(args)
            .env("DATABASE_URL", &url)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.code(),
            said + &String::from_utf8_lossy(&output.stdout),
        )
    };
    let (_, said) = ask(&["can-deploy", first.as_str()]);
    assert!(!said.contains("standby"), "{said}");
    cluster.stop_immediately().unwrap();
    std::fs::write(cluster.folder().join("data/standby.signal"), "").unwrap();
    cluster.restart().unwrap();
    let (exit, said) = ask(&["can-deploy", first.as_str()]);
    assert_eq!(exit, Some(3), "{said}");
    assert!(said.contains("standby"), "{said}");
    let (_, said) = ask(&["deployed"]);
    assert!(said.contains("standby"), "{said}");
}
