//! Live control of a plan's run: pausing, resuming and throttling are records in the ledger, which every run follows.
//! They are not lost with a run, and hold for the next one.

use std::time::Duration;

use super::engine::Hold;
use super::event::{Event, Throttle};
use crate::domain::{EnvironmentName, Limits, PlanId, Problem};
use crate::ledger::{Control, InForce, Pause, Record};
use crate::observe::Situation;
use crate::postgres::{Session, describe_error, ledger};
use crate::project::Environment;

/// How often a run that waits looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What a change of control came to.
#[derive(Clone, Debug)]
pub struct Change {
    /// What held before.
    pub before: Control,
    /// Whether anything had to be recorded.
    pub recorded: bool,
}

/// Who changes the control of which plan.
#[derive(Clone, Copy, Debug)]
pub struct Operator<'o> {
    /// The environment.
    pub environment: &'o EnvironmentName,
    /// The plan.
    pub plan: &'o PlanId,
    /// Who.
    pub actor: &'o str,
}

impl Operator<'_> {
    /// Pauses the plan; one that is paused already stays as it is.
    ///
    /// # Errors
    /// The ledger cannot be made or written.
    pub async fn pause(&self, session: &mut Session, reason: Option<String>) -> Result<Change, Problem> {
        self.change(session, |control| {
            control.paused.is_none().then_some(Record::Paused { reason })
        })
        .await
    }

    /// Lets a paused plan go on.
    ///
    /// # Errors
    /// As [`Operator::pause`].
    pub async fn resume(&self, session: &mut Session) -> Result<Change, Problem> {
        self.change(session, |control| {
            control.paused.is_some().then_some(Record::Resumed)
        })
        .await
    }

    /// Sets limits, after forgetting those that were set before with `clear`.
    ///
    /// # Errors
    /// As [`Operator::pause`].
    pub async fn throttle(
        &self,
        session: &mut Session,
        clear: bool,
        limits: Limits,
    ) -> Result<Change, Problem> {
        self.change(session, |control| {
            let changes = !limits.is_empty() || (clear && control.is_throttled());
            changes.then_some(Record::Throttled { clear, limits })
        })
        .await
    }

    /// Records what `decide` makes of the control as it is. Others who change it at the same moment come before or after.
    async fn change(
        &self,
        session: &mut Session,
        decide: impl FnOnce(&Control) -> Option<Record>,
    ) -> Result<Change, Problem> {
        let doing = "writing to the ledger";
        ledger::ensure(session).await?;
        let transaction = session
            .client_mut()
            .transaction()
            .await
            .map_err(|error| describe_error(&error, doing))?;
        ledger::lock_control(&transaction, self.environment, self.plan).await?;
        let before = ledger::control(&transaction, self.environment, self.plan).await?;
        let record = decide(&before);
        if let Some(record) = &record {
            ledger::append(
                &transaction,
                self.environment,
                Some(self.plan),
                self.actor,
                record,
            )
            .await?;
        }
        transaction
            .commit()
            .await
            .map_err(|error| describe_error(&error, doing))?;
        Ok(Change {
            before,
            recorded: record.is_some(),
        })
    }
}

/// The limits in force in an environment.
pub(in crate::execute) fn limits_of(environment: &Environment, control: &Control) -> InForce {
    control.in_force(&environment.manners.limits)
}

/// A pause in words, with the command that ends it.
pub(in crate::execute) fn describe(pause: &Pause, plan: &PlanId, environment: &EnvironmentName) -> String {
    let why = pause
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    format!(
        "{} paused it{why}; to go on: shipctl resume {plan} --env {environment}",
        pause.name()
    )
}

/// Looks at everything, once the plan is not paused. A pause that comes during the look counts.
///
/// # Errors
/// `interrupted` (exit 130); as [`Hold::look`].
pub(in crate::execute) async fn look_when_resumed(hold: &Hold<'_>) -> Result<Situation, Problem> {
    loop {
        until_resumed(hold).await?;
        let situation = hold.look().await?;
        if pause_of(hold).await?.is_none() {
            return Ok(situation);
        }
    }
}

async fn until_resumed(hold: &Hold<'_>) -> Result<(), Problem> {
    let mut told: Option<Pause> = None;
    let tell = |state, reasons| {
        hold.tell(Event::Throttled {
            phase: None,
            state,
            reasons,
        });
    };
    loop {
        let Some(pause) = pause_of(hold).await? else {
            if told.is_some() {
                tell(Throttle::Free, Vec::new());
            }
            return Ok(());
        };
        if told.as_ref() != Some(&pause) {
            let words = describe(&pause, hold.plan.id(), &hold.engine.environment.name);
            tell(Throttle::Paused, vec![words]);
            told = Some(pause);
        }
        hold.engine.stop.sleep(LOOK_EVERY).await?;
    }
}

async fn pause_of(hold: &Hold<'_>) -> Result<Option<Pause>, Problem> {
    let environment = &hold.engine.environment.name;
    ledger::control(hold.monitor.client(), environment, hold.plan.id())
        .await
        .map(|control| control.paused)
}
