//! When the primary was where in its WAL: tells how long ago a replica's position was the present, by one clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Longer ago is not remembered: about an hour at a look every third of a second.
const REMEMBERED: usize = 12_000;

/// The primary's positions at the looks so far.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// Growing in both.
    seen: VecDeque<(Instant, i64)>,
}

impl Positions {
    /// The primary is at `position` now.
    pub(super) fn remember(&mut self, now: Instant, position: i64) {
        if self.seen.back().is_some_and(|(_, last)| *last >= position) {
            return;
        }
        if self.seen.len() >= REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((now, position));
    }

    /// Whether there was no look yet.
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// For how long at least the replica has lacked something that an earlier look found on the primary; `None` if it
    /// lacks nothing of that.
    pub(super) fn behind(&self, now: Instant, replayed: i64) -> Option<Duration> {
        let first = self.seen.partition_point(|(_, position)| *position <= replayed);
        self.seen
            .get(first)
            .map(|(at, _)| now.saturating_duration_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_behind_since_the_first_look_that_saw_what_it_lacks() {
        let begin = Instant::now();
        let at = |second| begin + Duration::from_secs(second);
        let mut positions = Positions::default();
        assert_eq!(positions.behind(at(0), 0), None);
        for (second, position) in [(0, 100), (1, 200), (2, 200), (3, 300)] {
            positions.remember(at(second), position);
        }
        assert_eq!(positions.behind(at(4), 300), None);
        assert_eq!(positions.behind(at(4), 250), Some(Duration::from_secs(1)));
        // An idle primary makes nobody lag.
        assert_eq!(positions.behind(at(900), 300), None);
        assert_eq!(positions.behind(at(4), 100), Some(Duration::from_secs(3)));
        assert_eq!(positions.behind(at(4), 0), Some(Duration::from_secs(4)));
    }
}
