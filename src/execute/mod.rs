//! Effects: running, undoing, filling, verifying. Each appends to the ledger; none prints.

mod attempt;
mod clearance;
pub mod control;
pub mod crash_probe;
mod engine;
pub mod event;
pub mod failpoint;
pub mod fill;
mod inside;
pub mod lease;
pub mod manners;
pub mod migrate;
mod outside;
mod phase;
pub mod preview;
mod register;
mod reindex_probe;
mod reverify;
pub mod rollback;
pub mod run;
mod script;
mod standoff;
mod step_locks;
mod ticking;

pub use engine::{Clock, Engine, Finding, Override, Pace};
pub use event::{Event, EventSink, Throttle};
pub use fill::FillOptions;
pub use preview::{PhasePreview, StepPreview};
pub use rollback::{RollbackOptions, RollbackOutcome, Target};
pub use run::{Closed, Confirm, Ran, RunEnd, RunOptions, RunOutcome};
pub use standoff::{Cancel, LockPolicy, Wait};

pub use crate::postgres::{LockPatience, Stop};
