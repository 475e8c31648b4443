//! How a statement looks that has been at work for a while: a line that is drawn anew on a terminal, a line now and then
//! without one.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use jiff::SignedDuration;

use super::{Console, time};
use crate::execute::Event;

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

/// Shows a [`Event::StepRunning`] or [`Event::IndexProgress`]; nothing else.
pub(super) fn show(console: &Console, shown: &mut Shown, event: &Event) {
    let Some((what, text)) = words(event) else { return };
    if console.is_interactive() {
        let bar = shown.bar.get_or_insert_with(ProgressBar::new_spinner);
        bar.set_message(text);
        bar.tick();
        return;
    }
    let now = Instant::now();
    if let Some((at, before)) = &shown.told
        && *before == what
        && now.duration_since(*at) < LINE_EVERY
    {
        return;
    }
    shown.told = Some((now, what));
    console.note(&format!("  {text}"));
}

/// What is going on, and the line about it.
fn words(event: &Event) -> Option<(String, String)> {
    let (what, done, waits_for, elapsed) = match event {
        Event::StepRunning {
            summary,
            elapsed,
            waits_for,
            ..
        } => (summary.clone(), String::new(), waits_for, elapsed),
        Event::IndexProgress {
            stage,
            done,
            total,
            unit,
            waits_for,
            elapsed,
            ..
        } => {
            let done = match total {
                0 => String::new(),
                total => format!(
                    ", {} of {} {unit}",
                    time::thousands(*done),
                    time::thousands(*total)
                ),
            };
            ((*stage).to_owned(), done, waits_for, elapsed)
        }
        _ => return None,
    };
    let waits = if waits_for.is_empty() {
        String::new()
    } else {
        format!("; waits for {}", waits_for.join("; "))
    };
    let took = time::took(SignedDuration::try_from(*elapsed).unwrap_or(SignedDuration::MAX));
    let text = format!("{what}{done}, for {took}{waits}");
    Some((what, text))
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
        let (what, text) = words(&event).unwrap();
        assert_eq!(what, "reading the table");
        assert!(text.contains("1,200 of 5,000 blocks"), "{text}");
        assert!(text.contains("waits for process 7 `report`"), "{text}");
    }
}
