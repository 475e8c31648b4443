//! What clients feel of each phase that changes the schema, alone and behind somebody's open transaction.

use std::time::Duration;

use serde::Serialize;

use super::Outcome;
use super::child::Ended;
use super::figures::{Latency, median, others_busy};
use super::live::{BETWEEN, hold};
use super::options::Options;
use super::project::Project;
use super::stage::{Run, Stage, Statistics};
use super::traffic::{Traffic, Window};

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
