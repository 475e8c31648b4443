use super::*;
use crate::safety::samples::{at, doubt, facts, id, rename, sighting, state, version};
use crate::safety::{PhaseState, Services};

fn codes(level: usize, facts: &Facts) -> Vec<ReasonCode> {
    can_deploy(&version("web", level), &[rename()], facts)
        .reasons
        .iter()
        .map(|reason| reason.code)
        .collect()
}

const ALL: [&str; 5] = ["add", "backfill", "constrain", "relax", "drop"];

#[test]
fn code_waits_for_the_schema_it_needs() {
    let mut before = facts(&[("web", 0)], &[]);
    assert_eq!(codes(1, &before), [ReasonCode::SchemaNotReady]);
    before.plans.clear();
    assert_eq!(codes(1, &before), [ReasonCode::SchemaNotReady]);
    assert_eq!(codes(1, &facts(&[("web", 0)], &["add"])), []);
}

#[test]
fn what_is_in_effect_is_the_floor_for_rolling_back() {
    let after = facts(&[("web", 3)], &ALL);
    assert!(codes(0, &after).contains(&ReasonCode::RollbackFloor));
    assert_eq!(codes(2, &after), [ReasonCode::RollbackFloor]);
    assert_eq!(codes(3, &after), []);
    let mut running = facts(&[("web", 0)], &["add"]);
    *state(&mut running, "backfill") = PhaseState {
        progress: Progress::Started { at: at(900) },
        ..PhaseState::default()
    };
    assert_eq!(codes(0, &running), [ReasonCode::RollbackFloor]);
    state(&mut running, "backfill").progress = Progress::Reverting { at: at(950) };
    assert_eq!(codes(0, &running), [ReasonCode::RollbackFloor]);
}

#[test]
fn an_old_reader_and_a_new_writer_never_run_together() {
    let schema = &ALL[..4];
    assert_eq!(
        codes(3, &facts(&[("web", 2), ("worker", 1)], schema)),
        [ReasonCode::CannotCoexist]
    );
    assert!(codes(1, &facts(&[("worker", 3)], schema)).contains(&ReasonCode::CannotCoexist));
    assert_eq!(codes(3, &facts(&[("web", 2), ("worker", 3)], schema)), []);
}

#[test]
fn once_the_new_writer_ran_the_old_reader_needs_the_data_restored() {
    let mut facts = facts(&[("web", 2)], &ALL[..3]);
    assert_eq!(codes(1, &facts), []);
    facts.history.sightings.push(sighting("web", 3, at(500)));
    assert_eq!(codes(1, &facts), [ReasonCode::DataFloor]);
    assert_eq!(codes(2, &facts), []);
    state(&mut facts, "stop-write").restored_at = Some(at(501));
    assert_eq!(codes(1, &facts), []);
}

#[test]
fn versions_from_before_the_plan_cast_no_doubt() {
    let mut facts = facts(&[("web", 0)], &["add"]);
    let mut gone = sighting("web", 9, at(50));
    facts.history.sightings.push(gone.clone());
    assert_eq!(codes(0, &facts), []);
    gone.observed_at = at(150);
    facts.history.sightings.push(gone);
    assert_eq!(codes(0, &facts), [ReasonCode::DataFloor]);
}

#[test]
fn what_a_version_contains_is_asked_for_once_and_with_its_own_remedy() {
    // A plan that has begun, and one that has not.
    for done in [&["add"][..], &[]] {
        let mut facts = facts(&[("web", 9)], done);
        for code in crate::safety::samples::CODE {
            facts.containments.insert(
                version("web", 9),
                "rename".parse().unwrap(),
                id(code),
                Containment::Unknown(
                    Doubt::new(format!("{code} is not in this shallow clone")).fix("git fetch --unshallow"),
                ),
            );
        }
        let judgement = can_deploy(&version("web", 9), &[rename()], &facts);
        assert_eq!(judgement.verdict(), Verdict::Unknown);
        let [reason] = judgement.reasons.as_slice() else {
            panic!("{:#?}", judgement.reasons);
        };
        assert_eq!(reason.code, ReasonCode::ContainmentUnknown);
        assert!(
            reason
                .message
                .ends_with("contains dual-write, switch-read and stop-write is not known")
        );
        assert_eq!(reason.evidence.len(), 3);
        assert_eq!(reason.fix.as_deref(), Some("git fetch --unshallow"));
        // What ran here may have stopped writing; the version asked about certainly has not.
        let old = can_deploy(&version("web", 0), &[rename()], &facts);
        assert_eq!(old.verdict(), Verdict::Unknown);
        for reason in &old.reasons {
            assert_eq!(
                reason.fix.as_deref(),
                Some("git fetch --unshallow"),
                "{reason:#?}"
            );
        }
    }
}

#[test]
fn a_version_that_lost_a_phase_on_which_a_later_one_of_its_own_builds_is_refused() {
    let mut facts = facts(&[("web", 2)], &["add", "backfill"]);
    let reverted = version("web", 9);
    let refused = |facts: &Facts| {
        can_deploy(&reverted, &[rename()], facts)
            .reasons
            .into_iter()
            .find(|reason| reason.code == ReasonCode::CannotCoexist && reason.message.contains("which"))
            .map(|reason| reason.verdict)
    };
    let mut answer = |phase: &str, answer: Containment| {
        facts
            .containments
            .insert(reverted.clone(), "rename".parse().unwrap(), id(phase), answer);
        refused(&facts)
    };
    let (yes, no) = (
        || Containment::Yes {
            evidence: String::new(),
        },
        || Containment::No {
            evidence: String::new(),
        },
    );
    answer("dual-write", yes());
    answer("switch-read", yes());
    assert_eq!(answer("stop-write", yes()), None);
    // The revert of one commit: it reads the old column again, which it does not write.
    assert_eq!(answer("switch-read", no()), Some(Verdict::Blocked));
    answer("stop-write", no());
    assert_eq!(answer("switch-read", no()), None);
    answer("stop-write", yes());
    answer(
        "switch-read",
        Containment::Unknown(Doubt::new("a part of it was reverted")),
    );
    let judgement = can_deploy(&reverted, &[rename()], &facts);
    assert!(
        judgement
            .reasons
            .iter()
            .any(|reason| reason.verdict == Verdict::Unknown)
    );
}

#[test]
fn a_tainted_backfill_holds_up_the_readers_of_what_it_filled() {
    let mut facts = facts(&[("web", 1)], &ALL[..3]);
    facts.history.sightings.push(sighting("worker", 0, at(500)));
    assert_eq!(codes(2, &facts), [ReasonCode::Tainted]);
    assert_eq!(codes(1, &facts), []);
}

#[test]
fn what_is_not_known_is_closed() {
    let mut doubtful = facts(&[("web", 1)], &["add"]);
    doubt(&mut doubtful, "web");
    assert_eq!(codes(1, &doubtful), [ReasonCode::FleetUnknown]);
    assert!(codes(1, &facts(&[], &["add"])).contains(&ReasonCode::FleetUnknown));
    let judgement = can_deploy(&version("web", 3), &[], &facts(&[("web", 3)], &ALL));
    assert_eq!(judgement.verdict(), Verdict::Unknown);
}

#[test]
fn a_service_that_stays_out_of_it_is_still_kept_from_what_it_would_miss() {
    // The worker only reads: it has no stop-write, but must have switched its reads before web stops writing.
    let plan = crate::safety::samples::rename_with(|phase| {
        if phase.id == id("stop-write") {
            phase.services = Services::Only(["web".parse().unwrap()].into());
        }
    });
    let facts = facts(&[("web", 2), ("worker", 1)], &ALL[..4]);
    let judgement = can_deploy(&version("web", 3), &[plan], &facts);
    assert_eq!(judgement.reasons[0].code, ReasonCode::CannotCoexist);
    assert_eq!(
        judgement.reasons[0].fix.as_deref(),
        Some("first deploy a version that contains switch-read to worker")
    );
}
