//! The picture of `shipctl status`: plans at a glance, phase by phase, with what runs and what to do next.

use std::collections::BTreeMap;

use anstyle::Style;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::standing::{Next, PhaseStanding, PlanStanding, State};
use super::style::{self, paint};
use super::{Table, judgement, manners, time};
use crate::domain::{CommitId, ServiceName};
use crate::safety::{Fleet, PhaseKind, Verdict};

/// The subjects of commits, where they are known.
pub type Subjects = BTreeMap<(ServiceName, CommitId), String>;

/// How a state looks: its sign, its word, its style.
fn look_of(state: State) -> (&'static str, &'static str, Style) {
    match state {
        State::Done => ("●", "done", style::GOOD),
        State::Satisfied => ("●", "deployed", style::GOOD),
        State::Tainted => ("◐", "to verify again", style::CAUTION),
        State::Running => ("◐", "running", style::NAME),
        State::Interrupted => ("◐", "interrupted", style::CAUTION),
        State::Failed => ("✗", "failed", style::BAD),
        State::Undoing => ("◐", "being undone", style::CAUTION),
        State::Partly => ("◐", "partly deployed", style::CAUTION),
        State::Next => ("○", "next", style::NAME),
        State::Waiting => ("○", "waiting", style::CAUTION),
        State::Unknown => ("?", "unknown", style::CAUTION),
        State::Blocked => ("○", "blocked", style::BAD),
        State::Later => ("○", "", style::DIM),
    }
}

/// A code phase that nobody contains yet is not blocked by anything: it waits to be deployed.
fn word_of(phase: &PhaseStanding) -> (&'static str, &'static str, Style) {
    match (phase.kind, phase.state) {
        (PhaseKind::Code, State::Blocked) => ("○", "to deploy", style::NAME),
        (_, state) => look_of(state),
    }
}

/// One sign a phase: `●●●◐○○○○`.
pub fn bar(plan: &PlanStanding) -> String {
    plan.phases
        .iter()
        .map(|phase| {
            let (sign, _, style) = word_of(phase);
            paint(style, sign)
        })
        .collect()
}

/// One plan in one environment.
pub fn plan(plan: &PlanStanding, environment: &str, now: Timestamp, verbose: bool) -> String {
    let title = if plan.title.is_empty() {
        plan.plan.as_str()
    } else {
        plan.title.as_str()
    };
    let mut text = format!(
        "{}\n{}  {}\n",
        paint(style::HEADING, title),
        bar(plan),
        paint(
            style::DIM,
            format!(
                "{} in {environment} · {} of {} phases",
                plan.plan,
                plan.complete(),
                plan.phases.len()
            )
        ),
    );
    if plan.departed {
        let line = "its file is not in this checkout; shown as the ledger stored it";
        text += &format!("{}\n", paint(style::CAUTION, line));
    }
    if let Some(pause) = &plan.paused {
        text += &format!(
            "{} by {}\n",
            paint(style::CAUTION, "‖ paused"),
            manners::pause(pause, now)
        );
    }
    text.push('\n');
    let mut table = Table::new(["  phase", "kind", "state", "when", ""]);
    for phase in &plan.phases {
        let (sign, word, style) = word_of(phase);
        let when = phase.at.map_or_else(String::new, |at| {
            if verbose {
                time::absolute(at)
            } else {
                time::relative(now, at)
            }
        });
        table.row([
            format!("{} {}", paint(style, sign), phase.id),
            paint(style::DIM, phase.kind.as_str()),
            paint(style, word),
            when,
            paint(style::DIM, remarks(phase)),
        ]);
    }
    text += &table.render(2);
    if let Some(front) = plan.front()
        && let Some(judged) = &front.judgement
        && judged.verdict() != Verdict::Go
    {
        text += &format!("\n  {} waits because\n", paint(style::HEADING, &front.id));
        text += &judgement::messages(judged, 4);
    }
    text.push('\n');
    text += &next(plan.next.as_ref());
    text
}

/// Where one phase stands, in a line.
pub fn phase_line(phase: &PhaseStanding, now: Timestamp) -> String {
    let (sign, word, style) = word_of(phase);
    let word = if word.is_empty() {
        "later: phases before it come first"
    } else {
        word
    };
    let mut parts = vec![paint(style, word)];
    parts.extend(phase.at.map(|at| time::relative(now, at)));
    let remarks = remarks(phase);
    if !remarks.is_empty() {
        parts.push(remarks);
    }
    format!("  {} {}\n", paint(style, sign), parts.join(" · "))
}

fn remarks(phase: &PhaseStanding) -> String {
    let mut parts = Vec::new();
    if let Some((with, all)) = phase.instances
        && phase.state != State::Later
    {
        parts.push(format!("{with} of {all} instances"));
    }
    for (version, at) in &phase.tainted_by {
        parts.push(format!(
            "{} {} ran without its code until {}",
            version.service,
            version.commit.short(),
            time::absolute(*at)
        ));
    }
    if let Some(rows) = phase.rows {
        parts.push(format!("{} rows", time::thousands(rows)));
    }
    if let Some(took) = phase.took {
        parts.push(time::took(took));
    }
    if let Some(actor) = &phase.actor {
        let name = actor.split(" <").next().unwrap_or(actor);
        parts.push(format!("by {name}"));
    }
    if let Some(error) = &phase.error {
        parts.push(error.chars().take(80).collect());
    }
    parts.join(" · ")
}

fn next(next: Option<&Next>) -> String {
    match next {
        None => format!("{}\n", paint(style::GOOD, "✓ complete; nothing is left to do")),
        Some(Next {
            words,
            command: Some(command),
        }) => {
            let heading = paint(style::HEADING, "Next:");
            format!(
                "{heading} {}\n      {}\n",
                paint(style::NAME, command),
                paint(style::DIM, words)
            )
        }
        Some(Next { words, command: None }) => format!("{} {words}\n", paint(style::HEADING, "Now:")),
    }
}

/// What runs where: one line a version, doubts below.
pub fn fleet(fleet: &Fleet, subjects: &Subjects) -> String {
    let mut table = Table::without_heading(4);
    let mut doubts = String::new();
    for census in fleet.services.values() {
        let mut counts: BTreeMap<&CommitId, usize> = BTreeMap::new();
        for sighting in &census.sightings {
            *counts.entry(&sighting.commit).or_default() += 1;
        }
        let mut name = paint(style::HEADING, &census.service);
        if counts.is_empty() {
            table.row([
                name.clone(),
                paint(style::CAUTION, "nothing seen"),
                String::new(),
                String::new(),
            ]);
        }
        for (commit, count) in counts {
            let subject = subjects
                .get(&(census.service.clone(), commit.clone()))
                .map(String::as_str)
                .unwrap_or("(not a commit of this clone)");
            table.row([
                std::mem::take(&mut name),
                commit.short().to_owned(),
                format!("×{count}"),
                paint(style::DIM, subject),
            ]);
        }
        for doubt in &census.doubts {
            doubts += &format!(
                "  {} {}: {}\n",
                paint(style::CAUTION, "?"),
                census.service,
                doubt.why
            );
            if let Some(fix) = &doubt.fix {
                doubts += &format!("      {} {fix}\n", paint(style::NAME, "fix:"));
            }
        }
    }
    for stranger in &fleet.strangers {
        doubts += &format!(
            "  {} `{}` runs {} but is not declared (seen by {})\n",
            paint(style::CAUTION, "?"),
            stranger.name,
            stranger.commit.short(),
            stranger.source
        );
    }
    if table.is_empty() {
        return doubts;
    }
    format!("{}\n{}{doubts}", paint(style::DIM, "Running"), table.render(2))
}

/// One environment of the overview.
pub struct Column {
    /// The environment.
    pub environment: String,
    /// The plans there; an error in words where it could not be looked at.
    pub plans: Result<Vec<PlanStanding>, String>,
}

/// Every plan (or the phases of one) over several environments: a row each, a column an environment.
pub fn overview(columns: &[Column], by_phase: bool) -> String {
    let headings: Vec<&str> = std::iter::once(if by_phase { "phase" } else { "plan" })
        .chain(columns.iter().map(|column| column.environment.as_str()))
        .collect();
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let Ok(plans) = &column.plans else { continue };
        let cells: Vec<(String, String)> = if by_phase {
            plans
                .iter()
                .flat_map(|plan| &plan.phases)
                .map(phase_cell)
                .collect()
        } else {
            plans.iter().map(plan_cell).collect()
        };
        for (name, cell) in cells {
            let at = rows
                .iter()
                .position(|(known, _)| *known == name)
                .unwrap_or_else(|| {
                    rows.push((name, vec![String::new(); columns.len()]));
                    rows.len() - 1
                });
            if let Some(slot) = rows.get_mut(at).and_then(|(_, cells)| cells.get_mut(index)) {
                *slot = cell;
            }
        }
    }
    let mut table = Table::new(headings);
    for (name, mut cells) in rows {
        for (cell, column) in cells.iter_mut().zip(columns) {
            if column.plans.is_err() {
                *cell = paint(style::CAUTION, "? unknown");
            }
        }
        table.row(std::iter::once(name).chain(cells));
    }
    let mut text = table.render(0);
    for column in columns {
        if let Err(why) = &column.plans {
            text += &format!("{} {}: {why}\n", paint(style::CAUTION, "?"), column.environment);
        }
    }
    text
}

fn phase_cell(phase: &PhaseStanding) -> (String, String) {
    let (sign, word, style) = word_of(phase);
    (
        phase.id.to_string(),
        paint(style, format!("{sign} {word}").trim_end()),
    )
}

fn plan_cell(plan: &PlanStanding) -> (String, String) {
    let paused = plan
        .paused
        .as_ref()
        .map_or_else(String::new, |_| paint(style::CAUTION, " ‖ paused"));
    let front = plan.front().map_or_else(String::new, |phase| {
        let (_, word, style) = word_of(phase);
        format!(" {} {}", phase.id, paint(style, word))
    });
    (plan.plan.to_string(), format!("{}{front}{paused}", bar(plan)))
}

/// A plan's standing as programs read it.
pub fn plan_json(plan: &PlanStanding) -> Value {
    json!({
        "plan": plan.plan,
        "title": plan.title,
        "complete": plan.is_complete(),
        "phases_complete": plan.complete(),
        "phases_total": plan.phases.len(),
        "in_checkout": !plan.departed,
        "run_at_work": plan.at_work,
        "paused": plan.paused,
        "phases": plan.phases.iter().map(phase_json).collect::<Vec<_>>(),
        "next": plan.next,
    })
}

fn phase_json(phase: &PhaseStanding) -> Value {
    let judged = phase.judgement.as_ref().map(judgement::as_json);
    json!({
        "phase": phase.id,
        "kind": phase.kind,
        "state": phase.state,
        "at": phase.at,
        "actor": phase.actor,
        "rows": phase.rows,
        "duration_ms": phase.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(0)),
        "instances": phase.instances.map(|(with, all)| json!({ "satisfied": with, "total": all })),
        "error": phase.error,
        "tainted_by": phase.tainted_by.iter().map(|(version, at)| json!({
            "service": version.service, "commit": version.commit, "last_seen": at,
        })).collect::<Vec<_>>(),
        "verdict": judged.as_ref().map(|value| value["verdict"].clone()),
        "reasons": judged.as_ref().map_or_else(|| json!([]), |value| value["reasons"].clone()),
    })
}

/// The fleet as programs read it.
pub fn fleet_json(fleet: &Fleet, subjects: &Subjects) -> Value {
    let services: Vec<Value> = fleet
        .services
        .values()
        .map(|census| {
            let mut counts: BTreeMap<&CommitId, usize> = BTreeMap::new();
            for sighting in &census.sightings {
                *counts.entry(&sighting.commit).or_default() += 1;
            }
            json!({
                "service": census.service,
                "versions": counts.into_iter().map(|(commit, count)| json!({
                    "commit": commit,
                    "subject": subjects.get(&(census.service.clone(), commit.clone())),
                    "instances": count,
                })).collect::<Vec<_>>(),
                "doubts": census.doubts,
            })
        })
        .collect();
    json!({ "services": services, "strangers": fleet.strangers })
}
