//! Small pieces of TOML, for plan files that people read and edit.

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
