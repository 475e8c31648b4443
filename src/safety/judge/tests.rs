//! What opens a gate, and everything that keeps it closed.

use jiff::SignedDuration;

use super::*;
use crate::domain::Digest;
use crate::safety::samples::{
    at, codes, doubt, facts, fleet, id, rename, rename_with, sighting, state, version,
};
use crate::safety::{Approval, Containment, Doubt, Gate};

const UP_TO_RELAX: [&str; 4] = ["add", "backfill", "constrain", "relax"];

fn asked(plan: &PlanShape, phase: &str, facts: &Facts) -> Decision {
    judge(plan, &id(phase), facts, &BTreeSet::new())
}

#[test]
fn the_first_phase_asks_nothing_of_the_fleet() {
    let mut facts = facts(&[], &[]);
    assert_eq!(asked(&rename(), "add", &facts).verdict(), Verdict::Go);
    facts.fleet = fleet(&[("web", 0)]);
    doubt(&mut facts, "web");
    assert_eq!(asked(&rename(), "add", &facts).verdict(), Verdict::Go);
}

#[test]
fn an_old_version_anywhere_blocks_and_is_named() {
    let facts = facts(&[("web", 1), ("worker", 0)], &["add"]);
    let decision = asked(&rename(), "backfill", &facts);
    assert_eq!(codes(&decision), [ReasonCode::OldVersionRunning]);
    let reason = &decision.judgement().reasons[0];
    assert_eq!(
        reason.message,
        "worker 000000000 (worker-0, seen by connections) does not contain dual-write"
    );
    assert_eq!(
        reason.fix.as_deref(),
        Some(
            "deploy a version that contains dual-write to worker; then: shipctl run rename --env production"
        )
    );
}

#[test]
fn a_phase_is_cleared_once_everything_contains_what_it_needs() {
    let facts = facts(&[("web", 1), ("worker", 2)], &["add"]);
    let decision = asked(&rename(), "backfill", &facts);
    let Decision::Cleared(clearance) = decision else {
        panic!("{decision:?}")
    };
    assert_eq!(clearance.digest(), &Digest::of("backfill"));
    assert!(
        clearance
            .judgement()
            .evidence
            .iter()
            .any(|line| line.contains("is an ancestor"))
    );
}

#[test]
fn nobody_is_not_everybody() {
    assert_eq!(
        codes(&asked(&rename(), "backfill", &facts(&[], &["add"]))),
        [ReasonCode::FleetUnknown]
    );
    let mut silent = facts(&[("web", 1), ("worker", 1)], &["add"]);
    for census in silent.fleet.services.values_mut() {
        census.sightings.clear();
    }
    let decision = asked(&rename(), "backfill", &silent);
    assert_eq!(decision.verdict(), Verdict::Unknown);
}

#[test]
fn doubts_strangers_and_unknown_containment_are_unknown() {
    let clear = facts(&[("web", 1)], &["add"]);
    let mut doubtful = clear.clone();
    doubt(&mut doubtful, "web");
    assert_eq!(
        asked(&rename(), "backfill", &doubtful).verdict(),
        Verdict::Unknown
    );

    let mut unexamined = clear.clone();
    unexamined
        .containments
        .remove(&version("web", 1), &"rename".parse().unwrap(), &id("dual-write"));
    assert_eq!(
        codes(&asked(&rename(), "backfill", &unexamined)),
        [ReasonCode::ContainmentUnknown]
    );

    let mut stranger = clear;
    stranger.fleet.strangers.insert(crate::safety::Stranger {
        name: "cron".to_owned(),
        commit: version("web", 0).commit,
        source: "connections".to_owned(),
    });
    assert_eq!(
        codes(&asked(&rename(), "backfill", &stranger)),
        [ReasonCode::UndeclaredService]
    );
}

#[test]
fn yesterdays_code_gates_are_judged_again() {
    let facts = facts(&[("web", 1), ("worker", 3)], &UP_TO_RELAX);
    assert_eq!(
        codes(&asked(&rename(), "drop", &facts)),
        [ReasonCode::OldVersionRunning]
    );
}

#[test]
fn a_version_seen_after_the_backfill_began_taints_it() {
    let mut facts = facts(&[("web", 3)], &UP_TO_RELAX);
    facts.history.sightings.push(sighting("worker", 0, at(500)));
    assert_eq!(codes(&asked(&rename(), "drop", &facts)), [ReasonCode::Tainted]);
    state(&mut facts, "backfill").progress = Progress::Done {
        started_at: at(101),
        at: at(102),
        valid_since: at(501),
    };
    assert_eq!(asked(&rename(), "drop", &facts).verdict(), Verdict::Go);
}

#[test]
fn a_stale_source_is_never_copied_again() {
    let mut facts = facts(&[("web", 2)], &["add", "backfill", "constrain", "relax"]);
    facts.history.sightings.push(sighting("worker", 0, at(500)));
    let verified = may_verify(&rename(), &id("backfill"), &facts, &BTreeSet::new());
    assert_eq!(verified.verdict(), Verdict::Go);
    facts.history.sightings.push(sighting("worker", 3, at(600)));
    let verified = may_verify(&rename(), &id("backfill"), &facts, &BTreeSet::new());
    assert_eq!(codes(&verified), [ReasonCode::DataFloor]);
}

fn approval(actor: &str, shape: &PlanShape) -> Approval {
    Approval {
        actor: actor.to_owned(),
        at: at(900),
        reason: "looked at it".to_owned(),
        digest: shape.phase(&id("drop")).unwrap().approval_digest(),
    }
}

/// The rename, with a gate before its drop.
fn gated(gate: Gate) -> PlanShape {
    rename_with(|phase| {
        if phase.id.as_str() == "drop" {
            phase.gate = gate.clone();
        }
    })
}

#[test]
fn approvals_count_people_and_only_for_what_they_saw() {
    let plan = gated(Gate {
        approvals: 2,
        soak: None,
    });
    let mut facts = facts(&[("web", 3)], &UP_TO_RELAX);
    assert_eq!(asked(&plan, "drop", &facts).verdict(), Verdict::Waiting);
    let older = rename_with(|phase| phase.digest = Digest::of("older"));
    state(&mut facts, "drop").approvals = vec![
        approval("ann", &plan),
        approval("ann", &plan),
        approval("bob", &older),
    ];
    assert_eq!(codes(&asked(&plan, "drop", &facts)), [ReasonCode::NeedsApproval]);
    state(&mut facts, "drop").approvals.push(approval("bob", &plan));
    assert_eq!(asked(&plan, "drop", &facts).verdict(), Verdict::Go);
}

#[test]
fn the_end_of_a_soak_is_known_once_everything_holds() {
    let plan = gated(Gate {
        approvals: 0,
        soak: Some(SignedDuration::from_secs(60)),
    });
    let mut facts = facts(&[("web", 3)], &UP_TO_RELAX);
    assert_eq!(soak_ends(&plan, &id("drop"), &facts), None);
    state(&mut facts, "stop-write").satisfied_since = Some(at(990));
    assert_eq!(soak_ends(&plan, &id("drop"), &facts), Some(at(1050)));
    assert_eq!(soak_ends(&plan, &id("relax"), &facts), None);
}

#[test]
fn an_approval_of_a_stricter_gate_is_none_of_a_laxer_one() {
    let soaking = |hours| Gate {
        approvals: 1,
        soak: (hours > 0).then(|| SignedDuration::from_hours(hours)),
    };
    let mut facts = facts(&[("web", 3)], &UP_TO_RELAX);
    facts.now = at(200_000);
    state(&mut facts, "stop-write").satisfied_since = Some(at(1000));
    state(&mut facts, "drop").approvals = vec![approval("ann", &gated(soaking(24)))];
    assert_eq!(asked(&gated(soaking(24)), "drop", &facts).verdict(), Verdict::Go);
    for weakened in [gated(soaking(1)), gated(soaking(0))] {
        let decision = asked(&weakened, "drop", &facts);
        assert_eq!(codes(&decision), [ReasonCode::NeedsApproval]);
        assert_eq!(
            decision.judgement().reasons[0].evidence,
            ["ann approved before it was edited, which does not count"]
        );
    }
}

#[test]
fn protected_environments_ask_for_an_approval_of_what_takes_away() {
    let mut facts = facts(&[("web", 3)], &UP_TO_RELAX);
    facts.protected = true;
    assert_eq!(
        codes(&asked(&rename(), "drop", &facts)),
        [ReasonCode::NeedsApproval]
    );
}

#[test]
fn a_soak_is_counted_from_the_first_look_that_held() {
    let plan = rename_with(|phase| {
        if phase.id.as_str() == "drop" {
            phase.gate.soak = Some(SignedDuration::from_secs(300));
        }
    });
    let mut facts = facts(&[("web", 3)], &UP_TO_RELAX);
    assert_eq!(codes(&asked(&plan, "drop", &facts)), [ReasonCode::Soaking]);
    state(&mut facts, "stop-write").satisfied_since = Some(at(701));
    assert_eq!(codes(&asked(&plan, "drop", &facts)), [ReasonCode::Soaking]);
    state(&mut facts, "stop-write").satisfied_since = Some(at(700));
    assert_eq!(asked(&plan, "drop", &facts).verdict(), Verdict::Go);
}

#[test]
fn a_soak_begins_anew_when_any_look_saw_a_version_without_the_phase() {
    let plan = gated(Gate {
        approvals: 0,
        soak: Some(SignedDuration::from_secs(60)),
    });
    let mut facts = facts(&[("web", 3)], &UP_TO_RELAX);
    state(&mut facts, "stop-write").satisfied_since = Some(at(900));
    assert_eq!(asked(&plan, "drop", &facts).verdict(), Verdict::Go);
    facts.history.sightings = vec![sighting("web", 2, at(890)), sighting("web", 3, at(999))];
    assert_eq!(soak_ends(&plan, &id("drop"), &facts), Some(at(960)));
    facts.history.sightings.push(sighting("web", 2, at(980)));
    assert_eq!(soak_ends(&plan, &id("drop"), &facts), Some(at(1040)));
    assert_eq!(codes(&asked(&plan, "drop", &facts)), [ReasonCode::Soaking]);
}

#[test]
fn what_is_done_is_refused_without_objection_unless_it_was_edited() {
    let mut facts = facts(&[("web", 0)], &["add"]);
    let decision = asked(&rename(), "add", &facts);
    assert_eq!(codes(&decision), [ReasonCode::AlreadyDone]);
    assert!(matches!(decision, Decision::Refused(_)));
    assert_eq!(decision.verdict(), Verdict::Go);
    state(&mut facts, "add").digest = Some(Digest::of("another text"));
    assert_eq!(asked(&rename(), "add", &facts).verdict(), Verdict::Blocked);
}

#[test]
fn a_script_that_failed_at_its_first_statement_may_be_corrected() {
    let mut facts = facts(&[("web", 0)], &[]);
    *state(&mut facts, "add") = crate::safety::PhaseState {
        progress: Progress::Failed {
            started_at: at(900),
            at: at(901),
            error: "syntax error".to_owned(),
        },
        digest: Some(Digest::of("with a typo")),
        ..Default::default()
    };
    assert_eq!(asked(&rename(), "add", &facts).verdict(), Verdict::Go);
    state(&mut facts, "add").steps = 1;
    assert_eq!(codes(&asked(&rename(), "add", &facts)), [ReasonCode::Diverged]);
}

#[test]
fn a_reason_that_was_set_aside_is_kept_as_evidence_and_order_never_is() {
    let facts = facts(&[("web", 0)], &[]);
    let all = BTreeSet::from([ReasonCode::OldVersionRunning, ReasonCode::NeedsPhase]);
    let decision = judge(&rename(), &id("backfill"), &facts, &all);
    assert_eq!(codes(&decision), [ReasonCode::NeedsPhase]);
    assert!(
        decision
            .judgement()
            .evidence
            .iter()
            .any(|line| line.starts_with("overridden: old-version-running: web"))
    );
}

#[test]
fn a_plan_that_concerns_no_declared_service_stays_closed() {
    let plan = rename_with(|phase| {
        phase.services = crate::safety::Services::Only(BTreeSet::from(["elsewhere".parse().unwrap()]));
    });
    let decision = asked(&plan, "backfill", &facts(&[("web", 3)], &["add"]));
    assert_eq!(codes(&decision), [ReasonCode::FleetUnknown]);
}

#[test]
fn a_doubt_brings_its_remedy() {
    let mut facts = facts(&[("web", 1)], &["add"]);
    facts.containments.insert(
        version("web", 1),
        "rename".parse().unwrap(),
        id("dual-write"),
        Containment::Unknown(Doubt::new("the clone is shallow").fix("git fetch --unshallow")),
    );
    let decision = asked(&rename(), "backfill", &facts);
    assert_eq!(
        decision.judgement().reasons[0].fix.as_deref(),
        Some("git fetch --unshallow")
    );
}
