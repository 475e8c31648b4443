//! How far long work has come. Saved in the transaction of the work it counts, so that a crash repeats nothing.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::GenericClient;

use super::{Access, describe};
use crate::domain::{EnvironmentName, PhaseId, PlanId, Problem};

/// Whose progress it is.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointKey<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The plan.
    pub plan: &'a PlanId,
    /// The phase.
    pub phase: &'a PhaseId,
    /// What is done, such as `backfill`, `verify` or `restore`.
    pub activity: &'a str,
}

/// A place in long work.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Which round this is, from 1; a round begun anew has no cursor.
    pub attempt: i32,
    /// Where to go on; `None` is the beginning. Its form belongs to the activity.
    pub cursor: Option<Value>,
    /// Rows looked at in this round.
    pub rows_done: u64,
    /// Rows changed in this round.
    pub rows_changed: u64,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            attempt: 1,
            cursor: None,
            rows_done: 0,
            rows_changed: 0,
        }
    }
}

/// The last checkpoint with the time it was saved (the database's clock), if there is one.
///
/// # Errors
/// The database cannot be asked.
pub async fn load(
    client: &impl GenericClient,
    key: CheckpointKey<'_>,
) -> Result<Option<(Checkpoint, Timestamp)>, Problem> {
    let row = client
        .query_opt(
            "SELECT attempt, cursor, rows_done, rows_changed, updated_at FROM shipctl.checkpoints
              WHERE environment = $1 AND plan = $2 AND phase = $3 AND activity = $4",
            &[
                &key.environment.as_str(),
                &key.plan.as_str(),
                &key.phase.as_str(),
                &key.activity,
            ],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "reading a checkpoint"))?;
    Ok(row.map(|row| {
        let checkpoint = Checkpoint {
            attempt: row.get("attempt"),
            cursor: row.get("cursor"),
            rows_done: row.get::<_, i64>("rows_done").unsigned_abs(),
            rows_changed: row.get::<_, i64>("rows_changed").unsigned_abs(),
        };
        (checkpoint, row.get("updated_at"))
    }))
}

/// Saves a checkpoint; in the transaction of the work it counts.
///
/// # Errors
/// The database refuses.
pub async fn save(
    client: &impl GenericClient,
    key: CheckpointKey<'_>,
    checkpoint: &Checkpoint,
) -> Result<(), Problem> {
    let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    client
        .execute(
            "INSERT INTO shipctl.checkpoints
                    (environment, plan, phase, activity, attempt, cursor, rows_done, rows_changed)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (environment, plan, phase, activity) DO UPDATE
                SET attempt = EXCLUDED.attempt, cursor = EXCLUDED.cursor, rows_done = EXCLUDED.rows_done,
                    rows_changed = EXCLUDED.rows_changed, updated_at = clock_timestamp()",
            &[
                &key.environment.as_str(),
                &key.plan.as_str(),
                &key.phase.as_str(),
                &key.activity,
                &checkpoint.attempt,
                &checkpoint.cursor,
                &count(checkpoint.rows_done),
                &count(checkpoint.rows_changed),
            ],
        )
        .await
        .map(drop)
        .map_err(|error| describe(&error, Access::Write, "saving a checkpoint"))
}

/// Forgets a checkpoint, so that the work begins anew.
///
/// # Errors
/// The database refuses.
pub async fn clear(client: &impl GenericClient, key: CheckpointKey<'_>) -> Result<(), Problem> {
    client
        .execute(
            "DELETE FROM shipctl.checkpoints
              WHERE environment = $1 AND plan = $2 AND phase = $3 AND activity = $4",
            &[
                &key.environment.as_str(),
                &key.plan.as_str(),
                &key.phase.as_str(),
                &key.activity,
            ],
        )
        .await
        .map(drop)
        .map_err(|error| describe(&error, Access::Write, "clearing a checkpoint"))
}
