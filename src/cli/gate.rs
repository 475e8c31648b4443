//! `shipctl gate`: may this phase run now?

use std::collections::BTreeSet;

use serde_json::json;

use super::format::Reporting;
use super::{Context, looking};
use crate::domain::{EnvironmentName, Exit, PhaseId, PlanId, Problem};
use crate::observe::Situation;
use crate::plan::{self, Plan};
use crate::report::{judgement, style};
use crate::safety::{Judgement, PhaseKind, Reason, Verdict, judge, satisfaction};

/// May this phase run now?
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl gate rename-users-name drop --env production
  shipctl gate rename-users-name backfill --env production --json | jq .verdict

Exit codes: 0 go · 1 blocked · 3 unknown · 4 waiting (approval, soak, a deployment under way)")]
pub struct Args {
    /// The plan: its id or its file
    plan: String,

    /// The phase
    phase: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    #[command(flatten)]
    pub(super) format: Reporting,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { plan, phase, env, .. } = args;
    let project = context.project()?;
    let environment = context.environment(&project, env.as_ref())?;
    let plans = looking::every_plan(&project)?;
    let plan = plan::find(&project, &plan)?;
    let mut look = looking::look(context, &project, environment, &plans, &[], "gate").await?;
    let plan = look.situation.current(&plan).clone();
    let phase = looking::phase_id(&plan, &phase)?;
    look.remember(context, [plan.id()]).await;

    let kind = plan.phase(&phase).map(crate::plan::Phase::kind);
    let answer = judged(&plan, &phase, &look.situation);
    let verdict = answer.verdict();

    let mut value = json!({
        "verdict": verdict,
        "plan": plan.id(),
        "phase": phase,
        "environment": environment.name,
    });
    if let (Some(fields), serde_json::Value::Object(judged)) =
        (value.as_object_mut(), judgement::as_json(&answer))
    {
        fields.extend(judged);
    }
    context.console.json(&value);
    context.console.annotate(&answer.reasons);

    let words = words(kind, &answer);
    let asked = format!("{}/{phase} in {}: {words}", plan.id(), environment.name);
    let mut text = judgement::verdict_line(verdict, &asked);
    text += &judgement::reasons(&answer, 2);
    if verdict == Verdict::Go {
        text += &judgement::evidence(&answer, 2);
    }
    if verdict == Verdict::Go && answer.reasons.is_empty() && kind != Some(PhaseKind::Code) {
        text += &next(plan.id(), &phase, &environment.name);
    }
    context.console.result(&text);
    if verdict != Verdict::Go {
        context.console.more(&answer.reasons);
    }
    Ok(verdict.exit())
}

/// What the rules say of a phase: whether it may run now; for a code phase, whether everything that runs contains it.
pub(super) fn judged(plan: &Plan, phase: &PhaseId, situation: &Situation) -> Judgement {
    let facts = &situation.facts;
    let is_code = plan
        .phase(phase)
        .is_some_and(|phase| phase.kind() == PhaseKind::Code);
    let mut answer: Judgement = if is_code {
        satisfaction(plan.shape(), phase, facts)
    } else {
        judge(plan.shape(), phase, facts, &BTreeSet::new())
            .judgement()
            .clone()
    };
    let own = |reason: &Reason| reason.plan == *plan.id();
    answer
        .reasons
        .extend(looking::unreadable(situation).into_iter().filter(own));
    answer
}

/// The answer in words.
pub(super) fn words(kind: Option<PhaseKind>, answer: &Judgement) -> &'static str {
    match (kind, answer.verdict()) {
        (Some(PhaseKind::Code), Verdict::Go) => "every running version contains it",
        (Some(PhaseKind::Code), _) => "not every running version is known to contain it",
        (_, Verdict::Go) if answer.reasons.is_empty() => "may run now",
        (_, Verdict::Go) => "needs nothing",
        _ => "may not run now",
    }
}

/// The command that runs a phase which may run.
pub(super) fn next(plan: &PlanId, phase: &PhaseId, environment: &EnvironmentName) -> String {
    let command = format!("shipctl run {plan} --env {environment} --to {phase}");
    format!("\nNext: {}\n", style::paint(style::NAME, command))
}
