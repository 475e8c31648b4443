//! Limits and pauses as people and programs read them.

use serde_json::{Value, json};

use super::style::{self, paint};
use super::{Table, time};
use crate::domain::limits::{shown_size, shown_time};
use crate::domain::{Limit, Limits};
use crate::execute::manners::Overview;
use crate::ledger::{LatencyLimit, Origin, Pause, Set};

/// What somebody set, on one line: `rest 2, replication lag 5s`.
pub fn set(limits: &Limits) -> String {
    let limit = |limit: Limit, shown: fn(u64) -> String| match limit {
        Limit::Off => "off".to_owned(),
        Limit::At(limit) => shown(limit),
    };
    let parts = [
        limits
            .target_batch_ms
            .map(|time| format!("batches of {}", shown_time(time))),
        limits.rest.map(|ratio| format!("rest {ratio}")),
        limits
            .max_replication_lag_ms
            .map(|lag| format!("replication lag {}", limit(lag, shown_time))),
        limits
            .max_latency_ms
            .map(|latency| format!("latency {}", limit(latency, shown_time))),
        limits
            .max_wal_bytes_per_second
            .map(|rate| format!("WAL a second {}", limit(rate, shown_size))),
        limits
            .min_free_disk_bytes
            .map(|left| format!("free disk {}", limit(left, shown_size))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Who paused it, when and why: `Ada, 3m ago (backup)`.
pub fn pause(pause: &Pause, now: jiff::Timestamp) -> String {
    let reason = pause
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({})", time::one_line(reason)));
    format!(
        "{}, {}{reason}",
        time::one_line(pause.name()),
        time::relative(now, pause.at)
    )
}

/// Every limit with what holds and where it comes from.
pub fn table(overview: &Overview) -> String {
    let limits = &overview.limits;
    let mut table = Table::new(["limit", "in force", "from"]);
    let mut row = |name: &str, holds: String, origin: &Origin| {
        table.row([
            name.to_owned(),
            holds,
            paint(style::DIM, time::one_line(&from(origin))),
        ]);
    };
    let batch = &limits.target_batch_ms;
    row("batch", shown_time(batch.value), &batch.origin);
    let rest = match limits.rest.value {
        0.0 => "none".to_owned(),
        1.0 => "as long as the batch took".to_owned(),
        ratio => format!("{ratio} times as long as the batch took"),
    };
    row("rest", rest, &limits.rest.origin);
    let of = match overview.replicas {
        0 => "of the replicas that the server knows".to_owned(),
        1 => "of the replica named".to_owned(),
        n => format!("of the {n} replicas named"),
    };
    let lag = &limits.max_replication_lag_ms;
    row(
        "replication lag",
        held(lag, |lag| format!("at most {}, {of}", shown_time(lag))),
        &lag.origin,
    );
    let latency = match limits.max_latency.value {
        LatencyLimit::Off => NOT_WATCHED.to_owned(),
        LatencyLimit::Relative => "at most 5 times its baseline, or 50ms".to_owned(),
        LatencyLimit::At(latency) => format!("at most {}", shown_time(latency)),
    };
    row("latency", latency, &limits.max_latency.origin);
    let wal = &limits.max_wal_bytes_per_second;
    row(
        "WAL",
        held(wal, |rate| format!("at most {} a second", shown_size(rate))),
        &wal.origin,
    );
    let disk = &limits.min_free_disk_bytes;
    let left = match (disk.value, overview.disk_unknown) {
        (Some(left), None) => format!("at least {}", shown_size(left)),
        (Some(left), Some(why)) => format!("at least {}, but not watched: {why}", shown_size(left)),
        (None, _) => NOT_WATCHED.to_owned(),
    };
    row("free disk", left, &disk.origin);
    table.render(2)
}

const NOT_WATCHED: &str = "not watched";

fn held(limit: &Set<Option<u64>>, words: impl FnOnce(u64) -> String) -> String {
    limit.value.map_or_else(|| NOT_WATCHED.to_owned(), words)
}

fn from(origin: &Origin) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File => "shipctl.toml".to_owned(),
        Origin::Throttle { actor, at } => {
            let name = actor.split(" <").next().unwrap_or(actor);
            format!("throttle by {name}, {}", time::absolute(*at))
        }
    }
}

/// The limits as programs read them: each with its value (null where it is not watched) and where it comes from.
pub fn limits_json(overview: &Overview) -> Value {
    fn one(value: Value, origin: &Origin) -> Value {
        let mut all = json!(origin);
        if let Some(all) = all.as_object_mut() {
            all.insert("value".to_owned(), value);
        }
        all
    }
    let limits = &overview.limits;
    let latency = match limits.max_latency.value {
        LatencyLimit::Off => Value::Null,
        LatencyLimit::Relative => json!("relative"),
        LatencyLimit::At(latency) => json!(latency),
    };
    json!({
        "target_batch_ms": one(json!(limits.target_batch_ms.value), &limits.target_batch_ms.origin),
        "rest": one(json!(limits.rest.value), &limits.rest.origin),
        "max_replication_lag_ms":
            one(json!(limits.max_replication_lag_ms.value), &limits.max_replication_lag_ms.origin),
        "max_latency_ms": one(latency, &limits.max_latency.origin),
        "max_wal_bytes_per_second":
            one(json!(limits.max_wal_bytes_per_second.value), &limits.max_wal_bytes_per_second.origin),
        "min_free_disk_bytes": one(json!(limits.min_free_disk_bytes.value), &limits.min_free_disk_bytes.origin),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_told_in_the_units_it_is_written_in() {
        let limits = Limits {
            target_batch_ms: Some(10),
            rest: Some(1.5),
            max_replication_lag_ms: Some(Limit::Off),
            max_wal_bytes_per_second: Some(Limit::At(20 << 20)),
            ..Limits::default()
        };
        assert_eq!(
            set(&limits),
            "batches of 10ms, rest 1.5, replication lag off, WAL a second 20MB"
        );
    }
}
