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

use std::time::Instant;

use tokio_postgres::error::SqlState;

use super::attempt::Attempt;
use super::clearance::FreshClearance;
use super::engine::{Finding, Hold};
use super::event::Event;
use super::failpoint::{Failpoint, reach};
use super::inside::{inside, with_ways_out};
use super::outside::{Earlier, NotRun, Outside, Said};
use super::standoff::{Insistence, Standoff};
use super::step_locks::wanted;
use crate::domain::{Exit, PhaseId, Problem, SourceText};
use crate::ledger::{Record, Word};
use crate::postgres::blockers::Blocker;
use crate::postgres::retry::AttemptError;
use crate::postgres::{LockPatience, describe_error};
use crate::safety::Direction;
use crate::sql::{CrashProbe, Script, Statement, Step, Transactional, complaint_of};

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
    /// How patient its statements are with locks.
    pub patience: LockPatience,
    /// What a step went through with those in its way, kept while the facts are looked at in between.
    pub standoff: &'j Standoff,
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
        job.standoff.enter(number);
        if step.transactional() {
            if inside(hold, job, step, number, clearance).await? == Ended::NeedsLook {
                return Ok(Ended::NeedsLook);
            }
        } else {
            outside(hold, job, step, number, attempt.in_doubt.contains(&number)).await?;
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

/// Runs a step outside any transaction: its intent first, then the statement, then its record.
async fn outside(
    hold: &mut Hold<'_>,
    job: &Job<'_>,
    step: &Step,
    number: u32,
    in_doubt: bool,
) -> Result<(), Problem> {
    let started = Instant::now();
    let [statement] = step.statements.as_slice() else {
        return Err(Problem::new(
            Exit::Usage,
            "not-transactional-in-group",
            format!(
                "{}: a group of statements cannot run outside a transaction",
                job.phase
            ),
        ));
    };
    let Transactional::No(probe) = &statement.transactional else {
        return Ok(());
    };
    let settled = |happened, word| Record::StepSettled {
        phase: job.phase.clone(),
        direction: job.direction,
        step: number,
        digest: step.digest(),
        happened,
        word,
    };
    hold.lock.assert_held(hold.work.client()).await?;
    let what = Running {
        step,
        number,
        statement,
        probe,
    };
    match prepared(hold, job, &what, async |outside| outside.earlier(in_doubt).await).await? {
        Earlier::NotDone => {}
        Earlier::Done => return took_effect(hold, finished(job, step, number, started)).await,
        Earlier::Found(Finding::Happened) => {
            let records = [settled(true, Word::Person), finished(job, step, number, started)];
            return found(hold, &records).await;
        }
        Earlier::Found(Finding::DidNotHappen) => found(hold, &[settled(false, Word::Person)]).await?,
    }
    reach(Failpoint::IntentRecording).await;
    hold.append(&[Record::StepStarted {
        phase: job.phase.clone(),
        direction: job.direction,
        step: number,
        digest: step.digest(),
    }])
    .await?;
    reach(Failpoint::IntentRecorded).await;
    let wanted = wanted(hold, &step.statements).await?;
    let ran = prepared(hold, job, &what, async |outside| outside.execute(&wanted).await).await;
    let Err(NotRun {
        why,
        settled: certain,
    }) = ran
    else {
        return took_effect(hold, finished(job, step, number, started)).await;
    };
    if certain {
        reach(Failpoint::RefusalRecording).await;
        hold.append(&[settled(false, Word::Server)]).await?;
        reach(Failpoint::RefusalRecorded).await;
    }
    Err(match why {
        AttemptError::Problem(problem) => with_ways_out(problem),
        AttemptError::Database(error) => failed(job, step, 0, &error),
    })
}

/// A statement outside any transaction, and its place.
#[derive(Clone, Copy)]
struct Running<'r> {
    step: &'r Step,
    number: u32,
    statement: &'r Statement,
    probe: &'r CrashProbe,
}

/// Records that a statement outside transactions took effect.
async fn took_effect(hold: &mut Hold<'_>, record: Record) -> Result<(), Problem> {
    reach(Failpoint::OutcomeRecording).await;
    hold.append(&[record]).await?;
    reach(Failpoint::OutcomeRecorded).await;
    Ok(())
}

/// Records what a person found out about such a statement.
async fn found(hold: &mut Hold<'_>, records: &[Record]) -> Result<(), Problem> {
    reach(Failpoint::FindingRecording).await;
    hold.append(records).await?;
    reach(Failpoint::FindingRecorded).await;
    Ok(())
}

/// Does something with the statement on the sessions of the run.
async fn prepared<T>(
    hold: &Hold<'_>,
    job: &Job<'_>,
    running: &Running<'_>,
    work: impl AsyncFnOnce(&Outside<'_>) -> T,
) -> T {
    let Running {
        step,
        number,
        statement,
        probe,
    } = *running;
    let tell = |said: Said<'_>| match said {
        Said::Note(text) => hold.note(job.phase, text),
        Said::Retry(failed) => hold.retrying(job.phase, failed),
        Said::Running(elapsed) => hold.tell(Event::StepRunning {
            phase: job.phase.clone(),
            summary: summary(step),
            elapsed,
            waits_for: job.standoff.now(),
        }),
        Said::Index { progress, elapsed } => hold.tell(Event::IndexProgress {
            phase: job.phase.clone(),
            stage: progress.stage,
            done: progress.done,
            total: progress.total,
            unit: progress.unit,
            waits_for: progress.waits_for.iter().map(Blocker::to_string).collect(),
            elapsed,
        }),
    };
    let insistence = Insistence::of(hold.around(), job, step, number);
    work(&Outside {
        client: hold.work.client(),
        watch: hold.watch(),
        patience: &job.patience,
        statement,
        probe,
        finding: hold.finding,
        name: job.phase.as_str(),
        source: job.source,
        lenient: job.lenient,
        insistence: Some(&insistence),
        tell: &tell,
    })
    .await
}

/// Whether the server says that what is to be taken back is not there, or that what is to be put back is there.
pub(in crate::execute) fn is_so_already(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(
            &SqlState::UNDEFINED_TABLE
                | &SqlState::UNDEFINED_COLUMN
                | &SqlState::UNDEFINED_OBJECT
                | &SqlState::UNDEFINED_FUNCTION
                | &SqlState::INVALID_SCHEMA_NAME
                | &SqlState::DUPLICATE_TABLE
                | &SqlState::DUPLICATE_COLUMN
                | &SqlState::DUPLICATE_OBJECT
                | &SqlState::DUPLICATE_FUNCTION
                | &SqlState::DUPLICATE_SCHEMA
        )
    )
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
    let place = statement.offset..end;
    if error.code() == Some(&SqlState::INVALID_TEXT_REPRESENTATION)
        && let Some(complaint) = complaint_of(&statement.text)
    {
        // That a text is no number is only how it says so.
        let shown = complaint
            .rows
            .map(|rows| format!("find them with `{rows}`, and mend them; then run the same command again. "));
        return Problem::new(
            Exit::Failed,
            "step-failed",
            format!("{}: {}", job.phase, complaint.message),
        )
        .because("what follows in the migration would fail, and was not begun")
        .fix(format!("{}{fix}", shown.unwrap_or_default()))
        .at(job.source, place, "this statement");
    }
    Problem::new(
        described.exit().max(Exit::Failed),
        "step-failed",
        format!("{}: {}: {}", job.phase, statement.summary, described.message()),
    )
    .because(described.why().unwrap_or("the server refused the statement"))
    .fix(described.remedy().unwrap_or(fix))
    .at(job.source, place, "this statement")
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
