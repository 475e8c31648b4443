//! The name of a new migration, in the style of those that are there.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::{Exit, Problem};

/// The name of a new migration after `existing` (in natural order): numbered on, or with the time `now` (UTC) where the
/// last ones are named by time. Words are joined with `_`.
///
/// # Errors
/// `title` has no letter and no digit.
pub fn new_name(title: &str, existing: &[String], now: Timestamp) -> Result<String, Problem> {
    let words = words(title);
    if words.is_empty() {
        return Err(Problem::new(
            Exit::Usage,
            "migration-name",
            format!("`{title}` has no letter and no digit"),
        )
        .fix("say in a few words what it does, such as: shipctl migrate new add_users_email"));
    }
    let numbered: Vec<&str> = existing
        .iter()
        .map(|name| &name[..name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len()])
        .filter(|digits| !digits.is_empty())
        .collect();
    // Files of plans are named by time and may stand among numbered ones: a number leads on wherever there is one.
    let by_number = numbered.iter().rev().find(|digits| digits.len() < 8);
    match (by_number, numbered.last()) {
        (Some(last), _) => {
            let next = last.parse::<u64>().unwrap_or_default() + 1;
            Ok(format!("{next:0width$}_{words}", width = last.len()))
        }
        (None, Some(last)) => {
            let now = now.to_zoned(TimeZone::UTC);
            let form = match last.len() {
                8 => "%Y%m%d_%H%M%S",
                12 => "%Y%m%d%H%M",
                _ => "%Y%m%d%H%M%S",
            };
            let id = now.strftime(form).to_string();
            Ok(format!("{id}_{words}"))
        }
        (None, None) => Ok(format!("0001_{words}")),
    }
}

fn words(title: &str) -> String {
    let title = title.strip_suffix(".sql").unwrap_or(title);
    let parts: Vec<String> = title
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty())
        .map(str::to_lowercase)
        .collect();
    parts.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_found_goes_on() {
        let now: Timestamp = "2026-11-22T10:15:00Z".parse().unwrap();
        let named = |title: &str, existing: &[&str]| {
            let existing: Vec<String> = existing.iter().map(|&name| name.to_owned()).collect();
            new_name(title, &existing, now).unwrap()
        };
        assert_eq!(named("Add users.email!", &[]), "0001_add_users_email");
        assert_eq!(named("x", &["001_a", "009_b"]), "010_x");
        assert_eq!(named("x", &["9_a"]), "10_x");
        assert_eq!(named("x", &["0003_a", "20261122_101500_plan"]), "0004_x");
        assert_eq!(named("x", &["20261121_101500_plan"]), "20261122_101500_x");
        assert_eq!(named("x", &["20261121101500_a"]), "20261122101500_x");
        assert!(new_name("…", &[], now).is_err());
    }
}
