//! Effects: running, undoing, filling, verifying. Each appends to the ledger; none prints.

mod attempt;
mod checkpoint;
mod clearance;
pub mod crash_probe;
mod engine;
pub mod event;
pub mod failpoint;
mod fill;
pub mod migrate;
mod outside;
mod phase;
pub mod preview;
mod ranges;
mod register;
pub mod rollback;
pub mod run;
mod script;

pub use engine::{Clock, Engine, Finding, Override, Pace};
pub use event::{Event, EventSink};
pub use preview::{PhasePreview, StepPreview};
pub use rollback::{RollbackOptions, RollbackOutcome, Target};
pub use run::{Closed, Confirm, Ran, RunEnd, RunOptions, RunOutcome};

pub use crate::postgres::{LockPatience, Stop};
