//! Undoes phases in reverse order, each through the reverse gate by fresh facts.
//!
//! What is undone: every phase below the one that is to be the last one done. Where a code phase among them abandoned
//! data, the data is restored at its turn, before anything that older code relies on comes back. A backfill leaves its data
//! where it is (the column goes with the phase that added it). A phase that is half done is undone like a whole one; what
//! that means for its DOWN side, `script` explains.

use std::collections::BTreeSet;

use serde::Serialize;

use super::control::look_when_resumed;
use super::engine::{Conduct, Engine, Finding, Hold, Override};
use super::event::EventSink;
use super::failpoint::{Failpoint, reach};
use super::fill::{self, Fill, FillOptions};
use super::phase::{Outcome, admit, no_way_back, perform};
use super::preview::{self, PhasePreview};
use super::register::{migration_of, register};
use super::run::{Closed, Ran, unknown_phase};
use super::standoff::LockPolicy;
use crate::domain::{Exit, PhaseId, Problem};
use crate::ledger::Record;
use crate::observe::Situation;
use crate::plan::{Phase, PhaseDetail, Plan};
use crate::postgres::LockPatience;
use crate::safety::{Decision, Direction, PhaseKind, ReasonCode, Verdict, may_restore, may_revert};

/// How far a plan is to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everything.
    Base,
    /// This phase stays; every phase below it is undone.
    To(PhaseId),
}

/// How a plan is to be undone.
#[derive(Clone, Debug)]
pub struct RollbackOptions {
    /// How far.
    pub target: Target,
    /// Reasons that a person sets aside.
    pub overrides: Option<Override>,
    /// What a person found out about a statement in doubt.
    pub finding: Option<Finding>,
    /// How patient DDL is with locks.
    pub patience: LockPatience,
    /// How fills work.
    pub fill: FillOptions,
    /// What is done about locks that others hold.
    pub locks: LockPolicy,
}

/// What undoing came to.
#[derive(Clone, Debug, Serialize)]
pub struct RollbackOutcome {
    /// The phases that were undone, and the code phases whose data was restored, in order.
    pub undone: Vec<Ran>,
    /// The phase that may not be undone now, if it did not come to the end.
    pub closed: Option<Closed>,
}

impl RollbackOutcome {
    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.closed
            .as_ref()
            .map_or(Verdict::Go, |closed| closed.judgement.verdict())
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.verdict().exit()
    }
}

/// Undoes phases as far as the gates permit.
///
/// # Errors
/// As for a run; `no-way-back` (exit 1) before anything is undone if a phase in question has no DOWN side.
pub async fn rollback(
    engine: &Engine<'_>,
    plan: &Plan,
    options: RollbackOptions,
    events: &dyn EventSink,
) -> Result<RollbackOutcome, Problem> {
    let RollbackOptions {
        target,
        overrides,
        finding,
        patience,
        fill,
        locks,
    } = options;
    let doomed = doomed(plan, &target)?;
    let conduct = Conduct {
        patience,
        locks,
        fill,
    };
    let mut hold = Hold::take(engine, plan, events, overrides, finding, conduct).await?;
    let records = hold.records().await?;
    register(&mut hold, &records).await?;
    let mut undone = Vec::new();
    let mut is_first = true;
    for id in &doomed {
        engine.stop.check()?;
        let situation = look_when_resumed(&hold).await?;
        if std::mem::take(&mut is_first) {
            ways_back(plan, &doomed, &situation)?;
        }
        let Some(phase) = plan.phase(id) else { continue };
        let step = match phase.kind() {
            PhaseKind::Code => restore(&mut hold, phase, &situation).await?,
            _ => undo(&mut hold, phase, &situation).await?,
        };
        match step {
            Step::Nothing => {}
            Step::Done(ran) => undone.push(ran),
            Step::Closed(closed) => {
                return Ok(RollbackOutcome {
                    undone,
                    closed: Some(closed),
                });
            }
        }
    }
    Ok(RollbackOutcome { undone, closed: None })
}

/// What [`rollback`] would do now. Writes nothing.
///
/// # Errors
/// As for a rollback, as far as it can be told without undoing anything.
pub async fn preview(
    engine: &Engine<'_>,
    plan: &Plan,
    target: &Target,
    locks: &LockPolicy,
) -> Result<Vec<PhasePreview>, Problem> {
    let doomed = doomed(plan, target)?;
    preview::undo(engine, plan, locks, |situation| {
        ways_back(plan, &doomed, situation)?;
        let state = situation.state(plan.id());
        Ok(doomed
            .into_iter()
            .filter(|id| match plan.phase(id).map(Phase::kind) {
                Some(PhaseKind::Code) => needs_restoring(plan, id, situation),
                _ => state.progress(id).may_have_effect(),
            })
            .collect())
    })
    .await
}

/// The phases in question, the last one first.
fn doomed(plan: &Plan, target: &Target) -> Result<Vec<PhaseId>, Problem> {
    let shape = plan.shape();
    let mut ids: Vec<PhaseId> = match target {
        Target::Base => shape.phases().map(|phase| phase.id.clone()).collect(),
        Target::To(to) if plan.phase(to).is_none() => return Err(unknown_phase(plan, to)),
        Target::To(to) => shape.below(to).map(|phase| phase.id.clone()).collect(),
    };
    ids.reverse();
    Ok(ids)
}

/// Everything that has to be undone can be.
fn ways_back(plan: &Plan, doomed: &[PhaseId], situation: &Situation) -> Result<(), Problem> {
    let state = situation.state(plan.id());
    let problems: Vec<Problem> = doomed
        .iter()
        .filter(|id| state.progress(id).may_have_effect())
        .filter_map(|id| plan.phase(id))
        .filter(|phase| {
            migration_of(phase)
                .is_some_and(|migration| migration.down.as_ref().is_none_or(|down| down.steps.is_empty()))
        })
        .map(|phase| no_way_back(phase).at(plan.source(), phase.span.clone(), "cannot be undone"))
        .collect();
    match Problem::bundle(problems, "some phases cannot be undone, so nothing was undone") {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

/// What became of one phase.
enum Step {
    /// It has no effect, so there is nothing to undo.
    Nothing,
    Done(Ran),
    Closed(Closed),
}

async fn undo(hold: &mut Hold<'_>, phase: &Phase, situation: &Situation) -> Result<Step, Problem> {
    let state = situation.state(hold.plan.id());
    if !state.progress(&phase.id).may_have_effect() {
        return Ok(Step::Nothing);
    }
    let judgement = match hold.decide(&phase.id, Direction::Reverse, situation) {
        Decision::Refused(judgement) => judgement,
        Decision::Cleared(clearance) => {
            let without = may_revert(hold.plan.shape(), &phase.id, &situation.facts, &BTreeSet::new());
            let fresh =
                admit(hold, phase, clearance, situation)?.with_overridden(hold.set_aside(&phase.id, without));
            match perform(hold, phase, fresh, situation).await? {
                Outcome::Done { rows } => {
                    return Ok(Step::Done(Ran {
                        phase: phase.id.clone(),
                        rows,
                    }));
                }
                Outcome::Closed(judgement) => judgement,
            }
        }
    };
    Ok(Step::Closed(Closed {
        phase: phase.id.clone(),
        kind: phase.kind(),
        judgement,
    }))
}

/// Whether a code phase abandoned data that was not restored since.
fn needs_restoring(plan: &Plan, id: &PhaseId, situation: &Situation) -> bool {
    match may_restore(plan.shape(), id, &situation.facts, &BTreeSet::new()) {
        Decision::Cleared(_) => true,
        Decision::Refused(judgement) => !judgement
            .reasons
            .iter()
            .any(|reason| matches!(reason.code, ReasonCode::AlreadyDone | ReasonCode::NotApplicable)),
    }
}

/// Brings up to date what a code phase no longer wrote.
async fn restore(hold: &mut Hold<'_>, phase: &Phase, situation: &Situation) -> Result<Step, Problem> {
    let plan = hold.plan;
    if !needs_restoring(plan, &phase.id, situation) {
        return Ok(Step::Nothing);
    }
    let closed = |judgement| {
        Step::Closed(Closed {
            phase: phase.id.clone(),
            kind: phase.kind(),
            judgement,
        })
    };
    match may_restore(
        plan.shape(),
        &phase.id,
        &situation.facts,
        &hold.overridden(&phase.id),
    ) {
        Decision::Refused(judgement) => Ok(closed(judgement)),
        Decision::Cleared(clearance) => {
            let PhaseDetail::Code(code) = &phase.detail else {
                return Ok(Step::Nothing);
            };
            let Some(spec) = &code.restore else {
                return Err(Problem::new(
                    Exit::Blocked,
                    "no-way-back",
                    format!(
                        "nothing says how the data that {} no longer wrote is restored",
                        phase.id
                    ),
                )
                .because("versions before it would read what was last written before it ran")
                .fix("add a `restore = { table, set, verify }` to the phase")
                .at(plan.source(), phase.span.clone(), "no `restore`"));
            };
            admit(hold, phase, clearance, situation)?;
            let without = may_restore(plan.shape(), &phase.id, &situation.facts, &BTreeSet::new());
            if let Some(record) = hold.set_aside(&phase.id, without) {
                reach(Failpoint::OverrideRecording).await;
                hold.append(&[record]).await?;
                reach(Failpoint::OverrideRecorded).await;
            }
            let since = situation.facts.observed_at;
            hold.note(&phase.id, "restoring what it no longer wrote");
            fill::reset_session(hold).await?;
            let fill = Fill {
                phase: &phase.id,
                spec,
                activity: "restore",
                // It vouches for a moment, so one that was broken off begins anew; what is right already is not written.
                effort: format!("restore {since}"),
                watch: false,
                must_be_clean: true,
            };
            let rows = fill::until_clean(hold, &fill).await?;
            reach(Failpoint::RestorationRecording).await;
            hold.append(&[Record::DataRestored {
                phase: phase.id.clone(),
                since,
                rows,
            }])
            .await?;
            reach(Failpoint::RestorationRecorded).await;
            hold.note(&phase.id, format!("{rows} rows restored"));
            Ok(Step::Done(Ran {
                phase: phase.id.clone(),
                rows: Some(rows),
            }))
        }
    }
}
