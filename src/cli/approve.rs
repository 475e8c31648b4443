//! `shipctl approve`: a person lets a gated phase pass.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Context, actor, looking};
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::ledger::{Record, fold};
use crate::plan;
use crate::postgres::ledger;
use crate::project::Environment;
use crate::report::{style, time};
use crate::safety::{Gate, PhaseKind};

/// Approve a gated phase
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  shipctl approve rename-users-name drop --env production --reason \"no reader left since Monday\"

The approver is $SHIPCTL_ACTOR, or git's user.name and user.email, or the user of the system.")]
pub struct Args {
    /// The plan: its id or its file
    plan: String,

    /// The phase
    phase: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Why it may pass; kept in the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        plan,
        phase,
        env,
        reason,
    } = args;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Problem::new(
            Exit::Usage,
            "empty-reason",
            "an approval needs a reason",
        ));
    }
    let project = context.project()?;
    let environment = context.environment(&project, env.as_ref())?;
    let plan = plan::find(&project, &plan)?;
    let phase = looking::phase_id(&plan, &phase)?;
    let Some(shape) = plan.shape().phase(&phase) else {
        return Err(Problem::new(
            Exit::Usage,
            "unknown-phase",
            format!("no phase `{phase}`"),
        ));
    };
    let needed = needed_approvals(environment, shape.kind, &shape.gate);
    if needed == 0 {
        return Err(Problem::new(
            Exit::Usage,
            "no-gate",
            format!(
                "{phase} is of the kind {} and has no approval gate",
                shape.kind.as_str()
            ),
        )
        .because(match shape.kind {
            PhaseKind::Code => "a code phase is satisfied by what runs, which no approval can replace",
            _ => "approving it would change nothing",
        })
        .fix("a gate is declared in the plan: gate = { approvals = 1 }"));
    }

    let actor = actor::resolve(&project.root);
    let mut session = context.session(environment, "approve").await?;
    ledger::ensure(&mut session).await?;
    let records = ledger::read(session.client(), &environment.name, Some(plan.id())).await?;
    let state = fold(&records);
    if state.progress(&phase).is_done() {
        return Err(Problem::new(
            Exit::Blocked,
            "already-done",
            format!(
                "{}/{phase} is done in {} already; there is nothing to approve",
                plan.id(),
                environment.name
            ),
        ));
    }
    let digest = shape.approval_digest();
    let valid: Vec<_> = state
        .phases
        .get(&phase)
        .map(|state| state.approvals.as_slice())
        .unwrap_or_default()
        .iter()
        .filter(|approval| approval.digest == digest)
        .collect();
    let mut approvers: BTreeSet<&str> = valid.iter().map(|approval| approval.actor.as_str()).collect();
    let before = valid.iter().find(|approval| approval.actor == actor);
    if before.is_none() {
        ledger::append(
            session.client(),
            &environment.name,
            Some(plan.id()),
            &actor,
            &Record::Approved {
                phase: phase.clone(),
                reason: reason.to_owned(),
                digest,
            },
        )
        .await?;
    }
    approvers.insert(&actor);
    let given = u32::try_from(approvers.len()).unwrap_or(u32::MAX);

    context.console.json(&json!({
        "plan": plan.id(),
        "phase": phase,
        "environment": environment.name,
        "actor": actor,
        "reason": reason,
        "recorded": before.is_none(),
        "approvals": given,
        "needed": needed,
    }));
    let count = format!("{given} of {needed}");
    let mut text = match before {
        Some(earlier) => format!(
            "{} {actor} approved {}/{phase} in {} already, {} ({count} approvals)\n",
            style::paint(style::CAUTION, "·"),
            plan.id(),
            environment.name,
            time::relative(jiff::Timestamp::now(), earlier.at),
        ),
        None => format!(
            "{} {actor} approved {}/{phase} in {} ({count} approvals)\n",
            style::paint(style::GOOD, "✓"),
            plan.id(),
            environment.name,
        ),
    };
    if given < needed {
        text += &format!(
            "{} more {} needed, from somebody else\n",
            needed - given,
            if needed - given == 1 { "is" } else { "are" }
        );
    } else {
        let command = format!("shipctl run {} --env {}", plan.id(), environment.name);
        text += &format!("Next: {}\n", style::paint(style::NAME, command));
    }
    context.console.result(&text);
    Ok(Exit::Done)
}

/// How many people must approve a phase in an environment.
fn needed_approvals(environment: &Environment, kind: PhaseKind, gate: &Gate) -> u32 {
    let least = match kind {
        PhaseKind::Manual => 1,
        PhaseKind::Contract if environment.protected => 1,
        PhaseKind::Code => return 0,
        _ => 0,
    };
    gate.approvals.max(least)
}
