//! The safety model: pure functions that decide what may run, be deployed or be undone.
//!
//! No I/O, no clock, no randomness: facts and `now` are arguments. Every rule here is explained in
//! `docs/safety.md`. What is not known is closed: a missing fact can never open a gate.

mod fleet;
mod judgement;
mod rules;
mod satisfaction;
mod shape;
mod state;

pub use fleet::{
    Completeness, Doubt, Fleet, History, ServiceCensus, ServiceRequirement, Sighting, SourceReport, Stranger,
    Version,
};
pub use judgement::{Clearance, Decision, Direction, Judgement, Reason, ReasonCode, Verdict};
pub use rules::{can_deploy, combine, judge, may_restore, may_revert, may_verify, tainted};
pub use satisfaction::satisfaction;
pub use shape::{Gate, InvalidShape, PhaseKind, PhaseShape, PlanShape, Services};
pub use state::{Approval, Containment, Containments, Facts, PhaseState, PlanState, Progress};
