//! `recorded`: what `shipctl deployed record` wrote into the ledger.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Findings, Probing, Seen, Shared, doubt_of};
use crate::ledger::{Record, StoredRecord};
use crate::postgres::{describe_error, ledger};
use crate::project::Service;
use crate::safety::{Doubt, Sighting};

pub(super) async fn ask(
    probing: &Probing<'_>,
    shared: &Shared,
    service: &Service,
    max_age: SignedDuration,
) -> Result<Findings, Doubt> {
    let session = probing.database("recorded")?;
    let environment = &probing.environment.name;
    let records = shared
        .records
        .get_or_try_init(|| async { ledger::read(session.client(), environment, None).await })
        .await
        .map_err(|problem| doubt_of(&problem))?;
    // Records bear the database's time, so their age is by the database's clock too.
    let now: Timestamp = session
        .client()
        .query_one("SELECT clock_timestamp()", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| Doubt::new(describe_error(&error, "reading the database's clock").message()))?;

    let record = format!("shipctl deployed record {} REV --env {environment}", service.name);
    let mut findings = Findings::default();
    for (at, sighting) in standing(records, service) {
        let age = now.duration_since(at);
        if age > max_age {
            findings.doubts.push(
                Doubt::new(format!(
                    "that {} runs {} was recorded {age:#.0} ago, longer than its `max_age` of {max_age:#}",
                    service.name,
                    sighting.commit.short()
                ))
                .fix(record.clone()),
            );
        }
        findings.seen.push(Seen {
            instance: sighting.instance.clone(),
            commit: sighting.commit.clone(),
            at,
        });
    }
    if findings.seen.is_empty() {
        findings
            .doubts
            .push(Doubt::new(format!("no deployment of {} was recorded", service.name)).fix(record));
    }
    Ok(findings)
}

/// The records that still stand: the latest of each instance, and none from before one for the whole service.
fn standing<'r>(records: &'r [StoredRecord], service: &Service) -> Vec<(Timestamp, &'r Sighting)> {
    let mut latest: BTreeMap<&str, (Timestamp, &Sighting)> = BTreeMap::new();
    for stored in records {
        if let Record::DeploymentRecorded { sighting } = &stored.record
            && sighting.service == service.name
        {
            if sighting.instance == WHOLE_SERVICE {
                latest.clear();
            }
            latest.insert(&sighting.instance, (stored.at, sighting));
        }
    }
    latest.into_values().collect()
}

/// The instance of a record that is about a whole service.
pub const WHOLE_SERVICE: &str = "all";
