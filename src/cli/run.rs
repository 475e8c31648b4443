//! `shipctl run`: the engine with a person or a pipeline in front of it.

use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use super::effect::{Exception, Filling, Found, Scene};
use super::locking::Locking;
use super::{Context, looking};
use crate::domain::{EnvironmentName, Exit, PlanId, Problem};
use crate::execute::{self, LockPatience, RunOptions};
use crate::plan::Phase;
use crate::report::run::RunReporter;
use crate::report::run_outcome::{joined, outcome};
use crate::report::run_preview::preview;

/// Run a plan's phases as far as the gates permit.
///
/// Before each phase the fleet is looked at anew, under the plan's lock. What is done is recorded, and running again
/// carries on where it stopped, also after a crash.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl run rename-users-name --env production --dry-run
  shipctl run rename-users-name --env production --to add
  shipctl run rename-users-name --env production --watch
  shipctl run rename-users-name --env production --workers 2
  shipctl run rename-users-name --env production --join

Exit codes: 0 done · 1 blocked · 3 unknown · 4 waiting · 5 failed · 6 another run holds the lock · 130 interrupted")]
pub struct Args {
    /// The plan: its id or its file
    plan: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Run this phase and what it needs, and nothing else; for a code phase: until it is satisfied
    #[arg(long, value_name = "PHASE")]
    to: Option<String>,

    /// Where a gate is closed, wait and look again instead of ending
    #[arg(long)]
    watch: bool,

    /// How often --watch looks again, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, requires = "watch")]
    interval: f64,

    /// Show the statements, their locks and the gates; change nothing
    #[arg(long)]
    dry_run: bool,

    /// Help the fill of a run of this plan that is at work elsewhere, instead of running the plan; ends when the fill does
    #[arg(long, conflicts_with_all = ["to", "watch", "dry_run", "overrides", "it_happened", "it_did_not_happen"])]
    join: bool,

    /// Do not ask before contract phases (without a terminal nobody is asked: the gates decide)
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    locking: Locking,

    #[command(flatten)]
    exception: Exception,

    #[command(flatten)]
    found: Found,

    #[command(flatten)]
    filling: Filling,
}

fn ask(plan: &PlanId, phase: &Phase, context: &Context) -> bool {
    context.console.note(&format!(
        "{plan}/{} takes something away: {}. Go ahead? [y/N]",
        phase.id,
        if phase.title.is_empty() {
            phase.kind().as_str()
        } else {
            &phase.title
        }
    ));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
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
        watch,
        interval,
        dry_run,
        join,
        yes,
        locking,
        exception,
        found,
        filling,
    } = args;
    let mut scene = Scene::set(context, &plan, env.as_ref())?;
    let filling = filling.resolve(&mut scene.environment);
    let (plan, environment) = (&scene.plan, &scene.environment.name);
    let to = to.map(|name| looking::phase_id(plan, &name)).transpose()?;
    let watch = watch
        .then(|| Duration::try_from_secs_f64(interval))
        .transpose()
        .map_err(|error| {
            Problem::new(
                Exit::Usage,
                "bad-interval",
                format!("--interval {interval}: {error}"),
            )
        })?;
    // Whoever sets a reason aside has one phase and the present moment in mind, not what comes after.
    if exception.is_given() && (to.is_none() || watch.is_some()) {
        return Err(Problem::new(
            Exit::Usage,
            "override-too-wide",
            "--override holds for one phase now: it needs --to, and cannot be had with --watch",
        )
        .fix("name the phase whose gate is to be passed with --to PHASE"));
    }
    let reason = exception.reason(locking.cancels())?;
    let locks = locking.resolve(&scene.environment, reason)?;
    let overrides = exception.resolve(to.clone())?;
    let engine = scene.engine();
    if join {
        let reporter = RunReporter::new(context.console.clone());
        let patience = LockPatience::default();
        let outcome = execute::fill::join::join(&engine, plan, filling, patience, &reporter).await?;
        joined(&context.console, plan.id(), environment, &outcome);
        return Ok(Exit::Done);
    }
    if dry_run {
        let phases = execute::preview::run(&engine, plan, to.as_ref(), &locks).await?;
        preview(&context.console, plan.id(), environment, &phases);
        return Ok(Exit::Done);
    }
    let confirm = |phase: &Phase| ask(plan.id(), phase, context);
    let asks = !yes && context.console.is_interactive() && std::io::stdin().is_terminal();
    let reporter = RunReporter::new(context.console.clone());
    let options = RunOptions {
        to,
        watch,
        overrides,
        finding: found.finding(),
        confirm: if asks { Some(&confirm) } else { None },
        patience: LockPatience::default(),
        fill: filling,
        locks,
    };
    let result = execute::run::run(&engine, plan, options, &reporter).await?;
    outcome(&context.console, plan.id(), environment, &result);
    Ok(result.exit())
}
