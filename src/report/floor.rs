//! The rollback floor: the oldest commits that may still be deployed, and what holds them up.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Table;
use super::style::{self, paint};
use crate::domain::{CommitId, PhaseId, PlanId, ServiceName};
use crate::safety::FloorPhase;

/// What every version of one service must contain, by one plan.
#[derive(Clone, Debug, Serialize)]
pub struct FloorLine {
    /// The service.
    pub service: ServiceName,
    /// The plan.
    pub plan: PlanId,
    /// The commit that brought it: the oldest that may still be deployed; `None` where it is not known here.
    pub commit: Option<CommitId>,
    /// The first line of its message.
    pub subject: Option<String>,
    /// The code phase, and what makes it needed.
    #[serde(flatten)]
    pub needed: FloorPhase,
}

/// A line for all services that have the same floor. Empty where there is none.
pub fn text(lines: &[FloorLine]) -> String {
    let mut table = Table::without_heading(3);
    let mut said: BTreeSet<(&PlanId, &PhaseId, Option<&CommitId>)> = BTreeSet::new();
    for line in lines {
        let key = (&line.plan, &line.needed.phase, line.commit.as_ref());
        if !said.insert(key) {
            continue;
        }
        let services: Vec<&str> = lines
            .iter()
            .filter(|other| (&other.plan, &other.needed.phase, other.commit.as_ref()) == key)
            .map(|other| other.service.as_str())
            .collect();
        let commit = line
            .commit
            .as_ref()
            .map_or("(no commit)", |commit| commit.short())
            .to_owned();
        table.row([
            paint(style::HEADING, services.join(", ")),
            commit,
            format!(
                "{} of {} {}",
                line.needed.phase,
                line.plan,
                paint(style::DIM, format!("({})", why(&line.needed)))
            ),
        ]);
    }
    if table.is_empty() {
        return String::new();
    }
    let heading = "Rollback floor: what every version must contain";
    format!("{}\n{}", paint(style::DIM, heading), table.render(2))
}

/// What makes older code unfit.
fn why(needed: &FloorPhase) -> String {
    let named = |phases: &[PhaseId], one: &str, many: &str| {
        let names: Vec<&str> = phases.iter().map(PhaseId::as_str).collect();
        match names.as_slice() {
            [] => None,
            [only] => Some(format!("{only} {one}")),
            _ => Some(format!("{} {many}", names.join(", "))),
        }
    };
    let in_effect = named(&needed.in_effect, "is in effect", "are in effect");
    let abandoned = named(
        &needed.abandoned,
        "ran and left data stale",
        "ran and left data stale",
    );
    in_effect
        .into_iter()
        .chain(abandoned)
        .collect::<Vec<_>>()
        .join("; ")
}
