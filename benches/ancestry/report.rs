//! How the figures look.

use std::fmt::Write as _;
use std::time::Duration;

use super::measure::{Many, Pair};

/// The table of single pairs.
pub(crate) fn pairs(pairs: &[Pair]) -> String {
    let mut text = format!(
        "{:<24} {:>12} {:>12} {:>12} {:>10} {:>12}\n",
        "one pair, ms", "shipctl", "git", "libgit2", "of git", "of libgit2"
    );
    for pair in pairs {
        let answer = if pair.descends { "" } else { ", no" };
        let _ = writeln!(
            text,
            "{:<24} {:>12.2} {:>12.2} {:>12.2} {:>9.1}x {:>11.1}x",
            format!("{} commits{answer}", thousands(pair.depth)),
            milliseconds(pair.shipctl),
            milliseconds(pair.git),
            milliseconds(pair.libgit2),
            ratio(pair.git, pair.shipctl),
            ratio(pair.libgit2, pair.shipctl)
        );
    }
    text
}

/// The line about many pairs.
pub(crate) fn many(many: &Many) -> String {
    format!(
        "\n{} pairs together: {:.2} ms; the deepest alone: {:.2} ms ({:.2}x)\n",
        thousands(many.pairs),
        milliseconds(many.together),
        milliseconds(many.one),
        ratio(many.together, many.one)
    )
}

/// What it is meant to reach, and does.
pub(crate) fn acceptance(pairs: &[Pair], many: &Many) -> String {
    let least = |of: &dyn Fn(&&Pair) -> bool| {
        pairs
            .iter()
            .filter(|pair| of(pair))
            .map(|pair| ratio(pair.git, pair.shipctl))
            .reduce(f64::min)
    };
    let mut text = "\nAcceptance\n".to_owned();
    let mut line = |what: &str, figure: Option<f64>, met: &dyn Fn(f64) -> bool| {
        let said = match figure {
            Some(figure) => format!("{figure:>8.2}x  {}", if met(figure) { "met" } else { "NOT MET" }),
            None => "       -   not measured".to_owned(),
        };
        let _ = writeln!(text, "  {what:<66} {said}");
    };
    line(
        "times faster than git with a commit-graph, at least 1",
        least(&|_| true),
        &|x| x >= 1.0,
    );
    line(
        "the same where 100,000 commits and more lie between, at least 5",
        least(&|pair| pair.descends && pair.depth >= 100_000),
        &|x| x >= 5.0,
    );
    line(
        "100 phases with 20 versions, of the deepest pair alone, below 2",
        Some(ratio(many.together, many.one)),
        &|x| x < 2.0,
    );
    text
}

/// A number with commas.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
