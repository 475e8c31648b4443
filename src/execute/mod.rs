//! Effects: running, undoing, filling, verifying. Each appends to the ledger; none prints.

pub mod crash_probe;
pub mod event;
pub mod migrate;
pub mod run;

pub use event::{Event, EventSink};
