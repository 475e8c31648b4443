//! All facts for a decision, gathered at one moment (placeholder until the logic lands).

use jiff::Timestamp;

use crate::domain::{PlanId, Problem};
use crate::ledger::StoredRecord;
use crate::plan::Plan;
use crate::postgres::Session;
use crate::project::{Environment, Project};
use crate::safety::{Facts, SourceReport, Version};

/// Knows how to look: the project, the environment, the plans, and the repositories behind them.
pub struct Observer<'a> {
    /// The project.
    pub project: &'a Project,
    /// The environment.
    pub environment: &'a Environment,
    /// Every plan that counts.
    pub plans: &'a [Plan],
}

/// What was found, with what the facts were made of.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The facts for the rules.
    pub facts: Facts,
    /// What each source said.
    pub reports: Vec<SourceReport>,
    /// The environment's records, of every plan, in order.
    pub records: Vec<StoredRecord>,
}

impl Observer<'_> {
    /// Looks at everything now: probes the fleet, reads the ledger, folds it, and works out what every version seen now or
    /// before (and each candidate) contains. `database` is `None` where it cannot be reached.
    ///
    /// # Errors
    /// The ledger cannot be read. What merely is not known is a doubt in the facts.
    pub async fn look(
        &self,
        database: Option<&Session>,
        candidates: &[Version],
        now: Timestamp,
    ) -> Result<Situation, Problem> {
        let _ = (
            database,
            candidates,
            now,
            self.project,
            self.environment,
            self.plans,
        );
        Err(Problem::new(
            crate::domain::Exit::Unknown,
            "not-built",
            "cannot look yet",
        ))
    }

    /// Remembers a look in the ledger, where there is one and the role may write: appends a `FleetObserved` record for each
    /// plan for which it differs from the last one or that one is older than ten minutes.
    ///
    /// # Errors
    /// The database refuses for another reason than a missing privilege or ledger.
    pub async fn remember(
        &self,
        database: &Session,
        situation: &Situation,
        plan: &PlanId,
    ) -> Result<(), Problem> {
        let _ = (database, situation, plan);
        Ok(())
    }
}
