//! What a run or a rollback would do, without doing anything: the very statements, their locks, and the gates as they are.

use std::time::Duration;

use serde::Serialize;

use super::engine::Engine;
use super::fill::assignments;
use super::register;
use super::run::scope;
use super::standoff::LockPolicy;
use crate::domain::{PhaseId, Problem};
use crate::observe::Situation;
use crate::plan::{BackfillPhase, MigrationPhase, Phase, PhaseDetail, Plan};
use crate::postgres::{LockPatience, Session};
use crate::safety::{
    Direction, Judgement, PhaseKind, Progress, Verdict, judge, may_restore, may_revert, satisfaction,
};
use crate::sql::{Impact, Lock, Script, Step, impacts};

/// One phase of a preview.
#[derive(Clone, Debug, Serialize)]
pub struct PhasePreview {
    /// The phase.
    pub phase: PhaseId,
    /// Its kind.
    pub kind: PhaseKind,
    /// Running or undoing.
    pub direction: Direction,
    /// How far it has come.
    pub progress: Progress,
    /// What its gate says now.
    pub verdict: Verdict,
    /// Why.
    pub judgement: Judgement,
    /// The transactions (or single statements) it consists of.
    pub steps: Vec<StepPreview>,
}

/// One transaction, or one statement outside any.
#[derive(Clone, Debug, Serialize)]
pub struct StepPreview {
    /// The statements, as they run.
    pub sql: Vec<String>,
    /// Whether it runs in a transaction, together with its record.
    pub transactional: bool,
    /// Repeated in batches until nothing is left.
    pub batched: bool,
    /// The locks it takes, as far as the text tells.
    pub locks: Vec<Lock>,
    /// What it takes away from those who use the database.
    pub takes_away: Vec<&'static str>,
    /// How long it waits for them at a time.
    #[serde(rename = "lock_timeout_ms", serialize_with = "as_millis")]
    pub lock_timeout: Duration,
}

fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// What running the plan (as far as `to`) would do. Writes nothing, not even the look.
///
/// # Errors
/// As for a run, as far as it can be told without running.
pub async fn run(
    engine: &Engine<'_>,
    plan: &Plan,
    to: Option<&PhaseId>,
    locks: &LockPolicy,
) -> Result<Vec<PhasePreview>, Problem> {
    let phases = scope(plan, to)?;
    let situation = look(engine, plan).await?;
    let state = situation.state(plan.id());
    Ok(phases
        .iter()
        .filter_map(|id| plan.phase(id))
        .map(|phase| {
            let judgement = match phase.kind() {
                PhaseKind::Code => satisfaction(plan.shape(), &phase.id, &situation.facts),
                _ => judge(plan.shape(), &phase.id, &situation.facts, &Default::default())
                    .judgement()
                    .clone(),
            };
            let done = state.progress(&phase.id).is_done();
            PhasePreview {
                steps: if done { Vec::new() } else { forward(phase, locks) },
                ..preview(phase, Direction::Forward, state.progress(&phase.id), judgement)
            }
        })
        .collect())
}

/// What undoing these phases, in this order, would do.
pub(in crate::execute) async fn undo(
    engine: &Engine<'_>,
    plan: &Plan,
    locks: &LockPolicy,
    phases: impl FnOnce(&Situation) -> Result<Vec<PhaseId>, Problem>,
) -> Result<Vec<PhasePreview>, Problem> {
    let situation = look(engine, plan).await?;
    let state = situation.state(plan.id());
    Ok(phases(&situation)?
        .iter()
        .filter_map(|id| plan.phase(id))
        .map(|phase| {
            let decision = match phase.kind() {
                PhaseKind::Code => {
                    may_restore(plan.shape(), &phase.id, &situation.facts, &Default::default())
                }
                _ => may_revert(plan.shape(), &phase.id, &situation.facts, &Default::default()),
            };
            PhasePreview {
                steps: backward(phase, locks),
                ..preview(
                    phase,
                    Direction::Reverse,
                    state.progress(&phase.id),
                    decision.judgement().clone(),
                )
            }
        })
        .collect())
}

async fn look(engine: &Engine<'_>, plan: &Plan) -> Result<Situation, Problem> {
    let session = Session::open(engine.connection, "preview").await?;
    let situation = engine
        .observer()
        .look(Some(&session), &[], engine.clock.now())
        .await?;
    let own: Vec<_> = situation
        .records
        .iter()
        .filter(|stored| stored.plan.as_ref() == Some(plan.id()))
        .cloned()
        .collect();
    register::check(plan, &own)?;
    Ok(situation)
}

fn preview(phase: &Phase, direction: Direction, progress: &Progress, judgement: Judgement) -> PhasePreview {
    PhasePreview {
        phase: phase.id.clone(),
        kind: phase.kind(),
        direction,
        progress: progress.clone(),
        verdict: judgement.verdict(),
        judgement,
        steps: Vec::new(),
    }
}

fn forward(phase: &Phase, locks: &LockPolicy) -> Vec<StepPreview> {
    match &phase.detail {
        PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => {
            script(&run.migration.up, &patience(run, locks))
        }
        PhaseDetail::Backfill(spec) => vec![batched(spec)],
        PhaseDetail::Code(_) | PhaseDetail::Manual { .. } => Vec::new(),
    }
}

fn backward(phase: &Phase, locks: &LockPolicy) -> Vec<StepPreview> {
    match &phase.detail {
        PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => {
            let patience = patience(run, locks);
            let down = run.migration.down.as_ref();
            let mut steps = down.map(|down| script(down, &patience)).unwrap_or_default();
            steps.extend(run.restore.as_ref().map(batched));
            steps
        }
        PhaseDetail::Code(code) => code.restore.iter().map(batched).collect(),
        PhaseDetail::Backfill(_) | PhaseDetail::Manual { .. } => Vec::new(),
    }
}

/// How patient the statements of a phase are.
fn patience(run: &MigrationPhase, locks: &LockPolicy) -> LockPatience {
    locks.patience(LockPatience::default(), run.locks)
}

fn script(script: &Script, patience: &LockPatience) -> Vec<StepPreview> {
    let mut of_statements = impacts(script).into_iter();
    script
        .steps
        .iter()
        .map(|step: &Step| {
            let own: Vec<Impact<'_>> = of_statements.by_ref().take(step.statements.len()).collect();
            StepPreview {
                sql: own.iter().map(|impact| impact.statement.text.clone()).collect(),
                transactional: step.transactional(),
                batched: false,
                locks: own.iter().flat_map(|impact| impact.locks.clone()).collect(),
                takes_away: own.iter().filter_map(|impact| impact.effect.takes_away).collect(),
                lock_timeout: super::step_locks::patience_for(
                    patience,
                    &step.statements,
                    step.transactional(),
                ),
            }
        })
        .collect()
}

fn batched(spec: &BackfillPhase) -> StepPreview {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    StepPreview {
        sql: vec![format!(
            "UPDATE {} SET {} WHERE <the next range of keys> AND ({}) IS NOT TRUE",
            spec.table.quoted(),
            squeezed(&assignments(spec)),
            spec.verify
        )],
        transactional: true,
        batched: true,
        locks: vec![Lock {
            table: Some(spec.table.clone()),
            mode: crate::sql::LockMode::RowExclusive,
            long: false,
        }],
        takes_away: Vec::new(),
        lock_timeout: super::fill::ROW_LOCK_TIMEOUT,
    }
}
