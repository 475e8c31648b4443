//! `shipctl why`: where a phase stands, what decides, and the shortest way to make it run.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Context, gate, looking};
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::observe::Observer;
use crate::plan;
use crate::postgres::RunLock;
use crate::report::standing::Scene;
use crate::report::way::{legs, text as way_text};
use crate::report::{judgement, status};
use crate::safety::{Goal, Verdict};

/// Where a phase stands, what decides, and the shortest way to make it run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl why rename-users-name drop --env production
  shipctl why rename-users-name switch-read --env production --json | jq -r '.way[].command'

Exit codes (as of `gate`): 0 go · 1 blocked · 3 unknown · 4 waiting (approval, soak, a deployment under way)")]
pub struct Args {
    /// The plan: its id or its file
    plan: String,

    /// The phase
    phase: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { plan, phase, env } = args;
    let project = context.project()?;
    let environment = context.environment(&project, env.as_ref())?;
    let plans = looking::every_plan(&project)?;
    let plan = plan::find(&project, &plan)?;
    let observer = Observer {
        project: &project,
        environment,
        plans: &plans,
    };
    let named = observer.nameable();
    let mut look = looking::look(context, &project, environment, &plans, &named, "why").await?;
    let plan = look.situation.current(&plan).clone();
    let phase = looking::phase_id(&plan, &phase)?;
    look.remember(context, [plan.id()]).await;

    let situation = &look.situation;
    let kind = plan.phase(&phase).map(plan::Phase::kind);
    let answer = gate::judged(&plan, &phase, situation);
    let verdict = answer.verdict();
    // Whether a run is at work only tells "running" from "interrupted": not worth failing for.
    let at_work = RunLock::at_work(look.session.client(), &environment.name, plan.id())
        .await
        .unwrap_or_default();
    let scene = Scene {
        situation,
        plans: &plans,
        heads: &BTreeMap::new(),
    };
    let standing = scene.standing(&plan, at_work);
    let standing = standing.phases.iter().find(|one| one.id == phase);
    let way = match verdict {
        Verdict::Go => Some(Vec::new()),
        _ => situation.way(Goal::Run(&phase), &plan, &situation.shapes(&plans), &named),
    };
    let way = way.map(|way| legs(&way, plan.shape(), &environment.name));
    let deciding = answer.reasons.first();

    let mut value = json!({
        "verdict": verdict,
        "plan": plan.id(),
        "phase": phase,
        "environment": environment.name,
        "state": standing.map(|standing| standing.state),
        "decided_by": deciding.map(|reason| json!({ "code": reason.code, "phase": reason.phase })),
        "way": way,
    });
    if let (Some(fields), serde_json::Value::Object(judged)) =
        (value.as_object_mut(), judgement::as_json(&answer))
    {
        fields.extend(judged);
    }
    context.console.json(&value);

    let words = gate::words(kind, &answer);
    let asked = format!("{}/{phase} in {}: {words}", plan.id(), environment.name);
    let mut text = judgement::verdict_line(verdict, &asked);
    if let Some(standing) = standing {
        text += &status::phase_line(standing, situation.facts.now);
    }
    if !answer.reasons.is_empty() {
        text += "\n";
        text += &judgement::reasons(&answer, 2);
    }
    if !answer.evidence.is_empty() {
        text += "\n";
        text += &judgement::evidence(&answer, 2);
    }
    if verdict != Verdict::Go && verdict != Verdict::Unknown {
        text += "\n";
        text += &way_text(way.as_deref(), 2);
    }
    if verdict == Verdict::Go && answer.reasons.is_empty() && kind != Some(crate::safety::PhaseKind::Code) {
        text += &gate::next(plan.id(), &phase, &environment.name);
    }
    context.console.result(&text);
    Ok(verdict.exit())
}
