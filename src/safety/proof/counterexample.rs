//! What a proof tells: the steps to a state in which something fails, and what fails there.

use crate::domain::{ColumnName, PhaseId, PlanId, ServiceName};

/// The shortest way to a state in which something fails.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is done, in order.
    pub steps: Vec<TraceStep>,
    /// What fails then.
    pub harm: Harm,
}

impl Counterexample {
    /// The steps in one line: `run add → deploy dual-write → run drop`.
    pub fn line(&self) -> String {
        let words: Vec<&str> = self.steps.iter().map(|step| step.words.as_str()).collect();
        words.join(" → ")
    }
}

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A phase runs.
    Run,
    /// A phase is undone.
    Undo,
    /// A backfill is verified, and filled again.
    Verify,
    /// Abandoned data is restored.
    Restore,
    /// A version is deployed, and replaces the one before.
    Deploy,
    /// A version begins to be deployed, and runs beside the one before.
    BeginDeploy,
    /// The version that was being deployed replaces the one before.
    FinishDeploy,
    /// The version that was being deployed is stopped again.
    Withdraw,
}

impl StepKind {
    /// The stable kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Undo => "undo",
            Self::Verify => "verify",
            Self::Restore => "restore",
            Self::Deploy => "deploy",
            Self::BeginDeploy => "begin-deploy",
            Self::FinishDeploy => "finish-deploy",
            Self::Withdraw => "withdraw",
        }
    }
}

/// One step of a counterexample.
#[derive(Clone, Debug)]
pub struct TraceStep {
    /// What is done.
    pub kind: StepKind,
    /// The plan and phase, of a step that is about a phase.
    pub phase: Option<(PlanId, PhaseId)>,
    /// The version, of a step that is about a deployment.
    pub version: Option<VersionName>,
    /// The step in words.
    pub words: String,
}

/// A version, by the newest of its code phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionName {
    /// The service, where there is more than one.
    pub service: Option<ServiceName>,
    /// Its newest code phases; none for the code before the plan.
    pub phases: Vec<(PlanId, PhaseId)>,
    /// The version in words.
    pub words: String,
}

/// What kind of thing fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HarmKind {
    /// Code reads a column that is not there.
    ReadsMissingColumn,
    /// Code writes a column that is not there.
    WritesMissingColumn,
    /// Code writes a column whose values PostgreSQL makes.
    WritesGenerated,
    /// Code writes to a table with a trigger that uses a column which is not there.
    TriggerFails,
    /// An INSERT leaves a column NULL that is NOT NULL.
    LeavesNull,
    /// A write may violate a constraint that the code was not written for, or meet a type that it does not know.
    MayViolate,
    /// Code reads values that are missing or stale.
    ReadsInvalid,
    /// A column goes that was the only one with the right values.
    LosesData,
    /// The SQL of a phase fails.
    CannotRun,
}

impl HarmKind {
    /// The stable kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadsMissingColumn => "reads-missing-column",
            Self::WritesMissingColumn => "writes-missing-column",
            Self::WritesGenerated => "writes-generated-column",
            Self::TriggerFails => "trigger-fails",
            Self::LeavesNull => "leaves-null",
            Self::MayViolate => "may-violate",
            Self::ReadsInvalid => "reads-invalid",
            Self::LosesData => "loses-data",
            Self::CannotRun => "cannot-run",
        }
    }
}

/// What fails, and what should have been otherwise.
#[derive(Clone, Debug)]
pub struct Harm {
    /// What kind of thing.
    pub kind: HarmKind,
    /// What happens, in a clause.
    pub message: String,
    /// The column.
    pub column: Option<ColumnName>,
    /// The version that fails.
    pub version: Option<VersionName>,
    /// The phase that the last step is about: the one whose needs let it come too early.
    pub culprit: Option<(PlanId, PhaseId)>,
    /// The code phase by which the failing version uses the column.
    pub user: Option<(PlanId, PhaseId)>,
    /// What is assumed for it and said by no plan; `None` where nothing is.
    pub assumed: Option<String>,
    /// What to do.
    pub remedy: String,
}
