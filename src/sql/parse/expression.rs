//! Single SQL expressions: checking that a text is one.

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode as _};

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
