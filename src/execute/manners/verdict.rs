//! What a source of concern says, and how a measurement becomes that without flickering.

/// How much is permitted, from much to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Fine,
    Slow,
    Pause,
}

/// What one source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing speaks against full speed.
    Fine,
    /// Smaller batches and rests between them.
    Slow(String),
    /// No batch.
    Pause(String),
}

impl Verdict {
    pub(super) fn of(level: Level, why: impl FnOnce() -> String) -> Self {
        match level {
            Level::Fine => Self::Fine,
            Level::Slow => Self::Slow(why()),
            Level::Pause => Self::Pause(why()),
        }
    }

    pub(super) fn level(&self) -> Level {
        match self {
            Self::Fine => Level::Fine,
            Self::Slow(_) => Level::Slow,
            Self::Pause(_) => Level::Pause,
        }
    }

    pub(super) fn why(&self) -> Option<&str> {
        match self {
            Self::Fine => None,
            Self::Slow(why) | Self::Pause(why) => Some(why),
        }
    }
}

/// Turns a measurement into a level. A level is left only well below where it begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gauge {
    level: Level,
}

/// Shares of the limit.
const SLOW_FROM: f64 = 0.7;
const SLOW_UNTIL: f64 = 0.5;
const PAUSE_UNTIL: f64 = 0.8;

impl Gauge {
    /// The level after a measurement, given as a share of its limit.
    pub(super) fn read(&mut self, share: f64) -> Level {
        let begins = if share >= 1.0 {
            Level::Pause
        } else if share >= SLOW_FROM {
            Level::Slow
        } else {
            Level::Fine
        };
        let stays = match self.level {
            Level::Pause if share >= PAUSE_UNTIL => Level::Pause,
            Level::Pause | Level::Slow if share >= SLOW_UNTIL => Level::Slow,
            _ => Level::Fine,
        };
        self.level = begins.max(stays);
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_left_only_well_below_where_it_begins() {
        let mut gauge = Gauge::default();
        let levels: Vec<Level> = [0.6, 0.7, 0.6, 0.49, 1.0, 0.9, 0.79, 0.9, 0.5, 0.4]
            .into_iter()
            .map(|share| gauge.read(share))
            .collect();
        use Level::{Fine, Pause, Slow};
        assert_eq!(
            levels,
            [Fine, Slow, Slow, Fine, Pause, Pause, Slow, Slow, Slow, Fine]
        );
    }
}
