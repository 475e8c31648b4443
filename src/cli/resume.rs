//! `shipctl resume`: lets a paused plan go on.

use jiff::Timestamp;
use serde_json::json;

use super::Context;
use super::control::Controlled;
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::report::{manners, style};

/// Let a paused plan go on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  shipctl resume rename-users-name --env production")]
pub struct Args {
    /// The plan: its id or its file
    plan: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { plan, env } = args;
    let mut controlled = Controlled::find(context, &plan, env.as_ref(), "resume").await?;
    let (operator, session) = controlled.parts();
    let change = operator.resume(session).await?;
    let at_work = controlled.at_work().await?;

    context.console.json(&json!({
        "plan": controlled.plan,
        "environment": controlled.environment.name,
        "paused": false,
        "recorded": change.recorded,
        "run_at_work": at_work,
    }));
    let (plan, environment) = (&controlled.plan, &controlled.environment.name);
    let mut text = match &change.before.paused {
        Some(pause) => format!(
            "{} {plan} goes on in {environment}; it was paused by {}\n",
            style::paint(style::GOOD, "✓"),
            manners::pause(pause, Timestamp::now())
        ),
        None => format!(
            "{} {plan} in {environment} was not paused\n",
            style::paint(style::CAUTION, "·")
        ),
    };
    match at_work {
        Some(holder) => text += &format!("the run at work ({holder}) follows within a second\n"),
        None => {
            let command = controlled.command("run");
            text += &format!(
                "no run is at work\nNext: {}\n",
                style::paint(style::NAME, command)
            );
        }
    }
    context.console.result(&text);
    Ok(Exit::Done)
}
