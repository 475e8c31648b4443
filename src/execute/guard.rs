//! Watches over a statement while it runs: notes who blocks it, and cancels it when somebody asks to stop.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::engine::Stop;

/// How often a waiting statement's blockers are looked up, and a cancel request is repeated.
const INTERVAL: Duration = Duration::from_millis(250);

/// How much of a blocker's query is shown.
const QUERY_SHOWN: usize = 80;

/// A watch over one server process, from another session.
pub(in crate::execute) struct Guard<'g> {
    /// The session to look and to cancel from.
    pub monitor: &'g Client,
    /// The server process that works.
    pub worker: i32,
    /// Whether to stop.
    pub stop: &'g Stop,
}

impl Guard<'_> {
    /// Runs the work to its end, and tells who blocked it when last looked at.
    ///
    /// Once somebody asks to stop, the statement at hand is cancelled, so that the work ends with an error soon.
    pub async fn over<T>(&self, work: impl Future<Output = T>) -> (T, Vec<String>) {
        tokio::pin!(work);
        let mut blockers = Vec::new();
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tick.tick().await;
        loop {
            tokio::select! {
                biased;
                result = &mut work => return (result, blockers),
                () = self.stop.requested(), if !self.stop.is_requested() => {}
                _ = tick.tick() => {}
            }
            if self.stop.is_requested() {
                // A session may cancel those of its own role. If that fails, the work ends in its own time.
                let _ = self
                    .monitor
                    .execute("SELECT pg_cancel_backend($1)", &[&self.worker])
                    .await;
                tokio::select! {
                    biased;
                    result = &mut work => return (result, blockers),
                    _ = tick.tick() => {}
                }
            } else if let Ok(found) = blockers_of(self.monitor, self.worker).await
                && !found.is_empty()
            {
                blockers = found;
            }
        }
    }
}

/// Who blocks a server process, in words.
async fn blockers_of(monitor: &Client, worker: i32) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = monitor
        .query(
            "SELECT pid, coalesce(nullif(application_name, ''), 'an unnamed client'), coalesce(state, 'unknown state'),
                    extract(epoch FROM clock_timestamp() - xact_start)::bigint,
                    regexp_replace(coalesce(query, ''), '\\s+', ' ', 'g')
             FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1)) ORDER BY xact_start NULLS LAST",
            &[&worker],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (pid, name, state): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
            let age: Option<i64> = row.get(3);
            let query: String = row.get(4);
            let shown: String = query.trim().chars().take(QUERY_SHOWN).collect();
            let age = age.map_or(String::new(), |seconds| {
                format!(", in a transaction for {seconds} s")
            });
            let query = if shown.is_empty() {
                shown
            } else {
                format!(": {shown}")
            };
            format!("{name} (pid {pid}, {state}{age}){query}")
        })
        .collect())
}

/// Whether trying again can help: a lock that was not free in time, a deadlock, a serialization failure.
pub(in crate::execute) fn may_be_retried(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(
            &SqlState::LOCK_NOT_AVAILABLE
                | &SqlState::T_R_DEADLOCK_DETECTED
                | &SqlState::T_R_SERIALIZATION_FAILURE
        )
    )
}

/// Whether the server says that what is to be taken back is not there, or that what is to be put back is there.
pub(in crate::execute) fn is_so_already(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(
            &SqlState::UNDEFINED_TABLE
                | &SqlState::UNDEFINED_COLUMN
                | &SqlState::UNDEFINED_OBJECT
                | &SqlState::UNDEFINED_FUNCTION
                | &SqlState::INVALID_SCHEMA_NAME
                | &SqlState::DUPLICATE_TABLE
                | &SqlState::DUPLICATE_COLUMN
                | &SqlState::DUPLICATE_OBJECT
                | &SqlState::DUPLICATE_FUNCTION
                | &SqlState::DUPLICATE_SCHEMA
        )
    )
}
