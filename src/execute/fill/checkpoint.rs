//! Where a fill stands as a whole: which pass, and how far its verification has come. How far the ranges of a pass have
//! come, they tell themselves.

use serde::{Deserialize, Serialize};
use tokio_postgres::GenericClient;

use crate::domain::{Exit, Problem};
use crate::postgres::ledger::{self, checkpoint::CheckpointKey};

/// The place at which a fill goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The effort it belongs to; the cursor of another effort means nothing.
    pub effort: String,
    /// Which pass over the table, from 1.
    pub pass: u32,
    /// Whether every range of this pass was gone through, so that it is to be verified.
    #[serde(default)]
    pub filled: bool,
    /// In the verification: the object ids of the relations that were looked at to their end.
    #[serde(default)]
    pub verified: Vec<u32>,
    /// In the verification: the relation (a partition, or the table itself) that is looked at, quoted for SQL.
    pub relation: Option<String>,
    /// In the verification: the last key that was looked at, as text.
    pub key: Option<Vec<String>>,
}

/// A cursor with what was counted on the way to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The place.
    pub cursor: Cursor,
    /// Rows looked at by this verification.
    pub looked: u64,
    /// Rows changed by all passes that are over.
    pub changed: u64,
}

/// The checkpoint of this effort; a fresh one where there is none.
pub(super) async fn load(
    client: &impl GenericClient,
    key: CheckpointKey<'_>,
    effort: &str,
) -> Result<Checkpoint, Problem> {
    let stored = ledger::checkpoint::load(client, key).await?;
    let usable = stored.and_then(|(stored, _)| {
        // A cursor in a form that is not understood is one of another effort.
        let cursor: Cursor = serde_json::from_value(stored.cursor?).ok()?;
        (cursor.effort == effort).then_some(Checkpoint {
            looked: stored.rows_done,
            changed: stored.rows_changed,
            cursor,
        })
    });
    Ok(usable.unwrap_or_else(|| Checkpoint {
        cursor: Cursor {
            effort: effort.to_owned(),
            pass: 1,
            ..Cursor::default()
        },
        ..Checkpoint::default()
    }))
}

/// Writes the checkpoint, inside the transaction of what it tells.
pub(super) async fn save(
    client: &impl GenericClient,
    key: CheckpointKey<'_>,
    checkpoint: &Checkpoint,
) -> Result<(), Problem> {
    let cursor = serde_json::to_value(&checkpoint.cursor).map_err(|error| {
        Problem::new(
            Exit::Failed,
            "cursor-unwritable",
            format!("the cursor cannot be written: {error}"),
        )
    })?;
    let stored = ledger::checkpoint::Checkpoint {
        attempt: i32::try_from(checkpoint.cursor.pass).unwrap_or(i32::MAX),
        cursor: Some(cursor),
        rows_done: checkpoint.looked,
        rows_changed: checkpoint.changed,
    };
    ledger::checkpoint::save(client, key, &stored).await
}
