//! `shipctl can-deploy`: may this commit be deployed, or rolled back to, now?

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde_json::{Value, json};

use super::format::Reporting;
use super::{Context, actor, looking};
use crate::domain::{EnvironmentName, Exit, Problem, ServiceName, did_you_mean};
use crate::execute::lease::{Deployer, Wanted};
use crate::observe::{Observer, Repositories, Situation};
use crate::plan::Plan;
use crate::postgres::ledger;
use crate::project::{Environment, Project};
use crate::report::deployable::{Answer, Deployable, PlanAnswer};
use crate::report::way::legs;
use crate::safety::{
    Doubt, Goal, ReasonCode, Verdict, Version, can_deploy, can_deploy_under, can_deploy_with,
};

/// How often everything is looked at again where the ledger changes before the lease is written.
const ATTEMPTS: u32 = 5;

/// May this commit be deployed, or rolled back to, now?
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl can-deploy HEAD --env production
  shipctl can-deploy v1.4.2 --env production --service web
  shipctl can-deploy \"$GIT_COMMIT\" --env production --lease 15m && deploy && \\
    shipctl deployed record web \"$GIT_COMMIT\" --env production

Exit codes: 0 go · 1 no · 3 cannot be told (an unknown commit, a shallow clone, a database out of reach) · 4 wait (a
contract phase is under way, or another deployment that it must not meet)")]
pub struct Args {
    /// The commit: an id, a tag, a branch
    revision: String,

    /// The environment (may be left out where there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Only this service
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,

    /// If the answer is yes, hold it for so long, such as 15m: contract phases do not start meanwhile. Given back by
    /// `deployed record` and by `lease release`; taken again, it lasts longer
    #[arg(long, value_name = "DURATION", value_parser = lease_time)]
    lease: Option<SignedDuration>,

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
        lease,
        format: _,
    } = args;
    let project = context.project()?;
    let environment = context.environment(&project, env.as_ref())?;
    let plans = looking::every_plan(&project)?;
    let services = services(environment, service.as_ref())?;
    let (candidates, elsewhere) = match candidates(&project, environment, &services, &revision) {
        Ok(found) => found,
        Err(problem) => return Ok(unknown_commit(context, environment, &revision, &problem)),
    };
    let observer = Observer {
        project: &project,
        environment,
        plans: &plans,
    };
    let named = observer.nameable();
    let mut examined = named.clone();
    examined.extend(candidates.iter().map(|candidate| candidate.version.clone()));
    for _ in 0..ATTEMPTS {
        let mut look = looking::look(context, &project, environment, &plans, &examined, "can-deploy").await?;
        let begun = look.begun();
        look.remember(context, &begun).await;
        let mut answer = Deployable {
            environment: &environment.name,
            revision: &revision,
            answers: candidates
                .iter()
                .map(|candidate| answer(candidate, &candidates, &look.situation, &plans, &named))
                .collect(),
            elsewhere: &elsewhere,
            lease: None,
            lease_wanted: lease.is_some(),
            now: look.situation.facts.now,
        };
        if let Some(lasts) = lease
            && answer.verdict() == Verdict::Go
        {
            ledger::ensure(&mut look.session).await?;
            let wanted = Wanted {
                revision: &revision,
                versions: candidates
                    .iter()
                    .map(|candidate| candidate.version.clone())
                    .collect(),
                lasts,
            };
            let by = actor::resolve(&project.root);
            let deployer = Deployer {
                environment: &environment.name,
                actor: &by,
            };
            answer.lease = deployer
                .take(&mut look.session, &look.situation.records, &wanted)
                .await?;
            if answer.lease.is_none() {
                // A phase began, or somebody else deploys: what was judged is the past.
                continue;
            }
        }
        context.console.json(&answer.as_json());
        for one in &answer.answers {
            context.console.annotate(&one.judgement.reasons);
        }
        context.console.result(&answer.text());
        let verdict = answer.verdict();
        let gravest = answer.answers.iter().max_by_key(|one| one.judgement.verdict());
        if let (Some(gravest), true) = (gravest, verdict != Verdict::Go) {
            context.console.more(&gravest.judgement.reasons);
        }
        return Ok(verdict.exit());
    }
    Err(Problem::new(
        Exit::Waiting,
        "ledger-busy",
        format!(
            "what is known of {} changed each time the lease was to be taken",
            environment.name
        ),
    )
    .because("a lease is given only by what is still true when it is written")
    .fix("try again"))
}

/// What the rules say of one candidate, plan by plan, also as to the `candidates` that would be deployed with it.
fn answer(
    candidate: &Candidate,
    candidates: &[Candidate],
    situation: &Situation,
    plans: &[Plan],
    named: &[Version],
) -> Answer {
    let shapes = situation.shapes(plans);
    let version = &candidate.version;
    let together: Vec<Version> = candidates.iter().map(|one| one.version.clone()).collect();
    let mut judgement = can_deploy(version, &shapes, &situation.facts);
    judgement.reasons.extend(looking::unreadable(situation));
    let notes = situation.newer.iter().map(|newer| newer.note.clone());
    judgement.evidence.extend(notes);
    let said: Vec<PlanAnswer> = situation
        .in_force(plans)
        .map(|plan| {
            let alone = can_deploy_under(plan.shape(), version, &situation.facts);
            let way = match alone.verdict() {
                Verdict::Go => Some(Vec::new()),
                _ => situation
                    .way(Goal::Deploy(version), plan, &shapes, named)
                    .map(|way| legs(&way, plan.shape(), &situation.facts.environment)),
            };
            PlanAnswer {
                plan: plan.id().clone(),
                judgement: alone.and(can_deploy_with(
                    plan.shape(),
                    version,
                    &together,
                    &situation.facts,
                )),
                way,
            }
        })
        .collect();
    for plan in situation.in_force(plans) {
        judgement = judgement.and(can_deploy_with(
            plan.shape(),
            version,
            &together,
            &situation.facts,
        ));
    }
    Answer {
        version: version.clone(),
        subject: candidate.subject.clone(),
        judgement,
        plans: said,
    }
}

/// How long a lease may last: longer than any deployment takes, and short enough that one which is forgotten ends.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

fn lease_time(text: &str) -> Result<SignedDuration, String> {
    let time = text
        .parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .map_err(|_| "write it as 15m or 90s".to_owned())?;
    if time <= SignedDuration::ZERO {
        return Err("a lease that has no length protects nothing".to_owned());
    }
    if time > LONGEST {
        return Err(
            "contract phases wait for its end, so a day is the most; take it again to extend it".to_owned(),
        );
    }
    Ok(time)
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
