//! What the judging commands share: open the database, look at everything, and remember the look.

use jiff::Timestamp;

use super::{Context, actor};
use crate::domain::{PhaseId, PlanId, Problem, did_you_mean};
use crate::observe::{Observer, Situation};
use crate::plan::{self, Plan};
use crate::postgres::Session;
use crate::project::{Environment, Project};
use crate::safety::{Reason, ReasonCode, Verdict, Version};

/// Every plan of the project. One that is invalid fails the command: nothing opens on a plan that cannot be read.
pub(super) fn every_plan(project: &Project) -> Result<Vec<Plan>, Problem> {
    plan::load_all(project)
}

/// A look at one environment.
pub(super) struct Look<'a> {
    pub observer: Observer<'a>,
    pub session: Session,
    pub situation: Situation,
}

/// Opens the database and looks.
pub(super) async fn look<'a>(
    context: &Context,
    project: &'a Project,
    environment: &'a Environment,
    plans: &'a [Plan],
    candidates: &[Version],
    purpose: &str,
) -> Result<Look<'a>, Problem> {
    let observer = Observer {
        project,
        environment,
        plans,
    };
    let session = context.session(environment, purpose).await?;
    let situation = observer
        .look(Some(&session), candidates, Timestamp::now())
        .await?;
    for newer in &situation.newer {
        context.console.note(&newer.note);
    }
    Ok(Look {
        observer,
        session,
        situation,
    })
}

impl Look<'_> {
    /// Writes the look down for these plans, and folds it in: a soak counts from the look that first finds a phase
    /// satisfied. A ledger that refuses costs no answer, but it is said.
    pub async fn remember<'p>(&mut self, context: &Context, plans: impl IntoIterator<Item = &'p PlanId>) {
        let actor = actor::resolve(&self.observer.project.root);
        for plan in plans {
            let written = self
                .observer
                .remember(&self.session, &mut self.situation, plan, &actor)
                .await;
            if let Err(problem) = written {
                context
                    .console
                    .note(&format!("this look could not be recorded: {problem}"));
                return;
            }
        }
    }

    /// The plans of which the ledger knows something.
    pub fn begun(&self) -> Vec<PlanId> {
        self.situation.facts.plans.keys().cloned().collect()
    }
}

/// A plan's phase by name, or a problem that names those there are.
pub(super) fn phase_id(plan: &Plan, name: &str) -> Result<PhaseId, Problem> {
    let known: Vec<&str> = plan.phases().iter().map(|phase| phase.id.as_str()).collect();
    plan.phases()
        .iter()
        .find(|phase| phase.id.as_str() == name)
        .map(|phase| phase.id.clone())
        .ok_or_else(|| {
            Problem::new(
                crate::domain::Exit::Usage,
                "unknown-phase",
                format!("plan {} has no phase `{name}`", plan.id()),
            )
            .fix(did_you_mean(name, &known))
        })
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
