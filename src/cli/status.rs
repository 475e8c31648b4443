//! `shipctl status`: where plans stand, what blocks them, what to do next.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Context, looking};
use crate::domain::{CommitId, EnvironmentName, Exit, PlanId, Problem, ServiceName};
use crate::observe::{Observer, Repositories, Situation};
use crate::plan::{self, PhaseDetail, Plan};
use crate::postgres::RunLock;
use crate::project::{Environment, Project};
use crate::report::deployable::lease_json;
use crate::report::floor::{self as floor_report, FloorLine};
use crate::report::standing::{PlanStanding, Scene};
use crate::report::status::{self, Column, Subjects};
use crate::report::{leases, problem_as_json, style};
use crate::safety::{Facts, Fleet, Lease, Version, floor};

/// How long a lease that ended without being given back is mentioned.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Where plans stand, what blocks them, and what to do next
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl status
  shipctl status rename-users-name --env production
  shipctl status --env production --json | jq '.plans[].next.command'")]
pub struct Args {
    /// Only this plan: its id or its file
    plan: Option<String>,

    /// The environment (may be left out)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Absolute times, and plans that are complete phase by phase
    #[arg(long)]
    full: bool,
}

/// What was learnt about one environment.
struct Seen {
    environment: EnvironmentName,
    fleet: Fleet,
    subjects: Subjects,
    /// The plans, or why nothing can be said about them.
    plans: Result<Vec<PlanStanding>, Problem>,
    /// What is being deployed.
    leases: Vec<Lease>,
    /// What every version must contain.
    floor: Vec<FloorLine>,
    now: Timestamp,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        plan: wanted,
        env,
        full,
    } = args;
    let project = context.project()?;
    let plans = looking::every_plan(&project)?;
    let wanted: Option<PlanId> = match wanted {
        None => None,
        Some(text) => match plan::find(&project, &text) {
            Ok(plan) => Some(plan.id().clone()),
            // The file may be gone while the ledger still knows the plan.
            Err(problem) => Some(text.parse().map_err(|_| problem)?),
        },
    };
    let environments: Vec<&Environment> = match &env {
        None if project.environments.len() > 1 => project.environments.values().collect(),
        name => vec![context.environment(&project, name.as_ref())?],
    };
    let mut seen = Vec::new();
    for environment in environments {
        seen.push(look(context, &project, environment, &plans, wanted.as_ref()).await);
    }
    if let Some(id) = &wanted
        && !plans.iter().any(|plan| plan.id() == id)
        && seen
            .iter()
            .all(|seen| seen.plans.as_ref().is_ok_and(Vec::is_empty))
    {
        // Says which plans there are.
        plan::find(&project, id.as_str())?;
    }

    let exit = if seen.iter().any(|seen| seen.plans.is_err()) {
        Exit::Unknown
    } else {
        Exit::Done
    };
    context
        .console
        .json(&json!({ "environments": seen.iter().map(as_json).collect::<Vec<_>>() }));
    match seen.as_slice() {
        [only] => one_environment(context, only, wanted.is_some(), full),
        _ => several(context, seen, wanted.is_some()),
    }
    Ok(exit)
}

/// Looks at one environment; a database out of reach costs the plans, not the fleet.
async fn look(
    context: &Context,
    project: &Project,
    environment: &Environment,
    plans: &[Plan],
    wanted: Option<&PlanId>,
) -> Seen {
    let repositories = Repositories::new(project, environment);
    let heads: BTreeMap<ServiceName, CommitId> = environment
        .services
        .iter()
        .filter_map(|service| {
            let repository = repositories.of_service(&service.name).ok()?;
            Some((service.name.clone(), repository.resolve("HEAD").ok()?))
        })
        .collect();
    let candidates: Vec<Version> = heads
        .iter()
        .map(|(service, commit)| Version {
            service: service.clone(),
            commit: commit.clone(),
        })
        .collect();
    let now = Timestamp::now();
    match looking::look(context, project, environment, plans, &candidates, "status").await {
        Ok(mut look) => {
            let plans: Vec<Plan> = plans
                .iter()
                .map(|plan| look.situation.current(plan).clone())
                .collect();
            let unfinished: Vec<PlanId> = plans
                .iter()
                .filter(|plan| wanted.is_none_or(|id| id == plan.id()))
                .filter(|plan| !all_schema_done(plan, &look.situation))
                .map(|plan| plan.id().clone())
                .collect();
            look.remember(context, &unfinished).await;
            let situation = &look.situation;
            let scene = Scene {
                situation,
                plans: &plans,
                heads: &heads,
            };
            let mut shown = Vec::new();
            for plan in plans.iter().chain(&situation.departed) {
                if wanted.is_none_or(|id| id == plan.id()) {
                    // Whether a run is at work only tells "running" from "interrupted": not worth failing for.
                    let at_work = RunLock::at_work(look.session.client(), &environment.name, plan.id())
                        .await
                        .unwrap_or_default();
                    shown.push(scene.standing(plan, at_work));
                }
            }
            for (_, doubt) in &situation.unreadable {
                context.console.note(&style::paint(style::CAUTION, &doubt.why));
            }
            Seen {
                environment: environment.name.clone(),
                subjects: repositories.subjects(&situation.facts.fleet),
                fleet: situation.facts.fleet.clone(),
                plans: Ok(shown),
                leases: recent(&situation.facts),
                floor: floor_lines(situation, environment, &plans, &repositories),
                now: situation.facts.now,
            }
        }
        Err(problem) => {
            let observer = Observer {
                project,
                environment,
                plans,
            };
            let fleet = observer.census(None, now).await.fleet;
            Seen {
                environment: environment.name.clone(),
                subjects: repositories.subjects(&fleet),
                fleet,
                plans: Err(problem),
                leases: Vec::new(),
                floor: Vec::new(),
                now,
            }
        }
    }
}

/// The leases that are worth mentioning: those that count, and those that ended not long ago without being given back.
fn recent(facts: &Facts) -> Vec<Lease> {
    let since = facts.now.checked_sub(REMEMBERED).unwrap_or(facts.now);
    let mut leases = facts.leases.clone();
    leases.retain(|lease| lease.until > since);
    leases
}

/// What every version of each service must contain, named by commit where the plans' code phases can be found.
fn floor_lines(
    situation: &Situation,
    environment: &Environment,
    plans: &[Plan],
    repositories: &Repositories,
) -> Vec<FloorLine> {
    let mut lines = Vec::new();
    for plan in situation.in_force(plans) {
        for service in &environment.services {
            for needed in floor(plan.shape(), &service.name, &situation.facts) {
                let code = plan.phase(&needed.phase).and_then(|phase| match &phase.detail {
                    PhaseDetail::Code(code) => Some(code),
                    _ => None,
                });
                let commit = code.and_then(|code| {
                    repositories
                        .commits_of(&service.name, plan.id(), &needed.phase, code)
                        .into_iter()
                        .next()
                });
                let subject = commit
                    .as_ref()
                    .and_then(|commit| repositories.subject(&service.name, commit));
                lines.push(FloorLine {
                    service: service.name.clone(),
                    plan: plan.id().clone(),
                    commit,
                    subject,
                    needed,
                });
            }
        }
    }
    lines
}

/// Whether every schema phase of a plan is done: then looks need not be recorded for its soaks any more.
fn all_schema_done(plan: &Plan, situation: &Situation) -> bool {
    let state = situation.state(plan.id());
    plan.phases()
        .iter()
        .filter(|phase| phase.kind().is_schema())
        .all(|phase| state.progress(&phase.id).is_done())
}

fn one_environment(context: &Context, seen: &Seen, asked_for_one: bool, full: bool) {
    let console = &context.console;
    match &seen.plans {
        Ok(plans) => {
            let (whole, complete): (Vec<_>, Vec<_>) = plans
                .iter()
                .partition(|plan| asked_for_one || full || !plan.is_complete());
            if plans.is_empty() {
                console.result(&format!(
                    "no plans yet; write one with {}",
                    style::paint(style::NAME, "shipctl plan rename TABLE.COLUMN NEW")
                ));
            }
            for (index, plan) in whole.into_iter().enumerate() {
                if index > 0 {
                    console.result("");
                }
                console.result(&status::plan(plan, seen.environment.as_str(), seen.now, full));
            }
            for plan in complete {
                console.result(&format!(
                    "{}  {} {}",
                    status::bar(plan),
                    plan.plan,
                    style::paint(style::DIM, "complete")
                ));
            }
        }
        Err(problem) => {
            if !console.is_json() {
                console.problem(problem);
            }
            console.note(&format!(
                "which phases have taken effect in {} is not known; what follows is what runs",
                seen.environment
            ));
        }
    }
    let below = [
        status::fleet(&seen.fleet, &seen.subjects),
        leases::table(&seen.leases, seen.now),
        floor_report::text(&seen.floor),
    ];
    for part in below.iter().filter(|part| !part.is_empty()) {
        console.result(&format!("\n{part}"));
    }
}

fn several(context: &Context, seen: Vec<Seen>, by_phase: bool) {
    let columns: Vec<Column> = seen
        .into_iter()
        .map(|seen| Column {
            environment: seen.environment.to_string(),
            plans: seen.plans.map_err(|problem| problem.message().to_owned()),
        })
        .collect();
    context.console.result(&status::overview(&columns, by_phase));
    context.console.note(&style::paint(
        style::DIM,
        "more about one of them: shipctl status --env NAME",
    ));
}

fn as_json(seen: &Seen) -> Value {
    let (plans, error) = match &seen.plans {
        Ok(plans) => (plans.iter().map(status::plan_json).collect(), Value::Null),
        Err(problem) => (Vec::new(), problem_as_json(problem)),
    };
    json!({
        "environment": seen.environment,
        "plans": plans,
        "fleet": status::fleet_json(&seen.fleet, &seen.subjects),
        "leases": seen.leases.iter().map(|lease| lease_json(lease, seen.now)).collect::<Vec<_>>(),
        "floor": seen.floor,
        "error": error,
    })
}
