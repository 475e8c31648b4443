//! Runs a plan forward: phase after phase, each judged by fresh facts under the plan's lock.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::control::look_when_resumed;
use super::engine::{Conduct, Engine, Finding, Hold, Override};
use super::event::{Event, EventSink};
use super::fill::FillOptions;
use super::phase::{Outcome, admit, perform};
use super::register::register;
use super::reverify::{self, Verified};
use super::standoff::LockPolicy;
use crate::domain::{Exit, PhaseId, Problem, did_you_mean};
use crate::observe::Situation;
use crate::plan::{Phase, Plan};
use crate::postgres::LockPatience;
use crate::safety::{
    Decision, Direction, Judgement, PhaseKind, Progress, Reason, ReasonCode, Verdict, judge, satisfaction,
    soak_ends,
};

/// Asks a person whether a phase may begin.
pub type Confirm<'a> = dyn Fn(&Phase) -> bool + Send + Sync + 'a;

/// How a plan is to be run.
#[derive(Default)]
pub struct RunOptions<'a> {
    /// Run this phase and what it needs, and nothing else; `None` runs the whole plan.
    pub to: Option<PhaseId>,
    /// Instead of ending where a gate is closed, look again after this time.
    pub watch: Option<Duration>,
    /// Reasons that a person sets aside.
    pub overrides: Option<Override>,
    /// What a person found out about a statement in doubt.
    pub finding: Option<Finding>,
    /// Asked before each contract phase; `None` leaves it to the gates.
    pub confirm: Option<&'a Confirm<'a>>,
    /// How patient DDL is with locks.
    pub patience: LockPatience,
    /// How fills work.
    pub fill: FillOptions,
    /// What is done about locks that others hold.
    pub locks: LockPolicy,
}

/// A phase that was carried out by this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// The phase.
    pub phase: PhaseId,
    /// Rows changed, for a fill.
    pub rows: Option<u64>,
}

impl Ran {
    fn filled(phase: PhaseId, rows: u64) -> Self {
        Self {
            phase,
            rows: Some(rows),
        }
    }
}

/// A phase that may not go ahead yet.
#[derive(Clone, Debug, Serialize)]
pub struct Closed {
    /// The phase.
    pub phase: PhaseId,
    /// Its kind.
    pub kind: PhaseKind,
    /// Why.
    pub judgement: Judgement,
}

/// Why a run ended without an error.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum RunEnd {
    /// Everything asked for is done.
    Complete,
    /// What is left may not go ahead yet: the phases that come next, in order.
    Closed {
        /// At least one.
        phases: Vec<Closed>,
    },
    /// The person who was asked said no.
    Declined {
        /// To this phase.
        phase: PhaseId,
    },
}

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct RunOutcome {
    /// The phases it carried out, in order.
    pub ran: Vec<Ran>,
    /// Why it ended.
    #[serde(flatten)]
    pub end: RunEnd,
}

impl RunOutcome {
    /// The verdict: go where everything is done, else the gravest of the phases that come next.
    pub fn verdict(&self) -> Verdict {
        match &self.end {
            RunEnd::Complete => Verdict::Go,
            RunEnd::Closed { phases } => phases
                .iter()
                .map(|closed| closed.judgement.verdict())
                .max()
                .unwrap_or(Verdict::Go),
            RunEnd::Declined { .. } => Verdict::Waiting,
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.verdict().exit()
    }
}

/// Runs the plan as far as the gates permit.
///
/// # Errors
/// `run-locked` (exit 6); `plan-diverged` (exit 1); `interrupted` (exit 130); what the database refuses (exit 5, or 3 where
/// it cannot be reached). What was finished before is recorded; running again carries on.
pub async fn run(
    engine: &Engine<'_>,
    plan: &Plan,
    options: RunOptions<'_>,
    events: &dyn EventSink,
) -> Result<RunOutcome, Problem> {
    let RunOptions {
        to,
        watch,
        overrides,
        finding,
        confirm,
        patience,
        fill,
        locks,
    } = options;
    let scope = scope(plan, to.as_ref())?;
    let conduct = Conduct {
        patience,
        locks,
        fill,
    };
    let mut hold = Hold::take(engine, plan, events, overrides, finding, conduct).await?;
    let records = hold.records().await?;
    register(&mut hold, &records).await?;

    let mut ran = Vec::new();
    let mut confirmed = BTreeSet::new();
    loop {
        engine.stop.check()?;
        let situation = look_when_resumed(&hold).await?;
        let step = advance(&mut hold, &scope, to.as_ref(), &situation, &confirmed, confirm).await?;
        let end = match step {
            Step::Ran(one) => {
                ran.push(one);
                continue;
            }
            Step::Ask(phase) => {
                let agreed = confirm
                    .zip(plan.phase(&phase))
                    .is_none_or(|(ask, phase)| ask(phase));
                if agreed {
                    confirmed.insert(phase);
                    continue;
                }
                RunEnd::Declined { phase }
            }
            Step::End(end) => end,
        };
        match (&end, watch) {
            (RunEnd::Closed { phases }, Some(poll)) => {
                for closed in phases {
                    hold.tell(Event::Waiting {
                        phase: closed.phase.clone(),
                        judgement: closed.judgement.clone(),
                        poll: Some(poll),
                    });
                }
                engine.stop.sleep(pause(&hold, phases, &situation, poll)).await?;
            }
            _ => return Ok(RunOutcome { ran, end }),
        }
    }
}

/// How long to wait until the next look: as asked for, or only until a soak is over.
fn pause(hold: &Hold<'_>, closed: &[Closed], situation: &Situation, poll: Duration) -> Duration {
    let now = hold.now();
    closed
        .iter()
        .filter_map(|closed| soak_ends(hold.plan.shape(), &closed.phase, &situation.facts))
        .filter_map(|opens| Duration::try_from(opens.duration_since(now)).ok())
        // A moment more, since the clocks are compared by an estimate.
        .map(|left| left + Duration::from_millis(50))
        .fold(poll, Duration::min)
}

/// The phases to run: all, or one with what it needs.
///
/// # Errors
/// `unknown-phase` (exit 2).
pub(in crate::execute) fn scope(plan: &Plan, to: Option<&PhaseId>) -> Result<Vec<PhaseId>, Problem> {
    let all = || plan.shape().phases().map(|phase| phase.id.clone());
    let Some(to) = to else {
        return Ok(all().collect());
    };
    if plan.phase(to).is_none() {
        return Err(unknown_phase(plan, to));
    }
    Ok(all()
        .filter(|id| id == to || plan.shape().is_above(id, to))
        .collect())
}

/// There is no such phase.
pub(in crate::execute) fn unknown_phase(plan: &Plan, phase: &PhaseId) -> Problem {
    let known: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
    Problem::new(
        Exit::Usage,
        "unknown-phase",
        format!("{} has no phase `{phase}`", plan.id()),
    )
    .fix(did_you_mean(phase.as_str(), &known))
}

/// What one round came to.
enum Step {
    Ran(Ran),
    /// A person is to be asked first.
    Ask(PhaseId),
    End(RunEnd),
}

/// Carries out the first phase that may run; if there is none, tells which come next and why they may not.
async fn advance(
    hold: &mut Hold<'_>,
    scope: &[PhaseId],
    to: Option<&PhaseId>,
    situation: &Situation,
    confirmed: &BTreeSet<PhaseId>,
    confirm: Option<&Confirm<'_>>,
) -> Result<Step, Problem> {
    let plan = hold.plan;
    let state = situation.state(plan.id());
    let mut closed: Vec<Closed> = Vec::new();
    for id in scope {
        let Some(phase) = plan.phase(id) else { continue };
        let kind = phase.kind();
        if kind == PhaseKind::Code {
            // Code phases gate what is below them; by themselves they matter where somebody waits for one.
            let is_last = !plan.shape().below(id).any(|below| scope.contains(&below.id));
            let judgement = satisfaction(plan.shape(), id, &situation.facts);
            if is_last && needs_done(hold, id, situation) && judgement.verdict() != Verdict::Go {
                closed.push(Closed {
                    phase: id.clone(),
                    kind,
                    judgement,
                });
            }
            continue;
        }
        if state.progress(id).is_done() && to == Some(id) {
            // What depends on a backfill has it verified again when its turn comes; here it was asked for itself.
            match reverify::itself(hold, id, situation).await? {
                None => {}
                Some(Verified::Done { of, rows }) => return Ok(Step::Ran(Ran::filled(of, rows))),
                Some(Verified::Closed(judgement)) => closed.push(Closed {
                    phase: id.clone(),
                    kind,
                    judgement,
                }),
            }
        }
        if state.progress(id).is_done() || !needs_done(hold, id, situation) {
            continue;
        }
        if let Progress::Reverting { .. } = state.progress(id) {
            closed.push(half_undone(hold, id, kind));
            continue;
        }
        let judgement = match hold.decide(id, Direction::Forward, situation) {
            Decision::Cleared(clearance) => {
                if kind == PhaseKind::Contract && confirm.is_some() && !confirmed.contains(id) {
                    return Ok(Step::Ask(id.clone()));
                }
                let without = judge(plan.shape(), id, &situation.facts, &BTreeSet::new());
                let fresh =
                    admit(hold, phase, clearance, situation)?.with_overridden(hold.set_aside(id, without));
                match perform(hold, phase, fresh, situation).await? {
                    Outcome::Done { rows } => {
                        return Ok(Step::Ran(Ran {
                            phase: id.clone(),
                            rows,
                        }));
                    }
                    Outcome::Closed(judgement) => judgement,
                }
            }
            Decision::Refused(judgement) => match reverify::above(hold, id, &judgement, situation).await? {
                Verified::Done { of, rows } => return Ok(Step::Ran(Ran::filled(of, rows))),
                Verified::Closed(judgement) => judgement,
            },
        };
        closed.push(Closed {
            phase: id.clone(),
            kind,
            judgement,
        });
    }
    let wanted =
        to.is_none_or(|to| closed.iter().any(|one| one.phase == *to) || !is_reached(hold, to, situation));
    Ok(Step::End(if closed.is_empty() || !wanted {
        RunEnd::Complete
    } else {
        RunEnd::Closed { phases: closed }
    }))
}

/// Whether the phase asked for is done already.
fn is_reached(hold: &Hold<'_>, to: &PhaseId, situation: &Situation) -> bool {
    situation.state(hold.plan.id()).progress(to).is_done()
}

/// Whether every schema and manual phase above is done, so that this phase comes next.
fn needs_done(hold: &Hold<'_>, id: &PhaseId, situation: &Situation) -> bool {
    let state = situation.state(hold.plan.id());
    hold.plan
        .shape()
        .above(id)
        .filter(|above| above.kind != PhaseKind::Code)
        .all(|above| state.progress(&above.id).is_done())
}

fn half_undone(hold: &Hold<'_>, id: &PhaseId, kind: PhaseKind) -> Closed {
    let plan = hold.plan.id();
    let reason = Reason {
        code: ReasonCode::NeedsPhase,
        verdict: Verdict::Blocked,
        plan: plan.clone(),
        phase: Some(id.clone()),
        message: format!("{id} is half undone, and has to be undone to the end before it can run again"),
        evidence: Vec::new(),
        fix: hold
            .plan
            .phase(id)
            .and_then(|phase| phase.needs.first())
            .map_or_else(
                || {
                    Some(format!(
                        "shipctl rollback {plan} --env {} --all",
                        hold.engine.environment.name
                    ))
                },
                |need| {
                    Some(format!(
                        "shipctl rollback {plan} --env {} --to {need}",
                        hold.engine.environment.name
                    ))
                },
            ),
    };
    Closed {
        phase: id.clone(),
        kind,
        judgement: Judgement {
            reasons: vec![reason],
            evidence: Vec::new(),
        },
    }
}
