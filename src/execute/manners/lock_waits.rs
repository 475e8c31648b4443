//! Sessions that wait for rows or tables which this fill's workers hold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::link::Link;
use super::verdict::{Level, Verdict};
use super::{Look, Source};
use crate::domain::Problem;
use crate::domain::limits::shown_time;
use crate::postgres::describe_error;

/// A wait this long pauses the fill, unless a batch may take longer.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// So long after the last wait that was seen, the fill stays slow.
const REMEMBERED: Duration = Duration::from_secs(3);
/// The first version that tells since when a lock is waited for, as `server_version_num`.
const TELLS_WAIT_START: u32 = 140_000;

pub(super) struct LockWaits<'g> {
    link: &'g Link,
    workers: &'g [i32],
    /// Since when each session has been seen waiting, for servers that do not tell.
    waiting: BTreeMap<i32, Instant>,
    last: Option<(Instant, String)>,
}

impl<'g> LockWaits<'g> {
    /// `workers` are the server processes that hold what others may wait for.
    pub(super) fn new(link: &'g Link, workers: &'g [i32]) -> Self {
        Self {
            link,
            workers,
            waiting: BTreeMap::new(),
            last: None,
        }
    }
}

impl Source for LockWaits<'_> {
    fn name(&self) -> String {
        "lock waits".to_owned()
    }

    async fn look(&mut self, look: &Look) -> Result<Verdict, Problem> {
        let session = self.link.session().await?;
        let since = if session.server_version() >= TELLS_WAIT_START {
            "l.waitstart"
        } else {
            "NULL::timestamptz"
        };
        // Only sessions that wait are asked about: looking for what blocks one stops all locking for a moment.
        let rows = session
            .client()
            .query(
                &format!(
                    "SELECT w.pid, nullif(a.application_name, ''), w.waited
                       FROM (SELECT l.pid, extract(epoch FROM clock_timestamp() - min({since}))::float8 AS waited
                               FROM pg_locks l WHERE NOT l.granted AND l.pid <> ALL ($1) GROUP BY l.pid) w
                       LEFT JOIN pg_stat_activity a ON a.pid = w.pid
                      WHERE pg_blocking_pids(w.pid) && $1"
                ),
                &[&self.workers],
            )
            .await
            .map_err(|error| describe_error(&error, "looking who waits for this fill"))?;
        let now = Instant::now();
        let seen: BTreeMap<i32, Instant> = rows
            .iter()
            .map(|row| row.get(0))
            .map(|pid| (pid, self.waiting.get(&pid).copied().unwrap_or(now)))
            .collect();
        self.waiting = seen;
        let longest = rows
            .iter()
            .map(|row| {
                let pid: i32 = row.get(0);
                let told = row
                    .get::<_, Option<f64>>(2)
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                let watched = self
                    .waiting
                    .get(&pid)
                    .map_or(Duration::ZERO, |since| now - *since);
                (told.unwrap_or(watched), pid, row.get::<_, Option<&str>>(1))
            })
            .max();
        Ok(self.judge(now, longest, look.limits.target_batch_ms.value))
    }
}

impl LockWaits<'_> {
    fn judge(
        &mut self,
        now: Instant,
        longest: Option<(Duration, i32, Option<&str>)>,
        target_batch_ms: u64,
    ) -> Verdict {
        let target = Duration::from_millis(target_batch_ms);
        if let Some((waited, pid, application)) = longest.filter(|(waited, ..)| *waited > target) {
            let who = application.map_or_else(String::new, |name| format!(" `{name}`"));
            let why = format!("process {pid}{who} has waited for rows of this fill");
            self.last = Some((now, why.clone()));
            let level = if waited > LONG_WAIT.max(target * 2) {
                Level::Pause
            } else {
                Level::Slow
            };
            let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            return Verdict::of(level, || format!("{why} for {}", shown_time(waited)));
        }
        match &self.last {
            Some((at, why)) if now.duration_since(*at) < REMEMBERED => Verdict::Slow(why.clone()),
            _ => Verdict::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;
    use crate::postgres::ConnectionSettings;
    use crate::project::DatabaseSource;

    #[test]
    fn a_wait_slows_down_a_long_one_pauses_and_neither_is_forgotten_at_once() {
        let source = DatabaseSource::Literal(Secret::new("host=nowhere user=a"));
        let settings = ConnectionSettings::resolve(&source, &|_| None).unwrap();
        let link = Link::new(&settings, "test");
        let mut waits = LockWaits::new(&link, &[]);
        let begin = Instant::now();
        let mut judge = |at: u64, waited: Option<u64>| {
            let waited = waited.map(|waited| (Duration::from_millis(waited), 7, Some("web")));
            waits.judge(begin + Duration::from_millis(at), waited, 20).level()
        };
        let levels = [
            judge(0, None),
            judge(300, Some(15)),
            judge(600, Some(40)),
            judge(900, Some(1500)),
            judge(1200, None),
            judge(5000, None),
        ];
        use Level::{Fine, Pause, Slow};
        assert_eq!(levels, [Fine, Fine, Slow, Pause, Slow, Fine]);
    }
}
