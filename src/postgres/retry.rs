//! Short lock waits, tried again: each attempt is fresh and begins outside the failed transaction, whoever stands in the way
//! is named, and a request to stop cancels what runs.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

pub use super::blockers::{Blocker, blockers_of};
use super::{RunLock, Stop, interrupted};
use crate::domain::{Exit, Problem};

/// How often a waiting statement's blockers are looked up, and a cancel request is repeated.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// When the first look is: early, since a wait for a strong lock is short.
const FIRST_LOOK: Duration = Duration::from_millis(30);

/// How patient work is with locks that others hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockPatience {
    /// How long a statement that holds up others may wait for its lock before it steps back.
    pub timeout: Duration,
    /// How long a statement that holds up nobody while it waits may wait (VALIDATE).
    pub long_timeout: Duration,
    /// How long a concurrent index build may wait. It waits most of all at its end, for every transaction that began before,
    /// and to step back then would throw away what may have taken hours to build.
    pub build_timeout: Duration,
    /// How many times it tries, at least once.
    pub attempts: u32,
    /// The pause after the first failed attempt; it doubles each time, up to `longest_pause`, with jitter.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// The attempts do not run out before this time has passed since the first one failed.
    pub at_least: Duration,
}

impl Default for LockPatience {
    fn default() -> Self {
        Self {
            // Whoever comes after a statement that waits for a strong lock waits behind it: so long may a client be held up.
            timeout: Duration::from_millis(100),
            long_timeout: Duration::from_secs(120),
            // A dump of everything, or a nightly report, is over by then.
            build_timeout: Duration::from_secs(24 * 60 * 60),
            // With the pauses, about three minutes and a half.
            attempts: 60,
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
            at_least: Duration::ZERO,
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
        self.over_seeing(work, async |_| {}).await
    }

    /// As [`Watch::over`], and tells `seen` at each look who stands in the way just then (nobody: an empty list). If the work
    /// ends first, what `seen` is at is dropped.
    pub async fn over_seeing<T>(
        &self,
        work: impl Future<Output = T>,
        mut seen: impl AsyncFnMut(&[Blocker]),
    ) -> (T, Vec<Blocker>) {
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
                let found = blockers_of(self.monitor, self.worker).await.unwrap_or_default();
                seen(&found).await;
                found
            };
            tokio::select! {
                biased;
                result = &mut work => return (result, blockers),
                found = look => if !found.is_empty() { blockers = found },
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
        let attempts = match self.attempt {
            1 => "in one attempt".to_owned(),
            n => format!("in {n} attempts"),
        };
        lock_not_had(what, &attempts, &self.why, &self.blockers)
    }
}

/// A lock that could not be had: not for `what`, not with all the patience there was (`in 60 attempts`), and why.
pub fn lock_not_had(what: &str, patience: &str, why: &str, blockers: &[Blocker]) -> Problem {
    let mut why = why.to_owned();
    for blocker in blockers {
        why.push_str(&format!("\nblocked by {blocker}"));
    }
    let fix = match blockers.iter().find(|blocker| blocker.pid != 0) {
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
        format!("{what}: the lock could not be had {patience}"),
    )
    .because(why)
    .fix(fix)
}

/// Counts attempts at one piece of work, and decides what follows a failed one.
pub struct Tries<'t> {
    patience: &'t LockPatience,
    stop: &'t Stop,
    failed: Failures,
}

/// How often work failed since it last got on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failures {
    count: u32,
    since: Option<Instant>,
}

impl<'t> Tries<'t> {
    /// None failed yet.
    pub fn new(patience: &'t LockPatience, stop: &'t Stop) -> Self {
        Self {
            patience,
            stop,
            failed: Failures::default(),
        }
    }

    /// Goes on counting where an earlier round of attempts at the same work left off.
    #[must_use]
    pub fn after_failures(self, failed: Failures) -> Self {
        Self { failed, ..self }
    }

    /// What has failed so far.
    pub fn failures(&self) -> Failures {
        self.failed
    }

    /// Progress was made: what comes next has all its attempts before it.
    pub fn succeeded(&mut self) {
        self.failed = Failures::default();
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
        // Who asks to stop has whatever statement is at work cancelled, also one whose error is told in words already.
        let is_the_servers = match &error {
            AttemptError::Database(_) => true,
            AttemptError::Problem(problem) => problem.code() == "database-error",
        };
        if is_the_servers && self.stop.is_requested() {
            return Err(interrupted().into());
        }
        let AttemptError::Database(error) = error else {
            return Err(error);
        };
        if !is_worth_another(&error) {
            return Err(error.into());
        }
        let since = *self.failed.since.get_or_insert_with(Instant::now);
        self.failed.count += 1;
        let count = self.failed.count;
        let of = self.patience.attempts.max(1);
        let goes_on = count < of || since.elapsed() < self.patience.at_least;
        let pause = goes_on.then(|| self.patience.pause_after(count));
        let failed = FailedAttempt {
            attempt: count,
            of: of.max(count),
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

    #[tokio::test]
    async fn what_is_cancelled_on_request_is_an_interruption_however_it_is_told() {
        let patience = LockPatience::default();
        let ended = async |stop: &Stop, code: &'static str| {
            let problem = Problem::new(Exit::Failed, code, "canceling statement due to user request");
            match Tries::new(&patience, stop)
                .after(problem.into(), Vec::new(), "it", |_| {})
                .await
            {
                Err(AttemptError::Problem(problem)) => problem.code().to_owned(),
                other => panic!("{other:?}"),
            }
        };
        let stop = Stop::new();
        assert_eq!(ended(&stop, "database-error").await, "database-error");
        stop.request();
        assert_eq!(ended(&stop, "database-error").await, "interrupted");
        assert_eq!(ended(&stop, "run-lock-lost").await, "run-lock-lost");
    }
}
