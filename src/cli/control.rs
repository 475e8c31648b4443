//! What the commands share that control a run from another terminal.

use super::{Context, actor};
use crate::domain::{EnvironmentName, PlanId, Problem};
use crate::execute::control::Operator;
use crate::plan;
use crate::postgres::{RunLock, Session, ledger};
use crate::project::Environment;

/// The plan that is controlled, with a session on its database.
pub(super) struct Controlled {
    pub(super) environment: Environment,
    pub(super) plan: PlanId,
    pub(super) session: Session,
    actor: String,
}

impl Controlled {
    /// Finds the plan, also one whose file is not in this checkout but that the ledger knows.
    ///
    /// # Errors
    /// No project, environment or plan of that name; no database.
    pub(super) async fn find(
        context: &Context,
        plan: &str,
        environment: Option<&EnvironmentName>,
        purpose: &str,
    ) -> Result<Self, Problem> {
        let project = context.project()?;
        let environment = context.environment(&project, environment)?.clone();
        let session = context.session(&environment, purpose).await?;
        let plan = match plan::find(&project, plan) {
            Ok(plan) => plan.id().clone(),
            Err(problem) => {
                let Ok(id) = plan.parse::<PlanId>() else {
                    return Err(problem);
                };
                if !ledger::is_known(session.client(), &environment.name, &id).await? {
                    return Err(problem);
                }
                id
            }
        };
        Ok(Self {
            actor: actor::resolve(&project.root),
            environment,
            plan,
            session,
        })
    }

    /// Splits into who acts on what, and the session to act on.
    pub(super) fn parts(&mut self) -> (Operator<'_>, &mut Session) {
        let operator = Operator {
            environment: &self.environment.name,
            plan: &self.plan,
            actor: &self.actor,
        };
        (operator, &mut self.session)
    }

    /// The run that is at work on the plan, in words.
    pub(super) async fn at_work(&self) -> Result<Option<String>, Problem> {
        RunLock::at_work(self.session.client(), &self.environment.name, &self.plan).await
    }

    /// A command on this plan, as it is typed.
    pub(super) fn command(&self, verb: &str) -> String {
        format!("shipctl {verb} {} --env {}", self.plan, self.environment.name)
    }
}
