//! What is done about sessions that keep a step from its lock, beyond trying again: waiting until they are gone without
//! standing in line for the lock, and ending them where whoever runs it wants so.
//!
//! What happens if the process is killed:
//! - while it waits: nothing was asked for, so nothing has to be taken back;
//! - between the record and the ending: the log says that a session was about to be ended, which then was not;
//! - after the ending: it is in the log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::engine::{Around, append};
use super::event::Event;
use super::script::Job;
use super::step_locks::holds_up_others;
use crate::domain::{LockTimeout, PhaseId, Problem};
use crate::ledger::{EndedSession, Ending, Record};
use crate::plan::PhaseLocks;
use crate::postgres::LockPatience;
use crate::postgres::blockers::{self, Blocker, Spared, Wanted, holders_of};
use crate::postgres::retry::{Failures, lock_not_had};
use crate::safety::Direction;
use crate::sql::Step;

/// How often it is looked whether those in the way are gone.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a wait is told, also if nothing changes.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// A session that was ended and is still there is not ended again before this time has passed.
const END_AGAIN: Duration = Duration::from_secs(2);

/// What whoever runs a plan wants done about locks that others hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockPolicy {
    /// How long a statement waits for its lock at a time, whatever the plan says.
    pub timeout: Option<LockTimeout>,
    /// Before a strong lock is asked for, those who hold it are waited for, without a place in the line.
    pub wait: Option<Wait>,
    /// Those who hold it are ended.
    pub cancel: Option<Cancel>,
}

/// How long holders of a lock are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// In all for one statement or group; `None` waits until somebody asks to stop.
    pub limit: Option<Duration>,
}

/// When holders of a lock are ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// After a step has been held up for this time.
    pub after: Duration,
    /// Why, for the audit trail.
    pub reason: Option<String>,
}

impl LockPolicy {
    /// How patient the statements of a phase are: this policy decides, then the plan, then what is usual.
    pub fn patience(&self, usual: LockPatience, phase: PhaseLocks) -> LockPatience {
        let timeout = self
            .timeout
            .or(phase.timeout)
            .map_or(usual.timeout, LockTimeout::duration);
        LockPatience {
            timeout,
            attempts: phase.attempts.unwrap_or(usual.attempts),
            // Attempts must not run out before those in the way were ended: time for the last attempt before, its pause, and
            // the one that finds them gone.
            at_least: self.cancel.as_ref().map_or(usual.at_least, |cancel| {
                cancel.after + 4 * timeout + usual.longest_pause + Duration::from_secs(1)
            }),
            ..usual
        }
    }
}

/// What one step has gone through with those in its way. It outlives a look at the facts in between.
#[derive(Default)]
pub(in crate::execute) struct Standoff(Mutex<State>);

#[derive(Default)]
struct State {
    /// The step's place in its script.
    step: Option<u32>,
    failures: Failures,
    /// Since when somebody has been in the way.
    since: Option<Instant>,
    /// Who was seen in the way of the last attempt.
    last: Vec<Blocker>,
    /// Who is in the way just now.
    now: Vec<Blocker>,
    /// How long it waited in all.
    waited: Duration,
    /// Who was ended, and when.
    ended: Vec<(Blocker, Instant)>,
    /// Who was told to be left alone.
    spared: Vec<Blocker>,
}

impl Standoff {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step begins, or goes on after a look at the facts.
    pub fn enter(&self, step: u32) {
        let mut state = self.state();
        if state.step != Some(step) {
            *state = State {
                step: Some(step),
                ..State::default()
            };
        }
    }

    /// How often the step failed.
    pub fn failures(&self) -> Failures {
        self.state().failures
    }

    /// An attempt failed, with these sessions in its way.
    pub fn failed(&self, failures: Failures, blockers: Vec<Blocker>) {
        let mut state = self.state();
        state.failures = failures;
        if !blockers.is_empty() {
            state.since.get_or_insert_with(Instant::now);
        }
        state.last = blockers;
    }

    /// Who is in the way just now, in words.
    pub fn now(&self) -> Vec<String> {
        self.state().now.iter().map(Blocker::to_string).collect()
    }
}

/// A step that insists on its lock.
pub(in crate::execute) struct Insistence<'i> {
    around: Around<'i>,
    phase: &'i PhaseId,
    direction: Direction,
    step: u32,
    /// How long one attempt waits.
    timeout: Duration,
    /// Whether others wait behind it while it waits.
    strong: bool,
    standoff: &'i Standoff,
}

impl<'i> Insistence<'i> {
    /// Of one step of a job.
    pub fn of(around: Around<'i>, job: &Job<'i>, step: &Step, number: u32) -> Self {
        Self {
            around,
            phase: job.phase,
            direction: job.direction,
            step: number,
            timeout: job.patience.timeout,
            strong: holds_up_others(&step.statements, step.transactional()),
            standoff: job.standoff,
        }
    }

    /// Before an attempt at a strong lock: ends those in the way where that is wanted and due; and waits, if that is wanted,
    /// until those who hold the `wanted` locks, and those who were in the way of the last attempt, are gone. Asks for no
    /// lock meanwhile. Says whether there was anybody to wait for.
    ///
    /// Those who are new while it waits are not waited for, or a busy table would never be tried; nor is a transaction
    /// that is younger than an attempt lasts, since it may well end in time by itself.
    ///
    /// # Errors
    /// `lock-not-had` (exit 5) at the end of the time; `interrupted`; the database cannot be asked.
    pub async fn make_way(&self, wanted: &[Wanted], what: &str) -> Result<bool, Problem> {
        if !self.strong {
            return Ok(false);
        }
        let seen = self.standoff.state().last.clone();
        let Some(wait) = self.around.locks.wait else {
            if self.is_due() {
                let there = holders_of(self.around.monitor, wanted, &seen, self.around.worker).await?;
                self.end_due(&there).await;
            }
            return Ok(false);
        };
        let mut first: Option<Vec<Blocker>> = None;
        let mut told: Option<(Instant, Vec<Blocker>)> = None;
        let begun = Instant::now();
        loop {
            let mut there = holders_of(self.around.monitor, wanted, &seen, self.around.worker).await?;
            match &first {
                None => {
                    there.retain(|one| one.transaction_age.is_none_or(|age| age >= self.timeout));
                    first = Some(there.clone());
                }
                Some(first) => there.retain(|one| first.iter().any(|other| one.is_same(other))),
            }
            self.note_seen(&there);
            self.end_due(&there).await;
            if there.is_empty() {
                let waited = told.is_some();
                if waited {
                    self.standoff.state().waited += begun.elapsed();
                }
                return Ok(waited);
            }
            let waited = self.standoff.state().waited + begun.elapsed();
            if wait.limit.is_some_and(|limit| waited >= limit) {
                let patience = format!("within {:.1} s of waiting", waited.as_secs_f64());
                let why = "those who hold it are still there; nobody was held up by the waiting";
                return Err(lock_not_had(what, &patience, why, &there));
            }
            let same = |one: &[Blocker]| {
                one.len() == there.len() && one.iter().zip(&there).all(|(one, other)| one.is_same(other))
            };
            if told
                .as_ref()
                .is_none_or(|(at, who)| at.elapsed() >= TELL_EVERY || !same(who))
            {
                self.around.events.event(&Event::WaitingForBlockers {
                    phase: self.phase.clone(),
                    blockers: there.iter().map(Blocker::to_string).collect(),
                    waited,
                    limit: wait.limit,
                });
                told = Some((Instant::now(), there));
            }
            let left = wait
                .limit
                .map_or(LOOK_EVERY, |limit| limit.saturating_sub(waited));
            self.around.engine.stop.sleep(LOOK_EVERY.min(left)).await?;
        }
    }

    /// Who was in the way of an attempt that failed: those who were `seen`, or, if it was too short to see anybody, those who
    /// hold the locks now.
    pub async fn in_the_way(&self, seen: Vec<Blocker>, wanted: &[Wanted]) -> Vec<Blocker> {
        if !seen.is_empty() || wanted.is_empty() {
            return seen;
        }
        holders_of(self.around.monitor, wanted, &[], self.around.worker)
            .await
            .unwrap_or_default()
    }

    /// An attempt failed, with these sessions in its way.
    pub fn failed(&self, failures: Failures, blockers: Vec<Blocker>) {
        self.standoff.failed(failures, blockers);
    }

    /// Who is in the way of an attempt, as seen while it goes on. An attempt at a strong lock is too short to do anything about
    /// them meanwhile; that is done before the next one.
    pub async fn seen(&self, blockers: &[Blocker]) {
        self.note_seen(blockers);
        if !self.strong {
            self.end_due(blockers).await;
        }
    }

    fn note_seen(&self, blockers: &[Blocker]) {
        let mut state = self.standoff.state();
        state.now = blockers.to_vec();
        if !blockers.is_empty() {
            state.since.get_or_insert_with(Instant::now);
        }
    }

    /// Whether those in the way are to be ended by now.
    fn is_due(&self) -> bool {
        let since = self.standoff.state().since;
        let cancel = self.around.locks.cancel.as_ref();
        cancel
            .zip(since)
            .is_some_and(|(cancel, since)| since.elapsed() >= cancel.after)
    }

    /// Ends those in the way where that is wanted and due.
    async fn end_due(&self, blockers: &[Blocker]) {
        let Some(cancel) = &self.around.locks.cancel else {
            return;
        };
        if !self.is_due() || self.around.engine.stop.is_requested() {
            return;
        }
        let due = self.due(blockers, cancel);
        if due.is_empty() {
            return;
        }
        if let Err(problem) = self.end(&due, cancel).await {
            self.note(format!("not every session in the way was ended: {problem}"));
        }
    }

    /// Whom to end now.
    fn due(&self, blockers: &[Blocker], cancel: &Cancel) -> Vec<(Blocker, Ending)> {
        let mut state = self.standoff.state();
        // Who comes and goes with the traffic is not ended: that is gone before the next attempt. Where nobody waits behind
        // us, there is time to see for as long as was asked whether it goes.
        let age = if self.strong { self.timeout } else { cancel.after };
        let mut due = Vec::new();
        for blocker in blockers {
            match blocker.ending() {
                Ok(ending) => {
                    let recent = state
                        .ended
                        .iter()
                        .any(|(one, at)| one.is_same(blocker) && at.elapsed() < END_AGAIN);
                    if !recent && blocker.transaction_age.is_some_and(|open| open >= age) {
                        state.ended.retain(|(one, _)| !one.is_same(blocker));
                        state.ended.push((blocker.clone(), Instant::now()));
                        due.push((blocker.clone(), ending));
                    }
                }
                Err(spared) => {
                    if !state.spared.iter().any(|one| one.is_same(blocker)) {
                        state.spared.push(blocker.clone());
                        self.note(spared_in_words(blocker, spared));
                    }
                }
            }
        }
        due
    }

    /// Writes down who is ended, and then ends them.
    async fn end(&self, due: &[(Blocker, Ending)], cancel: &Cancel) -> Result<(), Problem> {
        let record = Record::BlockersEnded {
            phase: self.phase.clone(),
            direction: self.direction,
            step: self.step,
            sessions: due
                .iter()
                .filter_map(|(blocker, ending)| in_record(blocker, *ending))
                .collect(),
            reason: cancel.reason.clone(),
        };
        // A run that has lost its lock ends nobody.
        self.around.lock.assert_held(self.around.monitor).await?;
        // One statement by itself is a transaction that is committed when it returns.
        append(self.around.monitor, self.around.engine, self.around.plan, &record).await?;
        for (blocker, ending) in due {
            self.around.events.event(&Event::EndingBlocker {
                phase: self.phase.clone(),
                blocker: blocker.to_string(),
                ending: *ending,
            });
            if !blockers::end(self.around.monitor, blocker, *ending).await? {
                self.note(format!(
                    "process {} has moved on by itself, and was left alone",
                    blocker.pid
                ));
            }
        }
        Ok(())
    }

    fn note(&self, message: String) {
        self.around.events.event(&Event::Note {
            phase: Some(self.phase.clone()),
            message,
        });
    }
}

fn in_record(blocker: &Blocker, ending: Ending) -> Option<EndedSession> {
    Some(EndedSession {
        pid: blocker.pid,
        started: blocker.started?,
        application: blocker.application.clone(),
        user: blocker.user.clone(),
        transaction_ms: blocker
            .transaction_age
            .and_then(|age| u64::try_from(age.as_millis()).ok()),
        query: blocker.query.clone(),
        ending,
    })
}

fn spared_in_words(blocker: &Blocker, spared: Spared) -> String {
    let remedy = match spared {
        Spared::NotAllowed if blocker.kind.as_deref() == Some("client backend") => {
            "; a superuser may let it with: GRANT pg_signal_backend TO the role that shipctl connects as (sessions of superusers \
             only a superuser can end)"
        }
        Spared::Unseen => {
            "; a superuser may let it with: GRANT pg_signal_backend, pg_read_all_stats TO the role that shipctl connects as"
        }
        _ => "",
    };
    format!("{blocker}\nis in the way and is not ended, since {spared}{remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_decides_before_the_plan_and_the_plan_before_what_is_usual() {
        let usual = LockPatience::default();
        let plan = PhaseLocks {
            timeout: Some("2s".parse().unwrap()),
            attempts: Some(3),
        };
        let mut policy = LockPolicy::default();
        assert_eq!(policy.patience(usual, PhaseLocks::default()), usual);
        let patience = policy.patience(usual, plan);
        assert_eq!((patience.timeout, patience.attempts), (Duration::from_secs(2), 3));
        policy.timeout = Some("50ms".parse().unwrap());
        let patience = policy.patience(usual, plan);
        assert_eq!(
            (patience.timeout, patience.attempts),
            (Duration::from_millis(50), 3)
        );
    }

    #[test]
    fn attempts_do_not_run_out_before_those_in_the_way_are_ended() {
        let policy = LockPolicy {
            cancel: Some(Cancel {
                after: Duration::from_secs(90),
                reason: None,
            }),
            ..LockPolicy::default()
        };
        let patience = policy.patience(LockPatience::default(), PhaseLocks::default());
        assert!(patience.at_least > Duration::from_secs(95));
    }
}
