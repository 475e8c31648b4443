//! Manners of a fill: it slows down or pauses where others would suffer, or where somebody says so, and tells why.
//!
//! Several sources look at the database beside the work, each in its own time. What the strictest of them says holds.
//! Slow means shorter batches and rests between them; paused means no batch, and no transaction stays open meanwhile.
//! What is not known is closed: nothing is permitted before every source has looked once, while it cannot be told whether
//! somebody has paused the plan, and while a replica that was named cannot be asked. Sources that nobody asked for by
//! name are another matter: where they cannot be asked, that is said once, and the fill goes on.

mod board;
mod disk;
mod latency;
mod link;
mod lock_waits;
mod overview;
mod positions;
mod replica;
mod replication;
mod verdict;
mod wal;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

pub use self::overview::{Overview, overview};

use self::board::Board;
use self::disk::Disk;
use self::latency::Latency;
use self::link::Link;
use self::lock_waits::LockWaits;
use self::replica::Replica;
use self::replication::Replication;
use self::verdict::Verdict;
use self::wal::Wal;
use super::control::{describe, limits_of};
use super::engine::Engine;
use super::event::EventSink;
use crate::domain::{Exit, PhaseId, Problem};
use crate::ledger::{InForce, TARGET_BATCH_MS};
use crate::plan::Plan;
use crate::postgres::{ConnectionSettings, Stop, ledger};

/// How long a batch should take unless something else is set.
pub const BATCH_TIME: Duration = Duration::from_millis(TARGET_BATCH_MS);

/// How often each source looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How often it is looked whether somebody paused the plan or set other limits.
const OBEY_EVERY: Duration = Duration::from_millis(250);
/// A look that takes longer is no answer.
const LONGEST_LOOK: Duration = Duration::from_secs(3);
/// A ledger that cannot be asked for so long ends the fill.
const PATIENCE: Duration = Duration::from_secs(10);

/// The source that tells what operators say.
const CONTROL: &str = "control";

/// What a worker may do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::execute) struct Allowance {
    /// How long a batch should take.
    pub batch: Duration,
    /// How long to rest after it, as a multiple of the time that it took.
    pub rest: f64,
}

impl Allowance {
    /// Rests after a batch that took so long.
    ///
    /// # Errors
    /// `interrupted` (exit 130).
    pub async fn rest_after(&self, took: Duration, stop: &Stop) -> Result<(), Problem> {
        let rest = took.mul_f64(self.rest);
        // Even the shortest sleep takes a millisecond.
        if rest.is_zero() {
            Ok(())
        } else {
            stop.sleep(rest).await
        }
    }
}

/// What a source needs for a look.
struct Look {
    limits: InForce,
    /// No batch runs at present.
    is_paused: bool,
}

/// Something that may speak against going on at full speed.
trait Source {
    /// Names it among the others.
    fn name(&self) -> String;

    /// Whether not knowing it closes: then nothing runs while it cannot be asked.
    fn is_required(&self) -> bool {
        false
    }

    /// Looks once.
    async fn look(&mut self, look: &Look) -> Result<Verdict, Problem>;
}

/// Decides how fast one fill may go. Workers ask [`Governor::permit`] before each batch, while [`Governor::look_on`] is
/// polled beside them.
pub(in crate::execute) struct Governor<'g> {
    engine: &'g Engine<'g>,
    plan: &'g Plan,
    board: Board<'g>,
    workers: Vec<i32>,
    /// For most looks.
    link: Link,
    /// For measuring, so that nothing of our own is in the way.
    probe: Link,
    replicas: Vec<Link>,
}

impl<'g> Governor<'g> {
    /// Opens its own sessions. `workers` are the server processes that do the work: who waits for them is looked at.
    ///
    /// # Errors
    /// The database or its ledger cannot be asked; the connection string of a named replica cannot be understood, or its
    /// variable is not set.
    pub async fn new(
        engine: &'g Engine<'g>,
        plan: &'g Plan,
        phase: &'g PhaseId,
        events: &'g dyn EventSink,
        workers: Vec<i32>,
    ) -> Result<Self, Problem> {
        let replicas = engine
            .environment
            .manners
            .replicas
            .iter()
            .map(|source| {
                ConnectionSettings::resolve(source, &|name| std::env::var(name).ok())
                    .map(|settings| Link::new(&settings, "replica"))
            })
            .collect::<Result<Vec<Link>, Problem>>()?;
        let link = Link::new(engine.connection, "manners");
        let session = link.session().await?;
        let control = ledger::control(session.client(), &engine.environment.name, plan.id()).await?;
        let mut sources: Vec<String> = vec![
            CONTROL.to_owned(),
            LockWaits::new(&link, &[]).name(),
            Latency::new(&link).name(),
            Wal::new(&link).name(),
            Disk::new(&link).name(),
        ];
        sources.extend(replicas.iter().map(Replica::name_of));
        if replicas.is_empty() {
            sources.push(Replication::new(&link).name());
        }
        Ok(Self {
            board: Board::new(phase, events, limits_of(engine.environment, &control), sources),
            probe: Link::new(engine.connection, "manners probe"),
            engine,
            plan,
            workers,
            link,
            replicas,
        })
    }

    /// Looks on for as long as it is polled. Returns only what makes it impossible to go on.
    pub async fn look_on(&self) -> Problem {
        let replicas = async {
            if self.replicas.is_empty() {
                Box::pin(self.repeat(Replication::new(&self.link))).await
            } else {
                let all = self.replicas.iter().map(|link| Replica::new(&self.link, link));
                join_all(all.map(|replica| self.repeat(replica))).await;
                std::future::pending().await
            }
        };
        // On the heap, since together they are large.
        tokio::select! {
            problem = Box::pin(self.obey()) => problem,
            never = Box::pin(replicas) => match never {},
            never = Box::pin(self.repeat(LockWaits::new(&self.link, &self.workers))) => match never {},
            never = Box::pin(self.repeat(Latency::new(&self.probe))) => match never {},
            never = Box::pin(self.repeat(Wal::new(&self.link))) => match never {},
            never = Box::pin(self.repeat(Disk::new(&self.link))) => match never {},
        }
    }

    /// Waits while the fill is paused; then tells how the next batch may be.
    ///
    /// # Errors
    /// `interrupted` (exit 130).
    pub async fn permit(&self) -> Result<Allowance, Problem> {
        let mut permitted = self.board.permitted();
        loop {
            self.engine.stop.check()?;
            if let Some(allowance) = *permitted.borrow_and_update() {
                return Ok(allowance);
            }
            tokio::select! {
                // The sender lives as long as `self`, so this cannot fail.
                _ = permitted.changed() => {}
                () = self.engine.stop.requested() => {}
            }
        }
    }

    /// Follows what operators say.
    async fn obey(&self) -> Problem {
        let environment = self.engine.environment;
        let mut failing: Option<Instant> = None;
        let mut tick = ticker(OBEY_EVERY);
        loop {
            tick.tick().await;
            let asked = within(async {
                let session = self.link.session().await?;
                ledger::control(session.client(), &environment.name, self.plan.id()).await
            });
            match asked.await {
                Ok(control) => {
                    failing = None;
                    self.board.set_limits(limits_of(environment, &control));
                    let verdict = match &control.paused {
                        Some(pause) => Verdict::Pause(describe(pause, self.plan.id(), &environment.name)),
                        None => Verdict::Fine,
                    };
                    self.board.put(CONTROL, verdict);
                }
                Err(problem) => {
                    let since = *failing.get_or_insert_with(Instant::now);
                    if is_lasting(&problem) || since.elapsed() > PATIENCE {
                        return problem;
                    }
                    let why = format!(
                        "it cannot be told whether somebody paused it: {}",
                        problem.message()
                    );
                    self.board.put(CONTROL, Verdict::Pause(why));
                }
            }
        }
    }

    /// Has one source look again and again.
    async fn repeat(&self, mut source: impl Source) -> Infallible {
        let name = source.name();
        let mut tick = ticker(LOOK_EVERY);
        loop {
            tick.tick().await;
            let look = Look {
                limits: self.board.limits(),
                is_paused: self.board.is_closed(),
            };
            let verdict = match within(source.look(&look)).await {
                Ok(verdict) => verdict,
                Err(problem) if source.is_required() => {
                    Verdict::Pause(format!("{name} cannot be asked: {}", problem.message()))
                }
                Err(problem) => {
                    let fix = problem
                        .remedy()
                        .map_or_else(String::new, |fix| format!(" ({fix})"));
                    self.board
                        .note_once(format!("{name} is not watched: {}{fix}", problem.message()));
                    Verdict::Fine
                }
            };
            self.board.put(&name, verdict);
        }
    }
}

fn ticker(every: Duration) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick
}

/// An answer in time, or a problem.
async fn within<T>(look: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    match tokio::time::timeout(LONGEST_LOOK, look).await {
        Ok(answer) => answer,
        Err(_) => Err(Problem::new(
            Exit::Unknown,
            "no-answer",
            format!("no answer within {} s", LONGEST_LOOK.as_secs()),
        )),
    }
}

/// Whether asking again cannot help.
fn is_lasting(problem: &Problem) -> bool {
    [
        "ledger-newer",
        "ledger-permission",
        "database-permission",
        "database-pooled",
        "database-refused-login",
        "database-missing",
    ]
    .contains(&problem.code())
}
