//! Finding out whether a statement that runs outside a transaction took effect, and clearing away what it left half-done.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient};

use super::failpoint::{Failpoint, reach};
use super::reindex_probe::reindexed;
use crate::domain::{Exit, Problem, TableName};
use crate::postgres::describe_error;
use crate::sql::CrashProbe;

/// How often a statement that is still running on the server is looked at.
const POLL: Duration = Duration::from_millis(500);

/// How long the end of a detachment may keep others from the partition at a time.
const FINISH_TIMEOUT_MS: u32 = 100;

/// How often that is tried, with a pause after each.
const FINISH_ATTEMPTS: u32 = 120;

/// What the database says of a statement that may or may not have taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// It took effect.
    Done,
    /// It did not, and running it is in order.
    NotDone,
    /// It stopped halfway and left something that [`remove_leftover`] clears away.
    Leftover(Leftover),
    /// A server process is still at it (a program that is killed does not stop its statement).
    Running {
        /// The server process.
        pid: i32,
    },
    /// The database cannot tell.
    Unknown,
}

/// What a statement that stopped halfway left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// An index that no query can use and that every write still pays for.
    InvalidIndex(TableName),
    /// Unusable indexes that a REINDEX CONCURRENTLY was building, or was about to drop.
    ReindexCopies(Vec<TableName>),
    /// A partition whose detachment waits to be finalised.
    PendingDetach {
        /// The partitioned table.
        parent: TableName,
        /// The partition.
        partition: TableName,
    },
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InvalidIndex(index) => write!(f, "the unusable index {index}"),
            Self::ReindexCopies(indexes) => {
                let names: Vec<String> = indexes.iter().map(TableName::to_string).collect();
                write!(f, "what REINDEX did not finish: {}", names.join(", "))
            }
            Self::PendingDetach { parent, partition } => {
                write!(f, "the half-finished detachment of {partition} from {parent}")
            }
        }
    }
}

/// Asks the database whether a statement took effect.
///
/// # Errors
/// The database cannot be asked.
pub async fn probe(client: &impl GenericClient, probe: &CrashProbe) -> Result<ProbeAnswer, Problem> {
    match probe {
        CrashProbe::IndexBuilt { index } => index_built(client, index).await,
        CrashProbe::IndexDropped { index } => {
            let busy = at_work(client, index).await?;
            let exists = usable(client, index).await?.is_some();
            Ok(match (exists, busy) {
                (false, _) => ProbeAnswer::Done,
                (true, Some(pid)) => ProbeAnswer::Running { pid },
                (true, None) => ProbeAnswer::NotDone,
            })
        }
        CrashProbe::PartitionDetached { parent, partition } => detached(client, parent, partition).await,
        CrashProbe::Reindexed { relation } => reindexed(client, relation).await,
        CrashProbe::Repeatable => Ok(ProbeAnswer::NotDone),
        CrashProbe::None => Ok(ProbeAnswer::Unknown),
    }
}

/// Asks as [`probe`] does, but first waits for a server process that is still at it, for at most `patience`. `text` is the
/// statement, by which a process is known that runs what no catalog tells of.
///
/// # Errors
/// The database cannot be asked; the process is still at it in the end (`still-running`, exit 6).
pub async fn settled(
    client: &impl GenericClient,
    statement: &CrashProbe,
    text: &str,
    patience: Duration,
    mut waiting: impl FnMut(i32),
) -> Result<ProbeAnswer, Problem> {
    let started = Instant::now();
    let mut told = false;
    loop {
        let answer = match probe(client, statement).await? {
            ProbeAnswer::Unknown => {
                let runs = runs_elsewhere(client, text).await?;
                runs.map_or(ProbeAnswer::Unknown, |pid| ProbeAnswer::Running { pid })
            }
            answer => answer,
        };
        match answer {
            ProbeAnswer::Running { pid } if started.elapsed() >= patience => {
                return Err(Problem::new(
                    Exit::Locked,
                    "still-running",
                    format!("server process {pid} is still busy with the same statement"),
                )
                .because("it was started by an earlier attempt; two at once would get into each other's way")
                .fix(format!(
                    "wait for it, or end it with SELECT pg_terminate_backend({pid})"
                )));
            }
            ProbeAnswer::Running { pid } => {
                if !std::mem::replace(&mut told, true) {
                    waiting(pid);
                }
                tokio::time::sleep(POLL).await;
            }
            answer => return Ok(answer),
        }
    }
}

/// Clears away what a statement left half-done. Afterwards, ask again.
///
/// # Errors
/// The database refuses.
pub async fn remove_leftover(client: &Client, leftover: &Leftover) -> Result<(), Problem> {
    let drop = |index: &TableName| format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index.quoted());
    let statements = match leftover {
        Leftover::InvalidIndex(index) => vec![drop(index)],
        Leftover::ReindexCopies(indexes) => indexes.iter().map(drop).collect(),
        Leftover::PendingDetach { parent, partition } => {
            return finish_detachment(client, leftover, parent, partition).await;
        }
    };
    // Each by itself: several in one message would be one transaction.
    for sql in statements {
        reach(Failpoint::LeftoverFound).await;
        client
            .batch_execute(&sql)
            .await
            .map_err(|error| describe_error(&error, &format!("clearing away {leftover}")))?;
        reach(Failpoint::LeftoverRemoved).await;
    }
    Ok(())
}

/// Finishes a detachment. PostgreSQL locks the partition against everybody and only then waits for transactions that began
/// before, so it may wait for a moment at a time only: whoever reads the partition waits behind it, and a transaction that it
/// waits for may be one of them.
async fn finish_detachment(
    client: &Client,
    leftover: &Leftover,
    parent: &TableName,
    partition: &TableName,
) -> Result<(), Problem> {
    let finish = format!(
        "BEGIN; SET LOCAL lock_timeout = '{FINISH_TIMEOUT_MS}ms'; ALTER TABLE {} DETACH PARTITION {} FINALIZE; COMMIT",
        parent.quoted(),
        partition.quoted()
    );
    let told = |error: &tokio_postgres::Error| describe_error(error, &format!("clearing away {leftover}"));
    let mut left = FINISH_ATTEMPTS;
    reach(Failpoint::LeftoverFound).await;
    while let Err(error) = client.batch_execute(&finish).await {
        client
            .batch_execute("ROLLBACK")
            .await
            .map_err(|error| told(&error))?;
        left -= 1;
        if left == 0 || error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) {
            return Err(told(&error));
        }
        tokio::time::sleep(POLL).await;
    }
    reach(Failpoint::LeftoverRemoved).await;
    Ok(())
}

/// Another server process that runs this very statement now (as far as its text is kept).
async fn runs_elsewhere(client: &impl GenericClient, text: &str) -> Result<Option<i32>, Problem> {
    let row = client
        .query_opt(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
               AND left(query, 200) = left($1, 200)
             LIMIT 1",
            &[&text],
        )
        .await
        .map_err(|error| describe_error(&error, "looking whether a statement still runs"))?;
    Ok(row.map(|row| row.get(0)))
}

async fn index_built(client: &impl GenericClient, index: &TableName) -> Result<ProbeAnswer, Problem> {
    // Who is at work is asked first: a build that ends between the two questions is then found done. Asked the other way
    // round, it would be taken for the leftover of a build that nobody works on, and a good index dropped.
    let busy = at_work(client, index).await?;
    Ok(match (usable(client, index).await?, busy) {
        (Some(true), _) => ProbeAnswer::Done,
        (_, Some(pid)) => ProbeAnswer::Running { pid },
        (Some(false), None) => ProbeAnswer::Leftover(Leftover::InvalidIndex(index.clone())),
        (None, None) => ProbeAnswer::NotDone,
    })
}

/// Whether an index exists (`Some`) and queries may use it.
async fn usable(client: &impl GenericClient, index: &TableName) -> Result<Option<bool>, Problem> {
    let row = client
        .query_opt(
            "SELECT indisvalid AND indisready AND indislive FROM pg_index WHERE indexrelid = to_regclass($1)",
            &[&index.quoted()],
        )
        .await
        .map_err(|error| describe_error(&error, "looking for an index"))?;
    Ok(row.map(|row| row.get(0)))
}

/// Another server process that builds or drops this index now.
async fn at_work(client: &impl GenericClient, index: &TableName) -> Result<Option<i32>, Problem> {
    let row = client
        .query_opt(
            "SELECT pid FROM pg_stat_progress_create_index
             WHERE datname = current_database() AND index_relid = to_regclass($1) AND pid <> pg_backend_pid()
             UNION ALL
             SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
               AND query ~* '^\\s*(create|drop)\\s+(unique\\s+)?index\\s+concurrently' AND strpos(query, $2) > 0
             LIMIT 1",
            &[&index.quoted(), &index.name.as_str()],
        )
        .await
        .map_err(|error| describe_error(&error, "looking for an index build"))?;
    Ok(row.map(|row| row.get(0)))
}

async fn detached(
    client: &impl GenericClient,
    parent: &TableName,
    partition: &TableName,
) -> Result<ProbeAnswer, Problem> {
    // Before PostgreSQL 14 there is no such column, and no such statement; through JSON the query works there too.
    let row = client
        .query_one(
            "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL,
                    (SELECT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false) FROM pg_inherits i
                     WHERE i.inhparent = to_regclass($1) AND i.inhrelid = to_regclass($2))",
            &[&parent.quoted(), &partition.quoted()],
        )
        .await
        .map_err(|error| describe_error(&error, "looking for a partition"))?;
    let exist: bool = row.get(0);
    let pending: Option<bool> = row.get(1);
    Ok(match (exist, pending) {
        (true, None) => ProbeAnswer::Done,
        (true, Some(true)) => ProbeAnswer::Leftover(Leftover::PendingDetach {
            parent: parent.clone(),
            partition: partition.clone(),
        }),
        (_, Some(false)) | (false, _) => ProbeAnswer::NotDone,
    })
}
