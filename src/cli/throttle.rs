//! `shipctl throttle`: sets limits for a plan's backfills while they run, or shows them.

use serde_json::json;

use super::Context;
use super::control::Controlled;
use crate::domain::{EnvironmentName, Exit, Limit, Limits, Problem};
use crate::execute::manners::overview;
use crate::report::{manners, style};

/// Set limits for a plan's backfills while they run; without any: show what is in force
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl throttle rename-users-name --env production
  shipctl throttle rename-users-name --env production --rest 2 --max-replication-lag 5s
  shipctl throttle rename-users-name --env production --max-latency off
  shipctl throttle rename-users-name --env production --clear

Sizes are in kB, MB, GB or TB (powers of 1024, as in PostgreSQL); `off` ends the watching.")]
pub struct Args {
    /// The plan: its id or its file
    plan: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// How long a batch should take, in milliseconds
    #[arg(long, value_name = "N", value_parser = batch_time)]
    target_batch_ms: Option<u64>,

    /// After each batch, rest so many times as long as it took; 0 is no rest
    #[arg(long, value_name = "RATIO", value_parser = rest)]
    rest: Option<f64>,

    /// Pause while a replica lags further behind, such as 5s
    #[arg(long, value_name = "TIME", value_parser = Limit::of_time)]
    max_replication_lag: Option<Limit>,

    /// Pause while a small query takes longer, such as 50ms
    #[arg(long, value_name = "TIME", value_parser = Limit::of_time)]
    max_latency: Option<Limit>,

    /// Pause while the server writes more WAL a second, such as 20MB
    #[arg(long, value_name = "SIZE", value_parser = Limit::of_size)]
    max_wal_rate: Option<Limit>,

    /// Pause while less space is free on the server's disk, such as 5GB
    #[arg(long, value_name = "SIZE", value_parser = Limit::of_size)]
    min_free_disk: Option<Limit>,

    /// Forget what was set before for this plan
    #[arg(long)]
    clear: bool,
}

fn batch_time(text: &str) -> Result<u64, String> {
    let time = text
        .parse()
        .map_err(|_| "write a number of milliseconds, such as 20".to_owned())?;
    Limits::batch_time(time)
}

fn rest(text: &str) -> Result<f64, String> {
    let ratio = text
        .parse()
        .map_err(|_| "write a number, such as 1.5".to_owned())?;
    Limits::rest_ratio(ratio)
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        plan,
        env,
        target_batch_ms,
        rest,
        max_replication_lag,
        max_latency,
        max_wal_rate,
        min_free_disk,
        clear,
    } = args;
    let limits = Limits {
        target_batch_ms,
        rest,
        max_replication_lag_ms: max_replication_lag,
        max_latency_ms: max_latency,
        max_wal_bytes_per_second: max_wal_rate,
        min_free_disk_bytes: min_free_disk,
    };
    let mut controlled = Controlled::find(context, &plan, env.as_ref(), "throttle").await?;
    let changes = clear || !limits.is_empty();
    let recorded = if changes {
        let (operator, session) = controlled.parts();
        operator.throttle(session, clear, limits.clone()).await?.recorded
    } else {
        false
    };
    let held = overview(
        controlled.session.client(),
        &controlled.environment,
        &controlled.plan,
    )
    .await?;
    let at_work = controlled.at_work().await?;

    context.console.json(&json!({
        "plan": controlled.plan,
        "environment": controlled.environment.name,
        "recorded": recorded,
        "paused": held.paused.is_some(),
        "limits": manners::limits_json(&held),
        "replicas_named": held.replicas,
        "disk_unknown": held.disk_unknown,
        "run_at_work": at_work,
    }));
    let (plan, environment) = (&controlled.plan, &controlled.environment.name);
    let mut text = match (changes, recorded) {
        (false, _) => format!("Limits of {plan} in {environment}\n"),
        (true, false) => format!(
            "{} nothing was set for {plan} in {environment}, so nothing was cleared\n",
            style::paint(style::CAUTION, "·")
        ),
        (true, true) => {
            let what = match (clear, limits.is_empty()) {
                (true, true) => "its own limits are cleared".to_owned(),
                (true, false) => format!("cleared, then set: {}", manners::set(&limits)),
                (false, _) => manners::set(&limits),
            };
            format!(
                "{} {plan} in {environment}: {what}\n",
                style::paint(style::GOOD, "✓")
            )
        }
    };
    text += &format!("\n{}\n", manners::table(&held));
    text += &match &at_work {
        Some(holder) if changes => format!("the run at work ({holder}) follows within a second\n"),
        Some(holder) => format!("a run is at work: {holder}\n"),
        None => "no run is at work; these hold for the next\n".to_owned(),
    };
    if held.paused.is_some() {
        let command = controlled.command("resume");
        text += &format!("it is paused; to go on: {}\n", style::paint(style::NAME, command));
    }
    context.console.result(&text);
    Ok(Exit::Done)
}
