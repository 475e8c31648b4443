//! Ids and file names made from database names, which may hold anything.

use jiff::{SignedDuration, Timestamp};

use crate::domain::{ColumnName, Digest, SqlIdentifier};

/// The longest slug: leaves room for the words around it in an id of 63 characters.
const LONGEST: usize = 48;

/// `users-name` for the column `users.name`. Where characters are lost, a part of a digest keeps different names
/// apart.
pub fn slug(column: &ColumnName, joint: char) -> String {
    let full = format!("{}{joint}{}", column.table.name.as_str(), column.column.as_str());
    safe(&full, joint, &column.to_string())
}

/// `users_display_name` for a further column of the same table.
pub fn slug_of(column: &ColumnName, name: &SqlIdentifier) -> String {
    slug(
        &ColumnName {
            table: column.table.clone(),
            column: name.clone(),
        },
        '_',
    )
}

/// A text as part of an id or file name; `whole` tells apart what would become the same.
pub fn safe(text: &str, joint: char, whole: &str) -> String {
    let mut lost = false;
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == joint {
            slug.push(c);
        } else {
            lost = true;
            if c.is_ascii_uppercase() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.ends_with(joint) {
                slug.push(joint);
            }
        }
    }
    if lost || slug.len() > LONGEST || !slug.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        slug.truncate(LONGEST - 7);
        let digest = Digest::of(whole);
        let mark: String = digest.as_str().chars().take(6).collect();
        slug = format!("{}{joint}{mark}", slug.trim_matches(joint));
        slug = slug.trim_start_matches(joint).to_owned();
    }
    slug
}

/// `20261122_101500`, a whole number of seconds after `now`, in UTC.
pub fn stamp(now: Timestamp, seconds: i64) -> String {
    let at = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
    at.strftime("%Y%m%d_%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PlanId;

    #[test]
    fn slugs_are_ids_and_keep_names_apart() {
        let plain: ColumnName = "public.users.name".parse().unwrap();
        assert_eq!(slug(&plain, '-'), "users-name");
        assert_eq!(slug(&plain, '_'), "users_name");
        let weird = [
            "\"Users\".name",
            "\"users \".name",
            "\"ü\".\"é\"",
            "\"é\".\"ü\"",
            "\"-\".\"_\"",
        ];
        let long = format!("{}.{}", "t".repeat(63), "c".repeat(63));
        let mut seen = std::collections::BTreeSet::from(["users-name".to_owned()]);
        for name in weird.into_iter().chain([long.as_str()]) {
            let slug = slug(&name.parse().unwrap(), '-');
            format!("rename-{slug}").parse::<PlanId>().unwrap();
            assert!(seen.insert(slug.clone()), "{slug}");
        }
    }
}
