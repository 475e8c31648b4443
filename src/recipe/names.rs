//! Ids and file names made from database names, which may hold anything.

use jiff::{SignedDuration, Timestamp};

use crate::domain::{ColumnName, Digest, SqlIdentifier};

/// The longest slug: leaves room for the words before it (`add-foreign-key-`) in an id of 63 characters.
pub const LONGEST: usize = 47;

/// The longest name PostgreSQL keeps, in bytes.
pub const LONGEST_NAME: usize = 63;

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
    safe_within(text, joint, whole, LONGEST)
}

/// The same, with at most so many characters.
pub fn safe_within(text: &str, joint: char, whole: &str, longest: usize) -> String {
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
    if lost || slug.len() > longest || !slug.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        slug.truncate(longest - 7);
        let digest = Digest::of(whole);
        let mark: String = digest.as_str().chars().take(6).collect();
        slug = format!("{}{joint}{mark}", slug.trim_matches(joint));
        slug = slug.trim_start_matches(joint).to_owned();
    }
    slug
}

/// The name that PostgreSQL would choose for something about columns of a table: `orders_user_id_fkey`, cut where it
/// would be too long, and with a number where it is taken.
pub fn chosen(
    table: &SqlIdentifier,
    columns: &[SqlIdentifier],
    label: &str,
    is_taken: impl Fn(&SqlIdentifier) -> bool,
) -> SqlIdentifier {
    let columns = columns
        .iter()
        .map(SqlIdentifier::as_str)
        .collect::<Vec<_>>()
        .join("_");
    let numbered = (0_u32..).map(|number| match number {
        _ if columns.is_empty() => cut_label(table.as_str(), label, number),
        0 => cut(table.as_str(), &columns, label),
        _ => cut(table.as_str(), &columns, &format!("{label}{number}")),
    });
    // There are more numbers than names.
    numbered
        .into_iter()
        .find(|name| !is_taken(name))
        .unwrap_or_else(|| cut(table.as_str(), &columns, label))
}

/// The name that PostgreSQL would choose for something of a table as a whole: `orders_pkey`.
pub fn chosen_for_table(
    table: &SqlIdentifier,
    label: &str,
    is_taken: impl Fn(&SqlIdentifier) -> bool,
) -> SqlIdentifier {
    let numbered = |number: u32| {
        let label = if number == 0 {
            label.to_owned()
        } else {
            format!("{label}{number}")
        };
        let room = LONGEST_NAME.saturating_sub(label.len() + 1);
        let first = start(table.as_str(), table.as_str().len().min(room));
        SqlIdentifier::from_catalog(format!("{first}_{label}"))
    };
    (0..)
        .map(numbered)
        .find(|name| !is_taken(name))
        .unwrap_or_else(|| numbered(0))
}

/// `first_second_label` within PostgreSQL's limit: the longer of both is cut, byte by byte, as PostgreSQL does.
fn cut(first: &str, second: &str, label: &str) -> SqlIdentifier {
    let room = LONGEST_NAME.saturating_sub(label.len() + 2);
    let (mut one, mut other) = (first.len(), second.len().min(LONGEST_NAME));
    while one + other > room {
        if one > other {
            one -= 1;
        } else {
            other -= 1;
        }
    }
    SqlIdentifier::from_catalog(format!("{}_{}_{label}", start(first, one), start(second, other)))
}

/// `first_label` within PostgreSQL's limit, with a number where it is not the first.
fn cut_label(first: &str, label: &str, number: u32) -> SqlIdentifier {
    let number = if number == 0 {
        String::new()
    } else {
        number.to_string()
    };
    let room = LONGEST_NAME.saturating_sub(label.len() + number.len() + 1);
    SqlIdentifier::from_catalog(format!("{}_{label}{number}", start(first, first.len().min(room))))
}

/// At most so many bytes, in whole characters.
fn start(text: &str, mut bytes: usize) -> &str {
    while !text.is_char_boundary(bytes) {
        bytes -= 1;
    }
    text.get(..bytes).unwrap_or_default()
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
    fn names_are_chosen_as_by_postgresql() {
        let named = |table: &str, columns: &[&str], taken: &[&str]| {
            let columns: Vec<SqlIdentifier> =
                columns.iter().copied().map(SqlIdentifier::from_catalog).collect();
            let is_taken = |name: &SqlIdentifier| taken.contains(&name.as_str());
            let chosen = chosen(&SqlIdentifier::from_catalog(table), &columns, "key", is_taken);
            chosen.as_str().to_owned()
        };
        assert_eq!(named("t", &["a", "b"], &[]), "t_a_b_key");
        assert_eq!(named("t", &["a"], &["t_a_key", "t_a_key1"]), "t_a_key2");
        // A primary key's has no columns in it.
        assert_eq!(named("t", &[], &["t_key"]), "t_key1");
        assert_eq!(
            named(&"t".repeat(63), &[], &[]),
            format!("{}_key", "t".repeat(59))
        );
        // 58 bytes are left for both; the longer gives way, and no character is cut in two.
        assert_eq!(
            named(&"t".repeat(63), &["abc"], &[]),
            format!("{}_abc_key", "t".repeat(55))
        );
        assert_eq!(
            named(&"ü".repeat(31), &["abc"], &[]),
            format!("{}_abc_key", "ü".repeat(27))
        );
        let even = format!("{}_{}_key", "t".repeat(29), "c".repeat(29));
        assert_eq!(named(&"t".repeat(40), &[&"c".repeat(40)], &[]), even);
    }

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
