//! How long a small query takes while the fill goes on, beside how long it takes otherwise.

use std::time::{Duration, Instant};

use super::link::Link;
use super::verdict::{Gauge, Verdict};
use super::{Look, Source};
use crate::domain::Problem;
use crate::domain::limits::shown_time;
use crate::ledger::LatencyLimit;
use crate::postgres::describe_error;

/// Reads one row by an index: what most clients do most of the time. On a session of its own, so that it waits for none of
/// our own queries.
const PROBE: &str = "SELECT kind FROM shipctl.events ORDER BY sequence DESC LIMIT 1";
/// How many probes make the first baseline.
const FIRST_PROBES: usize = 5;
/// Unless a limit is set: so many times the baseline, and at least so much.
const TIMES_BASELINE: f64 = 5.0;
const LEAST_LIMIT: Duration = Duration::from_millis(50);
/// How much a new measurement counts.
const WEIGHT: f64 = 0.3;
/// How much it counts for the baseline.
const BASELINE_WEIGHT: f64 = 0.02;

pub(super) struct Latency<'g> {
    link: &'g Link,
    gauge: Gauge,
    /// In seconds; `None` before the first look.
    smoothed: Option<Smoothed>,
}

#[derive(Clone, Copy, Debug)]
struct Smoothed {
    now: f64,
    baseline: f64,
}

impl Smoothed {
    /// From the first measurements. Single slow ones do not count.
    fn begin(mut first: Vec<f64>) -> Self {
        first.sort_by(f64::total_cmp);
        let middle = first.get(first.len() / 2).copied().unwrap_or_default();
        Self {
            now: middle,
            baseline: middle,
        }
    }

    /// Takes in one measurement. What a fill causes must not become the baseline; while no batch runs, nothing is caused
    /// by one, and the baseline follows what the database has come to.
    fn take(&mut self, measured: f64, limit: f64, is_paused: bool) {
        // One hiccup is not yet a database that has become slow.
        let measured = measured.min(limit * 2.0);
        self.now += WEIGHT * (measured - self.now);
        if is_paused || measured < self.baseline * 2.0 {
            self.baseline += BASELINE_WEIGHT * (measured - self.baseline);
        }
    }

    /// The limit in seconds.
    fn limit(&self, limit: LatencyLimit) -> Option<f64> {
        match limit {
            LatencyLimit::Off => None,
            LatencyLimit::At(milliseconds) => Some(milliseconds as f64 / 1000.0),
            LatencyLimit::Relative => Some((self.baseline * TIMES_BASELINE).max(LEAST_LIMIT.as_secs_f64())),
        }
    }
}

impl<'g> Latency<'g> {
    pub(super) fn new(link: &'g Link) -> Self {
        Self {
            link,
            gauge: Gauge::default(),
            smoothed: None,
        }
    }

    async fn probe(&self) -> Result<f64, Problem> {
        let session = self.link.session().await?;
        let begun = Instant::now();
        session
            .client()
            .simple_query(PROBE)
            .await
            .map_err(|error| describe_error(&error, "measuring how long a small query takes"))?;
        Ok(begun.elapsed().as_secs_f64())
    }
}

impl Source for Latency<'_> {
    fn name(&self) -> String {
        "latency".to_owned()
    }

    fn is_required(&self) -> bool {
        true
    }

    async fn look(&mut self, look: &Look) -> Result<Verdict, Problem> {
        if look.limits.max_latency.value == LatencyLimit::Off {
            self.smoothed = None;
            return Ok(Verdict::Fine);
        }
        let mut smoothed = match self.smoothed {
            Some(smoothed) => smoothed,
            None => {
                let mut first = Vec::new();
                for _ in 0..FIRST_PROBES {
                    first.push(self.probe().await?);
                }
                Smoothed::begin(first)
            }
        };
        let Some(limit) = smoothed.limit(look.limits.max_latency.value) else {
            return Ok(Verdict::Fine);
        };
        smoothed.take(self.probe().await?, limit, look.is_paused);
        self.smoothed = Some(smoothed);
        let level = self.gauge.read(smoothed.now / limit);
        Ok(Verdict::of(level, || {
            format!(
                "a small query takes {} (limit {}, {} when all was well)",
                shown(smoothed.now),
                shown(limit),
                shown(smoothed.baseline)
            )
        }))
    }
}

fn shown(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    shown_time(u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Level;
    use super::*;

    #[test]
    fn what_the_fill_causes_does_not_become_the_baseline() {
        let mut smoothed = Smoothed::begin(vec![0.9, 0.02, 0.02, 0.01, 0.02]);
        for _ in 0..10_000 {
            smoothed.take(0.2, 0.1, false);
        }
        assert!((smoothed.baseline - 0.02).abs() < 1e-9, "{smoothed:?}");
        let limit = smoothed.limit(LatencyLimit::Relative).unwrap();
        assert!(smoothed.now > limit, "{smoothed:?}");
        // What goes on while no batch runs is not the fill's doing.
        for _ in 0..1000 {
            smoothed.take(0.2, smoothed.limit(LatencyLimit::Relative).unwrap(), true);
        }
        assert!(smoothed.now < smoothed.limit(LatencyLimit::Relative).unwrap());
    }

    #[test]
    fn one_hiccup_slows_nothing_down() {
        let mut smoothed = Smoothed::begin(vec![0.001]);
        smoothed.take(10.0, 0.05, false);
        assert_eq!(Gauge::default().read(smoothed.now / 0.05), Level::Fine);
        smoothed.take(10.0, 0.05, false);
        assert_eq!(Gauge::default().read(smoothed.now / 0.05), Level::Pause);
    }

    #[test]
    fn the_limit_is_what_was_set_or_follows_the_baseline() {
        let quick = Smoothed::begin(vec![0.001]);
        assert_eq!(quick.limit(LatencyLimit::Off), None);
        assert_eq!(quick.limit(LatencyLimit::At(7)), Some(0.007));
        assert_eq!(quick.limit(LatencyLimit::Relative), Some(0.05));
        let slow = Smoothed::begin(vec![0.02]);
        assert_eq!(slow.limit(LatencyLimit::Relative), Some(0.1));
    }
}
