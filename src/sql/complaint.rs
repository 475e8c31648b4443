//! Queries that fail where something is in the way, and say what: a text that is no number is made a number. As the least
//! text of all rows it is not worked out where there is no such row.

use super::literal;

/// What a query of this kind says when it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The words.
    pub message: String,
    /// The query that shows the rows in the way, where there are any.
    pub rows: Option<String>,
}

const FROM: &str = ")::int FROM (SELECT ";
const END: &str = ") AS wrong";

/// The query that fails with this message where `rows`, what follows SELECT, finds a row.
pub fn complaint(message: &str, rows: &str) -> String {
    format!("SELECT min({}{FROM}{rows}{END}", literal(message))
}

/// What such a query would say; `None` for other statements.
pub fn complaint_of(statement: &str) -> Option<Complaint> {
    let text = statement
        .trim()
        .trim_end_matches(';')
        .strip_prefix("SELECT min(")?;
    let (message, rest) = unquoted(text)?;
    let rows = rest.strip_prefix(FROM)?.strip_suffix(END)?;
    let rows = rows
        .strip_prefix("FROM ")
        .and_then(|rows| rows.strip_suffix(" LIMIT 1"));
    Some(Complaint {
        message,
        rows: rows.map(|rows| format!("SELECT * FROM {rows}")),
    })
}

/// The text of a literal at the beginning, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let escapes = text.starts_with('E');
    let inner = text.strip_prefix('E').unwrap_or(text).strip_prefix('\'')?;
    let mut message = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let again = chars.peek().is_some_and(|(_, next)| *next == c);
        if c == '\'' && !again {
            return Some((message, inner.get(at + 1..)?));
        }
        if c == '\'' || (c == '\\' && escapes) {
            chars.next();
        }
        message.push(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_query_complains_of_is_read_back() {
        for message in [
            "t holds rows",
            "it's \\ so",
            "''",
            "\\'",
            "a')::int FROM (SELECT b",
            "",
        ] {
            let query = complaint(message, "FROM t WHERE a IS NULL LIMIT 1");
            let expected = Complaint {
                message: message.to_owned(),
                rows: Some("SELECT * FROM t WHERE a IS NULL".to_owned()),
            };
            assert_eq!(complaint_of(&query), Some(expected), "{query}");
        }
        let size = complaint("too large", "WHERE pg_total_relation_size('t') > 5");
        assert_eq!(
            complaint_of(&format!("{size};")),
            Some(Complaint {
                message: "too large".to_owned(),
                rows: None
            })
        );
    }

    #[test]
    fn other_statements_complain_of_nothing() {
        for statement in [
            "SELECT 1",
            "SELECT min(a)::int FROM (SELECT a FROM t) AS wrong",
            "SELECT min('a')::int FROM (SELECT FROM t) AS other",
            "SELECT min('a",
        ] {
            assert_eq!(complaint_of(statement), None, "{statement}");
        }
    }
}
