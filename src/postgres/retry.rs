//! Short lock waits, tried again: each attempt is fresh, and whoever stands in the way is named.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::{Session, describe_error};
use crate::domain::{Exit, Problem};

/// How much of a query's text is shown.
const SHOWN_QUERY: usize = 80;

/// How often to look who blocks an attempt.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often and how patiently to try.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The number of attempts, at least one.
    pub attempts: u32,
    /// How long an attempt waits for a lock; everybody who comes after it waits as long.
    pub lock_timeout: Duration,
    /// The pause after the first failed attempt; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 10,
            lock_timeout: Duration::from_secs(2),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// The pause after this attempt (from 1), between half and the whole of the doubled time.
    fn pause(&self, attempt: u32) -> Duration {
        let doubled = self
            .first_pause
            .saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX))
            .min(self.longest_pause);
        doubled.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Why an attempt ended.
#[derive(Debug)]
pub enum AttemptError {
    /// The database's error; some are worth another attempt.
    Database(tokio_postgres::Error),
    /// Something that another attempt does not change.
    Problem(Problem),
}

impl From<tokio_postgres::Error> for AttemptError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Problem> for AttemptError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// A session that stood in the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocker {
    /// Its server process; 0 stands for a prepared transaction.
    pub pid: i32,
    /// Its application name, if it has one.
    pub application: Option<String>,
    /// Its role.
    pub user: Option<String>,
    /// `active`, `idle in transaction` …; unknown where the role may not see it.
    pub state: Option<String>,
    /// How long its transaction has been open.
    pub transaction_age: Option<Duration>,
    /// The beginning of its current or last query.
    pub query: Option<String>,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("a prepared transaction (see pg_prepared_xacts)");
        }
        write!(f, "process {}", self.pid)?;
        if let Some(application) = &self.application {
            write!(f, " `{application}`")?;
        }
        if let Some(user) = &self.user {
            write!(f, " as {user}")?;
        }
        if let Some(state) = &self.state {
            write!(f, ", {state}")?;
        }
        if let Some(age) = self.transaction_age {
            write!(f, ", transaction open for {:.1} s", age.as_secs_f64())?;
        }
        if let Some(query) = &self.query {
            write!(f, ": {query}")?;
        }
        Ok(())
    }
}

/// An attempt that failed and is followed by another, or was the last.
#[derive(Clone, Debug)]
pub struct FailedAttempt {
    /// Which one, from 1.
    pub attempt: u32,
    /// Of how many.
    pub of: u32,
    /// What the server said.
    pub why: String,
    /// The pause before the next; `None` after the last.
    pub pause: Option<Duration>,
    /// Who stood in the way when last looked.
    pub blockers: Vec<Blocker>,
}

/// The sessions that a server process waits for, as another session sees them.
///
/// # Errors
/// The database cannot be asked.
pub async fn blockers_of(monitor: &Client, pid: i32) -> Result<Vec<Blocker>, Problem> {
    let rows = monitor
        .query(
            "SELECT b.pid, nullif(a.application_name, ''), a.usename::text, a.state,
                    extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
                    left(btrim(regexp_replace(a.query, '\\s+', ' ', 'g')), 200)
               FROM (SELECT DISTINCT unnest(pg_blocking_pids($1))) b(pid)
               LEFT JOIN pg_stat_activity a ON a.pid = b.pid
              ORDER BY a.xact_start NULLS LAST, b.pid",
            &[&pid],
        )
        .await
        .map_err(|error| describe_error(&error, "looking who holds the lock"))?;
    Ok(rows
        .iter()
        .map(|row| Blocker {
            pid: row.get(0),
            application: row.get(1),
            user: row.get(2),
            state: row.get(3),
            transaction_age: row
                .get::<_, Option<f64>>(4)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()),
            query: row
                .get::<_, Option<&str>>(5)
                .filter(|query| !query.is_empty() && *query != "<insufficient privilege>")
                .map(shortened),
        })
        .collect())
}

fn shortened(query: &str) -> String {
    match query.char_indices().nth(SHOWN_QUERY) {
        Some((end, _)) => format!("{}…", &query[..end]),
        None => query.to_owned(),
    }
}

/// Runs an attempt in a transaction of its own with the policy's lock timeout and commits it. Where the lock is not to be
/// had, on a deadlock and on a serialization failure it is rolled back and tried again after a pause. `monitor` is
/// another session that looks who stands in the way; `report` hears of every failed attempt.
///
/// # Errors
/// `lock-not-available` when the attempts are used up; anything else that the attempt ends with.
pub async fn in_transaction<T>(
    session: &mut Session,
    monitor: Option<&Client>,
    policy: &RetryPolicy,
    doing: &str,
    mut attempt: impl AsyncFnMut(&Transaction<'_>) -> Result<T, AttemptError>,
    report: impl FnMut(&FailedAttempt),
) -> Result<T, Problem> {
    let timeout = milliseconds(policy.lock_timeout);
    let run = async |session: &mut Session| {
        let transaction = session.client_mut().transaction().await?;
        transaction
            .batch_execute(&format!("SET LOCAL lock_timeout = {timeout}"))
            .await?;
        match attempt(&transaction).await {
            Ok(value) => {
                transaction.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // A rollback that fails leaves a session that is gone, which the next attempt will find.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    };
    repeatedly(session, monitor, policy, doing, run, report).await
}

/// The same for what cannot run in a transaction: the lock timeout is set on the session for the time of the attempt.
/// What a failed attempt leaves behind, the next one must clear away itself.
///
/// # Errors
/// As [`in_transaction`].
pub async fn outside_transaction<T>(
    session: &mut Session,
    monitor: Option<&Client>,
    policy: &RetryPolicy,
    doing: &str,
    mut attempt: impl AsyncFnMut(&Client) -> Result<T, AttemptError>,
    report: impl FnMut(&FailedAttempt),
) -> Result<T, Problem> {
    let timeout = milliseconds(policy.lock_timeout);
    let run = async |session: &mut Session| {
        let client = session.client();
        client
            .batch_execute(&format!("SET lock_timeout = {timeout}"))
            .await?;
        let outcome = attempt(client).await;
        let _ = client.batch_execute("SET lock_timeout = 0").await;
        outcome
    };
    repeatedly(session, monitor, policy, doing, run, report).await
}

/// In the server's unit. 0 would mean to wait for ever.
fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis())
        .unwrap_or(i32::MAX.cast_unsigned())
        .clamp(1, i32::MAX.cast_unsigned())
}

async fn repeatedly<T>(
    session: &mut Session,
    monitor: Option<&Client>,
    policy: &RetryPolicy,
    doing: &str,
    mut run: impl AsyncFnMut(&mut Session) -> Result<T, AttemptError>,
    mut report: impl FnMut(&FailedAttempt),
) -> Result<T, Problem> {
    let pid = session.backend_pid();
    let of = policy.attempts.max(1);
    let mut attempt = 1;
    loop {
        let (outcome, blockers) = watched(run(session), monitor, pid).await;
        let error = match outcome {
            Ok(value) => return Ok(value),
            Err(AttemptError::Problem(problem)) => return Err(problem),
            Err(AttemptError::Database(error)) => error,
        };
        if !is_worth_another(&error) {
            return Err(describe_error(&error, doing));
        }
        let pause = (attempt < of).then(|| policy.pause(attempt));
        let failed = FailedAttempt {
            attempt,
            of,
            why: error
                .as_db_error()
                .map_or_else(|| error.to_string(), |server| server.message().to_owned()),
            pause,
            blockers,
        };
        report(&failed);
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(exhausted(&failed, doing)),
        }
        attempt += 1;
    }
}

fn is_worth_another(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ]
        .contains(code)
    })
}

/// Waits for the work; meanwhile looks who stands in its way, and remembers the last who did.
async fn watched<T>(work: impl Future<Output = T>, monitor: Option<&Client>, pid: i32) -> (T, Vec<Blocker>) {
    let mut last = Vec::new();
    let mut work = std::pin::pin!(work);
    let outcome = loop {
        let Some(monitor) = monitor else {
            break work.await;
        };
        let look = async {
            tokio::time::sleep(LOOK_EVERY).await;
            blockers_of(monitor, pid).await
        };
        tokio::select! {
            biased;
            outcome = &mut work => break outcome,
            seen = look => match seen {
                Ok(seen) if !seen.is_empty() => last = seen,
                // Nobody, or the monitor cannot tell: what was seen before still explains most.
                _ => {}
            },
        }
    };
    (outcome, last)
}

fn exhausted(failed: &FailedAttempt, doing: &str) -> Problem {
    let attempts = match failed.of {
        1 => "one attempt".to_owned(),
        n => format!("{n} attempts"),
    };
    let mut why = failed.why.clone();
    for blocker in &failed.blockers {
        why.push_str(&format!("\nblocked by {blocker}"));
    }
    let fix = match failed.blockers.first() {
        Some(blocker) if blocker.pid != 0 => format!(
            "wait until it has finished, or end it with SELECT pg_terminate_backend({}), then run again",
            blocker.pid
        ),
        _ => "run again at a quieter time".to_owned(),
    };
    Problem::new(
        Exit::Failed,
        "lock-not-available",
        format!("gave up {doing} after {attempts}"),
    )
    .because(why)
    .fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_never_nothing() {
        let policy = RetryPolicy::default();
        for attempt in 1..100 {
            let pause = policy.pause(attempt);
            assert!(pause >= policy.first_pause / 2 && pause <= policy.longest_pause);
        }
        assert!(policy.pause(20) >= policy.longest_pause / 2);
    }

    #[test]
    fn a_blocker_is_described_in_one_line() {
        let blocker = Blocker {
            pid: 42,
            application: Some("report".to_owned()),
            user: Some("ada".to_owned()),
            state: Some("idle in transaction".to_owned()),
            transaction_age: Some(Duration::from_millis(12_340)),
            query: Some(shortened(&"select ü ".repeat(30))),
        };
        let text = blocker.to_string();
        assert!(text.starts_with(
            "process 42 `report` as ada, idle in transaction, transaction open for 12.3 s: select ü"
        ));
        assert!(text.ends_with('…'));
    }
}
