//! The ledger's records and the state folded from them. Pure: where records are kept is the business of `postgres`.

mod fold;
mod record;

pub use fold::{completed_steps, fold, history};
pub use record::{EndedSession, Ending, Record, StoredRecord, Word};
