//! Rows a second, size, WAL and memory of each way to fill the column, nothing else going on in the database.

use std::time::Duration;

use serde::Serialize;

use super::Outcome;
use super::figures::{median, others_busy};
use super::methods::{Filled, Method};
use super::options::Options;
use super::stage::{Stage, Statistics};

/// One way, measured several times.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// What it is called in the table.
    pub name: String,
    /// The single runs; the first of each way were done in one round, and so on.
    pub runs: Vec<Single>,
}

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct Single {
    #[serde(flatten)]
    pub filled: Filled,
    /// Table with indexes afterwards, as a multiple of before.
    pub growth: f64,
    /// Bytes of WAL a row.
    pub wal_a_row: f64,
    /// Processor time that others used just before, in per cent of the machine.
    pub others_busy: Option<f64>,
}

impl Measured {
    /// The median of a figure.
    pub fn median(&self, figure: impl Fn(&Single) -> f64) -> f64 {
        median(self.runs.iter().map(figure))
    }

    /// The median of its ratio to another way, each taken within one round.
    pub fn ratio(&self, to: &Self, figure: impl Fn(&Single) -> f64) -> f64 {
        median(
            self.runs
                .iter()
                .zip(&to.runs)
                .map(|(mine, theirs)| figure(mine) / theirs.filled.rate()),
        )
    }
}

/// Every way, round by round, each on a fresh copy.
pub(crate) async fn measure(stage: &Stage, options: &Options) -> Outcome<Vec<Measured>> {
    let mut methods = vec![
        Method::SingleUpdate,
        Method::Shipctl,
        Method::Keyset,
        Method::TriggerTouch,
        Method::RowLoop {
            rows: options.loop_rows,
        },
    ];
    if let Some(binary) = std::env::var_os("RESHAPE_BIN") {
        methods.push(Method::Reshape(binary.into()));
    }
    let seeds = [
        stage.seed(options.rows, Statistics::Vacuumed).await?,
        stage.seed(options.rows, Statistics::Analyzed).await?,
        stage.seed(options.rows, Statistics::Never).await?,
    ];
    let mut ways: Vec<(Method, &String, Measured)> = methods
        .into_iter()
        .map(|method| (method.name().to_owned(), method, &seeds[0]))
        .chain([
            (
                "shipctl run, only analyzed".to_owned(),
                Method::Shipctl,
                &seeds[1],
            ),
            (
                "shipctl run, never analyzed".to_owned(),
                Method::Shipctl,
                &seeds[2],
            ),
        ])
        .map(|(name, method, seed)| {
            (
                method,
                seed,
                Measured {
                    name,
                    runs: Vec::new(),
                },
            )
        })
        .collect();
    for round in 0..options.runs {
        for (method, seed, measured) in &mut ways {
            eprintln!("round {} of {}: {}", round + 1, options.runs, measured.name);
            measured
                .runs
                .push(single(stage, method, seed, (options.rows, options.quiet)).await?);
        }
    }
    for seed in &seeds {
        stage.remove(seed).await?;
    }
    Ok(ways.into_iter().map(|(_, _, measured)| measured).collect())
}

async fn single(
    stage: &Stage,
    method: &Method,
    seed: &str,
    (rows, quiet): (u64, Duration),
) -> Outcome<Single> {
    let run = stage.copy(seed).await?;
    let prepared = method.prepare(&run, rows).await?;
    let others_busy = others_busy(quiet).await;
    let (size, wal) = (run.size().await?, run.wal().await?);
    let filled = prepared.fill().await?;
    let single = Single {
        growth: run.size().await? / size,
        wal_a_row: (run.wal().await? - wal) / filled.rows as f64,
        filled,
        others_busy,
    };
    // A fast way that leaves rows out would be no way at all.
    if filled.rows == rows && !matches!(method, Method::Reshape(_)) {
        let wrong = run.wrong().await?;
        if wrong > 0 {
            return Err(format!("{}: {wrong} rows are wrong", method.name()).into());
        }
    }
    stage.remove(&run.database).await?;
    Ok(single)
}

/// shipctl's memory on a table.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    /// Its rows.
    pub rows: u64,
    /// The greatest resident memory of one run that filled it.
    pub kib: Option<u64>,
    /// Rows a second, over everything.
    pub rate: f64,
}

/// The memory of one run at two sizes.
pub(crate) async fn memory(stage: &Stage, options: &Options) -> Outcome<Vec<Memory>> {
    let mut sizes = Vec::new();
    for rows in [options.rows, options.memory_rows] {
        eprintln!("memory: {rows} rows");
        let seed = stage.seed(rows, Statistics::Vacuumed).await?;
        let single = single(stage, &Method::Shipctl, &seed, (rows, options.quiet)).await?;
        stage.remove(&seed).await?;
        sizes.push(Memory {
            rows,
            kib: single.filled.memory_kib,
            rate: single.filled.rate(),
        });
    }
    Ok(sizes)
}
