//! `shipctl why`, the ways that `can-deploy` shows, and the rollback floor in `status`.

use shipctl::domain::CommitId;

use super::rename::{PLAN, Stage};
use super::run::{command, run, ship, stage};
use super::support::steady;

/// Asks, and demands the same exit code and verdict of `gate`.
fn why(stage: &Stage, phase: &str) -> (i32, serde_json::Value) {
    let (exit, value) = stage.json(&["why", PLAN, phase]);
    let (gate, asked) = stage.json(&["gate", PLAN, phase]);
    assert_eq!(exit, gate, "{value:#}");
    for field in ["verdict", "plan", "phase", "environment"] {
        assert_eq!(value[field], asked[field]);
    }
    (exit, value)
}

fn words(value: &serde_json::Value) -> Vec<String> {
    let way = value["way"].as_array().unwrap();
    way.iter()
        .map(|leg| leg["words"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_phase_tells_its_state_what_decides_and_the_way() {
    let (mut stage, _) = stage(20).await;
    run(&stage, &["--to", "add"], 0);
    let dual = stage.release("Write both names", Some("dual-write"));
    stage.deploy("web", &dual).await;
    let (exit, text, _) = stage.run(&["why", PLAN, "backfill"]);
    assert_eq!(exit, 1);
    steady(&[]).bind(|| insta::assert_snapshot!("why_blocked", text));
    let (exit, value) = why(&stage, "backfill");
    assert_eq!(exit, 1);
    assert_eq!(value["decided_by"]["code"], "old-version-running");
    assert_eq!(value["decided_by"]["phase"], "dual-write");
    assert_eq!(
        words(&value),
        [format!("deploy {} to worker (dual-write)", dual.short())]
    );
    assert_eq!(
        value["way"][0]["command"],
        format!(
            "shipctl can-deploy {} --env production --service worker",
            dual.short()
        )
    );

    // What nobody has written yet is named by what it must contain.
    let (_, value) = why(&stage, "relax");
    assert_eq!(
        words(&value),
        [
            format!("deploy {} to worker (dual-write)", dual.short()),
            "run backfill, then run constrain".to_owned(),
            "write the code of switch-read, and deploy it to web and worker".to_owned(),
        ]
    );
    assert_eq!(
        value["way"][1]["command"],
        format!("shipctl run {PLAN} --env production --to constrain")
    );
    let (exit, value) = why(&stage, "dual-write");
    assert_eq!((exit, &value["state"]), (1, &"partly".into()));
    assert_eq!(value["way"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_phase_and_a_done_one_need_no_way_and_an_unknown_one_has_to_be_found_out() {
    let (mut stage, _) = stage(20).await;
    let (exit, text, _) = stage.run(&["why", PLAN, "add"]);
    assert_eq!(exit, 0);
    steady(&[]).bind(|| insta::assert_snapshot!("why_open", text));
    run(&stage, &["--to", "add"], 0);
    let (exit, value) = why(&stage, "add");
    assert_eq!(
        (exit, &value["state"], &value["way"]),
        (0, &"done".into(), &serde_json::json!([]))
    );
    ship(&mut stage, "dual-write").await;
    stage.stop("worker").await;
    let (exit, value) = why(&stage, "backfill");
    assert_eq!((exit, &value["verdict"]), (3, &"unknown".into()));
    assert_eq!(value["way"][0]["steps"][0]["step"], "find-out");
    assert_eq!(stage.run(&["why", PLAN, "no-such-phase"]).0, 2);
    assert_eq!(stage.run(&["why", "no-such-plan", "add"]).0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_waits_tells_for_what() {
    let mut stage = Stage::new().await;
    for phase in ["add", "backfill", "constrain", "relax"] {
        stage.done(phase).await;
    }
    for phase in ["dual-write", "switch-read", "stop-write"] {
        stage.release(&format!("Ship {phase}"), Some(phase));
    }
    let head = stage.project.repo.head();
    for service in ["web", "worker"] {
        stage.deploy(service, &head).await;
    }
    let (exit, value) = why(&stage, "drop");
    assert_eq!(exit, 4);
    assert_eq!(
        words(&value),
        ["have drop approved", "wait until the soak before drop is over"]
    );
    let (exit, text, _) = stage.run(&["why", PLAN, "drop"]);
    assert_eq!(exit, 4);
    steady(&[]).bind(|| insta::assert_snapshot!("why_waiting", text));
}

/// Carries out one leg of a way as its first step says.
async fn follow(stage: &mut Stage, leg: &serde_json::Value) {
    for step in leg["steps"].as_array().unwrap() {
        let phase = step["phase"].as_str().unwrap_or_default().to_owned();
        match step["step"].as_str().unwrap() {
            "deploy" => {
                for version in step["versions"].as_array().unwrap() {
                    let service = version["service"].as_str().unwrap().to_owned();
                    let commit: CommitId = version["commit"].as_str().unwrap().parse().unwrap();
                    assert_eq!(
                        stage
                            .run(&["can-deploy", commit.as_str(), "--service", &service])
                            .0,
                        0,
                        "{leg:#}"
                    );
                    stage.deploy(&service, &commit).await;
                }
            }
            "approve" => {
                command(stage, "approve", &[&phase, "--reason", "as shown"], 0);
            }
            "run" | "undo" | "restore" => {}
            other => panic!("{other}"),
        }
    }
    let typed = leg["command"].as_str().unwrap().to_owned();
    if typed.starts_with("shipctl run") || typed.starts_with("shipctl rollback") {
        let args: Vec<&str> = typed.split(' ').skip(1).collect();
        let (exit, out, error) = stage.run(&args);
        assert_eq!(exit, 0, "{typed}: {out}{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_that_is_shown_leads_to_a_yes_forward_and_back() {
    let (mut stage, first) = stage(20).await;
    for phase in ["dual-write", "switch-read", "stop-write"] {
        stage.release(&format!("Ship {phase}"), Some(phase));
    }
    let stop = stage.project.repo.head();
    for (goal, least) in [(&stop, 3), (&first, 4)] {
        let mut legs = 0;
        loop {
            let (exit, value) = stage.json(&["can-deploy", goal.as_str(), "--service", "web"]);
            if exit == 0 {
                break;
            }
            let plan = &value["services"][0]["plans"][0];
            assert_eq!(plan["plan"], PLAN);
            assert!(plan["phase"].is_string(), "{value:#}");
            let leg = plan["way"][0].clone();
            assert!(leg.is_object(), "{value:#}");
            follow(&mut stage, &leg).await;
            legs += 1;
            assert!(legs < 20, "{value:#}");
        }
        assert!(legs >= least, "{legs}");
        if goal == &stop {
            for service in ["web", "worker"] {
                stage.deploy(service, goal).await;
            }
            command(&stage, "approve", &["drop", "--reason", "reviewed"], 0);
            run(&stage, &[], 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_names_the_oldest_commit_that_may_still_be_deployed() {
    let (mut stage, _) = stage(20).await;
    let floor = |stage: &Stage| {
        let (_, value) = stage.json(&["status"]);
        value["environments"][0]["floor"].clone()
    };
    run(&stage, &["--to", "add"], 0);
    assert_eq!(floor(&stage), serde_json::json!([]));
    let dual = ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "backfill"], 0);
    let value = floor(&stage);
    assert_eq!(value.as_array().unwrap().len(), 2);
    assert_eq!(value[0]["phase"], "dual-write");
    assert_eq!(value[0]["commit"], dual.as_str());
    assert_eq!(value[0]["in_effect"], serde_json::json!(["backfill"]));
    run(&stage, &["--to", "constrain"], 0);
    let switch = ship(&mut stage, "switch-read").await;
    run(&stage, &["--to", "relax"], 0);
    ship(&mut stage, "stop-write").await;
    let value = floor(&stage);
    assert_eq!(value[0]["commit"], switch.as_str());
    assert_eq!(value[0]["abandoned"], serde_json::json!(["stop-write"]));
    let (_, text, _) = stage.run(&["status"]);
    let text = text.split("Rollback floor").nth(1).unwrap();
    steady(&[]).bind(|| insta::assert_snapshot!("status_floor", text));
    // What stands there may be deployed, and what came before it may not.
    assert_eq!(stage.run(&["can-deploy", switch.as_str()]).0, 0);
    assert_eq!(stage.run(&["can-deploy", dual.as_str()]).0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_a_way_says_so() {
    let (stage, first) = stage(20).await;
    // A drop without a DOWN side, which is done: nothing leads back.
    for file in std::fs::read_dir(stage.project.repo.path().join("migrations")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let up = text.split("-- DOWN").next().unwrap();
        std::fs::write(&path, up).unwrap();
    }
    for phase in ["add", "backfill", "constrain", "relax", "drop"] {
        stage.done(phase).await;
    }
    let (exit, value) = stage.json(&["can-deploy", first.as_str(), "--service", "web"]);
    assert_eq!(exit, 1);
    assert_eq!(value["services"][0]["plans"][0]["way"], serde_json::Value::Null);
    let (_, text, _) = stage.run(&["can-deploy", first.as_str(), "--service", "web"]);
    assert!(text.contains("no safe way to a yes was found"), "{text}");
}
