//! `shipctl can-deploy`: may this commit be deployed, or rolled back to, now?

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::format::Reporting;
use super::{Context, looking};
use crate::domain::{CommitId, EnvironmentName, Exit, PhaseId, PlanId, Problem, ServiceName, did_you_mean};
use crate::observe::{Repositories, Situation};
use crate::project::{Environment, Project};
use crate::report::{judgement, style};
use crate::safety::{Doubt, Judgement, Reason, ReasonCode, Verdict, Version, can_deploy};

/// May this commit be deployed, or rolled back to, now?
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl can-deploy HEAD --env production
  shipctl can-deploy v1.4.2 --env production --service web

Exit codes: 0 go · 1 no · 3 cannot be told (an unknown commit, a shallow clone, a database out of reach)")]
pub struct Args {
    /// The commit: an id, a tag, a branch
    revision: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Only this service
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,

    #[command(flatten)]
    pub(super) format: Reporting,
}

/// The commit as one service would run it.
struct Candidate {
    version: Version,
    subject: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        revision,
        env,
        service,
        ..
    } = args;
    let project = context.project()?;
    let environment = context.environment(&project, env.as_ref())?;
    let plans = looking::every_plan(&project)?;
    let services = services(environment, service.as_ref())?;
    let (candidates, elsewhere) = match candidates(&project, environment, &services, &revision) {
        Ok(found) => found,
        Err(problem) => return Ok(unknown_commit(context, environment, &revision, &problem)),
    };
    let versions: Vec<Version> = candidates
        .iter()
        .map(|candidate| candidate.version.clone())
        .collect();
    let mut look = looking::look(context, &project, environment, &plans, &versions, "can-deploy").await?;
    let begun = look.begun();
    look.remember(context, &begun).await;

    let shapes = look.situation.shapes(&plans);
    let judged: Vec<(&Candidate, Judgement)> = candidates
        .iter()
        .map(|candidate| {
            let mut answer = can_deploy(&candidate.version, &shapes, &look.situation.facts);
            answer.reasons.extend(unreadable(&look.situation));
            let notes = look.situation.newer.iter().map(|newer| newer.note.clone());
            answer.evidence.extend(notes);
            (candidate, answer)
        })
        .collect();
    let verdict = judged
        .iter()
        .map(|(_, answer)| answer.verdict())
        .max()
        .unwrap_or(Verdict::Unknown);

    context
        .console
        .json(&as_json(environment, &revision, verdict, &judged, &elsewhere));
    for (_, answer) in &judged {
        context.console.annotate(&answer.reasons);
    }
    let mut text = headline(environment, &revision, verdict, &judged);
    for alike in grouped(&judged) {
        text += &services_text(&alike);
    }
    for (service, doubt) in &elsewhere {
        let line = format!("{service} was not judged: {}", doubt.why);
        text += &format!("\n  {}\n", style::paint(style::DIM, line));
    }
    context.console.result(&text);
    if let Some((_, answer)) = judged.iter().max_by_key(|(_, answer)| answer.verdict())
        && verdict != Verdict::Go
    {
        context.console.more(&answer.reasons);
    }
    Ok(verdict.exit())
}

fn services(environment: &Environment, only: Option<&ServiceName>) -> Result<Vec<ServiceName>, Problem> {
    let declared: Vec<ServiceName> = environment
        .services
        .iter()
        .map(|service| service.name.clone())
        .collect();
    match only {
        Some(name) if declared.contains(name) => Ok(vec![name.clone()]),
        Some(name) => Err(Problem::new(
            Exit::Usage,
            "unknown-service",
            format!("{} declares no service `{name}`", environment.name),
        )
        .fix(did_you_mean(
            name.as_str(),
            &declared.iter().map(ServiceName::as_str).collect::<Vec<_>>(),
        ))),
        None if declared.is_empty() => Err(Problem::new(
            Exit::Unknown,
            "no-services",
            format!("{} declares no service, so nothing can be told", environment.name),
        )
        .fix("declare what runs there with [[environments.NAME.services]] in shipctl.toml")),
        None => Ok(declared),
    }
}

type Unresolved = Vec<(ServiceName, Doubt)>;

/// Resolves the revision in each service's repository. A service that lives where the revision is not known is left
/// out, as long as another repository knows it.
fn candidates(
    project: &Project,
    environment: &Environment,
    services: &[ServiceName],
    revision: &str,
) -> Result<(Vec<Candidate>, Unresolved), Problem> {
    let repositories = Repositories::new(project, environment);
    let mut found = Vec::new();
    let mut unresolved: Unresolved = Vec::new();
    for service in services {
        let resolved = repositories
            .of_service(service)
            .and_then(|repository| repository.resolve(revision));
        match resolved {
            Ok(commit) => found.push(Candidate {
                subject: repositories.subject(service, &commit),
                version: Version {
                    service: service.clone(),
                    commit,
                },
            }),
            Err(doubt) => unresolved.push((service.clone(), doubt)),
        }
    }
    match (found.is_empty(), unresolved.first()) {
        (true, Some((_, doubt))) => {
            let problem = Problem::new(Exit::Unknown, "unknown-commit", doubt.why.clone())
                .because("what is not known cannot be judged, so it may not be deployed");
            Err(match &doubt.fix {
                Some(fix) => problem.fix(fix.clone()),
                None => problem,
            })
        }
        _ => Ok((found, unresolved)),
    }
}

/// Answers "unknown" for a commit that no repository knows; a pipeline reads the verdict like any other.
fn unknown_commit(context: &Context, environment: &Environment, revision: &str, problem: &Problem) -> Exit {
    context.console.json(&json!({
        "verdict": Verdict::Unknown,
        "environment": environment.name,
        "revision": revision,
        "reasons": [{
            "code": ReasonCode::ContainmentUnknown,
            "verdict": Verdict::Unknown,
            "plan": Value::Null,
            "phase": Value::Null,
            "message": problem.message(),
            "evidence": [],
            "fix": problem.remedy(),
        }],
        "services": [],
        "not_judged": [],
    }));
    if !context.console.is_json() {
        context.console.problem(problem);
    }
    Verdict::Unknown.exit()
}

/// A plan that is in effect and cannot be read leaves everything unknown.
pub(super) fn unreadable(situation: &Situation) -> Vec<Reason> {
    situation
        .unreadable
        .iter()
        .map(|(plan, doubt)| Reason {
            code: ReasonCode::ContainmentUnknown,
            verdict: Verdict::Unknown,
            plan: plan.clone(),
            phase: None,
            message: doubt.why.clone(),
            evidence: Vec::new(),
            fix: doubt.fix.clone(),
        })
        .collect()
}

fn headline(
    environment: &Environment,
    revision: &str,
    verdict: Verdict,
    judged: &[(&Candidate, Judgement)],
) -> String {
    let commits: std::collections::BTreeSet<&CommitId> = judged
        .iter()
        .map(|(candidate, _)| &candidate.version.commit)
        .collect();
    let named = match (commits.first(), commits.len()) {
        (Some(commit), 1) if commit.short().starts_with(revision) || revision == commit.as_str() => {
            commit.short().to_owned()
        }
        (Some(commit), 1) => format!("{revision} ({})", commit.short()),
        _ => revision.to_owned(),
    };
    let words = match verdict {
        Verdict::Go => "may be deployed to",
        Verdict::Waiting => "may not be deployed yet to",
        Verdict::Unknown => "cannot be cleared for",
        Verdict::Blocked => "must not be deployed to",
    };
    let word = match verdict {
        Verdict::Go => "GO",
        Verdict::Blocked => "NO",
        _ => judgement::mark(verdict).1,
    };
    let (sign, _, style) = judgement::mark(verdict);
    format!(
        "{} {named} {words} {}\n",
        style::paint(style.bold(), format!("{sign} {word}")),
        environment.name
    )
}

/// Services that get the same answer for the same commit, so that it is shown once for all of them. Answers are the same
/// if they name the same reasons of the same phases; the words differ only by the service.
fn grouped<'a>(judged: &'a [(&'a Candidate, Judgement)]) -> Vec<Vec<&'a (&'a Candidate, Judgement)>> {
    type Said<'a> = (&'a CommitId, Vec<(ReasonCode, &'a PlanId, Option<&'a PhaseId>)>);
    let mut groups: Vec<(Said<'a>, Vec<&(&Candidate, Judgement)>)> = Vec::new();
    for one in judged {
        let (candidate, answer) = one;
        let reasons = answer.reasons.iter();
        let said: Said<'a> = (
            &candidate.version.commit,
            reasons
                .map(|reason| (reason.code, &reason.plan, reason.phase.as_ref()))
                .collect(),
        );
        match groups.iter_mut().find(|(known, _)| *known == said) {
            Some((_, alike)) => alike.push(one),
            None => groups.push((said, vec![one])),
        }
    }
    groups.into_iter().map(|(_, alike)| alike).collect()
}

/// Services with the same answer: the verdict, then the reasons plan by plan.
fn services_text(alike: &[&(&Candidate, Judgement)]) -> String {
    let Some((candidate, answer)) = alike.first() else {
        return String::new();
    };
    let names: Vec<&str> = alike
        .iter()
        .map(|(one, _)| one.version.service.as_str())
        .collect();
    let commit = candidate.version.commit.short();
    let one = format!("{} {commit}", candidate.version.service);
    let of_all = |text: &str| match alike.len() {
        1 => text.to_owned(),
        _ => text.replace(&one, commit),
    };
    let (sign, _, mark_style) = judgement::mark(answer.verdict());
    let subject = candidate.subject.as_deref().unwrap_or_default();
    let mut text = format!(
        "\n{} {}  {} {}\n",
        style::paint(mark_style, sign),
        style::paint(style::HEADING, names.join(", ")),
        candidate.version.commit.short(),
        style::paint(style::DIM, subject)
    );
    let mut by_plan: BTreeMap<&PlanId, Judgement> = BTreeMap::new();
    for reason in &answer.reasons {
        by_plan
            .entry(&reason.plan)
            .or_default()
            .reasons
            .push(reason.clone());
    }
    for (plan, reasons) in by_plan {
        text += &format!("  {}\n", style::paint(style::DIM, format!("plan {plan}")));
        text += &of_all(&judgement::reasons(&reasons, 2));
    }
    if answer.verdict() == Verdict::Go {
        text += &of_all(&judgement::evidence(answer, 4));
    }
    text
}

fn as_json(
    environment: &Environment,
    revision: &str,
    verdict: Verdict,
    judged: &[(&Candidate, Judgement)],
    elsewhere: &[(ServiceName, Doubt)],
) -> Value {
    let reasons: Vec<Value> = judged
        .iter()
        .flat_map(|(candidate, answer)| {
            answer.reasons.iter().map(|reason| {
                let mut value = judgement::reason_as_json(reason);
                value["service"] = json!(candidate.version.service);
                value
            })
        })
        .collect();
    json!({
        "verdict": verdict,
        "environment": environment.name,
        "revision": revision,
        "reasons": reasons,
        "services": judged.iter().map(|(candidate, answer)| {
            let mut value = judgement::as_json(answer);
            value["service"] = json!(candidate.version.service);
            value["commit"] = json!(candidate.version.commit);
            value["subject"] = json!(candidate.subject);
            value
        }).collect::<Vec<_>>(),
        "not_judged": elsewhere.iter().map(|(service, doubt)| {
            json!({ "service": service, "why": doubt.why, "fix": doubt.fix })
        }).collect::<Vec<_>>(),
    })
}
