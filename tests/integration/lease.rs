//! Leases: whoever was told that a version may be deployed is not overtaken by a contract phase, nor the other way round.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Child;

use shipctl::domain::CommitId;

use super::control::Watched;
use super::crash::program;
use super::rename::{PLAN, Stage};
use super::run::{command, run, ship, stage, stage_value};
use super::support::{self, eventually};

const CI: &str = "ci <ci@example.org>";
const LEASES: &str = "SELECT count(*) FROM shipctl.events WHERE kind = 'lease-taken'";
const DROPS: &str = "SELECT count(*) FROM shipctl.events WHERE kind = 'phase-started' AND phase = 'drop'";
const OLD_COLUMN: &str = "SELECT count(*) FROM pg_attribute
                          WHERE attrelid = 'users'::regclass AND attname = 'name' AND NOT attisdropped";

/// The releases of a rename.
struct Releases {
    switch: CommitId,
    stop: CommitId,
}

/// A rename whose approved drop is all that is left; `switch` may still be rolled back to.
async fn ready_to_drop() -> (Stage, Releases) {
    let (mut stage, _) = stage(20).await;
    run(&stage, &["--to", "add"], 0);
    ship(&mut stage, "dual-write").await;
    run(&stage, &["--to", "constrain"], 0);
    let switch = ship(&mut stage, "switch-read").await;
    run(&stage, &["--to", "relax"], 0);
    let stop = ship(&mut stage, "stop-write").await;
    command(&stage, "approve", &["drop", "--reason", "reviewed"], 0);
    (stage, Releases { switch, stop })
}

/// Runs the program as the pipeline.
fn ci(stage: &Stage, args: &[&str]) -> (i32, serde_json::Value) {
    let output = stage
        .project
        .shipctl(args)
        .arg("--json")
        .env("SHIPCTL_ACTOR", CI)
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let value = serde_json::from_str(&out)
        .unwrap_or_else(|why| panic!("{why}: {out}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), value)
}

/// Takes a lease as the pipeline; the exit code.
fn lease(stage: &Stage, commit: &CommitId, time: &str) -> i32 {
    ci(stage, &["can-deploy", commit.as_str(), "--lease", time]).0
}

fn codes(value: &serde_json::Value) -> Vec<&str> {
    let reasons = value["reasons"].as_array().unwrap();
    let mut codes: Vec<&str> = reasons
        .iter()
        .map(|reason| reason["code"].as_str().unwrap())
        .collect();
    codes.dedup();
    codes
}

/// The last line of a run's stream.
fn end(run: &Watched) -> serde_json::Value {
    run.events().pop().unwrap()
}

fn steady() -> insta::Settings {
    support::steady(&[(r"in \d+[sm]", "in [time]"), (r"\(\d+s\)", "([age])")])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_phase_waits_for_a_deployment_until_it_is_recorded() {
    let (stage, releases) = ready_to_drop().await;
    let (exit, value) = ci(
        &stage,
        &["can-deploy", releases.switch.as_str(), "--lease", "15m"],
    );
    assert_eq!(exit, 0, "{value:#}");
    assert_eq!(value["lease"]["holder"], CI);
    assert_eq!(value["lease"]["versions"].as_array().unwrap().len(), 2);
    assert_eq!(value["lease"]["live"], true);

    let said = run(&stage, &[], 4);
    assert!(said.contains("deployment-under-way"), "{said}");
    let (exit, text, _) = stage.run(&["gate", PLAN, "drop"]);
    assert_eq!(exit, 4);
    steady().bind(|| insta::assert_snapshot!("gate_beside_a_deployment", text));
    let (exit, text, _) = stage.run(&["lease"]);
    assert_eq!(exit, 0);
    steady().bind(|| insta::assert_snapshot!("leases", text));
    assert_eq!(stage_value(&stage, OLD_COLUMN).await, "1");

    // One instance is not the deployment; one service is not both.
    let record = |more: &[&str]| {
        let mut args = vec!["deployed", "record", "web", releases.switch.as_str()];
        args.extend_from_slice(more);
        ci(&stage, &args).1["leases_returned"].clone()
    };
    assert_eq!(record(&["--instance", "web-1"]), serde_json::json!([]));
    assert_eq!(record(&[]).as_array().unwrap().len(), 1);
    let (_, value) = stage.json(&["lease"]);
    assert_eq!(value["leases"][0]["versions"][0]["service"], "worker");
    run(&stage, &[], 4);
    let (exit, value) = ci(
        &stage,
        &["deployed", "record", "worker", releases.switch.as_str()],
    );
    assert_eq!((exit, value["leases_returned"].as_array().unwrap().len()), (0, 1));
    run(&stage, &[], 0);
    assert_eq!(stage_value(&stage, OLD_COLUMN).await, "0");
    let (_, said, _) = stage.run(&["log", "--limit", "0"]);
    assert!(said.contains("lease of web returned, deployed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_takes_no_lease() {
    let (stage, releases) = ready_to_drop().await;
    run(&stage, &[], 0);
    let (exit, value) = ci(
        &stage,
        &["can-deploy", releases.switch.as_str(), "--lease", "15m"],
    );
    assert_eq!((exit, &value["lease"]), (1, &serde_json::Value::Null));
    assert_eq!(stage_value(&stage, LEASES).await, "0");
    for time in ["0s", "-5m", "25h", "soon"] {
        let time = format!("--lease={time}");
        assert_eq!(
            stage.run(&["can-deploy", releases.stop.as_str(), &time]).0,
            2,
            "{time}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_given_up_by_its_holder_and_by_others_only_with_a_reason() {
    let (stage, releases) = ready_to_drop().await;
    assert_eq!(lease(&stage, &releases.switch, "15m"), 0);
    let release = ["lease", "release", releases.switch.short()];
    let (exit, value) = stage.json(&release);
    assert_eq!(
        (exit, &value["error"]["code"]),
        (1, &"lease-of-another".into()),
        "{value:#}"
    );
    assert_eq!(ci(&stage, &["lease", "release", &"0".repeat(40)]).0, 2);
    let (exit, value) = ci(&stage, &[&release[..], &["--service", "web"]].concat());
    assert_eq!((exit, value["released"].as_array().unwrap().len()), (0, 1));
    run(&stage, &[], 4);
    let (exit, value) = stage.json(&[&release[..], &["--reason", "the pipeline died"]].concat());
    assert_eq!((exit, &value["released"][0]["service"]), (0, &"worker".into()));
    let (_, said, _) = stage.run(&["log"]);
    assert!(said.contains("given up: the pipeline died"), "{said}");
    run(&stage, &[], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_expired_no_longer_counts_and_status_says_so() {
    let (stage, releases) = ready_to_drop().await;
    assert_eq!(lease(&stage, &releases.switch, "15m"), 0);
    let (_, text, _) = stage.run(&["status"]);
    steady().bind(|| insta::assert_snapshot!("status_beside_a_deployment", text));
    ci(&stage, &["lease", "release", releases.switch.as_str()]);
    assert_eq!(lease(&stage, &releases.switch, "1s"), 0);
    run(&stage, &[], 4);
    let (_, value) = stage.json(&["status"]);
    assert_eq!(value["environments"][0]["leases"].as_array().unwrap().len(), 1);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let (_, text, _) = stage.run(&["status"]);
    assert!(text.contains("no longer counts"), "{text}");
    let (_, value) = stage.json(&["status"]);
    assert_eq!(value["environments"][0]["leases"][0]["live"], false);
    run(&stage, &[], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_actor_extends_a_lease_and_another_has_one_of_its_own() {
    let (stage, releases) = ready_to_drop().await;
    let until = |value: &serde_json::Value| {
        let text = value["lease"]["until"].as_str().unwrap().to_owned();
        text.parse::<jiff::Timestamp>().unwrap()
    };
    let ask = ["can-deploy", releases.switch.as_str(), "--lease"];
    let (_, first) = ci(&stage, &[&ask[..], &["5m"]].concat());
    let (_, longer) = ci(&stage, &[&ask[..], &["10m"]].concat());
    let (_, shorter) = ci(&stage, &[&ask[..], &["1m"]].concat());
    assert_eq!(first["lease"]["id"], longer["lease"]["id"]);
    assert_eq!(first["lease"]["since"], longer["lease"]["since"]);
    assert!(until(&first) < until(&longer));
    assert_eq!(until(&longer), until(&shorter));
    let (exit, other) = stage.json(&[&ask[..], &["5m"]].concat());
    assert_eq!(exit, 0);
    assert_ne!(first["lease"]["id"], other["lease"]["id"]);
    let (_, value) = stage.json(&["lease"]);
    assert_eq!(value["leases"].as_array().unwrap().len(), 2);
    let (exit, text, _) = stage.run(&[&ask[..], &["5m"]].concat());
    assert_eq!(exit, 0);
    steady().bind(|| insta::assert_snapshot!("can_deploy_leased", text));
    // Each gives up its own.
    assert_eq!(ci(&stage, &["lease", "release", releases.switch.as_str()]).0, 0);
    run(&stage, &[], 4);
    assert_eq!(stage.run(&["lease", "release", releases.switch.as_str()]).0, 0);
    run(&stage, &[], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_deployed_together_is_judged_together() {
    // The worker has the first step, the web the second, which builds on it.
    let mut stage = Stage::new().await;
    let plan = format!(
        "id = \"{PLAN}\"\ntitle = \"Two steps\"\n\n[[phase]]\nid = \"one\"\nkind = \"code\"\nservices = [\"worker\"]\n\n\
         [[phase]]\nid = \"two\"\nkind = \"code\"\nneeds = [\"one\"]\nservices = [\"web\"]\n\n\
         [[phase]]\nid = \"drop\"\nkind = \"contract\"\nneeds = [\"two\"]\n\
         migration = \"20261122_101503_drop_users_name\"\n"
    );
    stage.project.repo.write(&format!("plans/{PLAN}.toml"), &plan);
    let before = stage.release("Before it all", None);
    let skipped = stage.release("The second step alone", Some("two"));
    let whole = stage.release("The first step", Some("one"));
    stage.deploy("web", &before).await;
    stage.deploy("worker", &whole).await;
    let ask =
        |args: &[&str]| stage.json(&[&["can-deploy", skipped.as_str(), "--lease", "15m"], args].concat());
    let (exit, value) = ask(&[]);
    assert_eq!(exit, 1, "{value:#}");
    assert_eq!(codes(&value), ["cannot-coexist"]);
    assert_eq!(value["lease"], serde_json::Value::Null);
    // Each by itself meets nobody with whom it could not run.
    assert_eq!(ask(&["--service", "web"]).0, 0);
    let (exit, value) = ask(&["--service", "worker"]);
    assert_eq!(
        (exit, codes(&value)),
        (4, vec!["deployment-under-way"]),
        "{value:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_stand_side_by_side_only_if_what_they_deploy_may_run_together() {
    // Two code phases with no schema between them: whoever has the second needs everybody else to have the first.
    let mut stage = Stage::new().await;
    let plan = format!(
        "id = \"{PLAN}\"\ntitle = \"Two steps\"\n\n[[phase]]\nid = \"one\"\nkind = \"code\"\n\n\
         [[phase]]\nid = \"two\"\nkind = \"code\"\nneeds = [\"one\"]\n\n\
         [[phase]]\nid = \"drop\"\nkind = \"contract\"\nneeds = [\"two\"]\n\
         migration = \"20261122_101503_drop_users_name\"\n"
    );
    stage.project.repo.write(&format!("plans/{PLAN}.toml"), &plan);
    let zero = stage.release("Before it all", None);
    let one = stage.release("The first step", Some("one"));
    let two = stage.release("The second step", Some("two"));
    for service in ["web", "worker"] {
        stage.deploy(service, &one).await;
    }
    let ask = |commit: &CommitId, service: &str| {
        stage.json(&[
            "can-deploy",
            commit.as_str(),
            "--service",
            service,
            "--lease",
            "15m",
        ])
    };
    let (exit, _) = ci(
        &stage,
        &["can-deploy", two.as_str(), "--service", "web", "--lease", "15m"],
    );
    assert_eq!(exit, 0);
    assert_eq!(ask(&one, "worker").0, 0);
    assert_eq!(ask(&two, "worker").0, 0);
    let (exit, value) = ask(&zero, "worker");
    assert_eq!((exit, &value["verdict"]), (4, &"waiting".into()), "{value:#}");
    assert_eq!(codes(&value), ["deployment-under-way"]);
    assert_eq!(value["lease"], serde_json::Value::Null);
    // Once the others are out of the way, nothing speaks against it.
    for (actor, commit) in [
        (CI, &two),
        ("Ada <ada@example.org>", &two),
        ("Ada <ada@example.org>", &one),
    ] {
        stage
            .project
            .shipctl(&["lease", "release", commit.as_str()])
            .env("SHIPCTL_ACTOR", actor)
            .assert()
            .success();
    }
    assert_eq!(ask(&zero, "worker").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_deployed_counts_as_running_for_every_other_phase() {
    let (mut stage, first) = stage(20).await;
    run(&stage, &["--to", "add"], 0);
    let dual = ship(&mut stage, "dual-write").await;
    assert_eq!(lease(&stage, &dual, "15m"), 0);
    assert_eq!(stage.json(&["gate", PLAN, "backfill"]).0, 0);
    // Back to the release before: the backfill would leave holes.
    assert_eq!(lease(&stage, &first, "15m"), 0);
    let (exit, value) = stage.json(&["gate", PLAN, "backfill"]);
    assert_eq!((exit, codes(&value)), (4, vec!["deployment-under-way"]));
    run(&stage, &["--to", "backfill"], 4);
    ci(&stage, &["lease", "release", first.as_str()]);
    run(&stage, &["--to", "backfill"], 0);
}

/// Starts a command as somebody that stops at a place, and waits until it is there.
async fn held(stage: &Stage, actor: &str, args: &[&str], place: &str, folder: &Path) -> Child {
    let child = program(stage, args)
        .env("SHIPCTL_ACTOR", actor)
        .env("SHIPCTL_FAILPOINT", format!("{place}=hold={}", folder.display()))
        .spawn()
        .unwrap();
    eventually("it is at the place", || async { folder.join("reached").exists() }).await;
    child
}

/// Waits until somebody waits for the lock under which leases are taken and phases begin.
async fn somebody_waits(stage: &Stage) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND wait_event_type = 'Lock' AND wait_event = 'advisory'";
    eventually("somebody waits", || async {
        stage_value(stage, waiting).await == "1"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_contract_phase_that_was_cleared_before_a_lease_was_taken_does_not_start() {
    let (stage, releases) = ready_to_drop().await;
    let folder = tempfile::tempdir().unwrap();
    let place = format!("phase-starting=hold={}", folder.path().display());
    let mut run = Watched::start(&stage, &["run", PLAN], &[("SHIPCTL_FAILPOINT", &place)]);
    eventually("it is cleared", || async {
        folder.path().join("reached").exists()
    })
    .await;
    assert_eq!(lease(&stage, &releases.switch, "15m"), 0);
    std::fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(run.child.wait().unwrap().code(), Some(4));
    assert_eq!(codes(&end(&run)), ["deployment-under-way"]);
    assert_eq!(stage_value(&stage, DROPS).await, "0");
    assert_eq!(stage_value(&stage, OLD_COLUMN).await, "1");
    // Nor is anything left that would have to be finished.
    assert_eq!(ci(&stage, &["can-deploy", releases.switch.as_str()]).0, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_deployment_that_began_and_ended_since_the_fleet_was_looked_at_is_not_overlooked() {
    // Given back, or over by itself: when the phase starts, no lease is left to be seen.
    for (time, given_back) in [("15m", true), ("1s", false)] {
        let (mut stage, releases) = ready_to_drop().await;
        let folder = tempfile::tempdir().unwrap();
        let ada = "Ada <ada@example.org>";
        let to_drop = ["run", PLAN, "--to", "drop"];
        let mut dropping = held(&stage, ada, &to_drop, "phase-starting", folder.path()).await;
        assert_eq!(lease(&stage, &releases.switch, time), 0);
        for service in ["web", "worker"] {
            stage.deploy(service, &releases.switch).await;
        }
        if given_back {
            let args = ["lease", "release", releases.switch.as_str()];
            assert_eq!(ci(&stage, &args).0, 0);
        } else {
            tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        }
        std::fs::write(folder.path().join("go"), "").unwrap();
        assert_eq!(dropping.wait().unwrap().code(), Some(1), "{time}");
        assert_eq!(stage_value(&stage, DROPS).await, "0");
        assert_eq!(stage_value(&stage, OLD_COLUMN).await, "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_lease_that_is_being_written_is_waited_for_and_obeyed() {
    let (stage, releases) = ready_to_drop().await;
    let folder = tempfile::tempdir().unwrap();
    let ask = ["can-deploy", releases.switch.as_str(), "--lease", "15m"];
    let mut asking = held(&stage, CI, &ask, "lease-written", folder.path()).await;
    let mut run = Watched::start(&stage, &["run", PLAN], &[]);
    somebody_waits(&stage).await;
    assert_eq!(stage_value(&stage, DROPS).await, "0");
    std::fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(asking.wait().unwrap().code(), Some(0));
    assert_eq!(run.child.wait().unwrap().code(), Some(4));
    assert_eq!(codes(&end(&run)), ["deployment-under-way"]);
    assert_eq!(stage_value(&stage, DROPS).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_lease_is_not_taken_by_what_was_true_before_a_contract_phase_began() {
    let (stage, releases) = ready_to_drop().await;
    let folder = tempfile::tempdir().unwrap();
    // It is written that the drop starts, and not committed.
    let mut drop = held(
        &stage,
        "Ada <ada@example.org>",
        &["run", PLAN],
        "records-written",
        folder.path(),
    )
    .await;
    let back = ["can-deploy", releases.switch.as_str(), "--lease", "15m"];
    let mut asking = program(&stage, &back).spawn().unwrap();
    somebody_waits(&stage).await;
    assert!(asking.try_wait().unwrap().is_none());
    assert_eq!(stage_value(&stage, LEASES).await, "0");
    std::fs::write(folder.path().join("go"), "").unwrap();
    // It is under way by then, or done.
    let exit = asking.wait().unwrap().code();
    assert!(matches!(exit, Some(1 | 4)), "{exit:?}");
    assert_eq!(drop.wait().unwrap().code(), Some(0));
    assert_eq!(stage_value(&stage, LEASES).await, "0");
    assert_eq!(stage_value(&stage, OLD_COLUMN).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_yes_that_was_overtaken_by_a_contract_phase_is_judged_again() {
    let (stage, releases) = ready_to_drop().await;
    for (commit, exits, leases) in [(&releases.switch, 1, "0"), (&releases.stop, 0, "1")] {
        let folder = tempfile::tempdir().unwrap();
        let ask = ["can-deploy", commit.as_str(), "--lease", "15m"];
        let mut asking = held(&stage, CI, &ask, "lease-wanted", folder.path()).await;
        run(&stage, &[], 0);
        command(&stage, "rollback", &["--to", "stop-write"], 0);
        run(&stage, &["--to", "relax"], 0);
        command(&stage, "approve", &["drop", "--reason", "again"], 0);
        if commit == &releases.switch {
            run(&stage, &[], 0);
        }
        std::fs::write(folder.path().join("go"), "").unwrap();
        assert_eq!(asking.wait().unwrap().code(), Some(exits));
        assert_eq!(stage_value(&stage, LEASES).await, leases);
        if commit == &releases.switch {
            command(&stage, "rollback", &["--to", "stop-write"], 0);
            command(&stage, "approve", &["drop", "--reason", "again"], 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_process_that_dies_between_steps_leaves_what_it_had_committed_and_nothing_else() {
    let killed = |stage: &Stage, args: &[&str], place: &str| {
        let status = program(stage, args)
            .env("SHIPCTL_FAILPOINT", format!("{place}=kill"))
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(9), "{args:?} does not come by {place}");
    };
    let (stage, releases) = ready_to_drop().await;
    let ask = ["can-deploy", releases.switch.as_str(), "--lease", "15m"];
    // Not committed: nothing happened, and the lock is free.
    for place in ["lease-wanted", "lease-written"] {
        killed(&stage, &ask, place);
        assert_eq!(stage_value(&stage, LEASES).await, "0", "{place}");
        assert_eq!(stage.json(&["gate", PLAN, "drop"]).0, 0);
    }
    killed(&stage, &["run", PLAN], "records-written");
    assert_eq!(stage_value(&stage, DROPS).await, "0");
    assert_eq!(ci(&stage, &["can-deploy", releases.switch.as_str()]).0, 0);
    // Committed: it holds, whoever died.
    killed(&stage, &ask, "lease-taken");
    run(&stage, &[], 4);
    assert_eq!(stage.run(&["lease", "release", releases.switch.as_str()]).0, 0);
    // Half done: the rollback target waits, and what works with it at any moment does not.
    killed(&stage, &["run", PLAN], "phase-started");
    let (exit, value) = ci(
        &stage,
        &["can-deploy", releases.switch.as_str(), "--lease", "15m"],
    );
    assert_eq!((exit, codes(&value)), (4, vec!["phase-under-way"]), "{value:#}");
    let (exit, text, _) = stage.run(&["can-deploy", releases.switch.as_str(), "--service", "web"]);
    assert_eq!(exit, 4);
    steady().bind(|| insta::assert_snapshot!("can_deploy_beside_a_contract_phase", text));
    assert_eq!(lease(&stage, &releases.stop, "15m"), 0);
    // A half-done phase is finished beside it.
    run(&stage, &[], 0);
    assert_eq!(stage_value(&stage, OLD_COLUMN).await, "0");
    assert_eq!(ci(&stage, &["can-deploy", releases.switch.as_str()]).0, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_deployment_is_let_go_ahead_while_a_backfill_runs() {
    let (mut stage, _) = stage(20).await;
    run(&stage, &["--to", "add"], 0);
    let dual = ship(&mut stage, "dual-write").await;
    let folder = tempfile::tempdir().unwrap();
    let to_backfill = ["run", PLAN, "--to", "backfill"];
    let mut filling = held(
        &stage,
        "Ada <ada@example.org>",
        &to_backfill,
        "fill-rows-written",
        folder.path(),
    )
    .await;
    assert_eq!(lease(&stage, &dual, "15m"), 0);
    std::fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(filling.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(debug_assertions), ignore = "failpoints are in debug builds only")]
async fn a_phase_is_judged_again_by_a_lease_that_appeared_and_starts_if_both_may_be() {
    let (mut stage, first) = stage(20).await;
    run(&stage, &["--to", "add"], 0);
    let dual = ship(&mut stage, "dual-write").await;
    let begun = "SELECT count(*) FROM shipctl.events WHERE kind = 'phase-started' AND phase = 'backfill'";
    for (commit, exits, starts) in [(&first, 4, "0"), (&dual, 0, "1")] {
        let folder = tempfile::tempdir().unwrap();
        let to_backfill = ["run", PLAN, "--to", "backfill"];
        let ada = "Ada <ada@example.org>";
        let mut filling = held(&stage, ada, &to_backfill, "phase-starting", folder.path()).await;
        assert_eq!(lease(&stage, commit, "15m"), 0);
        std::fs::write(folder.path().join("go"), "").unwrap();
        assert_eq!(filling.wait().unwrap().code(), Some(exits));
        assert_eq!(stage_value(&stage, begun).await, starts);
        assert_eq!(ci(&stage, &["lease", "release", commit.as_str()]).0, 0);
    }
    // What did not start has not failed either.
    let failed = "SELECT count(*) FROM shipctl.events WHERE kind = 'phase-failed'";
    assert_eq!(stage_value(&stage, failed).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sets_the_deployment_aside_is_on_record() {
    let (stage, releases) = ready_to_drop().await;
    assert_eq!(lease(&stage, &releases.stop, "15m"), 0);
    let aside = [
        "--to",
        "drop",
        "--override",
        "deployment-under-way",
        "--reason",
        "the pipeline hangs",
    ];
    run(&stage, &aside, 0);
    let (_, said, _) = stage.run(&["log", "--limit", "0"]);
    assert!(
        said.contains("set aside deployment-under-way: the pipeline hangs"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_and_run_at_once_never_both_go_ahead() {
    // Whoever comes first, a rollback and the drop never both get their way.
    let (stage, releases) = ready_to_drop().await;
    let ask = ["can-deploy", releases.switch.as_str(), "--lease", "15m"];
    let mut asking: Vec<Child> = (0..3)
        .map(|number| {
            let actor = format!("ci {number}");
            program(&stage, &ask).env("SHIPCTL_ACTOR", actor).spawn().unwrap()
        })
        .collect();
    let mut drop = program(&stage, &["run", PLAN]).spawn().unwrap();
    let granted = asking
        .iter_mut()
        .filter_map(|child| child.wait().unwrap().code())
        .filter(|code| *code == 0)
        .count();
    let dropped = drop.wait().unwrap().code() == Some(0);
    assert_eq!(stage_value(&stage, LEASES).await, granted.to_string());
    assert!(dropped != (granted > 0), "{dropped} {granted}");
    assert_eq!(
        stage_value(&stage, OLD_COLUMN).await,
        if dropped { "0" } else { "1" }
    );
}
