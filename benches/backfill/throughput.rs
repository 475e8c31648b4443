//! Rows a second, size and WAL of each way to fill the column, nothing else going on in the database.

use std::time::Duration;

use serde::Serialize;

use super::Outcome;
use super::figures::{median, others_busy};
use super::methods::{Filled, Method};
use super::options::Options;
use super::project::{Abilities, Start};
use super::stage::{Run, Stage, Statistics};

/// What shipctl is called on a table that was analyzed, and on one that never was.
pub(crate) const ANALYZED: &str = "shipctl, 1 worker, only analyzed";
pub(crate) const NEVER_ANALYZED: &str = "shipctl, 1 worker, never analyzed";

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
    /// Rows that are not as they should be.
    pub wrong: u64,
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

    /// The same of the rates while rows were written.
    pub fn fill_ratio(&self, to: &Self) -> f64 {
        median(
            self.runs
                .iter()
                .zip(&to.runs)
                .map(|(mine, theirs)| mine.filled.fill_rate() / theirs.filled.fill_rate()),
        )
    }

    /// Whether the fill is a part of what is measured, and known by itself.
    pub fn has_fill_alone(&self) -> bool {
        self.runs.iter().all(|run| run.filled.fill_seconds.is_some())
    }
}

/// The ways of shipctl that this program has; of the others, why not.
pub(crate) fn possible(
    starts: impl IntoIterator<Item = Start>,
    abilities: Abilities,
) -> (Vec<Method>, Vec<String>) {
    let (mut possible, mut skipped) = (Vec::new(), Vec::new());
    for start in starts {
        match abilities.lacks(start) {
            None => possible.push(Method::Shipctl(start)),
            Some(option) => skipped.push(format!("{}: this program has no {option}", start.name())),
        }
    }
    (possible, skipped)
}

/// Every way, round by round, each on a fresh copy; and what had to be left out.
pub(crate) async fn measure(
    stage: &Stage,
    options: &Options,
    abilities: Abilities,
) -> Outcome<(Vec<Measured>, Vec<String>)> {
    let (shipctl, skipped) = possible(
        [
            Start::workers(1),
            Start::workers(2),
            Start::workers(1).with_long_batches(),
            Start::workers(2).with_long_batches(),
            Start::processes(2),
            Start::processes(4),
        ],
        abilities,
    );
    let mut ways: Vec<(String, Method, Statistics)> = std::iter::once(Method::SingleUpdate)
        .chain(shipctl)
        .chain(Method::others(options.loop_rows))
        .map(|method| (method.name(), method, Statistics::Vacuumed))
        .collect();
    let one = Method::Shipctl(Start::workers(1));
    ways.push((ANALYZED.to_owned(), one.clone(), Statistics::Analyzed));
    ways.push((NEVER_ANALYZED.to_owned(), one, Statistics::Never));
    Ok((rounds(stage, options, ways).await?, skipped))
}

/// The main ways, on a server with other settings.
pub(crate) async fn again(
    stage: &Stage,
    options: &Options,
    abilities: Abilities,
) -> Outcome<(Vec<Measured>, Vec<String>)> {
    let (shipctl, skipped) = possible([Start::workers(1), Start::workers(2)], abilities);
    let ways = std::iter::once(Method::SingleUpdate)
        .chain(shipctl)
        .map(|method| (method.name(), method, Statistics::Vacuumed))
        .collect();
    Ok((rounds(stage, options, ways).await?, skipped))
}

async fn rounds(
    stage: &Stage,
    options: &Options,
    ways: Vec<(String, Method, Statistics)>,
) -> Outcome<Vec<Measured>> {
    let mut seeds: Vec<(Statistics, String)> = Vec::new();
    for (_, _, statistics) in &ways {
        if !seeds.iter().any(|(of, _)| of == statistics) {
            seeds.push((*statistics, stage.seed(options.rows, *statistics).await?));
        }
    }
    let mut all: Vec<Measured> = ways
        .iter()
        .map(|(name, _, _)| Measured {
            name: name.clone(),
            runs: Vec::new(),
        })
        .collect();
    for round in 0..options.runs {
        for turn in turns(round, ways.len()) {
            let ((name, method, statistics), measured) = (&ways[turn], &mut all[turn]);
            eprintln!("round {} of {}: {name}", round + 1, options.runs);
            let seed = seeds.iter().find(|(of, _)| of == statistics);
            let (_, seed) = seed.ok_or("a seed is missing")?;
            let run = stage.copy(seed).await?;
            measured
                .runs
                .push(single(&run, method, options.rows, options.quiet).await?);
            stage.remove(&run.database).await?;
        }
    }
    for (_, seed) in &seeds {
        stage.remove(seed).await?;
    }
    Ok(all)
}

/// The order in which ways take turns in a round: another in each, since what one leaves to the disk and the caches is the
/// next one's to bear; the same in every run of the program.
pub(crate) fn turns(round: usize, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    fastrand::Rng::with_seed(round as u64).shuffle(&mut order);
    order
}

async fn single(run: &Run, method: &Method, rows: u64, quiet: Duration) -> Outcome<Single> {
    let prepared = method.prepare(run, rows).await?;
    let others_busy = others_busy(quiet).await;
    let (size, wal) = (run.size().await?, run.wal().await?);
    let filled = prepared.fill().await?;
    let (growth, wal) = (run.size().await? / size, run.wal().await? - wal);
    let wrong = prepared.wrong().await?;
    // A fast way that leaves rows out would be no way at all. What others leave out is told.
    if wrong > 0 && !matches!(method, Method::Reshape(_)) {
        return Err(format!("{}: {wrong} rows are wrong", method.name()).into());
    }
    Ok(Single {
        growth,
        wal_a_row: wal / filled.rows as f64,
        filled,
        wrong,
        others_busy,
    })
}

/// shipctl's memory on a table.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    /// Its rows.
    pub rows: u64,
    /// How it was started.
    pub name: String,
    /// The greatest resident memory of one run that filled it.
    pub kib: Option<u64>,
    /// Rows a second, over everything.
    pub rate: f64,
}

/// The memory of one run at each size, with as many workers as there are to be had: each has a session and buffers.
pub(crate) async fn memory(stage: &Stage, options: &Options, abilities: Abilities) -> Outcome<Vec<Memory>> {
    let (mut methods, _) = possible([Start::workers(1), Start::workers(2)], abilities);
    let method = methods.pop().ok_or("there is no way to run shipctl")?;
    let mut sizes = Vec::new();
    for rows in &options.memory_rows {
        eprintln!("memory: {rows} rows");
        let run = stage.narrow(*rows).await?;
        let single = single(&run, &method, *rows, options.quiet).await?;
        stage.remove(&run.database).await?;
        sizes.push(Memory {
            rows: *rows,
            name: method.name(),
            kib: single.filled.memory_kib,
            rate: single.filled.rate(),
        });
    }
    Ok(sizes)
}
