//! How far the replicas that the server knows of lag behind, from `pg_stat_replication`.

use std::time::{Duration, Instant};

use super::link::Link;
use super::positions::Positions;
use super::verdict::{Gauge, Verdict};
use super::{Look, Source};
use crate::domain::limits::shown_time;
use crate::domain::{Exit, Problem};
use crate::postgres::describe_error;

const LOOKING: &str = "looking how far replicas lag behind";

/// Every physical replica that is connected. A base backup is none, and what a logical subscriber has confirmed says
/// little of how far it has come.
const REPLICAS: &str = "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint, r.pid, r.state,
        coalesce(nullif(r.application_name, ''), r.client_addr::text, 'process ' || r.pid),
        (r.replay_lsn - '0/0')::bigint, extract(epoch FROM r.replay_lag)::float8
   FROM (SELECT) one LEFT JOIN pg_stat_replication r
     ON r.state IS DISTINCT FROM 'backup'
    AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')";

pub(super) struct Replication<'g> {
    link: &'g Link,
    positions: Positions,
    gauge: Gauge,
}

impl<'g> Replication<'g> {
    pub(super) fn new(link: &'g Link) -> Self {
        Self {
            link,
            positions: Positions::default(),
            gauge: Gauge::default(),
        }
    }
}

impl Source for Replication<'_> {
    fn name(&self) -> String {
        "replication".to_owned()
    }

    async fn look(&mut self, look: &Look) -> Result<Verdict, Problem> {
        let Some(limit) = look.limits.max_replication_lag_ms.value else {
            return Ok(Verdict::Fine);
        };
        let session = self.link.session().await?;
        let rows = session
            .client()
            .query(REPLICAS, &[])
            .await
            .map_err(|error| describe_error(&error, LOOKING))?;
        let now = Instant::now();
        let mut worst: Option<(Duration, String)> = None;
        let mut is_hidden = false;
        for row in &rows {
            if row.get::<_, Option<i32>>(1).is_none() {
                continue;
            }
            if row.get::<_, Option<&str>>(2).is_none() {
                is_hidden = true;
                continue;
            }
            // Some receivers only store what they get.
            let Some(replayed) = row.get::<_, Option<i64>>(4) else {
                continue;
            };
            // What the server measured lingers after the replica has caught up, so it counts only for one that lacks
            // something: of what was there at an earlier look or, at the first one, of what is there now.
            let lacks_at_first = self.positions.is_empty() && replayed < row.get::<_, i64>(0);
            let behind = self
                .positions
                .behind(now, replayed)
                .or(lacks_at_first.then_some(Duration::ZERO));
            let Some(behind) = behind else { continue };
            let measured = row
                .get::<_, Option<f64>>(5)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let lag = measured.map_or(behind, |measured| measured.max(behind));
            if worst.as_ref().is_none_or(|(most, _)| *most < lag) {
                worst = Some((lag, row.get(3)));
            }
        }
        if let Some(row) = rows.first() {
            self.positions.remember(now, row.get(0));
        }
        if is_hidden && worst.is_none() {
            return Err(Problem::new(
                Exit::Unknown,
                "replication-hidden",
                "this role may not see how far replicas have come",
            )
            .fix("GRANT pg_monitor to it, or name `replicas` in the environment's manners"));
        }
        Ok(lagging(&mut self.gauge, worst, limit))
    }
}

/// What a lag of the slowest replica comes to.
pub(super) fn lagging(gauge: &mut Gauge, worst: Option<(Duration, String)>, limit: u64) -> Verdict {
    let (lag, name) = worst.unwrap_or_default();
    let level = gauge.read(lag.as_secs_f64() * 1000.0 / limit as f64);
    Verdict::of(level, || {
        let lag = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        if name.is_empty() {
            return "replicas have only just caught up".to_owned();
        }
        format!(
            "replica {name} lags {} behind (limit {})",
            shown_time(lag),
            shown_time(limit)
        )
    })
}
