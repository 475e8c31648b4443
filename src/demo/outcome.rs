//! How the story ended: what was done, what clients felt, and whether anything was lost.

use std::time::Duration;

use serde::Serialize;

use super::stage::Performed;
use crate::domain::PhaseId;

/// The outcome, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Rows at the beginning.
    pub rows: u64,
    /// Rows there should be at the end.
    pub rows_at_the_end: u64,
    /// Operations of the clients.
    pub operations: u64,
    /// People who were not there any more, at any reading or at the end.
    pub lost_rows: u64,
    /// Answers or rows that were not what had last been written.
    pub wrong_rows: u64,
    /// Operations that failed.
    pub app_errors: u64,
    /// The first few of them in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub app_error_texts: Vec<String>,
    /// The longest time an operation of a client took, in milliseconds.
    pub max_stall_ms: u64,
    /// What shipctl refused, in order.
    pub refusals: Vec<Refusal>,
    /// What each schema phase did.
    pub phases: Vec<PhaseOutcome>,
}

impl Outcome {
    /// Whether everything went as promised.
    pub fn is_good(&self) -> bool {
        self.lost_rows == 0 && self.wrong_rows == 0 && self.app_errors == 0 && self.refusals.len() == 3
    }
}

/// A refusal that was due.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// What was tried.
    pub tried: &'static str,
    /// The exit code.
    pub exit: i32,
    /// What shipctl said.
    pub said: String,
}

impl Refusal {
    /// From the command that was refused.
    pub fn new(tried: &'static str, performed: &Performed) -> Self {
        let said = if performed.stdout.trim().is_empty() {
            &performed.stderr
        } else {
            &performed.stdout
        };
        Self {
            tried,
            exit: performed.code.unwrap_or(-1),
            said: anstream::adapter::strip_str(said).to_string(),
        }
    }
}

/// What a schema phase did.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseOutcome {
    /// Which.
    pub phase: PhaseId,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Rows changed, for a backfill.
    pub rows: Option<u64>,
    /// Rows a second, for a backfill.
    pub rows_per_second: Option<u64>,
}

impl PhaseOutcome {
    /// From the ledger's figures.
    pub fn new(phase: PhaseId, rows: Option<u64>, took: Duration) -> Self {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let rows_per_second = rows.map(|rows| rows.saturating_mul(1000) / millis.max(1));
        Self {
            phase,
            duration_ms: millis,
            rows,
            rows_per_second,
        }
    }
}
