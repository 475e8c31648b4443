//! Which names a part of the tree holds.

use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{self, AstNode as _};

use super::super::{is_trivia, tokens};
use crate::domain::{ColumnName, SqlIdentifier, TableName};

pub(super) fn column(table: &TableName, name: &SyntaxNode) -> Option<ColumnName> {
    Some(ColumnName {
        table: table.clone(),
        column: identifier(name)?,
    })
}

/// The one name that a part of the tree is.
pub(super) fn identifier(node: &SyntaxNode) -> Option<SqlIdentifier> {
    let text: String = tokens(node)
        .filter(|token| !is_trivia(token))
        .map(|token| token.text().to_owned())
        .collect();
    text.parse().ok()
}

pub(super) fn constraint_name(constraint: &SyntaxNode) -> Option<SqlIdentifier> {
    let clause = constraint.children().find_map(ast::ConstraintNameClause::cast)?;
    identifier(clause.constraint_name()?.syntax())
}

pub(super) fn called(call: &ast::CallExpr) -> Option<SqlIdentifier> {
    let name = call.expr()?.syntax().text().to_string();
    name.trim().parse::<TableName>().ok().map(|name| name.name)
}

/// The columns that a constraint lists, in whichever way it does.
pub(super) fn listed(constraint: &SyntaxNode) -> Vec<SqlIdentifier> {
    let mut found: Vec<SqlIdentifier> = constraint
        .descendants()
        .filter(|node| ast::ColumnNameRef::can_cast(node.kind()) || ast::ColumnName::can_cast(node.kind()))
        .filter_map(|node| identifier(&node))
        .collect();
    if found.is_empty() {
        found = columns_in(constraint);
    }
    found
}

/// The columns that a part of the tree reads: names that are neither called nor qualify another.
pub(super) fn columns_in(node: &SyntaxNode) -> Vec<SqlIdentifier> {
    let mut found: Vec<SqlIdentifier> = Vec::new();
    for name in node.descendants().filter_map(ast::NameRef::cast) {
        let parent = name.syntax().parent();
        let is_called = parent.as_ref().is_some_and(|parent| {
            ast::CallExpr::cast(parent.clone())
                .and_then(|call| call.expr())
                .is_some_and(|callee| callee.syntax() == name.syntax())
        });
        // Of `t.c` only the last part is a column.
        let qualifies = parent.as_ref().is_some_and(|parent| {
            ast::FieldExpr::can_cast(parent.kind()) && parent.first_child().as_ref() == Some(name.syntax())
        });
        let of_a_call = parent.as_ref().is_some_and(|parent| {
            ast::FieldExpr::can_cast(parent.kind())
                && parent.parent().is_some_and(|above| {
                    ast::CallExpr::cast(above)
                        .and_then(|call| call.expr())
                        .is_some_and(|callee| callee.syntax() == parent)
                })
        });
        if is_called || qualifies || of_a_call {
            continue;
        }
        if let Some(column) = identifier(name.syntax())
            && !found.contains(&column)
        {
            found.push(column);
        }
    }
    found
}

pub(super) fn target_name(target: &ast::Target) -> Option<SqlIdentifier> {
    let mut last = None;
    for token in tokens(target.syntax()).filter(|token| !is_trivia(token)) {
        last = Some(token.text().to_owned());
    }
    let alias = target.as_name().is_some();
    match target.expr()? {
        ast::Expr::NameRef(_) | ast::Expr::FieldExpr(_) => last?.parse().ok(),
        _ if alias => last?.parse().ok(),
        _ => None,
    }
}

/// The columns that a trigger function assigns: `NEW.column := …`.
pub(super) fn set_of_new_row(text: &str) -> Vec<SqlIdentifier> {
    let lower = text.to_ascii_lowercase();
    let mut found: Vec<SqlIdentifier> = Vec::new();
    for (at, _) in lower.match_indices("new.") {
        let Some(rest) = text.get(at + "new.".len()..) else {
            continue;
        };
        let end = if let Some(quoted) = rest.strip_prefix('"') {
            quoted.find('"').map(|end| end + 2)
        } else {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        };
        let Some((name, after)) = end.and_then(|end| rest.split_at_checked(end)) else {
            continue;
        };
        if !after.trim_start().starts_with(":=") {
            continue;
        }
        if let Ok(column) = name.parse::<SqlIdentifier>()
            && !found.contains(&column)
        {
            found.push(column);
        }
    }
    found
}
