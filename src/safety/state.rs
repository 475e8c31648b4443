//! The facts the rules judge by: what the ledger says was done, and what each version contains.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Doubt, Fleet, History, Lease, Version};
use crate::domain::{Digest, EnvironmentName, PhaseId, PlanId};

/// How far a schema or manual phase has come, folded from the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "progress")]
pub enum Progress {
    /// Never started, or undone to the end.
    #[default]
    Pending,
    /// Started forward and not recorded as ended: it runs now, or its process died. Parts may have taken effect.
    Started {
        /// When.
        at: Timestamp,
    },
    /// An attempt ended with an error. Parts may have taken effect.
    Failed {
        /// When the attempt started.
        started_at: Timestamp,
        /// When it failed.
        at: Timestamp,
        /// The error, in one line.
        error: String,
    },
    /// Done.
    Done {
        /// When the first attempt started.
        started_at: Timestamp,
        /// When it was done.
        at: Timestamp,
        /// For a backfill: every version seen since this moment must dual-write (rule 5). It is the start of the
        /// backfill, or of the latest verification that found it clean.
        valid_since: Timestamp,
    },
    /// Being undone, and not recorded as undone. Parts may still be in effect.
    Reverting {
        /// When.
        at: Timestamp,
    },
}

impl Progress {
    /// Whether it is wholly done.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }

    /// Whether anything of it may be in effect: done, running, interrupted, failed or being undone.
    pub fn may_have_effect(&self) -> bool {
        !matches!(self, Self::Pending)
    }
}

/// Somebody's approval of a phase, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// The digest of the phase and its gate as approved; a later edit of either voids the approval.
    pub digest: Digest,
}

/// What the ledger knows of one phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseState {
    /// How far it has come.
    pub progress: Progress,
    /// Approvals given since it was last done or undone.
    pub approvals: Vec<Approval>,
    /// The digest it had when it was (last) started.
    pub digest: Option<Digest>,
    /// How many steps of its script are recorded as finished since it was last wholly done or undone, whichever way.
    pub steps: u32,
    /// Since when anything of it may have been in effect without interruption, through failed attempts and broken-off
    /// undoings.
    pub effect_since: Option<Timestamp>,
    /// For a code phase: since when every recorded look found it satisfied by the whole fleet.
    pub satisfied_since: Option<Timestamp>,
    /// For a code phase that abandons a column: when its data was last restored (the data floor lifts what was seen
    /// before).
    pub restored_at: Option<Timestamp>,
}

/// What the ledger knows of one plan in one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanState {
    /// By phase; a phase that is missing here is pending.
    pub phases: BTreeMap<PhaseId, PhaseState>,
}

impl PlanState {
    /// The progress of a phase.
    pub fn progress(&self, phase: &PhaseId) -> &Progress {
        const PENDING: &Progress = &Progress::Pending;
        self.phases.get(phase).map_or(PENDING, |state| &state.progress)
    }
}

/// Whether a version includes the commit of a code phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "contains")]
pub enum Containment {
    /// It does, and this shows it.
    Yes {
        /// The evidence, in one line.
        evidence: String,
    },
    /// It does not, and this shows it.
    No {
        /// The evidence, in one line.
        evidence: String,
    },
    /// It cannot be told.
    Unknown(Doubt),
}

/// What each version contains. A pair that is not in the table was not examined, which is Unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Containments {
    table: BTreeMap<(Version, PlanId, PhaseId), Containment>,
}

impl Containments {
    /// Records one answer.
    pub fn insert(&mut self, version: Version, plan: PlanId, phase: PhaseId, answer: Containment) {
        self.table.insert((version, plan, phase), answer);
    }

    /// Looks up one answer.
    pub fn get(&self, version: &Version, plan: &PlanId, phase: &PhaseId) -> Containment {
        let key = (version.clone(), plan.clone(), phase.clone());
        self.table.get(&key).cloned().unwrap_or_else(|| {
            Containment::Unknown(Doubt::new(format!(
                "whether {} of {} contains {plan}/{phase} was not examined",
                version.commit.short(),
                version.service
            )))
        })
    }

    /// Forgets one answer.
    pub fn remove(&mut self, version: &Version, plan: &PlanId, phase: &PhaseId) {
        self.table.remove(&(version.clone(), plan.clone(), phase.clone()));
    }
}

/// Everything a decision rests on, gathered at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The environment, for naming whole commands.
    pub environment: EnvironmentName,
    /// The moment of the decision.
    pub now: Timestamp,
    /// When the fleet was looked at (the oldest of its probes).
    pub observed_at: Timestamp,
    /// Contract phases need an approval here.
    pub protected: bool,
    /// What runs now.
    pub fleet: Fleet,
    /// What ran before.
    pub history: History,
    /// What is being deployed, as far as it was not given back; those that are over do not count.
    pub leases: Vec<Lease>,
    /// What each version contains, for the fleet, the history and any candidate.
    pub containments: Containments,
    /// The ledger's view of every plan. A plan that is missing here has not begun.
    pub plans: BTreeMap<PlanId, PlanState>,
}
