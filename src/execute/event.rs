//! What a run tells those who watch. Ephemeral: nothing is decided by an event, and none is stored.

use std::time::Duration;

use serde::Serialize;

use crate::domain::PhaseId;
use crate::ledger::Ending;
use crate::postgres::retry::FailedAttempt;
use crate::safety::{Direction, Judgement};

/// Something that happened just now.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A phase was cleared and starts.
    PhaseStarted {
        /// Which.
        phase: PhaseId,
        /// Running or undoing.
        direction: Direction,
    },
    /// A statement (or group) starts.
    StepStarted {
        /// The phase.
        phase: PhaseId,
        /// What it does, in a few words.
        summary: String,
    },
    /// A lock could not be had in time; the statement is tried again.
    LockRetry {
        /// The phase.
        phase: PhaseId,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// Of how many.
        attempts: u32,
        /// Who holds the lock, in words.
        blockers: Vec<String>,
        /// How long until the next attempt.
        #[serde(rename = "wait_ms", serialize_with = "as_millis")]
        wait: Duration,
    },
    /// Those who hold a lock are waited for, without standing in line for it.
    WaitingForBlockers {
        /// The phase.
        phase: PhaseId,
        /// Who holds the lock, in words.
        blockers: Vec<String>,
        /// How long it has waited.
        #[serde(rename = "waited_ms", serialize_with = "as_millis")]
        waited: Duration,
        /// How long it waits at most.
        #[serde(rename = "limit_ms", serialize_with = "as_optional_millis")]
        limit: Option<Duration>,
    },
    /// A session that holds a lock is about to be ended, and it is recorded.
    EndingBlocker {
        /// The phase.
        phase: PhaseId,
        /// The session, in words.
        blocker: String,
        /// How.
        ending: Ending,
    },
    /// A statement that has run for a while is still at it, and nothing tells how far it has come.
    StepRunning {
        /// The phase.
        phase: PhaseId,
        /// What it does, in a few words.
        summary: String,
        /// How long it has run.
        #[serde(rename = "elapsed_ms", serialize_with = "as_millis")]
        elapsed: Duration,
        /// Whom it waits for just now, in words.
        waits_for: Vec<String>,
    },
    /// How far the building of an index has come.
    IndexProgress {
        /// The phase.
        phase: PhaseId,
        /// What the server is doing, in a few words.
        stage: &'static str,
        /// How much of this stage is done.
        done: u64,
        /// Of how much; 0 where that is not known.
        total: u64,
        /// Of what: `blocks`, `rows`, `transactions`, `partitions`.
        unit: &'static str,
        /// Whom it waits for just now, in words.
        waits_for: Vec<String>,
        /// How long it has run.
        #[serde(rename = "elapsed_ms", serialize_with = "as_millis")]
        elapsed: Duration,
    },
    /// How far a backfill (or a verification, or a restoring) has come.
    Progress {
        /// The phase.
        phase: PhaseId,
        /// Which part of the work: `backfill`, `verify`, `restore`.
        activity: &'static str,
        /// Rows looked at so far (those of earlier attempts included).
        done: u64,
        /// Rows in the table, estimated.
        total: Option<u64>,
        /// Rows changed so far.
        changed: u64,
        /// Rows a second, lately.
        rate: f64,
    },
    /// A fill was slowed down or paused, or goes on at full speed; or no phase begins, since the plan is paused.
    Throttled {
        /// The phase; `None` between phases.
        phase: Option<PhaseId>,
        /// What holds from now on.
        state: Throttle,
        /// Why, in words; none where it is free.
        reasons: Vec<String>,
    },
    /// A phase is done (or undone).
    PhaseFinished {
        /// Which.
        phase: PhaseId,
        /// Running or undoing.
        direction: Direction,
        /// Rows changed, for a fill.
        rows: Option<u64>,
        /// How long it took.
        #[serde(rename = "duration_ms", serialize_with = "as_millis")]
        duration: Duration,
    },
    /// The next phase may not run yet; `--watch` looks again every `poll`.
    Waiting {
        /// The phase that waits.
        phase: PhaseId,
        /// Why.
        judgement: Judgement,
        /// How often it looks again (sooner where a soak is over before); `None` if it does not.
        #[serde(rename = "poll_ms", serialize_with = "as_optional_millis")]
        poll: Option<Duration>,
    },
    /// Something worth saying.
    Note {
        /// The phase, where it is about one.
        phase: Option<PhaseId>,
        /// In one sentence.
        message: String,
    },
}

impl Event {
    /// A lock could not be had in time, in a phase.
    pub(in crate::execute) fn retry(phase: &PhaseId, failed: &FailedAttempt) -> Self {
        Self::LockRetry {
            phase: phase.clone(),
            attempt: failed.attempt,
            attempts: failed.of,
            blockers: failed.blockers(),
            wait: failed.pause.unwrap_or_default(),
        }
    }
}

/// How fast work may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Throttle {
    /// At full speed.
    Free,
    /// In shorter batches with rests between them.
    Slow,
    /// Not at all.
    Paused,
}

fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn as_optional_millis<S: serde::Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => as_millis(duration, serializer),
        None => serializer.serialize_none(),
    }
}

/// Receives events in order.
pub trait EventSink: Send + Sync {
    /// One event. Must not block.
    fn event(&self, event: &Event);
}

/// Drops every event.
impl EventSink for () {
    fn event(&self, _: &Event) {}
}
