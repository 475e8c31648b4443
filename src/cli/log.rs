//! `shipctl log`: the audit trail.

use serde_json::json;

use super::Context;
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::plan;
use crate::postgres::ledger;
use crate::report::{log, style};

/// The audit trail: who did what, when
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl log --env production
  shipctl log rename-users-name --env production --limit 10
  shipctl log rename-users-name --env production --limit 0 --json")]
pub struct Args {
    /// Only this plan: its id or its file
    plan: Option<String>,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// At most so many records, the newest; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { plan, env, limit } = args;
    let project = context.project()?;
    let environment = context.environment(&project, env.as_ref())?;
    // A plan whose file is gone still has a trail: any well-formed id will do.
    let plan = match plan {
        None => None,
        Some(text) => match plan::find(&project, &text) {
            Ok(plan) => Some(plan.id().clone()),
            Err(problem) => Some(text.parse().map_err(|_| problem)?),
        },
    };
    let session = context.session(environment, "log").await?;
    let records = ledger::read(session.client(), &environment.name, plan.as_ref()).await?;
    let skipped = if limit == 0 {
        0
    } else {
        records.len().saturating_sub(limit)
    };
    let shown = records.get(skipped..).unwrap_or_default();

    context.console.json(&json!({
        "environment": environment.name,
        "plan": plan,
        "omitted": skipped,
        "records": shown,
    }));
    if records.is_empty() {
        let of = plan.map(|id| format!(" of {id}")).unwrap_or_default();
        context
            .console
            .result(&format!("nothing{of} is recorded in {} yet", environment.name));
        return Ok(Exit::Done);
    }
    if skipped > 0 {
        context.console.note(&style::paint(
            style::DIM,
            format!("{skipped} earlier records are not shown (--limit 0 shows all)"),
        ));
    }
    context.console.result(&log::table(shown));
    Ok(Exit::Done)
}
