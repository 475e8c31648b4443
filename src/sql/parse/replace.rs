//! Putting another column's name into an expression, by its syntax and not by its text.

use squawk_syntax::{SourceFile, SyntaxKind, SyntaxToken};

use super::{check_expression, readable};
use crate::domain::SqlIdentifier;

/// What a token that bears the column's name is.
enum Meaning {
    Column,
    SomethingElse,
    Doubtful,
}

/// `expression` with every mention of the column `old` replaced by `new`. The expression must be as PostgreSQL's
/// deparser writes it for one table (`pg_get_expr`): keywords in capitals and columns without their table.
///
/// # Errors
/// The expression cannot be parsed, or a mention may mean something else than the column; the text says which.
pub fn replace_column(expression: &str, old: &SqlIdentifier, new: &SqlIdentifier) -> Result<String, String> {
    check_expression(expression)?;
    const BEFORE: &str = "SELECT (";
    let parsed = SourceFile::parse(&format!("{BEFORE}{expression}\n)"));
    if !parsed.errors().is_empty() {
        return Err(format!("`{expression}` is not understood"));
    }
    let mut replaced = String::with_capacity(expression.len());
    for token in parsed
        .syntax_node()
        .descendants_with_tokens()
        .filter_map(|element| element.into_token())
    {
        if !bears(&token, old) {
            replaced.push_str(token.text());
            continue;
        }
        match meaning(&token) {
            Meaning::Column => replaced.push_str(&readable(new)),
            Meaning::SomethingElse => replaced.push_str(token.text()),
            Meaning::Doubtful => {
                return Err(format!(
                    "it cannot be told whether `{}` in `{expression}` is the column",
                    token.text()
                ));
            }
        }
    }
    replaced
        .strip_prefix(BEFORE)
        .and_then(|rest| rest.strip_suffix("\n)"))
        .map(str::to_owned)
        .ok_or_else(|| format!("`{expression}` is not understood"))
}

/// Whether a token is the name as an identifier. Unquoted identifiers are deparsed in lower case, keywords in capitals.
fn bears(token: &SyntaxToken, name: &SqlIdentifier) -> bool {
    let kind = token.kind();
    if matches!(
        kind,
        SyntaxKind::STRING | SyntaxKind::COMMENT | SyntaxKind::WHITESPACE
    ) {
        return false;
    }
    let text = token.text();
    match text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\"") == name.as_str(),
        None => text == name.as_str(),
    }
}

fn meaning(token: &SyntaxToken) -> Meaning {
    let mut nodes = token.parent_ancestors();
    let (Some(node), Some(parent)) = (nodes.next(), nodes.next()) else {
        return Meaning::Doubtful;
    };
    match (node.kind(), parent.kind()) {
        // The name of a function that is called. Arguments are wrapped in ARG nodes.
        (SyntaxKind::NAME_REF, SyntaxKind::CALL_EXPR) => Meaning::SomethingElse,
        (SyntaxKind::NAME_REF, SyntaxKind::FIELD_EXPR) => {
            let called = nodes
                .next()
                .is_some_and(|node| node.kind() == SyntaxKind::CALL_EXPR);
            let of_a_value = parent
                .first_child()
                .is_some_and(|base| base.kind() == SyntaxKind::PAREN_EXPR);
            // `schema.function(…)` or `(composite).field`; otherwise perhaps `table.column`.
            if called || of_a_value {
                Meaning::SomethingElse
            } else {
                Meaning::Doubtful
            }
        }
        (SyntaxKind::NAME_REF, _) => Meaning::Column,
        (SyntaxKind::PARAM_NAME_REF | SyntaxKind::ELEMENT_TAG | SyntaxKind::EXTRACT_FIELD_NAME, _) => {
            Meaning::SomethingElse
        }
        _ => {
            let of_a_type_or_collation = token
                .parent_ancestors()
                .take(4)
                .any(|node| matches!(node.kind(), SyntaxKind::PATH_TYPE | SyntaxKind::COLLATE));
            if of_a_type_or_collation {
                Meaning::SomethingElse
            } else {
                Meaning::Doubtful
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(expression: &str, old: &str, new: &str) -> Result<String, String> {
        replace_column(
            expression,
            &SqlIdentifier::from_catalog(old),
            &SqlIdentifier::from_catalog(new),
        )
    }

    #[test]
    fn only_the_column_is_replaced() {
        let cases = [
            ("lower(name)", "lower(title)"),
            ("name(name)", "name(title)"),
            ("(name IS NOT NULL)", "(title IS NOT NULL)"),
            ("((name)::name = 'name'::name)", "((title)::name = 'name'::name)"),
            (
                "(COALESCE(name, ''::text) || surname)",
                "(COALESCE(title, ''::text) || surname)",
            ),
            ("((c).name > (name).name)", "((c).name > (title).name)"),
            ("name.f(a => name, name => b)", "name.f(a => title, name => b)"),
            ("(name COLLATE \"C\")", "(title COLLATE \"C\")"),
            (
                "CASE WHEN (name = ANY (ARRAY['a'::text])) THEN 1 ELSE NULL::integer END",
                "CASE WHEN (title = ANY (ARRAY['a'::text])) THEN 1 ELSE NULL::integer END",
            ),
        ];
        for (before, after) in cases {
            assert_eq!(replace(before, "name", "title").as_deref(), Ok(after), "{before}");
        }
        assert_eq!(
            replace("((\"userName\" <> username))", "userName", "Display \"Name\"").as_deref(),
            Ok("((\"Display \"\"Name\"\"\" <> username))")
        );
        assert_eq!(
            replace("EXTRACT(year FROM year)", "year", "y2").as_deref(),
            Ok("EXTRACT(year FROM y2)")
        );
        assert_eq!(replace("(id + paid)", "id", "key").as_deref(), Ok("(key + paid)"));
        assert_eq!(
            replace("(at > 1)", "at", "order").as_deref(),
            Ok("(\"order\" > 1)")
        );
    }

    #[test]
    fn doubt_and_nonsense_are_refused() {
        assert!(replace("(users.name = 1)", "name", "title").is_err());
        assert!(replace("(name", "name", "title").is_err());
    }
}
