//! Where a fill stands, committed together with the rows it changed, so that a crash costs nothing and repeats nothing.

use serde::{Deserialize, Serialize};
use tokio_postgres::GenericClient;

use super::engine::Engine;
use crate::domain::{Exit, PhaseId, Problem};
use crate::plan::Plan;
use crate::postgres::ledger::{self, checkpoint::CheckpointKey};

/// The place after which a fill goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::execute) struct Cursor {
    /// The effort it belongs to; the cursor of another effort means nothing.
    pub effort: String,
    /// Which pass over the table, from 1.
    pub pass: u32,
    /// The relation (a partition, or the table itself), quoted for SQL.
    pub relation: Option<String>,
    /// The last key that was dealt with, as text.
    pub key: Option<Vec<String>>,
}

/// A cursor with what was counted on the way to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::execute) struct Checkpoint {
    /// The place.
    pub cursor: Cursor,
    /// Rows looked at.
    pub looked: u64,
    /// Rows changed.
    pub changed: u64,
}

/// Whose checkpoint it is.
#[derive(Clone, Copy)]
pub(in crate::execute) struct Owner<'o> {
    pub engine: &'o Engine<'o>,
    pub plan: &'o Plan,
    pub phase: &'o PhaseId,
    pub activity: &'static str,
}

impl<'o> Owner<'o> {
    fn key(self) -> CheckpointKey<'o> {
        CheckpointKey {
            environment: &self.engine.environment.name,
            plan: self.plan.id(),
            phase: self.phase,
            activity: self.activity,
        }
    }
}

/// The checkpoint of this effort; a fresh one where there is none.
pub(in crate::execute) async fn load(
    client: &impl GenericClient,
    owner: Owner<'_>,
    effort: &str,
) -> Result<Checkpoint, Problem> {
    let stored = ledger::checkpoint::load(client, owner.key()).await?;
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

/// Writes the checkpoint, inside the transaction of the rows it counts.
pub(in crate::execute) async fn save(
    client: &impl GenericClient,
    owner: Owner<'_>,
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
    ledger::checkpoint::save(client, owner.key(), &stored).await
}
