//! Earlier looks of sources that have a drain window.

use jiff::Timestamp;
use tokio_postgres::GenericClient;

use super::rights::{self, Rights};
use super::schema::newer;
use super::{Access, describe};
use crate::domain::{EnvironmentName, Problem, ServiceName};
use crate::safety::{Sample, Sighting};

/// Whose looks.
#[derive(Clone, Copy, Debug)]
pub struct SampleKey<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The service that was looked at.
    pub service: &'a ServiceName,
    /// The source that looked: its kind, its number where the service has several of it, and a digest of its settings.
    pub source: &'a str,
}

/// The privileges that keeping looks takes.
pub const PRIVILEGES: &str = "SELECT, INSERT, DELETE";

/// The table that keeps them.
pub const TABLE: &str = "fleet_samples";

/// What this role may do with the looks. Nothing where there is no ledger, or an older one.
///
/// # Errors
/// The database cannot be asked.
pub async fn rights(client: &impl GenericClient) -> Result<Rights, Problem> {
    rights::on(client, TABLE, &["INSERT", "DELETE"]).await
}

/// The looks since a moment, oldest first.
///
/// # Errors
/// The database cannot be asked; a look that this program cannot read (it is newer).
pub async fn since(
    client: &impl GenericClient,
    key: SampleKey<'_>,
    moment: Timestamp,
) -> Result<Vec<Sample>, Problem> {
    let rows = client
        .query(
            "SELECT at, complete, sightings FROM shipctl.fleet_samples
              WHERE environment = $1 AND service = $2 AND source = $3 AND at >= $4 ORDER BY at",
            &[
                &key.environment.as_str(),
                &key.service.as_str(),
                &key.source,
                &moment,
            ],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "reading earlier looks"))?;
    rows.iter()
        .map(|row| {
            let sightings: Vec<Sighting> = serde_json::from_value(row.get("sightings"))
                .map_err(|error| newer(&format!("an earlier look cannot be read: {error}")))?;
            Ok(Sample {
                at: row.get("at"),
                complete: row.get("complete"),
                sightings,
            })
        })
        .collect()
}

/// Keeps a look, and lets go of those from before `forget`.
///
/// # Errors
/// The database refuses.
pub async fn keep(
    client: &impl GenericClient,
    key: SampleKey<'_>,
    sample: &Sample,
    forget: Timestamp,
) -> Result<(), Problem> {
    let failed = |error: tokio_postgres::Error| describe(&error, Access::Write, "keeping a look");
    let sightings = serde_json::to_value(&sample.sightings)
        .map_err(|error| newer(&format!("a look cannot be written: {error}")))?;
    let (environment, service) = (key.environment.as_str(), key.service.as_str());
    client
        .execute(
            "INSERT INTO shipctl.fleet_samples (environment, service, source, at, complete, sightings)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            &[
                &environment,
                &service,
                &key.source,
                &sample.at,
                &sample.complete,
                &sightings,
            ],
        )
        .await
        .map_err(failed)?;
    client
        .execute(
            "DELETE FROM shipctl.fleet_samples
              WHERE environment = $1 AND service = $2 AND source = $3 AND at < $4",
            &[&environment, &service, &key.source, &forget],
        )
        .await
        .map(drop)
        .map_err(failed)
}
