//! `shipctl deployed`: the census, and `deployed record` for pipelines that say what they deployed.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::looking::every_plan;
use super::{Context, actor};
use crate::domain::{CommitId, EnvironmentName, Exit, Problem, ServiceName, did_you_mean};
use crate::execute::lease::Deployer;
use crate::ledger::{LeaseEnding, Record};
use crate::observe::fleet::WHOLE_SERVICE;
use crate::observe::{Observer, Repositories};
use crate::postgres::{Session, ledger};
use crate::project::{Environment, SourceKind};
use crate::report::deployed::Deployed;
use crate::report::deployed_sources::{Explained, Remembered};
use crate::report::{problem_as_json, style};
use crate::safety::{Completeness, Sighting, Version};

/// Which code versions are running, and how that is known
///
/// Asks every source of every declared service at once and shows what each saw, with what is in doubt below. Ends
/// with 0 if everything that runs is known, and with 3 if something is in doubt. Changes nothing but the ledger's memory of
/// what was seen.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  shipctl deployed --env production
  shipctl deployed --env production --explain
  shipctl deployed --env production --json | jq -r '.services[].instances[].commit'
  shipctl deployed record web \"$GIT_COMMIT\" --env production"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// A line for each instance
    #[arg(long)]
    instances: bool,

    /// Source by source: what it saw, what the gates may conclude from it, and what would help
    #[arg(long, conflicts_with = "instances")]
    explain: bool,
}

/// How much is shown.
struct Detail {
    instances: bool,
    explain: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write down that a service now runs a commit, for its `recorded` source
    Record(RecordArgs),
}

#[derive(Debug, clap::Args)]
struct RecordArgs {
    /// The service, as declared in shipctl.toml
    service: ServiceName,

    /// The commit: an id, a tag or a branch of the service's repository
    revision: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Only this instance of the service; without it the record is about all of them
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        command,
        env,
        instances,
        explain,
    } = args;
    match command {
        Some(Command::Record(args)) => record(args, context).await,
        None => show(env.as_ref(), &Detail { instances, explain }, context).await,
    }
}

async fn show(env: Option<&EnvironmentName>, detail: &Detail, context: &Context) -> Result<Exit, Problem> {
    let project = context.project()?;
    let environment = context.environment(&project, env)?;
    // Without the database the other sources still tell something.
    let (session, unreachable) = match context.session(environment, "deployed").await {
        Ok(session) => (Some(session), None),
        Err(problem) => (None, Some(problem)),
    };
    // Plans only tell whose locks matter: what runs is shown also where one of them cannot be read.
    let plans = every_plan(&project).unwrap_or_else(|problem| {
        context.console.note(&format!(
            "who holds locks on the tables of plans was not looked at: {problem}"
        ));
        Vec::new()
    });
    let observer = Observer {
        project: &project,
        environment,
        plans: &plans,
    };
    let census = observer.census(session.as_ref(), Timestamp::now()).await;
    let subjects = Repositories::new(&project, environment).subjects(&census.fleet);
    let deployed = Deployed {
        environment: &environment.name,
        fleet: &census.fleet,
        reports: &census.reports,
        subjects: &subjects,
        now: census.now,
    };
    let (remembered, forgotten) = match &session {
        Some(session) if detail.explain => match remembered(session, environment).await {
            Ok(remembered) => (remembered, None),
            Err(problem) => (Vec::new(), Some(problem)),
        },
        _ => (Vec::new(), None),
    };
    let explained = Explained {
        deployed: &deployed,
        remembered: &remembered,
    };
    let mut document = deployed.as_json();
    if detail.explain {
        document["explanation"] = explained.as_json();
    }
    for (what, problem) in [("database", &unreachable), ("memory", &forgotten)] {
        if let Some(problem) = problem {
            document[what] = problem_as_json(problem);
            if !context.console.is_json() {
                context.console.problem(problem);
            }
        }
    }
    context.console.json(&document);
    context.console.result(&if detail.explain {
        explained.text()
    } else {
        deployed.text(detail.instances)
    });
    Ok(deployed.verdict().exit())
}

async fn remembered(session: &Session, environment: &Environment) -> Result<Vec<Remembered>, Problem> {
    let known = ledger::sightings::known(session.client(), &environment.name, None).await?;
    Ok(known
        .into_iter()
        .map(|known| Remembered {
            service: known.last.service,
            commit: known.last.commit,
            first_seen: known.first_seen,
            last_seen: known.last.observed_at,
        })
        .collect())
}

async fn record(args: RecordArgs, context: &Context) -> Result<Exit, Problem> {
    let RecordArgs {
        service,
        revision,
        env,
        instance,
    } = args;
    let project = context.project()?;
    let environment = context.environment(&project, env.as_ref())?;
    let declared = declared(environment, &service)?;
    let instance = match instance {
        None => WHOLE_SERVICE.to_owned(),
        Some(name) if name.is_empty() || name.chars().any(char::is_control) => {
            return Err(Problem::new(
                Exit::Usage,
                "invalid-instance",
                "an instance's name must be a line of text",
            ));
        }
        Some(name) => name,
    };
    let repositories = Repositories::new(&project, environment);
    let commit = resolve(&repositories, &service, &revision)?;

    let mut session = context.session(environment, "deployed record").await?;
    ledger::ensure(&mut session).await?;
    let sighting = Sighting {
        service: service.clone(),
        instance: instance.clone(),
        commit: commit.clone(),
        observed_at: Timestamp::now(),
        source: "recorded".to_owned(),
        completeness: Completeness::Claim,
    };
    let written = Record::DeploymentRecorded { sighting };
    let by = actor::resolve(&context.directory);
    let sequence = ledger::append(session.client(), &environment.name, None, &by, &written).await?;
    // One instance is not the whole deployment.
    let given_back = if instance == WHOLE_SERVICE {
        let deployer = Deployer {
            environment: &environment.name,
            actor: &by,
        };
        let version = Version {
            service: service.clone(),
            commit: commit.clone(),
        };
        let deployed = BTreeSet::from([version]);
        deployer
            .give_back(&mut session, &deployed, None, LeaseEnding::Deployed, None)
            .await?
    } else {
        Vec::new()
    };

    let subject = repositories.subject(&service, &commit).unwrap_or_default();
    let whom = if instance == WHOLE_SERVICE {
        service.to_string()
    } else {
        format!("{service} ({instance})")
    };
    context.console.json(&serde_json::json!({
        "verdict": "done",
        "sequence": sequence,
        "environment": environment.name,
        "service": service,
        "instance": instance,
        "commit": commit,
        "subject": subject,
        "actor": by,
        "leases_returned": given_back.iter().map(|lease| lease.id).collect::<Vec<_>>(),
    }));
    context.console.result(&format!(
        "{} recorded: {whom} runs {} {subject} in {}",
        style::paint(style::GOOD, "✓"),
        style::paint(style::NAME, commit.short()),
        environment.name,
    ));
    for lease in &given_back {
        context
            .console
            .result(&format!("the lease of {} is given back", lease.name()));
    }
    if !declared {
        context.console.note(&format!(
            "{service} has no `recorded` source in shipctl.toml, so the census does not read this. To have it read, add\n  \
             sources = [{{ kind = \"recorded\", max_age = \"30d\" }}, …]"
        ));
    }
    Ok(Exit::Done)
}

/// Whether a declared service has a `recorded` source.
fn declared(environment: &Environment, service: &ServiceName) -> Result<bool, Problem> {
    let found = environment.services.iter().find(|one| one.name == *service);
    let found = found.ok_or_else(|| {
        let known: Vec<&str> = environment.services.iter().map(|one| one.name.as_str()).collect();
        Problem::new(
            Exit::Usage,
            "unknown-service",
            format!("{} declares no service `{service}`", environment.name),
        )
        .fix(if known.is_empty() {
            format!(
                "add a [[environments.{}.services]] table to shipctl.toml",
                environment.name
            )
        } else {
            did_you_mean(service.as_str(), &known)
        })
    })?;
    Ok(found
        .sources
        .iter()
        .any(|source| matches!(source.kind, SourceKind::Recorded { .. })))
}

fn resolve(repositories: &Repositories, service: &ServiceName, revision: &str) -> Result<CommitId, Problem> {
    let found = repositories
        .of_service(service)
        .and_then(|repository| repository.resolve(revision));
    found.map_err(|doubt| {
        let problem = Problem::new(Exit::Unknown, "unknown-commit", doubt.why);
        match doubt.fix {
            Some(fix) => problem.fix(fix),
            None => problem,
        }
    })
}
