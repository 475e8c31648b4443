//! `shipctl check`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Context;
use super::format::Reporting;
use crate::domain::{Exit, Problem};
use crate::plan::{self, Phase, Plan};
use crate::report::proof::{ProofReport, counted, proof_of};
use crate::report::{gravest, impact, problem_as_json, style};
use crate::safety::proof::Outcome;
use crate::sql::{self, Impact};

/// Validate shipctl.toml, plans and their migrations, and prove the plans
///
/// Needs no database. Every mistake is shown at once, with its place. Then every state that the gates of a plan permit is
/// looked at, for what the code phases say that they read and write. Exits 2 if there is a mistake, 1 if a plan is not
/// safe; remarks stop nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shipctl check                       everything in the repository
  shipctl check rename-users-name     one plan
  shipctl check --json                for a pipeline
  shipctl check --format github       annotations on a pull request")]
pub struct Args {
    /// Plans by id or path; all of them if none is given
    plans: Vec<String>,

    #[command(flatten)]
    pub(super) format: Reporting,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let project = context.project()?;
    let mut problems = Vec::new();
    let mut warnings = project.warnings.clone();
    let mut plans = Vec::new();

    let everything = args.plans.is_empty();
    let files = if everything {
        plan::plan_files(&project)?
    } else {
        let mut files: Vec<PathBuf> = Vec::new();
        for wanted in &args.plans {
            match plan::locate(&project, wanted) {
                // By its id and by its path it is the same plan.
                Ok(path) if files.iter().any(|known| is_same_file(known, &path)) => {}
                Ok(path) => files.push(path),
                Err(problem) => problems.push(problem),
            }
        }
        files
    };
    for path in files {
        match plan::load(&project, &path) {
            Ok(plan) => {
                warnings.extend(plan.warnings().iter().cloned());
                plans.push(plan);
            }
            Err(problem) => problems.push(problem),
        }
    }
    let mut migrations = None;
    if everything {
        match sql::list(&project.migrations) {
            Ok(found) => migrations = Some(found.len()),
            // What a plan's phase met already need not be said twice.
            Err(problem) => push_new(&mut problems, problem),
        }
    }

    let proof = proof_of(&plans, &project.service_names());
    warnings.extend(proof.warnings.iter().cloned());
    let valid = problems.is_empty();
    problems.extend(proof.problems.iter().cloned());

    let console = &context.console;
    if console.is_json() {
        console.json(&json!({
            "verdict": match (valid, proof.problems.is_empty()) {
                (false, _) => "invalid",
                (true, false) => "unsafe",
                (true, true) => "valid",
            },
            "plans": plans.iter().map(plan_as_json).collect::<Vec<_>>(),
            "migrations": migrations,
            "proof": proof.as_json(),
            "problems": problems.iter().map(problem_as_json).collect::<Vec<_>>(),
            "warnings": warnings.iter().map(problem_as_json).collect::<Vec<_>>(),
        }));
    } else {
        for problem in warnings.iter().chain(&problems) {
            console.problem(problem);
        }
        for plan in &plans {
            console.result(&format!("plan {}", summary(plan, &proof)));
            if everything {
                for stall in impact::stalls(plan) {
                    console.result(&format!("  {}", style::paint(style::CAUTION, stall)));
                }
            } else {
                console.result(impact::of_plan(plan).trim_end());
            }
        }
        for (outcome, words) in proof.together() {
            console.result(&style::paint(style_of(outcome), words));
        }
        if let Some(left_out) = proof.left_out() {
            console.note(&left_out);
        }
        if let Some(count) = migrations {
            let folder = context.display_path(&project.migrations);
            console.result(&format!(
                "migrations in {folder}: {}; {}",
                counted(count, "file"),
                style::paint(style::GOOD, "valid")
            ));
        }
        if everything && plans.is_empty() && problems.is_empty() {
            console.note("There are no plans yet. Write one: shipctl plan rename TABLE.COLUMN NEW");
        }
    }
    Ok(if valid { gravest(&problems) } else { Exit::Usage })
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Adds a problem unless it, or everything in it, was found before.
fn push_new(problems: &mut Vec<Problem>, found: Problem) {
    fn leaves(problem: &Problem) -> Vec<&Problem> {
        match problem.related() {
            [] => vec![problem],
            related => related.iter().flat_map(leaves).collect(),
        }
    }
    let same = |one: &Problem, other: &Problem| {
        let name = |problem: &Problem| problem.place().map(|(source, _)| source.name().to_owned());
        one.code() == other.code() && one.message() == other.message() && name(one) == name(other)
    };
    let known = leaves(&found)
        .into_iter()
        .all(|new| problems.iter().flat_map(leaves).any(|old| same(new, old)));
    if !known {
        problems.push(found);
    }
}

fn style_of(outcome: Outcome) -> anstyle::Style {
    match outcome {
        Outcome::Safe => style::GOOD,
        Outcome::NotProved => style::CAUTION,
        Outcome::Unsafe => style::BAD,
    }
}

fn summary(plan: &Plan, proof: &ProofReport) -> String {
    let code = plan.code_phases().count();
    let phases = match (plan.phases().len(), code) {
        (all, 0) => counted(all, "phase"),
        (all, code) => format!("{}, {code} of them code", counted(all, "phase")),
    };
    let remarks = match plan.warnings().len() {
        0 => String::new(),
        some => style::paint(style::CAUTION, format!(", {}", counted(some, "warning"))),
    };
    let proved = proof
        .summary(plan.id())
        .map(|(outcome, words)| format!("; {}", style::paint(style_of(outcome), words)))
        .unwrap_or_default();
    format!(
        "{}: {phases}; {}{remarks}{proved}",
        style::paint(style::NAME, plan.id()),
        style::paint(style::GOOD, "valid")
    )
}

fn with_phase(phase: &Phase, impact: &Impact<'_>) -> Value {
    let mut told = impact.as_json();
    if let Some(fields) = told.as_object_mut() {
        fields.insert("phase".to_owned(), json!(phase.id));
    }
    told
}

fn plan_as_json(plan: &Plan) -> Value {
    json!({
        "plan": plan.id(),
        "file": plan.source().name(),
        "digest": plan.digest(),
        "statements": plan
            .phases()
            .iter()
            .flat_map(|phase| impact::of_phase(phase).iter().map(|impact| with_phase(phase, impact)).collect::<Vec<_>>())
            .collect::<Vec<_>>(),
        "phases": plan.phases().len(),
        "code_phases": plan.code_phases().count(),
        "warnings": plan.warnings().len(),
    })
}
