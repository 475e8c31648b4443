//! Runs a statement that cannot run in a transaction, so that its effect and its record cannot commit together.
//!
//! Before it runs, what became of an earlier attempt is found out; while it runs, it is watched, and tried again where its
//! lock is not to be had; and what a failed attempt left behind is cleared away.

use std::time::{Duration, Instant};

use super::crash_probe::{Leftover, ProbeAnswer, remove_leftover, settled};
use super::engine::Finding;
use super::failpoint::{Failpoint, reach};
use super::script::is_so_already;
use super::standoff::Insistence;
use super::step_locks::patience_for;
use super::ticking::{TELL_AFTER, ticking};
use crate::domain::{Exit, Problem, SourceText, TableName};
use crate::postgres::blockers::{Blocker, Wanted};
use crate::postgres::retry::{AttemptError, FailedAttempt, Tries, Watch, milliseconds};
use crate::postgres::{IndexProgress, LockPatience, describe_error, index_progress, interrupted};
use crate::sql::{CrashProbe, Statement};

/// How long a statement that an earlier, dead run started is waited for.
pub(in crate::execute) const PREDECESSOR: Duration = Duration::from_secs(600);
/// How long the clearing away may wait for its lock once somebody asked to stop.
const WHEN_STOPPED: Duration = Duration::from_secs(2);
/// How often it is looked how far an index is.
const PROGRESS_EVERY: Duration = Duration::from_millis(300);

/// Something to tell those who watch.
pub(in crate::execute) enum Said<'s> {
    /// In one sentence.
    Note(String),
    /// The lock was not free; it is tried again.
    Retry(&'s FailedAttempt),
    /// It has run for this time, and nothing tells how far it is.
    Running(Duration),
    /// How far the index that it builds is.
    Index {
        /// As the server tells.
        progress: &'s IndexProgress,
        /// How long it has run.
        elapsed: Duration,
    },
}

/// A statement that cannot run in a transaction, with what it takes to run it.
pub(in crate::execute) struct Outside<'o> {
    /// The session to run it on.
    pub client: &'o tokio_postgres::Client,
    /// The watch over that session.
    pub watch: Watch<'o>,
    /// How patient it is with locks.
    pub patience: &'o LockPatience,
    /// The statement.
    pub statement: &'o Statement,
    /// What tells after a crash whether it took effect.
    pub probe: &'o CrashProbe,
    /// What a person found out about it.
    pub finding: Option<Finding>,
    /// What it belongs to, for people: a phase or a migration.
    pub name: &'o str,
    /// The file, for pointing into.
    pub source: &'o SourceText,
    /// Passes over it if its work turns out to be done already.
    pub lenient: bool,
    /// What is done about those in its way, beyond trying again.
    pub insistence: Option<&'o Insistence<'o>>,
    /// Receives what happens.
    pub tell: &'o dyn Fn(Said<'_>),
}

/// What became of an earlier attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::execute) enum Earlier {
    /// There was none, or it did not take effect.
    NotDone,
    /// It took effect.
    Done,
    /// A person says so.
    Found(Finding),
}

/// Why a statement did not run to its end.
pub(in crate::execute) struct NotRun {
    /// Why.
    pub why: AttemptError,
    /// Whether it is certain that it took no effect.
    pub settled: bool,
}

impl From<Problem> for NotRun {
    fn from(problem: Problem) -> Self {
        Self {
            why: problem.into(),
            settled: false,
        }
    }
}

impl Outside<'_> {
    /// Finds out whether an earlier attempt got through, and clears away what it left behind. `in_doubt` says that there
    /// was an attempt of which nothing more is known.
    ///
    /// # Errors
    /// `indeterminate` (exit 5) where nobody knows; `still-running` (exit 6); `interrupted`.
    pub(in crate::execute) async fn earlier(&self, in_doubt: bool) -> Result<Earlier, Problem> {
        match self.ask().await? {
            ProbeAnswer::Done if in_doubt => Ok(self.found_done()),
            ProbeAnswer::Leftover(leftover) => {
                self.note(format!("clearing away what an earlier attempt left: {leftover}"));
                self.clear(&leftover).await?;
                // Finishing a detachment is what the statement was for; an index has to be built again.
                Ok(match self.ask().await? {
                    ProbeAnswer::Done if in_doubt => self.found_done(),
                    _ => Earlier::NotDone,
                })
            }
            ProbeAnswer::Unknown if in_doubt => match self.finding {
                Some(finding) => Ok(Earlier::Found(finding)),
                None => Err(self.indeterminate()),
            },
            _ => Ok(Earlier::NotDone),
        }
    }

    /// Runs it, again while its lock cannot be had.
    ///
    /// # Errors
    /// The database's error, to be told with its place; `lock-not-had` and `index-unusable` (exit 5); `interrupted`.
    pub(in crate::execute) async fn execute(&self, wanted: &[Wanted]) -> Result<(), NotRun> {
        let timeout = patience_for(self.patience, std::slice::from_ref(self.statement), false);
        let mut tries = Tries::new(self.patience, self.watch.stop);
        let what = format!("{}: {}", self.name, self.statement.summary);
        loop {
            if let Some(insistence) = self.insistence
                && insistence.make_way(wanted, &what).await?
            {
                tries.succeeded();
            }
            self.wait_at_most(timeout).await?;
            let (result, blockers) = self.attempt().await;
            let Err(error) = result else {
                reach(Failpoint::LooseStatementRan).await;
                return self.check_built().await;
            };
            reach(Failpoint::LooseStatementRefused).await;
            if self.lenient && is_so_already(&error) {
                self.note(format!(
                    "passed over, since it is so already: {}",
                    self.statement.summary
                ));
                return Ok(());
            }
            // To finish a detachment is what the statement was for.
            if let Some(Leftover::PendingDetach { .. }) = self.clear_away(&error).await {
                return Ok(());
            }
            let settled = self.is_settled_by(&error);
            if !settled && !self.watch.stop.is_requested() {
                return Err(NotRun {
                    why: error.into(),
                    settled,
                });
            }
            let report = |failed: &FailedAttempt| (self.tell)(Said::Retry(failed));
            let next = tries.after(error.into(), blockers.clone(), &what, report).await;
            if let Some(insistence) = self.insistence {
                insistence.failed(tries.failures(), blockers);
            }
            next.map_err(|why| NotRun {
                why: self.placed(why),
                settled,
            })?;
        }
    }

    /// One attempt, in which it is told how it goes on.
    async fn attempt(&self) -> (Result<(), tokio_postgres::Error>, Vec<Blocker>) {
        let started = Instant::now();
        let builds = matches!(
            self.probe,
            CrashProbe::IndexBuilt { .. } | CrashProbe::Reindexed { .. }
        );
        let every = if builds { PROGRESS_EVERY } else { TELL_AFTER };
        let mut told = Duration::ZERO;
        let look = async || {
            let progress = match builds {
                true => index_progress(self.watch.monitor, self.watch.worker).await,
                false => Ok(None),
            };
            let elapsed = started.elapsed();
            if let Ok(Some(progress)) = &progress {
                (self.tell)(Said::Index { progress, elapsed });
            } else if elapsed >= told + TELL_AFTER {
                told = elapsed;
                (self.tell)(Said::Running(elapsed));
            }
        };
        let running = ticking(self.client.batch_execute(&self.statement.text), every, look);
        self.watch
            .over_seeing(running, async |blockers| {
                if let Some(insistence) = self.insistence {
                    insistence.seen(blockers).await;
                }
            })
            .await
    }

    /// Whether an error means that the statement took no effect (what it left behind is cleared away). Not where the
    /// connection broke, and not for what commits in parts.
    fn is_settled_by(&self, error: &tokio_postgres::Error) -> bool {
        let first = self.statement.text.split_whitespace().next().unwrap_or_default();
        let in_parts = ["do", "call"].iter().any(|word| first.eq_ignore_ascii_case(word));
        error.as_db_error().is_some() && !in_parts
    }

    /// Clears away what a failed attempt left half-done, and tells what that was: a failed build leaves an unusable index, which
    /// costs every write until it is dropped.
    async fn clear_away(&self, error: &tokio_postgres::Error) -> Option<Leftover> {
        error.as_db_error()?;
        let Ok(ProbeAnswer::Leftover(leftover)) = self.ask().await else {
            return None;
        };
        if matches!(leftover, Leftover::PendingDetach { .. }) && self.watch.stop.is_requested() {
            self.note(format!(
                "{leftover} is left as it is; the next run or rollback finishes it"
            ));
            return None;
        }
        self.note(format!("clearing away what the attempt left: {leftover}"));
        match self.clear(&leftover).await {
            Ok(()) => Some(leftover),
            Err(problem) => {
                self.note(format!("{problem}; the next run tries again"));
                None
            }
        }
    }

    /// Clears it away. What it waits for may be what the attempt waited for, so that it is patient for its own part only, and ends
    /// where somebody asks to stop.
    async fn clear(&self, leftover: &Leftover) -> Result<(), Problem> {
        if self.watch.stop.is_requested() {
            self.wait_at_most(WHEN_STOPPED).await?;
            return remove_leftover(self.client, leftover).await;
        }
        self.wait_at_most(self.patience.long_timeout).await?;
        let (cleared, _) = self.watch.over(remove_leftover(self.client, leftover)).await;
        match cleared {
            Err(_) if self.watch.stop.is_requested() => Err(interrupted()),
            cleared => cleared,
        }
    }

    /// Sets how long the session waits for a lock.
    async fn wait_at_most(&self, timeout: Duration) -> Result<(), Problem> {
        self.client
            .batch_execute(&format!("SET lock_timeout = {}", milliseconds(timeout)))
            .await
            .map_err(|error| describe_error(&error, "preparing a statement"))
    }

    /// `IF NOT EXISTS` reports success on an index that exists but cannot be used.
    async fn check_built(&self) -> Result<(), NotRun> {
        match self.ask().await? {
            ProbeAnswer::Leftover(Leftover::InvalidIndex(index)) => Err(self.unusable(&index).into()),
            _ => Ok(()),
        }
    }

    /// What the database says of the statement, once no server process is at it any more.
    async fn ask(&self) -> Result<ProbeAnswer, Problem> {
        let waiting = |pid| {
            self.note(format!(
                "waiting for server process {pid}, which is still at it for an earlier run"
            ));
        };
        let text = &self.statement.text;
        tokio::select! {
            biased;
            answer = settled(self.client, self.probe, text, PREDECESSOR, waiting) => answer,
            () = self.watch.stop.requested(), if !self.watch.stop.is_requested() => Err(interrupted()),
        }
    }

    fn found_done(&self) -> Earlier {
        self.note(format!(
            "found done after an interruption: {}",
            self.statement.summary
        ));
        Earlier::Done
    }

    fn note(&self, text: String) {
        (self.tell)(Said::Note(text));
    }

    fn span(&self) -> std::ops::Range<usize> {
        self.statement.offset..self.statement.offset + self.statement.text.len()
    }

    fn placed(&self, error: AttemptError) -> AttemptError {
        match error {
            AttemptError::Problem(problem) if problem.exit() == Exit::Failed => {
                problem.at(self.source, self.span(), "this statement").into()
            }
            other => other,
        }
    }

    fn indeterminate(&self) -> Problem {
        Problem::new(
            Exit::Failed,
            "indeterminate",
            format!(
                "{}: nobody knows whether this took effect: {}",
                self.name, self.statement.summary
            ),
        )
        .because(
            "an earlier run ended while it ran, it cannot run in a transaction, and the database cannot tell",
        )
        .fix("look whether it took effect; then run again with --it-happened or with --it-did-not-happen")
        .at(self.source, self.span(), "this statement")
    }

    fn unusable(&self, index: &TableName) -> Problem {
        Problem::new(
            Exit::Failed,
            "index-unusable",
            format!("{}: the index {index} exists but is not usable", self.name),
        )
        .because("an earlier build of it failed, and IF NOT EXISTS keeps such an index")
        .fix(format!(
            "DROP INDEX CONCURRENTLY {index}; then run the same command again"
        ))
        .at(self.source, self.span(), "this statement")
    }
}
