//! How far one named replica lags behind, asked of itself.

use std::time::{Duration, Instant};

use super::link::Link;
use super::positions::Positions;
use super::replication::lagging;
use super::verdict::{Gauge, Verdict};
use super::{Look, Source};
use crate::domain::{Exit, Problem};
use crate::postgres::describe_error;

const LOOKING: &str = "looking how far a replica lags behind";

pub(super) struct Replica<'g> {
    primary: &'g Link,
    link: &'g Link,
    positions: Positions,
    gauge: Gauge,
}

impl<'g> Replica<'g> {
    pub(super) fn new(primary: &'g Link, link: &'g Link) -> Self {
        Self {
            primary,
            link,
            positions: Positions::default(),
            gauge: Gauge::default(),
        }
    }

    /// The name under which it is shown.
    pub(super) fn name_of(link: &Link) -> String {
        format!("replica {}", link.describe())
    }

    async fn primary_position(&self) -> Result<i64, Problem> {
        let session = self.primary.session().await?;
        session
            .client()
            .query_one("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint", &[])
            .await
            .map(|row| row.get(0))
            .map_err(|error| describe_error(&error, LOOKING))
    }
}

impl Source for Replica<'_> {
    fn name(&self) -> String {
        Self::name_of(self.link)
    }

    fn is_required(&self) -> bool {
        true
    }

    async fn look(&mut self, look: &Look) -> Result<Verdict, Problem> {
        let Some(limit) = look.limits.max_replication_lag_ms.value else {
            return Ok(Verdict::Fine);
        };
        let position = self.primary_position().await?;
        let session = self.link.session().await?;
        let row = session
            .client()
            .query_one(
                "SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0')::bigint,
                        extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8",
                &[],
            )
            .await
            .map_err(|error| describe_error(&error, LOOKING))?;
        let replayed = match (row.get::<_, bool>(0), row.get::<_, Option<i64>>(1)) {
            (true, Some(replayed)) => replayed,
            _ => {
                return Err(Problem::new(
                    Exit::Unknown,
                    "no-replica",
                    "it is not a replica (any more)",
                ));
            }
        };
        let now = Instant::now();
        let lag = self.positions.behind(now, replayed).map(|behind| {
            // Only where something is missing does the age of the last transaction say how old that is: an idle
            // primary sends none.
            let age = row
                .get::<_, Option<f64>>(2)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            age.map_or(behind, |age| age.max(behind))
        });
        self.positions.remember(now, position);
        let worst = lag.map(|lag| (lag, self.link.describe()));
        Ok(lagging(&mut self.gauge, worst, limit))
    }
}
