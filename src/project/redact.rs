//! Keeping passwords out of what is shown when a problem points into `shipctl.toml`.
//!
//! Every replacement keeps the length in bytes, so that the places of problems stay right.

/// The text with everything hidden that may be a password: connection strings in the file, the user part of URLs,
/// and `password=…` wherever it stands.
pub(super) fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let line = hide_database(line);
        let line = hide_user_part(&line);
        shown.push_str(&hide_password(&line));
    }
    shown
}

/// Whether a connection string brings its password along.
pub(super) fn holds_password(connection: &str) -> bool {
    hide_user_part(connection) != connection || hide_password(connection) != connection
}

fn stars(bytes: usize) -> String {
    "*".repeat(bytes)
}

/// Hides the value of a `database` key, unless it names a variable.
fn hide_database(line: &str) -> String {
    let Some(key) = line.find("database") else {
        return line.to_owned();
    };
    let Some(equals) = line[key..].find('=').map(|at| key + at + 1) else {
        return line.to_owned();
    };
    let value = &line[equals..];
    let Some(quote) = value.find(['"', '\'']) else {
        return line.to_owned();
    };
    let inner = &value[quote + 1..];
    if inner.starts_with("env:") {
        return line.to_owned();
    }
    let mark = value.as_bytes()[quote] as char;
    let end = inner.rfind(mark).unwrap_or(inner.trim_end().len());
    format!(
        "{}{}{}{}",
        &line[..equals],
        &value[..=quote],
        stars(end),
        &inner[end..]
    )
}

/// Hides `user:password@` after `://`.
fn hide_user_part(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\''))
            .unwrap_or(after.len());
        let user = after[..end].rfind('@').unwrap_or(0);
        // A name alone is no secret.
        let hidden = if after[..user].contains(':') { user } else { 0 };
        shown.push_str(&stars(hidden));
        rest = &after[hidden..];
    }
    shown.push_str(rest);
    shown
}

/// Hides what follows `password=`.
fn hide_password(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.to_ascii_lowercase().find("password") {
        let (before, after) = rest.split_at(at + "password".len());
        shown.push_str(before);
        let trimmed = after.trim_start();
        let Some(value) = trimmed.strip_prefix('=') else {
            rest = after;
            continue;
        };
        let value = value.trim_start();
        shown.push_str(&after[..after.len() - value.len()]);
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (start, end) = match quote {
            Some(mark) => (1, value[1..].find(mark).map_or(value.len(), |at| at + 1)),
            None => (
                0,
                value
                    .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '&'))
                    .unwrap_or(value.len()),
            ),
        };
        shown.push_str(&value[..start]);
        shown.push_str(&stars(end - start));
        rest = &value[end..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_and_lengths_kept() {
        for line in [
            "database = \"postgres://app:hunter2@db/prod\"\n",
            "databse = \"postgres://app:hunter2@db/prod\"\n",
            "database='host=db password=hunter2'",
            "databse = \"host=db password = 'hunter2 x' user=app\"",
            "url = \"https://me:hunter2@host/version\"",
            "production = { database = \"hunter2\", protected = true }",
            "url = \"postgres://db/x?user=a&password=hunter2&sslmode=require\"",
        ] {
            let shown = redact(line);
            assert_eq!(shown.len(), line.len(), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for line in [
            "database = \"env:DATABASE_URL\"\n",
            "url = \"https://web.internal/version\"",
            "# the password is in ~/.pgpass",
        ] {
            assert_eq!(redact(line), line);
        }
        assert!(holds_password("postgres://a:b@c/d"));
        assert!(!holds_password("postgres://a@c/d"));
        assert!(!holds_password("host=db dbname=x"));
    }
}
