//! The integration tests: one binary, one private PostgreSQL cluster, one database a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test this is how a failure shows, in its helpers too"
)]

#[path = "../campaign/state.rs"]
mod state;
mod support;

mod adversary;
mod blockers;
mod catalog;
mod census;
mod checklist;
mod cli;
mod connection;
mod containment;
mod control;
mod crash;
mod declared_locks;
mod demo;
mod explain;
mod fill;
mod kubernetes;
mod lease;
mod ledger;
mod lock;
mod manners;
mod migrate;
mod operations;
mod pace;
mod plan_files;
mod pooler;
mod pooler_census;
mod proof;
mod proof_gaps;
mod rename;
mod rollback;
mod run;
mod sightings;
mod standby;
mod status;
mod sync_trigger;
mod tls;
mod twice;
mod why;
