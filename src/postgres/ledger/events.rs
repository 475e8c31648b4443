//! Writing and reading the log.

use tokio_postgres::GenericClient;

use super::schema::{exists, newer};
use super::{Access, describe};
use crate::domain::{EnvironmentName, Exit, PhaseId, PlanId, Problem};
use crate::ledger::{Record, StoredRecord};

/// Appends a record and returns its sequence number; inside the caller's transaction if `client` is one.
///
/// # Errors
/// The database refuses.
pub async fn append(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    plan: Option<&PlanId>,
    actor: &str,
    record: &Record,
) -> Result<i64, Problem> {
    let unwritable = |why: &str| {
        Problem::new(Exit::Failed, "ledger-record", "a record cannot be written").because(why.to_owned())
    };
    let payload = serde_json::to_value(record).map_err(|error| unwritable(&error.to_string()))?;
    // What it is looked for by must be what it says of itself.
    let kind = record.kind();
    if payload.get("record").and_then(|kind| kind.as_str()) != Some(kind) {
        return Err(unwritable("its kind is not what it says"));
    }
    let row = client
        .query_one(
            "INSERT INTO shipctl.events (environment, plan, phase, kind, actor, payload)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING sequence",
            &[
                &environment.as_str(),
                &plan.map(PlanId::as_str),
                &record.phase().map(PhaseId::as_str),
                &kind,
                &actor,
                &payload,
            ],
        )
        .await
        .map_err(|error| describe(&error, Access::Write, "appending to the ledger"))?;
    Ok(row.get(0))
}

/// The other environments under whose names phases were started in this database.
///
/// # Errors
/// The database cannot be asked; a name that is none.
pub async fn other_environments(
    client: &impl GenericClient,
    environment: &EnvironmentName,
) -> Result<Vec<EnvironmentName>, Problem> {
    if !exists(client).await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT DISTINCT environment FROM shipctl.events
              WHERE environment <> $1 AND kind = 'phase-started' ORDER BY environment",
            &[&environment.as_str()],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "reading the ledger"))?;
    rows.iter()
        .map(|row| {
            row.get::<_, &str>(0)
                .parse()
                .map_err(|error: crate::domain::InvalidIdentifier| newer(&error.to_string()))
        })
        .collect()
}

/// The ids of all plans that have a record, in any environment.
///
/// # Errors
/// The database cannot be asked.
pub async fn plan_ids(client: &impl GenericClient) -> Result<Vec<String>, Problem> {
    if !exists(client).await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT DISTINCT plan FROM shipctl.events WHERE plan IS NOT NULL ORDER BY plan",
            &[],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "reading the ledger"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The records of one environment in order: those of one plan, or all. Empty where the ledger does not exist.
///
/// # Errors
/// The database cannot be asked; a record that this program cannot read (it is newer).
pub async fn read(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    plan: Option<&PlanId>,
) -> Result<Vec<StoredRecord>, Problem> {
    if !exists(client).await? {
        return Ok(Vec::new());
    }
    read_kinds(client, environment, plan, &[]).await
}

/// As [`read`], of a ledger that exists; only records of these kinds, or of every kind where none is given.
pub(super) async fn read_kinds(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    plan: Option<&PlanId>,
    kinds: &[&str],
) -> Result<Vec<StoredRecord>, Problem> {
    let rows = client
        .query(
            "SELECT sequence, at, plan, kind, actor, payload FROM shipctl.events
              WHERE environment = $1 AND ($2::text IS NULL OR plan = $2)
                AND ($3::text[] = '{}' OR kind = ANY ($3)) ORDER BY sequence",
            &[&environment.as_str(), &plan.map(PlanId::as_str), &kinds],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "reading the ledger"))?;
    rows.iter()
        .map(|row| {
            let sequence = row.get("sequence");
            let unreadable = |why: String| {
                let kind: &str = row.get("kind");
                newer(&format!("record {sequence} (`{kind}`) cannot be read: {why}"))
            };
            let plan = row
                .get::<_, Option<&str>>("plan")
                .map(str::parse)
                .transpose()
                .map_err(|error: crate::domain::InvalidIdentifier| unreadable(error.to_string()))?;
            let record = serde_json::from_value(row.get("payload"))
                .map_err(|error: serde_json::Error| unreadable(error.to_string()))?;
            Ok(StoredRecord {
                sequence,
                at: row.get("at"),
                environment: environment.clone(),
                plan,
                actor: row.get("actor"),
                record,
            })
        })
        .collect()
}
