//! What the fill is meant to reach, beside what it does: judged by the medians, stalls and memory by the worst of all runs.

use serde::Serialize;

use super::computing::Beside;
use super::figures::{greatest, median};
use super::methods::Method;
use super::project::Start;
use super::report::Report;
use super::table::{thousands, times};
use super::throughput::{ANALYZED, Measured, NEVER_ANALYZED};

/// As fast, where differences of a tenth are noise.
const AS_FAST: f64 = 0.9;
/// How far the p99 of clients beside a fill may be from that of clients alone.
const P99: f64 = 1.5;
/// The longest that a client may wait beside a fill, in milliseconds.
const STALL: f64 = 150.0;
/// How fast a fill that clients do not feel should be, as a multiple of one UPDATE beside the same clients.
const GENTLE: f64 = 0.8;
/// The longest that a client may wait beside a schema phase behind somebody's open transaction, in milliseconds.
const BEHIND: f64 = 250.0;
/// The table with its indexes afterwards, as a multiple of before.
const SIZE: f64 = 1.3;
/// shipctl's memory at any size, in MiB.
const MEMORY: f64 = 64.0;

/// One thing to be reached.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    /// What is measured.
    pub what: String,
    /// What it should be.
    pub wanted: String,
    /// What it is; `None` where it was not measured.
    pub figure: Option<String>,
    /// Whether that is enough; `None` where it cannot be judged.
    pub met: Option<bool>,
    /// What else is to be known about it.
    pub remark: String,
}

/// All of them, as far as they were measured.
pub(crate) fn targets(report: &Report) -> Vec<Target> {
    let mut all = Vec::new();
    if !report.throughput.is_empty() {
        throughput(report, &mut all);
    }
    if !report.live.is_empty() {
        live(report, &mut all);
    }
    if !report.ddl.is_empty() {
        let waits = report
            .ddl
            .iter()
            .filter(|change| change.blocked && change.name.starts_with("shipctl"))
            .map(|change| change.during().max);
        let what = "schema phases behind an open transaction: longest wait";
        all.push(at_most(what, BEHIND, Some(greatest(waits)), milliseconds));
    }
    if !report.memory.is_empty() || !report.throughput.is_empty() {
        let runs = report.throughput.iter().flat_map(|way| &way.runs);
        let kib = runs
            .filter_map(|run| run.filled.memory_kib)
            .chain(report.memory.iter().filter_map(|one| one.kib))
            .max();
        let mut target = at_most(
            "shipctl's memory, the greatest of any process",
            MEMORY,
            kib.map(|kib| kib as f64 / 1024.0),
            |mib| format!("{mib:.1} MiB"),
        );
        let most = report.memory.iter().map(|one| one.rows).max();
        target.remark = most.map_or_else(String::new, |rows| {
            format!("up to {} rows", thousands(rows as f64))
        });
        all.push(target);
    }
    all
}

fn throughput(report: &Report, all: &mut Vec<Target>) {
    let way = |name: &str| report.throughput.iter().find(|way| way.name == name);
    let update = way(&Method::SingleUpdate.name());
    // With batches as short as those beside which clients are measured: one way of working is to do both.
    let shipctl = |workers: u32| way(&Start::workers(workers).name());
    for (workers, wanted, what) in [
        (1, 1.2, "fill with 1 worker, of one UPDATE"),
        (2, 2.0, "fill with 2 workers, of one UPDATE"),
    ] {
        let mine = shipctl(workers);
        let figure = mine.zip(update).map(|(mine, update)| mine.fill_ratio(update));
        let mut target = at_least(what, wanted, figure);
        if let Some((mine, update)) = mine.zip(update) {
            let whole = times(mine.ratio(update, |run| run.filled.rate()));
            target.remark = format!("the whole run {whole}");
        }
        all.push(target);
    }
    let best = shipctl(2).or_else(|| shipctl(1));
    let over = |theirs: Option<&Measured>| {
        best.zip(theirs)
            .map(|(mine, theirs)| mine.ratio(theirs, |run| run.filled.rate()))
    };
    let remark = best.map_or_else(String::new, |best| format!("whole runs; {}", best.name));
    for (what, wanted, theirs) in [
        ("run, of reshape", 4.0, way("reshape")),
        (
            "run, of the row-by-row loop",
            100.0,
            way(&Method::RowLoop { rows: 0 }.name()),
        ),
    ] {
        all.push(Target {
            remark: remark.clone(),
            ..at_least(what, wanted, over(theirs))
        });
    }
    let statistics = way(NEVER_ANALYZED)
        .zip(way(ANALYZED))
        .map(|(never, analyzed)| never.ratio(analyzed, |run| run.filled.rate()));
    all.push(at_least("never analyzed, of analyzed", AS_FAST, statistics));
    let one = shipctl(1);
    for processes in [2, 4] {
        let many = way(&Start::processes(processes).name());
        let figure = many.zip(one).map(|(many, one)| many.fill_ratio(one));
        let mut target = at_least(&format!("fill with {processes} processes, of 1"), 1.0, figure);
        let late: u32 = many.map_or(0, |way| way.runs.iter().map(|run| run.filled.late).sum());
        if figure.is_some() {
            "every row right".clone_into(&mut target.remark);
        }
        if late > 0 {
            target.met = None;
            target.remark += &format!("; {late} came too late to join");
        }
        if figure.is_some() && report.machine.cores < processes as usize {
            target.met = None;
            target.remark += &format!("; not judged on {} cores", report.machine.cores);
        }
        all.push(target);
    }
    let mine = shipctl(2).or(one);
    let growth = |way: &Measured| way.median(|run| run.growth);
    let mut size = at_most(
        "table with its indexes after the run, of before",
        SIZE,
        mine.map(growth),
        times,
    );
    if let Some((mine, update)) = mine.zip(update) {
        size.remark = format!("one UPDATE {}; {}", times(growth(update)), mine.name);
    }
    all.push(size);
}

fn live(report: &Report, all: &mut Vec<Target>) {
    let computing = if report.computing.is_empty() {
        String::new()
    } else {
        let felt = Beside::felt(&report.computing);
        format!(", beside a program that only computes {:.1} ms", felt.p99)
    };
    for fill in report.live.iter().filter(|fill| fill.short_batches) {
        let name = fill.shown();
        let alone = median(fill.runs.iter().map(|run| run.before.p99));
        let during = fill.felt(|run| run.during).p99;
        all.push(Target {
            remark: format!("{during:.1} ms, alone {alone:.1} ms{computing}"),
            ..at_most(
                &format!("clients beside {name}: p99, of alone"),
                P99,
                Some(fill.p99_ratio()),
                times,
            )
        });
        all.push(at_most(
            &format!("clients beside {name}: longest wait"),
            STALL,
            Some(fill.felt(|run| run.whole).max),
            milliseconds,
        ));
        let rate = fill.single_update(&report.live).map(|one| fill.fill_ratio(one));
        all.push(Target {
            remark: "beside the same clients".to_owned(),
            ..at_least(&format!("fill with {name}, of one UPDATE"), GENTLE, rate)
        });
    }
}

fn milliseconds(figure: f64) -> String {
    format!("{figure:.0} ms")
}

fn at_least(what: &str, wanted: f64, figure: Option<f64>) -> Target {
    Target {
        what: what.to_owned(),
        wanted: format!("≥ {}", times(wanted)),
        met: figure.map(|figure| figure >= wanted),
        figure: figure.map(times),
        remark: String::new(),
    }
}

fn at_most(what: &str, wanted: f64, figure: Option<f64>, shown: impl Fn(f64) -> String) -> Target {
    Target {
        what: what.to_owned(),
        wanted: format!("≤ {}", shown(wanted)),
        met: figure.map(|figure| figure <= wanted),
        figure: figure.map(shown),
        remark: String::new(),
    }
}
