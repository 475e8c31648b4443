//! Runs the statements of one migration, each transaction with its record in it.

use std::time::Duration;

use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::{Client, Transaction};

use super::MigrateEvent;
use super::progress::{self, Progress, Way};
use crate::domain::{Exit, Problem, SourceText};
use crate::execute::engine::Finding;
use crate::execute::failpoint::{Failpoint, reach};
use crate::execute::outside::{Earlier, NotRun, Outside, Said};
use crate::execute::step_locks::patience_for;
use crate::postgres::retry::{self, AttemptError, FailedAttempt, Tries, Watch};
use crate::postgres::{LockPatience, RunLock, Session, Stop, describe_error};
use crate::sql::{Script, Statement, Step, Transactional};

/// One side of one migration, ready to run.
pub(super) struct Job<'a> {
    pub name: &'a str,
    pub way: Way,
    pub script: &'a Script,
    pub source: &'a SourceText,
    /// What a person found out about a step that may or may not have taken effect.
    pub finding: Option<Finding>,
    /// How patient it is with locks.
    pub patience: &'a LockPatience,
    /// Asks it to stop.
    pub stop: &'a Stop,
    pub events: &'a (dyn Fn(&MigrateEvent<'_>) + Sync),
}

/// Writes the record of the migration in the transaction it is given.
pub(super) trait Record: Sync {
    async fn record(&self, transaction: &Transaction<'_>) -> Result<(), Problem>;
}

/// Runs the job to its end. With `Err`, what its message says was kept was kept.
pub(super) async fn run(
    job: &Job<'_>,
    session: &mut Session,
    lock: &RunLock,
    record: &impl Record,
) -> Result<(), Problem> {
    let begun = progress::load(session.client(), job.name, job.way).await?;
    if begun.is_none() && job.script.steps.iter().all(Step::transactional) {
        return in_one(job, session, lock, record).await;
    }
    let mut progress = begun.unwrap_or_default();
    job.check_unchanged(&progress)?;
    for (number, step) in job.script.steps.iter().enumerate().skip(progress.done.len()) {
        if let Some(first) = step.statements.first() {
            (job.events)(&MigrateEvent::Step {
                summary: &first.summary,
            });
        }
        match step.statements.as_slice() {
            [statement] if !step.transactional() => {
                outside(job, session, lock, statement, &mut progress).await?;
                progress.done.push(step.digest());
                progress.begun = false;
                reach(Failpoint::MigrationOutcomeSaving).await;
                progress::save(session.client(), job.name, job.way, &progress).await?;
                reach(Failpoint::MigrationOutcomeSaved).await;
            }
            _ => {
                progress.done.push(step.digest());
                let kept = (number > 0).then_some(number);
                inside(job, session, lock, &step.statements, kept, &Save(job, &progress)).await?;
            }
        }
    }
    inside(job, session, lock, &[], None, record).await
}

/// All of it in one transaction.
async fn in_one(
    job: &Job<'_>,
    session: &mut Session,
    lock: &RunLock,
    record: &impl Record,
) -> Result<(), Problem> {
    let statements: Vec<Statement> = job.script.statements().cloned().collect();
    inside(job, session, lock, &statements, None, record).await
}

struct Save<'a>(&'a Job<'a>, &'a Progress);

impl Record for Save<'_> {
    async fn record(&self, transaction: &Transaction<'_>) -> Result<(), Problem> {
        progress::save(transaction, self.0.name, self.0.way, self.1).await
    }
}

/// Why an attempt in a transaction failed, and at which statement.
struct Refusal {
    at: usize,
    why: AttemptError,
}

/// Runs statements and their record in one transaction; again, from outside of it, if a lock could not be had.
async fn inside(
    job: &Job<'_>,
    session: &mut Session,
    lock: &RunLock,
    statements: &[Statement],
    kept: Option<usize>,
    record: &impl Record,
) -> Result<(), Problem> {
    let mut tries = Tries::new(job.patience, job.stop);
    loop {
        let watch = Watch {
            monitor: lock.client(),
            worker: session.backend_pid(),
            stop: job.stop,
        };
        let timeout = patience_for(job.patience, statements, true);
        let attempt = attempt_inside(session.client_mut(), lock, statements, timeout, record);
        let (result, blockers) = watch.over(attempt).await;
        let Err(Refusal { at, why }) = result else {
            return Ok(());
        };
        let Some(statement) = statements.get(at) else {
            return Err(match why {
                AttemptError::Problem(problem) => problem,
                AttemptError::Database(error) => describe_error(&error, "committing a migration"),
            });
        };
        let report = |failed: &FailedAttempt| job.retrying(failed);
        match tries.after(why, blockers, &job.place(statement), report).await {
            Ok(()) => {}
            Err(AttemptError::Problem(problem)) if problem.exit() == Exit::Failed => {
                return Err(problem.at(job.source, job.span(statement), "this statement"));
            }
            Err(AttemptError::Problem(problem)) => return Err(problem),
            Err(AttemptError::Database(error)) => return Err(job.failed(statement, &error, kept)),
        }
    }
}

async fn attempt_inside(
    client: &mut Client,
    lock: &RunLock,
    statements: &[Statement],
    timeout: Duration,
    record: &impl Record,
) -> Result<(), Refusal> {
    // What goes wrong outside of any statement is told in words at once.
    let other = |doing: &'static str| {
        move |error: tokio_postgres::Error| Refusal {
            at: 0,
            why: describe_error(&error, doing).into(),
        }
    };
    let problem = |problem: Problem| Refusal {
        at: 0,
        why: problem.into(),
    };
    let transaction = retry::begin(client, lock, Some(timeout))
        .await
        .map_err(|why| Refusal { at: 0, why })?;
    reach(Failpoint::MigrationBegun).await;
    for (at, statement) in statements.iter().enumerate() {
        transaction
            .batch_execute(&statement.text)
            .await
            .map_err(|error| Refusal {
                at,
                why: error.into(),
            })?;
        reach(Failpoint::MigrationStatementRan).await;
    }
    // A migration may have put on another role, which need not be allowed to write down that it ran.
    transaction
        .batch_execute("RESET ROLE")
        .await
        .map_err(other("recording a migration"))?;
    record.record(&transaction).await.map_err(problem)?;
    reach(Failpoint::MigrationRecorded).await;
    transaction.commit().await.map_err(|error| Refusal {
        // Deferred constraints are checked only now.
        at: statements.len().saturating_sub(1),
        why: error.into(),
    })?;
    reach(Failpoint::MigrationCommitted).await;
    Ok(())
}

/// Runs a statement that cannot run in a transaction, and finds out first what an earlier attempt at it came to.
async fn outside(
    job: &Job<'_>,
    session: &Session,
    lock: &RunLock,
    statement: &Statement,
    progress: &mut Progress,
) -> Result<(), Problem> {
    let Transactional::No(probe) = &statement.transactional else {
        return Ok(());
    };
    let client = session.client();
    let tell = |said: Said<'_>| match said {
        Said::Note(text) => (job.events)(&MigrateEvent::Note(text)),
        Said::Retry(failed) => job.retrying(failed),
        Said::Running(elapsed) => (job.events)(&MigrateEvent::Working {
            what: statement.summary.clone(),
            done: (0, 0, ""),
            waits_for: Vec::new(),
            elapsed,
        }),
        Said::Index { progress, elapsed } => (job.events)(&MigrateEvent::Working {
            what: progress.stage.to_owned(),
            done: (progress.done, progress.total, progress.unit),
            waits_for: progress.waits_for.iter().map(ToString::to_string).collect(),
            elapsed,
        }),
    };
    let place = job.place(statement);
    let outside = Outside {
        client,
        watch: Watch {
            monitor: lock.client(),
            worker: session.backend_pid(),
            stop: job.stop,
        },
        patience: job.patience,
        statement,
        probe,
        finding: job.finding,
        name: &place,
        source: job.source,
        lenient: false,
        insistence: None,
        tell: &tell,
    };
    match outside.earlier(progress.begun).await? {
        Earlier::Done | Earlier::Found(Finding::Happened) => return Ok(()),
        Earlier::NotDone | Earlier::Found(Finding::DidNotHappen) => {}
    }
    lock.assert_held(client).await?;
    progress.begun = true;
    reach(Failpoint::MigrationIntentSaving).await;
    progress::save(client, job.name, job.way, progress).await?;
    reach(Failpoint::MigrationIntentSaved).await;
    let Err(NotRun { why, settled }) = outside.execute(&[]).await else {
        return Ok(());
    };
    if settled {
        progress.begun = false;
        reach(Failpoint::MigrationRefusalSaving).await;
        progress::save(client, job.name, job.way, progress).await?;
        reach(Failpoint::MigrationRefusalSaved).await;
    }
    Err(match why {
        AttemptError::Problem(problem) => problem,
        AttemptError::Database(error) => {
            let kept = Some(progress.done.len()).filter(|done| *done > 0);
            job.failed(statement, &error, kept)
        }
    })
}

impl Job<'_> {
    /// The steps that took effect must still be what the file says.
    fn check_unchanged(&self, progress: &Progress) -> Result<(), Problem> {
        let same = progress.done.len() <= self.script.steps.len()
            && progress
                .done
                .iter()
                .zip(&self.script.steps)
                .all(|(done, step)| *done == step.digest());
        if same {
            return Ok(());
        }
        Err(Problem::new(
            Exit::Blocked,
            "migration-edited-halfway",
            format!(
                "{} was edited after {} of its steps had taken effect",
                self.name,
                progress.done.len()
            ),
        )
        .because("an earlier attempt was interrupted, and the steps it ran are no longer those in the file")
        .fix("restore those steps as they were and run again; change what follows them only"))
    }

    fn retrying(&self, failed: &FailedAttempt) {
        (self.events)(&MigrateEvent::LockRetry {
            name: self.name,
            attempt: failed.attempt,
            attempts: failed.of,
            blockers: failed.blockers().join("; "),
        });
    }

    /// `migrations/0007_add_x.sql:3`
    fn place(&self, statement: &Statement) -> String {
        format!("{}:{}", self.source.name(), statement.line)
    }

    fn span(&self, statement: &Statement) -> std::ops::Range<usize> {
        statement.offset..statement.offset + statement.text.len()
    }

    /// A statement failed: file, line and statement, the server's words, and what became of the rest.
    fn failed(&self, statement: &Statement, error: &tokio_postgres::Error, kept: Option<usize>) -> Problem {
        let Some(server) = error.as_db_error() else {
            return describe_error(error, &format!("running {}", self.name))
                .fix("see that the database is up, then run again: what was committed is recorded");
        };
        let span = error_span(statement, server);
        let line = 1 + self
            .source
            .inner()
            .bytes()
            .take(span.start)
            .filter(|byte| *byte == b'\n')
            .count();
        let rest = match kept {
            None => format!("nothing of {} was kept", self.name),
            Some(steps) => format!(
                "{} cannot run in one transaction: its first {steps} step(s) took effect and are recorded",
                self.name
            ),
        };
        let mut why = vec![format!("in the statement: {}", statement.summary)];
        why.extend(server.detail().map(str::to_owned));
        if let Some(ErrorPosition::Internal { query, .. }) = server.position() {
            why.push(format!("while it ran: {query}"));
        }
        why.push(rest);
        let problem = Problem::new(
            Exit::Failed,
            "migration-failed",
            format!(
                "{}:{line}: {} (SQLSTATE {})",
                self.source.name(),
                server.message(),
                server.code().code()
            ),
        )
        .because(why.join("\n"))
        .at(self.source, span, server.message());
        match server.hint() {
            Some(hint) => problem.fix(hint),
            None => problem,
        }
    }
}

/// Where in the file the server found the error: the word it points at, else the whole statement.
fn error_span(statement: &Statement, server: &DbError) -> std::ops::Range<usize> {
    let whole = statement.offset..statement.offset + statement.text.len();
    let Some(ErrorPosition::Original(position)) = server.position() else {
        return whole;
    };
    // The server counts characters from 1.
    let characters = usize::try_from(position.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some((at, _)) = statement.text.char_indices().nth(characters) else {
        return whole;
    };
    let rest = statement.text.get(at..).unwrap_or_default();
    let word = rest
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '"')))
        .unwrap_or(rest.len());
    let length = word.max(rest.chars().next().map_or(0, char::len_utf8));
    whole.start + at..whole.start + at + length
}
