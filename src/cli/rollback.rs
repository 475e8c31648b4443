//! `shipctl rollback`: undoing with a person or a pipeline in front of it.

use super::effect::{Exception, Filling, Found, Scene};
use super::locking::Locking;
use super::{Context, looking};
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::execute::LockPatience;
use crate::execute::rollback::{self, RollbackOptions, RollbackOutcome, Target};
use crate::postgres::ledger;
use crate::report::run::RunReporter;
use crate::report::run_outcome::rolled_back;
use crate::report::run_preview::preview;

/// Undo phases in reverse order, through the reverse gates.
///
/// Each phase is undone only when no running version needs it. Data that newer code no longer wrote is restored on the
/// way, so that older code may come back.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("target").required(true)))]
#[command(after_help = "\
Examples:
  shipctl rollback rename-users-name --env production --to dual-write --dry-run
  shipctl rollback rename-users-name --env production --to dual-write
  shipctl rollback rename-users-name --env production --all

Exit codes: 0 undone · 1 blocked · 3 unknown · 5 failed · 6 another run holds the lock · 130 interrupted")]
pub struct Args {
    /// The plan: its id or its file
    plan: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// The phase that is to be the last one done: everything below it is undone
    #[arg(long, value_name = "PHASE", group = "target")]
    to: Option<String>,

    /// Undo everything
    #[arg(long, group = "target")]
    all: bool,

    /// Show the statements, their locks and the gates; change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    locking: Locking,

    #[command(flatten)]
    exception: Exception,

    #[command(flatten)]
    found: Found,

    #[command(flatten)]
    filling: Filling,
}

impl Args {
    /// Whether it prints events, one a line, instead of one document.
    pub(super) fn is_stream(&self) -> bool {
        !self.dry_run
    }
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        plan,
        env,
        to,
        all: _,
        dry_run,
        locking,
        exception,
        found,
        filling,
    } = args;
    let mut scene = Scene::set(context, &plan, env.as_ref())?;
    let filling = filling.resolve(&mut scene.environment);
    let (plan, environment) = (&scene.plan, &scene.environment.name);
    let target = match to {
        Some(name) => Target::To(looking::phase_id(plan, &name)?),
        None => Target::Base,
    };
    let reason = exception.reason(locking.cancels())?;
    let locks = locking.resolve(&scene.environment, reason)?;
    let engine = scene.engine();
    if dry_run {
        let phases = rollback::preview(&engine, plan, &target, &locks).await?;
        preview(&context.console, plan.id(), environment, &phases);
        return Ok(Exit::Done);
    }
    let options = RollbackOptions {
        target,
        overrides: exception.resolve(None)?,
        finding: found.finding(),
        patience: LockPatience::default(),
        fill: filling,
        locks,
    };
    let reporter = RunReporter::new(context.console.clone());
    // Where nothing was ever written, there is nothing to undo, and no ledger is made only to find that out.
    let begun = ledger::exists(context.session(&scene.environment, "rollback").await?.client()).await?;
    if !begun {
        let outcome = RollbackOutcome {
            undone: Vec::new(),
            closed: None,
        };
        rolled_back(&context.console, plan.id(), environment, &outcome);
        return Ok(outcome.exit());
    }
    let outcome = rollback::rollback(&engine, plan, options, &reporter).await?;
    rolled_back(&context.console, plan.id(), environment, &outcome);
    Ok(outcome.exit())
}
