//! How a run looks while it goes on.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use jiff::SignedDuration;

use super::judgement;
use super::step_progress::{self, AtWork};
use super::style::{self, paint};
use super::{Console, time};
use crate::domain::PhaseId;
use crate::execute::{Event, EventSink, Throttle};
use crate::ledger::Ending;
use crate::safety::{Direction, Judgement, Reason, ReasonCode};

/// Without a terminal, progress is told this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows events: a bar on a terminal, a line now and then without one, JSON lines with `--json`.
pub struct RunReporter {
    console: Console,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    told: Option<Instant>,
    /// The statement that is at work.
    step: step_progress::Shown,
    /// What the bar says of how far the work is, and how fast it goes.
    message: String,
    pace: String,
    /// What slows the work down or holds it up.
    throttle: Option<Held>,
    /// The last reasons for waiting, so that a wait of hours is told once.
    waiting: Vec<(PhaseId, Judgement)>,
}

/// Work that is slowed down or paused, and why.
struct Held {
    why: String,
    paused: bool,
}

impl RunReporter {
    /// Shows events on this console.
    pub fn new(console: Console) -> Self {
        Self {
            console,
            state: Mutex::new(State::default()),
        }
    }

    fn line(&self, state: &State, text: &str) {
        match &state.bar {
            Some(bar) => bar.suspend(|| self.console.note(text)),
            None => self.console.note(text),
        }
    }

    fn progress(&self, state: &mut State, event: &Event) {
        let Event::Progress {
            phase,
            activity,
            done,
            total,
            changed,
            rate,
        } = event
        else {
            return;
        };
        if self.console.is_interactive() {
            let bar = state.bar.get_or_insert_with(new_bar);
            match total {
                Some(total) => bar.set_length((*total).max(*done)),
                None => bar.unset_length(),
            }
            bar.set_position(*done);
            state.message = format!("{}: {} rows", doing(phase, activity), time::thousands(*changed));
            state.pace = format!(", {}/s, {} left", whole(*rate), HumanDuration(bar.eta()));
            state.show();
            return;
        }
        if state.told.is_some_and(|told| told.elapsed() < LINE_EVERY) {
            return;
        }
        if state.told.replace(Instant::now()).is_none() {
            return;
        }
        let of = total.map_or(String::new(), |total| {
            format!(" of about {}", time::thousands(total))
        });
        let paused = state.throttle.as_ref().is_some_and(|held| held.paused);
        let left = total
            .filter(|_| !paused)
            .and_then(|total| left(total.saturating_sub(*done), *rate))
            .map_or(String::new(), |left| {
                format!(", about {} left", time::rough(left))
            });
        let throttle = state
            .throttle
            .as_ref()
            .map_or(String::new(), |held| format!(" ({})", held.why));
        self.console.note(&format!(
            "  {}: {}{of} rows looked at, {} changed, {} rows/s{left}{throttle}",
            doing(phase, activity),
            time::thousands(*done),
            time::thousands(*changed),
            whole(*rate)
        ));
    }
}

impl State {
    /// Puts onto the bar how the work goes.
    fn show(&self) {
        let Some(bar) = &self.bar else { return };
        let Self { message, pace, .. } = self;
        bar.set_message(match &self.throttle {
            // How long a pause lasts is not known.
            Some(held) if held.paused => format!("{message} · {}", held.why),
            Some(held) => format!("{message}{pace} · {}", held.why),
            None => format!("{message}{pace}"),
        });
    }

    /// Remembers what slows the work down.
    fn throttle(&mut self, throttle: Throttle, reasons: &[String]) {
        self.throttle = match throttle {
            Throttle::Free => None,
            Throttle::Slow => Some(Held {
                why: format!("slow: {}", together(reasons)),
                paused: false,
            }),
            Throttle::Paused => Some(Held {
                why: format!("paused: {}", together(reasons)),
                paused: true,
            }),
        };
        self.show();
    }
}

/// Several reasons on one line.
fn together(reasons: &[String]) -> String {
    time::one_line(&reasons.join("; "))
}

/// How long so many rows take at this rate; `None` where nothing moves.
fn left(rows: u64, rate: f64) -> Option<SignedDuration> {
    SignedDuration::try_from_secs_f64(rows as f64 / rate)
        .ok()
        .filter(|_| rate >= 1.0)
}

/// What is going on in a phase: `backfill`, or `backfill (verify)` where the phase does more than its name says.
fn doing(phase: &PhaseId, activity: &str) -> String {
    if phase.as_str() == activity {
        activity.to_owned()
    } else {
        format!("{phase} ({activity})")
    }
}

/// A rate without its fraction.
fn whole(rate: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people, never negative; the cast saturates"
    )]
    time::thousands(rate.max(0.0) as u64)
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("  {bar:20.cyan} {percent:>3}%  {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

impl EventSink for RunReporter {
    fn event(&self, event: &Event) {
        if self.console.is_json() {
            self.console.json(event);
            return;
        }
        let Ok(mut state) = self.state.lock() else { return };
        if let Event::Progress { .. } = event {
            self.progress(&mut state, event);
            return;
        }
        if let Some(work) = AtWork::in_run(event) {
            step_progress::show(&self.console, &mut state.step, &work);
            return;
        }
        state.step.end();
        if let Event::Throttled {
            state: throttle,
            reasons,
            ..
        } = event
        {
            state.throttle(*throttle, reasons);
        }
        if let Event::PhaseFinished { .. } = event {
            state.throttle = None;
            if let Some(bar) = state.bar.take() {
                bar.finish_and_clear();
            }
            state.told = None;
        }
        if let Event::Waiting { phase, judgement, .. } = event {
            let told = state
                .waiting
                .iter()
                .any(|(at, before)| at == phase && before == judgement);
            if told {
                return;
            }
            state.waiting.retain(|(at, _)| at != phase);
            state.waiting.push((phase.clone(), judgement.clone()));
        }
        if let Some(text) = words(event) {
            self.line(&state, &text);
        }
    }
}

/// Attempts at a lock are many and short: the first is told, and then ever fewer.
pub(in crate::report) fn is_worth_a_line(attempt: u32) -> bool {
    attempt.is_power_of_two()
}

fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::PhaseStarted { phase, direction } => {
            let verb = match direction {
                Direction::Forward => "run",
                Direction::Reverse => "undo",
            };
            format!(
                "{} {verb} {}",
                paint(style::NAME, "▶"),
                paint(style::HEADING, phase)
            )
        }
        Event::StepStarted { summary, .. } => format!("  {}", paint(style::DIM, summary)),
        Event::LockRetry { attempt, .. } if !is_worth_a_line(*attempt) => return None,
        Event::LockRetry {
            attempt,
            attempts,
            blockers,
            wait,
            ..
        } => {
            let who = if blockers.is_empty() {
                String::new()
            } else {
                format!(": blocked by {}", blockers.join("; "))
            };
            format!(
                "  {} the lock was not free (attempt {attempt} of {attempts}){who}; again in {:.1} s",
                paint(style::CAUTION, "…"),
                wait.as_secs_f64()
            )
        }
        Event::PhaseFinished {
            phase,
            direction,
            rows,
            duration,
        } => {
            let verb = match direction {
                Direction::Forward => "done",
                Direction::Reverse => "undone",
            };
            let rows = rows.map_or(String::new(), |rows| {
                let plural = if rows == 1 { "row" } else { "rows" };
                format!(", {} {plural} changed", time::thousands(rows))
            });
            format!(
                "{} {phase} {verb} in {}{rows}",
                paint(style::GOOD, "✓"),
                spell(*duration)
            )
        }
        Event::Waiting {
            phase,
            judgement,
            poll,
        } => {
            let mut text = judgement::verdict_line(judgement.verdict(), &format!("{phase} may not run yet"));
            text += &judgement::reasons(judgement, 2);
            if let Some(poll) = poll {
                let _ = write!(text, "  looking again every {} s", poll.as_secs_f64());
                let soaks = |reason: &Reason| reason.code == ReasonCode::Soaking;
                if judgement.reasons.iter().any(soaks) {
                    text += ", and when the soak is over";
                }
            }
            text
        }
        Event::Note { phase, message } => match phase {
            Some(phase) => format!("  {phase}: {message}"),
            None => format!("  {message}"),
        },
        Event::WaitingForBlockers {
            blockers,
            waited,
            limit,
            ..
        } => {
            let limit = limit.map_or(String::new(), |limit| format!(" of at most {}", spell(limit)));
            let waited = if waited.is_zero() {
                String::new()
            } else {
                format!(" for {}{limit}", spell(*waited))
            };
            format!(
                "  {} waiting{waited} for {}; nobody is held up meanwhile",
                paint(style::CAUTION, "…"),
                blockers.join("; ")
            )
        }
        Event::EndingBlocker { blocker, ending, .. } => {
            let how = match ending {
                Ending::Cancelled => "cancelling the statement of",
                Ending::Terminated => "closing the connection of",
            };
            format!("  {} {how} {blocker}", paint(style::CAUTION, "!"))
        }
        Event::Throttled {
            phase,
            state,
            reasons,
        } => {
            let what = phase.as_ref().map_or("the plan".to_owned(), ToString::to_string);
            match state {
                Throttle::Free => format!("  {} {what} goes on", paint(style::GOOD, "▸")),
                Throttle::Slow => {
                    let slow = paint(style::CAUTION, "▹ slowed down:");
                    format!("  {what} {slow} {}", together(reasons))
                }
                Throttle::Paused => {
                    let paused = paint(style::CAUTION, "‖ paused:");
                    format!("  {what} {paused} {}", together(reasons))
                }
            }
        }
        Event::StepRunning { .. } | Event::IndexProgress { .. } | Event::Progress { .. } => return None,
    })
}

fn spell(duration: Duration) -> String {
    time::took(SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX))
}
