//! `shipctl run`: the engine with a person or a pipeline in front of it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use jiff::Timestamp;

use super::{Context, actor, looking};
use crate::domain::{EnvironmentName, Exit, PlanId, Problem};
use crate::execute::{self, Engine, Finding, LockPatience, Override, RunOptions, Stop};
use crate::plan::{self, Phase};
use crate::report::run::{RunReporter, outcome, preview};
use crate::safety::ReasonCode;

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

    /// Do not ask before contract phases (without a terminal nobody is asked: the gates decide)
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    exception: Exception,

    /// An earlier run ended within a statement that cannot run in a transaction, and it did take effect
    #[arg(long, conflicts_with = "it_did_not_happen")]
    it_happened: bool,

    /// An earlier run ended within a statement that cannot run in a transaction, and it did not take effect
    #[arg(long)]
    it_did_not_happen: bool,
}

/// Breaking glass; shared with `rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Exception {
    /// Set a reason aside by its code (as shown in brackets); written into the audit trail. Can be repeated
    #[arg(long = "override", value_name = "CODE", requires = "reason")]
    overrides: Vec<String>,

    /// Why the reason is set aside
    #[arg(long, value_name = "TEXT", requires = "overrides")]
    reason: Option<String>,
}

impl Exception {
    /// What is set aside, if anything.
    ///
    /// # Errors
    /// A code that does not exist.
    pub(super) fn resolve(self) -> Result<Option<Override>, Problem> {
        let Self { overrides, reason } = self;
        let codes = overrides
            .iter()
            .map(|text| {
                serde_json::from_value::<ReasonCode>(serde_json::Value::from(text.as_str())).map_err(|_| {
                    Problem::new(
                        Exit::Usage,
                        "unknown-reason-code",
                        format!("there is no reason with the code `{text}`"),
                    )
                    .fix("take the code from the brackets behind the reason, such as old-version-running")
                })
            })
            .collect::<Result<BTreeSet<_>, _>>()?;
        Ok(reason
            .filter(|_| !codes.is_empty())
            .map(|reason| Override { codes, reason }))
    }
}

/// Asks the run to stop on Ctrl-C or a request to terminate.
pub(super) fn stop_on_signals(stop: &Stop) {
    let on_interrupt = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            on_interrupt.request();
        }
    });
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let on_terminate = stop.clone();
        tokio::spawn(async move {
            if let Ok(mut terminate) = signal(SignalKind::terminate()) {
                terminate.recv().await;
                on_terminate.request();
            }
        });
    }
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

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        plan,
        env,
        to,
        watch,
        interval,
        dry_run,
        yes,
        exception,
        it_happened,
        it_did_not_happen,
    } = args;
    let project = context.project()?;
    let environment = context.environment(&project, env.as_ref())?;
    let plans = looking::every_plan(&project)?;
    let plan = plan::find(&project, &plan)?;
    let to = to.map(|name| looking::phase_id(&plan, &name)).transpose()?;
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
    let finding = Finding::from_flags(it_happened, it_did_not_happen);
    let overrides = exception.resolve()?;
    let connection = context.connection(environment)?;
    let actor = actor::resolve(&project.root);
    let stop = Stop::new();
    stop_on_signals(&stop);
    let engine = Engine {
        project: &project,
        environment,
        connection: &connection,
        plans: &plans,
        actor: &actor,
        clock: &Timestamp::now,
        stop,
    };
    if dry_run {
        let phases = execute::preview::run(&engine, &plan, to.as_ref()).await?;
        preview(&context.console, plan.id(), &environment.name, &phases);
        return Ok(Exit::Done);
    }
    let confirm = |phase: &Phase| ask(plan.id(), phase, context);
    let asks = !yes && context.console.is_interactive() && std::io::stdin().is_terminal();
    let reporter = RunReporter::new(context.console.clone());
    let options = RunOptions {
        to,
        watch,
        overrides,
        finding,
        confirm: if asks { Some(&confirm) } else { None },
        patience: LockPatience::default(),
    };
    let result = execute::run::run(&engine, &plan, options, &reporter).await?;
    outcome(&context.console, plan.id(), &environment.name, &result);
    Ok(result.exit())
}
