//! Judgements: a verdict with its reasons, their evidence and what to do, for people and for programs.

use std::fmt::Write as _;

use anstyle::Style;
use serde_json::{Value, json};

use super::style::{self, paint};
use crate::safety::{Judgement, Reason, Verdict};

/// The verdict's sign, word and style; the same wherever a verdict is shown.
pub fn mark(verdict: Verdict) -> (&'static str, &'static str, Style) {
    match verdict {
        Verdict::Go => ("✓", "GO", style::GOOD),
        Verdict::Waiting => ("◷", "WAITING", style::CAUTION),
        Verdict::Unknown => ("?", "UNKNOWN", style::CAUTION),
        Verdict::Blocked => ("✗", "BLOCKED", style::BAD),
    }
}

/// The first line: the verdict and what was asked.
pub fn verdict_line(verdict: Verdict, asked: &str) -> String {
    let (sign, word, style) = mark(verdict);
    format!("{} {asked}\n", paint(style.bold(), format!("{sign} {word}")))
}

/// The reasons against, gravest first, each with its evidence and its remedy, moved in by `indent` spaces.
pub fn reasons(judgement: &Judgement, indent: usize) -> String {
    let mut sorted: Vec<&Reason> = judgement.reasons.iter().collect();
    sorted.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    sorted.into_iter().map(|one| reason(one, indent)).collect()
}

/// One reason: what is the matter, what shows it, what to do.
pub fn reason(reason: &Reason, indent: usize) -> String {
    let (sign, _, style) = mark(reason.verdict);
    let pad = " ".repeat(indent);
    let code = paint(style::DIM, format!("[{}]", reason.code.as_str()));
    let mut text = format!("{pad}{} {} {code}\n", paint(style, sign), reason.message);
    for (index, line) in reason.evidence.iter().enumerate() {
        if !reason.evidence.iter().take(index).any(|said| said == line) {
            let _ = writeln!(text, "{pad}    {}", paint(style::DIM, format!("· {line}")));
        }
    }
    if let Some(fix) = &reason.fix {
        for (index, line) in fix.lines().enumerate() {
            let lead = if index == 0 { "fix:" } else { "    " };
            let _ = writeln!(text, "{pad}    {} {line}", paint(style::NAME, lead));
        }
    }
    text
}

/// The reasons against in a line each, for where the whole story would be too much.
pub fn messages(judgement: &Judgement, indent: usize) -> String {
    let mut sorted: Vec<&Reason> = judgement.reasons.iter().collect();
    sorted.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    sorted
        .into_iter()
        .map(|reason| {
            let (sign, _, style) = mark(reason.verdict);
            format!("{:indent$}{} {}\n", "", paint(style, sign), reason.message)
        })
        .collect()
}

/// What speaks for it, one dim line a fact.
pub fn evidence(judgement: &Judgement, indent: usize) -> String {
    judgement
        .evidence
        .iter()
        .map(|line| format!("{:indent$}{}\n", "", paint(style::DIM, format!("· {line}"))))
        .collect()
}

/// A judgement as programs read it: `verdict`, `reasons`, `evidence`.
pub fn as_json(judgement: &Judgement) -> Value {
    let mut sorted: Vec<&Reason> = judgement.reasons.iter().collect();
    sorted.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    json!({
        "verdict": judgement.verdict(),
        "reasons": sorted.into_iter().map(reason_as_json).collect::<Vec<_>>(),
        "evidence": judgement.evidence,
    })
}

/// A reason as programs read it.
pub fn reason_as_json(reason: &Reason) -> Value {
    json!({
        "code": reason.code,
        "verdict": reason.verdict,
        "plan": reason.plan,
        "phase": reason.phase,
        "message": reason.message,
        "evidence": reason.evidence,
        "fix": reason.fix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::ReasonCode;

    fn sample() -> Judgement {
        let plan: crate::domain::PlanId = "rename".parse().unwrap();
        let reason = |code, verdict, message: &str| Reason {
            code,
            verdict,
            plan: plan.clone(),
            phase: Some("drop".parse().unwrap()),
            message: message.to_owned(),
            evidence: vec!["web 10.0.0.7 runs 3f2a9c1d2".to_owned()],
            fix: Some("deploy stop-write to web".to_owned()),
        };
        Judgement {
            reasons: vec![
                reason(
                    ReasonCode::NeedsApproval,
                    Verdict::Waiting,
                    "an approval is missing",
                ),
                reason(
                    ReasonCode::OldVersionRunning,
                    Verdict::Blocked,
                    "web does not contain stop-write",
                ),
            ],
            evidence: vec!["add is done".to_owned()],
        }
    }

    #[test]
    fn the_gravest_reason_comes_first_with_its_evidence_and_remedy() {
        let judgement = sample();
        let text = verdict_line(judgement.verdict(), "drop in production") + &reasons(&judgement, 2);
        let text = anstream::adapter::strip_str(&text).to_string();
        insta::assert_snapshot!(text, @r"
        ✗ BLOCKED drop in production
          ✗ web does not contain stop-write [old-version-running]
              · web 10.0.0.7 runs 3f2a9c1d2
              fix: deploy stop-write to web
          ◷ an approval is missing [needs-approval]
              · web 10.0.0.7 runs 3f2a9c1d2
              fix: deploy stop-write to web
        ");
    }

    #[test]
    fn programs_get_the_verdict_and_the_codes() {
        let value = as_json(&sample());
        assert_eq!(value["verdict"], "blocked");
        assert_eq!(value["reasons"][0]["code"], "old-version-running");
        assert_eq!(value["reasons"][1]["verdict"], "waiting");
    }
}
