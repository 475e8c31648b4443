//! How a statement looks that has been at work for a while: a line that is drawn anew on a terminal, a line now and then
//! without one.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use jiff::SignedDuration;

use super::{Console, time};
use crate::execute::Event;
use crate::execute::migrate::MigrateEvent;

/// Without a terminal, it is told this often, and when something else begins.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What is shown of the statement at work.
#[derive(Default)]
pub(super) struct Shown {
    bar: Option<ProgressBar>,
    told: Option<(Instant, String)>,
}

impl Shown {
    /// Something else is to be shown.
    pub(super) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.told = None;
    }
}

/// A statement at work.
pub(super) struct AtWork<'a> {
    /// What it does, or what the server is at for it.
    what: &'a str,
    /// How much of that is done, of how much, and of what; 0 of 0 where nobody knows.
    done: (u64, u64, &'static str),
    /// Whom it waits for.
    waits_for: &'a [String],
    /// How long it has run.
    elapsed: Duration,
}

impl<'a> AtWork<'a> {
    /// What an event of a run tells of it.
    pub(super) fn in_run(event: &'a Event) -> Option<Self> {
        Some(match event {
            Event::StepRunning {
                summary,
                elapsed,
                waits_for,
                ..
            } => Self {
                what: summary,
                done: (0, 0, ""),
                waits_for,
                elapsed: *elapsed,
            },
            Event::IndexProgress {
                stage,
                done,
                total,
                unit,
                waits_for,
                elapsed,
                ..
            } => Self {
                what: stage,
                done: (*done, *total, unit),
                waits_for,
                elapsed: *elapsed,
            },
            _ => return None,
        })
    }

    /// What an event of the plain runner tells of it.
    pub(super) fn in_migration(event: &'a MigrateEvent<'_>) -> Option<Self> {
        match event {
            MigrateEvent::Working {
                what,
                done,
                waits_for,
                elapsed,
            } => Some(Self {
                what,
                done: *done,
                waits_for,
                elapsed: *elapsed,
            }),
            _ => None,
        }
    }

    /// The line about it.
    fn words(&self) -> String {
        let done = match self.done {
            (_, 0, _) => String::new(),
            (done, total, unit) => {
                format!(", {} of {} {unit}", time::thousands(done), time::thousands(total))
            }
        };
        let waits = if self.waits_for.is_empty() {
            String::new()
        } else {
            format!("; waits for {}", self.waits_for.join("; "))
        };
        let took = time::took(SignedDuration::try_from(self.elapsed).unwrap_or(SignedDuration::MAX));
        format!("{}{done}, for {took}{waits}", self.what)
    }
}

/// Shows a statement at work.
pub(super) fn show(console: &Console, shown: &mut Shown, work: &AtWork<'_>) {
    if console.is_interactive() {
        let bar = shown.bar.get_or_insert_with(ProgressBar::new_spinner);
        bar.set_message(work.words());
        bar.tick();
        return;
    }
    let now = Instant::now();
    if let Some((at, before)) = &shown.told
        && before == work.what
        && now.duration_since(*at) < LINE_EVERY
    {
        return;
    }
    shown.told = Some((now, work.what.to_owned()));
    console.note(&format!("  {}", work.words()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_goes_on_how_far_and_for_whom_it_waits() {
        let event = Event::IndexProgress {
            phase: "constrain".parse().unwrap(),
            stage: "reading the table",
            done: 1_200,
            total: 5_000,
            unit: "blocks",
            waits_for: vec!["process 7 `report`".to_owned()],
            elapsed: Duration::from_secs(12),
        };
        let text = AtWork::in_run(&event).unwrap().words();
        assert!(text.starts_with("reading the table"), "{text}");
        assert!(text.contains("1,200 of 5,000 blocks"), "{text}");
        assert!(text.contains("waits for process 7 `report`"), "{text}");
    }
}
