//! Joins the fill that a run of the same plan has under way in another process, perhaps on another machine.
//!
//! Whoever joins decides nothing: the run was cleared, and its clearance is in the ledger with the record that the phase
//! started. It takes ranges from the ledger while that run holds the plan's lock, proved in each transaction, and stops
//! when the run does.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde::Serialize;

use super::relation::{Relation, relations};
use super::worker::Worker;
use super::{FillOptions, Progress, Task, fill_range, governed};
use crate::domain::{Exit, PhaseId, Problem, SqlIdentifier};
use crate::execute::engine::Engine;
use crate::execute::event::EventSink;
use crate::ledger::Record;
use crate::plan::{BackfillPhase, PhaseDetail, Plan};
use crate::postgres::ledger::fill_range::OpenFill;
use crate::postgres::{LockPatience, Session, Witness, ledger};

/// How often it is looked whether there is something to join.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a run is waited for.
const RUN_BEGINS_WITHIN: Duration = Duration::from_secs(10);

/// What a process that joined did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// The phase whose fill it joined; `None` where the run ended without one.
    pub phase: Option<PhaseId>,
}

/// Waits for a fill of the plan's run, and works on it until nothing is left of its ranges.
///
/// # Errors
/// `no-run` (exit 4) where nobody runs the plan; `plan-diverged` (exit 1) where this checkout's phase is not the one that
/// runs; `run-hidden` (exit 3) where this role may not see since when the run's session is there; `run-lock-lost` (exit 6) where the run ends before the fill; what the server refuses; `interrupted`.
pub async fn join(
    engine: &Engine<'_>,
    plan: &Plan,
    options: FillOptions,
    patience: LockPatience,
    events: &dyn EventSink,
) -> Result<Joined, Problem> {
    let mut monitor = Session::open(engine.connection, "join").await?;
    ledger::ensure(&mut monitor).await?;
    let witness = run_at_work(engine, plan, &monitor).await?;
    if fill_range::is_hidden(monitor.client(), witness.holder()).await? {
        return Err(hidden(engine, plan));
    }
    let open = loop {
        engine.stop.check()?;
        if let Some(open) = fill_range::open_fill(
            monitor.client(),
            &engine.environment.name,
            plan.id(),
            witness.holder(),
        )
        .await?
        {
            break open;
        }
        if !witness.is_at_work(monitor.client()).await? {
            return Ok(Joined { phase: None });
        }
        engine.stop.sleep(LOOK_EVERY).await?;
    };
    let (activity, spec) = meant(engine, plan, &open, &monitor).await?;
    let relations = present(&monitor, spec).await?;
    let task = Task {
        engine,
        plan,
        events,
        patience,
        monitor: monitor.client(),
        phase: &open.phase,
        spec,
        activity,
        effort: open.effort.clone(),
        // The run itself looks out.
        watch: false,
        relations: &relations,
        sweep: !open.effort.ends_with(", pass 1"),
    };
    let opening = (0..options.workers.get()).map(|number| Worker::open(&task, &witness, number));
    let mut crew = try_join_all(opening).await?;
    let totals = fill_range::totals(monitor.client(), task.key()).await?;
    let mut progress = Progress::new(&task, activity, totals.rows_done, totals.rows_changed);
    governed(&task, &mut crew, None, async |governor, crew| {
        let working = try_join_all(crew.iter_mut().map(|worker| worker.work(&task, governor)));
        tokio::pin!(working);
        loop {
            tokio::select! {
                done = &mut working => return done.map(drop),
                () = tokio::time::sleep(Progress::EVERY) => {
                    let totals = fill_range::totals(task.monitor, task.key()).await?;
                    progress.tell(&task, totals.rows_done, totals.rows_changed);
                }
            }
        }
    })
    .await?;
    Ok(Joined {
        phase: Some(open.phase.clone()),
    })
}

/// The run that is at work; one that is about to begin is waited for.
async fn run_at_work(engine: &Engine<'_>, plan: &Plan, monitor: &Session) -> Result<Witness, Problem> {
    let begun = Instant::now();
    loop {
        let run = Witness::of_run(monitor.client(), &engine.environment.name, plan.id()).await?;
        if let Some(witness) = run {
            return Ok(witness);
        }
        if begun.elapsed() >= RUN_BEGINS_WITHIN {
            return Err(Problem::new(
                Exit::Waiting,
                "no-run",
                format!("nobody runs {} in {} now", plan.id(), engine.environment.name),
            )
            .because("a process can only join the fill of a run that is at work")
            .fix(format!(
                "shipctl run {} --env {}",
                plan.id(),
                engine.environment.name
            )));
        }
        engine.stop.sleep(LOOK_EVERY).await?;
    }
}

/// The run's session belongs to a role whose sessions this one's may not look at.
fn hidden(engine: &Engine<'_>, plan: &Plan) -> Problem {
    Problem::new(
        Exit::Unknown,
        "run-hidden",
        format!(
            "the run of {} in {} belongs to another database role, and it cannot be seen since when its session is there",
            plan.id(),
            engine.environment.name
        ),
    )
    .because("ranges that an earlier run left behind could be taken for those of this one")
    .fix("connect as the role that runs the plan, or let a superuser type: GRANT pg_read_all_stats TO the role that joins")
}

/// What this checkout's plan says of the fill, if it is the phase that was cleared and started.
async fn meant<'p>(
    engine: &Engine<'_>,
    plan: &'p Plan,
    open: &OpenFill,
    monitor: &Session,
) -> Result<(&'static str, &'p BackfillPhase), Problem> {
    let records = ledger::read(monitor.client(), &engine.environment.name, Some(plan.id())).await?;
    let registered = records.iter().rev().find_map(|stored| match &stored.record {
        Record::PlanRegistered { digest, .. } => Some(digest),
        _ => None,
    });
    let spec = plan
        .phase(&open.phase)
        .and_then(|phase| match (&phase.detail, open.activity.as_str()) {
            (PhaseDetail::Backfill(spec), "backfill") => Some(("backfill", spec)),
            (PhaseDetail::Backfill(spec), "refill") => Some(("refill", spec)),
            (PhaseDetail::Expand(run) | PhaseDetail::Contract(run), "restore") => {
                run.restore.as_ref().map(|spec| ("restore", spec))
            }
            (PhaseDetail::Code(code), "restore") => code.restore.as_ref().map(|spec| ("restore", spec)),
            _ => None,
        });
    match spec {
        Some(spec) if registered == Some(&plan.digest()) => Ok(spec),
        _ => Err(Problem::new(
            Exit::Blocked,
            "plan-diverged",
            format!("{} in this checkout is not the plan that runs", plan.id()),
        )
        .because("rows would be filled in another way than the run was cleared for")
        .fix("check out the commit from which the run was started")),
    }
}

/// The relations as they are; the run has analyzed them where they were not.
async fn present(monitor: &Session, spec: &BackfillPhase) -> Result<Vec<Relation>, Problem> {
    let assigned: Vec<&SqlIdentifier> = spec.set.iter().map(|one| &one.column).collect();
    relations(monitor.client(), monitor.server_version(), &spec.table, &assigned).await
}
