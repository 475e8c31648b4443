//! What every look does besides judging: it remembers what it saw, and it doubts whom it cannot place.

use std::collections::BTreeSet;

use super::Observer;
use super::fleet::holding_locks;
use crate::domain::{ServiceName, TableName};
use crate::plan::Plan;
use crate::postgres::{Session, ledger};
use crate::project::SourceKind;
use crate::safety::{Completeness, Fleet, SourceReport};

impl Observer<'_> {
    /// Every look is remembered, for a plan or not, so that taint and soak know of what it saw. A claim is not a look. What
    /// cannot be written costs no answer.
    pub(super) async fn remember_sightings(&self, session: &Session, reports: &[SourceReport]) {
        let sightings = reports
            .iter()
            .flat_map(|report| &report.sightings)
            .filter(|sighting| sighting.completeness != Completeness::Claim);
        let written = ledger::sightings::remember(session.client(), &self.environment.name, sightings).await;
        if let Err(problem) = written {
            tracing::debug!(%problem, "what was seen is not remembered");
        }
    }

    /// Clients of undeclared programs that hold locks on the tables of plans under way make it doubtful whether all that
    /// uses these tables was seen. Only where clients are told apart by their names, so that it is known which are declared.
    pub(super) async fn doubt_who_holds_locks<'p>(
        &self,
        session: &Session,
        fleet: &mut Fleet,
        plans: impl Iterator<Item = &'p Plan>,
    ) {
        let named: Vec<&ServiceName> = self
            .environment
            .services
            .iter()
            .filter(|service| {
                let mut sources = service.sources.iter();
                sources.any(|source| matches!(source.kind, SourceKind::Connections { .. }))
            })
            .map(|service| &service.name)
            .collect();
        if named.is_empty() {
            return;
        }
        let tables: BTreeSet<TableName> = plans.flat_map(|plan| plan.tables()).cloned().collect();
        let tables: Vec<TableName> = tables.into_iter().collect();
        let doubts = holding_locks(self.environment, session, &tables)
            .await
            .unwrap_or_else(|doubt| vec![doubt]);
        for service in named {
            if let Some(census) = fleet.services.get_mut(service) {
                census.doubts.extend(doubts.iter().cloned());
            }
        }
    }
}
