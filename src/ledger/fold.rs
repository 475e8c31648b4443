//! From the log to the state (placeholder until the logic lands).

use super::StoredRecord;
use crate::safety::{History, PlanState};

/// The state of one plan. `records` are those of the plan and environment, in order.
pub fn fold(records: &[StoredRecord]) -> PlanState {
    let _ = records;
    PlanState::default()
}

/// Every version that the log remembers, with its latest sighting.
pub fn history(records: &[StoredRecord]) -> History {
    let _ = records;
    History::default()
}
