use super::*;
use crate::safety::samples::{at, doubt, facts, id, rename, rename_with, sighting, state, version};
use crate::safety::{Gate, Lease, Progress};

const ALL: [&str; 5] = ["add", "backfill", "constrain", "relax", "drop"];

/// Every release of both services is known.
fn known() -> Vec<Version> {
    (0..=3)
        .flat_map(|level| [version("web", level), version("worker", level)])
        .collect()
}

/// The way in short: `+phase` runs it, `-phase` undoes it.
fn way(goal: Goal<'_>, plan: &PlanShape, known: &[Version], facts: &Facts) -> Option<Vec<String>> {
    let plans = [plan.clone()];
    let ground = Ground {
        plan,
        plans: &plans,
        known,
        for_good: &BTreeSet::new(),
    };
    let steps = shortest_way(goal, &ground, facts)?;
    let said = |step: WayStep| match step {
        WayStep::FindOut { fix } => format!("find out: {fix}"),
        WayStep::Deploy {
            versions,
            contains,
            known,
        } => {
            let names: Vec<String> = versions
                .iter()
                .map(|version| match known {
                    true => format!("{} {}", version.service, &version.commit.as_str()[..1]),
                    false => version.service.to_string(),
                })
                .collect();
            let contains: Vec<&str> = contains.iter().map(PhaseId::as_str).collect();
            format!("deploy {} ({})", names.join(", "), contains.join(", "))
        }
        WayStep::AwaitDeployment { what } => format!("await {what}"),
        WayStep::Approve { phase } => format!("approve {phase}"),
        WayStep::Soak { phase } => format!("soak {phase}"),
        WayStep::Run { phase } => format!("+{phase}"),
        WayStep::Verify { phase } => format!("verify {phase}"),
        WayStep::Restore { phase } => format!("restore {phase}"),
        WayStep::Undo { phase } => format!("-{phase}"),
    };
    Some(steps.into_iter().map(said).collect())
}

fn to_deploy(level: usize, facts: &Facts) -> Option<Vec<String>> {
    way(Goal::Deploy(&version("web", level)), &rename(), &known(), facts)
}

fn to_run(phase: &str, facts: &Facts) -> Option<Vec<String>> {
    way(Goal::Run(&id(phase)), &rename(), &known(), facts)
}

#[test]
fn what_is_permitted_now_needs_no_step() {
    let facts = facts(&[("web", 0), ("worker", 0)], &["add"]);
    assert_eq!(to_deploy(1, &facts).unwrap(), [""; 0]);
    assert_eq!(to_run("add", &facts).unwrap(), [""; 0]);
}

#[test]
fn the_way_goes_through_code_and_schema_in_the_order_that_the_rules_permit() {
    let facts = facts(&[("web", 0), ("worker", 1)], &["add"]);
    assert_eq!(
        to_deploy(2, &facts).unwrap(),
        ["deploy web 1 (dual-write)", "+backfill", "+constrain"]
    );
    assert_eq!(to_run("backfill", &facts).unwrap(), ["deploy web 1 (dual-write)"]);
    assert_eq!(
        to_run("relax", &facts).unwrap(),
        [
            "deploy web 1 (dual-write)",
            "+backfill",
            "+constrain",
            "deploy web 2, worker 2 (switch-read)"
        ]
    );
    // The phase of code is reached by deploying it.
    assert_eq!(
        to_run("dual-write", &facts).unwrap(),
        ["deploy web 1 (dual-write)"]
    );
}

#[test]
fn from_the_start_of_a_rename_to_its_end() {
    let way = to_run("drop", &facts(&[("web", 0), ("worker", 0)], &[])).unwrap();
    assert_eq!(
        way,
        [
            "+add",
            "deploy web 1, worker 1 (dual-write)",
            "+backfill",
            "+constrain",
            "deploy web 2, worker 2 (switch-read)",
            "+relax",
            "deploy web 3, worker 3 (stop-write)"
        ]
    );
}

#[test]
fn code_that_nobody_has_written_yet_is_named_by_what_it_must_contain() {
    let facts = facts(&[("web", 0), ("worker", 0)], &["add"]);
    let known = [version("web", 0), version("worker", 0)];
    let way = way(Goal::Run(&id("backfill")), &rename(), &known, &facts);
    assert_eq!(way.unwrap(), ["deploy web, worker (dual-write)"]);
}

#[test]
fn the_way_back_undoes_and_restores_what_older_code_cannot_work_with() {
    let facts = facts(&[("web", 3), ("worker", 3)], &ALL);
    assert_eq!(to_deploy(2, &facts).unwrap(), ["-drop"]);
    assert_eq!(
        to_deploy(1, &facts).unwrap(),
        [
            "-drop",
            "deploy web 2, worker 2 (switch-read)",
            "restore stop-write",
            "-relax"
        ]
    );
}

#[test]
fn what_cannot_be_undone_is_not_proposed() {
    let facts = facts(&[("web", 3), ("worker", 3)], &ALL);
    let plan = rename();
    let ground = Ground {
        plan: &plan,
        plans: std::slice::from_ref(&plan),
        known: &known(),
        for_good: &BTreeSet::from([id("drop")]),
    };
    let goal = version("web", 2);
    assert_eq!(shortest_way(Goal::Deploy(&goal), &ground, &facts), None);
}

#[test]
fn an_approval_and_a_soak_are_steps_of_their_own() {
    let plan = rename_with(|phase| {
        if phase.id == id("relax") {
            phase.gate = Gate {
                approvals: 1,
                soak: Some(jiff::SignedDuration::from_hours(1)),
            };
        }
    });
    let facts = facts(&[("web", 2), ("worker", 2)], &ALL[..3]);
    let known = known();
    let to_run = way(Goal::Run(&id("relax")), &plan, &known, &facts);
    assert_eq!(to_run.unwrap(), ["approve relax", "soak relax"]);
    let to_deploy = way(Goal::Deploy(&version("web", 3)), &plan, &known, &facts);
    assert_eq!(to_deploy.unwrap(), ["approve relax", "soak relax", "+relax"]);
}

#[test]
fn a_tainted_backfill_is_verified_once_its_code_runs_everywhere() {
    let mut facts = facts(&[("web", 1), ("worker", 0)], &ALL[..3]);
    assert_eq!(
        to_deploy(2, &facts).unwrap(),
        ["deploy worker 1 (dual-write)", "verify backfill"]
    );
    facts.fleet = crate::safety::samples::fleet(&[("web", 1), ("worker", 1)]);
    facts.history.sightings.push(sighting("worker", 0, at(500)));
    assert_eq!(to_deploy(2, &facts).unwrap(), ["verify backfill"]);
}

#[test]
fn thousands_of_versions_in_the_past_change_no_way_and_cost_little() {
    let mut facts = facts(&[("web", 3), ("worker", 3)], &ALL);
    let short = to_deploy(0, &facts).unwrap();
    for second in 0..5_000 {
        for level in 0..=3 {
            // What ran before the plan, and in its course.
            let seen = if level == 0 {
                second % 90
            } else {
                200 + second % 700
            };
            facts.history.sightings.push(sighting("web", level, at(seen)));
        }
    }
    let begun = std::time::Instant::now();
    assert_eq!(to_deploy(0, &facts).unwrap(), short);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn a_phase_that_is_half_done_is_finished() {
    let mut facts = facts(&[("web", 2), ("worker", 2)], &ALL[..3]);
    state(&mut facts, "relax").progress = Progress::Started { at: at(900) };
    assert_eq!(to_deploy(3, &facts).unwrap(), ["+relax"]);
}

#[test]
fn a_deployment_under_way_is_awaited() {
    let mut facts = facts(&[("web", 2), ("worker", 2)], &ALL[..3]);
    facts.leases = vec![Lease {
        id: 1,
        holder: "ci".to_owned(),
        revision: "HEAD".to_owned(),
        versions: BTreeSet::from([version("web", 2)]),
        since: at(900),
        until: at(1900),
    }];
    assert_eq!(to_run("relax", &facts).unwrap(), ["await 222222222 to web by ci"]);
    // Whoever comes after it may have to be brought forward first.
    facts.leases[0].versions = BTreeSet::from([version("web", 1)]);
    assert_eq!(
        to_run("relax", &facts).unwrap(),
        ["await 111111111 to web by ci", "deploy web 2 (switch-read)"]
    );
}

#[test]
fn what_is_not_known_comes_first_and_nothing_is_said_of_what_follows() {
    let mut facts = facts(&[("web", 0), ("worker", 0)], &["add"]);
    doubt(&mut facts, "web");
    assert_eq!(
        to_run("backfill", &facts).unwrap(),
        ["find out: shipctl deployed --env production"]
    );
}

#[test]
fn every_step_of_every_way_passes_its_gate_when_its_turn_comes() {
    // From every stage of the schema with every mixture of code, to every version and every phase.
    let (plan, known) = (rename(), known());
    let ground = Ground {
        plan: &plan,
        plans: std::slice::from_ref(&plan),
        known: &known,
        for_good: &BTreeSet::new(),
    };
    let mut ways = 0;
    for done in 0..=ALL.len() {
        for (web, worker) in [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3)] {
            let facts = facts(&[("web", web), ("worker", worker)], &ALL[..done]);
            for level in 0..=3 {
                let goal = version("web", level);
                let Some(way) = shortest_way(Goal::Deploy(&goal), &ground, &facts) else {
                    continue;
                };
                ways += 1;
                let end = walk(&plan, &facts, &way);
                let judged = can_deploy_under(&plan, &goal, &end);
                assert_eq!(judged.verdict(), Verdict::Go, "{way:#?}\n{judged:#?}");
            }
        }
    }
    assert!(ways > 100, "{ways}");
}

/// Takes the steps one by one, each judged anew, and tells where they lead.
fn walk(plan: &PlanShape, facts: &Facts, way: &[WayStep]) -> Facts {
    use crate::safety::{may_restore, may_revert};
    let none = BTreeSet::new();
    let mut facts = facts.clone();
    let remembered = facts.history.sightings.len();
    let mut world = World::of(plan, &facts);
    for step in way {
        let cleared = match step {
            WayStep::Run { phase } => judge(plan, phase, &facts, &none),
            WayStep::Undo { phase } => may_revert(plan, phase, &facts, &none),
            WayStep::Verify { phase } => may_verify(plan, phase, &facts, &none),
            WayStep::Restore { phase } => may_restore(plan, phase, &facts, &none),
            _ => {
                let WayStep::Deploy { versions, .. } = step else {
                    panic!("{step:?}");
                };
                // In one of the orders.
                let mut left = versions.clone();
                while !left.is_empty() {
                    let may = left
                        .iter()
                        .position(|one| can_deploy_under(plan, one, &facts).verdict() == Verdict::Go);
                    world = world.deployed(&left.remove(may.unwrap()));
                    world.make_true(plan, &mut facts, remembered);
                }
                continue;
            }
        };
        assert!(matches!(cleared, Decision::Cleared(_)), "{step:?}: {cleared:?}");
        world = match step {
            WayStep::Run { phase } => world.done(plan, phase),
            WayStep::Undo { phase } => world.undone(phase),
            WayStep::Verify { phase } => world.verified(phase),
            WayStep::Restore { phase } => world.restored(phase),
            _ => world,
        };
        world.make_true(plan, &mut facts, remembered);
    }
    facts
}
