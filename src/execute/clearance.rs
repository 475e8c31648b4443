//! The permission to take effect: a clearance of the rules, proved to be fresh and to be meant for this very phase.
//!
//! Nothing in this room writes to a user's tables without one, and only the rules can make the clearance in it.

use jiff::{SignedDuration, Timestamp};

use crate::domain::{Exit, PhaseId, Problem};
use crate::ledger::Record;
use crate::safety::{Clearance, Direction, Facts, Fleet, Lease, PhaseShape};

/// A clearance that was fresh when the phase began, with the fleet it rests on.
#[derive(Clone, Debug)]
pub(in crate::execute) struct FreshClearance {
    clearance: Clearance,
    fleet: Fleet,
    leases: Vec<Lease>,
    overridden: Option<Record>,
    limit: SignedDuration,
}

impl FreshClearance {
    /// Takes the clearance if it is for this phase as it stands, this way, and from facts that are still fresh: not older
    /// than `limit`.
    ///
    /// # Errors
    /// `stale-clearance` (exit 3): look again.
    pub fn admit(
        clearance: Clearance,
        facts: &Facts,
        phase: &PhaseShape,
        direction: Direction,
        now: Timestamp,
        limit: SignedDuration,
    ) -> Result<Self, Problem> {
        let meant = clearance.phase() == &phase.id
            && clearance.direction() == direction
            && clearance.digest() == &phase.digest;
        if meant && clearance.is_fresh(now, limit) {
            Ok(Self {
                clearance,
                fleet: facts.fleet.clone(),
                leases: facts.leases.clone(),
                overridden: None,
                limit,
            })
        } else {
            Err(stale(&phase.id))
        }
    }

    /// Whether the facts are still fresh.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.clearance.is_fresh(now, self.limit)
    }

    /// Adds the record of what was set aside for it.
    pub fn with_overridden(mut self, record: Option<Record>) -> Self {
        self.overridden = record;
        self
    }

    /// The record of what was set aside for it, if anything was.
    pub fn overridden(&self) -> Option<&Record> {
        self.overridden.as_ref()
    }

    /// The clearance.
    pub fn clearance(&self) -> &Clearance {
        &self.clearance
    }

    /// The fleet it rests on.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Whether a deployment that is under way was among the facts it rests on.
    pub fn knows(&self, lease: &Lease) -> bool {
        self.leases
            .iter()
            .any(|known| known.id == lease.id && lease.versions.is_subset(&known.versions))
    }

    /// Whether it permits this phase this way.
    pub fn permits(&self, phase: &PhaseId, direction: Direction) -> bool {
        self.clearance.phase() == phase && self.clearance.direction() == direction
    }
}

fn stale(phase: &PhaseId) -> Problem {
    Problem::new(
        Exit::Unknown,
        "stale-clearance",
        format!("the facts that {phase} was judged by are out of date"),
    )
    .because("a look at the fleet took too long, or a clock jumped")
    .fix("run the same command again")
}
