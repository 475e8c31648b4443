//! What operators have said about a plan's run: whether it is paused, and the limits its fills keep to.

use jiff::Timestamp;
use serde::Serialize;

use super::{Record, StoredRecord};
use crate::domain::{Limit, Limits};

/// How long a batch should take unless something else is set, in milliseconds: short enough that live traffic does not
/// feel its locks.
pub const TARGET_BATCH_MS: u64 = 20;
/// How far a replica may lag behind unless something else is set, in milliseconds.
const MAX_REPLICATION_LAG_MS: u64 = 10_000;

/// What holds for one plan in one environment, folded from its records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Control {
    /// The pause that is in force.
    pub paused: Option<Pause>,
    /// What was set since the limits were last cleared, in order.
    throttled: Vec<(Origin, Limits)>,
}

/// Somebody's pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Who.
    pub actor: String,
    /// Since when.
    pub at: Timestamp,
    /// Why, if it was said.
    pub reason: Option<String>,
}

impl Pause {
    /// Who, without an address.
    pub fn name(&self) -> &str {
        self.actor.split(" <").next().unwrap_or(&self.actor)
    }
}

/// Where a limit comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// `shipctl.toml` sets it for the environment.
    File,
    /// Somebody set it for the plan.
    Throttle {
        /// Who.
        actor: String,
        /// When.
        at: Timestamp,
    },
}

/// A value with where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Set<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

/// How slow the database may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatencyLimit {
    /// It is not watched.
    Off,
    /// By its own baseline.
    Relative,
    /// In milliseconds.
    At(u64),
}

/// Every limit as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// How long a batch should take, in milliseconds.
    pub target_batch_ms: Set<u64>,
    /// How long to rest after a batch, as a multiple of the time it took.
    pub rest: Set<f64>,
    /// How far a replica may lag behind, in milliseconds; `None` is not watched.
    pub max_replication_lag_ms: Set<Option<u64>>,
    /// How slow the database may become.
    pub max_latency: Set<LatencyLimit>,
    /// How much WAL the server may write, in bytes a second; `None` is not watched.
    pub max_wal_bytes_per_second: Set<Option<u64>>,
    /// How much space must stay free, in bytes; `None` is not watched.
    pub min_free_disk_bytes: Set<Option<u64>>,
}

/// Folds the control out of the plan's records; those of other kinds are passed over.
pub fn control(records: &[StoredRecord]) -> Control {
    let mut control = Control::default();
    for stored in records {
        match &stored.record {
            // Who pauses what is paused adds nothing to it.
            Record::Paused { reason } => {
                control.paused.get_or_insert_with(|| Pause {
                    actor: stored.actor.clone(),
                    at: stored.at,
                    reason: reason.clone(),
                });
            }
            Record::Resumed => control.paused = None,
            Record::Throttled { clear, limits } => {
                if *clear {
                    control.throttled.clear();
                }
                let origin = Origin::Throttle {
                    actor: stored.actor.clone(),
                    at: stored.at,
                };
                control.throttled.push((origin, limits.clone()));
            }
            _ => {}
        }
    }
    control
}

impl Control {
    /// Whether anything is set for this plan.
    pub fn is_throttled(&self) -> bool {
        self.throttled.iter().any(|(_, limits)| !limits.is_empty())
    }

    /// What the plan's own limits, then those of `shipctl.toml`, then the defaults come to.
    pub fn in_force(&self, file: &Limits) -> InForce {
        InForce {
            target_batch_ms: self.latest(file, |limits| limits.target_batch_ms, TARGET_BATCH_MS),
            rest: self.latest(file, |limits| limits.rest, 0.0),
            max_replication_lag_ms: self
                .latest(
                    file,
                    |limits| limits.max_replication_lag_ms,
                    Limit::At(MAX_REPLICATION_LAG_MS),
                )
                .map(watched),
            max_latency: self
                .latest(file, |limits| limits.max_latency_ms.map(Some), None)
                .map(|limit| match limit {
                    None => LatencyLimit::Relative,
                    Some(Limit::Off) => LatencyLimit::Off,
                    Some(Limit::At(limit)) => LatencyLimit::At(limit),
                }),
            max_wal_bytes_per_second: self
                .latest(file, |limits| limits.max_wal_bytes_per_second, Limit::Off)
                .map(watched),
            min_free_disk_bytes: self
                .latest(file, |limits| limits.min_free_disk_bytes, Limit::Off)
                .map(watched),
        }
    }

    fn latest<T>(&self, file: &Limits, of: impl Fn(&Limits) -> Option<T>, otherwise: T) -> Set<T> {
        let own = self
            .throttled
            .iter()
            .rev()
            .find_map(|(origin, limits)| of(limits).map(|value| (value, origin.clone())));
        let (value, origin) = own
            .or_else(|| of(file).map(|value| (value, Origin::File)))
            .unwrap_or((otherwise, Origin::Default));
        Set { value, origin }
    }
}

impl<T> Set<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Set<U> {
        Set {
            value: change(self.value),
            origin: self.origin,
        }
    }
}

fn watched(limit: Limit) -> Option<u64> {
    match limit {
        Limit::Off => None,
        Limit::At(limit) => Some(limit),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn log(records: Vec<(&str, Record)>) -> Vec<StoredRecord> {
        records
            .into_iter()
            .zip(1..)
            .map(|((actor, record), sequence)| StoredRecord {
                sequence,
                at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(sequence),
                environment: "production".parse().unwrap(),
                plan: Some("rename".parse().unwrap()),
                actor: actor.to_owned(),
                record,
            })
            .collect()
    }

    fn paused(reason: &str) -> Record {
        Record::Paused {
            reason: Some(reason.to_owned()),
        }
    }

    fn throttled(clear: bool, limits: Limits) -> Record {
        Record::Throttled { clear, limits }
    }

    #[test]
    fn the_first_pause_holds_until_it_is_resumed() {
        let records = log(vec![
            ("ann", paused("backup")),
            ("bob", paused("me too")),
            ("cy", Record::Resumed),
            ("cy", Record::Resumed),
        ]);
        let pause = control(&records[..2]).paused.unwrap();
        assert_eq!(
            (pause.actor.as_str(), pause.reason.as_deref()),
            ("ann", Some("backup"))
        );
        assert_eq!(control(&records[..3]).paused, None);
        assert_eq!(control(&records), Control::default());
    }

    #[test]
    fn the_plan_outranks_the_file_and_the_file_the_defaults() {
        let file = Limits {
            rest: Some(1.0),
            max_replication_lag_ms: Some(Limit::At(3000)),
            ..Limits::default()
        };
        let nobody = Control::default().in_force(&Limits::default());
        assert_eq!(nobody.target_batch_ms.value, 20);
        assert_eq!(nobody.max_replication_lag_ms.value, Some(10_000));
        assert_eq!(nobody.max_latency.value, LatencyLimit::Relative);
        assert_eq!(nobody.max_wal_bytes_per_second.value, None);
        assert_eq!(nobody.min_free_disk_bytes.origin, Origin::Default);

        let records = log(vec![
            (
                "ann",
                throttled(
                    false,
                    Limits {
                        rest: Some(4.0),
                        ..Limits::default()
                    },
                ),
            ),
            (
                "bob",
                throttled(
                    false,
                    Limits {
                        max_latency_ms: Some(Limit::Off),
                        ..Limits::default()
                    },
                ),
            ),
            ("cy", throttled(true, Limits::default())),
        ]);
        let throttled = control(&records[..2]).in_force(&file);
        assert_eq!(throttled.rest.value, 4.0);
        assert!(matches!(&throttled.rest.origin, Origin::Throttle { actor, .. } if actor == "ann"));
        assert_eq!(throttled.max_latency.value, LatencyLimit::Off);
        assert_eq!(throttled.max_replication_lag_ms.value, Some(3000));
        assert_eq!(throttled.max_replication_lag_ms.origin, Origin::File);

        let cleared = control(&records);
        assert!(!cleared.is_throttled());
        assert_eq!(cleared.in_force(&file), Control::default().in_force(&file));
    }
}
