//! What runs now, by every source, as far as it can be learnt.

use jiff::Timestamp;

use super::Observer;
use super::fleet::{Probing, probe};
use super::remembered::{by_plan, in_force, read_stored, states_of, unfinished};
use super::repositories::doubt_of;
use crate::domain::{Exit, Problem};
use crate::postgres::{Session, describe_error, ledger};
use crate::safety::{Fleet, ServiceRequirement, SourceReport, combine};

/// What runs, without what the ledger knows: all that can be learnt while the database is out of reach.
#[derive(Clone, Debug)]
pub struct Census {
    /// The combined fleet.
    pub fleet: Fleet,
    /// What each source said.
    pub reports: Vec<SourceReport>,
    /// The moment of the look: by the database's clock, or by this machine's where the database is out of reach.
    pub now: Timestamp,
}

impl Observer<'_> {
    /// Looks at the fleet alone. Sources that need the database are in doubt where it is `None`.
    ///
    /// `local` is this machine's clock. It may be wrong, and the ledger is dated by the database's: so that one clock
    /// decides what came before what, all that is found is dated by the database's.
    pub async fn census(&self, database: Option<&Session>, local: Timestamp) -> Census {
        let now = match database {
            Some(session) => clock_of(session).await.unwrap_or(local),
            None => local,
        };
        let mut census = self.census_at(database, local, now).await;
        let Some(session) = database else { return census };
        match ledger::read(session.client(), &self.environment.name, None).await {
            Ok(records) => {
                let by_plan = by_plan(&records);
                let states = states_of(&by_plan);
                let stored = read_stored(self.plans, &by_plan, &states);
                let plans = in_force(self.plans, &stored.newer, &stored.departed);
                self.doubt_who_holds_locks(session, &mut census.fleet, unfinished(plans, &states))
                    .await;
                self.doubt_locks_unseen(
                    &mut census.fleet,
                    stored.unreadable.iter().map(|(_, doubt)| doubt),
                );
            }
            Err(problem) => self.doubt_locks_unseen(&mut census.fleet, [&doubt_of(&problem)]),
        }
        census
    }

    /// As [`Self::census`], with both clocks.
    pub(super) async fn census_at(
        &self,
        database: Option<&Session>,
        local: Timestamp,
        now: Timestamp,
    ) -> Census {
        let reports = probe(&Probing {
            environment: self.environment,
            root: &self.project.root,
            database,
            now: local,
            skew: now.duration_since(local),
        })
        .await;
        let requirements: Vec<ServiceRequirement> = self
            .environment
            .services
            .iter()
            .map(|service| service.requirement())
            .collect();
        let mut fleet = combine(&requirements, &reports, now);
        if let Some(session) = database {
            self.remember_sightings(session, &reports, &mut fleet).await;
        }
        Census { fleet, reports, now }
    }
}

/// The present moment by the database's clock, which dates the ledger too.
///
/// # Errors
/// The database cannot be asked; `database-standby` (exit 3) if it is not the one that is written to: its ledger lags
/// behind, and only those who read are connected to it.
pub(super) async fn clock_of(session: &Session) -> Result<Timestamp, Problem> {
    let (now, standby): (Timestamp, bool) = session
        .client()
        .query_one("SELECT clock_timestamp(), pg_is_in_recovery()", &[])
        .await
        .and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .map_err(|error| describe_error(&error, "reading the database's clock"))?;
    if standby {
        return Err(Problem::new(
            Exit::Unknown,
            "database-standby",
            "this server is a standby of the database",
        )
        .because("its ledger lags behind, and it sees only the clients that read from it")
        .fix("name the primary; with several hosts, add `target_session_attrs=read-write`"));
    }
    Ok(now)
}
