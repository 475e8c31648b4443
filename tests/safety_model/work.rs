//! What may be done with a phase: which rule is asked, what it does to the table, and what is written down of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shipctl::domain::PhaseId;
use shipctl::ledger::Record;
use shipctl::safety::{
    Containment, Containments, Decision, Direction, Facts, PhaseKind, PlanShape, Version, judge, may_restore,
    may_revert, may_verify,
};

use crate::operation::Operation;
use crate::table::Table;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Run,
    Undo,
    Restore,
    Verify,
}

impl Work {
    /// Asks the rule that decides.
    pub fn ask(self, plan: &PlanShape, phase: &PhaseId, facts: &Facts) -> Decision {
        let rule = match self {
            Self::Run => judge,
            Self::Undo => may_revert,
            Self::Restore => may_restore,
            Self::Verify => may_verify,
        };
        rule(plan, phase, facts, &BTreeSet::new())
    }

    /// Whether its beginning is recorded: a phase comes into effect, or goes out of it.
    pub fn is_of_a_phase(self) -> bool {
        matches!(self, Self::Run | Self::Undo)
    }

    /// What it does to the table, or to half of its rows. An error is what the database would answer.
    pub fn apply(
        self,
        operation: &Operation,
        phase: &PhaseId,
        table: &mut Table,
        half: bool,
    ) -> Result<(), String> {
        let rows = if half {
            table.rows.len() / 2
        } else {
            table.rows.len()
        };
        match self {
            Self::Run | Self::Verify => operation.run(phase, table, rows),
            Self::Undo => operation.undo(phase, table),
            Self::Restore => {
                operation.restore(table);
                Ok(())
            }
        }
    }

    fn direction(self) -> Direction {
        match self {
            Self::Undo => Direction::Reverse,
            _ => Direction::Forward,
        }
    }

    /// What is written down where it ended well.
    pub fn done(self, phase: PhaseId, since: Timestamp) -> Record {
        let rows = 0;
        match self {
            Self::Run | Self::Undo => Record::PhaseFinished {
                phase,
                direction: self.direction(),
                rows: None,
                duration_ms: 1,
            },
            Self::Restore => Record::DataRestored { phase, since, rows },
            Self::Verify => Record::BackfillVerified { phase, since, rows },
        }
    }

    /// What is written down of a phase where it failed, by whoever is left to do so.
    pub fn failed(self, phase: PhaseId) -> Record {
        Record::PhaseFailed {
            phase,
            direction: self.direction(),
            error: "failed".to_owned(),
        }
    }
}

/// What the versions contain of the plans' code phases.
pub fn containments(
    plans: &[PlanShape],
    versions: &BTreeSet<Version>,
    contains: impl Fn(&Version, &PhaseId) -> bool,
) -> Containments {
    let mut all = Containments::default();
    for version in versions {
        for plan in plans {
            for phase in plan.phases().filter(|phase| phase.kind == PhaseKind::Code) {
                let evidence = String::new();
                let answer = if contains(version, &phase.id) {
                    Containment::Yes { evidence }
                } else {
                    Containment::No { evidence }
                };
                all.insert(version.clone(), plan.id().clone(), phase.id.clone(), answer);
            }
        }
    }
    all
}
