//! Figures and tables as text.

/// A ratio; of one that is very small, more digits.
pub(crate) fn times(ratio: f64) -> String {
    if ratio < 0.1 {
        format!("{ratio:.4}x")
    } else {
        format!("{ratio:.2}x")
    }
}

/// A whole number with its thousands apart.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns aligned: names to the left, figures to the right.
pub(crate) fn table(title: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let figures: Vec<usize> = (1..head.len()).collect();
    aligned(title, head, rows, &figures)
}

/// Columns aligned: those named to the right, the others to the left.
pub(crate) fn aligned(title: &str, head: &[&str], rows: &[Vec<String>], to_the_right: &[usize]) -> String {
    let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            std::iter::once(&head)
                .chain(rows)
                .map(|row| cell(row, column).chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = format!("\n{title}\n");
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (column, width) in widths.iter().enumerate() {
            let value = cell(row, column);
            let padding = " ".repeat(width.saturating_sub(value.chars().count()));
            let gap = if column == 0 { "" } else { "  " };
            line += &if to_the_right.contains(&column) {
                format!("{gap}{padding}{value}")
            } else {
                format!("{gap}{value}{padding}")
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
