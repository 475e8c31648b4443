//! Counts the rows that do not satisfy the check, so that nothing depends on a fill that missed some.
//!
//! Rows move in their file when something else of them is written, so that a look at one block after the other could miss
//! a row that moves from the part to come into the part that is behind. Two ways do not: one snapshot for all of the
//! table, which is quick, but keeps old row versions alive for as long as it takes; and the key, piece by piece, each
//! with a snapshot of its own, which a row keeps wherever it moves. Tables that are read in seconds, and those without a key,
//! are looked at in the first way; large ones in the second.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio_postgres::Client;

use super::checkpoint::{self, Checkpoint, Cursor};
use super::progress::Progress;
use super::relation::{Range, Relation, at_block, within_blocks};
use super::statement::{alias, unclean, update};
use super::worker::Worker;
use super::{ROW_LOCK_TIMEOUT, Task, borrowed};
use crate::domain::Problem;
use crate::execute::engine::Hold;
use crate::execute::failpoint::{Failpoint, reach};
use crate::execute::manners::{Allowance, Governor};
use crate::postgres::describe_error;
use crate::postgres::retry::{is_worth_another, milliseconds};

/// Blocks in a piece, in one snapshot: some tens of milliseconds.
const PIECE_BLOCKS: i64 = 1_024;
/// How long a piece should take, by key; it takes no locks that anybody waits for.
const PIECE_TIME: Duration = Duration::from_millis(200);
/// The first piece and the smallest, and the largest, by key.
const PIECE_ROWS: std::ops::RangeInclusive<f64> = 1_000.0..=200_000.0;
/// A pause that lasts longer ends a look in one snapshot.
const SHORT_PAUSE: Duration = Duration::from_secs(2);
/// How often the place is written down, by key.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// So many rows of a piece at most are filled on the spot; more are left to another pass.
const ON_THE_SPOT: u64 = 2_000;
/// Example keys shown of rows that do not satisfy the check.
const EXAMPLES: usize = 5;

/// What a verification found.
#[derive(Debug, Default)]
pub(super) struct Unclean {
    /// Rows that do not satisfy the check.
    pub rows: u64,
    /// The keys of some.
    pub examples: Vec<String>,
}

impl Unclean {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES);
    }
}

/// Counts the rows of the table that do not satisfy the check.
///
/// # Errors
/// What the server refuses; `interrupted`; a lost lock.
pub(super) async fn verify(
    hold: &mut Hold<'_>,
    task: &Task<'_>,
    governor: &Governor<'_>,
    crew: &[Worker],
    checkpoint: &mut Checkpoint,
) -> Result<Unclean, Problem> {
    let progress = &mut Progress::new(task, "verify", checkpoint.looked, 0);
    let bytes: u64 = task.relations.iter().map(|relation| relation.bytes).sum();
    let all_by_blocks = task.relations.iter().all(|relation| relation.by_blocks);
    let all_have_keys = task.relations.iter().all(Relation::has_key);
    if all_by_blocks && (bytes <= hold.fill.one_snapshot || !all_have_keys) {
        in_one_snapshot(hold, task, governor, crew, progress).await
    } else {
        by_key(hold, task, governor, checkpoint, progress).await
    }
}

/// A range of blocks to look at.
struct Piece<'p> {
    relation: &'p Relation,
    from: i64,
    to: i64,
}

/// Shares the table among the workers, all of which look at it as it was at one moment. If the work is paused, the snapshot is
/// let go of, since it keeps old versions of every row alive, and the verification begins anew afterwards.
async fn in_one_snapshot(
    hold: &Hold<'_>,
    task: &Task<'_>,
    governor: &Governor<'_>,
    crew: &[Worker],
    progress: &mut Progress,
) -> Result<Unclean, Problem> {
    loop {
        permitted(hold, task, governor, progress).await?;
        let looked = once(hold, task, governor, crew, progress).await?;
        // Only now, since a snapshot lives as long as the transaction that exported it.
        for worker in crew {
            let ended = worker.client().batch_execute("ROLLBACK").await;
            ended.map_err(|error| task.refused(&error))?;
        }
        if let Some(unclean) = looked {
            return Ok(unclean);
        }
    }
}

/// One look at everything; `None` if the work was paused in the middle. Leaves the workers in their transactions.
async fn once(
    hold: &Hold<'_>,
    task: &Task<'_>,
    governor: &Governor<'_>,
    crew: &[Worker],
    progress: &mut Progress,
) -> Result<Option<Unclean>, Problem> {
    let failed = |error: tokio_postgres::Error| task.refused(&error);
    let mut pieces = Vec::new();
    let mut snapshot: Option<String> = None;
    for worker in crew {
        let client = worker.client();
        // A lock that readers take holds up nobody while it is waited for.
        let mut begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = {};
             SET LOCAL idle_in_transaction_session_timeout = 0",
            milliseconds(task.patience.long_timeout)
        );
        match &snapshot {
            Some(snapshot) => begin.push_str(&format!("; SET TRANSACTION SNAPSHOT '{snapshot}'")),
            // Before the snapshot: a table that somebody rewrites in between would look empty to it.
            None => {
                for relation in task.relations {
                    begin.push_str(&format!(
                        "; LOCK TABLE ONLY {} IN ACCESS SHARE MODE",
                        relation.name
                    ));
                }
            }
        }
        client.batch_execute(&begin).await.map_err(failed)?;
        if snapshot.is_none() {
            let exported = client.query_one("SELECT pg_export_snapshot()", &[]).await;
            snapshot = Some(exported.map_err(failed)?.get(0));
            for relation in task.relations {
                let end = relation.present_blocks(client).await.map_err(failed)?;
                pieces.extend(in_pieces(relation, end));
            }
        }
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let looking = try_join_all(
        crew.iter()
            .map(|worker| look_at(worker.client(), task, governor, &pieces, &next, &done)),
    );
    tokio::pin!(looking);
    let total = task.rows().unwrap_or_default() as f64;
    let found = loop {
        tokio::select! {
            found = &mut looking => break found?,
            () = tokio::time::sleep(Progress::EVERY) => {
                let share = done.load(Ordering::Relaxed) as f64 / pieces.len().max(1) as f64;
                progress.tell(task, (total * share) as u64, 0);
            }
        }
        // Meanwhile the workers wait at most for as long as a look takes.
        progress.look_out(hold, task).await;
    };
    let mut sum = Unclean::default();
    for one in found {
        match one {
            Some(one) => sum.add(one),
            None => return Ok(None),
        }
    }
    Ok(Some(sum))
}

fn in_pieces(relation: &Relation, end: i64) -> impl Iterator<Item = Piece<'_>> {
    std::iter::successors(Some(0), |from| Some(from + PIECE_BLOCKS))
        .take_while(move |from| *from < end)
        .map(move |from| Piece {
            relation,
            from,
            to: (from + PIECE_BLOCKS).min(end),
        })
}

/// Looks at pieces until none is left; `None` if the work is paused for longer than a moment.
async fn look_at(
    client: &Client,
    task: &Task<'_>,
    governor: &Governor<'_>,
    pieces: &[Piece<'_>],
    next: &AtomicUsize,
    done: &AtomicUsize,
) -> Result<Option<Unclean>, Problem> {
    let mut found = Unclean::default();
    while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
        let Ok(allowance) = tokio::time::timeout(SHORT_PAUSE, governor.permit()).await else {
            return Ok(None);
        };
        let allowance = allowance?;
        let started = Instant::now();
        let range = within_blocks(&alias(task.spec));
        let parameters = [at_block(piece.from), at_block(piece.to)];
        let counted = count(client, task, piece.relation, &range, &parameters).await;
        found.add(counted.map_err(|error| task.refused(&error))?);
        done.fetch_add(1, Ordering::Relaxed);
        allowance.rest_after(started.elapsed(), &task.engine.stop).await?;
    }
    Ok(Some(found))
}

/// The rows of a range that do not satisfy the check, with some of their keys.
async fn count(
    client: &Client,
    task: &Task<'_>,
    relation: &Relation,
    range: &str,
    parameters: &[String],
) -> Result<Unclean, tokio_postgres::Error> {
    let rest = unclean(task.spec, relation, range);
    let counted = client
        .query_one(&format!("SELECT count(*) {rest}"), &borrowed(parameters))
        .await?;
    let rows = counted.get::<_, i64>(0).unsigned_abs();
    let mut examples = Vec::new();
    if rows > 0 {
        let key = relation.shown_key(&alias(task.spec));
        let sql = format!("SELECT {key} {rest} LIMIT {EXAMPLES}");
        let found = client.query(&sql, &borrowed(parameters)).await?;
        examples.extend(found.iter().map(|row| row.get::<_, String>(0)));
    }
    Ok(Unclean { rows, examples })
}

/// Goes through the table by its key, from the checkpoint on; what a piece lacks is filled on the spot where it is little.
async fn by_key(
    hold: &mut Hold<'_>,
    task: &Task<'_>,
    governor: &Governor<'_>,
    checkpoint: &mut Checkpoint,
    progress: &mut Progress,
) -> Result<Unclean, Problem> {
    let failed = |error: tokio_postgres::Error| task.refused(&error);
    let mut found = Unclean::default();
    let mut size = *PIECE_ROWS.start();
    let mut saved = Instant::now();
    // Where a resumed verification may go on: never behind rows that were found and not filled.
    let mut safe = checkpoint.cursor.clone();
    for relation in task.relations {
        if checkpoint.cursor.verified.contains(&relation.oid) {
            continue;
        }
        if checkpoint.cursor.relation.as_ref() != Some(&relation.name) {
            checkpoint.cursor.relation = Some(relation.name.clone());
            checkpoint.cursor.key = None;
        }
        loop {
            let allowance = permitted(hold, task, governor, progress).await?;
            let after = checkpoint.cursor.key.clone();
            let started = Instant::now();
            let client = hold.work.client();
            let next = relation.next(client, after.as_deref(), size as u32).await;
            let Some(Range { upper, rows }) = next.map_err(failed)? else {
                break;
            };
            let (range, parameters) = relation.within(&alias(task.spec), after.as_deref(), &upper);
            let mut piece = count(client, task, relation, &range, &parameters)
                .await
                .map_err(failed)?;
            if (1..=ON_THE_SPOT).contains(&piece.rows) {
                let sql = update(task.spec, relation, &range);
                on_the_spot(hold, task, checkpoint, &safe, &sql, &parameters).await?;
                let client = hold.work.client();
                piece = count(client, task, relation, &range, &parameters)
                    .await
                    .map_err(failed)?;
            }
            found.add(piece);
            checkpoint.looked += rows;
            checkpoint.cursor.key = Some(upper);
            let took = started.elapsed();
            let factor = PIECE_TIME.as_secs_f64() / took.as_secs_f64().max(1e-6);
            size = (size * factor.clamp(0.5, 2.0)).clamp(*PIECE_ROWS.start(), *PIECE_ROWS.end());
            if found.rows == 0 {
                safe = checkpoint.cursor.clone();
                if saved.elapsed() >= SAVE_EVERY {
                    save(hold, task, checkpoint).await?;
                    saved = Instant::now();
                }
            }
            progress.tell(task, checkpoint.looked, found.rows);
            allowance.rest_after(took, &hold.engine.stop).await?;
        }
        checkpoint.cursor.verified.push(relation.oid);
    }
    Ok(found)
}

/// Waits until a piece may be looked at. The fleet is looked at meanwhile as well: what comes and goes during a pause taints
/// too.
async fn permitted(
    hold: &Hold<'_>,
    task: &Task<'_>,
    governor: &Governor<'_>,
    progress: &mut Progress,
) -> Result<Allowance, Problem> {
    loop {
        progress.look_out(hold, task).await;
        tokio::select! {
            allowance = governor.permit() => return allowance,
            () = tokio::time::sleep(hold.engine.pace.look_every) => {}
        }
    }
}

/// Fills what a piece lacks, and counts it, in one transaction, with the place where a resumed verification may go on. Whoever
/// holds one of the rows goes first: what could not be filled now is left to another pass.
async fn on_the_spot(
    hold: &mut Hold<'_>,
    task: &Task<'_>,
    checkpoint: &mut Checkpoint,
    safe: &Cursor,
    sql: &str,
    parameters: &[String],
) -> Result<(), Problem> {
    let failed = |error: tokio_postgres::Error| task.refused(&error);
    let transaction = hold.work.client_mut().transaction().await.map_err(failed)?;
    hold.lock.assert_held(&transaction).await?;
    let patience = format!("SET LOCAL lock_timeout = {}", milliseconds(ROW_LOCK_TIMEOUT));
    transaction.batch_execute(&patience).await.map_err(failed)?;
    match transaction.execute(sql, &borrowed(parameters)).await {
        Ok(changed) => checkpoint.changed += changed,
        Err(error) if is_worth_another(&error) => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let place = Checkpoint {
        cursor: safe.clone(),
        ..checkpoint.clone()
    };
    checkpoint::save(&transaction, task.of(), &place).await?;
    transaction.commit().await.map_err(failed)?;
    reach(Failpoint::FillRepaired).await;
    Ok(())
}

/// Writes down where the verification is.
async fn save(hold: &mut Hold<'_>, task: &Task<'_>, checkpoint: &Checkpoint) -> Result<(), Problem> {
    let doing = |error: tokio_postgres::Error| describe_error(&error, "writing down a verification");
    let transaction = hold.work.client_mut().transaction().await.map_err(doing)?;
    hold.lock.assert_held(&transaction).await?;
    checkpoint::save(&transaction, task.of(), checkpoint).await?;
    transaction.commit().await.map_err(doing)
}
