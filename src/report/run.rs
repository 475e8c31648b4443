//! How a run looks while it goes on, and what it came to.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use jiff::SignedDuration;
use serde_json::json;

use super::judgement;
use super::style::{self, paint};
use super::{Console, step_progress, time};
use crate::domain::{EnvironmentName, PhaseId, PlanId};
use crate::execute::fill::join::Joined;
use crate::execute::{
    Closed, Event, EventSink, PhasePreview, Ran, RollbackOutcome, RunEnd, RunOutcome, StepPreview, Throttle,
};
use crate::ledger::Ending;
use crate::safety::{Direction, Judgement, PhaseKind, Progress, Reason, ReasonCode, Verdict};

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
    /// What the bar says, and what is added while work is slowed down or paused.
    message: String,
    throttle: Option<String>,
    /// The last reasons for waiting, so that a wait of hours is told once.
    waiting: Vec<(PhaseId, Judgement)>,
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
            state.message = format!(
                "{}: {} rows, {}/s, {} left",
                doing(phase, activity),
                time::thousands(*changed),
                whole(*rate),
                HumanDuration(bar.eta())
            );
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
        let left = total
            .and_then(|total| left(total.saturating_sub(*done), *rate))
            .map_or(String::new(), |left| {
                format!(", about {} left", time::rough(left))
            });
        let throttle = state
            .throttle
            .as_ref()
            .map_or(String::new(), |why| format!(" ({why})"));
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
        bar.set_message(match &self.throttle {
            Some(why) => format!("{} · {why}", self.message),
            None => self.message.clone(),
        });
    }

    /// Remembers what slows the work down.
    fn throttle(&mut self, throttle: Throttle, reasons: &[String]) {
        self.throttle = match throttle {
            Throttle::Free => None,
            Throttle::Slow => Some(format!("slow: {}", together(reasons))),
            Throttle::Paused => Some(format!("paused: {}", together(reasons))),
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
        if let Event::StepRunning { .. } | Event::IndexProgress { .. } = event {
            step_progress::show(&self.console, &mut state.step, event);
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

/// Shows what a run came to, with the next command to type.
pub fn outcome(console: &Console, plan: &PlanId, environment: &EnvironmentName, outcome: &RunOutcome) {
    if console.is_json() {
        let closed: &[Closed] = match &outcome.end {
            RunEnd::Closed { phases } => phases,
            RunEnd::Complete | RunEnd::Declined { .. } => &[],
        };
        let what = json!({ "end": outcome.end, "ran": outcome.ran });
        end(console, plan, environment, outcome.verdict(), closed, what);
        return;
    }
    let mut text = String::new();
    match &outcome.end {
        RunEnd::Complete if outcome.ran.is_empty() => {
            let _ = writeln!(
                text,
                "{} nothing to do: {plan} is done as far as asked",
                paint(style::GOOD, "✓")
            );
        }
        RunEnd::Complete => {
            let _ = writeln!(
                text,
                "{} {plan} in {environment}: {} done",
                paint(style::GOOD, "✓"),
                listed(&outcome.ran)
            );
        }
        RunEnd::Declined { phase } => {
            let _ = writeln!(text, "{phase} was not begun");
        }
        RunEnd::Closed { phases } => {
            for closed in phases {
                let asked = format!("{plan}/{} may not run yet", closed.phase);
                text += &judgement::verdict_line(closed.judgement.verdict(), &asked);
                text += &judgement::reasons(&closed.judgement, 2);
            }
            let again = format!("shipctl run {plan} --env {environment}");
            if !text.contains(&again) {
                let _ = writeln!(text, "\nThen: {}", paint(style::NAME, again));
            }
        }
    }
    console.result(&text);
}

/// Shows what joining a run's fill came to.
pub fn joined(console: &Console, plan: &PlanId, environment: &EnvironmentName, joined: &Joined) {
    if console.is_json() {
        end(console, plan, environment, Verdict::Go, &[], json!(joined));
        return;
    }
    let what = match &joined.phase {
        Some(phase) => {
            format!("{plan} in {environment}: nothing is left to fill of {phase}; its run goes on by itself")
        }
        None => format!("{plan} in {environment}: its run ended and had nothing to fill"),
    };
    console.result(&format!("{} {what}\n", paint(style::GOOD, "✓")));
}

/// Shows what undoing came to.
pub fn rolled_back(
    console: &Console,
    plan: &PlanId,
    environment: &EnvironmentName,
    outcome: &RollbackOutcome,
) {
    if console.is_json() {
        let what = json!({ "undone": outcome.undone, "closed": outcome.closed });
        end(
            console,
            plan,
            environment,
            outcome.verdict(),
            outcome.closed.as_slice(),
            what,
        );
        return;
    }
    let mut text = String::new();
    if !outcome.undone.is_empty() {
        let _ = writeln!(
            text,
            "{} {plan} in {environment}: undone {}",
            paint(style::GOOD, "✓"),
            listed(&outcome.undone)
        );
    } else if outcome.closed.is_none() {
        let _ = writeln!(
            text,
            "{} nothing to undo: nothing of {plan} beyond that is in effect",
            paint(style::GOOD, "✓")
        );
    }
    if let Some(closed) = &outcome.closed {
        let verb = if closed.kind == PhaseKind::Code {
            "restored"
        } else {
            "undone"
        };
        let asked = format!("{plan}/{} may not be {verb} yet", closed.phase);
        text += &judgement::verdict_line(closed.judgement.verdict(), &asked);
        text += &judgement::reasons(&closed.judgement, 2);
    }
    console.result(&text);
}

/// The last line of a stream.
fn end(
    console: &Console,
    plan: &PlanId,
    environment: &EnvironmentName,
    verdict: Verdict,
    closed: &[Closed],
    what: serde_json::Value,
) {
    let reasons: Vec<serde_json::Value> = closed
        .iter()
        .flat_map(|closed| closed.judgement.reasons.iter().map(judgement::reason_as_json))
        .collect();
    let mut line = json!({
        "event": "end",
        "verdict": verdict,
        "exit": verdict.exit().code(),
        "plan": plan,
        "environment": environment,
        "reasons": reasons,
    });
    if let (Some(line), serde_json::Value::Object(what)) = (line.as_object_mut(), what) {
        line.extend(what);
    }
    console.json(&line);
}

fn listed(ran: &[Ran]) -> String {
    ran.iter()
        .map(|ran| ran.phase.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Shows what a run or a rollback would do.
pub fn preview(console: &Console, plan: &PlanId, environment: &EnvironmentName, phases: &[PhasePreview]) {
    console.json(&json!({
        "verdict": phases.iter().map(|phase| phase.verdict).max().unwrap_or(Verdict::Go),
        "plan": plan,
        "environment": environment,
        "phases": phases,
    }));
    let mut text = String::new();
    let mut said: Vec<&Reason> = Vec::new();
    for (index, phase) in phases.iter().enumerate() {
        let (sign, word, mark) = judgement::mark(phase.verdict);
        // What only waits for the phases shown above it, or for what they wait for, is not refused: its turn comes.
        let comes_next = index > 0
            && phase.verdict != Verdict::Go
            && phase.judgement.reasons.iter().all(|reason| {
                matches!(
                    reason.code,
                    ReasonCode::NeedsPhase | ReasonCode::LaterPhaseInEffect
                ) || said.contains(&reason)
            });
        said.extend(&phase.judgement.reasons);
        let (sign, word, mark) = if comes_next {
            ("○", "then, judged again", style::DIM)
        } else {
            (sign, word, mark)
        };
        let progress = match &phase.progress {
            _ if phase.kind == PhaseKind::Code => String::new(),
            Progress::Pending => String::new(),
            Progress::Done { .. } => ", done".to_owned(),
            Progress::Started { .. } => ", interrupted".to_owned(),
            Progress::Failed { .. } => ", failed".to_owned(),
            Progress::Reverting { .. } => ", half undone".to_owned(),
        };
        let verb = match phase.direction {
            Direction::Forward => "",
            Direction::Reverse => "undo ",
        };
        let _ = writeln!(
            text,
            "{verb}{} ({}{progress})  {}",
            paint(style::HEADING, &phase.phase),
            phase.kind.as_str(),
            paint(mark, format!("{sign} {word}"))
        );
        if !comes_next {
            text += &judgement::reasons(&phase.judgement, 2);
        }
        for step in &phase.steps {
            preview_step(&mut text, step);
        }
        text.push('\n');
    }
    if phases.is_empty() {
        text.push_str("nothing to do\n");
    }
    text.push_str(&paint(style::DIM, "nothing was changed (--dry-run)"));
    console.result(&text);
}

fn preview_step(text: &mut String, step: &StepPreview) {
    let how = match (step.batched, step.transactional) {
        (true, _) => "in batches, each with its cursor in one transaction",
        (false, true) => "one transaction, with its record",
        (false, false) => "outside any transaction, its intent recorded before",
    };
    let locks: Vec<String> = step
        .locks
        .iter()
        .map(|lock| {
            let on = lock
                .table
                .as_ref()
                .map_or(String::new(), |table| format!(" on {table}"));
            let long = if lock.long { ", held for a scan" } else { "" };
            format!("{}{on}{long}", lock.mode.as_str())
        })
        .collect();
    let locks = if locks.is_empty() {
        "locks: none known".to_owned()
    } else {
        format!("locks: {}", locks.join("; "))
    };
    let wait = step.lock_timeout.as_secs_f64();
    let _ = writeln!(
        text,
        "  {}",
        paint(style::DIM, format!("-- {how}; {locks}; waits {wait} s at a time"))
    );
    for sql in &step.sql {
        for line in sql.lines() {
            let _ = writeln!(text, "  {line}");
        }
        text.truncate(text.trim_end().len());
        text.push_str(";\n");
    }
}
