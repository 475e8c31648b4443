//! Runs a step with its record in one transaction: both take effect, or neither does.

use std::time::Instant;

use tokio_postgres::Transaction;

use super::clearance::FreshClearance;
use super::engine::{Hold, append};
use super::event::Event;
use super::failpoint::{Failpoint, reach};
use super::script::{Ended, Job, failed, finished, is_so_already, summary};
use super::standoff::Insistence;
use super::step_locks::{patience_for, wanted};
use super::ticking::{TELL_AFTER, ticking};
use crate::domain::Problem;
use crate::postgres::retry::{self, AttemptError, Blocker, FailedAttempt, Tries};
use crate::sql::Step;

/// What the server says of one statement among several, which is worth telling with its place.
struct Refusal {
    at: usize,
    why: AttemptError,
}

impl<E: Into<AttemptError>> From<E> for Refusal {
    fn from(why: E) -> Self {
        Self {
            at: 0,
            why: why.into(),
        }
    }
}

/// Runs a step with its record in one transaction, and again from outside it while its lock cannot be had. Ends with
/// [`Ended::NeedsLook`] where the facts grew old while it waited for the lock.
pub(in crate::execute) async fn inside(
    hold: &mut Hold<'_>,
    job: &Job<'_>,
    step: &Step,
    number: u32,
    clearance: &FreshClearance,
) -> Result<Ended, Problem> {
    let engine = hold.engine;
    let mut tries = Tries::new(&job.patience, &engine.stop).after_failures(job.standoff.failures());
    let what = format!("{}: {}", job.phase, summary(step));
    let wanted = wanted(hold, &step.statements).await?;
    let mut again = false;
    loop {
        let insistence = Insistence::of(hold.around(), job, step, number);
        let waited = insistence.make_way(&wanted, &what).await?;
        if waited {
            // The way was seen to be free: what follows has all its attempts before it.
            tries.succeeded();
            job.standoff.failed(tries.failures(), Vec::new());
        }
        if (waited || again && job.strict) && !clearance.is_fresh(hold.now()) {
            return Ok(Ended::NeedsLook);
        }
        let (result, blockers) = try_inside(hold, job, step, number).await;
        let Refusal { at, why } = match result {
            Ok(passed_over) => {
                for what in passed_over {
                    hold.note(job.phase, format!("passed over, since it is so already: {what}"));
                }
                return Ok(Ended::Done);
            }
            Err(refusal) => refusal,
        };
        let insistence = Insistence::of(hold.around(), job, step, number);
        let blockers = insistence.in_the_way(blockers, &wanted).await;
        let report = |failed: &FailedAttempt| hold.retrying(job.phase, failed);
        let after = tries.after(why, blockers.clone(), &what, report).await;
        job.standoff.failed(tries.failures(), blockers);
        again = true;
        match after {
            Ok(()) => {}
            Err(AttemptError::Problem(problem)) => return Err(with_ways_out(problem)),
            Err(AttemptError::Database(error)) => return Err(failed(job, step, at, &error)),
        }
    }
}

/// What else can be done where a lock could not be had.
pub(in crate::execute) fn with_ways_out(problem: Problem) -> Problem {
    if problem.code() != "lock-not-had" {
        return problem;
    }
    let remedy = problem.remedy().unwrap_or_default().to_owned();
    problem.fix(format!(
        "{remedy}; --wait-for-blockers waits for it without holding anybody up, and --cancel-blockers ends it"
    ))
}

/// One try; tells what was passed over, and who blocked it.
async fn try_inside(
    hold: &mut Hold<'_>,
    job: &Job<'_>,
    step: &Step,
    number: u32,
) -> (Result<Vec<String>, Refusal>, Vec<Blocker>) {
    let timeout = patience_for(&job.patience, &step.statements, true);
    let (client, around) = hold.split();
    let insistence = Insistence::of(around, job, step, number);
    let started = Instant::now();
    let work = async {
        reach(Failpoint::StepBeginning).await;
        let mut transaction = retry::begin(client, around.lock, Some(timeout)).await?;
        reach(Failpoint::StepBegun).await;
        let mut passed_over = Vec::new();
        for (at, statement) in step.statements.iter().enumerate() {
            let refused = |error: tokio_postgres::Error| Refusal {
                at,
                why: error.into(),
            };
            if !job.lenient {
                transaction
                    .batch_execute(&statement.text)
                    .await
                    .map_err(refused)?;
            } else if !passes(&mut transaction, &statement.text).await.map_err(refused)? {
                passed_over.push(statement.summary.clone());
            }
            reach(Failpoint::StatementRan).await;
        }
        let record = finished(job, step, number, started);
        append(&transaction, around.engine, around.plan, &record).await?;
        reach(Failpoint::StepRecorded).await;
        transaction.commit().await?;
        reach(Failpoint::StepCommitted).await;
        Ok(passed_over)
    };
    let still_at_it = async || {
        around.events.event(&Event::StepRunning {
            phase: job.phase.clone(),
            summary: summary(step),
            elapsed: started.elapsed(),
            waits_for: job.standoff.now(),
        });
    };
    around
        .watch()
        .over_seeing(ticking(work, TELL_AFTER, still_at_it), async |blockers| {
            insistence.seen(blockers).await;
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
