//! `shipctl link`

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use super::Context;
use crate::domain::{Exit, PhaseId, Problem, ServiceName, did_you_mean};
use crate::observe::git::Repository;
use crate::plan::{self, Phase, PhaseDetail, Plan};
use crate::project::Project;
use crate::report::style;
use crate::safety::Services;

/// Tie a commit to a code phase
///
/// Writes the full id of the commit into the plan file and keeps its comments and layout. Without a link, a code phase
/// is found by the trailer `Ship-Phase: PLAN/PHASE` in a commit's message.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shipctl link rename-users-name dual-write HEAD
  shipctl link rename-users-name dual-write 3f2a9c1 --service worker")]
pub struct Args {
    /// The plan's id, or the path of its file
    plan: String,

    /// The code phase
    phase: PhaseId,

    /// The commit: an id, a branch, a tag, HEAD~2 …
    rev: String,

    /// The service whose own repository the commit is in
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        plan,
        phase,
        rev,
        service,
    } = args;
    let project = context.project()?;
    let plan = plan::find(&project, &plan)?;
    code_phase(&plan, &phase, service.as_ref())?;
    let repository = repository(&project, service.as_ref())?;
    let commit = repository.resolve(&rev).map_err(|doubt| {
        let problem = Problem::new(
            Exit::Usage,
            "unknown-commit",
            format!("cannot tell which commit `{rev}` is"),
        )
        .because(doubt.why);
        match doubt.fix {
            Some(fix) => problem.fix(fix),
            None => problem,
        }
    })?;
    let subject = repository.summary(&commit).map(|summary| summary.subject);

    let text = plan.source().inner();
    let linked = plan::link(text, &phase, service.as_ref(), &commit)?;
    let same = linked.before.as_deref() == Some(commit.as_str());
    if !same {
        // What is written must be a plan again.
        plan::parse(plan.path(), &linked.text, &project.migrations)?;
        plan::replace(plan.path(), &linked.text)?;
    }

    let console = &context.console;
    console.json(&json!({
        "plan": plan.id(),
        "phase": phase,
        "service": service,
        "commit": commit,
        "subject": subject,
        "before": linked.before,
        "changed": !same,
        "file": context.display_path(plan.path()).to_string(),
    }));
    let described = match &subject {
        Some(subject) => format!("{} “{subject}”", style::paint(style::NAME, commit.short())),
        None => style::paint(style::NAME, commit.short()),
    };
    let name = format!("{}/{phase}", plan.id());
    console.result(&match &linked.before {
        Some(_) if same => format!("{name} is linked to {described} already"),
        Some(before) => format!("{name} is linked to {described}; it was {before}"),
        None => format!("{name} is linked to {described}"),
    });
    if !same {
        let file = context.display_path(plan.path());
        console.note(&format!(
            "Commit {file}, then see where it stands: shipctl status {}",
            plan.id()
        ));
    }
    Ok(Exit::Done)
}

fn code_phase<'p>(plan: &'p Plan, id: &PhaseId, service: Option<&ServiceName>) -> Result<&'p Phase, Problem> {
    let names: Vec<&str> = plan.code_phases().map(|(phase, _)| phase.id.as_str()).collect();
    let Some(phase) = plan.phase(id) else {
        return Err(Problem::new(
            Exit::Usage,
            "unknown-phase",
            format!("the plan `{}` has no phase `{id}`", plan.id()),
        )
        .fix(did_you_mean(id.as_str(), &names)));
    };
    let PhaseDetail::Code(code) = &phase.detail else {
        return Err(Problem::new(
            Exit::Usage,
            "not-a-code-phase",
            format!(
                "`{id}` is a phase of kind {}, which has no commit",
                phase.kind().as_str()
            ),
        )
        .at(plan.source(), phase.span.clone(), "this phase")
        .fix(match names.as_slice() {
            [] => "the plan has no code phases".to_owned(),
            names => format!("the code phases are {}", names.join(", ")),
        }));
    };
    if let (Some(service), Services::Only(concerned)) = (service, &code.services)
        && !concerned.contains(service)
    {
        return Err(Problem::new(
            Exit::Usage,
            "service-not-concerned",
            format!("`{id}` does not concern the service `{service}`"),
        )
        .at(plan.source(), phase.span.clone(), "see `services` of this phase")
        .fix("add the service there, or leave --service out"));
    }
    Ok(phase)
}

/// The repository in which the revision is looked up.
fn repository(project: &Project, service: Option<&ServiceName>) -> Result<Repository, Problem> {
    let Some(name) = service else {
        return Repository::discover(&project.root);
    };
    let declared = project.service_names();
    if !declared.contains(name) {
        let known: Vec<&str> = declared.iter().map(ServiceName::as_str).collect();
        return Err(Problem::new(
            Exit::Usage,
            "unknown-service",
            format!("no environment declares a service `{name}`"),
        )
        .fix(did_you_mean(name.as_str(), &known)));
    }
    let folders: BTreeSet<PathBuf> = project
        .environments
        .values()
        .flat_map(|environment| &environment.services)
        .filter(|service| service.name == *name)
        .filter_map(|service| service.repository.clone())
        .collect();
    match folders.first() {
        Some(folder) => Repository::of_services(folder, BTreeSet::from([name.clone()])),
        None => Repository::discover(&project.root),
    }
}
