//! The answers of the rules: a verdict with its reasons, and the clearance without which nothing runs.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::{Digest, Exit, PhaseId, PlanId};

/// What a reason, or all of them together, amounts to. Ordered from open to closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Go ahead.
    Go,
    /// Nothing forbids it but time or a person: an approval, a soak.
    Waiting,
    /// It cannot be told, so it is closed.
    Unknown,
    /// Something that is known forbids it.
    Blocked,
}

impl Verdict {
    /// The exit code for it.
    pub fn exit(self) -> Exit {
        match self {
            Self::Go => Exit::Done,
            Self::Waiting => Exit::Waiting,
            Self::Unknown => Exit::Unknown,
            Self::Blocked => Exit::Blocked,
        }
    }
}

/// A stable name for each kind of reason; the name that `--override` takes and `explain` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// The phase is not part of the plan, or is not of a kind that can be asked about.
    NotApplicable,
    /// The phase is done already.
    AlreadyDone,
    /// A schema or manual phase above is not done.
    NeedsPhase,
    /// A running version does not contain a code phase above.
    OldVersionRunning,
    /// A running version contains a code phase below.
    NewVersionRunning,
    /// Who runs what is not known.
    FleetUnknown,
    /// Whether a version contains a code phase is not known.
    ContainmentUnknown,
    /// A version runs under a service name that is not declared.
    UndeclaredService,
    /// The version needs schema that is not there yet.
    SchemaNotReady,
    /// The version needs schema that is gone or going (the rollback floor).
    RollbackFloor,
    /// The version must not run beside a running one.
    CannotCoexist,
    /// The version would read data that a version seen earlier no longer wrote (the data floor).
    DataFloor,
    /// A backfill above is tainted by a version that did not dual-write.
    Tainted,
    /// A phase below is in effect and must be undone first.
    LaterPhaseInEffect,
    /// The plan was edited after the phase ran.
    Diverged,
    /// An approval is missing.
    NeedsApproval,
    /// The soak is not over.
    Soaking,
    /// A deployment is under way that the phase (or another deployment) must not meet.
    DeploymentUnderWay,
    /// A contract phase is under way or half done, and has to be finished before the version may be deployed.
    PhaseUnderWay,
}

impl ReasonCode {
    /// The stable kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::AlreadyDone => "already-done",
            Self::NeedsPhase => "needs-phase",
            Self::OldVersionRunning => "old-version-running",
            Self::NewVersionRunning => "new-version-running",
            Self::FleetUnknown => "fleet-unknown",
            Self::ContainmentUnknown => "containment-unknown",
            Self::UndeclaredService => "undeclared-service",
            Self::SchemaNotReady => "schema-not-ready",
            Self::RollbackFloor => "rollback-floor",
            Self::CannotCoexist => "cannot-coexist",
            Self::DataFloor => "data-floor",
            Self::Tainted => "tainted",
            Self::LaterPhaseInEffect => "later-phase-in-effect",
            Self::Diverged => "diverged",
            Self::NeedsApproval => "needs-approval",
            Self::Soaking => "soaking",
            Self::DeploymentUnderWay => "deployment-under-way",
            Self::PhaseUnderWay => "phase-under-way",
        }
    }

    /// Whether a person may set it aside with `--override`. What the order of the phases forbids can never be: there
    /// is nothing to run, or running it could not work.
    pub fn can_be_overridden(self) -> bool {
        !matches!(
            self,
            Self::NotApplicable | Self::AlreadyDone | Self::NeedsPhase | Self::LaterPhaseInEffect
        )
    }
}

/// One reason against going ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What kind of reason.
    pub code: ReasonCode,
    /// What it amounts to.
    pub verdict: Verdict,
    /// The plan it comes from.
    pub plan: PlanId,
    /// The phase it is about, where it is about one.
    pub phase: Option<PhaseId>,
    /// What is the matter, in one sentence.
    pub message: String,
    /// What shows it: which instance runs what where, which record says so.
    pub evidence: Vec<String>,
    /// What to do.
    pub fix: Option<String>,
}

/// All reasons together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Reasons against, gravest first.
    pub reasons: Vec<Reason>,
    /// What speaks for it: one line for each fact that a rule relied on.
    pub evidence: Vec<String>,
}

impl Judgement {
    /// The gravest verdict; [`Verdict::Go`] if nothing speaks against.
    pub fn verdict(&self) -> Verdict {
        self.reasons
            .iter()
            .map(|reason| reason.verdict)
            .max()
            .unwrap_or(Verdict::Go)
    }

    /// Both judgements in one, each reason said once.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.reasons.extend(more.reasons);
        self.evidence.extend(more.evidence);
        self.sort();
        self
    }

    /// Gravest reasons first, each said once.
    pub(in crate::safety) fn sort(&mut self) {
        let mut once: Vec<Reason> = Vec::with_capacity(self.reasons.len());
        for reason in self.reasons.drain(..) {
            let said = once.iter().any(|other| {
                other.code == reason.code && other.plan == reason.plan && other.message == reason.message
            });
            if !said {
                once.push(reason);
            }
        }
        once.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
        self.reasons = once;
        let mut lines = Vec::with_capacity(self.evidence.len());
        for line in self.evidence.drain(..) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        self.evidence = lines;
    }
}

/// The answer for a phase: a clearance, or the reasons why not.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It may run.
    Cleared(Clearance),
    /// It may not.
    Refused(Judgement),
}

impl Decision {
    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Cleared(_) => Verdict::Go,
            Self::Refused(judgement) => judgement.verdict(),
        }
    }

    /// The reasons and the evidence.
    pub fn judgement(&self) -> &Judgement {
        match self {
            Self::Cleared(clearance) => clearance.judgement(),
            Self::Refused(judgement) => judgement,
        }
    }
}

/// Which way a clearance leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Run the phase.
    Forward,
    /// Undo it.
    Reverse,
}

/// The permission to run or undo one phase, as it was when the facts were gathered. Only the rules can make one.
#[derive(Clone, Debug)]
pub struct Clearance {
    plan: PlanId,
    phase: PhaseId,
    direction: Direction,
    digest: Digest,
    observed_at: Timestamp,
    judgement: Judgement,
}

impl Clearance {
    /// For the rules alone.
    pub(in crate::safety) fn new(
        plan: PlanId,
        phase: PhaseId,
        direction: Direction,
        digest: Digest,
        observed_at: Timestamp,
        judgement: Judgement,
    ) -> Self {
        Self {
            plan,
            phase,
            direction,
            digest,
            observed_at,
            judgement,
        }
    }

    /// The plan.
    pub fn plan(&self) -> &PlanId {
        &self.plan
    }

    /// The phase.
    pub fn phase(&self) -> &PhaseId {
        &self.phase
    }

    /// Which way.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The digest of the phase that was judged.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// When the facts were observed.
    pub fn observed_at(&self) -> Timestamp {
        self.observed_at
    }

    /// The evidence it rests on (overridden reasons included).
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }

    /// Whether the facts are no older than `limit` at `now`. Facts from the future are not fresh.
    pub fn is_fresh(&self, now: Timestamp, limit: SignedDuration) -> bool {
        let age = now.duration_since(self.observed_at);
        !age.is_negative() && age <= limit
    }
}
