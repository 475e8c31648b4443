//! Stores a plan with its SQL in the ledger, and notices when what has run reads otherwise now.

use std::collections::BTreeMap;

use super::engine::Hold;
use super::failpoint::{Failpoint, reach};
use crate::domain::{Digest, Exit, PhaseId, Problem};
use crate::ledger::{Record, StoredRecord, fold};
use crate::observe::outdated;
use crate::plan::{Phase, PhaseDetail, Plan};
use crate::sql::MigrationFile;

/// How many lines of a difference are shown.
const LINES_SHOWN: usize = 8;

/// Registers the plan if it is new or was edited where nothing has run yet.
///
/// # Errors
/// `plan-diverged` (exit 1) if a phase that has begun was edited or is gone, showing what changed.
pub(in crate::execute) async fn register(
    hold: &mut Hold<'_>,
    records: &[StoredRecord],
) -> Result<(), Problem> {
    check(hold.plan, records)?;
    let (digest, migrations) = (hold.plan.digest(), migrations(hold.plan));
    let is_known = matches!(
        last(records),
        Some(Registered { source, migrations: known }) if Digest::of(source) == digest && *known == migrations
    );
    if is_known {
        return Ok(());
    }
    reach(Failpoint::PlanRegistering).await;
    hold.append(&[Record::PlanRegistered {
        digest,
        source: hold.plan.source().inner().clone(),
        migrations,
    }])
    .await?;
    reach(Failpoint::PlanRegistered).await;
    Ok(())
}

/// What the ledger stored last.
struct Registered<'r> {
    source: &'r str,
    migrations: &'r BTreeMap<String, String>,
}

fn last(records: &[StoredRecord]) -> Option<Registered<'_>> {
    records.iter().rev().find_map(|stored| match &stored.record {
        Record::PlanRegistered {
            source, migrations, ..
        } => Some(Registered { source, migrations }),
        _ => None,
    })
}

/// The text of each migration, by name, in the form of one file with both sides.
fn migrations(plan: &Plan) -> BTreeMap<String, String> {
    plan.phases()
        .iter()
        .filter_map(migration_of)
        .map(|migration| (migration.name.clone(), one_file(migration)))
        .collect()
}

/// The migration that a phase runs.
pub(in crate::execute) fn migration_of(phase: &Phase) -> Option<&MigrationFile> {
    match &phase.detail {
        PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => Some(&run.migration),
        _ => None,
    }
}

fn one_file(migration: &MigrationFile) -> String {
    let up = migration.up_text.trim();
    match &migration.down_text {
        Some(down) => format!("-- UP\n{up}\n\n-- DOWN\n{}\n", down.trim()),
        None => format!("-- UP\n{up}\n"),
    }
}

/// Whether everything that has begun still reads as it did when it began.
///
/// # Errors
/// `plan-diverged` (exit 1); `plan-outdated` (exit 3) if another text has taken the place of this one.
pub(in crate::execute) fn check(plan: &Plan, records: &[StoredRecord]) -> Result<(), Problem> {
    if let Some(doubt) = outdated(plan, records) {
        let problem = Problem::new(Exit::Unknown, "plan-outdated", doubt.why).because(
            "an older plan has fewer phases and gates than the one that holds, so nothing opens on it",
        );
        return Err(match doubt.fix {
            Some(fix) => problem.fix(fix),
            None => problem,
        });
    }
    let state = fold(records);
    let mut problems = Vec::new();
    for (id, phase) in &state.phases {
        // An attempt of which no step took effect has changed nothing: it may be mended.
        let binding = phase.progress.may_have_effect() && (phase.progress.is_done() || phase.steps > 0);
        let Some(ran) = phase.digest.as_ref().filter(|_| binding) else {
            continue;
        };
        match plan.shape().phase(id) {
            None => problems.push(gone(plan, id)),
            Some(shape) if shape.digest == *ran => {}
            Some(_) => problems.push(edited(plan, id, last(records))),
        }
    }
    match Problem::bundle(problems, format!("{} was edited after it had begun", plan.id())) {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

const WHY: &str =
    "what has run cannot be run again in another form, so the file would no longer tell what happened";
const FIX: &str = "restore the text that ran, and put the change into a phase of its own";

fn gone(plan: &Plan, phase: &PhaseId) -> Problem {
    Problem::new(
        Exit::Blocked,
        "plan-diverged",
        format!("{phase} has run, but it is gone from {}", plan.id()),
    )
    .because(WHY)
    .fix(FIX)
}

fn edited(plan: &Plan, id: &PhaseId, before: Option<Registered<'_>>) -> Problem {
    let phase = plan.phase(id);
    let stored = |migration: &MigrationFile| {
        let before = before.as_ref()?.migrations.get(&migration.name)?;
        Some(difference(before, &one_file(migration))).filter(|lines| !lines.is_empty())
    };
    let in_migration = phase.and_then(migration_of).and_then(stored);
    let (place, lines) = match (in_migration, &before) {
        (Some(lines), _) => ("its migration", lines),
        (None, Some(before)) => ("the plan file", difference(before.source, plan.source().inner())),
        (None, None) => ("it", Vec::new()),
    };
    let mut why = format!("{WHY}\nwhat changed in {place}:");
    for line in lines.iter().take(LINES_SHOWN) {
        why.push_str(&format!("\n  {line}"));
    }
    if lines.len() > LINES_SHOWN {
        why.push_str(&format!("\n  … and {} more lines", lines.len() - LINES_SHOWN));
    }
    let problem = Problem::new(
        Exit::Blocked,
        "plan-diverged",
        format!("{id} of {} was edited after it ran", plan.id()),
    )
    .because(why)
    .fix(FIX);
    match phase {
        Some(phase) => problem.at(plan.source(), phase.span.clone(), "this phase has run"),
        None => problem,
    }
}

/// The lines that only one of two texts has: `- ` before, `+ ` now.
fn difference(before: &str, now: &str) -> Vec<String> {
    let before: Vec<&str> = before.lines().map(str::trim_end).collect();
    let now: Vec<&str> = now.lines().map(str::trim_end).collect();
    let same_start = before.iter().zip(&now).take_while(|(a, b)| a == b).count();
    let (before, now) = (&before[same_start..], &now[same_start..]);
    let same_end = before
        .iter()
        .rev()
        .zip(now.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (before, now) = (&before[..before.len() - same_end], &now[..now.len() - same_end]);
    let gone = before
        .iter()
        .filter(|line| !now.contains(line))
        .map(|line| format!("- {line}"));
    let new = now
        .iter()
        .filter(|line| !before.contains(line))
        .map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_only_what_changed() {
        let lines = difference("a\nb\nc\nd", "a\nx\nc\nd");
        assert_eq!(lines, ["- b", "+ x"]);
        assert!(difference("a\nb", "a\nb  ").is_empty());
    }
}
