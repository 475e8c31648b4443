//! Moments, durations, numbers and foreign text as people read them.

use jiff::{SignedDuration, Timestamp};

pub use crate::domain::rough;

/// How long ago (or in how long), to the nearest sensible unit: `just now`, `42s ago`, `3h ago`, `2d ago`, `in 5m`.
pub fn relative(now: Timestamp, then: Timestamp) -> String {
    let passed = now.duration_since(then);
    let distance = passed.abs();
    if distance < SignedDuration::from_secs(2) {
        "just now".to_owned()
    } else if passed.is_negative() {
        format!("in {}", rough(distance))
    } else {
        format!("{} ago", rough(distance))
    }
}

/// A moment to the second, in UTC: `2026-11-22 10:15:03 UTC`.
pub fn absolute(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How long something took: `38ms`, `1.4s`, `2m 05s`, `3h 12m`.
pub fn took(duration: SignedDuration) -> String {
    let millis = duration.as_millis().max(0);
    let seconds = millis / 1000;
    match millis {
        0..1000 => format!("{millis}ms"),
        1000..60_000 => format!("{seconds}.{}s", millis % 1000 / 100),
        60_000..3_600_000 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text from the database on one line and without control characters, so that it cannot steer a terminal.
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_roughly_and_exactly() {
        let now: Timestamp = "2026-11-22T10:15:03Z".parse().unwrap();
        let at = |seconds: i64| now - SignedDuration::from_secs(seconds);
        let told: Vec<String> = [0, 42, 200, 11_000, 172_800, -300]
            .into_iter()
            .map(|seconds| relative(now, at(seconds)))
            .collect();
        assert_eq!(
            told,
            ["just now", "42s ago", "3m ago", "3h ago", "2d ago", "in 5m"]
        );
        assert_eq!(absolute(now), "2026-11-22 10:15:03 UTC");
    }

    #[test]
    fn durations_keep_the_digits_that_matter() {
        let told: Vec<String> = [38, 1_449, 125_000, 11_520_000]
            .into_iter()
            .map(|millis| took(SignedDuration::from_millis(millis)))
            .collect();
        assert_eq!(told, ["38ms", "1.4s", "2m 05s", "3h 12m"]);
    }

    #[test]
    fn numbers_are_grouped() {
        let grouped: Vec<String> = [0, 999, 1000, 1_234_567].into_iter().map(thousands).collect();
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }
}
