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
