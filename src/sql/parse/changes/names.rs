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

pub(in crate::sql::parse) fn constraint_name(constraint: &SyntaxNode) -> Option<SqlIdentifier> {
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
pub(in crate::sql::parse) fn columns_in(node: &SyntaxNode) -> Vec<SqlIdentifier> {
    let mut found: Vec<SqlIdentifier> = Vec::new();
    for name in read_in(node) {
        if let Some(column) = identifier(name.syntax())
            && !found.contains(&column)
        {
            found.push(column);
        }
    }
    found
}

/// The columns of one row that an expression reads: not those of another table, and of a query in it only those that
/// it says are of this one.
pub(super) fn columns_of_row(node: &SyntaxNode, own: &SqlIdentifier) -> Vec<SqlIdentifier> {
    let mut found: Vec<SqlIdentifier> = Vec::new();
    for name in read_in(node) {
        let is_own = match qualifier(&name) {
            Some(qualifier) => qualifier == *own,
            None => !is_queried(name.syntax(), node),
        };
        if let Some(column) = identifier(name.syntax()).filter(|_| is_own)
            && !found.contains(&column)
        {
            found.push(column);
        }
    }
    found
}

/// Whether an expression has a query of its own.
pub(super) fn looks_up(node: &SyntaxNode) -> bool {
    node.descendants().any(|inner| is_query(&inner))
}

fn is_query(node: &SyntaxNode) -> bool {
    ast::Select::can_cast(node.kind())
        || ast::Table::can_cast(node.kind())
        || ast::Values::can_cast(node.kind())
}

/// Whether a part of an expression stands in a query inside of it.
fn is_queried(part: &SyntaxNode, expression: &SyntaxNode) -> bool {
    part.ancestors()
        .take_while(|above| above != expression)
        .any(|above| is_query(&above))
}

/// Of `t.c` and `s.t.c` the `t`.
pub(super) fn qualifier(name: &ast::NameRef) -> Option<SqlIdentifier> {
    let field = name
        .syntax()
        .parent()
        .filter(|parent| ast::FieldExpr::can_cast(parent.kind()))?;
    let before = field.first_child().filter(|first| first != name.syntax())?;
    let last = tokens(&before).filter(|token| !is_trivia(token)).last()?;
    last.text().parse().ok()
}

/// The names that are neither called nor qualify another.
pub(super) fn read_in(node: &SyntaxNode) -> impl Iterator<Item = ast::NameRef> + use<> {
    node.descendants().filter_map(ast::NameRef::cast).filter(|name| {
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
        !(is_called || qualifies || of_a_call)
    })
}

/// The last name in a part of the tree, such as that of an alias.
pub(super) fn name_of(node: &SyntaxNode) -> Option<SqlIdentifier> {
    let last = tokens(node).filter(|token| !is_trivia(token)).last()?;
    last.text().parse().ok()
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
