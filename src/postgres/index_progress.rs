//! How far the server has come with building an index, from `pg_stat_progress_create_index`.

use tokio_postgres::Client;

use super::blockers::{Blocker, session_of};
use super::describe_error;
use crate::domain::Problem;

/// How far an index build has come.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexProgress {
    /// What the server is doing, in a few words.
    pub stage: &'static str,
    /// How much of this stage is done.
    pub done: u64,
    /// Of how much; 0 where the server does not know.
    pub total: u64,
    /// Of what: `blocks`, `rows`, `transactions` or `partitions`.
    pub unit: &'static str,
    /// The session whose transaction it waits for.
    pub waits_for: Option<Blocker>,
}

/// How far a server process has come; `None` while it builds no index.
///
/// # Errors
/// The database cannot be asked.
pub async fn index_progress(monitor: &Client, pid: i32) -> Result<Option<IndexProgress>, Problem> {
    let row = monitor
        .query_opt(
            "SELECT phase, coalesce(lockers_done, 0), coalesce(lockers_total, 0), coalesce(current_locker_pid, 0)::int,
                    coalesce(blocks_done, 0), coalesce(blocks_total, 0), coalesce(tuples_done, 0),
                    coalesce(tuples_total, 0), coalesce(partitions_done, 0), coalesce(partitions_total, 0)
               FROM pg_stat_progress_create_index WHERE pid = $1 AND phase IS NOT NULL",
            &[&pid],
        )
        .await
        .map_err(|error| describe_error(&error, "looking how far an index is"))?;
    let Some(row) = row else { return Ok(None) };
    let number = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
    let stage = stage(row.get(0));
    let (done, total, unit) = match stage.1 {
        Counts::Lockers => (number(1), number(2), "transactions"),
        Counts::Work if number(5) > 0 => (number(4), number(5), "blocks"),
        Counts::Work if number(7) > 0 => (number(6), number(7), "rows"),
        Counts::Work => (number(8), number(9), "partitions"),
    };
    let locker: i32 = row.get(3);
    let waits_for = match stage.1 {
        Counts::Lockers if locker != 0 => session_of(monitor, locker).await?,
        _ => None,
    };
    Ok(Some(IndexProgress {
        stage: stage.0,
        done,
        total,
        unit,
        waits_for,
    }))
}

/// What is counted in a stage.
#[derive(Clone, Copy)]
enum Counts {
    /// Transactions that are waited for.
    Lockers,
    /// Blocks, or rows.
    Work,
}

/// The server's word for a stage in plain ones. Index methods add their own part behind a colon.
fn stage(phase: &str) -> (&'static str, Counts) {
    match phase {
        "waiting for writers before build" => ("waiting for writers before the build", Counts::Lockers),
        "waiting for writers before validation" => ("waiting for writers before the check", Counts::Lockers),
        "waiting for old snapshots" => ("waiting for transactions that began before", Counts::Lockers),
        "waiting for readers before marking dead" | "waiting for readers before dropping" => {
            ("waiting for readers of the old index", Counts::Lockers)
        }
        "building index: scanning table" => ("reading the table", Counts::Work),
        "building index: sorting live tuples" | "building index: sorting dead tuples" => {
            ("sorting", Counts::Work)
        }
        "building index: loading tuples in tree" => ("writing the index", Counts::Work),
        "index validation: scanning index" => ("checking: reading the index", Counts::Work),
        "index validation: sorting tuples" => ("checking: sorting", Counts::Work),
        "index validation: scanning table" => ("checking: reading the table again", Counts::Work),
        phase if phase.starts_with("building index") => ("building the index", Counts::Work),
        _ => ("beginning", Counts::Work),
    }
}
