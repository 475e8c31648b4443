//! The safety model: pure functions that decide what may run, be deployed or be undone.
//!
//! No I/O, no clock, no randomness: facts and `now` are arguments. Every rule here is explained in
//! `docs/safety.md`. What is not known is closed: a missing fact can never open a gate.

mod can_deploy;
mod census;
mod coexist;
mod drain;
mod everyone;
mod findings;
mod fleet;
mod floor;
mod judge;
mod judgement;
mod lease;
pub mod proof;
mod revert;
#[cfg(test)]
mod samples;
mod shape;
mod state;
mod taint;
mod way;

pub use can_deploy::{can_deploy, can_deploy_under, can_deploy_with};
pub use census::{combine, proves_absence};
pub use drain::{Coverage, DrainWindow, Drained, Sample, drain};
pub use fleet::{
    Completeness, Doubt, Fleet, History, ServiceCensus, ServiceRequirement, Sighting, SourceReport, Stranger,
    Version,
};
pub use floor::{FloorPhase, floor};
pub use judge::{judge, may_verify, satisfaction, soak_ends};
pub use judgement::{Clearance, Decision, Direction, Judgement, Reason, ReasonCode, Verdict};
pub use lease::Lease;
pub use revert::{may_restore, may_revert};
pub use shape::{Gate, InvalidShape, PhaseKind, PhaseShape, PlanShape, Services};
pub use state::{Approval, Containment, Containments, Facts, PhaseState, PlanState, Progress};
pub use taint::{intruders, tainted};
pub use way::{Goal, Ground, WayStep, shortest_way};
