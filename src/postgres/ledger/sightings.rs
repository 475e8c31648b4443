//! The first and the last sighting of each version, by whatever look.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio_postgres::GenericClient;

use super::schema::newer;
use super::{Access, describe};
use crate::domain::{EnvironmentName, Problem};
use crate::safety::{Sighting, Version};

/// What is remembered of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownVersion {
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// The last sighting.
    pub last: Sighting,
}

/// What this role may do with the memory: read it, and write to it. Neither where there is no ledger, or an older one.
async fn rights(client: &impl GenericClient) -> Result<(bool, bool), Problem> {
    let row = client
        .query_opt(
            "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
                    NOT pg_is_in_recovery() AND has_table_privilege(c.oid, 'INSERT')
                        AND has_table_privilege(c.oid, 'UPDATE')
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = 'shipctl' AND c.relname = 'version_sightings'",
            &[],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "looking whether sightings are remembered"))?;
    Ok(row.map_or((false, false), |row| {
        let read: bool = row.get(0);
        (read, read && row.get(1))
    }))
}

/// Every version that was ever seen, by service and commit. Empty where nothing is remembered or may be read.
///
/// # Errors
/// The database cannot be asked; a sighting that this program cannot read (it is newer).
pub async fn known(
    client: &impl GenericClient,
    environment: &EnvironmentName,
) -> Result<Vec<KnownVersion>, Problem> {
    if !rights(client).await?.0 {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT first_seen, sighting FROM shipctl.version_sightings
              WHERE environment = $1 ORDER BY service, commit",
            &[&environment.as_str()],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "reading what was seen before"))?;
    rows.iter()
        .map(|row| {
            Ok(KnownVersion {
                first_seen: row.get("first_seen"),
                last: serde_json::from_value(row.get("sighting"))
                    .map_err(|error| newer(&format!("a sighting cannot be read: {error}")))?,
            })
        })
        .collect()
}

/// Remembers sightings, where the ledger is there and this role may write to it.
///
/// # Errors
/// The database cannot be asked, or refuses for another reason than a missing privilege or ledger.
pub async fn remember<'s>(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    sightings: impl Iterator<Item = &'s Sighting>,
) -> Result<(), Problem> {
    // One row each, always in the same order, so that two who look at once do not wait for each other in a circle.
    let mut versions: BTreeMap<Version, (Timestamp, &Sighting)> = BTreeMap::new();
    for sighting in sightings {
        let at = sighting.observed_at;
        versions
            .entry(sighting.version())
            .and_modify(|(first, last)| {
                *first = (*first).min(at);
                if at > last.observed_at {
                    *last = sighting;
                }
            })
            .or_insert((at, sighting));
    }
    if versions.is_empty() || !rights(client).await?.1 {
        return Ok(());
    }
    let mut services = Vec::new();
    let mut commits = Vec::new();
    let mut firsts = Vec::new();
    let mut lasts = Vec::new();
    let mut texts = Vec::new();
    for (version, (first, last)) in versions {
        services.push(version.service.to_string());
        commits.push(version.commit.to_string());
        firsts.push(first);
        lasts.push(last.observed_at);
        texts.push(
            serde_json::to_value(last)
                .map_err(|error| newer(&format!("a sighting cannot be written: {error}")))?,
        );
    }
    client
        .execute(
            "INSERT INTO shipctl.version_sightings AS known
                    (environment, service, commit, first_seen, last_seen, sighting)
             SELECT $1::text, seen.* FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::jsonb[]) AS seen
             ON CONFLICT (environment, service, commit) DO UPDATE
                SET first_seen = least(known.first_seen, excluded.first_seen),
                    last_seen = greatest(known.last_seen, excluded.last_seen),
                    sighting = CASE WHEN excluded.last_seen >= known.last_seen
                                    THEN excluded.sighting ELSE known.sighting END
              WHERE excluded.last_seen > known.last_seen OR excluded.first_seen < known.first_seen",
            &[&environment.as_str(), &services, &commits, &firsts, &lasts, &texts],
        )
        .await
        .map(drop)
        .map_err(|error| describe(&error, Access::Write, "remembering what was seen"))
}
