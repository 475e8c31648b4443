//! How the plain runner's results look.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::console::{problem_as_json, verdict_of};
use super::impact::lock_words;
use super::step_progress::{self, AtWork};
use super::{Console, Table, style, time};
use crate::domain::PhaseId;
use crate::execute::migrate::{MigrateEvent, Migration, Outcome, Overview, State};
use crate::sql::{Lock, LockMode, MigrationFile, Script, impacts};

/// The table of `migrate status`, with a summary and the next command.
pub fn status(overview: &Overview) -> String {
    let mut table = Table::new(["migration", "state", "applied at", "remarks"]);
    for migration in &overview.migrations {
        let (word, colour) = match migration.state {
            State::Applied if migration.is_edited() => ("edited", style::BAD),
            State::Applied if migration.file.is_none() => ("file missing", style::CAUTION),
            State::Applied => ("applied", style::GOOD),
            State::Pending => ("pending", style::CAUTION),
            State::Interrupted { .. } => ("interrupted", style::BAD),
            State::Planned => ("planned", style::DIM),
        };
        table.row([
            style::paint(style::NAME, &migration.name),
            style::paint(colour, word),
            migration.applied_at.clone().unwrap_or_default(),
            remarks(overview, migration).join("; "),
        ]);
    }
    let mut text = if overview.migrations.is_empty() {
        "There are no migrations yet.\n".to_owned()
    } else {
        table.render(0)
    };
    let count = |wanted: fn(&Migration) -> bool| overview.migrations.iter().filter(|one| wanted(one)).count();
    text.push_str(&format!(
        "\n{} applied, {} pending; recorded in {}\n",
        count(Migration::is_applied),
        count(Migration::is_due),
        overview.bookkeeping.table(),
    ));
    if let Some(other) = &overview.bookkeeping.left_alone {
        text.push_str(&format!(
            "The table {other} is left alone: it does not have the columns id, name and applied_at.\n"
        ));
    }
    text.push_str(&next(overview));
    text
}

fn next(overview: &Overview) -> String {
    let command = if overview.migrations.is_empty() {
        "shipctl migrate new NAME"
    } else if overview.migrations.iter().any(Migration::is_due) {
        "shipctl migrate up"
    } else {
        return String::new();
    };
    format!("Next: {}\n", style::paint(style::NAME, command))
}

fn remarks(overview: &Overview, migration: &Migration) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(owner) = &migration.owner {
        remarks.push(format!("belongs to {owner}"));
    }
    if let State::Interrupted { done, of } = migration.state {
        remarks.push(format!("{done} of {of} steps took effect"));
    }
    if migration.is_edited() {
        remarks.push("the file is not what was applied".to_owned());
    }
    if migration.is_applied() && migration.digest.is_none() {
        remarks.push("recorded elsewhere".to_owned());
    }
    if migration.is_due() && overview.is_out_of_order(migration) {
        remarks.push("older than what is applied".to_owned());
    }
    if let Some(file) = &migration.file
        && file.down.is_none()
    {
        remarks.push("no DOWN".to_owned());
    }
    remarks
}

/// Every migration with all that is known of it.
pub fn status_json(overview: &Overview) -> Value {
    let migrations: Vec<Value> = overview
        .migrations
        .iter()
        .map(|migration| {
            json!({
                "id": migration.id,
                "name": migration.name,
                "state": match migration.state {
                    State::Applied => "applied",
                    State::Pending => "pending",
                    State::Interrupted { .. } => "interrupted",
                    State::Planned => "planned",
                },
                "steps_done": match migration.state {
                    State::Interrupted { done, .. } => Some(done),
                    _ => None,
                },
                "applied": migration.is_applied(),
                "applied_at": migration.applied_at,
                "edited": migration.is_edited(),
                "file": migration.file.as_ref().map(|file| file.path.display().to_string()),
                "reversible": migration.file.as_ref().is_some_and(|file| file.down.is_some()),
                "recorded_elsewhere": migration.is_applied() && migration.digest.is_none(),
                "out_of_order": migration.is_due() && overview.is_out_of_order(migration),
                "plan": migration.owner.as_ref().map(|owner| owner.plan.as_str()),
                "phase": migration.owner.as_ref().and_then(|owner| owner.phase.as_ref()).map(PhaseId::as_str),
            })
        })
        .collect();
    json!({
        "table": overview.bookkeeping.table(),
        "pending": overview.migrations.iter().filter(|one| one.is_due()).count(),
        "migrations": migrations,
    })
}

/// What a run did, as JSON. `verb` is what was done: `applied`, `undone`, `recorded`.
/// Where one failed, `error` tells of it, and the list holds those before it.
pub fn outcome_json(verb: &str, outcome: &Outcome) -> Value {
    let done: Vec<Value> = outcome
        .done
        .iter()
        .map(|(migration, duration)| {
            json!({
                "id": migration.id,
                "name": migration.name,
                "duration_ms": u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    match &outcome.failed {
        None => json!({ "verdict": "done", verb: done }),
        Some(problem) => json!({
            "verdict": verdict_of(problem.exit()),
            verb: done,
            "error": problem_as_json(problem),
        }),
    }
}

/// What a dry run would do, as JSON.
pub fn dry_run_json(files: &[&MigrationFile]) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|file| {
            let mut each = impacts(&file.up).into_iter();
            let steps: Vec<Value> = file
                .up
                .steps
                .iter()
                .map(|step| {
                    let own = each.by_ref().take(step.statements.len());
                    json!({
                        "transaction": step.transactional(),
                        "statements": own.map(|impact| impact.as_json()).collect::<Vec<_>>(),
                    })
                })
                .collect();
            json!({
                "id": file.id,
                "name": file.name,
                "one_transaction": in_one(&file.up),
                "steps": steps,
            })
        })
        .collect();
    json!({ "verdict": "dry-run", "would_apply": files })
}

/// What a dry run would do: the statements with their locks.
pub fn dry_run(files: &[&MigrationFile]) -> String {
    let mut text = String::new();
    for file in files {
        let how = if in_one(&file.up) {
            "in one transaction"
        } else {
            "step by step"
        };
        text.push_str(&format!(
            "{} {}\n",
            style::paint(style::NAME, &file.name),
            style::paint(style::DIM, how)
        ));
        for impact in impacts(&file.up) {
            let sql: Vec<&str> = impact.statement.text.lines().map(str::trim_end).collect();
            text.push_str(&format!("    {};\n", sql.join("\n    ")));
            for lock in &impact.locks {
                text.push_str(&format!("      {}\n", lock_line(lock)));
            }
        }
    }
    text
}

fn in_one(script: &Script) -> bool {
    script.steps.iter().all(crate::sql::Step::transactional)
}

fn lock_line(lock: &Lock) -> String {
    let stalls = lock.long && lock.mode >= LockMode::Share;
    let line = format!("lock: {}", lock_words(lock));
    style::paint(if stalls { style::CAUTION } else { style::DIM }, line)
}

/// Tells people what the runner does.
pub struct Live<'a> {
    console: &'a Console,
    verb: &'static str,
    step: Mutex<step_progress::Shown>,
}

impl<'a> Live<'a> {
    /// `verb` is what finishing means: `applied`, `undone`.
    pub fn new(console: &'a Console, verb: &'static str) -> Self {
        Self {
            console,
            verb,
            step: Mutex::default(),
        }
    }

    /// Something happened.
    pub fn event(&self, happened: &MigrateEvent<'_>) {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = AtWork::in_migration(happened) {
            step_progress::show(self.console, &mut step, &work);
            return;
        }
        step.end();
        if let Some(line) = event(happened, self.verb) {
            self.console.note(&line);
        }
    }
}

/// One line for something that happened. `None` where the line of the end says it all.
fn event(event: &MigrateEvent<'_>, verb: &str) -> Option<String> {
    Some(match event {
        MigrateEvent::Started { .. } | MigrateEvent::Working { .. } => return None,
        MigrateEvent::Step { summary } => format!("  {}", style::paint(style::DIM, summary)),
        MigrateEvent::Finished { name, duration } => format!(
            "{} {verb} {} {}",
            style::paint(style::GOOD, "✓"),
            style::paint(style::NAME, name),
            style::paint(style::DIM, took(*duration))
        ),
        MigrateEvent::LockRetry { attempt, .. } if !super::run::is_worth_a_line(*attempt) => return None,
        MigrateEvent::LockRetry {
            name,
            attempt,
            attempts,
            blockers,
        } => {
            let who = if blockers.is_empty() {
                String::new()
            } else {
                format!(": blocked by {}", blockers)
            };
            format!(
                "{} {name}: no lock in attempt {attempt} of {attempts}{who}",
                style::paint(style::CAUTION, "…")
            )
        }
        MigrateEvent::Note(note) => format!("{} {note}", style::paint(style::DIM, "·")),
        MigrateEvent::Warning(problem) => {
            let mut line = format!("{} {}", style::paint(style::CAUTION, "!"), problem.message());
            if let Some(fix) = problem.remedy() {
                line.push_str(&format!("\n  {}", style::paint(style::DIM, fix)));
            }
            line
        }
    })
}

fn took(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| String::new(), time::took)
}
