//! Medians, percentiles, and what is to be said about the machine.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::Outcome;
use super::stage::Stage;

/// The median; of an even number, the mean of the middle two. NaN of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => f64::NAN,
        (Some(value), 1) => *value,
        (Some(value), _) => (value + sorted[middle - 1]) / 2.0,
    }
}

/// What clients waited, in milliseconds from the moment at which each operation was due.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    /// Operations that were due in the window.
    pub operations: usize,
    /// Operations that failed.
    pub errors: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
    /// The 99th percentile of how late clients woke that were free in time: the harness's own part in the above.
    pub late_p99: f64,
}

impl Latency {
    /// Of these latencies, and of how late their clients woke.
    pub fn of(latencies: &[Duration], late: &[Duration], errors: usize) -> Self {
        let (taken, late) = (Sorted::of(latencies), Sorted::of(late));
        Self {
            operations: latencies.len(),
            errors,
            p50: taken.percentile(50),
            p95: taken.percentile(95),
            p99: taken.percentile(99),
            max: taken.percentile(100),
            late_p99: late.percentile(99),
        }
    }

    /// The median of each figure over several runs; but the greatest of their maxima, and the sum of their errors.
    pub fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure));
        Self {
            operations: runs.iter().map(|run| run.operations).sum::<usize>() / runs.len().max(1),
            errors: runs.iter().map(|run| run.errors).sum(),
            p50: of(|run| run.p50),
            p95: of(|run| run.p95),
            p99: of(|run| run.p99),
            max: greatest(runs.iter().map(|run| run.max)),
            late_p99: of(|run| run.late_p99),
        }
    }
}

/// The greatest; NaN of nothing.
pub(crate) fn greatest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NAN, f64::max)
}

/// The least; NaN of nothing.
pub(crate) fn least(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NAN, f64::min)
}

/// Milliseconds in order.
struct Sorted(Vec<f64>);

impl Sorted {
    fn of(durations: &[Duration]) -> Self {
        let mut sorted: Vec<f64> = durations.iter().map(|one| one.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }

    /// By the nearest rank.
    fn percentile(&self, hundredth: usize) -> f64 {
        let rank = (self.0.len() * hundredth).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

/// Where it was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub cores: usize,
    pub cpu: Option<String>,
    pub memory_mib: Option<u64>,
    pub kernel: Option<String>,
    pub postgres: String,
    pub postgres_settings: Vec<(String, String)>,
    pub shipctl: &'static str,
    /// The commit of the working copy that it was built in, and whether files are changed there.
    pub commit: Option<String>,
    pub load_average_before: Option<String>,
}

impl Machine {
    /// Looks around.
    pub async fn look(stage: &Stage) -> Outcome<Self> {
        let file = |path: &str| std::fs::read_to_string(path).ok();
        let field = |path: &str, name: &str| {
            let text = file(path)?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: field("/proc/cpuinfo", "model name"),
            memory_mib: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok())
                .map(|kib| kib / 1024),
            kernel: file("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            postgres: stage.server_version().await?,
            postgres_settings: stage.settings().await?,
            shipctl: env!("CARGO_PKG_VERSION"),
            commit: commit(),
            load_average_before: file("/proc/loadavg")
                .map(|text| text.split(' ').take(3).collect::<Vec<_>>().join(" ")),
        })
    }
}

fn commit() -> Option<String> {
    let repository = git2::Repository::discover(env!("CARGO_MANIFEST_DIR")).ok()?;
    let id = repository.head().ok()?.peel_to_commit().ok()?.id().to_string();
    let changed = repository.statuses(None).is_ok_and(|statuses| {
        statuses
            .iter()
            .any(|entry| entry.status() != git2::Status::IGNORED)
    });
    let short = id.get(..9)?;
    Some(if changed {
        format!("{short} and changes")
    } else {
        short.to_owned()
    })
}

/// Processor time that others may use without a machine being called busy, in per cent.
const QUIET: f64 = 10.0;

/// How much of the machine's processors others use, in per cent: measured for half a second while nothing of ours runs,
/// and again for as long as `patience` lasts while it is much. `None` where the system does not tell.
pub(crate) async fn others_busy(patience: Duration) -> Option<f64> {
    let begun = Instant::now();
    loop {
        let busy = busy_now().await?;
        if busy < QUIET || begun.elapsed() >= patience {
            return Some(busy);
        }
    }
}

async fn busy_now() -> Option<f64> {
    let before = processor_time()?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = processor_time()?;
    let all = after.0.saturating_sub(before.0) as f64;
    let idle = after.1.saturating_sub(before.1) as f64;
    (all > 0.0).then(|| (1.0 - idle / all) * 100.0)
}

/// Ticks in all, and those idle or waiting for a disk.
fn processor_time() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = text
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|word| word.parse().ok())
        .collect();
    Some((ticks.iter().sum(), ticks.get(3)? + ticks.get(4)?))
}
