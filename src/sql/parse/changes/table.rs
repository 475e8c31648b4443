//! What becomes of a table's shape: its columns, and what it demands of rows.

use squawk_syntax::ast::{self, AstNode as _};

use super::super::effect::not_null_of;
use super::super::{is_trivia, name_in, tokens};
use super::names::{column, columns_in, constraint_name, identifier, listed, target_name};
use super::{columns_read, not_understood};
use crate::domain::{ColumnName, SqlIdentifier, TableName};
use crate::safety::proof::{Change, ConstraintKind, NewColumn};

pub(super) fn alter_table(table: &TableName, action: &ast::AlterTableAction) -> Option<Vec<Change>> {
    use ast::AlterTableAction as Action;

    let changes = match action {
        Action::AddColumn(add) => {
            let constraints: Vec<ast::Constraint> = add.constraints().collect();
            let name = identifier(add.column_name()?.syntax())?;
            let ty = add.ty().map(|ty| ty.syntax().text().to_string());
            let mut changes = vec![Change::AddColumn {
                table: table.clone(),
                column: new_column(name.clone(), ty.as_deref(), &constraints),
                lenient: add.if_not_exists().is_some(),
            }];
            changes.extend(column_constraints(table, &name, &constraints));
            changes
        }
        Action::DropColumn(drop) => vec![Change::DropColumn {
            column: column(table, drop.column_name_ref()?.syntax())?,
            lenient: drop.if_exists().is_some(),
        }],
        Action::RenameColumn(rename) => vec![Change::RenameColumn {
            from: column(table, rename.column_name_ref()?.syntax())?,
            to: identifier(rename.column_name()?.syntax())?,
        }],
        Action::TableRenameTo(rename) => vec![Change::RenameTable {
            from: table.clone(),
            to: TableName {
                schema: table.schema.clone(),
                name: identifier(rename.table_name()?.syntax())?,
            },
        }],
        Action::AlterColumn(alter) => {
            let column = column(table, alter.column_name_ref()?.syntax())?;
            alter_column(column, &alter.option()?)
        }
        Action::AddConstraint(add) => {
            let constraint = add.constraint()?;
            table_constraint(table, &constraint)?
        }
        Action::DropConstraint(drop) => vec![Change::DropConstraint {
            name: name_in(drop.constraint_name_ref()?.syntax())?.name,
        }],
        Action::DisableTrigger(_) | Action::EnableReplicaTrigger(_) => {
            not_understood("changes which triggers fire")
        }
        Action::AlterConstraint(_)
        | Action::ClusterOn(_)
        | Action::EnableAlwaysTrigger(_)
        | Action::EnableTrigger(_)
        | Action::OwnerTo(_)
        | Action::RenameConstraint(_)
        | Action::ReplicaIdentity(_)
        | Action::ResetOptions(_)
        | Action::SetAccessMethod(_)
        | Action::SetLogged(_)
        | Action::SetOptions(_)
        | Action::SetTablespace(_)
        | Action::SetUnlogged(_)
        | Action::SetWithoutCluster(_)
        | Action::SetWithoutOids(_)
        | Action::ValidateConstraint(_) => Vec::new(),
        _ => not_understood("is not looked into"),
    };
    Some(changes)
}

fn alter_column(column: ColumnName, option: &ast::AlterColumnOption) -> Vec<Change> {
    use ast::AlterColumnOption as Option_;

    match option {
        Option_::SetNotNull(_) => vec![Change::NotNull { column, on: true }],
        Option_::DropNotNull(_) => vec![Change::NotNull { column, on: false }],
        Option_::SetDefault(_) | Option_::AddGenerated(_) => vec![Change::Default { column, on: true }],
        Option_::DropDefault(_) | Option_::DropIdentity(_) | Option_::DropExpression(_) => {
            vec![Change::Default { column, on: false }]
        }
        Option_::SetType(_) => vec![Change::AddConstraint {
            table: column.table,
            name: None,
            kind: ConstraintKind::Type,
            columns: vec![column.column],
        }],
        Option_::SetExpression(_) | Option_::Inherit(_) | Option_::NoInherit(_) => {
            not_understood("is not looked into")
        }
        _ => Vec::new(),
    }
}

fn table_constraint(table: &TableName, constraint: &ast::Constraint) -> Option<Vec<Change>> {
    let text = constraint.syntax();
    let kind = match constraint {
        ast::Constraint::CheckConstraint(check) => {
            return Some(vec![check_constraint(table, check)?]);
        }
        // What was built before as an index demands nothing new.
        ast::Constraint::UniqueConstraint(unique) if unique.using_index().is_some() => {
            return Some(Vec::new());
        }
        ast::Constraint::PrimaryKeyConstraint(key) if key.using_index().is_some() => {
            return Some(not_understood("makes columns NOT NULL that are not named"));
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
    let mut changes = vec![Change::AddConstraint {
        table: table.clone(),
        name: constraint_name(text),
        kind,
        columns: columns.clone(),
    }];
    if matches!(constraint, ast::Constraint::PrimaryKeyConstraint(_)) {
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

fn check_constraint(table: &TableName, check: &ast::CheckConstraint) -> Option<Change> {
    let expression = check.expr()?.syntax().text().to_string();
    let not_null = not_null_of(&expression).and_then(|name| name.parse::<SqlIdentifier>().ok());
    let (kind, columns) = match not_null {
        Some(column) => (ConstraintKind::NotNull, vec![column]),
        None => (ConstraintKind::Check, columns_read(&expression)),
    };
    Some(Change::AddConstraint {
        table: table.clone(),
        name: constraint_name(check.syntax()),
        kind,
        columns,
    })
}

fn new_column(name: SqlIdentifier, ty: Option<&str>, constraints: &[ast::Constraint]) -> NewColumn {
    let is_serial = ty.is_some_and(|ty| {
        let ty = ty.trim().to_ascii_lowercase();
        ty.ends_with("serial") || matches!(ty.as_str(), "serial2" | "serial4" | "serial8")
    });
    let has = |wanted: fn(&ast::Constraint) -> bool| constraints.iter().any(wanted);
    NewColumn {
        name,
        not_null: is_serial
            || has(|one| {
                matches!(
                    one,
                    ast::Constraint::NotNullConstraint(_) | ast::Constraint::PrimaryKeyConstraint(_)
                )
            }),
        filled: is_serial
            || has(|one| {
                matches!(
                    one,
                    ast::Constraint::DefaultConstraint(_) | ast::Constraint::GeneratedConstraint(_)
                )
            }),
    }
}

/// What the constraints behind a new column demand of rows, but for NOT NULL.
fn column_constraints(
    table: &TableName,
    column: &SqlIdentifier,
    constraints: &[ast::Constraint],
) -> Vec<Change> {
    constraints
        .iter()
        .filter_map(|constraint| {
            let kind = match constraint {
                ast::Constraint::CheckConstraint(check) => return check_constraint(table, check),
                ast::Constraint::UniqueConstraint(_) | ast::Constraint::PrimaryKeyConstraint(_) => {
                    ConstraintKind::Unique
                }
                ast::Constraint::ReferencesConstraint(_) => ConstraintKind::ForeignKey,
                _ => return None,
            };
            Some(Change::AddConstraint {
                table: table.clone(),
                name: constraint_name(constraint.syntax()),
                kind,
                columns: vec![column.clone()],
            })
        })
        .collect()
}

pub(super) fn create_table(create: &ast::CreateTable) -> Option<Vec<Change>> {
    let table = name_in(create.table_name()?.syntax())?;
    let mut columns = Vec::new();
    let mut changes = Vec::new();
    for part in create.table_arg_list()?.args() {
        match part {
            ast::TableArg::Column(column) => {
                let constraints: Vec<ast::Constraint> = column
                    .syntax()
                    .children()
                    .filter_map(ast::Constraint::cast)
                    .collect();
                let name = identifier(column.name()?.syntax())?;
                let ty = column.ty().map(|ty| ty.syntax().text().to_string());
                columns.push(new_column(name, ty.as_deref(), &constraints));
            }
            ast::TableArg::LikeClause(_) => {
                changes.extend(not_understood("takes columns from another table"))
            }
            ast::TableArg::TableConstraint(_) => {}
        }
    }
    if create.inherits().is_some() || create.partition_of().is_some() || create.of_type().is_some() {
        changes.extend(not_understood("takes columns from elsewhere"));
    }
    // Whoever writes to a new table was written for it, constraints and all.
    changes.insert(
        0,
        Change::NewTable {
            table,
            columns,
            lenient: create.if_not_exists().is_some(),
        },
    );
    Some(changes)
}

/// A view is a table whose columns are those of its query, where each of them has a plain name.
pub(super) fn create_view(create: &ast::CreateView) -> Option<Vec<Change>> {
    let table = name_in(create.view()?.syntax())?;
    let names: Vec<SqlIdentifier> = match create.column_list() {
        Some(list) => list
            .column_names()
            .map(|name| identifier(name.syntax()))
            .collect::<Option<_>>()?,
        None => {
            let ast::SelectVariant::Select(select) = create.query()? else {
                return None;
            };
            select
                .select_clause()?
                .target_list()?
                .targets()
                .map(|target| target_name(&target))
                .collect::<Option<_>>()?
        }
    };
    let columns = names
        .into_iter()
        .map(|name| NewColumn {
            name,
            not_null: false,
            filled: true,
        })
        .collect();
    Some(vec![Change::NewTable {
        table,
        columns,
        lenient: create.or_replace().is_some(),
    }])
}

pub(super) fn dropped(tables: impl Iterator<Item = Option<TableName>>, lenient: bool) -> Option<Vec<Change>> {
    tables
        .map(|table| {
            Some(Change::DropTable {
                table: table?,
                lenient,
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
    }])
}
