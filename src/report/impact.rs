//! How the locks and the effect of a statement are told, wherever they are.

use super::style::{self, paint};
use crate::plan::{Phase, PhaseDetail, Plan};
use crate::sql::{Impact, Lock, impacts};

/// `ACCESS EXCLUSIVE on public.users, for a moment`.
pub fn lock_words(lock: &Lock) -> String {
    let on = lock
        .table
        .as_ref()
        .map_or(" on a table that it does not name".to_owned(), |table| {
            format!(" on {table}")
        });
    let long = if lock.long {
        "while it goes through the table"
    } else {
        "for a moment"
    };
    format!("{}{on}, {long}", lock.mode.as_str())
}

/// All of a statement's locks on a line, and what it takes away.
pub fn words(impact: &Impact<'_>) -> String {
    let mut parts: Vec<String> = impact.locks.iter().map(lock_words).collect();
    if parts.is_empty() {
        parts.push("no lock on a table".to_owned());
    }
    parts.extend(
        impact
            .ended_after
            .filter(|_| !impact.locks.is_empty())
            .map(|limit| format!("ended after {} s at most", limit.as_secs_f64())),
    );
    parts.extend(impact.effect.takes_away.map(ToOwned::to_owned));
    parts.join("; ")
}

/// What the statements of a phase's forward side do.
pub fn of_phase(phase: &Phase) -> Vec<Impact<'_>> {
    match &phase.detail {
        PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => impacts(&run.migration.up),
        PhaseDetail::Backfill(_) | PhaseDetail::Code(_) | PhaseDetail::Manual { .. } => Vec::new(),
    }
}

/// What each statement of a plan's forward sides does, a phase after the other.
pub fn of_plan(plan: &Plan) -> String {
    let mut text = String::new();
    for phase in plan.phases() {
        let all = of_phase(phase);
        if !all.is_empty() {
            text.push_str(&format!("  {}\n", paint(style::NAME, &phase.id)));
        }
        for impact in all {
            let mark = match impact.stall() {
                Some(_) => style::CAUTION,
                None => style::DIM,
            };
            text.push_str(&format!("    {}\n", impact.statement.summary));
            text.push_str(&format!("      {}\n", paint(mark, words(&impact))));
        }
    }
    text
}

/// The statements of a plan's forward sides that keep writers waiting while they go through a table.
pub fn stalls(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    for phase in plan.phases() {
        for impact in of_phase(phase) {
            if let Some(lock) = impact.stall() {
                let summary = &impact.statement.summary;
                found.push(format!("{}: {summary} takes {}", phase.id, lock_words(lock)));
            }
        }
    }
    found
}
