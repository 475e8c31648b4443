//! Looking on while a statement runs: who blocks it, and whether the user asks to stop.

use std::time::Duration;

use tokio_postgres::Client;

use crate::postgres::retry::{Blocker, blockers_of};

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(250);

/// What came of a statement, and what was seen meanwhile.
pub(super) struct Watched<T> {
    pub result: T,
    /// Who blocked it when last looked at.
    pub blockers: Vec<Blocker>,
    /// Whether the user asked to stop.
    pub interrupted: bool,
}

/// Runs `work` of the server process `pid` to its end. When the user asks to stop, the statement is cancelled.
pub(super) async fn watch<T>(monitor: &Client, pid: i32, work: impl Future<Output = T>) -> Watched<T> {
    tokio::pin!(work);
    let mut blockers = Vec::new();
    let mut interrupted = false;
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tokio::select! {
            biased;
            result = &mut work => return Watched { result, blockers, interrupted },
            asked = tokio::signal::ctrl_c(), if !interrupted => interrupted = asked.is_ok(),
            _ = tick.tick() => {}
        }
        if interrupted {
            // A role may cancel its own sessions. If it fails, the statement ends in its own time.
            let _ = monitor.execute("SELECT pg_cancel_backend($1)", &[&pid]).await;
            tokio::select! {
                biased;
                result = &mut work => return Watched { result, blockers, interrupted },
                _ = tick.tick() => {}
            }
        } else if let Ok(seen) = blockers_of(monitor, pid).await
            && !seen.is_empty()
        {
            blockers = seen;
        }
    }
}
