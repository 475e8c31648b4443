//! Fills a table in batches until every row satisfies the check: `UPDATE … WHERE (verify) IS NOT TRUE`, range by range.
//!
//! The cursor commits with the rows of its batch. A fill that was killed goes on after the last batch that committed, and
//! rows that need nothing are never written, so nothing is changed twice. The last commits of a fill may be lost in a crash
//! of the server (`synchronous_commit = off`), and the cursor with them: they are simply done again.

use std::time::{Duration, Instant};

use tokio_postgres::types::ToSql;

use super::checkpoint::{self, Checkpoint, Owner};
use super::engine::Hold;
use super::event::Event;
use super::failpoint::{Failpoint, reach};
use super::ranges::{Range, Relation, relations};
use crate::domain::{Exit, PhaseId, Problem, SqlIdentifier};
use crate::plan::BackfillPhase;
use crate::postgres::describe_error;
use crate::postgres::retry::{self, AttemptError, Blocker, FailedAttempt, Tries, Watch};
use crate::safety::tainted;

/// How long a batch should take: short enough that live traffic does not feel its locks.
const BATCH_TIME: Duration = Duration::from_millis(20);
/// How long a piece of the verification should take; it takes no locks that anybody waits for.
const PIECE_TIME: Duration = Duration::from_millis(200);
/// Rows in the first batch.
const FIRST_BATCH: u32 = 500;
/// The smallest and the largest batch.
const BATCH_ROWS: std::ops::RangeInclusive<u32> = 100..=50_000;
/// The smallest and the largest piece of the verification.
const PIECE_ROWS: std::ops::RangeInclusive<u32> = 1_000..=200_000;
/// How long a batch may wait for a row that somebody holds.
pub(in crate::execute) const ROW_LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Passes over the table before a fill that never comes out clean is given up.
const PASSES: u32 = 4;
/// Passes after which a fill that need not come out clean ends.
const PASSES_AT_LEAST: u32 = 2;
/// Example keys shown of rows that do not satisfy the check.
const EXAMPLES: usize = 5;

/// What is to be filled, for which phase.
pub(in crate::execute) struct Fill<'f> {
    /// The phase.
    pub phase: &'f PhaseId,
    /// What is set, and the check.
    pub spec: &'f BackfillPhase,
    /// `backfill`, `restore` or `refill`: names the checkpoint and the progress.
    pub activity: &'static str,
    /// Names the effort; a cursor of another effort means nothing.
    pub effort: String,
    /// During the fill, looks out for versions that taint this backfill.
    pub watch: bool,
    /// Whether rows that keep failing the check make it fail. Not where running code may rightly go on writing such rows:
    /// what was dropped is put back while the code that no longer writes it still runs.
    pub must_be_clean: bool,
}

/// Fills until a verification over the whole table finds nothing; the rows changed by all attempts of this effort.
///
/// # Errors
/// `backfill-unclean` (exit 5) if rows keep failing the check; what the server refuses; `interrupted`; a lost lock.
pub(in crate::execute) async fn until_clean(hold: &mut Hold<'_>, fill: &Fill<'_>) -> Result<u64, Problem> {
    prepare_session(hold).await?;
    reach(Failpoint::FillPrepared).await;
    let result = passes(hold, fill).await;
    // Even after a failure: the session goes on to write records, which must be durable.
    let reset = reset_session(hold).await;
    let rows = result?;
    reset?;
    Ok(rows)
}

async fn prepare_session(hold: &Hold<'_>) -> Result<(), Problem> {
    hold.work
        .client()
        .batch_execute(&format!(
            "SET lock_timeout = {}; SET synchronous_commit = off; SET enable_seqscan = off; SET jit = off;
             SET plan_cache_mode = force_custom_plan; SELECT set_config('shipctl.backfill', 'on', false)",
            ROW_LOCK_TIMEOUT.as_millis()
        ))
        .await
        .map_err(|error| describe_error(&error, "preparing the session for a fill"))
}

/// Puts the session back into the state in which phases begin.
pub(in crate::execute) async fn reset_session(hold: &Hold<'_>) -> Result<(), Problem> {
    hold.work
        .client()
        .batch_execute(
            "RESET ALL; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
             SET standard_conforming_strings = on; SET client_min_messages = warning;
             SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC';
             SET extra_float_digits = 1",
        )
        .await
        .map_err(|error| describe_error(&error, "preparing the session"))
}

async fn passes(hold: &mut Hold<'_>, fill: &Fill<'_>) -> Result<u64, Problem> {
    let owner = Owner {
        engine: hold.engine,
        plan: hold.plan,
        phase: fill.phase,
        activity: fill.activity,
    };
    let mut checkpoint = checkpoint::load(hold.work.client(), owner, &fill.effort).await?;
    loop {
        let relations = estimated(hold, fill).await?;
        let mut progress = Progress::new(hold, fill, fill.activity, &relations, &checkpoint);
        pass(hold, fill, owner, &relations, &mut checkpoint, &mut progress).await?;
        let unclean = verify(hold, fill, &relations).await?;
        reach(Failpoint::FillVerified).await;
        if unclean.rows == 0 {
            return Ok(checkpoint.changed);
        }
        if !fill.must_be_clean && checkpoint.cursor.pass >= PASSES_AT_LEAST {
            hold.note(
                fill.phase,
                format!(
                    "{} rows were written meanwhile without what is restored",
                    unclean.rows
                ),
            );
            return Ok(checkpoint.changed);
        }
        if checkpoint.cursor.pass >= PASSES {
            return Err(unclean_problem(fill, &unclean));
        }
        hold.note(
            fill.phase,
            format!("{} rows do not satisfy the check yet: another pass", unclean.rows),
        );
        checkpoint.cursor.pass += 1;
        checkpoint.cursor.relation = None;
        checkpoint.cursor.key = None;
        checkpoint.looked = 0;
    }
}

/// The relations, with statistics: batches are planned badly on a table that was never analyzed.
async fn estimated(hold: &Hold<'_>, fill: &Fill<'_>) -> Result<Vec<Relation>, Problem> {
    let assigned: Vec<&SqlIdentifier> = fill.spec.set.iter().map(|one| &one.column).collect();
    let client = hold.work.client();
    let version = hold.work.server_version();
    let found = relations(client, version, &fill.spec.table, &assigned).await?;
    let unknown: Vec<&Relation> = found.iter().filter(|relation| relation.rows.is_none()).collect();
    if unknown.is_empty() {
        return Ok(found);
    }
    for relation in unknown {
        // Without the right to, or while somebody alters the table, the fill goes on with what is known.
        let sql = format!("ANALYZE (SKIP_LOCKED) {}", relation.name);
        if let Err(error) = client.batch_execute(&sql).await {
            tracing::debug!(relation = relation.name, %error, "cannot analyze");
        }
    }
    relations(client, version, &fill.spec.table, &assigned).await
}

/// One pass over all relations, from the checkpoint on.
async fn pass(
    hold: &mut Hold<'_>,
    fill: &Fill<'_>,
    owner: Owner<'_>,
    relations: &[Relation],
    checkpoint: &mut Checkpoint,
    progress: &mut Progress,
) -> Result<(), Problem> {
    let mut size = FIRST_BATCH;
    let (engine, patience) = (hold.engine, hold.patience);
    let mut tries = Tries::new(&patience, &engine.stop);
    let what = format!("{}: a batch of the {}", fill.phase, fill.activity);
    for relation in relations {
        if checkpoint
            .cursor
            .relation
            .as_ref()
            .is_some_and(|at| *at > relation.name)
        {
            continue;
        }
        if checkpoint.cursor.relation.as_ref() != Some(&relation.name) {
            checkpoint.cursor.relation = Some(relation.name.clone());
            checkpoint.cursor.key = None;
        }
        loop {
            hold.engine.stop.check()?;
            progress.look_out(hold, fill).await;
            let started = Instant::now();
            let (result, blockers) = try_batch(hold, fill, owner, relation, checkpoint, size).await;
            match result {
                Ok(Some(next)) => {
                    *checkpoint = next;
                    tries.succeeded();
                    size = adapted(size, started.elapsed(), BATCH_TIME, &BATCH_ROWS);
                    progress.tell(hold, fill, checkpoint.looked, checkpoint.changed);
                }
                Ok(None) => break,
                Err(error) => {
                    size = (size / 2).max(*BATCH_ROWS.start());
                    let report = |failed: &FailedAttempt| hold.retrying(fill.phase, failed);
                    match tries.after(error, blockers, &what, report).await {
                        Ok(()) => {}
                        Err(AttemptError::Problem(problem)) => return Err(problem),
                        Err(AttemptError::Database(error)) => return Err(refused(fill, &error)),
                    }
                }
            }
        }
    }
    Ok(())
}

/// One batch in one transaction with its checkpoint; `None` at the end of the relation. Tells who blocked it.
async fn try_batch(
    hold: &mut Hold<'_>,
    fill: &Fill<'_>,
    owner: Owner<'_>,
    relation: &Relation,
    checkpoint: &Checkpoint,
    size: u32,
) -> (Result<Option<Checkpoint>, AttemptError>, Vec<Blocker>) {
    let lock = &hold.lock;
    let watch = Watch {
        monitor: hold.monitor.client(),
        worker: hold.work.backend_pid(),
        stop: &hold.engine.stop,
    };
    let client = hold.work.client_mut();
    watch
        .over(async {
            let transaction = retry::begin(client, lock, None).await?;
            reach(Failpoint::FillBatchBegun).await;
            let after = checkpoint.cursor.key.as_deref();
            let Some(Range { upper, rows }) = relation.next(&transaction, after, size).await? else {
                return Ok(None);
            };
            let alias = alias(fill.spec);
            let (range, parameters) = relation.within(&alias, after, &upper);
            let sql = update(fill.spec, relation, &range);
            let changed = transaction.execute(&sql, &borrowed(&parameters)).await?;
            reach(Failpoint::FillRowsWritten).await;
            let mut next = checkpoint.clone();
            next.cursor.key = Some(upper);
            next.looked += rows;
            next.changed += changed;
            checkpoint::save(&transaction, owner, &next).await?;
            reach(Failpoint::FillCursorSaved).await;
            transaction.commit().await?;
            reach(Failpoint::FillBatchCommitted).await;
            Ok(Some(next))
        })
        .await
}

fn borrowed(parameters: &[String]) -> Vec<&(dyn ToSql + Sync)> {
    parameters.iter().map(|one| one as &(dyn ToSql + Sync)).collect()
}

/// The UPDATE of one range. Line breaks end what an expression may have left open: a comment.
pub(in crate::execute) fn update(spec: &BackfillPhase, relation: &Relation, range: &str) -> String {
    format!(
        "UPDATE ONLY {} AS {} SET {} WHERE {range} AND (\n{}\n) IS NOT TRUE",
        relation.name,
        alias(spec),
        assignments(spec),
        spec.verify
    )
}

/// What rows are called in the statements: the table's own name, so that expressions may qualify columns with it.
fn alias(spec: &BackfillPhase) -> String {
    spec.table.name.quoted()
}

/// The SET list.
pub(in crate::execute) fn assignments(spec: &BackfillPhase) -> String {
    spec.set
        .iter()
        .map(|one| format!("{} = (\n{}\n)", one.column.quoted(), one.expression))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The size of the next batch after one that took `took`: towards the target, by a factor of two at most.
fn adapted(size: u32, took: Duration, target: Duration, limits: &std::ops::RangeInclusive<u32>) -> u32 {
    let factor = (target.as_secs_f64() / took.as_secs_f64().max(1e-6)).clamp(0.5, 2.0);
    ((f64::from(size) * factor) as u32).clamp(*limits.start(), *limits.end())
}

/// What a verification found.
#[derive(Debug, Default)]
pub(in crate::execute) struct Unclean {
    pub rows: u64,
    pub examples: Vec<String>,
}

/// Counts the rows of a table that do not satisfy the check, piece by piece.
async fn verify(hold: &mut Hold<'_>, fill: &Fill<'_>, relations: &[Relation]) -> Result<Unclean, Problem> {
    let mut found = Unclean::default();
    let mut progress = Progress::new(hold, fill, "verify", relations, &Checkpoint::default());
    let mut looked = 0;
    let mut size = *PIECE_ROWS.start();
    for relation in relations {
        let mut after: Option<Vec<String>> = None;
        loop {
            hold.engine.stop.check()?;
            progress.look_out(hold, fill).await;
            let started = Instant::now();
            let doing = |error| refused(fill, &error);
            let client = hold.work.client();
            let Some(Range { upper, rows }) = relation
                .next(client, after.as_deref(), size)
                .await
                .map_err(doing)?
            else {
                break;
            };
            let alias = alias(fill.spec);
            let (range, parameters) = relation.within(&alias, after.as_deref(), &upper);
            let rest = format!(
                "FROM ONLY {} AS {alias} WHERE {range} AND (\n{}\n) IS NOT TRUE",
                relation.name, fill.spec.verify
            );
            let counted = client
                .query_one(&format!("SELECT count(*) {rest}"), &borrowed(&parameters))
                .await
                .map_err(doing)?;
            let count = u64::try_from(counted.get::<_, i64>(0)).unwrap_or(0);
            if count > 0 && found.examples.len() < EXAMPLES {
                let sql = format!("SELECT {} {rest} LIMIT {EXAMPLES}", relation.shown_key(&alias));
                let rows = client.query(&sql, &borrowed(&parameters)).await.map_err(doing)?;
                found
                    .examples
                    .extend(rows.iter().map(|row| row.get::<_, String>(0)));
                found.examples.truncate(EXAMPLES);
            }
            found.rows += count;
            looked += rows;
            after = Some(upper);
            size = adapted(size, started.elapsed(), PIECE_TIME, &PIECE_ROWS);
            progress.tell(hold, fill, looked, found.rows);
        }
    }
    Ok(found)
}

/// Tells progress now and then, and looks at the fleet during a long fill.
struct Progress {
    activity: &'static str,
    total: Option<u64>,
    told: Instant,
    told_at: u64,
    looked: Instant,
    taint_noted: bool,
}

impl Progress {
    fn new(
        hold: &Hold<'_>,
        fill: &Fill<'_>,
        activity: &'static str,
        relations: &[Relation],
        from: &Checkpoint,
    ) -> Self {
        let total = relations.iter().map(|relation| relation.rows).sum();
        let now = Instant::now();
        let progress = Self {
            activity,
            total,
            told: now,
            told_at: from.looked,
            looked: now,
            taint_noted: false,
        };
        hold.tell(progress.event(fill, from.looked, from.changed, 0.0));
        progress
    }

    fn event(&self, fill: &Fill<'_>, done: u64, changed: u64, rate: f64) -> Event {
        Event::Progress {
            phase: fill.phase.clone(),
            activity: self.activity,
            done,
            total: self.total,
            changed,
            rate,
        }
    }

    fn tell(&mut self, hold: &Hold<'_>, fill: &Fill<'_>, done: u64, changed: u64) {
        let since = self.told.elapsed();
        if since < TELL_EVERY {
            return;
        }
        let rate = done.saturating_sub(self.told_at) as f64 / since.as_secs_f64();
        hold.tell(self.event(fill, done, changed, rate));
        self.told = Instant::now();
        self.told_at = done;
    }

    /// A version without dual-write that runs during a backfill is remembered in the ledger by the look itself; what it
    /// means is decided by the rules afterwards.
    async fn look_out(&mut self, hold: &Hold<'_>, fill: &Fill<'_>) {
        if !fill.watch || self.looked.elapsed() < hold.engine.pace.look_every {
            return;
        }
        match hold.look().await {
            Ok(situation) => {
                let tainting = tainted(hold.plan.shape(), fill.phase, &situation.facts);
                if let (false, Some((version, _))) = (self.taint_noted, tainting.first()) {
                    self.taint_noted = true;
                    hold.note(
                        fill.phase,
                        format!(
                            "{} of {} runs without what this backfill relies on; it will be verified again",
                            version.commit.short(),
                            version.service
                        ),
                    );
                }
            }
            Err(problem) => hold.note(fill.phase, format!("could not look at the fleet: {problem}")),
        }
        self.looked = Instant::now();
    }
}

fn unclean_problem(fill: &Fill<'_>, unclean: &Unclean) -> Problem {
    Problem::new(
        Exit::Failed,
        "backfill-unclean",
        format!(
            "{}: {} rows of {} still do not satisfy the check after {PASSES} passes",
            fill.phase, unclean.rows, fill.spec.table
        ),
    )
    .because(format!("for example the rows with the keys {}", unclean.examples.join("; ")))
    .fix(
        "either something still writes rows without filling the column, or the `set` expression does not make `verify` true",
    )
}

fn refused(fill: &Fill<'_>, error: &tokio_postgres::Error) -> Problem {
    let described = describe_error(error, &format!("filling {} for {}", fill.spec.table, fill.phase));
    if error.as_db_error().is_none() {
        return described;
    }
    let message = format!("{}: {}", fill.phase, described.message());
    Problem::new(described.exit(), "fill-failed", message)
        .because(described.why().unwrap_or("the batch at hand was rolled back"))
        .fix(
            described
                .remedy()
                .unwrap_or("mend the rows or the plan's `set`; then run again: it goes on where it stopped"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_move_towards_the_target_within_limits() {
        let ms = Duration::from_millis;
        assert_eq!(adapted(500, ms(5), BATCH_TIME, &BATCH_ROWS), 1000);
        assert_eq!(adapted(500, ms(80), BATCH_TIME, &BATCH_ROWS), 250);
        assert_eq!(adapted(500, ms(20), BATCH_TIME, &BATCH_ROWS), 500);
        assert_eq!(adapted(150, ms(400), BATCH_TIME, &BATCH_ROWS), 100);
        assert_eq!(adapted(50_000, ms(1), BATCH_TIME, &BATCH_ROWS), 50_000);
    }
}
