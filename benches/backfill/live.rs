//! What clients feel: of a fill, and of each phase that changes the schema, alone and behind somebody's open transaction.

use std::time::Duration;

use serde::Serialize;

use super::Outcome;
use super::figures::{Latency, median, others_busy};
use super::methods::{Filled, Method};
use super::options::Options;
use super::stage::{Ended, Project, Run, Stage, Statistics, connect};
use super::traffic::{Traffic, Window};

/// How long the clients are left alone between two phases. What they feel in it still belongs to the phase before: some
/// phases are shorter than the time between two operations.
const BETWEEN: Duration = Duration::from_secs(1);

/// A fill beside the clients, several times.
#[derive(Debug, Serialize)]
pub(crate) struct Fill {
    pub name: String,
    pub runs: Vec<FillRun>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(crate) struct FillRun {
    pub filled: Filled,
    /// The clients alone, just before.
    pub before: Latency,
    /// The clients beside the fill.
    pub during: Latency,
    pub growth: f64,
    pub others_busy: Option<f64>,
}

impl Fill {
    /// Medians before and during.
    pub fn latencies(&self) -> (Latency, Latency) {
        let of =
            |pick: fn(&FillRun) -> Latency| Latency::median(&self.runs.iter().map(pick).collect::<Vec<_>>());
        (of(|run| run.before), of(|run| run.during))
    }

    /// The median of a figure.
    pub fn median(&self, figure: impl Fn(&FillRun) -> f64) -> f64 {
        median(self.runs.iter().map(figure))
    }
}

/// Fills beside the clients, round by round.
pub(crate) async fn fills(stage: &Stage, options: &Options) -> Outcome<Vec<Fill>> {
    let seed = stage.seed(options.rows, Statistics::Vacuumed).await?;
    let methods = [Method::SingleUpdate, Method::Shipctl, Method::Keyset];
    let mut fills: Vec<Fill> = methods
        .iter()
        .map(|method| Fill {
            name: method.name().to_owned(),
            runs: Vec::new(),
        })
        .collect();
    for round in 0..options.runs {
        for (method, fill) in methods.iter().zip(&mut fills) {
            eprintln!("live, round {} of {}: {}", round + 1, options.runs, fill.name);
            let run = stage.copy(&seed).await?;
            let prepared = method.prepare(&run, options.rows).await?;
            let busy = others_busy(options.quiet).await;
            let size = run.size().await?;
            let traffic = Traffic::start(&run.url, options.rows).await?;
            // The first moments warm up caches and connections.
            traffic.alone(BETWEEN).await;
            let before = traffic.alone(options.baseline).await;
            let (filled, during) = traffic.beside(prepared.fill()).await;
            let felt = traffic.stop().await?;
            fill.runs.push(FillRun {
                filled: filled?,
                before: felt.within(before),
                during: felt.within(during),
                growth: run.size().await? / size,
                others_busy: busy,
            });
            stage.remove(&run.database).await?;
        }
    }
    stage.remove(&seed).await?;
    Ok(fills)
}

/// A change of the schema beside the clients, several times.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    pub name: String,
    /// Whether a session sat in an open transaction on the table when it began.
    pub blocked: bool,
    pub runs: Vec<ChangeRun>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeRun {
    pub seconds: f64,
    /// Processor time that others used before the round of which it was a part, in per cent of the machine.
    pub others_busy: Option<f64>,
    /// The clients beside it and in the second after it.
    pub during: Latency,
    /// How often shipctl did not get a lock in time and tried again.
    pub lock_retries: usize,
}

impl Change {
    /// The median of a figure.
    pub fn median(&self, figure: impl Fn(&ChangeRun) -> f64) -> f64 {
        median(self.runs.iter().map(figure))
    }

    /// What clients felt, the medians.
    pub fn during(&self) -> Latency {
        Latency::median(&self.runs.iter().map(|run| run.during).collect::<Vec<_>>())
    }
}

/// The phases of the rename that change the schema, in order, and the release that has to run before each.
const PHASES: [(&str, Option<&str>); 5] = [
    ("add", None),
    ("backfill", Some("dual-write")),
    ("constrain", None),
    ("relax", Some("switch-read")),
    ("drop", Some("stop-write")),
];

/// What is written without a second thought, for comparison.
const PLAIN: [(&str, &str); 2] = [
    (
        "plain ALTER TABLE … ADD COLUMN",
        "ALTER TABLE users ADD COLUMN plain text",
    ),
    ("plain CREATE INDEX", "CREATE INDEX plain ON users (email)"),
];

/// Each phase beside the clients, free and behind an open transaction; and plain DDL.
pub(crate) async fn phases(stage: &Stage, options: &Options) -> Outcome<Vec<Change>> {
    let seed = stage.seed(options.rows, Statistics::Vacuumed).await?;
    let mut changes: Vec<Change> = Vec::new();
    for round in 0..options.runs {
        for blocked in [false, true] {
            eprintln!(
                "schema, round {} of {}{}",
                round + 1,
                options.runs,
                if blocked {
                    ", behind an open transaction"
                } else {
                    ""
                }
            );
            let run = stage.copy(&seed).await?;
            for (name, one) in round_of(&run, options, blocked.then_some(options.blocker)).await? {
                match changes
                    .iter_mut()
                    .find(|change| change.name == name && change.blocked == blocked)
                {
                    Some(change) => change.runs.push(one),
                    None => changes.push(Change {
                        name,
                        blocked,
                        runs: vec![one],
                    }),
                }
            }
            stage.remove(&run.database).await?;
        }
    }
    stage.remove(&seed).await?;
    Ok(changes)
}

/// One copy of the table: plain DDL, then the whole rename.
async fn round_of(
    run: &Run,
    options: &Options,
    blocker: Option<Duration>,
) -> Outcome<Vec<(String, ChangeRun)>> {
    let project = Project::set_up(run).await?;
    let others_busy = others_busy(options.quiet).await;
    let traffic = Traffic::start(&run.url, options.rows).await?;
    traffic.alone(BETWEEN).await;
    let mut seen: Vec<(String, Duration, Window, usize)> = Vec::new();
    let alone = traffic.alone(options.baseline).await;
    seen.push(("the clients alone".to_owned(), alone.length(), alone, 0));
    for (name, sql) in PLAIN {
        let held = hold(run, blocker).await?;
        let (done, window) = traffic.beside(run.client.batch_execute(sql)).await;
        done?;
        held.await??;
        let after = traffic.alone(BETWEEN).await;
        seen.push((name.to_owned(), window.length(), window.through(after), 0));
    }
    for (phase, release) in PHASES {
        if release.is_some() {
            project.deploy(release)?;
        }
        // The fill is measured elsewhere.
        let held = hold(run, blocker.filter(|_| phase != "backfill")).await?;
        let (ended, window): (Outcome<Ended>, Window) = traffic.beside(project.run_to(phase)).await;
        held.await??;
        let after = traffic.alone(BETWEEN).await;
        let retries = ended?.lock_retries();
        if phase != "backfill" {
            let name = format!("shipctl: {phase}");
            seen.push((name, window.length(), window.through(after), retries));
        }
    }
    let felt = traffic.stop().await?;
    Ok(seen
        .into_iter()
        .map(|(name, took, window, lock_retries)| {
            let one = ChangeRun {
                seconds: took.as_secs_f64(),
                others_busy,
                during: felt.within(window),
                lock_retries,
            };
            (name, one)
        })
        .collect())
}

/// A session that has read and written the table in a transaction, and then sits there for a while.
async fn hold(run: &Run, length: Option<Duration>) -> Outcome<tokio::task::JoinHandle<Outcome<()>>> {
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
