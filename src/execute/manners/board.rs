//! What every source said last, what follows from all of it, and telling when that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Allowance;
use super::verdict::{Level, Verdict};
use crate::domain::PhaseId;
use crate::execute::event::{Event, EventSink, Throttle};
use crate::ledger::InForce;

/// While slowed down, batches are shorter by this factor, and not below the least time.
const SLOW_BATCH: f64 = 0.5;
const LEAST_BATCH: Duration = Duration::from_millis(5);
/// While slowed down, each batch is followed by at least so many times its own time of rest.
const SLOW_REST: f64 = 2.0;

/// Where the sources write, and what the workers read.
pub(super) struct Board<'g> {
    phase: &'g PhaseId,
    events: &'g dyn EventSink,
    inner: Mutex<Inner>,
    /// `None`: no batch.
    allowance: watch::Sender<Option<Allowance>>,
}

struct Inner {
    limits: InForce,
    /// By source; `None` has not looked yet.
    verdicts: BTreeMap<String, Option<Verdict>>,
    /// The level and the sources behind it, as last told.
    told: (Level, BTreeSet<String>),
    noted: BTreeSet<String>,
}

impl<'g> Board<'g> {
    /// Nothing is permitted until each of these sources has looked once.
    pub(super) fn new(
        phase: &'g PhaseId,
        events: &'g dyn EventSink,
        limits: InForce,
        sources: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            phase,
            events,
            inner: Mutex::new(Inner {
                limits,
                verdicts: sources.into_iter().map(|source| (source, None)).collect(),
                told: (Level::Fine, BTreeSet::new()),
                noted: BTreeSet::new(),
            }),
            allowance: watch::Sender::new(None),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits in force.
    pub(super) fn limits(&self) -> InForce {
        self.inner().limits.clone()
    }

    /// What is permitted, now and from now on.
    pub(super) fn permitted(&self) -> watch::Receiver<Option<Allowance>> {
        self.allowance.subscribe()
    }

    /// Whether no batch may run at present.
    pub(super) fn is_closed(&self) -> bool {
        self.allowance.borrow().is_none()
    }

    /// Other limits hold from now on.
    pub(super) fn set_limits(&self, limits: InForce) {
        let mut inner = self.inner();
        if inner.limits != limits {
            inner.limits = limits;
            self.conclude(inner);
        }
    }

    /// A source has looked.
    pub(super) fn put(&self, source: &str, verdict: Verdict) {
        let mut inner = self.inner();
        inner.verdicts.insert(source.to_owned(), Some(verdict));
        self.conclude(inner);
    }

    /// Says something, once.
    pub(super) fn note_once(&self, message: String) {
        if self.inner().noted.insert(message.clone()) {
            self.events.event(&Event::Note {
                phase: Some(self.phase.clone()),
                message,
            });
        }
    }

    /// Works out what follows from all verdicts; tells it if it is new.
    fn conclude(&self, mut inner: MutexGuard<'_, Inner>) {
        let given = || {
            inner
                .verdicts
                .iter()
                .filter_map(|(source, verdict)| Some((source, verdict.as_ref()?)))
        };
        let level = given()
            .map(|(_, verdict)| verdict.level())
            .max()
            .unwrap_or_default();
        let concerned: Vec<(&String, &Verdict)> = given()
            .filter(|(_, verdict)| level != Level::Fine && verdict.level() == level)
            .collect();
        let reasons: Vec<String> = concerned
            .iter()
            .filter_map(|(_, verdict)| verdict.why().map(str::to_owned))
            .collect();
        let told = (
            level,
            concerned.iter().map(|(source, _)| (*source).clone()).collect(),
        );
        let everyone_looked = inner.verdicts.values().all(Option::is_some);
        let next = (everyone_looked && level != Level::Pause).then(|| allowance(&inner.limits, level));
        let is_new = inner.told != told;
        inner.told = told;
        drop(inner);
        self.allowance.send_if_modified(|current| {
            let changes = *current != next;
            *current = next;
            changes
        });
        if is_new {
            self.events.event(&Event::Throttled {
                phase: Some(self.phase.clone()),
                state: match level {
                    Level::Fine => Throttle::Free,
                    Level::Slow => Throttle::Slow,
                    Level::Pause => Throttle::Paused,
                },
                reasons,
            });
        }
    }
}

fn allowance(limits: &InForce, level: Level) -> Allowance {
    let batch = Duration::from_millis(limits.target_batch_ms.value);
    let rest = limits.rest.value;
    if level == Level::Fine {
        return Allowance { batch, rest };
    }
    Allowance {
        batch: batch.mul_f64(SLOW_BATCH).max(LEAST_BATCH.min(batch)),
        rest: rest.max(SLOW_REST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Limits;
    use crate::ledger::Control;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl EventSink for Heard {
        fn event(&self, event: &Event) {
            let text = match event {
                Event::Throttled { state, reasons, .. } => format!("{state:?} {}", reasons.join("; ")),
                Event::Note { message, .. } => message.clone(),
                _ => return,
            };
            self.0.lock().unwrap().push(text);
        }
    }

    fn limits(rest: f64) -> InForce {
        Control::default().in_force(&Limits {
            rest: Some(rest),
            ..Limits::default()
        })
    }

    #[test]
    fn the_strictest_counts_and_only_changes_are_told() {
        let (phase, heard) = ("fill".parse().unwrap(), Heard::default());
        let board = Board::new(&phase, &heard, limits(0.0), ["a", "b"].map(str::to_owned));
        let slow = |why: &str| Verdict::Slow(why.to_owned());
        board.put("a", Verdict::Fine);
        assert!(board.is_closed(), "b has not looked yet");
        board.put("b", Verdict::Fine);
        let full = Allowance {
            batch: Duration::from_millis(20),
            rest: 0.0,
        };
        assert_eq!(*board.permitted().borrow(), Some(full));

        board.put("b", slow("lag of 7s"));
        board.put("b", slow("lag of 8s"));
        let slowed = Allowance {
            batch: Duration::from_millis(10),
            rest: 2.0,
        };
        assert_eq!(*board.permitted().borrow(), Some(slowed));
        board.put("a", Verdict::Pause("paused by Ada".to_owned()));
        assert!(board.is_closed());
        board.put("a", Verdict::Fine);
        board.put("b", Verdict::Fine);
        board.note_once("no disk".to_owned());
        board.note_once("no disk".to_owned());
        let told = heard.0.into_inner().unwrap();
        assert_eq!(
            told,
            [
                "Slow lag of 7s",
                "Paused paused by Ada",
                "Slow lag of 8s",
                "Free ",
                "no disk"
            ]
        );
    }

    #[test]
    fn a_rest_that_is_longer_than_the_slow_one_stays() {
        assert!((allowance(&limits(5.0), Level::Slow).rest - 5.0).abs() < 1e-9);
        assert!((allowance(&limits(1.0), Level::Fine).rest - 1.0).abs() < 1e-9);
    }
}
