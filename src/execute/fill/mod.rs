//! Fills a table in batches until every row satisfies the check: `UPDATE … WHERE (verify) IS NOT TRUE`, range by range.
//!
//! The table is laid out in ranges, which workers claim through the ledger: several in this process, and those of other
//! processes that [`join`]. How far a range has come commits with the rows of its batch. A fill that was killed goes on after
//! the last batches that committed, and rows that need nothing are never written, so nothing is changed twice. The last
//! commits of a fill may be lost in a crash of the server (`synchronous_commit = off`), and with them what they say of the
//! ranges: they are simply done again.

mod checkpoint;
pub mod join;
mod layout;
mod progress;
mod relation;
mod rounds;
mod statement;
mod vacuum;
mod verify;
mod worker;

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

pub(in crate::execute) use self::statement::assignments;

use self::checkpoint::Checkpoint;
use self::layout::lay_out;
use self::progress::Progress;
use self::relation::{Relation, relations};
use self::vacuum::Meanwhile;
use self::verify::Unclean;
use self::worker::Worker;
use super::engine::{Engine, Hold};
use super::event::EventSink;
use super::failpoint::{Failpoint, reach};
use super::manners::Governor;
use crate::domain::{Exit, PhaseId, Problem, SqlIdentifier};
use crate::plan::{BackfillPhase, ColumnAssignment, Plan};
use crate::postgres::ledger::checkpoint::CheckpointKey;
use crate::postgres::ledger::fill_range::{self, FillKey};
use crate::postgres::retry::milliseconds;
use crate::postgres::{LockPatience, describe_error};

/// How long a batch may wait for a row that somebody holds. Meanwhile it holds rows itself, for which others wait.
pub(in crate::execute) const ROW_LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// Passes over the table before a fill that never comes out clean is given up.
const PASSES: u32 = 5;
/// Passes after which a fill that need not come out clean ends.
const PASSES_AT_LEAST: u32 = 2;

/// How a fill works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillOptions {
    /// Sessions that fill at the same time, in this process.
    pub workers: NonZeroUsize,
    /// Up to this size, in bytes, a table is verified in one snapshot: some seconds at the speed of memory.
    pub one_snapshot: u64,
}

impl Default for FillOptions {
    fn default() -> Self {
        Self {
            workers: NonZeroUsize::MIN,
            one_snapshot: 4 << 30,
        }
    }
}

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

/// One pass of a fill, as every worker sees it, in whichever process.
struct Task<'t> {
    engine: &'t Engine<'t>,
    plan: &'t Plan,
    events: &'t dyn EventSink,
    patience: LockPatience,
    /// A session that looks while others work.
    monitor: &'t Client,
    phase: &'t PhaseId,
    spec: &'t BackfillPhase,
    activity: &'static str,
    /// Names the effort and its pass.
    effort: String,
    watch: bool,
    relations: &'t [Relation],
    /// Few rows are left, so that going through a range in rounds is not worth it.
    sweep: bool,
}

impl Task<'_> {
    /// Whose checkpoint it is.
    fn of(&self) -> CheckpointKey<'_> {
        CheckpointKey {
            environment: &self.engine.environment.name,
            plan: self.plan.id(),
            phase: self.phase,
            activity: self.activity,
        }
    }

    /// Whose ranges they are.
    fn key(&self) -> FillKey<'_> {
        FillKey {
            of: self.of(),
            effort: &self.effort,
        }
    }

    /// The table's rows, estimated.
    fn rows(&self) -> Option<u64> {
        self.relations.iter().map(|relation| relation.rows).sum()
    }

    /// The server refused a statement.
    fn refused(&self, error: &tokio_postgres::Error) -> Problem {
        refused(self.phase, self.spec, error)
    }

    /// Whether all of it is walked by blocks.
    fn by_blocks(&self) -> bool {
        self.relations.iter().all(|relation| relation.by_blocks)
    }
}

/// Fills until a verification over the whole table finds nothing; the rows changed by all attempts of this effort.
///
/// # Errors
/// `backfill-unclean` (exit 5) if rows keep failing the check; `batch-would-scan` (exit 5); what the server refuses;
/// `interrupted`; a lost lock.
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

/// Settings under which a worker's batches run. A range of blocks has one good plan, whatever it is; a range of keys may need
/// its own. A process that stands still in the middle of a batch lets go of its rows after a while.
async fn prepare_worker(client: &Client, by_blocks: bool) -> Result<(), Problem> {
    let cached = if by_blocks {
        "force_generic_plan"
    } else {
        "force_custom_plan"
    };
    let settings = format!(
        "SET lock_timeout = {}; SET idle_in_transaction_session_timeout = '10s'; SET plan_cache_mode = {cached};
         {FILLING}",
        ROW_LOCK_TIMEOUT.as_millis()
    );
    let prepared = client.batch_execute(&settings).await;
    prepared.map_err(|error| describe_error(&error, "preparing a worker of a fill"))
}

/// Settings under which the run's own session reads what a fill left, and mends what is little.
async fn prepare_session(hold: &Hold<'_>) -> Result<(), Problem> {
    let settings = format!(
        "SET lock_timeout = {}; SET plan_cache_mode = force_custom_plan; {FILLING}",
        milliseconds(hold.patience.long_timeout)
    );
    let prepared = hold.work.client().batch_execute(&settings).await;
    prepared.map_err(|error| describe_error(&error, "preparing the session for a fill"))
}

/// What both need. A commit need not be waited for, since it tells what it did; a trigger may tell a fill by the setting.
const FILLING: &str = "SET synchronous_commit = off; SET enable_seqscan = off; SET jit = off;
                       SELECT set_config('shipctl.backfill', 'on', false)";

/// Puts the session back into the state in which phases begin.
pub(in crate::execute) async fn reset_session(hold: &Hold<'_>) -> Result<(), Problem> {
    hold.work.reset().await?;
    hold.work
        .client()
        .batch_execute(
            "SET client_min_messages = warning; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres';
             SET timezone = 'UTC'; SET extra_float_digits = 1",
        )
        .await
        .map_err(|error| describe_error(&error, "preparing the session"))
}

/// Forgets what is left of a fill that will not be carried on.
///
/// # Errors
/// The database refuses.
pub(in crate::execute) async fn forget(
    hold: &mut Hold<'_>,
    phase: &PhaseId,
    activity: &str,
) -> Result<(), Problem> {
    let doing = |error: tokio_postgres::Error| describe_error(&error, "forgetting a fill");
    let of = CheckpointKey {
        environment: &hold.engine.environment.name,
        plan: hold.plan.id(),
        phase,
        activity,
    };
    let transaction = hold.work.client_mut().transaction().await.map_err(doing)?;
    hold.lock.assert_held(&transaction).await?;
    fill_range::clear(&transaction, of).await?;
    transaction.commit().await.map_err(doing)
}

/// The effort with its pass: ranges of another pass mean nothing either.
fn effort_of_pass(effort: &str, pass: u32) -> String {
    format!("{effort}, pass {pass}")
}

async fn passes(hold: &mut Hold<'_>, fill: &Fill<'_>) -> Result<u64, Problem> {
    let monitor = hold.monitor.clone();
    let of = CheckpointKey {
        environment: &hold.engine.environment.name,
        plan: hold.plan.id(),
        phase: fill.phase,
        activity: fill.activity,
    };
    let mut checkpoint = checkpoint::load(hold.work.client(), of, &fill.effort).await?;
    let mut crew = Vec::new();
    loop {
        let relations = estimated(hold, fill).await?;
        let pass = checkpoint.cursor.pass;
        let task = Task {
            engine: hold.engine,
            plan: hold.plan,
            events: hold.events,
            patience: hold.patience,
            monitor: monitor.client(),
            phase: fill.phase,
            spec: fill.spec,
            activity: fill.activity,
            effort: effort_of_pass(&fill.effort, pass),
            watch: fill.watch,
            relations: &relations,
            sweep: pass > 1,
        };
        if crew.is_empty() {
            for relation in &relations {
                statement::refuse_scans(hold.work.client(), fill.phase, fill.spec, relation).await?;
            }
            let witness = hold.lock.witness();
            let opening = (0..hold.fill.workers.get()).map(|number| Worker::open(&task, &witness, number));
            crew = try_join_all(opening).await?;
        }
        let own = Some(hold.work.backend_pid());
        let unclean = governed(&task, &mut crew, own, async |governor, crew| {
            if !checkpoint.cursor.filled {
                lay_out(hold, &task).await?;
                run_pass(hold, &task, governor, crew, checkpoint.changed).await?;
                end_pass(hold, &task, &mut checkpoint).await?;
            }
            verify::verify(hold, &task, governor, crew, &mut checkpoint).await
        })
        .await?;
        reach(Failpoint::FillVerified).await;
        let newcomers = estimated(hold, fill)
            .await?
            .into_iter()
            .any(|one| relations.iter().all(|known| known.oid != one.oid));
        if unclean.rows == 0 && !newcomers {
            return Ok(checkpoint.changed);
        }
        if !fill.must_be_clean && pass >= PASSES_AT_LEAST && !newcomers {
            hold.note(
                fill.phase,
                format!(
                    "{} rows were written meanwhile without what is restored",
                    unclean.rows
                ),
            );
            return Ok(checkpoint.changed);
        }
        // Whoever runs it again begins anew: what wrote such rows may have been mended.
        let next = if pass >= PASSES { 1 } else { pass + 1 };
        begin_pass(hold, of, &mut checkpoint, next).await?;
        if pass >= PASSES {
            return Err(unclean_problem(fill, &unclean));
        }
        let why = if newcomers {
            "a partition was added meanwhile".to_owned()
        } else {
            format!("{} rows do not satisfy the check yet", unclean.rows)
        };
        hold.note(fill.phase, format!("{why}: another pass"));
        reach(Failpoint::FillRepaired).await;
    }
}

/// Writes down that another pass begins, so that nobody takes the verification of the one before for its own.
async fn begin_pass(
    hold: &mut Hold<'_>,
    of: CheckpointKey<'_>,
    checkpoint: &mut Checkpoint,
    pass: u32,
) -> Result<(), Problem> {
    let doing = |error: tokio_postgres::Error| describe_error(&error, "beginning a pass of a fill");
    checkpoint.looked = 0;
    checkpoint.cursor = checkpoint::Cursor {
        effort: std::mem::take(&mut checkpoint.cursor.effort),
        pass,
        ..checkpoint::Cursor::default()
    };
    let transaction = hold.work.client_mut().transaction().await.map_err(doing)?;
    hold.lock.assert_held(&transaction).await?;
    checkpoint::save(&transaction, of, checkpoint).await?;
    transaction.commit().await.map_err(doing)
}

/// Does something with the crew while a governor looks on. `own` is the server process of another session that takes part.
async fn governed<T>(
    task: &Task<'_>,
    crew: &mut [Worker],
    own: Option<i32>,
    work: impl AsyncFnOnce(&Governor<'_>, &mut [Worker]) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let pids = crew.iter().map(Worker::backend_pid).chain(own).collect();
    let opening = Governor::new(task.engine, task.plan, task.phase, task.events, pids);
    let governor = Box::pin(opening).await?;
    // On the heap, since both are large.
    tokio::select! {
        problem = Box::pin(governor.look_on()) => Err(problem),
        result = Box::pin(work(&governor, crew)) => result,
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

/// Has the crew go through all ranges, and looks on.
async fn run_pass(
    hold: &Hold<'_>,
    task: &Task<'_>,
    governor: &Governor<'_>,
    crew: &mut [Worker],
    changed_before: u64,
) -> Result<(), Problem> {
    let meanwhile = Meanwhile::default();
    let before = fill_range::totals(task.monitor, task.key()).await?;
    meanwhile.moved.store(before.rows_moved, Ordering::Relaxed);
    let mut progress = Progress::new(
        task,
        task.activity,
        before.rows_done,
        changed_before + before.rows_changed,
    );
    let working = try_join_all(crew.iter_mut().map(|worker| worker.work(task, governor)));
    let looking_on = async {
        loop {
            tokio::time::sleep(Progress::EVERY).await;
            let totals = fill_range::totals(task.monitor, task.key()).await?;
            meanwhile.moved.store(totals.rows_moved, Ordering::Relaxed);
            progress.tell(task, totals.rows_done, changed_before + totals.rows_changed);
            progress.look_out(hold, task).await;
        }
    };
    let filling = async {
        let result = tokio::select! {
            done = working => done.map(drop),
            problem = looking_on => problem,
        };
        meanwhile.end(&result);
        result
    };
    // A vacuum comes to its own end, or is cancelled: none goes on unseen.
    tokio::join!(filling, vacuum::as_it_goes(task, governor, &meanwhile)).0
}

/// Writes down that the pass is over, and forgets its ranges.
async fn end_pass(hold: &mut Hold<'_>, task: &Task<'_>, checkpoint: &mut Checkpoint) -> Result<(), Problem> {
    let doing = |error: tokio_postgres::Error| describe_error(&error, "ending a pass of a fill");
    let transaction = hold.work.client_mut().transaction().await.map_err(doing)?;
    hold.lock.assert_held(&transaction).await?;
    checkpoint.changed += fill_range::totals(&transaction, task.key()).await?.rows_changed;
    checkpoint.cursor.filled = true;
    checkpoint.looked = 0;
    checkpoint::save(&transaction, task.of(), checkpoint).await?;
    fill_range::clear(&transaction, task.of()).await?;
    transaction.commit().await.map_err(doing)?;
    reach(Failpoint::FillPassEnded).await;
    Ok(())
}

fn borrowed(parameters: &[String]) -> Vec<&(dyn ToSql + Sync)> {
    parameters.iter().map(|one| one as &(dyn ToSql + Sync)).collect()
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
    .fix(if fill.spec.set.iter().all(ColumnAssignment::is_idle) {
        "this phase changes nothing, it only looks: mend these rows, then run it again"
    } else {
        "either something still writes rows without filling the column, or the `set` expression does not make `verify` true"
    })
}

/// The server refused a statement of the fill.
fn refused(phase: &PhaseId, spec: &BackfillPhase, error: &tokio_postgres::Error) -> Problem {
    let described = describe_error(error, &format!("filling {} for {phase}", spec.table));
    if error.as_db_error().is_none() {
        return described;
    }
    let message = format!("{phase}: {}", described.message());
    Problem::new(described.exit(), "fill-failed", message)
        .because(described.why().unwrap_or("the batch at hand was rolled back"))
        .fix(
            described
                .remedy()
                .unwrap_or("mend the rows or the plan's `set`; then run again: it goes on where it stopped"),
        )
}
