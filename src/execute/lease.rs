//! Takes and gives back leases: the answer "yes, deploy" holds for a while, and contract phases wait for its end.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::failpoint::{Failpoint, reach};
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::ledger::{LeaseEnding, Record, StoredRecord, lease_returns};
use crate::postgres::{Session, describe_error, ledger};
use crate::safety::{Lease, Version};

const DOING: &str = "writing to the ledger";

/// Who deploys in which environment.
#[derive(Clone, Copy, Debug)]
pub struct Deployer<'d> {
    /// The environment.
    pub environment: &'d EnvironmentName,
    /// Who.
    pub actor: &'d str,
}

/// A deployment to be let go ahead.
#[derive(Clone, Debug)]
pub struct Wanted<'w> {
    /// The revision as it was asked about.
    pub revision: &'w str,
    /// What is deployed; each was judged by the rules, and may be.
    pub versions: BTreeSet<Version>,
    /// For how long.
    pub lasts: SignedDuration,
}

impl Deployer<'_> {
    /// Takes a lease, if the ledger still says what the judgement rests on: `judged` are the records that it was made from.
    /// From the comparison on, until the lease is written, no phase begins and nobody else takes one. `None` if something
    /// was recorded since: look and judge again.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn take(
        &self,
        session: &mut Session,
        judged: &[StoredRecord],
        wanted: &Wanted<'_>,
    ) -> Result<Option<Lease>, Problem> {
        reach(Failpoint::LeaseWanted).await;
        let failed = |error: tokio_postgres::Error| describe_error(&error, DOING);
        let transaction = session.client_mut().transaction().await.map_err(failed)?;
        ledger::lock_course(&transaction, self.environment).await?;
        if !ledger::is_as_read(&transaction, self.environment, judged).await? {
            return Ok(None);
        }
        let now = ledger::clock(&transaction).await?;
        let until = now.checked_add(wanted.lasts).map_err(|error| {
            Problem::new(
                Exit::Usage,
                "bad-lease",
                format!("a lease cannot last that long: {error}"),
            )
        })?;
        let record = Record::LeaseTaken {
            revision: wanted.revision.to_owned(),
            versions: wanted.versions.clone(),
            until,
        };
        ledger::append(&transaction, self.environment, None, self.actor, &record).await?;
        let leases = ledger::leases(&transaction, self.environment).await?;
        let own = leases.into_iter().rev().find(|lease| {
            lease.holder == self.actor && lease.versions == wanted.versions && lease.is_live(now)
        });
        reach(Failpoint::LeaseWritten).await;
        transaction.commit().await.map_err(failed)?;
        reach(Failpoint::LeaseTaken).await;
        own.map(Some).ok_or_else(|| {
            Problem::new(
                Exit::Failed,
                "lease-lost",
                "the lease that was taken is not in the ledger",
            )
        })
    }

    /// Gives back what leases hold of some versions: those of one holder, or whoever holds them; those that were over as well,
    /// so that nothing reminds of them. The leases as they were.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub async fn give_back(
        &self,
        session: &mut Session,
        versions: &BTreeSet<Version>,
        holder: Option<&str>,
        ending: LeaseEnding,
        reason: Option<&str>,
    ) -> Result<Vec<Lease>, Problem> {
        let failed = |error: tokio_postgres::Error| describe_error(&error, DOING);
        let transaction = session.client_mut().transaction().await.map_err(failed)?;
        let mut leases = ledger::leases(&transaction, self.environment).await?;
        leases.retain(|lease| holder.is_none_or(|holder| lease.holder == holder));
        for record in lease_returns(&leases, versions, ending, reason) {
            ledger::append(&transaction, self.environment, None, self.actor, &record).await?;
        }
        transaction.commit().await.map_err(failed)?;
        leases.retain(|lease| !lease.versions.is_disjoint(versions));
        Ok(leases)
    }
}
