//! What running instances say about themselves.

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::GenericClient;

use super::schema::exists;
use super::{Access, describe};
use crate::domain::Problem;

/// One instance's last word. Nothing in it has been checked: applications write it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// The instance, as it names itself.
    pub instance: String,
    /// The commit, as it was written.
    pub commit: String,
    /// When it was written, by the database's clock.
    pub observed_at: Timestamp,
}

/// The services that wrote heartbeats within `within`, with the commits they named.
///
/// # Errors
/// The database cannot be asked.
pub async fn reporting_services(
    client: &impl GenericClient,
    within: SignedDuration,
) -> Result<Vec<(String, String)>, Problem> {
    let rows = client
        .query(
            "SELECT DISTINCT service, commit FROM shipctl.heartbeats
              WHERE extract(epoch FROM clock_timestamp() - observed_at)::float8 <= $1
              ORDER BY service, commit",
            &[&within.as_secs_f64()],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "reading heartbeats"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The heartbeats of a service that are not older than `within`, by instance. Empty where there is no ledger.
///
/// # Errors
/// The database cannot be asked.
pub async fn recent_heartbeats(
    client: &impl GenericClient,
    service: &str,
    within: SignedDuration,
) -> Result<Vec<Heartbeat>, Problem> {
    if !exists(client).await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT instance, commit, observed_at FROM shipctl.heartbeats
              WHERE service = $1 AND extract(epoch FROM clock_timestamp() - observed_at)::float8 <= $2
              ORDER BY instance",
            &[&service, &within.as_secs_f64()],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "reading heartbeats"))?;
    Ok(rows
        .iter()
        .map(|row| Heartbeat {
            instance: row.get("instance"),
            commit: row.get("commit"),
            observed_at: row.get("observed_at"),
        })
        .collect())
}
