//! How far a migration that cannot run in one transaction has come, so that a crash repeats nothing.

use serde::{Deserialize, Serialize};
use tokio_postgres::GenericClient;

use crate::domain::{Digest, Problem};
use crate::postgres::describe_error;

/// What stands in the places of environment and plan; no environment has an empty name.
const NOWHERE: &str = "";

/// Running or undoing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

impl Way {
    fn activity(self) -> &'static str {
        match self {
            Self::Up => "migrate-up",
            Self::Down => "migrate-down",
        }
    }
}

/// The steps that took effect, and one that may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The digests of the steps that are done, in order.
    pub done: Vec<Digest>,
    /// A step outside a transaction was begun and not recorded as done.
    #[serde(default)]
    pub begun: bool,
}

/// The progress of one migration; `None` if it never began.
pub(super) async fn load(
    client: &impl GenericClient,
    name: &str,
    way: Way,
) -> Result<Option<Progress>, Problem> {
    let row = client
        .query_opt(
            "SELECT cursor::text FROM shipctl.checkpoints
              WHERE environment = $1 AND plan = $1 AND phase = $2 AND activity = $3",
            &[&NOWHERE, &name, &way.activity()],
        )
        .await
        .map_err(|error| describe_error(&error, "reading how far a migration came"))?;
    Ok(row
        .and_then(|row| row.get::<_, Option<String>>(0))
        .and_then(|text| serde_json::from_str(&text).ok()))
}

/// Saves it; in the transaction of the step it counts.
pub(super) async fn save(
    client: &impl GenericClient,
    name: &str,
    way: Way,
    progress: &Progress,
) -> Result<(), Problem> {
    let cursor = serde_json::json!(progress);
    client
        .execute(
            "INSERT INTO shipctl.checkpoints (environment, plan, phase, activity, cursor) VALUES ($1, $1, $2, $3, $4)
             ON CONFLICT (environment, plan, phase, activity)
             DO UPDATE SET cursor = EXCLUDED.cursor, updated_at = clock_timestamp()",
            &[&NOWHERE, &name, &way.activity(), &cursor],
        )
        .await
        .map(drop)
        .map_err(|error| describe_error(&error, "saving how far a migration came"))
}

/// Forgets it, once the migration as a whole is recorded.
pub(super) async fn clear(client: &impl GenericClient, name: &str) -> Result<(), Problem> {
    client
        .execute(
            "DELETE FROM shipctl.checkpoints WHERE environment = $1 AND plan = $1 AND phase = $2",
            &[&NOWHERE, &name],
        )
        .await
        .map(drop)
        .map_err(|error| describe_error(&error, "tidying up after a migration"))
}

/// Every migration that began and is not recorded as a whole.
pub(super) async fn all(client: &impl GenericClient) -> Result<Vec<(String, Way, Progress)>, Problem> {
    let rows = client
        .query(
            "SELECT phase, activity, cursor::text FROM shipctl.checkpoints WHERE environment = $1 AND plan = $1",
            &[&NOWHERE],
        )
        .await
        .map_err(|error| describe_error(&error, "reading how far migrations came"))?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let way = match row.get::<_, &str>(1) {
                "migrate-up" => Way::Up,
                "migrate-down" => Way::Down,
                _ => return None,
            };
            let progress = serde_json::from_str(row.get::<_, Option<&str>>(2)?).ok()?;
            Some((row.get(0), way, progress))
        })
        .collect())
}
