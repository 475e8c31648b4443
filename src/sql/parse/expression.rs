//! Single SQL expressions: checking that a text is one, and renaming a column in one.

use squawk_syntax::ast::{self, AstNode as _};
use squawk_syntax::{SourceFile, SyntaxKind};

use super::{is_trivia, tokens};
use crate::domain::SqlIdentifier;

/// Checks that a text is exactly one SQL expression, so that it can be put between parentheses without changing what is
/// around it: no statement end, no open comment or string, no second expression.
///
/// # Errors
/// Why it is not, in a few words.
pub fn check_expression(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("it contains a zero byte".to_owned());
    }
    // The line break ends a trailing `--` comment, so that it cannot swallow the parenthesis.
    let probe = format!("SELECT ({text}\n)");
    let parsed = SourceFile::parse(&probe);
    if let Some(error) = parsed.errors().first() {
        return Err(format!("it is not valid SQL: {error}"));
    }
    let file = parsed.tree();
    let mut statements = file.stmts();
    let select = match (statements.next(), statements.next()) {
        (Some(ast::Stmt::Select(select)), None) => select,
        _ => return Err("it is more than one expression".to_owned()),
    };
    let targets = select.select_clause().and_then(|clause| clause.target_list());
    let mut targets = targets.iter().flat_map(ast::TargetList::targets);
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return Err("it is more than one expression".to_owned());
    };
    let inner = match target.expr() {
        Some(ast::Expr::ParenExpr(paren)) => paren,
        _ => return Err("it is not one expression".to_owned()),
    };
    let range = inner.syntax().text_range();
    let whole = usize::from(range.start()) == "SELECT ".len() && usize::from(range.end()) == probe.len();
    if !whole {
        return Err("its parentheses do not match".to_owned());
    }
    if inner.expr().is_none() {
        return Err("it is a query, not an expression; put it in parentheses".to_owned());
    }
    Ok(())
}

/// Puts `to` in the place of the column `from` wherever the expression names it. Strings, comments and other names stay
/// as they are; so do words that merely contain the name.
///
/// # Errors
/// The text is not an expression, or uses the name in a way that may not be the column: as a function, a type, or a part
/// of a dotted name.
pub fn replace_column(expression: &str, from: &SqlIdentifier, to: &SqlIdentifier) -> Result<String, String> {
    check_expression(expression)?;
    const FRONT: &str = "SELECT (";
    let probe = format!("{FRONT}{expression}\n)");
    let parsed = SourceFile::parse(&probe);
    let code: Vec<_> = tokens(parsed.tree().syntax())
        .filter(|token| !is_trivia(token))
        .collect();
    let mut result = String::with_capacity(expression.len() + 16);
    let mut copied = FRONT.len();
    for (place, token) in code.iter().enumerate() {
        let named = token.text().parse::<SqlIdentifier>();
        if token.kind() == SyntaxKind::STRING || !named.is_ok_and(|name| name == *from) {
            continue;
        }
        let quoted = token.text().starts_with('"');
        if !quoted && token.kind() != SyntaxKind::IDENT && !in_name(token) {
            continue;
        }
        let kind_at = |place: Option<usize>| place.and_then(|at| code.get(at)).map(|token| token.kind());
        let before = kind_at(place.checked_sub(1));
        let after = kind_at(Some(place + 1));
        let doubtful = [before, after].contains(&Some(SyntaxKind::DOT))
            || after == Some(SyntaxKind::L_PAREN)
            || before == Some(SyntaxKind::COLLATE_KW)
            || !in_name(token);
        if doubtful {
            return Err(format!(
                "it uses the name {from} in a way that may not be the column"
            ));
        }
        let range = super::range_of(token);
        result.push_str(probe.get(copied..range.start).unwrap_or_default());
        result.push_str(&to.quoted());
        copied = range.end;
    }
    let end = FRONT.len() + expression.len();
    result.push_str(probe.get(copied..end).unwrap_or_default());
    check_expression(&result)?;
    Ok(result)
}

/// Whether a token stands for a name as an expression of its own.
fn in_name(token: &squawk_syntax::SyntaxToken) -> bool {
    token
        .parent()
        .is_some_and(|parent| ast::NameRef::can_cast(parent.kind()))
}
