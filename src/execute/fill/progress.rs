//! Tells how far a fill has come, and looks at the fleet during a long one.

use std::time::{Duration, Instant};

use super::Task;
use crate::execute::engine::Hold;
use crate::execute::event::Event;
use crate::safety::tainted;

/// Tells progress now and then, and looks at the fleet during a long fill.
pub(super) struct Progress {
    activity: &'static str,
    told: Instant,
    told_at: u64,
    looked: Instant,
    taint_noted: bool,
}

impl Progress {
    /// How often progress is told.
    pub const EVERY: Duration = Duration::from_millis(250);

    /// Begins to tell, from what was done before.
    pub fn new(task: &Task<'_>, activity: &'static str, done: u64, changed: u64) -> Self {
        let now = Instant::now();
        let progress = Self {
            activity,
            told: now,
            told_at: done,
            looked: now,
            taint_noted: false,
        };
        task.events.event(&progress.event(task, done, changed, 0.0));
        progress
    }

    fn event(&self, task: &Task<'_>, done: u64, changed: u64, rate: f64) -> Event {
        let total = task.rows();
        Event::Progress {
            phase: task.phase.clone(),
            activity: self.activity,
            // Both are estimates.
            done: total.map_or(done, |total| done.min(total.max(changed))),
            total,
            changed,
            rate,
        }
    }

    /// Tells, unless that was done just now.
    pub fn tell(&mut self, task: &Task<'_>, done: u64, changed: u64) {
        let since = self.told.elapsed();
        if since < Self::EVERY {
            return;
        }
        let rate = done.saturating_sub(self.told_at) as f64 / since.as_secs_f64();
        task.events.event(&self.event(task, done, changed, rate));
        self.told = Instant::now();
        self.told_at = done;
    }

    /// A version without dual-write that runs during a backfill is remembered in the ledger by the look itself; what it
    /// means is decided by the rules afterwards.
    pub async fn look_out(&mut self, hold: &Hold<'_>, task: &Task<'_>) {
        if !task.watch || self.looked.elapsed() < hold.engine.pace.look_every {
            return;
        }
        match hold.look().await {
            Ok(situation) => {
                let tainting = tainted(hold.plan.shape(), task.phase, &situation.facts);
                if let (false, Some((version, _))) = (self.taint_noted, tainting.first()) {
                    self.taint_noted = true;
                    hold.note(
                        task.phase,
                        format!(
                            "{} of {} runs without what this backfill relies on; it will be verified again",
                            version.commit.short(),
                            version.service
                        ),
                    );
                }
            }
            Err(problem) => hold.note(task.phase, format!("could not look at the fleet: {problem}")),
        }
        self.looked = Instant::now();
    }
}
