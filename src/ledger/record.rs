//! What is written down, once and for ever. Field names are a storage format: add, never rename.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Digest, EnvironmentName, Limits, PhaseId, PlanId, ServiceName};
use crate::safety::{Direction, Fleet, Judgement, Sighting, Version};

/// One entry of the append-only log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// The plan and its SQL as they stood when something of it first ran, or after an edit of what had not run.
    PlanRegistered {
        /// The digest of the plan file's text.
        digest: Digest,
        /// The plan file's text.
        source: String,
        /// The text of each migration file, by name.
        migrations: BTreeMap<String, String>,
    },
    /// A phase was cleared and is about to take effect.
    PhaseStarted {
        /// The phase.
        phase: PhaseId,
        /// Running or undoing.
        direction: Direction,
        /// The digest of the phase as it runs.
        digest: Digest,
        /// When the fleet was observed for the clearance.
        observed_at: Timestamp,
        /// The fleet as it was seen.
        fleet: Fleet,
        /// The evidence of the clearance.
        judgement: Judgement,
    },
    /// A statement that cannot run in a transaction is about to run. Without a later [`Record::StepFinished`] nobody
    /// knows whether it took effect, and the database has to be asked.
    StepStarted {
        /// The phase.
        phase: PhaseId,
        /// Running or undoing.
        direction: Direction,
        /// Its place in the phase's script, from 0.
        step: u32,
        /// The digest of its SQL.
        digest: Digest,
    },
    /// One statement or group of a phase took effect. For what runs in a transaction, this record is in it.
    StepFinished {
        /// The phase.
        phase: PhaseId,
        /// Running or undoing.
        direction: Direction,
        /// Its place in the phase's script, from 0.
        step: u32,
        /// The digest of its SQL.
        digest: Digest,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// It became known whether a statement that cannot run in a transaction took effect. If it did, a
    /// [`Record::StepFinished`] follows.
    StepSettled {
        /// The phase.
        phase: PhaseId,
        /// Running or undoing.
        direction: Direction,
        /// Its place in the phase's script, from 0.
        step: u32,
        /// The digest of its SQL.
        digest: Digest,
        /// Whether it took effect.
        happened: bool,
        /// Who says so.
        word: Word,
    },
    /// The phase is wholly done (or wholly undone).
    PhaseFinished {
        /// The phase.
        phase: PhaseId,
        /// Running or undoing.
        direction: Direction,
        /// Rows changed by a backfill.
        rows: Option<u64>,
        /// How long it took since its (first) start, in milliseconds.
        duration_ms: u64,
    },
    /// An attempt ended with an error.
    PhaseFailed {
        /// The phase.
        phase: PhaseId,
        /// Running or undoing.
        direction: Direction,
        /// The error, in one line, free of secrets.
        error: String,
    },
    /// A finished backfill was verified again and found (or made) clean, so that it is valid since then.
    BackfillVerified {
        /// The backfill phase.
        phase: PhaseId,
        /// When the verification began: versions seen since then count for its validity.
        since: Timestamp,
        /// Rows that had to be filled again.
        rows: u64,
    },
    /// The data that a code phase abandoned was brought up to date, so that older readers may come back.
    DataRestored {
        /// The code phase.
        phase: PhaseId,
        /// When the restoring began.
        since: Timestamp,
        /// Rows changed.
        rows: u64,
    },
    /// Somebody approved a phase.
    Approved {
        /// The phase.
        phase: PhaseId,
        /// Why.
        reason: String,
        /// The digest of the phase and its gate as approved.
        digest: Digest,
    },
    /// Somebody set a reason aside, for one phase, once.
    Overridden {
        /// The phase.
        phase: PhaseId,
        /// The reason codes.
        codes: Vec<String>,
        /// Why.
        reason: String,
    },
    /// Sessions of others that kept a step from its lock are about to be ended, since whoever runs it wants so. Written
    /// before anything is done to them: one that has gone by itself in the meantime is left alone.
    BlockersEnded {
        /// The phase.
        phase: PhaseId,
        /// Running or undoing.
        direction: Direction,
        /// The place of the step in the phase's script, from 0.
        step: u32,
        /// The sessions, and what is done to each.
        sessions: Vec<EndedSession>,
        /// Why, if a reason was given.
        reason: Option<String>,
    },
    /// The fleet was looked at. `satisfied` tells for each code phase of the plan whether the whole fleet contained it
    /// (false also where that could not be told for certain to be so).
    FleetObserved {
        /// What was seen.
        fleet: Fleet,
        /// By code phase.
        satisfied: BTreeMap<PhaseId, bool>,
    },
    /// A deployment was recorded by a pipeline or a person; it is not part of any plan.
    DeploymentRecorded {
        /// The version and where it runs.
        sighting: Sighting,
    },
    /// Somebody was told that versions may be deployed, and holds that answer for a while; it is not part of any plan. Taken
    /// again by the same actor for the same versions before it is over, it lasts longer.
    LeaseTaken {
        /// The revision as it was asked about.
        revision: String,
        /// What is being deployed.
        versions: BTreeSet<Version>,
        /// Until when, by the database's clock.
        until: Timestamp,
    },
    /// A lease is over before its time, for some of its services or all; it is not part of any plan.
    LeaseReturned {
        /// The sequence number of the record with which it was taken first.
        lease: i64,
        /// For which services.
        services: BTreeSet<ServiceName>,
        /// What became of the deployment.
        ending: LeaseEnding,
        /// Why, if it was said.
        reason: Option<String>,
    },
    /// Somebody paused the plan: its fills change nothing and no phase begins until it is resumed.
    Paused {
        /// Why, if it was said.
        reason: Option<String>,
    },
    /// Somebody let a paused plan go on.
    Resumed,
    /// Somebody set limits for the plan's fills, which hold until they are set again or cleared.
    Throttled {
        /// What was set before is forgotten first.
        #[serde(default)]
        clear: bool,
        /// What is set; the rest stays as it was.
        limits: Limits,
    },
}

/// What became of a deployment whose lease is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseEnding {
    /// It was recorded as done.
    Deployed,
    /// It was given up.
    Released,
}

/// On whose word something is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The server answered with an error.
    Server,
    /// The actor looked, since the database could not tell.
    Person,
}

/// A session that was in the way, as it was seen before it was ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedSession {
    /// Its server process.
    pub pid: i32,
    /// When the server process started.
    pub started: Timestamp,
    /// Its application name, if it has one.
    pub application: Option<String>,
    /// Its role.
    pub user: Option<String>,
    /// How long its transaction had been open, in milliseconds.
    pub transaction_ms: Option<u64>,
    /// The beginning of its current or last query.
    pub query: Option<String>,
    /// What was done to it.
    pub ending: Ending,
}

/// How a session is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Its statement is cancelled, and with it its transaction; the connection stays.
    Cancelled,
    /// Its connection is closed, and its transaction rolled back.
    Terminated,
}

impl Record {
    /// What kind it is, as it is stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PlanRegistered { .. } => "plan-registered",
            Self::PhaseStarted { .. } => "phase-started",
            Self::StepStarted { .. } => "step-started",
            Self::StepFinished { .. } => "step-finished",
            Self::StepSettled { .. } => "step-settled",
            Self::PhaseFinished { .. } => "phase-finished",
            Self::PhaseFailed { .. } => "phase-failed",
            Self::BackfillVerified { .. } => "backfill-verified",
            Self::DataRestored { .. } => "data-restored",
            Self::Approved { .. } => "approved",
            Self::Overridden { .. } => "overridden",
            Self::BlockersEnded { .. } => "blockers-ended",
            Self::FleetObserved { .. } => "fleet-observed",
            Self::DeploymentRecorded { .. } => "deployment-recorded",
            Self::LeaseTaken { .. } => "lease-taken",
            Self::LeaseReturned { .. } => "lease-returned",
            Self::Paused { .. } => "paused",
            Self::Resumed => "resumed",
            Self::Throttled { .. } => "throttled",
        }
    }

    /// The phase it is about, if it is about one.
    pub fn phase(&self) -> Option<&PhaseId> {
        match self {
            Self::PhaseStarted { phase, .. }
            | Self::StepStarted { phase, .. }
            | Self::StepFinished { phase, .. }
            | Self::StepSettled { phase, .. }
            | Self::PhaseFinished { phase, .. }
            | Self::PhaseFailed { phase, .. }
            | Self::BackfillVerified { phase, .. }
            | Self::DataRestored { phase, .. }
            | Self::Approved { phase, .. }
            | Self::Overridden { phase, .. }
            | Self::BlockersEnded { phase, .. } => Some(phase),
            Self::PlanRegistered { .. }
            | Self::FleetObserved { .. }
            | Self::DeploymentRecorded { .. }
            | Self::LeaseTaken { .. }
            | Self::LeaseReturned { .. }
            | Self::Paused { .. }
            | Self::Resumed
            | Self::Throttled { .. } => None,
        }
    }
}

/// A record with what the ledger adds to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRecord {
    /// Its place in the log.
    pub sequence: i64,
    /// When it was written, by the database's clock.
    pub at: Timestamp,
    /// The environment.
    pub environment: EnvironmentName,
    /// The plan; `None` for what concerns no plan.
    pub plan: Option<PlanId>,
    /// Who wrote it.
    pub actor: String,
    /// What it says.
    pub record: Record,
}
