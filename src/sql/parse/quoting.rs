//! Writing names and texts into SQL that people will read: correct for any content, quoted only where PostgreSQL needs it.

use squawk_syntax::quote::{quote_ident_always, quote_quoted_ident};

use crate::domain::{SqlIdentifier, TableName};

/// A name for SQL files: bare where PostgreSQL reads it back unchanged as a name, quoted otherwise (keywords included).
pub fn readable(name: &SqlIdentifier) -> String {
    let typed = name.typed();
    if typed != name.as_str() {
        return quote_ident_always(name.as_str());
    }
    quote_quoted_ident(&typed)
}

/// A table for SQL files, with its schema where it has one.
pub fn readable_table(table: &TableName) -> String {
    match &table.schema {
        Some(schema) => format!("{}.{}", readable(schema), readable(&table.name)),
        None => readable(&table.name),
    }
}

/// A text as an SQL literal, the same with either setting of `standard_conforming_strings`.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_only_where_postgresql_needs_it() {
        let cases = [
            ("name", "name"),
            ("display_name", "display_name"),
            ("order", "\"order\""),
            ("user", "\"user\""),
            ("between", "\"between\""),
            ("left", "\"left\""),
            ("userName", "\"userName\""),
            ("a\"b", "\"a\"\"b\""),
            ("größe", "\"größe\""),
            ("1st", "\"1st\""),
        ];
        for (name, written) in cases {
            assert_eq!(readable(&SqlIdentifier::from_catalog(name)), written);
        }
    }

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b'"), "E'a\\\\b'''");
    }
}
