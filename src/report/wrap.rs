//! Long lines on narrow terminals: broken between words and moved in under their own text.

use unicode_width::UnicodeWidthChar as _;

/// Signs that begin an item; what follows them is what its further lines are aligned with.
const BULLETS: [&str; 14] = [
    "✗ ", "? ", "◷ ", "✓ ", "· ", "- ", "● ", "◐ ", "○ ", "! ", "fix: ", "Next: ", "Then: ", "Now: ",
];

/// The narrowest terminal that lines are broken for; below it everything would be torn apart.
const NARROWEST: usize = 40;

/// `text` with each of its lines broken to `width` columns. Colours take no room, words are never broken, and lines that
/// fit are left as they are.
pub fn wrap(text: &str, width: usize) -> String {
    if width < NARROWEST {
        return text.to_owned();
    }
    let lines: Vec<String> = text.split('\n').map(|line| wrap_line(line, width)).collect();
    lines.join("\n")
}

fn wrap_line(line: &str, width: usize) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    if columns(&plain) <= width {
        return line.to_owned();
    }
    let hang = hanging_indent(&plain, width);
    let mut wrapped = String::with_capacity(line.len() + 16);
    let mut at = 0;
    let mut rest = line;
    while !rest.is_empty() {
        let spaces = rest.len() - rest.trim_start_matches(' ').len();
        let (gap, after) = rest.split_at(spaces);
        let (word, after) = after.split_at(after.find(' ').unwrap_or(after.len()));
        let room = columns(&anstream::adapter::strip_str(word).to_string());
        if room > 0 && at > hang && at + spaces + room > width {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(hang));
            at = hang;
        } else {
            wrapped.push_str(gap);
            at += spaces;
        }
        wrapped.push_str(word);
        at += room;
        rest = after;
    }
    wrapped
}

/// Where further lines begin: at the last column of a table row, else after the item's sign, else as far in as the line itself.
fn hanging_indent(plain: &str, width: usize) -> usize {
    let text = plain.trim_start_matches(' ');
    let lead = plain.len() - text.len();
    let column = text
        .rmatch_indices("  ")
        .map(|(gap, _)| lead + columns(&text[..gap + 2]))
        .find(|start| *start <= width * 2 / 3);
    let bullet = BULLETS.iter().find(|sign| text.starts_with(*sign));
    match (column, bullet) {
        (Some(start), _) => start,
        (None, Some(sign)) => lead + columns(sign),
        (None, None) => lead.max(2),
    }
}

fn columns(text: &str) -> usize {
    text.chars().map(|sign| sign.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::style::{self, paint};

    #[test]
    fn lines_that_fit_stay_as_they_are() {
        let text = "a  b\n\n    c  ";
        assert_eq!(wrap(text, 80), text);
    }

    #[test]
    fn items_hang_under_their_text_and_colours_take_no_room() {
        let sign = paint(style::BAD, "✗");
        let line =
            format!("  {sign} web runs 3f2a9c1d2, which does not contain dual-write [old-version-running]");
        let text = anstream::adapter::strip_str(&wrap(&line, 50)).to_string();
        assert_eq!(
            text,
            "  ✗ web runs 3f2a9c1d2, which does not contain\n    dual-write [old-version-running]"
        );
    }

    #[test]
    fn rows_hang_under_their_last_column() {
        let row = "  ● add    done  46s ago  10ms · by somebody with a long name indeed";
        assert_eq!(
            wrap(row, 50),
            format!(
                "  ● add    done  46s ago  10ms · by somebody with\n{}a long name indeed",
                " ".repeat(26)
            )
        );
    }

    #[test]
    fn a_word_longer_than_the_line_is_not_broken() {
        let line = format!("see {} here", "x".repeat(60));
        assert_eq!(wrap(&line, 40), format!("see\n  {}\n  here", "x".repeat(60)));
    }
}
