//! Looking on while a statement runs: who blocks it, and whether the user asks to stop.

use std::time::Duration;

use tokio_postgres::Client;

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(250);

/// How much of a blocker's query is shown, in characters.
const SHOWN: i32 = 80;

/// What came of a statement, and what was seen meanwhile.
pub(super) struct Watched<T> {
    pub result: T,
    /// Who blocked it when last looked at.
    pub blockers: Vec<String>,
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

/// Who blocks a server process, in words.
async fn blockers_of(monitor: &Client, pid: i32) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = monitor
        .query(
            "SELECT format('%s (pid %s, %s%s)%s', coalesce(nullif(application_name, ''), 'an unnamed client'), pid,
                           coalesce(state, 'state not shown'),
                           ', in a transaction for ' || extract(epoch FROM date_trunc('second',
                               clock_timestamp() - xact_start))::bigint || ' s',
                           ': ' || nullif(left(regexp_replace(query, '\\s+', ' ', 'g'), $2), ''))
               FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1)) ORDER BY xact_start",
            &[&pid, &SHOWN],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
