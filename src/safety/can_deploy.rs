//! Rule 2: may a version be deployed, or rolled back to, now?

use super::coexist::conflict;
use super::everyone::concerning;
use super::findings::{Findings, describe, ids, is_or_are, moment, name, name_running};
use super::floor::abandoned;
use super::judge::{code_above, divergences};
use super::{
    Containment, Doubt, Facts, Judgement, PhaseKind, PhaseShape, PlanShape, Reason, ReasonCode, Verdict,
    Version,
};

/// Rule 2: may this version be deployed (or rolled back to) now?
///
/// `plans` are all plans of the environment. A plan that has begun here and is not among them cannot be judged, so the
/// answer is then unknown. A version that runs already is judged like any other.
pub fn can_deploy(version: &Version, plans: &[PlanShape], facts: &Facts) -> Judgement {
    let mut all = Judgement::default();
    for plan in plans {
        let judgement = judge_under(plan, version, facts);
        all.reasons.extend(judgement.reasons);
        all.evidence.extend(judgement.evidence);
    }
    for (id, state) in &facts.plans {
        let in_effect = state
            .phases
            .values()
            .any(|phase| phase.progress.may_have_effect());
        if in_effect && !plans.iter().any(|plan| plan.id() == id) {
            all.reasons.push(Reason {
                code: ReasonCode::Diverged,
                verdict: Verdict::Unknown,
                plan: id.clone(),
                phase: None,
                message: format!(
                    "{id} is in effect in {}, but cannot be read here, so it is not known what it forbids",
                    facts.environment
                ),
                evidence: Vec::new(),
                fix: Some(format!(
                    "restore the plan file of {id}, or ask from a checkout that has it"
                )),
            });
        }
    }
    all.sort();
    all
}

fn judge_under(plan: &PlanShape, version: &Version, facts: &Facts) -> Judgement {
    let mut findings = Findings::new(plan, facts);
    let codes: Vec<&PhaseShape> = plan
        .phases()
        .filter(|phase| phase.kind == PhaseKind::Code)
        .collect();
    let own: Vec<&PhaseShape> = concerning(&codes, &version.service).collect();
    // A plan whose code never touches this service has nothing to say about it.
    if own.is_empty() {
        return Judgement::default();
    }
    for (phase, message) in divergences(plan, facts) {
        findings.against(
            ReasonCode::Diverged,
            Verdict::Unknown,
            Some(&phase),
            format!("{message}, so it is not known what it forbids"),
            Vec::new(),
            Some("restore the text that ran".to_owned()),
        );
    }
    findings.schema_suits(version, &own);
    findings.fleet_is_known(&codes);
    findings.service_is_declared(version, &own);
    findings.coexists(version);
    findings.above_data_floor(version, &codes);
    findings.into_judgement()
}

impl<'a> Findings<'a> {
    /// What the version contains needs schema above it to be there; what it lacks needs schema below not to be.
    fn schema_suits(&mut self, version: &Version, own: &[&PhaseShape]) {
        let mut early: Vec<&PhaseShape> = Vec::new();
        let mut missing: Vec<&PhaseShape> = Vec::new();
        let mut late: Vec<&PhaseShape> = Vec::new();
        let mut gone: Vec<&PhaseShape> = Vec::new();
        for code in own {
            let above: Vec<&PhaseShape> = self
                .plan
                .above(&code.id)
                .filter(|phase| phase.kind != PhaseKind::Code && !self.progress(&phase.id).is_done())
                .collect();
            let below: Vec<&PhaseShape> = self
                .plan
                .below(&code.id)
                .filter(|phase| phase.kind.is_schema() && self.progress(&phase.id).may_have_effect())
                .collect();
            match self.contains(version, &code.id) {
                Containment::Yes { evidence } => {
                    self.supports(format!("contains {}: {evidence}", code.id));
                    if !above.is_empty() {
                        early.push(code);
                        missing.extend(above);
                    }
                    self.backfills_above_are_clean(code);
                }
                Containment::No { evidence } => {
                    self.supports(format!("does not contain {}: {evidence}", code.id));
                    if !below.is_empty() {
                        late.push(code);
                        gone.extend(below);
                    }
                }
                Containment::Unknown(doubt) => {
                    // Where the answer makes no difference, it need not be known.
                    let taint = self.tainted_above(code);
                    if !above.is_empty() || !below.is_empty() || !taint.is_empty() {
                        self.containment_unknown(version, code, doubt);
                    }
                }
            }
        }
        let missing = self.in_order(&missing);
        let gone = self.in_order(&gone);
        if let Some(first) = early.first() {
            let shown = self.states(&missing);
            let fix = self.run_command();
            self.against(
                ReasonCode::SchemaNotReady,
                Verdict::Blocked,
                Some(&first.id),
                format!(
                    "{} contains {}, and needs {} first",
                    name(version),
                    ids(&early),
                    ids(&missing)
                ),
                shown,
                Some(fix),
            );
        }
        if let Some(first) = late.first() {
            let shown = self.states(&gone);
            let fix = format!(
                "deploy a version that contains {}, or undo first: {}",
                ids(&late),
                self.rollback_command(&first.id)
            );
            self.against(
                ReasonCode::RollbackFloor,
                Verdict::Blocked,
                Some(&first.id),
                format!(
                    "{} does not contain {}, and {} {} in effect: such code no longer works with this database",
                    name(version),
                    ids(&late),
                    ids(&gone),
                    is_or_are(gone.len())
                ),
                shown,
                Some(fix),
            );
        }
    }

    /// A service that the environment does not declare is not watched, so nothing can be said about it.
    fn service_is_declared(&mut self, version: &Version, own: &[&PhaseShape]) {
        if self.facts.fleet.services.contains_key(&version.service) {
            return;
        }
        let fix = format!(
            "declare {} in shipctl.toml under {}",
            version.service, self.facts.environment
        );
        self.against(
            ReasonCode::UndeclaredService,
            Verdict::Unknown,
            own.first().map(|phase| &phase.id),
            format!(
                "{} is not a declared service of {}",
                version.service, self.facts.environment
            ),
            Vec::new(),
            Some(fix),
        );
    }

    /// While it is rolled out, the version runs beside everything that runs now.
    fn coexists(&mut self, version: &Version) {
        for running in self.facts.fleet.versions() {
            let Some(found) = conflict(self.plan, version, &running, self.facts) else {
                continue;
            };
            // What is not known of the version itself has been asked for already.
            if let Some(doubt) = &found.doubt
                && self.is_asked_for(version, doubt)
            {
                continue;
            }
            let (verdict, evidence, remedy) = match found.doubt {
                None => (Verdict::Blocked, Vec::new(), None),
                Some(Doubt { why, fix }) => (Verdict::Unknown, vec![why], fix),
            };
            let fix = if let Some(remedy) = remedy {
                remedy
            } else if found.behind == running {
                format!(
                    "first deploy a version that contains {} to {}",
                    found.lacks, running.service
                )
            } else {
                format!(
                    "deploy a version that contains {}, or first replace {} by one without {}",
                    found.lacks,
                    name(&running),
                    found.contains
                )
            };
            let shown_name = |version: &Version| {
                if *version == running {
                    name_running(version, self.facts)
                } else {
                    name(version)
                }
            };
            let message = if verdict == Verdict::Blocked {
                format!(
                    "{} and {} must not run together: the first contains {}, the second lacks {}, which it builds on",
                    shown_name(&found.ahead),
                    shown_name(&found.behind),
                    found.contains,
                    found.lacks
                )
            } else {
                format!(
                    "whether {} and {} may run together is not known: {} builds on {}",
                    shown_name(&found.ahead),
                    shown_name(&found.behind),
                    found.contains,
                    found.lacks
                )
            };
            self.against(
                ReasonCode::CannotCoexist,
                verdict,
                Some(&found.contains),
                message,
                evidence,
                Some(fix),
            );
        }
    }

    /// A version older than the code that abandoned a column must not read it before its data is restored.
    fn above_data_floor(&mut self, version: &Version, codes: &[&PhaseShape]) {
        for code in codes.iter().filter(|code| code.abandons) {
            let mut doubts: Vec<(&PhaseShape, Doubt)> = Vec::new();
            if code.services.include(&version.service) {
                match self.contains(version, &code.id) {
                    Containment::Yes { .. } => continue,
                    Containment::No { .. } => {}
                    Containment::Unknown(doubt) => doubts.push((code, doubt)),
                }
            }
            let mut lacking: Vec<&PhaseShape> = Vec::new();
            let mut unsure: Vec<(&PhaseShape, Doubt)> = Vec::new();
            for above in concerning(&code_above(self.plan, &code.id), &version.service) {
                match self.contains(version, &above.id) {
                    Containment::Yes { .. } => {}
                    Containment::No { .. } => lacking.push(above),
                    Containment::Unknown(doubt) => unsure.push((above, doubt)),
                }
            }
            if lacking.is_empty() {
                doubts.append(&mut unsure);
            }
            lacking.extend(unsure.iter().map(|(phase, _)| *phase));
            let found = abandoned(self.plan, code, self.facts);
            if found.is_empty() || (lacking.is_empty() && doubts.iter().all(|(phase, _)| *phase == *code)) {
                continue;
            }
            // Where it is the version itself that nothing is known of, that is what has to be remedied.
            if !doubts.is_empty() {
                for (phase, doubt) in doubts {
                    self.containment_unknown(version, phase, doubt);
                }
                continue;
            }
            let seen: Vec<String> = found
                .known
                .iter()
                .map(|(seen, at)| format!("{} with {} was seen at {}", name(seen), code.id, moment(*at)))
                .chain(found.possible.iter().map(|(seen, (at, doubt))| {
                    format!(
                        "{} was seen at {}, and may have had {}: {}",
                        name(seen),
                        moment(*at),
                        code.id,
                        doubt.why
                    )
                }))
                .collect();
            let known = !found.known.is_empty();
            let doubted = found.possible.into_values().find_map(|(_, doubt)| doubt.fix);
            let fix = doubted.filter(|_| !known).unwrap_or_else(|| {
                let undo = code
                    .needs
                    .first()
                    .map(|need| format!(", or restore the data first: {}", self.rollback_command(need)))
                    .unwrap_or_default();
                format!("deploy a version that contains {}{undo}", ids(&lacking))
            });
            self.against(
                ReasonCode::DataFloor,
                if known { Verdict::Blocked } else { Verdict::Unknown },
                Some(&code.id),
                format!(
                    "{} lacks {}, and would read data that is {}stale since {} ran",
                    name(version),
                    ids(&lacking),
                    if known { "" } else { "possibly " },
                    code.id
                ),
                seen,
                Some(fix),
            );
        }
    }

    fn in_order(&self, phases: &[&PhaseShape]) -> Vec<&'a PhaseShape> {
        self.plan
            .phases()
            .filter(|phase| phases.iter().any(|other| other.id == phase.id))
            .collect()
    }

    fn states(&self, phases: &[&PhaseShape]) -> Vec<String> {
        phases
            .iter()
            .map(|phase| format!("{}: {}", phase.id, describe(self.progress(&phase.id))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::samples::{at, doubt, facts, id, rename, sighting, state, version};
    use crate::safety::{PhaseState, Progress, Services};

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
                        Doubt::new(format!("{code} is not in this shallow clone"))
                            .fix("git fetch --unshallow"),
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
}
