//! What the commands that change something share: the engine with all it needs, requests to stop, and what a person adds.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use jiff::Timestamp;

use super::{Context, actor, looking};
use crate::domain::{EnvironmentName, Exit, PhaseId, Problem};
use crate::execute::{Engine, FillOptions, Finding, Override, Pace, Stop};
use crate::plan::{self, Plan};
use crate::postgres::ConnectionSettings;
use crate::project::{Environment, Project};
use crate::safety::ReasonCode;

/// Breaking glass.
#[derive(Debug, clap::Args)]
pub(super) struct Exception {
    /// Set a reason aside by its code (as shown in brackets); written into the audit trail. Can be repeated. A run needs
    /// --to with it, and sets it aside for that phase alone
    #[arg(long = "override", value_name = "CODE", requires = "reason")]
    overrides: Vec<String>,

    /// Why the reason is set aside, or why sessions are ended (--cancel-blockers)
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Exception {
    /// Whether anything is set aside.
    pub(super) fn is_given(&self) -> bool {
        !self.overrides.is_empty()
    }

    /// The reason, if one is given, and if there is something to give one for: what is set aside, or something `else_wanted`.
    ///
    /// # Errors
    /// An empty reason, or one for nothing.
    pub(super) fn reason(&self, else_wanted: bool) -> Result<Option<String>, Problem> {
        let Some(reason) = &self.reason else {
            return Ok(None);
        };
        if reason.trim().is_empty() {
            return Err(Problem::new(
                Exit::Usage,
                "override-without-reason",
                "--reason is empty, and it is what the audit trail will say",
            ));
        }
        if !self.is_given() && !else_wanted {
            return Err(Problem::new(
                Exit::Usage,
                "reason-for-nothing",
                "--reason goes with --override or --cancel-blockers, and neither is given",
            ));
        }
        Ok(Some(reason.clone()))
    }

    /// What is set aside, if anything.
    ///
    /// # Errors
    /// A code that does not exist.
    pub(super) fn resolve(self, phase: Option<PhaseId>) -> Result<Option<Override>, Problem> {
        let Self { overrides, reason } = self;
        let codes = overrides
            .iter()
            .map(|text| {
                serde_json::from_value::<ReasonCode>(serde_json::Value::from(text.as_str())).map_err(|_| {
                    Problem::new(
                        Exit::Usage,
                        "unknown-reason-code",
                        format!("there is no reason with the code `{text}`"),
                    )
                    .fix("take the code from the brackets behind the reason, such as old-version-running")
                })
            })
            .collect::<Result<BTreeSet<_>, _>>()?;
        Ok(reason
            .filter(|_| !codes.is_empty())
            .map(|reason| Override { codes, reason, phase }))
    }
}

/// What a person found out about a statement that an earlier run left in doubt.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct Found {
    /// An earlier run ended within a statement that cannot run in a transaction, and it did take effect
    #[arg(long)]
    it_happened: bool,

    /// An earlier run ended within a statement that cannot run in a transaction, and it did not take effect
    #[arg(long)]
    it_did_not_happen: bool,
}

impl Found {
    pub(super) fn finding(&self) -> Option<Finding> {
        match (self.it_happened, self.it_did_not_happen) {
            (true, _) => Some(Finding::Happened),
            (false, true) => Some(Finding::DidNotHappen),
            (false, false) => None,
        }
    }
}

/// How fills work.
#[derive(Debug, clap::Args)]
pub(super) struct Filling {
    /// Sessions of this process that fill at the same time; other processes can --join
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    workers: NonZeroUsize,

    /// How long a batch of a fill should take, in milliseconds: so long may a client wait for a row. What `shipctl
    /// throttle` says goes before
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    target_batch_ms: Option<u64>,
}

impl Filling {
    /// The options; what stands for the limits of the file is written into the environment.
    pub(super) fn resolve(self, environment: &mut Environment) -> FillOptions {
        let Self {
            workers,
            target_batch_ms,
        } = self;
        if target_batch_ms.is_some() {
            environment.manners.limits.target_batch_ms = target_batch_ms;
        }
        FillOptions {
            workers,
            ..FillOptions::default()
        }
    }
}

/// What one command works on.
pub(super) struct Scene {
    project: Project,
    plans: Vec<Plan>,
    connection: ConnectionSettings,
    actor: String,
    stop: Stop,
    /// The environment.
    pub(super) environment: Environment,
    /// The plan.
    pub(super) plan: Plan,
}

impl Scene {
    /// Finds and reads everything. From here on, signals ask to stop.
    ///
    /// # Errors
    /// No project, environment or plan of that name; an invalid file; no database.
    pub(super) fn set(
        context: &Context,
        plan: &str,
        environment: Option<&EnvironmentName>,
    ) -> Result<Self, Problem> {
        let project = context.project()?;
        let environment = context.environment(&project, environment)?.clone();
        Ok(Self {
            plans: looking::every_plan(&project)?,
            plan: plan::find(&project, plan)?,
            connection: context.connection(&environment)?,
            actor: actor::resolve(&project.root),
            stop: stop_on_signals(),
            environment,
            project,
        })
    }

    pub(super) fn engine(&self) -> Engine<'_> {
        Engine {
            project: &self.project,
            environment: &self.environment,
            connection: &self.connection,
            plans: &self.plans,
            actor: &self.actor,
            clock: &Timestamp::now,
            stop: self.stop.clone(),
            pace: Pace::default(),
        }
    }
}

/// Is asked to stop on Ctrl-C or a request to terminate.
pub(super) fn stop_on_signals() -> Stop {
    let stop = Stop::new();
    let on_interrupt = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            on_interrupt.request();
        }
    });
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let on_terminate = stop.clone();
        tokio::spawn(async move {
            if let Ok(mut terminate) = signal(SignalKind::terminate()) {
                terminate.recv().await;
                on_terminate.request();
            }
        });
    }
    stop
}
