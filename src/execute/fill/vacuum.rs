//! Vacuums the table while it is filled, so that what the fill leaves behind is used again and the table does not double.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::Task;
use super::progress::Progress;
use crate::domain::{Exit, Problem};
use crate::execute::event::Event;
use crate::execute::failpoint::{Failpoint, reach};
use crate::execute::manners::Governor;
use crate::postgres::{Session, describe_error};

/// A vacuum is worth its while once so large a part of the rows went to other blocks since the last one.
const MOVED: f64 = 0.2;

/// Below this, the table is small enough that its growth is nothing.
const FEW_ROWS: f64 = 20_000.0;

/// The privilege to maintain a table exists from this version on.
const MAINTAIN_SINCE: u32 = 170_000;

/// How long a cancelled vacuum is waited for.
const LONGEST_CANCEL: Duration = Duration::from_secs(5);

/// How long a vacuum may go on once the fill is over; the server's own will come by.
const LONGEST_END: Duration = Duration::from_secs(30);

/// How a fill that goes on meanwhile stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stands {
    #[default]
    GoesOn,
    IsOver,
    Failed,
}

/// Whether a fill is still going on, and how many rows of it went to other blocks so far.
#[derive(Debug, Default)]
pub(super) struct Meanwhile {
    /// Rows that moved.
    pub moved: AtomicU64,
    stands: watch::Sender<Stands>,
}

impl Meanwhile {
    /// The fill is over, or has failed.
    pub fn end(&self, result: &Result<(), Problem>) {
        self.stands.send_replace(match result {
            Ok(()) => Stands::IsOver,
            Err(_) => Stands::Failed,
        });
    }

    /// Waits for a moment; false once the fill has ended.
    async fn goes_on(&self) -> bool {
        tokio::select! {
            biased;
            () = self.reaches(|stands| stands != Stands::GoesOn) => false,
            () = tokio::time::sleep(Progress::EVERY) => true,
        }
    }

    async fn reaches(&self, wanted: impl Fn(Stands) -> bool) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.stands.subscribe().wait_for(|stands| wanted(*stands)).await;
    }
}

/// Vacuums now and then, until the fill has ended. Nothing depends on it: where it cannot be done, that is said once.
pub(super) async fn as_it_goes(task: &Task<'_>, governor: &Governor<'_>, meanwhile: &Meanwhile) {
    if let Err(problem) = now_and_then(task, governor, meanwhile).await
        && problem.code() != "interrupted"
    {
        task.events.event(&Event::Note {
            phase: Some(task.phase.clone()),
            message: format!("the table is not vacuumed as it is filled: {problem}"),
        });
    }
}

async fn now_and_then(
    task: &Task<'_>,
    governor: &Governor<'_>,
    meanwhile: &Meanwhile,
) -> Result<(), Problem> {
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
            None => session.insert(opened(task).await?),
        };
        for relation in task.relations {
            tokio::select! {
                allowance = governor.permit() => drop(allowance?),
                () = meanwhile.reaches(|stands| stands != Stands::GoesOn) => return Ok(()),
            }
            let failed = |error: tokio_postgres::Error| describe_error(&error, "vacuuming");
            let goes_too_long = async {
                meanwhile.reaches(|stands| stands != Stands::GoesOn).await;
                tokio::select! {
                    () = tokio::time::sleep(LONGEST_END) => {}
                    () = meanwhile.reaches(|stands| stands == Stands::Failed) => {}
                }
            };
            let vacuum = format!(
                // It gives way: to a stronger lock, and to the end of the table, which would take one.
                "VACUUM (SKIP_LOCKED, TRUNCATE false, INDEX_CLEANUP on, PARALLEL 0) {}",
                relation.name
            );
            let vacuuming = session.client().batch_execute(&vacuum);
            tokio::pin!(vacuuming);
            tokio::select! {
                done = &mut vacuuming => done.map_err(failed)?,
                () = goes_too_long => {
                    let cancel = "SELECT pg_cancel_backend($1)";
                    // If that fails, the vacuum ends in its own time; it takes nothing away.
                    if task.monitor.execute(cancel, &[&session.backend_pid()]).await.is_ok() {
                        let _ = tokio::time::timeout(LONGEST_CANCEL, vacuuming).await;
                    }
                    return Ok(());
                }
            }
            reach(Failpoint::FillVacuumed).await;
        }
    }
    Ok(())
}

/// A session that vacuums gently, if the role may vacuum the table at all: the server would only warn.
async fn opened(task: &Task<'_>) -> Result<Session, Problem> {
    let session = Session::open(task.engine.connection, "vacuum").await?;
    let failed = |error: tokio_postgres::Error| describe_error(&error, "preparing a vacuum");
    session
        .client()
        .batch_execute("SET vacuum_cost_delay = '2ms'; SET vacuum_cost_limit = 2000")
        .await
        .map_err(failed)?;
    let may = if session.server_version() >= MAINTAIN_SINCE {
        "has_table_privilege(oid, 'MAINTAIN')"
    } else {
        "pg_has_role(relowner, 'USAGE')"
    };
    for relation in task.relations {
        let sql = format!("SELECT {may} FROM pg_class WHERE oid = $1");
        let row = session
            .client()
            .query_opt(&sql, &[&relation.oid])
            .await
            .map_err(failed)?;
        if !row.is_none_or(|row| row.get(0)) {
            return Err(Problem::new(
                Exit::Failed,
                "may-not-vacuum",
                format!("{} belongs to another role", relation.name),
            ));
        }
    }
    Ok(session)
}
