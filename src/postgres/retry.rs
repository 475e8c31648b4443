//! Short lock waits, tried again: each attempt is fresh and begins outside the failed transaction, whoever stands in the way
//! is named, and a request to stop cancels what runs.

use std::fmt;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::{RunLock, Stop, describe_error, interrupted};
use crate::domain::{Exit, Problem};

/// How much of a query's text is shown.
const SHOWN_QUERY: usize = 80;

/// How often a waiting statement's blockers are looked up, and a cancel request is repeated.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// When the first look is: early, since a wait for a strong lock is short.
const FIRST_LOOK: Duration = Duration::from_millis(30);

/// How patient work is with locks that others hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockPatience {
    /// How long a statement that holds up others may wait for its lock before it steps back.
    pub timeout: Duration,
    /// How long a statement that holds up nobody while it waits may wait (VALIDATE, CREATE INDEX CONCURRENTLY).
    pub long_timeout: Duration,
    /// How many times it tries, at least once.
    pub attempts: u32,
    /// The pause after the first failed attempt; it doubles each time, up to `longest_pause`, with jitter.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for LockPatience {
    fn default() -> Self {
        Self {
            // Whoever comes after a statement that waits for a strong lock waits behind it: so long may a client be held up.
            timeout: Duration::from_millis(100),
            long_timeout: Duration::from_secs(120),
            // With the pauses, about three minutes and a half.
            attempts: 60,
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl LockPatience {
    /// The pause after failed attempt number `attempt` (from 1), between half and the whole of the doubled time.
    fn pause_after(&self, attempt: u32) -> Duration {
        let doubled = self.pause.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        let longest = doubled.min(self.longest_pause);
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Why an attempt failed.
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

/// Looks on from another session while a server process works.
#[derive(Clone, Copy)]
pub struct Watch<'w> {
    /// The session to look and to cancel from.
    pub monitor: &'w Client,
    /// The server process that works.
    pub worker: i32,
    /// Whether to stop.
    pub stop: &'w Stop,
}

impl Watch<'_> {
    /// Runs the work to its end, and tells who stood in its way when last looked at.
    ///
    /// Once somebody asks to stop, the statement at hand is cancelled, so that the work ends with an error soon.
    pub async fn over<T>(&self, work: impl Future<Output = T>) -> (T, Vec<Blocker>) {
        tokio::pin!(work);
        let mut blockers = Vec::new();
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + FIRST_LOOK, LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return (result, blockers),
                () = self.stop.requested(), if !self.stop.is_requested() => {}
                _ = tick.tick() => {}
            }
            let look = async {
                if self.stop.is_requested() {
                    // A session may cancel those of its own role. If that fails, the work ends in its own time.
                    let _ = self
                        .monitor
                        .execute("SELECT pg_cancel_backend($1)", &[&self.worker])
                        .await;
                    return Vec::new();
                }
                // If the monitor cannot tell: what was seen before still explains most.
                blockers_of(self.monitor, self.worker).await.unwrap_or_default()
            };
            tokio::select! {
                biased;
                result = &mut work => return (result, blockers),
                seen = look => if !seen.is_empty() { blockers = seen },
            }
            if self.stop.is_requested() {
                tokio::select! {
                    biased;
                    result = &mut work => return (result, blockers),
                    _ = tick.tick() => {}
                }
            }
        }
    }
}

/// Begins the transaction of one attempt: the run lock is proved to be held, and no lock is waited for longer than
/// `timeout` (`None`: as long as the session is set to).
///
/// # Errors
/// A lost lock (`run-lock-lost`); what the database says.
pub async fn begin<'c>(
    client: &'c mut Client,
    lock: &RunLock,
    timeout: Option<Duration>,
) -> Result<Transaction<'c>, AttemptError> {
    let transaction = client.transaction().await?;
    lock.assert_held(&transaction).await?;
    if let Some(timeout) = timeout {
        transaction
            .batch_execute(&format!("SET LOCAL lock_timeout = {}", milliseconds(timeout)))
            .await?;
    }
    Ok(transaction)
}

/// In the server's unit. 0 would mean to wait for ever.
pub fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis())
        .unwrap_or(i32::MAX.cast_unsigned())
        .clamp(1, i32::MAX.cast_unsigned())
}

/// An attempt that failed for want of a lock (or in a deadlock, or a conflict), and what follows.
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

impl FailedAttempt {
    /// Who stood in the way, in words.
    pub fn blockers(&self) -> Vec<String> {
        self.blockers.iter().map(Blocker::to_string).collect()
    }

    /// The problem if it was the last. `what` is what was tried: `adding the column`.
    fn exhausted(&self, what: &str) -> Problem {
        let attempts = match self.of {
            1 => "one attempt".to_owned(),
            n => format!("{n} attempts"),
        };
        let mut why = self.why.clone();
        for blocker in &self.blockers {
            why.push_str(&format!("\nblocked by {blocker}"));
        }
        let fix = match self.blockers.iter().find(|blocker| blocker.pid != 0) {
            Some(blocker) => format!(
                "wait until it has finished, or end it with SELECT pg_terminate_backend({}); then run the same command \
                 again",
                blocker.pid
            ),
            None => "run the same command again at a quieter time".to_owned(),
        };
        Problem::new(
            Exit::Failed,
            "lock-not-had",
            format!("{what}: the lock could not be had in {attempts}"),
        )
        .because(why)
        .fix(fix)
    }
}

/// Counts attempts at one piece of work, and decides what follows a failed one.
pub struct Tries<'t> {
    patience: &'t LockPatience,
    stop: &'t Stop,
    failed: u32,
}

impl<'t> Tries<'t> {
    /// None failed yet.
    pub fn new(patience: &'t LockPatience, stop: &'t Stop) -> Self {
        Self {
            patience,
            stop,
            failed: 0,
        }
    }

    /// Progress was made: what comes next has all its attempts before it.
    pub fn succeeded(&mut self) {
        self.failed = 0;
    }

    /// After a failed attempt at `what`, outside its transaction: waits where another is worth it, and tells `report`
    /// before.
    ///
    /// # Errors
    /// [`AttemptError::Database`] gives back the error where another attempt would not help. As a problem:
    /// `interrupted` where somebody asks to stop; `lock-not-had` (exit 5), naming who stood in the way, where the
    /// attempts are used up; what the attempt ended with by itself.
    pub async fn after(
        &mut self,
        error: AttemptError,
        blockers: Vec<Blocker>,
        what: &str,
        report: impl FnOnce(&FailedAttempt),
    ) -> Result<(), AttemptError> {
        let AttemptError::Database(error) = error else {
            return Err(error);
        };
        if self.stop.is_requested() {
            return Err(interrupted().into());
        }
        if !is_worth_another(&error) {
            return Err(error.into());
        }
        self.failed += 1;
        let of = self.patience.attempts.max(1);
        let pause = (self.failed < of).then(|| self.patience.pause_after(self.failed));
        let failed = FailedAttempt {
            attempt: self.failed,
            of,
            why: error
                .as_db_error()
                .map_or_else(|| error.to_string(), |server| server.message().to_owned()),
            pause,
            blockers,
        };
        let Some(pause) = pause else {
            return Err(failed.exhausted(what).into());
        };
        report(&failed);
        Ok(self.stop.sleep(pause).await?)
    }
}

/// Whether a new attempt can help: no lock in time, a deadlock, a conflict.
pub fn is_worth_another(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ]
        .contains(code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_never_nothing() {
        let patience = LockPatience::default();
        for attempt in 1..100 {
            let pause = patience.pause_after(attempt);
            assert!(pause >= patience.pause / 2 && pause <= patience.longest_pause);
        }
        assert!(patience.pause_after(20) >= patience.longest_pause / 2);
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
