//! Runs a statement that cannot run in a transaction, so that its effect and its record cannot commit together.

use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::crash_probe::{Leftover, ProbeAnswer, remove_leftover, settled};
use super::engine::{Finding, Hold, interrupted};
use super::guard::{Guard, is_so_already, may_be_retried};
use super::script::{Job, failed, finished, lock_timeout, retry_later};
use crate::domain::{Exit, Problem, TableName};
use crate::ledger::Record;
use crate::postgres::describe_error;
use crate::sql::{CrashProbe, Statement, Step, Transactional};

/// How long a statement that an earlier, dead run started is waited for.
const PREDECESSOR: Duration = Duration::from_secs(600);

/// Runs the step: its intent first, then the statement, then its record.
pub(in crate::execute) async fn run(
    hold: &mut Hold<'_>,
    job: &Job<'_>,
    step: &Step,
    number: u32,
    attempt: &Attempt,
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
    hold.lock.assert_held(hold.work.client()).await?;
    if already_done(hold, job, statement, probe, attempt.in_doubt.contains(&number)).await? {
        return hold.append(&[finished(job, step, number, started)]).await;
    }
    hold.append(&[Record::StepStarted {
        phase: job.phase.clone(),
        direction: job.direction,
        step: number,
        digest: step.digest(),
    }])
    .await?;
    until_it_has_its_locks(hold, job, step, statement, probe).await?;
    hold.append(&[finished(job, step, number, started)]).await
}

/// Finds out whether an earlier attempt got through, and clears away what it left behind.
async fn already_done(
    hold: &Hold<'_>,
    job: &Job<'_>,
    statement: &Statement,
    probe: &CrashProbe,
    in_doubt: bool,
) -> Result<bool, Problem> {
    match ask(hold, job, probe).await? {
        ProbeAnswer::Done if in_doubt => {
            hold.note(
                job.phase,
                format!("found done after an interruption: {}", statement.summary),
            );
            Ok(true)
        }
        ProbeAnswer::Leftover(leftover) => {
            hold.note(
                job.phase,
                format!("clearing away what an earlier attempt left: {leftover}"),
            );
            remove_leftover(hold.work.client(), &leftover).await?;
            // Finishing a detachment is what the statement was for; an index has to be built again.
            Ok(in_doubt && ask(hold, job, probe).await? == ProbeAnswer::Done)
        }
        ProbeAnswer::Unknown if in_doubt => match hold.finding {
            Some(Finding::Happened) => Ok(true),
            Some(Finding::DidNotHappen) => Ok(false),
            None => Err(indeterminate(job, statement)),
        },
        _ => Ok(false),
    }
}

async fn until_it_has_its_locks(
    hold: &mut Hold<'_>,
    job: &Job<'_>,
    step: &Step,
    statement: &Statement,
    probe: &CrashProbe,
) -> Result<(), Problem> {
    let timeout = lock_timeout(hold, step).as_millis();
    let mut tried = 0;
    loop {
        tried += 1;
        let client = hold.work.client();
        client
            .batch_execute(&format!("SET lock_timeout = {timeout}"))
            .await
            .map_err(|error| describe_error(&error, "preparing a statement"))?;
        let guard = Guard {
            monitor: hold.monitor.client(),
            worker: hold.work.backend_pid(),
            stop: &hold.engine.stop,
        };
        let (result, blockers) = guard.over(client.batch_execute(&statement.text)).await;
        let Err(error) = result else {
            // `IF NOT EXISTS` reports success on an index that exists but cannot be used.
            return match ask(hold, job, probe).await? {
                ProbeAnswer::Leftover(Leftover::InvalidIndex(index)) => Err(unusable(job, &index)),
                _ => Ok(()),
            };
        };
        if job.lenient && is_so_already(&error) {
            hold.note(
                job.phase,
                format!("passed over, since it is so already: {}", statement.summary),
            );
            return Ok(());
        }
        if error.as_db_error().is_some() {
            // A failed build leaves an unusable index, which costs every write until it is dropped.
            if let Ok(ProbeAnswer::Leftover(leftover)) = ask(hold, job, probe).await
                && let Err(problem) = remove_leftover(client, &leftover).await
            {
                hold.note(job.phase, format!("{problem}; the next run tries again"));
            }
        }
        if hold.engine.stop.is_requested() {
            return Err(interrupted());
        }
        if !may_be_retried(&error) {
            return Err(failed(job, step, 0, &error));
        }
        retry_later(hold, job, step, tried, blockers).await?;
    }
}

/// What the database says of the statement, once no server process is at it any more.
async fn ask(hold: &Hold<'_>, job: &Job<'_>, probe: &CrashProbe) -> Result<ProbeAnswer, Problem> {
    let waiting = |pid| {
        hold.note(
            job.phase,
            format!("waiting for server process {pid}, which is still at it for an earlier run"),
        );
    };
    tokio::select! {
        answer = settled(hold.work.client(), probe, PREDECESSOR, waiting) => answer,
        () = hold.engine.stop.requested(), if !hold.engine.stop.is_requested() => Err(interrupted()),
    }
}

fn indeterminate(job: &Job<'_>, statement: &Statement) -> Problem {
    Problem::new(
        Exit::Failed,
        "indeterminate",
        format!(
            "{}: nobody knows whether this took effect: {}",
            job.phase, statement.summary
        ),
    )
    .because(
        "an earlier run ended while it ran, it cannot run in a transaction, and the database cannot tell",
    )
    .fix("look whether it took effect; then run again with --it-happened or with --it-did-not-happen")
    .at(
        job.source,
        statement.offset..statement.offset + statement.text.len(),
        "this statement",
    )
}

fn unusable(job: &Job<'_>, index: &TableName) -> Problem {
    Problem::new(
        Exit::Failed,
        "index-unusable",
        format!("{}: the index {index} exists but is not usable", job.phase),
    )
    .because("an earlier build of it failed, and IF NOT EXISTS keeps such an index")
    .fix(format!(
        "DROP INDEX CONCURRENTLY {index}; then run the same command again"
    ))
}
