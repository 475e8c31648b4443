//! The plain migration runner: files in natural order, one transaction a file wherever PostgreSQL allows.
//!
//! What a plan's phase runs is left alone: it belongs to `shipctl run`, whose gates look at the code that is running.

mod absent;
mod apply;
mod bookkeeping;
mod naming;
mod overview;
mod progress;
mod runner;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use bookkeeping::Bookkeeping;
pub use naming::new_name;
pub use overview::{Migration, Overview, State};
pub use runner::Runner;

use crate::domain::{PhaseId, PlanId, Problem};
use crate::plan::{PhaseDetail, Plan};

/// Which phase of which plan a migration belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The plan.
    pub plan: PlanId,
    /// The phase; `None` where the plan is not here to say it.
    pub phase: Option<PhaseId>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.phase {
            Some(phase) => write!(f, "plan {}, phase {phase}", self.plan),
            None => write!(f, "plan {}", self.plan),
        }
    }
}

/// The migrations that plans run, by name.
pub fn owners(plans: &[Plan]) -> BTreeMap<String, Owner> {
    plans
        .iter()
        .flat_map(|plan| plan.phases().iter().map(move |phase| (plan, phase)))
        .filter_map(|(plan, phase)| match &phase.detail {
            PhaseDetail::Expand(migration) | PhaseDetail::Contract(migration) => Some((
                migration.migration.name.clone(),
                Owner {
                    plan: plan.id().clone(),
                    phase: Some(phase.id.clone()),
                },
            )),
            PhaseDetail::Backfill(_) | PhaseDetail::Code(_) | PhaseDetail::Manual { .. } => None,
        })
        .collect()
}

/// Something the runner did just now.
#[derive(Clone, Debug)]
pub enum MigrateEvent<'a> {
    /// A migration starts.
    Started {
        /// Its name.
        name: &'a str,
    },
    /// One step of a migration that cannot run in one transaction starts.
    Step {
        /// What it does.
        summary: &'a str,
    },
    /// A migration is applied, or undone.
    Finished {
        /// Its name.
        name: &'a str,
        /// How long it took.
        duration: Duration,
    },
    /// A lock could not be had in time; the migration was rolled back and is tried again.
    LockRetry {
        /// Its name.
        name: &'a str,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// Of how many.
        attempts: u32,
        /// Who holds the lock, in words; empty if that could not be seen.
        blockers: String,
    },
    /// A statement outside of a transaction has run for a while.
    Working {
        /// What it does, or what the server is at for it.
        what: String,
        /// How much of that is done, of how much, and of what; 0 of 0 where nobody knows.
        done: (u64, u64, &'static str),
        /// Whom it waits for, in words.
        waits_for: Vec<String>,
        /// How long it has run.
        elapsed: Duration,
    },
    /// Worth knowing.
    Note(String),
    /// Worth a warning.
    Warning(Problem),
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The migrations applied (or undone, or marked as applied), in order, with how long each took.
    pub done: Vec<(Migration, Duration)>,
    /// Why it ended before all was done. What failed was rolled back, or tells how far it came.
    pub failed: Option<Problem>,
}
