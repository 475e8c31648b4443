//! Where a plan stands in an environment: each phase's state, what blocks the next one, and what to do.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::{CommitId, PhaseId, PlanId, ServiceName};
use crate::ledger::{Pause, Record, StoredRecord, control};
use crate::observe::Situation;
use crate::plan::{CodePhase, Phase, PhaseDetail, Plan};
use crate::postgres::INTERRUPTED;
use crate::safety::{
    Containment, Direction, Judgement, PhaseKind, Progress, ReasonCode, Verdict, Version, can_deploy, judge,
    may_verify, satisfaction, tainted,
};

/// How far a phase has come, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A schema or manual phase: done.
    Done,
    /// A code phase: everything that runs contains it.
    Satisfied,
    /// A backfill that was done, but that a version without its code has since put in doubt.
    Tainted,
    /// A run is at work on it.
    Running,
    /// It was started, and no run is at work.
    Interrupted,
    /// The last attempt failed.
    Failed,
    /// It is being undone, or its undoing was interrupted.
    Undoing,
    /// A code phase that some instances contain.
    Partly,
    /// It may run now.
    Next,
    /// It waits for an approval or a soak.
    Waiting,
    /// Whether it may run cannot be told.
    Unknown,
    /// Something forbids it.
    Blocked,
    /// Phases before it come first.
    Later,
}

impl State {
    /// Whether what comes after may build on it.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Done | Self::Satisfied)
    }
}

/// Where one phase stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseStanding {
    /// Its id.
    pub id: PhaseId,
    /// Its kind.
    pub kind: PhaseKind,
    /// How far it has come.
    pub state: State,
    /// When it came to that, where the ledger knows.
    pub at: Option<Timestamp>,
    /// Who brought it there.
    pub actor: Option<String>,
    /// For a fill: the rows changed.
    pub rows: Option<u64>,
    /// How long it took.
    pub took: Option<SignedDuration>,
    /// For a code phase: how many instances contain it, and of how many.
    pub instances: Option<(usize, usize)>,
    /// The last error.
    pub error: Option<String>,
    /// For a backfill in doubt: the versions that ran without its code, and when each was last seen.
    pub tainted_by: Vec<(Version, Timestamp)>,
    /// What the rules say of it now, where it is its turn.
    pub judgement: Option<Judgement>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    /// In words.
    pub words: String,
    /// The command to type, where there is one.
    pub command: Option<String>,
}

/// Where a plan stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanStanding {
    /// The plan.
    pub plan: PlanId,
    /// Its title.
    pub title: String,
    /// Its phases in order.
    pub phases: Vec<PhaseStanding>,
    /// What to do; `None` when it is complete.
    pub next: Option<Next>,
    /// The run at work on it, in words.
    pub at_work: Option<String>,
    /// Somebody's pause, while something is left to do.
    pub paused: Option<Pause>,
    /// Its file is not in this checkout; it was read back from the ledger.
    pub departed: bool,
}

impl PlanStanding {
    /// How many phases are complete.
    pub fn complete(&self) -> usize {
        self.phases
            .iter()
            .filter(|phase| phase.state.is_complete())
            .count()
    }

    /// Whether nothing is left to do.
    pub fn is_complete(&self) -> bool {
        self.complete() == self.phases.len()
    }

    /// The first phase whose turn it is.
    pub fn front(&self) -> Option<&PhaseStanding> {
        self.phases
            .iter()
            .find(|phase| !phase.state.is_complete() && phase.state != State::Later)
    }
}

/// What a standing is worked out from, besides the plan.
pub struct Scene<'a> {
    /// The facts and records.
    pub situation: &'a Situation,
    /// The plans of this checkout.
    pub plans: &'a [Plan],
    /// What the checkout of each service stands at; these versions were candidates of the look.
    pub heads: &'a BTreeMap<ServiceName, CommitId>,
}

impl Scene<'_> {
    /// Works out where a plan stands. `at_work` names the run that holds the plan's lock.
    pub fn standing(&self, plan: &Plan, at_work: Option<String>) -> PlanStanding {
        let mut phases: Vec<PhaseStanding> = Vec::new();
        let mut complete: BTreeSet<PhaseId> = BTreeSet::new();
        for phase in plan.phases() {
            let is_turn = phase.needs.iter().all(|need| complete.contains(need));
            let standing = self.phase(plan, phase, is_turn, at_work.is_some());
            // A tainted backfill is done as far as the order goes; the rules close what depends on it.
            if standing.state.is_complete() || standing.state == State::Tainted {
                complete.insert(phase.id.clone());
            }
            phases.push(standing);
        }
        let mut standing = PlanStanding {
            plan: plan.id().clone(),
            title: plan.title().to_owned(),
            phases,
            next: None,
            at_work,
            paused: None,
            departed: self.situation.departed.iter().any(|one| one.id() == plan.id()),
        };
        if !standing.is_complete() {
            let of_plan = |stored: &&StoredRecord| stored.plan.as_ref() == Some(plan.id());
            let records: Vec<StoredRecord> = self.situation.records.iter().filter(of_plan).cloned().collect();
            standing.paused = control(&records).paused;
        }
        standing.next = self.next(plan, &standing);
        standing
    }

    fn phase(&self, plan: &Plan, phase: &Phase, is_turn: bool, at_work: bool) -> PhaseStanding {
        let facts = &self.situation.facts;
        let state = facts
            .plans
            .get(plan.id())
            .and_then(|state| state.phases.get(&phase.id));
        let mut standing = PhaseStanding {
            id: phase.id.clone(),
            kind: phase.kind(),
            state: State::Later,
            at: None,
            actor: None,
            rows: None,
            took: None,
            instances: None,
            error: None,
            tainted_by: Vec::new(),
            judgement: None,
        };
        if let PhaseDetail::Code(code) = &phase.detail {
            let answer = satisfaction(plan.shape(), &phase.id, facts);
            let (with, all) = self.instances(plan, &phase.id, code);
            standing.instances = Some((with, all));
            standing.state = match answer.verdict() {
                Verdict::Go => State::Satisfied,
                _ if with > 0 => State::Partly,
                _ if !is_turn => State::Later,
                Verdict::Unknown => State::Unknown,
                _ => State::Blocked,
            };
            if standing.state == State::Satisfied {
                standing.at = state.and_then(|state| state.satisfied_since);
            } else if is_turn {
                standing.judgement = Some(answer);
            }
            return standing;
        }

        let decision = judge(plan.shape(), &phase.id, facts, &BTreeSet::new());
        let progress = state.map_or(&Progress::Pending, |state| &state.progress);
        standing.state = match progress {
            Progress::Done { at, .. } => {
                standing.at = Some(*at);
                if phase.kind() == PhaseKind::Backfill {
                    standing.tainted_by = tainted(plan.shape(), &phase.id, facts);
                }
                if standing.tainted_by.is_empty() {
                    State::Done
                } else {
                    State::Tainted
                }
            }
            Progress::Started { at } => {
                standing.at = Some(*at);
                if at_work {
                    State::Running
                } else {
                    State::Interrupted
                }
            }
            Progress::Failed { at, error, .. } => {
                standing.at = Some(*at);
                // Who stops a run in order leaves a record of it, but nothing has failed.
                let stopped = error == INTERRUPTED;
                standing.error = (!stopped).then(|| error.clone());
                match (at_work, stopped) {
                    (true, _) => State::Running,
                    (false, true) => State::Interrupted,
                    (false, false) => State::Failed,
                }
            }
            Progress::Reverting { at } => {
                standing.at = Some(*at);
                State::Undoing
            }
            Progress::Pending if !is_turn => State::Later,
            Progress::Pending => match decision.verdict() {
                Verdict::Go => State::Next,
                Verdict::Waiting => State::Waiting,
                Verdict::Unknown => State::Unknown,
                Verdict::Blocked => State::Blocked,
            },
        };
        self.add_the_doer(plan, &mut standing);
        standing.judgement = match standing.state {
            State::Done | State::Later => None,
            State::Tainted => {
                let decision = may_verify(plan.shape(), &phase.id, facts, &BTreeSet::new());
                Some(decision.judgement().clone())
            }
            _ => Some(decision.judgement().clone()),
        };
        standing
    }

    /// Adds who did it, how long it took and how much it changed.
    fn add_the_doer(&self, plan: &Plan, standing: &mut PhaseStanding) {
        let last = self.situation.records.iter().rev().find(|stored| {
            stored.plan.as_ref() == Some(plan.id())
                && stored.record.phase() == Some(&standing.id)
                && matches!(
                    stored.record,
                    Record::PhaseStarted { .. } | Record::PhaseFinished { .. } | Record::PhaseFailed { .. }
                )
        });
        let Some(last) = last else { return };
        if standing.at.is_none() {
            return;
        }
        standing.actor.get_or_insert_with(|| last.actor.clone());
        if let Record::PhaseFinished {
            direction: Direction::Forward,
            rows,
            duration_ms,
            ..
        } = &last.record
        {
            standing.rows = *rows;
            standing.took = i64::try_from(*duration_ms).ok().map(SignedDuration::from_millis);
        }
    }

    /// How many instances of the services concerned contain a code phase, and of how many.
    fn instances(&self, plan: &Plan, phase: &PhaseId, code: &CodePhase) -> (usize, usize) {
        let facts = &self.situation.facts;
        let mut all = BTreeSet::new();
        let mut with = BTreeSet::new();
        let concerned = facts
            .fleet
            .services
            .values()
            .filter(|census| code.services.include(&census.service));
        for sighting in concerned.flat_map(|census| &census.sightings) {
            let instance = (&sighting.service, &sighting.instance);
            all.insert(instance);
            let answer = facts.containments.get(&sighting.version(), plan.id(), phase);
            if matches!(answer, Containment::Yes { .. }) {
                with.insert(instance);
            }
        }
        (with.len(), all.len())
    }

    /// What to do next.
    fn next(&self, plan: &Plan, standing: &PlanStanding) -> Option<Next> {
        let environment = &self.situation.facts.environment;
        let run = |words: String, more: &str| Next {
            words,
            command: Some(format!("shipctl run {} --env {environment}{more}", plan.id())),
        };
        if standing.paused.is_some() {
            let words = match &standing.at_work {
                Some(holder) => format!("let the run go on that waits: {holder}"),
                None => "let the next run begin".to_owned(),
            };
            return Some(Next {
                words,
                command: Some(format!("shipctl resume {} --env {environment}", plan.id())),
            });
        }
        if let Some(holder) = &standing.at_work {
            return Some(Next {
                words: format!("a run is at work: {holder}"),
                command: None,
            });
        }
        let turn = || {
            standing
                .phases
                .iter()
                .filter(|phase| !phase.state.is_complete() && phase.state != State::Later)
        };
        let of = |state: State| turn().find(move |phase| phase.state == state);
        let has = |phase: &PhaseStanding, code: ReasonCode| {
            phase
                .judgement
                .iter()
                .flat_map(|judgement| &judgement.reasons)
                .any(|reason| reason.code == code)
        };

        if let Some(phase) = of(State::Undoing) {
            return Some(Next {
                words: format!(
                    "{} is half undone; finish the rollback, or run it again",
                    phase.id
                ),
                command: Some(format!("shipctl log {} --env {environment}", plan.id())),
            });
        }
        if let Some(phase) = of(State::Interrupted).or_else(|| of(State::Failed)) {
            return Some(run(format!("take {} up where it stopped", phase.id), ""));
        }
        let may_go_on = |phase: &&PhaseStanding| {
            let judged = phase.judgement.as_ref().map(Judgement::verdict);
            judged == Some(Verdict::Go)
        };
        if let Some(phase) = of(State::Tainted).filter(may_go_on) {
            return Some(run(format!("verify {} again", phase.id), ""));
        }
        if let Some(phase) = of(State::Next) {
            return Some(run(format!("run {}", phase.id), ""));
        }
        let approval = turn()
            .filter(|phase| phase.state == State::Waiting)
            .find(|phase| has(phase, ReasonCode::NeedsApproval));
        if let Some(phase) = approval {
            return Some(Next {
                words: format!("approve {}", phase.id),
                command: Some(format!(
                    "shipctl approve {} {} --env {environment} --reason \"…\"",
                    plan.id(),
                    phase.id
                )),
            });
        }
        if let Some(phase) = of(State::Waiting) {
            return Some(run(
                format!("wait for {}, or leave that to a run", phase.id),
                " --watch",
            ));
        }
        let code = turn().find_map(|standing| match &plan.phase(&standing.id)?.detail {
            PhaseDetail::Code(code) => Some((standing, code)),
            _ => None,
        });
        if let Some((phase, code)) = code {
            return Some(self.deploy(plan, phase, code));
        }
        let closed = of(State::Unknown).or_else(|| of(State::Blocked))?;
        let fix = closed
            .judgement
            .iter()
            .flat_map(|judgement| &judgement.reasons)
            .find_map(|reason| reason.fix.clone());
        Some(Next {
            words: fix.unwrap_or_else(|| format!("see why {} is closed", closed.id)),
            command: Some(format!(
                "shipctl gate {} {} --env {environment}",
                plan.id(),
                closed.id
            )),
        })
    }

    /// How to satisfy a code phase: deploy its commit, or write it.
    fn deploy(&self, plan: &Plan, phase: &PhaseStanding, code: &CodePhase) -> Next {
        let facts = &self.situation.facts;
        let environment = &facts.environment;
        let unknown = phase
            .judgement
            .iter()
            .any(|judgement| judgement.verdict() == Verdict::Unknown);
        if unknown {
            return Next {
                words: format!("find out what runs: {} cannot be told", phase.id),
                command: Some(format!("shipctl deployed --env {environment}")),
            };
        }
        let lacking: BTreeSet<&str> = facts
            .fleet
            .versions()
            .into_iter()
            .filter(|version| code.services.include(&version.service))
            .filter(|version| {
                !matches!(
                    facts.containments.get(version, plan.id(), &phase.id),
                    Containment::Yes { .. }
                )
            })
            .filter_map(|version| {
                let census = facts.fleet.services.get(&version.service)?;
                Some(census.service.as_str())
            })
            .collect();
        let to = lacking.into_iter().collect::<Vec<_>>().join(" and ");
        let ask = |revision: &str| Next {
            words: format!("deploy {} to {to}; ask first", phase.id),
            command: Some(format!("shipctl can-deploy {revision} --env {environment}")),
        };
        if let Some(commit) = code.commits.first() {
            return ask(commit.revision.get(..12).unwrap_or(&commit.revision));
        }
        let head = self
            .heads
            .iter()
            .filter(|(service, _)| code.services.include(service))
            .map(|(service, commit)| Version {
                service: service.clone(),
                commit: commit.clone(),
            })
            .find(|head| {
                matches!(
                    facts.containments.get(head, plan.id(), &phase.id),
                    Containment::Yes { .. }
                )
            });
        match head {
            Some(head) => {
                let shapes = self.situation.shapes(self.plans);
                if can_deploy(&head, &shapes, facts).verdict() == Verdict::Go {
                    ask("HEAD")
                } else {
                    Next {
                        words: format!(
                            "deploy the commit that bears the trailer `Ship-Phase: {}/{}` to {to}",
                            plan.id(),
                            phase.id
                        ),
                        command: Some("shipctl can-deploy REV".to_owned() + &format!(" --env {environment}")),
                    }
                }
            }
            None => Next {
                words: format!(
                    "write the code of {} (its commit bears the trailer `Ship-Phase: {}/{}`)",
                    phase.id,
                    plan.id(),
                    phase.id
                ),
                command: Some(format!("shipctl checklist {} {}", plan.id(), phase.id)),
            },
        }
    }
}
