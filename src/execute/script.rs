//! Runs the script of one phase, step by step, each with its record.
//!
//! What happens if the process is killed:
//! - between steps: what has a record is skipped when the phase is resumed, the rest runs;
//! - within a transactional step: the server rolls it back together with its record;
//! - within a statement that cannot run in a transaction: its intent was recorded before, so that on resuming the
//!   database is asked whether it took effect; where it cannot tell, a person must.
//!
//! **Undoing what was half done.** The DOWN side was written for a phase that is wholly there. Where the phase never got
//! to its end, DOWN runs from its start all the same, and a statement that finds its work done already (what it drops is
//! not there, what it creates is) is passed over. Two cases are kept apart: if no step took effect, there is nothing to
//! undo and DOWN does not run; and if the phase had failed because something of the same name existed before, DOWN could
//! take away what was never the plan's, so a person must look first.

use std::time::{Duration, Instant};

use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::attempt::Attempt;
use super::clearance::FreshClearance;
use super::engine::{Hold, LockPatience, append, interrupted};
use super::event::Event;
use super::guard::{Guard, is_so_already, may_be_retried};
use super::outside;
use crate::domain::{Exit, PhaseId, Problem, SourceText};
use crate::ledger::Record;
use crate::postgres::describe_error;
use crate::safety::Direction;
use crate::sql::{LockMode, Script, Step};

/// A script to run for a phase.
pub(in crate::execute) struct Job<'j> {
    /// The phase.
    pub phase: &'j PhaseId,
    /// Running or undoing.
    pub direction: Direction,
    /// The script.
    pub script: &'j Script,
    /// The file, for pointing into.
    pub source: &'j SourceText,
    /// Passes over statements whose work is done already.
    pub lenient: bool,
    /// Each step needs facts that are fresh when it begins, not only when the phase began.
    pub strict: bool,
}

/// How running a script ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::execute) enum Ended {
    /// Every step took effect.
    Done,
    /// The facts grew old before this step: look again.
    NeedsLook,
}

/// Runs the steps that have no record yet.
///
/// # Errors
/// `step-failed` (exit 5) with the place in the file; `lock-not-had` (exit 5) with the blockers; `indeterminate`
/// (exit 5); `interrupted`; a lost lock.
pub(in crate::execute) async fn run(
    hold: &mut Hold<'_>,
    job: &Job<'_>,
    attempt: &mut Attempt,
    clearance: &FreshClearance,
) -> Result<Ended, Problem> {
    for (step, number) in job.script.steps.iter().zip(0u32..) {
        hold.engine.stop.check()?;
        if let Some(recorded) = attempt.finished.get(&number) {
            if *recorded != step.digest() {
                return Err(edited(job.phase, number));
            }
            // Settings of the session died with the session that made them.
            if sets_session(step) {
                settings(hold, step).await?;
            }
            continue;
        }
        if job.strict && !clearance.is_fresh(hold.now()) {
            return Ok(Ended::NeedsLook);
        }
        if !clearance.permits(job.phase, job.direction) {
            return Err(Problem::new(
                Exit::Failed,
                "wrong-clearance",
                format!("the clearance at hand is not for {}", job.phase),
            ));
        }
        hold.tell(Event::StepStarted {
            phase: job.phase.clone(),
            summary: summary(step),
        });
        if step.transactional() {
            inside(hold, job, step, number).await?;
        } else {
            outside::run(hold, job, step, number, attempt).await?;
        }
        attempt.in_doubt.remove(&number);
        attempt.finished.insert(number, step.digest());
    }
    Ok(Ended::Done)
}

/// What a step does, in a few words.
pub(in crate::execute) fn summary(step: &Step) -> String {
    step.statements
        .iter()
        .map(|statement| statement.summary.as_str())
        .collect::<Vec<_>>()
        .join("; ")
}

/// Whether a step only changes settings of the session.
fn sets_session(step: &Step) -> bool {
    step.statements.iter().all(|statement| {
        let first = statement.text.split_whitespace().next().unwrap_or_default();
        first.eq_ignore_ascii_case("set") || first.eq_ignore_ascii_case("reset")
    })
}

async fn settings(hold: &mut Hold<'_>, step: &Step) -> Result<(), Problem> {
    for statement in &step.statements {
        hold.work
            .client()
            .batch_execute(&statement.text)
            .await
            .map_err(|error| describe_error(&error, "repeating a session setting"))?;
    }
    Ok(())
}

/// The record of a finished step.
pub(in crate::execute) fn finished(job: &Job<'_>, step: &Step, number: u32, started: Instant) -> Record {
    Record::StepFinished {
        phase: job.phase.clone(),
        direction: job.direction,
        step: number,
        digest: step.digest(),
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// How long a step may wait for its locks.
pub(in crate::execute) fn lock_timeout(hold: &Hold<'_>, step: &Step) -> Duration {
    patience_for(&hold.patience, step)
}

/// How long a step may wait for its locks: long where it holds up nobody while it waits.
pub(in crate::execute) fn patience_for(patience: &LockPatience, step: &Step) -> Duration {
    let locks = || step.statements.iter().flat_map(|statement| &statement.locks);
    let mild = locks().next().is_some() && locks().all(|lock| lock.mode <= LockMode::ShareUpdateExclusive);
    if mild || !step.transactional() {
        patience.long_timeout
    } else {
        patience.timeout
    }
}

/// What went wrong in one try of a step.
enum Failure {
    /// The server or the connection said so, at this statement.
    Database(usize, tokio_postgres::Error),
    /// Something else.
    Other(Problem),
}

/// Runs a step with its record in one transaction, and again from outside it while its lock cannot be had.
async fn inside(hold: &mut Hold<'_>, job: &Job<'_>, step: &Step, number: u32) -> Result<(), Problem> {
    let timeout = lock_timeout(hold, step);
    let mut tried = 0;
    loop {
        tried += 1;
        let (result, blockers) = try_inside(hold, job, step, number, timeout).await;
        let (at, error) = match result {
            Ok(passed_over) => {
                for what in passed_over {
                    hold.note(job.phase, format!("passed over, since it is so already: {what}"));
                }
                return Ok(());
            }
            Err(Failure::Other(problem)) => return Err(problem),
            Err(Failure::Database(at, error)) => (at, error),
        };
        if hold.engine.stop.is_requested() {
            return Err(interrupted());
        }
        if !may_be_retried(&error) {
            return Err(failed(job, step, at, &error));
        }
        retry_later(hold, job, step, tried, blockers).await?;
    }
}

/// One try; tells what was passed over, and who blocked it.
async fn try_inside(
    hold: &mut Hold<'_>,
    job: &Job<'_>,
    step: &Step,
    number: u32,
    timeout: Duration,
) -> (Result<Vec<String>, Failure>, Vec<String>) {
    let worker = hold.work.backend_pid();
    let (engine, plan, lock) = (hold.engine, hold.plan, &hold.lock);
    let guard = Guard {
        monitor: hold.monitor.client(),
        worker,
        stop: &engine.stop,
    };
    let client = hold.work.client_mut();
    guard
        .over(async {
            let started = Instant::now();
            let of = |error| Failure::Database(0, error);
            let mut transaction = client.transaction().await.map_err(of)?;
            lock.assert_held(&transaction).await.map_err(Failure::Other)?;
            transaction
                .batch_execute(&format!("SET LOCAL lock_timeout = {}", timeout.as_millis()))
                .await
                .map_err(of)?;
            let mut passed_over = Vec::new();
            for (at, statement) in step.statements.iter().enumerate() {
                let text = &statement.text;
                if !job.lenient {
                    let done = transaction.batch_execute(text).await;
                    done.map_err(|error| Failure::Database(at, error))?;
                } else if !passes(&mut transaction, text)
                    .await
                    .map_err(|error| Failure::Database(at, error))?
                {
                    passed_over.push(statement.summary.clone());
                }
            }
            let record = finished(job, step, number, started);
            append(&transaction, engine, plan, &record)
                .await
                .map_err(Failure::Other)?;
            transaction.commit().await.map_err(of)?;
            Ok(passed_over)
        })
        .await
}

/// Runs a statement under a savepoint; `false` if its work turned out to be done already.
async fn passes(transaction: &mut Transaction<'_>, text: &str) -> Result<bool, tokio_postgres::Error> {
    let savepoint = transaction.transaction().await?;
    match savepoint.batch_execute(text).await {
        Ok(()) => savepoint.commit().await.map(|()| true),
        Err(error) if is_so_already(&error) => savepoint.rollback().await.map(|()| false),
        Err(error) => Err(error),
    }
}

/// Tells who blocks, and waits; gives up after the last attempt.
pub(in crate::execute) async fn retry_later(
    hold: &Hold<'_>,
    job: &Job<'_>,
    step: &Step,
    tried: u32,
    blockers: Vec<String>,
) -> Result<(), Problem> {
    if tried >= hold.patience.attempts {
        return Err(lock_not_had(job.phase, &summary(step), tried, &blockers));
    }
    let wait = hold.patience.pause_after(tried);
    hold.tell(Event::LockRetry {
        phase: job.phase.clone(),
        attempt: tried,
        attempts: hold.patience.attempts,
        blockers,
        wait,
    });
    hold.engine.stop.sleep(wait).await
}

/// A lock could not be had in all attempts.
pub(in crate::execute) fn lock_not_had(
    phase: &PhaseId,
    what: &str,
    tried: u32,
    blockers: &[String],
) -> Problem {
    let who = match blockers {
        [] => "no blocking session could be seen".to_owned(),
        some => format!("blocked by {}", some.join("; ")),
    };
    Problem::new(
        Exit::Failed,
        "lock-not-had",
        format!("{phase}: {what}: the lock could not be had in {tried} attempts"),
    )
    .because(who)
    .fix("end the blocking transaction, or wait for a quieter time; then run the same command again")
}

/// The server refused a statement.
pub(in crate::execute) fn failed(
    job: &Job<'_>,
    step: &Step,
    at: usize,
    error: &tokio_postgres::Error,
) -> Problem {
    let described = describe_error(error, &format!("running {}", job.phase));
    let Some(statement) = step.statements.get(at) else {
        return described;
    };
    if error.as_db_error().is_none() {
        return described;
    }
    let fix = if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        "grant the right to the role that shipctl connects as; then run the same command again"
    } else {
        "nothing of this statement took effect; what ran before it is recorded and will not run again"
    };
    let end = statement.offset + statement.text.len();
    Problem::new(
        described.exit().max(Exit::Failed),
        "step-failed",
        format!("{}: {}: {}", job.phase, statement.summary, described.message()),
    )
    .because(described.why().unwrap_or("the server refused the statement"))
    .fix(described.remedy().unwrap_or(fix))
    .at(job.source, statement.offset..end, "this statement")
}

fn edited(phase: &PhaseId, step: u32) -> Problem {
    Problem::new(
        Exit::Blocked,
        "plan-diverged",
        format!("statement {} of {phase} was edited after it ran", step + 1),
    )
    .because("what has run cannot be run again in another form")
    .fix("restore the migration file as it was, and put the change into a phase of its own")
}
