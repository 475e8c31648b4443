//! What a table demands of its rows, and the names that constraints have.

use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{self, AstNode as _};

use super::super::effect::not_null_of;
use super::super::{is_trivia, name_in, tokens};
use super::names::{columns_in, constraint_name, listed};
use super::not_understood;
use crate::domain::{ColumnName, SqlIdentifier, TableName};
use crate::safety::proof::{Change, ConstraintKind};

/// Whether rows that are there are looked at: NOT VALID is not said.
fn is_validated(constraint: &SyntaxNode) -> bool {
    !constraint
        .descendants()
        .any(|node| ast::NotValid::can_cast(node.kind()) || ast::NotEnforced::can_cast(node.kind()))
}

/// The name that PostgreSQL makes up for what was given none: `users_age_check`. One that it would shorten is not known.
fn made_up(table: &TableName, columns: &[SqlIdentifier], ending: &str) -> Option<SqlIdentifier> {
    let mut words = vec![table.name.as_str()];
    words.extend(columns.iter().map(SqlIdentifier::as_str));
    words.push(ending);
    let name = words.join("_");
    (name.len() < 64).then(|| SqlIdentifier::from_catalog(name))
}

fn made_up_for(
    table: &TableName,
    kind: ConstraintKind,
    is_key: bool,
    columns: &[SqlIdentifier],
) -> Option<SqlIdentifier> {
    match kind {
        ConstraintKind::Unique if is_key => made_up(table, &[], "pkey"),
        ConstraintKind::Unique => made_up(table, columns, "key"),
        ConstraintKind::ForeignKey => made_up(table, columns, "fkey"),
        // Only one that is about a single column has it in its name.
        ConstraintKind::Check if columns.len() == 1 => made_up(table, columns, "check"),
        ConstraintKind::Check => made_up(table, &[], "check"),
        ConstraintKind::Exclusion => made_up(table, columns, "excl"),
        ConstraintKind::NotNull => made_up(table, columns, "not_null"),
        ConstraintKind::Type => None,
    }
}

pub(super) fn of_table(table: &TableName, constraint: &ast::Constraint) -> Option<Vec<Change>> {
    let text = constraint.syntax();
    let kind = match constraint {
        ast::Constraint::CheckConstraint(constraint) => {
            return Some(vec![check(table, constraint)?]);
        }
        // What was built before as an index demands nothing new.
        ast::Constraint::UniqueConstraint(unique) if unique.using_index().is_some() => {
            return Some(Vec::new());
        }
        ast::Constraint::PrimaryKeyConstraint(key) if key.using_index().is_some() => {
            let index = key.using_index().and_then(|using| name_in(using.syntax()));
            return Some(match index {
                Some(index) => vec![Change::KeyOfIndex {
                    table: table.clone(),
                    index: index.name,
                }],
                None => not_understood("makes columns NOT NULL that are not named"),
            });
        }
        ast::Constraint::UniqueConstraint(_) | ast::Constraint::PrimaryKeyConstraint(_) => {
            ConstraintKind::Unique
        }
        ast::Constraint::ForeignKeyConstraint(_) => ConstraintKind::ForeignKey,
        ast::Constraint::ExcludeConstraint(_) => ConstraintKind::Exclusion,
        ast::Constraint::NotNullConstraint(_) => ConstraintKind::NotNull,
        _ => return None,
    };
    let columns = match constraint {
        // The columns of the other table stand behind REFERENCES.
        ast::Constraint::ForeignKeyConstraint(key) => listed(key.from_columns()?.syntax()),
        _ => listed(text),
    };
    let is_key = matches!(constraint, ast::Constraint::PrimaryKeyConstraint(_));
    let mut changes = vec![Change::AddConstraint {
        table: table.clone(),
        name: constraint_name(text).or_else(|| made_up_for(table, kind, is_key, &columns)),
        kind,
        columns: columns.clone(),
        validated: is_validated(text),
    }];
    if is_key {
        changes.extend(columns.into_iter().map(|column| Change::NotNull {
            column: ColumnName {
                table: table.clone(),
                column,
            },
            on: true,
        }));
    }
    Some(changes)
}

fn check(table: &TableName, constraint: &ast::CheckConstraint) -> Option<Change> {
    let expression = constraint.expr()?;
    let not_null = not_null_of(&expression.syntax().text().to_string())
        .and_then(|name| name.parse::<SqlIdentifier>().ok());
    let (kind, columns) = match not_null {
        Some(column) => (ConstraintKind::NotNull, vec![column]),
        None => (ConstraintKind::Check, columns_in(expression.syntax())),
    };
    Some(Change::AddConstraint {
        table: table.clone(),
        name: constraint_name(constraint.syntax())
            .or_else(|| made_up_for(table, ConstraintKind::Check, false, &columns)),
        kind,
        columns,
        validated: is_validated(constraint.syntax()),
    })
}

/// What the constraints behind a new column demand of rows, but for NOT NULL.
pub(super) fn of_column(
    table: &TableName,
    column: &SqlIdentifier,
    constraints: &[ast::Constraint],
) -> Vec<Change> {
    constraints
        .iter()
        .filter_map(|constraint| {
            let kind = match constraint {
                ast::Constraint::CheckConstraint(constraint) => return check(table, constraint),
                ast::Constraint::UniqueConstraint(_) | ast::Constraint::PrimaryKeyConstraint(_) => {
                    ConstraintKind::Unique
                }
                ast::Constraint::ReferencesConstraint(_) => ConstraintKind::ForeignKey,
                _ => return None,
            };
            let columns = vec![column.clone()];
            let is_key = matches!(constraint, ast::Constraint::PrimaryKeyConstraint(_));
            Some(Change::AddConstraint {
                table: table.clone(),
                name: constraint_name(constraint.syntax())
                    .or_else(|| made_up_for(table, kind, is_key, &columns)),
                kind,
                columns,
                validated: true,
            })
        })
        .collect()
}

pub(super) fn create_index(stmt: &ast::Stmt, create: &ast::CreateIndex) -> Option<Vec<Change>> {
    let second = tokens(stmt.syntax()).filter(|token| !is_trivia(token)).nth(1)?;
    if !second.text().eq_ignore_ascii_case("unique") {
        return Some(Vec::new());
    }
    Some(vec![Change::AddConstraint {
        table: name_in(create.table_relation_name()?.syntax())?,
        name: create
            .index()
            .and_then(|index| name_in(index.syntax()))
            .map(|index| index.name),
        kind: ConstraintKind::Unique,
        columns: columns_in(create.partition_item_list()?.syntax()),
        validated: true,
    }])
}
