//! What every look does besides judging: it remembers what it saw, and it doubts whom it cannot place.

use std::collections::BTreeSet;

use super::Observer;
use super::fleet::holding_locks;
use super::repositories::doubt_of;
use crate::domain::TableName;
use crate::plan::Plan;
use crate::postgres::{Session, ledger};
use crate::project::SourceKind;
use crate::safety::{Completeness, Doubt, Fleet, SourceReport};

impl Observer<'_> {
    /// Every look is remembered, for a plan or not, so that taint and soak know of what it saw. A claim is not a look. A look
    /// that is forgotten though it should not be is doubtful: nobody would know of it later. Whoever may only read is not
    /// expected to write.
    pub(super) async fn remember_sightings(
        &self,
        session: &Session,
        reports: &[SourceReport],
        fleet: &mut Fleet,
    ) {
        let sightings = reports
            .iter()
            .flat_map(|report| &report.sightings)
            .filter(|sighting| sighting.completeness != Completeness::Claim);
        let written = ledger::sightings::remember(session.client(), &self.environment.name, sightings).await;
        let Err(problem) = written else { return };
        let doubt = doubt_of(&problem);
        for (service, census) in &mut fleet.services {
            census.doubts.push(Doubt {
                why: format!("what was seen of {service} is not remembered: {}", doubt.why),
                ..doubt.clone()
            });
        }
    }

    /// Clients of undeclared programs that hold locks on the tables of plans make it doubtful whether all that uses these
    /// tables was seen: each of them may be an instance of any service, whatever that is seen by. Only where some service is
    /// told by the names of its clients; elsewhere nobody needs to bear one, and it is not known which are declared.
    pub(super) async fn doubt_who_holds_locks<'p>(
        &self,
        session: &Session,
        fleet: &mut Fleet,
        plans: impl Iterator<Item = &'p Plan>,
    ) {
        let mut sources = self
            .environment
            .services
            .iter()
            .flat_map(|service| &service.sources);
        if !sources.any(|source| matches!(source.kind, SourceKind::Connections { .. })) {
            return;
        }
        let tables: BTreeSet<TableName> = plans.flat_map(|plan| plan.tables()).cloned().collect();
        let tables: Vec<TableName> = tables.into_iter().collect();
        let doubts = holding_locks(self.environment, session, &tables)
            .await
            .unwrap_or_else(|doubt| vec![doubt]);
        for census in fleet.services.values_mut() {
            census.doubts.extend(doubts.iter().cloned());
        }
    }
    /// Why it is not known of all plans whose locks matter.
    pub(super) fn doubt_locks_unseen<'d>(&self, fleet: &mut Fleet, why: impl IntoIterator<Item = &'d Doubt>) {
        if !self.tells_clients_apart() {
            return;
        }
        for doubt in why {
            for census in fleet.services.values_mut() {
                census.doubts.push(Doubt {
                    why: format!(
                        "who holds locks on the tables of plans was not looked at: {}",
                        doubt.why
                    ),
                    ..doubt.clone()
                });
            }
        }
    }

    /// Whether any service is told by the names of its clients.
    fn tells_clients_apart(&self) -> bool {
        let mut sources = self
            .environment
            .services
            .iter()
            .flat_map(|service| &service.sources);
        sources.any(|source| matches!(source.kind, SourceKind::Connections { .. }))
    }
}
