//! What clients feel of a fill, alone and beside somebody's open transaction.

use std::time::Duration;

use serde::Serialize;

use super::Outcome;
use super::computing::{self, Beside};
use super::figures::{Latency, median, others_busy};
use super::methods::{Filled, Method};
use super::options::Options;
use super::project::{Abilities, Start};
use super::stage::{Run, Stage, Statistics, connect};
use super::throughput::{possible, turns};
use super::traffic::Traffic;

/// How long the clients are left alone between two things. What they feel in it still belongs to what was before: some
/// phases are shorter than the time between two operations.
pub(crate) const BETWEEN: Duration = Duration::from_secs(1);

/// How long a session may sit in a transaction beside a fill; it goes when the fill is over.
const LONG_TRANSACTION: Duration = Duration::from_secs(600);

/// Rows that the row-by-row loop is given for each that it is given alone: clients should be beside it for seconds.
const LOOP_LONGER: u64 = 3;

/// A fill beside the clients, several times.
#[derive(Debug, Serialize)]
pub(crate) struct Fill {
    pub name: String,
    /// Whether batches are held as short as shipctl holds them by default.
    pub short_batches: bool,
    /// Whether a session sat in an open transaction on the table.
    pub blocked: bool,
    /// The single runs; the first of each way were done in one round, and so on.
    pub runs: Vec<FillRun>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(crate) struct FillRun {
    pub filled: Filled,
    /// Rows that are not as they should be.
    pub wrong: u64,
    /// The clients alone, just before.
    pub before: Latency,
    /// The clients while rows were written.
    pub during: Latency,
    /// The clients from the start to the end, with everything that belongs to it.
    pub whole: Latency,
    pub growth: f64,
    pub others_busy: Option<f64>,
}

impl Fill {
    /// What it is called where both kinds are shown.
    pub fn shown(&self) -> String {
        if self.blocked {
            format!("{}, and an open transaction", self.name)
        } else {
            self.name.clone()
        }
    }

    /// The single UPDATE under the same circumstances.
    pub fn single_update<'f>(&self, all: &'f [Self]) -> Option<&'f Self> {
        let update = Method::SingleUpdate.name();
        all.iter()
            .find(|other| other.name == update && other.blocked == self.blocked)
    }

    /// What clients felt, the medians of what `pick` takes.
    pub fn felt(&self, pick: impl Fn(&FillRun) -> Latency) -> Latency {
        Latency::median(&self.runs.iter().map(pick).collect::<Vec<_>>())
    }

    /// The median of a figure.
    pub fn median(&self, figure: impl Fn(&FillRun) -> f64) -> f64 {
        median(self.runs.iter().map(figure))
    }

    /// The median of how fast it wrote rows, as a multiple of another way in the same round, both beside the clients.
    pub fn fill_ratio(&self, to: &Self) -> f64 {
        let pairs = self.runs.iter().zip(&to.runs);
        median(pairs.map(|(mine, theirs)| mine.filled.fill_rate() / theirs.filled.fill_rate()))
    }

    /// The median of its p99 as a multiple of that of the clients alone just before.
    pub fn p99_ratio(&self) -> f64 {
        self.median(|run| run.during.p99 / run.before.p99)
    }
}

/// Everything beside which the clients were measured.
pub(crate) struct Measured {
    /// The fills.
    pub fills: Vec<Fill>,
    /// A program that only computes.
    pub computing: Vec<Beside>,
    /// What had to be left out.
    pub skipped: Vec<String>,
}

/// Fills beside the clients, round by round, and what a busy core does to them by itself.
pub(crate) async fn fills(stage: &Stage, options: &Options, abilities: Abilities) -> Outcome<Measured> {
    let (shipctl, skipped) = possible(
        [
            Start::workers(1),
            Start::workers(2),
            Start::workers(1).with_long_batches(),
            Start::workers(2).with_long_batches(),
        ],
        abilities,
    );
    let mut ways: Vec<(Method, bool)> = std::iter::once(Method::SingleUpdate)
        .chain(shipctl.clone())
        .chain(Method::others(
            (options.loop_rows * LOOP_LONGER).min(options.live_rows),
        ))
        .map(|method| (method, false))
        .collect();
    let short = |method: &Method| matches!(method, Method::Shipctl(start) if !start.long_batches);
    let last = shipctl.into_iter().rfind(short);
    ways.extend(
        [Some(Method::SingleUpdate), last]
            .into_iter()
            .flatten()
            .map(|method| (method, true)),
    );
    let mut fills: Vec<Fill> = ways
        .iter()
        .map(|(method, blocked)| Fill {
            name: method.name(),
            short_batches: short(method),
            blocked: *blocked,
            runs: Vec::new(),
        })
        .collect();
    let seed = stage.seed(options.live_rows, Statistics::Vacuumed).await?;
    let mut computing = Vec::new();
    for round in 0..options.runs {
        eprintln!(
            "live, round {} of {}: a program that only computes",
            round + 1,
            options.runs
        );
        computing.push(computing::beside(stage, &seed, options).await?);
        for turn in turns(round, ways.len()) {
            let ((method, blocked), fill) = (&ways[turn], &mut fills[turn]);
            eprintln!("live, round {} of {}: {}", round + 1, options.runs, fill.shown());
            let run = stage.copy(&seed).await?;
            fill.runs.push(one(&run, method, options, *blocked).await?);
            stage.remove(&run.database).await?;
        }
    }
    stage.remove(&seed).await?;
    Ok(Measured {
        fills,
        computing,
        skipped,
    })
}

async fn one(run: &Run, method: &Method, options: &Options, blocked: bool) -> Outcome<FillRun> {
    let prepared = method.prepare(run, options.live_rows).await?;
    let others_busy = others_busy(options.quiet).await;
    let size = run.size().await?;
    let traffic = Traffic::start(&run.url, options.live_rows).await?;
    // The first moments warm up caches and connections.
    traffic.alone(BETWEEN).await;
    let before = traffic.alone(options.baseline).await;
    let held = hold(run, blocked.then_some(LONG_TRANSACTION)).await?;
    let (filled, whole) = traffic.beside(prepared.fill()).await;
    // Its session goes with it.
    held.abort();
    let felt = traffic.stop().await?;
    let filled = filled?;
    let during = match (filled.fill_from, filled.fill_seconds) {
        (Some(from), Some(length)) => whole.part(from, length),
        _ => whole,
    };
    let growth = run.size().await? / size;
    let wrong = prepared.wrong().await?;
    if wrong > 0 && !matches!(method, Method::Reshape(_)) {
        return Err(format!("{}: {wrong} rows are wrong", method.name()).into());
    }
    Ok(FillRun {
        filled,
        wrong,
        before: felt.within(before),
        during: felt.within(during),
        whole: felt.within(whole),
        growth,
        others_busy,
    })
}

/// A session that has read and written the table in a transaction, and then sits there for a while.
pub(crate) async fn hold(
    run: &Run,
    length: Option<Duration>,
) -> Outcome<tokio::task::JoinHandle<Outcome<()>>> {
    let Some(length) = length else {
        return Ok(tokio::spawn(async { Ok(()) }));
    };
    let client = connect(&run.url).await?;
    // It holds the locks of a reader and a writer, but no row that a client could want.
    client
        .batch_execute("BEGIN; SELECT FROM users LIMIT 1; UPDATE users SET visits = 0 WHERE id = -1")
        .await?;
    Ok(tokio::spawn(async move {
        tokio::time::sleep(length).await;
        client.batch_execute("COMMIT").await?;
        Ok(())
    }))
}
