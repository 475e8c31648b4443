//! Rule 2: may a version be deployed, or rolled back to, now?

use super::coexist::{Conflict, conflict, discord};
use super::everyone::concerning;
use super::findings::{Findings, describe, ids, is_or_are, moment, name, name_running};
use super::floor::abandoned;
use super::judge::{code_above, divergences};
use super::{
    Containment, Doubt, Facts, Judgement, PhaseKind, PhaseShape, PlanShape, Progress, Reason, ReasonCode,
    Verdict, Version,
};

/// Rule 2: may this version be deployed (or rolled back to) now?
///
/// `plans` are all plans of the environment. A plan that has begun here and is not among them cannot be judged, so the
/// answer is then unknown. A version that runs already is judged like any other.
pub fn can_deploy(version: &Version, plans: &[PlanShape], facts: &Facts) -> Judgement {
    let mut all = Judgement::default();
    for plan in plans {
        let judgement = can_deploy_under(plan, version, facts);
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

/// What one plan alone says to a version. A yes is one only if every plan says so.
pub fn can_deploy_under(plan: &PlanShape, version: &Version, facts: &Facts) -> Judgement {
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
    findings.agrees_with_itself(version);
    findings.coexists(version);
    findings.coexists_with_arriving(version);
    findings.above_data_floor(version, &codes);
    findings.into_judgement()
}

/// What one plan says to deploying a version together with `others`, which nobody sees running yet: whichever comes first meets
/// the rest as they are replaced.
pub fn can_deploy_with(plan: &PlanShape, version: &Version, others: &[Version], facts: &Facts) -> Judgement {
    let mut findings = Findings::new(plan, facts);
    for other in others {
        let Some(found) = conflict(plan, version, other, facts) else {
            continue;
        };
        let (verdict, evidence, fix) = match found.doubt {
            None => (Verdict::Blocked, Vec::new(), None),
            Some(Doubt { why, fix }) => (Verdict::Unknown, vec![why], fix),
        };
        findings.against(
            ReasonCode::CannotCoexist,
            verdict,
            Some(&found.contains),
            format!(
                "{} would be deployed together with {}: the first contains {}, {} the second lacks {}, which it builds on",
                name(&found.ahead),
                name(&found.behind),
                found.contains,
                if verdict == Verdict::Blocked { "and" } else { "and perhaps" },
                found.lacks
            ),
            evidence,
            Some(fix.unwrap_or_else(|| {
                format!("first deploy a version that contains {} to {}", found.lacks, found.behind.service)
            })),
        );
    }
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
        let under_way = |phase: &&PhaseShape, back: bool| {
            let progress = self.progress(&phase.id);
            phase.kind == PhaseKind::Contract
                && progress.may_have_effect()
                && !progress.is_done()
                && matches!(progress, Progress::Reverting { .. }) == back
        };
        let finishing = missing.iter().all(|phase| under_way(phase, false));
        let undoing = gone.iter().all(|phase| under_way(phase, true));
        let closing = gone
            .iter()
            .all(|phase| under_way(phase, true) || under_way(phase, false));
        if let Some(first) = early.first()
            && finishing
        {
            let message = format!(
                "{} contains {}, and needs {} to be done first, which {} under way",
                name(version),
                ids(&early),
                ids(&missing),
                is_or_are(missing.len())
            );
            self.wait_for_phases(first, &missing, message, self.run_command());
        } else if let Some(first) = early.first() {
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
        if let Some(first) = late.first()
            && closing
        {
            let lacks = format!("{} does not contain {}", name(version), ids(&late));
            let (gone_ids, are) = (ids(&gone), is_or_are(gone.len()));
            let (message, command) = if undoing {
                (
                    format!(
                        "{lacks}, and works with this database only once {gone_ids} {are} undone, which is under way"
                    ),
                    self.rollback_command(&first.id),
                )
            } else {
                (
                    format!(
                        "{lacks}, and {gone_ids} {are} under way: once that is done, such code no longer works with this \
                         database"
                    ),
                    format!(
                        "{} finishes it, {} undoes it",
                        self.run_command(),
                        self.rollback_command(&first.id)
                    ),
                )
            };
            self.wait_for_phases(first, &gone, message, command);
        } else if let Some(first) = late.first() {
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

    /// Waits for phases that are under way, or half done, to come to their end.
    fn wait_for_phases(
        &mut self,
        code: &PhaseShape,
        phases: &[&PhaseShape],
        message: String,
        command: String,
    ) {
        let shown = self.states(phases);
        self.against(
            ReasonCode::PhaseUnderWay,
            Verdict::Waiting,
            Some(&code.id),
            message,
            shown,
            Some(format!(
                "wait until that is over; if no run is at work on it: {command}"
            )),
        );
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

    /// What it contains has everything above it that concerns the service: after a revert of an earlier phase alone, it
    /// would not even go together with itself.
    fn agrees_with_itself(&mut self, version: &Version) {
        let Some(Conflict {
            contains,
            lacks,
            doubt,
            ..
        }) = discord(self.plan, version, self.facts)
        else {
            return;
        };
        let whole = format!("deploy a version that contains {lacks} as well, or one without {contains}");
        let (verdict, message, evidence, fix) = match doubt {
            None => (
                Verdict::Blocked,
                format!(
                    "{} contains {contains}, but lacks {lacks}, which it builds on",
                    name(version)
                ),
                Vec::new(),
                whole,
            ),
            Some(doubt) if self.is_asked_for(version, &doubt) => return,
            Some(Doubt { why, fix }) => (
                Verdict::Unknown,
                format!(
                    "{} contains {contains}, and whether it contains {lacks}, which that builds on, is not known",
                    name(version)
                ),
                vec![why],
                fix.unwrap_or(whole),
            ),
        };
        self.against(
            ReasonCode::CannotCoexist,
            verdict,
            Some(&contains),
            message,
            evidence,
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
mod tests;
