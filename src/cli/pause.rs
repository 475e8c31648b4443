//! `shipctl pause`: holds a run from another terminal.

use jiff::Timestamp;
use serde_json::json;

use super::Context;
use super::control::Controlled;
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::report::{manners, style};

/// Pause a plan's run from another terminal
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl pause rename-users-name --env production
  shipctl pause rename-users-name --env production --reason \"nightly dump\"")]
pub struct Args {
    /// The plan: its id or its file
    plan: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Why; whoever watches the run is told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { plan, env, reason } = args;
    let reason = reason
        .map(|reason| reason.trim().to_owned())
        .filter(|reason| !reason.is_empty());
    let mut controlled = Controlled::find(context, &plan, env.as_ref(), "pause").await?;
    let (operator, session) = controlled.parts();
    let change = operator.pause(session, reason.clone()).await?;
    let at_work = controlled.at_work().await?;

    context.console.json(&json!({
        "plan": controlled.plan,
        "environment": controlled.environment.name,
        "paused": true,
        "recorded": change.recorded,
        "reason": change.before.paused.as_ref().map_or(&reason, |earlier| &earlier.reason),
        "run_at_work": at_work,
    }));
    let (plan, environment) = (&controlled.plan, &controlled.environment.name);
    let mut text = match &change.before.paused {
        Some(earlier) => format!(
            "{} {plan} in {environment} is paused already: by {}\n",
            style::paint(style::CAUTION, "·"),
            manners::pause(earlier, Timestamp::now())
        ),
        None => format!(
            "{} {plan} is paused in {environment}\n",
            style::paint(style::GOOD, "✓")
        ),
    };
    text += &match at_work {
        Some(holder) => format!(
            "the run at work ({holder}) begins no batch and no phase; a statement that is at work ends first\n"
        ),
        None => "no run is at work; the next one waits until it is resumed\n".to_owned(),
    };
    let command = controlled.command("resume");
    text += &format!("Next: {}\n", style::paint(style::NAME, command));
    context.console.result(&text);
    Ok(Exit::Done)
}
