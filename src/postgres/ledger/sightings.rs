//! The first and the last sighting of each version, by whatever look.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio_postgres::GenericClient;

use super::rights::{self, Rights};
use super::schema::newer;
use super::{Access, describe};
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::safety::{Sighting, Version};

/// What is remembered of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownVersion {
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// The last sighting.
    pub last: Sighting,
}

/// The privileges that remembering takes.
const PRIVILEGES: &str = "SELECT, INSERT, UPDATE";

/// The table that remembers.
const TABLE: &str = "version_sightings";

async fn rights(client: &impl GenericClient) -> Result<Rights, Problem> {
    rights::on(client, TABLE, &["INSERT", "UPDATE"]).await
}

/// Every version that was seen since a moment, or ever, by service and commit. Empty where nothing is remembered.
///
/// # Errors
/// `ledger-unknown` (exit 3) where something may be remembered that this role may not read; the database cannot be asked; a
/// sighting that this program cannot read (it is newer).
pub async fn known(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    since: Option<Timestamp>,
) -> Result<Vec<KnownVersion>, Problem> {
    let rights = rights(client).await?;
    if !rights.exists {
        return Ok(Vec::new());
    }
    if !rights.read {
        return Err(Problem::new(
            Exit::Unknown,
            "ledger-unknown",
            "our role may not read what was seen before",
        )
        .because("a version that only an earlier look saw may matter to a phase, and what is not known opens no gate")
        .fix(rights.grant(PRIVILEGES, TABLE)));
    }
    let rows = client
        .query(
            "SELECT first_seen, sighting FROM shipctl.version_sightings
              WHERE environment = $1 AND ($2::timestamptz IS NULL OR last_seen >= $2) ORDER BY service, commit",
            &[&environment.as_str(), &since],
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

/// Why a role that writes to the log cannot remember what it sees.
fn forgetful(rights: &Rights) -> Problem {
    let problem = |message, fix: String| {
        Problem::new(Exit::Unknown, "ledger-unknown", message)
            .because(
                "later looks would not know of it: whether an old version ran in between would be forgotten",
            )
            .fix(fix)
    };
    if rights.exists {
        problem(
            "our role may write to the log, but not remember what it sees",
            rights.grant(PRIVILEGES, TABLE),
        )
    } else {
        problem(
            "the ledger is an older one, which does not remember what is seen",
            "as its owner: shipctl deployed record SERVICE REV --env ENVIRONMENT brings it up to date"
                .to_owned(),
        )
    }
}

/// Remembers sightings, where the ledger is there and this role writes to it. One that may only read remembers nothing, as it
/// is meant to.
///
/// # Errors
/// `ledger-unknown` (exit 3) where this role writes to the log and may not, or cannot, write down what is seen; the database
/// cannot be asked, or refuses.
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
    if versions.is_empty() {
        return Ok(());
    }
    let rights = rights(client).await?;
    if !rights.write {
        return if rights.append {
            Err(forgetful(&rights))
        } else {
            Ok(())
        };
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
