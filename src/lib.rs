//! shipctl: a Git-integrated deploy orchestrator for PostgreSQL schema changes.
//!
//! The rooms, from top to bottom; each may use those below it and none above (`tests/architecture.rs` holds this):
//! `cli` → `demo` → `report` → `execute` → `observe` → `postgres` → `recipe` → `plan` → `project` → `sql` → `ledger` →
//! `safety` → `diagnostics` → `domain`.

pub mod cli;
pub mod demo;
pub mod diagnostics;
pub mod domain;
pub mod execute;
pub mod ledger;
pub mod observe;
pub mod plan;
pub mod postgres;
pub mod project;
pub mod recipe;
pub mod report;
pub mod safety;
pub mod sql;
