//! Runs the statements of one migration, each transaction with its record in it.

use std::time::Duration;

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};
use tokio_postgres::{Client, GenericClient, Transaction};

use super::MigrateEvent;
use super::lock::RunnerLock;
use super::progress::{self, Progress, Way};
use super::runner::Finding;
use super::watch::{Watched, watch};
use crate::domain::{Exit, Problem, SourceText};
use crate::execute::crash_probe::{self, ProbeAnswer};
use crate::postgres::retry::Blocker;
use crate::postgres::{Session, describe_error};
use crate::sql::{CrashProbe, LockMode, Script, Statement, Step, Transactional};

/// How often a transaction that could not get its locks is tried.
const ATTEMPTS: u32 = 8;

/// How long a transaction waits for a lock. While it waits, everybody else queues up behind it.
const LOCK_TIMEOUT: &str = "3s";

/// How long a statement waits that lets others pass while it does.
const PATIENT_LOCK_TIMEOUT: &str = "10min";

/// How long a statement that an earlier attempt left running is waited for.
const STILL_RUNNING: Duration = Duration::from_secs(600);

/// One side of one migration, ready to run.
pub(super) struct Job<'a> {
    pub name: &'a str,
    pub way: Way,
    pub script: &'a Script,
    pub source: &'a SourceText,
    /// What a person found out about a step that may or may not have taken effect.
    pub finding: Option<Finding>,
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
    lock: &RunnerLock,
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
                progress::save(session.client(), job.name, job.way, &progress).await?;
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
    lock: &RunnerLock,
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

/// Why an attempt in a transaction ended.
enum Ended {
    /// A statement failed.
    Statement(usize, tokio_postgres::Error, Vec<Blocker>),
    /// Something else, already in words.
    Other(Problem),
}

/// Runs statements and their record in one transaction; again, from outside of it, if a lock could not be had.
async fn inside(
    job: &Job<'_>,
    session: &mut Session,
    lock: &RunnerLock,
    statements: &[Statement],
    kept: Option<usize>,
    record: &impl Record,
) -> Result<(), Problem> {
    let mut attempt = 1;
    loop {
        let pid = session.backend_pid();
        let ended = match attempt_inside(session.client_mut(), pid, lock, statements, record).await {
            Ok(()) => return Ok(()),
            Err(ended) => ended,
        };
        let (at, error, blockers) = match ended {
            Ended::Other(problem) => return Err(problem),
            Ended::Statement(at, error, blockers) => (at, error, blockers),
        };
        let Some(statement) = statements.get(at) else {
            return Err(describe_error(&error, "committing a migration"));
        };
        if !worth_another_try(&error) {
            return Err(job.failed(statement, &error, kept));
        }
        if attempt >= ATTEMPTS {
            return Err(job.locked_out(statement, &error, &blockers));
        }
        (job.events)(&MigrateEvent::LockRetry {
            name: job.name,
            attempt,
            attempts: ATTEMPTS,
            blockers: words(&blockers),
        });
        pause(attempt).await;
        attempt += 1;
    }
}

async fn attempt_inside(
    client: &mut Client,
    pid: i32,
    lock: &RunnerLock,
    statements: &[Statement],
    record: &impl Record,
) -> Result<(), Ended> {
    let other =
        |doing: &'static str| move |error: tokio_postgres::Error| Ended::Other(describe_error(&error, doing));
    let transaction = client
        .transaction()
        .await
        .map_err(other("beginning a migration"))?;
    lock.assert_held(&transaction).await.map_err(Ended::Other)?;
    transaction
        .batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        .await
        .map_err(other("preparing a migration"))?;
    for (at, statement) in statements.iter().enumerate() {
        let Watched {
            result,
            blockers,
            interrupted,
        } = watch(lock.monitor(), pid, transaction.batch_execute(&statement.text)).await;
        if interrupted {
            return Err(Ended::Other(stopped()));
        }
        result.map_err(|error| Ended::Statement(at, error, blockers))?;
    }
    // A migration may have put on another role, which need not be allowed to write down that it ran.
    transaction
        .batch_execute("RESET ROLE")
        .await
        .map_err(other("recording a migration"))?;
    record.record(&transaction).await.map_err(Ended::Other)?;
    transaction
        .commit()
        .await
        // Deferred constraints are checked only now.
        .map_err(|error| Ended::Statement(statements.len().saturating_sub(1), error, Vec::new()))
}

/// Runs a statement that cannot run in a transaction, and finds out first what an earlier attempt at it came to.
async fn outside(
    job: &Job<'_>,
    session: &Session,
    lock: &RunnerLock,
    statement: &Statement,
    progress: &mut Progress,
) -> Result<(), Problem> {
    let Transactional::No(probe) = &statement.transactional else {
        return Ok(());
    };
    let client = session.client();
    loop {
        let waiting = |pid: i32| {
            (job.events)(&MigrateEvent::Note(format!(
                "waiting for server process {pid}, which is still busy with: {}",
                statement.summary
            )));
        };
        let answer = crash_probe::settled(client, probe, STILL_RUNNING, waiting).await?;
        match (answer, progress.begun) {
            (ProbeAnswer::Leftover(leftover), _) => {
                (job.events)(&MigrateEvent::Note(format!("clearing away {leftover}")));
                crash_probe::remove_leftover(client, &leftover).await?;
            }
            (ProbeAnswer::Done, true) => {
                (job.events)(&MigrateEvent::Note(format!(
                    "found done after an interruption: {}",
                    statement.summary
                )));
                return Ok(());
            }
            (ProbeAnswer::Unknown, true) => match job.finding {
                Some(Finding::Happened) => return Ok(()),
                Some(Finding::DidNotHappen) => break,
                None => return Err(job.indeterminate(statement)),
            },
            _ => break,
        }
    }
    lock.assert_held(client).await?;
    progress.begun = true;
    progress::save(client, job.name, job.way, progress).await?;
    let blocks_others = statement
        .locks
        .iter()
        .any(|lock| lock.mode > LockMode::ShareUpdateExclusive);
    let timeout = if blocks_others {
        LOCK_TIMEOUT
    } else {
        PATIENT_LOCK_TIMEOUT
    };
    client
        .batch_execute(&format!("SET lock_timeout = '{timeout}'"))
        .await
        .map_err(|error| describe_error(&error, "preparing a migration"))?;
    let mut attempt = 1;
    loop {
        let watched = watch(
            lock.monitor(),
            session.backend_pid(),
            client.batch_execute(&statement.text),
        )
        .await;
        let Err(error) = watched.result else {
            return job.check_built(client, statement, probe).await;
        };
        if error.as_db_error().is_some() {
            // The server said that it failed: it did not take effect, but may have left something unusable behind.
            if let Ok(ProbeAnswer::Leftover(leftover)) = crash_probe::probe(client, probe).await {
                crash_probe::remove_leftover(client, &leftover).await?;
            }
            progress.begun = false;
            progress::save(client, job.name, job.way, progress).await?;
        }
        if watched.interrupted {
            return Err(stopped());
        }
        let kept = Some(progress.done.len()).filter(|done| *done > 0);
        if !worth_another_try(&error) {
            return Err(job.failed(statement, &error, kept));
        }
        if attempt >= ATTEMPTS {
            return Err(job.locked_out(statement, &error, &watched.blockers));
        }
        (job.events)(&MigrateEvent::LockRetry {
            name: job.name,
            attempt,
            attempts: ATTEMPTS,
            blockers: words(&watched.blockers),
        });
        pause(attempt).await;
        attempt += 1;
        progress.begun = true;
        progress::save(client, job.name, job.way, progress).await?;
    }
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

    async fn check_built(
        &self,
        client: &impl GenericClient,
        statement: &Statement,
        probe: &CrashProbe,
    ) -> Result<(), Problem> {
        let CrashProbe::IndexBuilt { index } = probe else {
            return Ok(());
        };
        match crash_probe::probe(client, probe).await? {
            ProbeAnswer::Done => Ok(()),
            _ => Err(Problem::new(
                Exit::Failed,
                "index-unusable",
                format!("{}: the index {index} is not usable", self.name),
            )
            .because("the statement reported success, but the catalog knows no valid index of this name")
            .at(self.source, self.span(statement), "this statement")),
        }
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

    fn locked_out(
        &self,
        statement: &Statement,
        error: &tokio_postgres::Error,
        blockers: &[Blocker],
    ) -> Problem {
        let who = if blockers.is_empty() {
            format!("the server says: {error}")
        } else {
            format!("blocked by {}", words(blockers))
        };
        Problem::new(
            Exit::Failed,
            "migration-locked-out",
            format!(
                "{}:{}: could not get its locks in {ATTEMPTS} attempts",
                self.source.name(),
                statement.line
            ),
        )
        .because(format!("{who}\nit was rolled back, so nobody waits behind it"))
        .fix("run again when that transaction is over, or end it with SELECT pg_terminate_backend(pid)")
        .at(self.source, self.span(statement), "this statement")
    }

    fn indeterminate(&self, statement: &Statement) -> Problem {
        Problem::new(
            Exit::Failed,
            "indeterminate",
            format!(
                "{}:{}: nobody knows whether this statement took effect",
                self.source.name(),
                statement.line
            ),
        )
        .because(
            "an earlier run ended while it ran, it cannot run in a transaction, and the database cannot tell",
        )
        .fix("look whether it did; then run again with --it-happened or with --it-did-not-happen")
        .at(self.source, self.span(statement), "this statement")
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

/// Whether the same statement may succeed in a new transaction: no lock in time, a deadlock, a conflict.
fn worth_another_try(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ]
        .contains(code)
    })
}

fn words(blockers: &[Blocker]) -> String {
    let words: Vec<String> = blockers.iter().map(Blocker::to_string).collect();
    words.join("; ")
}

/// Waits before the next attempt: longer each time, and never in step with others.
async fn pause(attempt: u32) {
    let most = 500_u64.saturating_mul(1 << attempt.min(4));
    tokio::time::sleep(Duration::from_millis(most / 2 + fastrand::u64(0..=most / 2))).await;
}

fn stopped() -> Problem {
    Problem::new(Exit::Interrupted, "interrupted", "stopped on request")
        .because("the statement at hand was cancelled; what was committed before it is recorded")
}
