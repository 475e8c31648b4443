//! `shipctl lease`: the deployments under way, and giving one up.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Context, actor};
use crate::domain::{EnvironmentName, Exit, Problem, ServiceName};
use crate::execute::lease::Deployer;
use crate::ledger::LeaseEnding;
use crate::observe::Repositories;
use crate::postgres::ledger;
use crate::report::deployable::lease_json;
use crate::report::{leases, style};
use crate::safety::{Lease, Version};

/// Deployments under way, and giving one up
///
/// A lease is taken with `shipctl can-deploy REV --lease 15m`. While it lasts, contract phases do not start, and what is
/// deployed counts as running.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  shipctl lease --env production
  shipctl lease release 3f2a9c1d2 --env production
  shipctl lease release 3f2a9c1d2 --env production --reason \"the pipeline was cancelled\"

Exit codes: 0 done · 1 somebody else's, and no reason given · 2 there is none"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Give a lease up: nothing is being deployed (any more)
    Release(ReleaseArgs),
}

#[derive(Debug, clap::Args)]
struct ReleaseArgs {
    /// The commit: its id, or the revision for which the lease was taken
    revision: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Only for this service
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,

    /// Why; without it, only what you hold yourself is given up
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    match args.command {
        Some(Command::Release(args)) => release(args, context).await,
        None => show(args.env.as_ref(), context).await,
    }
}

async fn show(env: Option<&EnvironmentName>, context: &Context) -> Result<Exit, Problem> {
    let project = context.project()?;
    let environment = context.environment(&project, env)?;
    let session = context.session(environment, "lease").await?;
    let held = ledger::leases(session.client(), &environment.name).await?;
    let now = ledger::clock(session.client()).await?;
    context.console.json(&json!({
        "environment": environment.name,
        "leases": held.iter().map(|lease| lease_json(lease, now)).collect::<Vec<_>>(),
    }));
    let text = leases::table(&held, now);
    context.console.result(&match text.is_empty() {
        true => format!("no deployment is under way in {}", environment.name),
        false => text,
    });
    Ok(Exit::Done)
}

async fn release(args: ReleaseArgs, context: &Context) -> Result<Exit, Problem> {
    let ReleaseArgs {
        revision,
        env,
        service,
        reason,
    } = args;
    let reason = reason.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let project = context.project()?;
    let environment = context.environment(&project, env.as_ref())?;
    let mut session = context.session(environment, "lease release").await?;
    let held = ledger::leases(session.client(), &environment.name).await?;
    let repositories = Repositories::new(&project, environment);
    let is_meant = |lease: &Lease, version: &Version| {
        let resolved = || {
            repositories
                .of_service(&version.service)
                .and_then(|repository| repository.resolve(&revision))
        };
        // What was deployed by a name is given up by it as well, wherever the name leads now.
        service.as_ref().is_none_or(|only| *only == version.service)
            && (lease.revision == revision
                || (revision.len() >= 7 && version.commit.as_str().starts_with(revision.as_str()))
                || resolved().is_ok_and(|commit| commit == version.commit))
    };
    let meant: Vec<(&Lease, BTreeSet<Version>)> = held
        .iter()
        .map(|lease| {
            let own = lease.versions.iter().filter(|version| is_meant(lease, version));
            (lease, own.cloned().collect::<BTreeSet<Version>>())
        })
        .filter(|(_, versions)| !versions.is_empty())
        .collect();
    if meant.is_empty() {
        return Err(Problem::new(
            Exit::Usage,
            "no-such-lease",
            format!("no lease is held for `{revision}` in {}", environment.name),
        )
        .fix(format!(
            "see what is held: shipctl lease --env {}",
            environment.name
        )));
    }
    let by = actor::resolve(&project.root);
    let own = |(lease, _): &&(&Lease, BTreeSet<Version>)| lease.holder == by;
    // Without a reason, only what is one's own is given up.
    let holder = reason.is_none().then_some(by.as_str());
    if holder.is_some()
        && meant.iter().find(own).is_none()
        && let Some((lease, _)) = meant.first()
    {
        return Err(Problem::new(
            Exit::Blocked,
            "lease-of-another",
            format!("{} holds it: {}", lease.holder, lease.what()),
        )
        .because("they were told that they may deploy; once the lease is gone, contract phases start")
        .fix("make sure that nothing is being deployed, and say why with --reason TEXT"));
    }
    let versions: BTreeSet<Version> = meant
        .iter()
        .filter(|(lease, _)| holder.is_none_or(|holder| lease.holder == holder))
        .flat_map(|(_, versions)| versions)
        .cloned()
        .collect();
    let deployer = Deployer {
        environment: &environment.name,
        actor: &by,
    };
    let released = deployer
        .give_back(&mut session, &versions, holder, LeaseEnding::Released, reason)
        .await?;
    let now = ledger::clock(session.client()).await?;
    context.console.json(&json!({
        "verdict": "done",
        "environment": environment.name,
        "released": versions,
        "leases": released.iter().map(|lease| lease_json(lease, now)).collect::<Vec<_>>(),
        "actor": by,
    }));
    let services: Vec<&str> = versions.iter().map(|version| version.service.as_str()).collect();
    context.console.result(&format!(
        "{} given up: the deployment of {revision} to {}",
        style::paint(style::GOOD, "✓"),
        services.join(", ")
    ));
    Ok(Exit::Done)
}
