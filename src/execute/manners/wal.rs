//! How much WAL the server writes, by everybody together: it has to be shipped, archived and kept.

use std::time::{Duration, Instant};

use super::link::Link;
use super::verdict::{Gauge, Verdict};
use super::{Look, Source};
use crate::domain::Problem;
use crate::domain::limits::shown_size;
use crate::postgres::describe_error;

/// Over about so long the rate is taken.
const SPAN: Duration = Duration::from_secs(2);

pub(super) struct Wal<'g> {
    link: &'g Link,
    gauge: Gauge,
    last: Option<(Instant, i64)>,
    /// In bytes a second.
    rate: Option<f64>,
}

impl<'g> Wal<'g> {
    pub(super) fn new(link: &'g Link) -> Self {
        Self {
            link,
            gauge: Gauge::default(),
            last: None,
            rate: None,
        }
    }

    /// The rate after the WAL has come to `position`.
    fn measure(&mut self, now: Instant, position: i64) -> f64 {
        if let Some((at, before)) = self.last.replace((now, position)) {
            let passed = now.duration_since(at).as_secs_f64().max(1e-3);
            let recent = (position - before).max(0) as f64 / passed;
            let weight = 1.0 - (-passed / SPAN.as_secs_f64()).exp();
            self.rate = Some(self.rate.map_or(recent, |rate| rate + weight * (recent - rate)));
        }
        self.rate.unwrap_or_default()
    }
}

impl Source for Wal<'_> {
    fn name(&self) -> String {
        "WAL".to_owned()
    }

    async fn look(&mut self, look: &Look) -> Result<Verdict, Problem> {
        let Some(limit) = look.limits.max_wal_bytes_per_second.value else {
            (self.last, self.rate) = (None, None);
            return Ok(Verdict::Fine);
        };
        let session = self.link.session().await?;
        let position = session
            .client()
            .query_one("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint", &[])
            .await
            .map(|row| row.get(0))
            .map_err(|error| describe_error(&error, "looking how much WAL is written"))?;
        let rate = self.measure(Instant::now(), position);
        let level = self.gauge.read(rate / limit as f64);
        Ok(Verdict::of(level, || {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate for people, never negative; the cast saturates"
            )]
            let rate = shown_size(rate as u64);
            format!(
                "the server writes {rate} of WAL a second (limit {})",
                shown_size(limit)
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;
    use crate::postgres::ConnectionSettings;
    use crate::project::DatabaseSource;

    #[test]
    fn the_rate_follows_what_is_written() {
        let source = DatabaseSource::Literal(Secret::new("host=nowhere user=a"));
        let settings = ConnectionSettings::resolve(&source, &|_| None).unwrap();
        let link = Link::new(&settings, "test");
        let mut wal = Wal::new(&link);
        let begin = Instant::now();
        let mut at =
            |tenths: u32, position: i64| wal.measure(begin + Duration::from_millis(100) * tenths, position);
        assert_eq!(at(0, 5000), 0.0);
        assert!((at(10, 6000) - 1000.0).abs() < 1.0);
        let falling = at(20, 6000);
        assert!(falling > 100.0 && falling < 900.0, "{falling}");
        assert!(at(300, 6000) < 10.0);
    }
}
