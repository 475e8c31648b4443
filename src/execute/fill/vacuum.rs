//! Vacuums the table while it is filled, so that what the fill leaves behind is used again and the table does not double.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::Task;
use super::progress::Progress;
use crate::domain::Problem;
use crate::execute::event::Event;
use crate::execute::failpoint::{Failpoint, reach};
use crate::postgres::Session;

/// A vacuum is worth its while once so large a part of the rows went to other blocks since the last one.
const MOVED: f64 = 0.1;

/// Below this, the table is small enough that its growth is nothing.
const FEW_ROWS: f64 = 20_000.0;

/// Whether a fill is still going on, and how many rows of it went to other blocks so far.
#[derive(Debug, Default)]
pub(super) struct Meanwhile {
    /// Rows that moved.
    pub moved: AtomicU64,
    /// Whether the fill is over.
    over: watch::Sender<bool>,
}

impl Meanwhile {
    /// The fill is over.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// Waits for a moment; false once the fill is over.
    pub async fn goes_on(&self) -> bool {
        let mut over = self.over.subscribe();
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => false,
            () = tokio::time::sleep(Progress::EVERY) => true,
        }
    }
}

/// Vacuums now and then, until the fill is over. Nothing depends on it: where it cannot be done, that is said once.
///
/// # Errors
/// The database cannot be reached any more.
pub(super) async fn as_it_goes(task: &Task<'_>, meanwhile: &Meanwhile) -> Result<(), Problem> {
    let worth = (task.rows().unwrap_or_default() as f64 * MOVED).max(FEW_ROWS) as u64;
    let mut session = None;
    let mut last = meanwhile.moved.load(Ordering::Relaxed);
    while meanwhile.goes_on().await {
        let moved = meanwhile.moved.load(Ordering::Relaxed);
        if moved < last + worth {
            continue;
        }
        last = moved;
        let session = match &session {
            Some(session) => session,
            None => session.insert(Session::open(task.engine.connection, "vacuum").await?),
        };
        for relation in task.relations {
            // It gives way: to a stronger lock, and to the end of the table, which would take one.
            let vacuum = format!(
                "VACUUM (SKIP_LOCKED, TRUNCATE false, INDEX_CLEANUP on) {}",
                relation.name
            );
            let done = tokio::select! {
                done = session.client().batch_execute(&vacuum) => done,
                () = task.engine.stop.requested() => {
                    let cancel = "SELECT pg_cancel_backend($1)";
                    // If that fails, the vacuum ends in its own time; it takes nothing away.
                    let _ = task.monitor.execute(cancel, &[&session.backend_pid()]).await;
                    return Ok(());
                }
            };
            reach(Failpoint::FillVacuumed).await;
            if let Err(error) = done {
                task.events.event(&Event::Note {
                    phase: Some(task.phase.clone()),
                    message: format!("{} is not vacuumed as it is filled: {error}", relation.name),
                });
                return Ok(());
            }
        }
    }
    Ok(())
}
