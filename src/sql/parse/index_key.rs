//! Keys of an index as a person types them: checking that a text is one.

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode as _};

use super::changes::columns_in;
use super::{is_trivia, tokens};
use crate::domain::SqlIdentifier;

/// A key of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexKeyText {
    /// The SQL.
    pub text: String,
    /// The column, where it is one and not an expression.
    pub column: Option<SqlIdentifier>,
    /// All columns that it is made of.
    pub columns: Vec<SqlIdentifier>,
}

/// Checks that a text is exactly one key of an index (a column or an expression, with what may follow it: collation,
/// operator class, direction), so that it can stand in the list of keys.
///
/// # Errors
/// Why it is not, in a few words.
pub fn check_index_key(text: &str) -> Result<IndexKeyText, String> {
    if text.contains('\0') {
        return Err("it contains a zero byte".to_owned());
    }
    // The line break ends a trailing `--` comment, so that it cannot swallow the parenthesis.
    let probe = format!("CREATE INDEX ON t ({text}\n)");
    let parsed = SourceFile::parse(&probe);
    if let Some(error) = parsed.errors().first() {
        return Err(format!("it is not valid SQL: {error}"));
    }
    let file = parsed.tree();
    let mut statements = file.stmts();
    let (Some(ast::Stmt::CreateIndex(create)), None) = (statements.next(), statements.next()) else {
        return Err("it is more than the key of an index".to_owned());
    };
    let Some(list) = create.partition_item_list() else {
        return Err("it is no key of an index".to_owned());
    };
    if usize::from(list.syntax().text_range().end()) != probe.len() {
        return Err("its parentheses do not match".to_owned());
    }
    let mut items = list.partition_items();
    let (Some(item), None) = (items.next(), items.next()) else {
        return Err("it is not one key".to_owned());
    };
    let mut words = tokens(item.syntax()).filter(|token| !is_trivia(token));
    let Some(first) = words.next() else {
        return Err("it is no key of an index".to_owned());
    };
    // A column may be followed by words only: a collation, an operator class, a direction.
    let is_alone = words
        .next()
        .is_none_or(|next| next.text().starts_with(|c: char| c.is_alphabetic() || c == '"'));
    let column: Option<SqlIdentifier> = first.text().parse().ok().filter(|_| is_alone);
    Ok(IndexKeyText {
        text: text.to_owned(),
        columns: match &column {
            Some(column) => vec![column.clone()],
            None => item
                .expr()
                .map(|expr| columns_in(expr.syntax()))
                .unwrap_or_default(),
        },
        column,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_from_what_would_break_out() {
        for (text, column, columns) in [
            ("email", Some("email"), "email"),
            (
                "\"E.mail\" COLLATE \"C\" text_pattern_ops DESC NULLS LAST",
                Some("E.mail"),
                "\"E.mail\"",
            ),
            ("lower(email) DESC", None, "email"),
            ("(a || b)", None, "a b"),
            ("email -- the address", Some("email"), "email"),
        ] {
            let found = check_index_key(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(found.column.as_ref().map(SqlIdentifier::as_str), column, "{text}");
            let all: Vec<String> = found.columns.iter().map(SqlIdentifier::to_string).collect();
            assert_eq!(all.join(" "), columns, "{text}");
        }
        for text in [
            "",
            "a, b",
            "a); DROP TABLE t; --",
            "a) WHERE (b",
            "a) INCLUDE (b",
            "a\0",
            "/* a",
            "'a",
        ] {
            assert!(check_index_key(text).is_err(), "{text}");
        }
    }
}
