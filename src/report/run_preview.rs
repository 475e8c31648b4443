//! What a run or a rollback would do, statement by statement.

use std::fmt::Write as _;

use jiff::SignedDuration;
use serde_json::json;

use super::style::{self, paint};
use super::{Console, judgement, time};
use crate::domain::{EnvironmentName, PlanId};
use crate::execute::{PhasePreview, StepPreview};
use crate::safety::{Direction, PhaseKind, Progress, Reason, ReasonCode, Verdict};

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
    let locks: Vec<String> = step.locks.iter().map(super::impact::lock_words).collect();
    let locks = if locks.is_empty() {
        "locks: none known".to_owned()
    } else {
        format!("locks: {}", locks.join("; "))
    };
    let wait = SignedDuration::try_from(step.lock_timeout).map_or_else(|_| "for ever".to_owned(), time::took);
    let _ = writeln!(
        text,
        "  {}",
        paint(style::DIM, format!("-- {how}; {locks}; waits {wait} at a time"))
    );
    if !step.takes_away.is_empty() {
        let taken = format!("-- {}", step.takes_away.join("; "));
        let _ = writeln!(text, "  {}", paint(style::DIM, taken));
    }
    for sql in &step.sql {
        for line in sql.lines() {
            let _ = writeln!(text, "  {line}");
        }
        text.truncate(text.trim_end().len());
        text.push_str(";\n");
    }
}
