//! How long a statement may wait for its lock at a time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// The longest that is taken for meant.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a statement that wants a strong lock waits for it before it steps back: from a millisecond to a minute.
/// Everybody who comes after it waits behind it so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockTimeout(Duration);

/// Why a text is no lock timeout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a usable lock timeout: {why}")]
pub struct InvalidLockTimeout {
    /// The offending text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl LockTimeout {
    /// As a duration.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for LockTimeout {
    type Err = InvalidLockTimeout;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |why| InvalidLockTimeout {
            text: text.to_owned(),
            why,
        };
        let read = text
            .parse::<Span>()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
            .map_err(|_| invalid("write it as \"250ms\" or \"2s\""))?;
        if read.is_negative() {
            return Err(invalid("it is less than nothing"));
        }
        let duration = Duration::try_from(read).unwrap_or(LONGEST.saturating_mul(2));
        if duration.is_zero() {
            return Err(invalid(
                "to the server, 0 means to wait for ever, and every client of the table would wait behind the statement",
            ));
        }
        if duration < Duration::from_millis(1) {
            return Err(invalid(
                "the server counts in milliseconds, and less than one would be none",
            ));
        }
        if duration > LONGEST {
            return Err(invalid(
                "while a statement waits for a strong lock, every client of the table waits behind it, so a minute is the \
                 most; more attempts, or --wait-for-blockers, wait without holding anybody up",
            ));
        }
        Ok(Self(duration))
    }
}

impl fmt::Display for LockTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_nobody_up_for_long_is_taken_and_nonsense_is_not() {
        for (text, milliseconds) in [("250ms", 250), ("1ms", 1), ("2s", 2_000), ("1m", 60_000)] {
            let read = text.parse::<LockTimeout>().unwrap();
            assert_eq!(read.duration(), Duration::from_millis(milliseconds), "{text}");
        }
        for (text, why) in [
            ("0s", "wait behind"),
            ("0ms", "for ever"),
            ("61s", "waits behind it"),
            ("3 weeks", "waits behind it"),
            ("-1s", "less than nothing"),
            ("10us", "milliseconds"),
            ("soon", "250ms"),
            ("", "250ms"),
            ("250", "250ms"),
        ] {
            let error = text.parse::<LockTimeout>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
