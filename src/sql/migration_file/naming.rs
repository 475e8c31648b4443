//! The names of migrations: their ids, and their order.

use std::cmp::Ordering;

/// The id that a name begins with.
pub(super) fn id_of(name: &str) -> &str {
    let bytes = name.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let separator = |at: usize| matches!(bytes.get(at), Some(b'_' | b'-' | b'T' | b'.'));
    let first = digits(0);
    let mut end = first;
    // 2026-11-22
    if first == 4
        && bytes.get(4) == Some(&b'-')
        && digits(5) == 2
        && bytes.get(7) == Some(&b'-')
        && digits(8) == 2
    {
        end = 10;
    }
    // A date goes on with a time of day: 20261122_101500, 2026-11-22-101500.
    if (end == 10 || first == 8) && separator(end) && matches!(digits(end + 1), 4 | 6) {
        end = end + 1 + digits(end + 1);
    }
    match name.get(..end) {
        Some(id) if end > 0 => id,
        _ => name,
    }
}

/// Compares names the way people count: `9_x` before `10_x`, `0002` before `10`.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (x, y) = match (left.chars().next(), right.chars().next()) {
            (Some(x), Some(y)) => (x, y),
            (x, y) => return x.is_some().cmp(&y.is_some()).then_with(|| a.cmp(b)),
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, rest_left) = number(left);
            let (n, rest_right) = number(right);
            // Without leading zeros, the longer number is the greater one.
            let order = m.len().cmp(&n.len()).then_with(|| m.cmp(n));
            if order != Ordering::Equal {
                return order;
            }
            (left, right) = (rest_left, rest_right);
        } else {
            if x != y {
                return x.cmp(&y);
            }
            left = left.get(x.len_utf8()..).unwrap_or_default();
            right = right.get(y.len_utf8()..).unwrap_or_default();
        }
    }
}

/// The number that a text begins with, without leading zeros, and what follows.
fn number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.trim_start_matches('0'), rest)
}
