//! One session that fills ranges, batch after batch: in the process that runs the plan, or in one that has joined it.
//!
//! A range of blocks is gone through in several [rounds](super::rounds).
//!
//! **Claims.** The lock on a range's row in the ledger is the claim. It lasts for one batch, whose transaction also writes
//! down how far the range has come: a worker that dies lets go of it, and the rows it did not commit are another's.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::relation::{Range, Relation, at_block};
use super::rounds::{BATCHES_A_ROUND, LAST_ROUND, LOOK_AGAIN_AFTER, Sense, filled_before, shares_after};
use super::statement::{alias, update, update_blocks};
use super::{Task, borrowed};
use crate::domain::{Exit, Problem};
use crate::execute::event::Event;
use crate::execute::failpoint::{Failpoint, reach};
use crate::execute::manners::Governor;
use crate::plan::BackfillPhase;
use crate::postgres::ledger::fill_range::{self, Claims, FillRange};
use crate::postgres::retry::{AttemptError, Blocker, FailedAttempt, Tries, Watch};
use crate::postgres::{Fence, Session, Witness, describe_error};

type Parameter<'p> = &'p (dyn ToSql + Sync);

/// Blocks in the first batch.
const FIRST_BLOCKS: f64 = 16.0;
/// Rows in the first batch, the smallest and the largest, where a range is walked by its key.
const FIRST_ROWS: f64 = 500.0;
const BATCH_ROWS: std::ops::RangeInclusive<f64> = 100.0..=50_000.0;
/// The largest batch, in blocks.
const MOST_BLOCKS: f64 = 16_384.0;
/// How long a worker that finds every range claimed waits.
const ALL_CLAIMED: Duration = Duration::from_millis(20);

/// A session with what it takes to fill.
pub(super) struct Worker {
    session: Session,
    fence: Fence,
    claims: Claims,
    updates: HashMap<String, Statement>,
    /// Tells how many rows of a table stayed in place.
    in_place: Statement,
    /// The range it worked on last.
    last: Option<i32>,
    /// A range in which somebody held a row for too long: others come first.
    avoided: Option<i32>,
    /// Blocks a batch: in a round of several, and where a range is filled at once.
    sizes: [f64; 2],
    /// Rows a batch, where a range is walked by its key.
    rows: f64,
    sense: Sense,
    /// Ranges that are yet to be filled at once, since rows did not stay in place.
    at_once: u32,
}

/// What came of looking for something to do.
enum Found {
    /// A batch was done in this time.
    Batch(Duration),
    /// Every range is claimed by somebody, or done.
    Nothing,
}

impl Worker {
    /// Connects and prepares. `number` names the session.
    ///
    /// # Errors
    /// The database cannot be reached, or the role may not use the ledger.
    pub async fn open(task: &Task<'_>, witness: &Witness, number: usize) -> Result<Self, Problem> {
        let session = Session::open(task.engine.connection, &format!("fill {}", number + 1)).await?;
        super::prepare_worker(session.client(), task.by_blocks()).await?;
        let (fence, claims) = (
            witness.fence(session.client()).await?,
            Claims::prepare(session.client()).await?,
        );
        let in_place = session
            .client()
            .prepare("SELECT pg_stat_get_xact_tuples_hot_updated($1)")
            .await
            .map_err(|error| describe_error(&error, "preparing a worker"))?;
        Ok(Self {
            session,
            in_place,
            fence,
            claims,
            updates: HashMap::new(),
            last: None,
            avoided: None,
            sizes: [FIRST_BLOCKS, FIRST_BLOCKS / f64::from(LAST_ROUND + 1)],
            rows: FIRST_ROWS,
            sense: Sense::default(),
            at_once: 0,
        })
    }

    /// Its server process.
    pub fn backend_pid(&self) -> i32 {
        self.session.backend_pid()
    }

    /// Its session.
    pub fn client(&self) -> &Client {
        self.session.client()
    }

    /// Fills until nothing is left of any range.
    ///
    /// # Errors
    /// What the server refuses; `lock-not-had`; `interrupted`; a lost lock.
    pub async fn work(&mut self, task: &Task<'_>, governor: &Governor<'_>) -> Result<(), Problem> {
        let stop = &task.engine.stop;
        let mut tries = Tries::new(&task.patience, stop);
        let what = format!("{}: a batch of the {}", task.phase, task.activity);
        loop {
            let allowance = governor.permit().await?;
            let (result, blockers) = self.attempt(task).await;
            match result {
                Ok(Found::Batch(took)) => {
                    tries.succeeded();
                    self.adapt(took, allowance.batch);
                    allowance.rest_after(took, stop).await?;
                }
                Ok(Found::Nothing) => {
                    if fill_range::totals(self.client(), task.key()).await?.left == 0 {
                        return Ok(());
                    }
                    stop.sleep(ALL_CLAIMED).await?;
                }
                Err(error) => {
                    self.shrink();
                    // What was seen in the batch that was rolled back did not happen.
                    self.avoided = std::mem::take(&mut self.sense).number;
                    self.last = None;
                    let report =
                        |failed: &FailedAttempt| task.events.event(&Event::retry(task.phase, failed));
                    match tries.after(error, blockers, &what, report).await {
                        Ok(()) => {}
                        Err(AttemptError::Problem(problem)) => return Err(problem),
                        Err(AttemptError::Database(error)) if is_gone(&error) => return Err(gone(task.spec)),
                        Err(AttemptError::Database(error)) => return Err(task.refused(&error)),
                    }
                }
            }
        }
    }

    /// One batch in one transaction with its claim; tells who blocked it.
    async fn attempt(&mut self, task: &Task<'_>) -> (Result<Found, AttemptError>, Vec<Blocker>) {
        let watch = Watch {
            monitor: task.monitor,
            worker: self.session.backend_pid(),
            stop: &task.engine.stop,
        };
        watch.over(self.batch(task)).await
    }

    /// One batch, in three round trips: what can be sent together is, since a batch is short.
    async fn batch(&mut self, task: &Task<'_>) -> Result<Found, AttemptError> {
        let result = self.within_transaction(task).await;
        if !matches!(result, Ok(Found::Batch(_))) {
            // Whatever it got to; without a connection, the server does it by itself.
            let ended = self.session.client().batch_execute("ROLLBACK").await;
            if result.is_ok() {
                ended?;
            }
        }
        result
    }

    /// Leaves the transaction open, unless it is committed.
    async fn within_transaction(&mut self, task: &Task<'_>) -> Result<Found, AttemptError> {
        let started = Instant::now();
        let client = self.session.client();
        let (begun, proved, claimed) = tokio::join!(
            biased;
            client.batch_execute("BEGIN"),
            self.fence.assert_held(client),
            self.claims.claim(client, task.key(), self.last, self.avoided),
        );
        begun?;
        proved?;
        let Some(mut range) = claimed? else {
            self.last = None;
            return Ok(Found::Nothing);
        };
        let Some(relation) = task
            .relations
            .iter()
            .find(|relation| relation.name == range.relation)
        else {
            return Err(gone(task.spec).into());
        };
        reach(Failpoint::FillBatchBegun).await;
        self.sense.enter(&mut range, task.sweep, &mut self.at_once);
        if relation.by_blocks {
            let statement = match self.updates.get(&relation.name) {
                Some(statement) => statement.clone(),
                None => {
                    let sql = update_blocks(task.spec, relation);
                    let statement = client.prepare(&sql).await?;
                    self.updates.insert(relation.name.clone(), statement.clone());
                    statement
                }
            };
            let prepared = Prepared {
                update: &statement,
                in_place: &self.in_place,
            };
            let size = self.sizes[usize::from(self.sense.whole)];
            by_blocks(client, &prepared, relation, &mut range, &mut self.sense, size).await?;
        } else {
            by_key(client, task, relation, &mut range, self.rows as u32).await?;
        }
        reach(Failpoint::FillRowsWritten).await;
        // Where the place cannot be saved, the commit that follows rolls back.
        tokio::try_join!(
            biased;
            async {
                self.claims.save(client, task.key(), &range).await?;
                reach(Failpoint::FillCursorSaved).await;
                Ok(())
            },
            client.batch_execute("COMMIT"),
        )?;
        reach(Failpoint::FillBatchCommitted).await;
        self.sense.round = range.round;
        self.last = (!range.done).then_some(range.number);
        if range.done {
            self.avoided = None;
        }
        if self.sense.gave_up() {
            self.at_once = LOOK_AGAIN_AFTER;
        }
        Ok(Found::Batch(started.elapsed()))
    }

    /// The size of the next batch: towards the target, by a factor of two at most.
    fn adapt(&mut self, took: Duration, target: Duration) {
        let factor = (target.as_secs_f64() / took.as_secs_f64().max(1e-6)).clamp(0.5, 2.0);
        let size = &mut self.sizes[usize::from(self.sense.whole)];
        *size = (*size * factor).clamp(1.0, MOST_BLOCKS);
        self.rows = (self.rows * factor).clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end());
    }

    /// After an attempt that failed: less at a time.
    fn shrink(&mut self) {
        let size = &mut self.sizes[usize::from(self.sense.whole)];
        *size = (*size / 2.0).max(1.0);
        self.rows = (self.rows / 2.0).max(*BATCH_ROWS.start());
    }
}

/// The statements of one session that fills by blocks.
struct Prepared<'p> {
    update: &'p Statement,
    in_place: &'p Statement,
}

/// Fills the next blocks of a range, about `size` of them.
async fn by_blocks(
    client: &Client,
    prepared: &Prepared<'_>,
    relation: &Relation,
    range: &mut FillRange,
    sense: &mut Sense,
    size: f64,
) -> Result<(), AttemptError> {
    let end = match range.end_block {
        Some(end) => end,
        None => relation.present_blocks(client).await?,
    };
    let blocks = end - range.first_block;
    let most = if sense.whole {
        blocks
    } else {
        blocks / BATCHES_A_ROUND
    };
    let upper = range.next_block + (size as i64).clamp(1, most.max(1));
    if range.next_block < end {
        let upper = upper.min(end);
        let shares = shares_after(range.round);
        let (from, to) = (at_block(range.next_block), at_block(upper));
        let (of, within): ([Parameter<'_>; 1], [Parameter<'_>; 3]) = ([&relation.oid], [&from, &to, &shares]);
        // The server counts on while the transaction lasts; the difference is what this statement did.
        let (before, changed, after) = tokio::try_join!(
            biased;
            client.query_one(prepared.in_place, &of),
            client.execute(prepared.update, &within),
            client.query_one(prepared.in_place, &of),
        )?;
        let in_place = (after.get::<_, i64>(0) - before.get::<_, i64>(0)).unsigned_abs();
        range.next_block = upper;
        range.rows_changed += changed;
        range.rows_moved += changed.saturating_sub(in_place);
        if range.round == 0 {
            sense.first += changed;
        } else {
            sense.later += changed;
            sense.in_place += in_place;
        }
    }
    let rows = blocks.max(0) as f64 * relation.rows_a_block;
    if range.next_block >= end {
        if range.round >= LAST_ROUND {
            range.done = true;
        } else {
            sense.whole = sense.is_enough(range.round, rows);
            range.round = if sense.whole { LAST_ROUND } else { range.round + 1 };
            range.next_block = range.first_block;
        }
    }
    let through = (range.next_block - range.first_block) as f64 / blocks.max(1) as f64;
    let (from, to) = (filled_before(range.round), filled_before(range.round + 1));
    let filled = if range.done {
        1.0
    } else {
        from + (to - from) * through
    };
    range.rows_done = (rows * filled.min(1.0)) as u64;
    Ok(())
}

/// Fills the next rows of a range by their keys.
async fn by_key(
    client: &Client,
    task: &Task<'_>,
    relation: &Relation,
    range: &mut FillRange,
    size: u32,
) -> Result<(), AttemptError> {
    let after = range.last_key.as_deref();
    let Some(Range { upper, rows }) = relation.next(client, after, size).await? else {
        range.done = true;
        return Ok(());
    };
    let (within, parameters) = relation.within(&alias(task.spec), after, &upper);
    let sql = update(task.spec, relation, &within);
    range.rows_changed += client.execute(&sql, &borrowed(&parameters)).await?;
    range.rows_done += rows;
    range.last_key = Some(upper);
    Ok(())
}

/// Whether a statement failed since its table is not there.
fn is_gone(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNDEFINED_TABLE)
}

/// A part of the table is no longer there, or not yet known here.
fn gone(spec: &BackfillPhase) -> Problem {
    Problem::new(
        Exit::Failed,
        "relation-gone",
        format!(
            "the partitions of {} are not those that the fill began with",
            spec.table
        ),
    )
    .because("one was added, detached or dropped, or the table was replaced, while it was filled")
    .fix("run the same command again: it goes on with the table as it is now")
}
