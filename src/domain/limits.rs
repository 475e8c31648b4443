//! The limits within which a backfill keeps, as operators write them.

use jiff::{Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest batch that may be asked for, in milliseconds: beyond it, others wait noticeably for the rows of a batch.
const LONGEST_BATCH: u64 = 10_000;
/// The longest rest, as a multiple of the time that a batch took.
const LONGEST_REST: f64 = 1000.0;

/// A limit that can be lifted. Its unit is told by the field that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Not watched.
    Off,
    /// At most (for free space: at least) this, and more than nothing.
    At(u64),
}

impl Limit {
    /// A time such as `5s` or `50ms`, in milliseconds; or `off`.
    ///
    /// # Errors
    /// It is neither, in words that say how to write it.
    pub fn of_time(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        milliseconds(text)
            .map(Self::At)
            .ok_or_else(|| "write a time such as 50ms, 5s or 2min, or off".to_owned())
    }

    /// A size such as `20MB` or `5GB`, in bytes; or `off`.
    ///
    /// # Errors
    /// As [`Limit::of_time`].
    pub fn of_size(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        bytes(text)
            .map(Self::At)
            .ok_or_else(|| "write a size such as 512kB, 20MB or 5GB, or off".to_owned())
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::At(limit) => serializer.serialize_u64(*limit),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            At(u64),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::At(limit) => Ok(Self::At(limit)),
            Written::Word(word) if word == "off" => Ok(Self::Off),
            Written::Word(word) => Err(serde::de::Error::custom(format!("`{word}` is no limit"))),
        }
    }
}

/// What somebody set; what is `None` was left as it was. Field names are a storage format: add, never rename.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// How long a batch should take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_batch_ms: Option<u64>,
    /// How long to rest after a batch, as a multiple of the time it took; 0 is no rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<f64>,
    /// How far a replica may lag behind, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replication_lag_ms: Option<Limit>,
    /// How long a small query may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency_ms: Option<Limit>,
    /// How much WAL the server may write, in bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wal_bytes_per_second: Option<Limit>,
    /// How much space must stay free on the server's disk, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_free_disk_bytes: Option<Limit>,
}

impl Limits {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A batch time in milliseconds that can be kept.
    ///
    /// # Errors
    /// It is nothing, or too long, in words.
    pub fn batch_time(milliseconds: u64) -> Result<u64, String> {
        if (1..=LONGEST_BATCH).contains(&milliseconds) {
            Ok(milliseconds)
        } else {
            Err(format!(
                "a batch may take from 1 ms to {} s",
                LONGEST_BATCH / 1000
            ))
        }
    }

    /// A rest, as a multiple of the time that a batch took.
    ///
    /// # Errors
    /// It is below nothing, too long, or no number, in words.
    pub fn rest_ratio(ratio: f64) -> Result<f64, String> {
        if (0.0..=LONGEST_REST).contains(&ratio) {
            Ok(ratio)
        } else {
            Err(format!(
                "a rest is from 0 (none) to {LONGEST_REST} times as long as the batch"
            ))
        }
    }
}

/// A time above zero in whole milliseconds; `None` if the text is none.
pub fn milliseconds(text: &str) -> Option<u64> {
    let duration = text
        .parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()?;
    u64::try_from(duration.as_millis()).ok().filter(|time| *time > 0)
}

/// A size above zero in bytes; the units are powers of 1024, as in PostgreSQL's settings. `/s` may follow.
fn bytes(text: &str) -> Option<u64> {
    let text = text.strip_suffix("/s").unwrap_or(text);
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = match unit.trim() {
        "B" => 0,
        "kB" | "KB" => 1,
        "MB" => 2,
        "GB" => 3,
        "TB" => 4,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(1024_u64.checked_pow(power)?)
        .filter(|size| *size > 0)
}

/// A time in milliseconds as it may be written: `50ms`, `5s`, `2min`.
pub fn shown_time(milliseconds: u64) -> String {
    match milliseconds {
        time if time >= 60_000 && time.is_multiple_of(60_000) => format!("{}min", time / 60_000),
        time if time >= 1000 && time.is_multiple_of(1000) => format!("{}s", time / 1000),
        time if time >= 10_000 => format!("{}.{}s", time / 1000, time % 1000 / 100),
        time => format!("{time}ms"),
    }
}

/// A size in bytes as it may be written, roughly where it does not come out even: `20MB`, `1.5GB`.
pub fn shown_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes;
    let mut rest = 0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if size < 1024 {
            break;
        }
        rest = size % 1024;
        size /= 1024;
        unit = next;
    }
    match rest * 10 / 1024 {
        0 => format!("{size}{unit}"),
        tenth => format!("{size}.{tenth}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_and_shown() {
        assert_eq!(Limit::of_time("5s"), Ok(Limit::At(5000)));
        assert_eq!(Limit::of_time("off"), Ok(Limit::Off));
        assert_eq!(Limit::of_size("20MB"), Ok(Limit::At(20 << 20)));
        assert_eq!(Limit::of_size("20MB/s"), Ok(Limit::At(20 << 20)));
        for nothing in ["0s", "-5s", "5", "soon", "", "0"] {
            assert!(Limit::of_time(nothing).is_err(), "{nothing}");
        }
        for nothing in ["0MB", "-5MB", "5", "much", "", "MB", "99999999999TB", "5Mb"] {
            assert!(Limit::of_size(nothing).is_err(), "{nothing}");
        }
        let times: Vec<String> = [50, 5000, 120_000, 12_345].into_iter().map(shown_time).collect();
        assert_eq!(times, ["50ms", "5s", "2min", "12.3s"]);
        let sizes: Vec<String> = [512, 20 << 20, 3 << 29].into_iter().map(shown_size).collect();
        assert_eq!(sizes, ["512B", "20MB", "1.5GB"]);
    }

    #[test]
    fn a_rest_is_a_number_within_reason() {
        assert!(Limits::rest_ratio(0.0).is_ok() && Limits::rest_ratio(2.5).is_ok());
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 5000.0] {
            assert!(Limits::rest_ratio(wrong).is_err(), "{wrong}");
        }
        assert!(Limits::batch_time(0).is_err() && Limits::batch_time(20).is_ok());
    }

    #[test]
    fn what_is_stored_says_only_what_was_set() {
        let limits = Limits {
            rest: Some(2.0),
            max_latency_ms: Some(Limit::Off),
            max_replication_lag_ms: Some(Limit::At(5000)),
            ..Limits::default()
        };
        let stored = serde_json::to_string(&limits).unwrap();
        assert_eq!(
            stored,
            r#"{"rest":2.0,"max_replication_lag_ms":5000,"max_latency_ms":"off"}"#
        );
        assert_eq!(serde_json::from_str::<Limits>(&stored).unwrap(), limits);
    }
}
