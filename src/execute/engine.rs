//! What every effect needs: the engine with its settings, and the sessions and the lock that one run holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Client;

use super::event::{Event, EventSink};
use super::failpoint::{Failpoint, reach};
use super::fill::FillOptions;
use super::standoff::LockPolicy;
use crate::domain::{PhaseId, Problem};
use crate::ledger::{Record, StoredRecord};
use crate::observe::{Observer, Situation};
use crate::plan::Plan;
use crate::postgres::retry::{FailedAttempt, Watch};
use crate::postgres::{ConnectionSettings, LockPatience, RunLock, Session, Stop, describe_error, ledger};
use crate::project::{Environment, Project};
use crate::safety::{Decision, Direction, Lease, ReasonCode, judge, may_revert};

/// Tells the time. Commands pass the system's clock (`&Timestamp::now`), tests their own.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// Everything a run is made with.
pub struct Engine<'a> {
    /// The project.
    pub project: &'a Project,
    /// The environment.
    pub environment: &'a Environment,
    /// How to reach its database.
    pub connection: &'a ConnectionSettings,
    /// Every plan that counts.
    pub plans: &'a [Plan],
    /// Who runs it, for the audit trail.
    pub actor: &'a str,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// Asks it to stop.
    pub stop: Stop,
    /// How old facts may grow.
    pub pace: Pace,
}

/// How old facts may grow before they are gathered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A phase begins, and each statement of a contract phase runs, by facts that are not older than this.
    pub fresh: SignedDuration,
    /// How often the fleet is looked at during a long fill.
    pub look_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            fresh: SignedDuration::from_secs(30),
            look_every: Duration::from_secs(10),
        }
    }
}

impl<'a> Engine<'a> {
    /// The observer with the engine's view.
    pub fn observer(&self) -> Observer<'a> {
        Observer {
            project: self.project,
            environment: self.environment,
            plans: self.plans,
        }
    }
}

/// Reasons that a person sets aside for this run, which is written into the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The codes of the reasons.
    pub codes: BTreeSet<ReasonCode>,
    /// Why.
    pub reason: String,
    /// The only phase for which they are set aside; `None` for every phase in question (of a rollback).
    pub phase: Option<PhaseId>,
}

/// What a person found out about a statement of which the ledger cannot tell whether it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It took effect.
    Happened,
    /// It did not.
    DidNotHappen,
}

/// How a run goes about its work.
pub(in crate::execute) struct Conduct {
    /// How patient DDL is with locks.
    pub patience: LockPatience,
    /// What is done about locks that others hold.
    pub locks: LockPolicy,
    /// How fills work.
    pub fill: FillOptions,
}

/// What a run of one plan holds while it lasts: its lock and its sessions.
pub(in crate::execute) struct Hold<'a> {
    pub engine: &'a Engine<'a>,
    pub plan: &'a Plan,
    pub events: &'a dyn EventSink,
    pub overrides: Option<Override>,
    pub finding: Option<Finding>,
    pub patience: LockPatience,
    pub locks: LockPolicy,
    /// The lock, on a session of its own.
    pub lock: RunLock,
    /// The session that changes things.
    pub work: Session,
    /// The session that looks, while the other one works or waits.
    pub monitor: Arc<Session>,
    /// How fills work.
    pub fill: FillOptions,
    /// How far the database's clock was ahead of this machine's at the last look, in microseconds.
    skew: AtomicI64,
}

impl<'a> Hold<'a> {
    /// Connects, makes sure of the ledger and takes the lock.
    ///
    /// # Errors
    /// The database cannot be reached, the ledger cannot be made, or another run holds the lock.
    pub async fn take(
        engine: &'a Engine<'a>,
        plan: &'a Plan,
        events: &'a dyn EventSink,
        overrides: Option<Override>,
        finding: Option<Finding>,
        conduct: Conduct,
    ) -> Result<Self, Problem> {
        let Conduct {
            patience,
            locks,
            fill,
        } = conduct;
        let mut monitor = Session::open(engine.connection, "watch").await?;
        ledger::ensure(&mut monitor).await?;
        reach(Failpoint::LedgerEnsured).await;
        let lock = RunLock::acquire(engine.connection, &engine.environment.name, plan.id()).await?;
        let work = Session::open(engine.connection, "run").await?;
        reach(Failpoint::RunLocked).await;
        Ok(Self {
            engine,
            plan,
            events,
            overrides,
            finding,
            patience,
            locks,
            lock,
            work,
            monitor: Arc::new(monitor),
            fill,
            skew: AtomicI64::new(0),
        })
    }

    /// The present moment, by the database's clock as of the last look: facts and records are dated by that one.
    pub fn now(&self) -> Timestamp {
        let local = self.engine.clock.now();
        let skew = SignedDuration::from_micros(self.skew.load(Ordering::Relaxed));
        local.checked_add(skew).unwrap_or(local)
    }

    /// A watch over the session that works.
    pub fn watch(&self) -> Watch<'_> {
        self.around().watch()
    }

    /// What is around the session that works.
    pub fn around(&self) -> Around<'_> {
        Around {
            engine: self.engine,
            plan: self.plan,
            events: self.events,
            locks: &self.locks,
            lock: &self.lock,
            monitor: self.monitor.client(),
            worker: self.work.backend_pid(),
        }
    }

    /// The session that works, for transactions, and what is around it.
    pub fn split(&mut self) -> (&mut Client, Around<'_>) {
        let worker = self.work.backend_pid();
        let around = Around {
            engine: self.engine,
            plan: self.plan,
            events: self.events,
            locks: &self.locks,
            lock: &self.lock,
            monitor: self.monitor.client(),
            worker,
        };
        (self.work.client_mut(), around)
    }

    /// Tells those who watch.
    pub fn tell(&self, event: Event) {
        self.events.event(&event);
    }

    /// Tells that a lock was not free, and that it is tried again.
    pub fn retrying(&self, phase: &PhaseId, failed: &FailedAttempt) {
        self.tell(Event::retry(phase, failed));
    }

    /// Says something about a phase.
    pub fn note(&self, phase: &PhaseId, message: impl Into<String>) {
        self.tell(Event::Note {
            phase: Some(phase.clone()),
            message: message.into(),
        });
    }

    /// Looks at everything now, and remembers what was seen.
    pub async fn look(&self) -> Result<Situation, Problem> {
        let observer = self.engine.observer();
        let local = self.engine.clock.now();
        let mut situation = observer.look(Some(&self.monitor), &[], local).await?;
        // Taken before the database was asked, so that facts seem older by this estimate, never younger.
        let skew = situation.facts.now.duration_since(local);
        let micros = i64::try_from(skew.as_micros()).unwrap_or_default();
        self.skew.store(micros, Ordering::Relaxed);
        reach(Failpoint::FleetSeen).await;
        observer
            .remember(&self.monitor, &mut situation, self.plan.id(), self.engine.actor)
            .await?;
        reach(Failpoint::FleetRemembered).await;
        Ok(situation)
    }

    /// The reasons that are set aside for a phase.
    pub fn overridden(&self, phase: &PhaseId) -> BTreeSet<ReasonCode> {
        self.overrides
            .as_ref()
            .filter(|given| given.phase.as_ref().is_none_or(|only| only == phase))
            .map(|given| given.codes.clone())
            .unwrap_or_default()
    }

    /// The record of what has to be set aside for a phase that is cleared: the reasons that there are `without` it.
    pub fn set_aside(&self, phase: &PhaseId, without: Decision) -> Option<Record> {
        let given = self.overrides.as_ref()?;
        let Decision::Refused(judgement) = without else {
            return None;
        };
        let codes: BTreeSet<&str> = judgement
            .reasons
            .iter()
            .map(|reason| reason.code.as_str())
            .collect();
        Some(Record::Overridden {
            phase: phase.clone(),
            codes: codes.into_iter().map(str::to_owned).collect(),
            reason: given.reason.clone(),
        })
    }

    /// What the rules say of a phase in a situation.
    pub fn decide(&self, phase: &PhaseId, direction: Direction, situation: &Situation) -> Decision {
        let (shape, overridden) = (self.plan.shape(), self.overridden(phase));
        match direction {
            Direction::Forward => judge(shape, phase, &situation.facts, &overridden),
            Direction::Reverse => may_revert(shape, phase, &situation.facts, &overridden),
        }
    }

    /// As [`Hold::decide`], where nothing is set aside.
    pub fn decide_without_overrides(
        &self,
        phase: &PhaseId,
        direction: Direction,
        situation: &Situation,
    ) -> Decision {
        let (shape, none) = (self.plan.shape(), BTreeSet::new());
        match direction {
            Direction::Forward => judge(shape, phase, &situation.facts, &none),
            Direction::Reverse => may_revert(shape, phase, &situation.facts, &none),
        }
    }

    /// The plan's own records, in order.
    pub async fn records(&self) -> Result<Vec<StoredRecord>, Problem> {
        ledger::read(
            self.monitor.client(),
            &self.engine.environment.name,
            Some(self.plan.id()),
        )
        .await
    }

    /// Appends records in one transaction of their own, in which the lock is proved to be held.
    pub async fn append(&mut self, records: &[Record]) -> Result<(), Problem> {
        self.append_if(records, None::<(Timestamp, fn(&Lease) -> bool)>)
            .await
            .map(drop)
    }

    /// As [`Hold::append`], unless there was a deployment since the fleet was `observed`, under way or over, that is not
    /// `known`: then nothing is written, and the answer is `false`. Nobody takes a lease between the look at the leases and
    /// the records.
    pub async fn append_unless_leased(
        &mut self,
        records: &[Record],
        observed: Timestamp,
        known: impl Fn(&Lease) -> bool,
    ) -> Result<bool, Problem> {
        self.append_if(records, Some((observed, known))).await
    }

    async fn append_if(
        &mut self,
        records: &[Record],
        unless: Option<(Timestamp, impl Fn(&Lease) -> bool)>,
    ) -> Result<bool, Problem> {
        let doing = "writing to the ledger";
        let transaction = self
            .work
            .client_mut()
            .transaction()
            .await
            .map_err(|error| describe_error(&error, doing))?;
        self.lock.assert_held(&transaction).await?;
        if let Some((observed, known)) = unless {
            let environment = &self.engine.environment.name;
            ledger::lock_course(&transaction, environment).await?;
            let leases = ledger::leases_since(&transaction, environment, observed).await?;
            if leases
                .iter()
                .any(|lease| lease.is_live(observed) && !known(lease))
            {
                return Ok(false);
            }
        }
        for record in records {
            append(&transaction, self.engine, self.plan, record).await?;
        }
        reach(Failpoint::RecordsWritten).await;
        transaction
            .commit()
            .await
            .map(|()| true)
            .map_err(|error| describe_error(&error, doing))
    }
}

/// What a run holds around the session that works.
#[derive(Clone, Copy)]
pub(in crate::execute) struct Around<'h> {
    pub engine: &'h Engine<'h>,
    pub plan: &'h Plan,
    pub events: &'h dyn EventSink,
    pub locks: &'h LockPolicy,
    pub lock: &'h RunLock,
    /// The session that looks.
    pub monitor: &'h Client,
    /// The server process that works.
    pub worker: i32,
}

impl<'h> Around<'h> {
    /// A watch over the session that works.
    pub fn watch(self) -> Watch<'h> {
        Watch {
            monitor: self.monitor,
            worker: self.worker,
            stop: &self.engine.stop,
        }
    }
}

/// Appends one record inside the caller's transaction.
pub(in crate::execute) async fn append(
    client: &impl tokio_postgres::GenericClient,
    engine: &Engine<'_>,
    plan: &Plan,
    record: &Record,
) -> Result<(), Problem> {
    ledger::append(
        client,
        &engine.environment.name,
        Some(plan.id()),
        engine.actor,
        record,
    )
    .await
    .map(|_| ())
}
