//! Reading the leases, and the lock under which deployments are let go ahead and phases begin: one after the other.

use jiff::Timestamp;
use tokio_postgres::error::SqlState;
use tokio_postgres::{GenericClient, Transaction};

use super::events::read_kinds;
use super::schema::exists;
use super::{Access, describe};
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::ledger::{StoredRecord, leases as fold, leases_since as fold_since};
use crate::postgres::describe_error;
use crate::safety::Lease;

/// The kinds of records that leases are folded from.
const KINDS: [&str; 2] = ["lease-taken", "lease-returned"];

/// The kinds of records on which it depends whether a version may be deployed.
const COURSE: [&str; 8] = [
    "plan-registered",
    "phase-started",
    "phase-finished",
    "phase-failed",
    "backfill-verified",
    "data-restored",
    "lease-taken",
    "lease-returned",
];

/// How long the lock is waited for. Whoever holds it writes one record.
const PATIENCE: &str = "SET LOCAL lock_timeout = '10s'";

/// Lets one transaction at a time take a lease or begin a phase in an environment; held until `transaction` ends. What one
/// of them reads of the other kind is true until it has written its own.
///
/// # Errors
/// The database cannot be asked; `ledger-locked` (exit 6) where somebody holds the lock for ten seconds.
pub async fn lock_course(
    transaction: &Transaction<'_>,
    environment: &EnvironmentName,
) -> Result<(), Problem> {
    let doing = "waiting for another who takes a lease or begins a phase";
    transaction
        .batch_execute(PATIENCE)
        .await
        .map_err(|error| describe_error(&error, doing))?;
    let subject = format!("shipctl course {environment}");
    transaction
        .execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
            &[&subject],
        )
        .await
        .map(drop)
        .map_err(|error| match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Problem::new(
                Exit::Locked,
                "ledger-locked",
                format!(
                    "somebody takes a lease or begins a phase in {environment}, and does not come to an end"
                ),
            )
            .because("only one of them is let through at a time, and it writes but one record")
            .fix("try again; if it stays so, look for a session `shipctl …` that hangs in a transaction"),
            _ => describe_error(&error, doing),
        })
}

/// The present moment by the database's clock, by which leases begin and end.
///
/// # Errors
/// The database cannot be asked.
pub async fn clock(client: &impl GenericClient) -> Result<Timestamp, Problem> {
    client
        .query_one("SELECT clock_timestamp()", &[])
        .await
        .map(|row| row.get(0))
        .map_err(|error| describe_error(&error, "reading the database's clock"))
}

/// The leases of an environment that were not given back. Empty where there is no ledger.
///
/// # Errors
/// The database cannot be asked; a record that this program cannot read (it is newer).
pub async fn leases(
    client: &impl GenericClient,
    environment: &EnvironmentName,
) -> Result<Vec<Lease>, Problem> {
    if !exists(client).await? {
        return Ok(Vec::new());
    }
    read_kinds(client, environment, None, &KINDS)
        .await
        .map(|records| fold(&records))
}

/// The leases of an environment that counted at some time since a moment, whether or not they were given back since.
///
/// # Errors
/// As [`leases`].
pub async fn leases_since(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    moment: Timestamp,
) -> Result<Vec<Lease>, Problem> {
    if !exists(client).await? {
        return Ok(Vec::new());
    }
    read_kinds(client, environment, None, &KINDS)
        .await
        .map(|records| fold_since(&records, moment))
}

/// Whether the ledger has no record, on which it depends whether a version may be deployed, besides those that a look has
/// read. Records are only ever added, so that their number tells.
///
/// # Errors
/// The database cannot be asked.
pub async fn is_as_read(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    records: &[StoredRecord],
) -> Result<bool, Problem> {
    let there: i64 = client
        .query_one(
            "SELECT count(*) FROM shipctl.events WHERE environment = $1 AND kind = ANY ($2)",
            &[&environment.as_str(), &COURSE.as_slice()],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|error| describe(&error, Access::Read, "reading the ledger"))?;
    let read = records
        .iter()
        .filter(|stored| COURSE.contains(&stored.record.kind()))
        .count();
    Ok(i64::try_from(read).is_ok_and(|read| read == there))
}
