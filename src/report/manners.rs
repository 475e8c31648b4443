//! Limits as people read them.

use crate::domain::limits::{shown_size, shown_time};
use crate::domain::{Limit, Limits};

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
