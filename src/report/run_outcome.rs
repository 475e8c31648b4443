//! What a run came to, forward or back, with the next command to type.

use std::fmt::Write as _;

use serde_json::json;

use super::style::{self, paint};
use super::{Console, judgement};
use crate::domain::{EnvironmentName, PlanId};
use crate::execute::fill::join::Joined;
use crate::execute::{Closed, Ran, RollbackOutcome, RunEnd, RunOutcome};
use crate::safety::{PhaseKind, Verdict};

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
