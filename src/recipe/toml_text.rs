//! Small pieces of TOML, for plan files that people read and edit.

use std::fmt::Write as _;

use crate::domain::ColumnName;

/// Text in the making.
#[derive(Default)]
pub struct Text(String);

impl Text {
    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Adds a key with its value, which is TOML already.
    pub fn pair(&mut self, name: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{name} = {value}");
    }

    /// The text.
    pub fn finish(self) -> String {
        self.0
    }
}

/// Columns as a TOML list.
pub fn columns(columns: &[&ColumnName]) -> String {
    let names: Vec<String> = columns.iter().map(|column| string(&column.to_string())).collect();
    format!("[{}]", names.join(", "))
}

/// A text as a TOML string.
pub fn string(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for c in text.chars() {
        match c {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\t' => written.push_str("\\t"),
            '\r' => written.push_str("\\r"),
            control if control.is_control() => written.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => written.push(other),
        }
    }
    written.push('"');
    written
}

/// A text as a TOML key: bare where it may be.
pub fn key(text: &str) -> String {
    let bare = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare { text.to_owned() } else { string(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_back_from_toml() {
        for text in ["", "name", "\"x\"", "a\\b\n\t\r\u{1}\u{7f}ü", "'"] {
            let document = format!("{} = {}", key(text), string(text));
            let table: toml::Table = document.parse().unwrap();
            assert_eq!(table[text].as_str(), Some(text), "{document}");
        }
    }
}
