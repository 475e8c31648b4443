//! The ledger's records and the state folded from them. Pure: where records are kept is the business of `postgres`.

mod control;
mod fold;
mod lease;
mod record;

pub use control::{Control, InForce, LatencyLimit, Origin, Pause, Set, TARGET_BATCH_MS, control};
pub use fold::{completed_steps, fold, history};
pub use lease::{lease_returns, leases, leases_since};
pub use record::{EndedSession, Ending, LeaseEnding, Record, StoredRecord, Word};
