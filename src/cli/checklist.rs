//! `shipctl checklist`: a pull-request checklist for a plan or one of its phases.

use std::fs;
use std::io::ErrorKind;

use super::Context;
use crate::domain::{EnvironmentName, Exit, PhaseId, Problem, did_you_mean};
use crate::plan::{self, Plan};
use crate::postgres::ledger;
use crate::project::Project;
use crate::report::checklist::{self, BUILT_IN, TEMPLATE, Tests};

/// A pull-request checklist for a plan or a phase, in Markdown
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shipctl checklist rename-users-name                         the whole plan
  shipctl checklist rename-users-name dual-write              one pull request
  shipctl checklist rename-users-name add --env staging       with what was run in staging as evidence
A box is ticked only where there is evidence, which is cited. Templates: templates/checklist.md.hbs.")]
pub struct Args {
    /// The plan: its id or its file
    plan: String,

    /// One phase of it
    phase: Option<PhaseId>,

    /// Look in this environment's ledger for phases that were run and undone
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { plan, phase, env } = args;
    let project = context.project()?;
    let plan = plan::find(&project, &plan)?;
    let phase = match &phase {
        Some(id) => Some(plan.phase(id).ok_or_else(|| {
            let known: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
            Problem::new(
                Exit::Usage,
                "unknown-phase",
                format!("plan {} has no phase `{id}`", plan.id()),
            )
            .fix(did_you_mean(id.as_str(), &known))
        })?),
        None => None,
    };
    let tests = match &env {
        Some(name) => tests(context, &project, name, &plan).await?,
        None => None,
    };
    let document = checklist::checklist(&plan, phase, tests.as_ref());
    if context.console.is_json() {
        context.console.json(&document);
        return Ok(Exit::Done);
    }
    let (name, template) = template(&project, context)?;
    context
        .console
        .document(&checklist::render(&name, &template, &document)?);
    Ok(Exit::Done)
}

/// What the ledger tells. A database that cannot be reached leaves the boxes open, and that is said.
async fn tests(
    context: &Context,
    project: &Project,
    name: &EnvironmentName,
    plan: &Plan,
) -> Result<Option<Tests>, Problem> {
    let environment = context.environment(project, Some(name))?;
    let session = match context.session(environment, "checklist").await {
        Ok(session) => session,
        Err(problem) => {
            context
                .console
                .note(&format!("no evidence from `{name}`: {problem}"));
            return Ok(None);
        }
    };
    let records = ledger::read(session.client(), name, Some(plan.id())).await?;
    Ok(Some(Tests::from_records(name, plan, &records)))
}

/// The project's own template, or the one that comes with the program.
fn template(project: &Project, context: &Context) -> Result<(String, String), Problem> {
    let path = project.templates.join(TEMPLATE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok((context.display_path(&path).to_string(), text)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok((format!("the built-in {TEMPLATE}"), BUILT_IN.to_owned()))
        }
        Err(error) => Err(Problem::new(
            Exit::Usage,
            "template-unreadable",
            format!("cannot read {}: {error}", context.display_path(&path)),
        )),
    }
}
