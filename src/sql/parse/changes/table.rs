//! What becomes of a table's shape: its columns, its name, and what it demands of rows.

use squawk_syntax::ast::{self, AstNode as _};

use super::super::{name_in, tokens};
use super::names::{column, identifier, target_name};
use super::reads::{is_null, of_view};
use super::{constraints, is_cascade, not_understood, with_what_depends};
use crate::domain::{ColumnName, SqlIdentifier, TableName};
use crate::safety::proof::{Change, ConstraintKind, NewColumn};

/// A new value of an enum type, which is known as if the type were a table and its values columns: code that writes it, or
/// asks for it, before it is there fails. No table can have the type's name.
pub(super) fn add_value(alter: &ast::AlterType, add: &ast::AddValue) -> Option<Vec<Change>> {
    let value = plain_text(add.literal()?.syntax().text().to_string().trim())?;
    Some(vec![Change::AddColumn {
        table: name_in(alter.type_name_ref()?.syntax())?,
        column: NewColumn {
            name: SqlIdentifier::from_catalog(value),
            not_null: false,
            filled: true,
            generated: false,
        },
        lenient: add.if_not_exists().is_some(),
    }])
}

/// What a literal says: `'it''s'`, or `E'\\'` with no other escapes than these.
fn plain_text(literal: &str) -> Option<String> {
    let escaped = literal.strip_prefix(['e', 'E']);
    let inner = escaped
        .unwrap_or(literal)
        .strip_prefix('\'')?
        .strip_suffix('\'')?;
    let inner = inner.replace("''", "'");
    if escaped.is_none() {
        return Some(inner);
    }
    let halves: Vec<&str> = inner.split("\\\\").collect();
    (!halves.iter().any(|half| half.contains('\\'))).then(|| halves.join("\\"))
}

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
            changes.extend(constraints::of_column(table, &name, &constraints));
            changes
        }
        Action::DropColumn(drop) => with_what_depends(
            drop.drop_behavior(),
            vec![Change::DropColumn {
                column: column(table, drop.column_name_ref()?.syntax())?,
                lenient: drop.if_exists().is_some(),
                cascade: is_cascade(drop.drop_behavior()),
            }],
        ),
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
            constraints::of_table(table, &constraint)?
        }
        Action::DropConstraint(drop) => with_what_depends(
            drop.drop_behavior(),
            vec![Change::DropConstraint {
                table: Some(table.clone()),
                name: name_in(drop.constraint_name_ref()?.syntax())?.name,
            }],
        ),
        Action::ValidateConstraint(validate) => vec![Change::ValidateConstraint {
            table: table.clone(),
            name: name_in(validate.constraint_name_ref()?.syntax())?.name,
        }],
        Action::AttachPartition(attach) => {
            let partition = name_in(attach.table_name_ref()?.syntax())?;
            let rows = rows_of_partition(&partition);
            vec![
                Change::AddColumn {
                    table: table.clone(),
                    column: NewColumn {
                        name: rows,
                        not_null: false,
                        filled: true,
                        generated: false,
                    },
                    lenient: false,
                },
                // Its bound, whatever that says, holds for all that is written to it.
                Change::AddConstraint {
                    table: partition,
                    name: None,
                    kind: ConstraintKind::Check,
                    columns: vec![SqlIdentifier::from_catalog("")],
                    validated: true,
                },
            ]
        }
        Action::DetachPartition(detach) => {
            let partition = name_in(detach.table_name_ref()?.syntax())?;
            let is_end = matches!(
                detach.detach_partition_option(),
                Some(ast::DetachPartitionOption::DetachFinalize(_))
            );
            vec![Change::DropColumn {
                column: ColumnName {
                    table: table.clone(),
                    column: rows_of_partition(&partition),
                },
                lenient: is_end,
                cascade: false,
            }]
        }
        Action::DisableTrigger(_) | Action::EnableReplicaTrigger(_) | Action::EnableTrigger(_) => {
            not_understood("changes which triggers fire")
        }
        Action::AlterConstraint(_)
        | Action::ClusterOn(_)
        | Action::EnableAlwaysTrigger(_)
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
        | Action::SetWithoutOids(_) => Vec::new(),
        _ => not_understood("is not looked into"),
    };
    Some(changes)
}

/// What a partitioned table has of a partition, as if it were a column: whoever reads or writes such rows through it uses
/// that.
fn rows_of_partition(partition: &TableName) -> SqlIdentifier {
    SqlIdentifier::from_catalog(format!("rows of {}", partition.name.as_str()))
}

fn alter_column(column: ColumnName, option: &ast::AlterColumnOption) -> Vec<Change> {
    use ast::AlterColumnOption as Option_;

    match option {
        Option_::SetNotNull(_) => vec![Change::NotNull { column, on: true }],
        Option_::DropNotNull(_) => vec![Change::NotNull { column, on: false }],
        Option_::SetDefault(set) => {
            let on = !set.expr().is_some_and(|value| is_null(value.syntax()));
            vec![Change::Default { column, on }]
        }
        Option_::AddGenerated(add) => vec![
            Change::Default {
                column: column.clone(),
                on: true,
            },
            Change::Generated {
                column,
                on: is_always(add.generated_when()),
            },
        ],
        Option_::SetGenerated(set) => vec![Change::Generated {
            column,
            on: is_always(set.generated_when()),
        }],
        // How it counts, nobody notices.
        Option_::SetGeneratedOptions(options) => options
            .set_generated_options()
            .filter_map(|option| match option {
                ast::SetGeneratedOption::SetGenerated(set) => Some(Change::Generated {
                    column: column.clone(),
                    on: is_always(set.generated_when()),
                }),
                ast::SetGeneratedOption::Restart(_) | ast::SetGeneratedOption::SetSequenceOption(_) => None,
            })
            .collect(),
        Option_::DropDefault(_) => vec![Change::Default { column, on: false }],
        Option_::DropIdentity(_) | Option_::DropExpression(_) => vec![
            Change::Default {
                column: column.clone(),
                on: false,
            },
            Change::Generated { column, on: false },
        ],
        Option_::SetType(_) => vec![Change::AddConstraint {
            table: column.table,
            name: None,
            kind: ConstraintKind::Type,
            columns: vec![column.column],
            validated: false,
        }],
        Option_::ResetOptions(_)
        | Option_::Restart(_)
        | Option_::SetCompression(_)
        | Option_::SetOptions(_)
        | Option_::SetOptionsList(_)
        | Option_::SetSequenceOption(_)
        | Option_::SetStatistics(_)
        | Option_::SetStorage(_) => Vec::new(),
        Option_::SetExpression(_) | Option_::Inherit(_) | Option_::NoInherit(_) => {
            not_understood("is not looked into")
        }
    }
}

fn is_always(when: Option<ast::GeneratedWhen>) -> bool {
    matches!(when, Some(ast::GeneratedWhen::GeneratedAlways(_)))
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
            || has(|one| match one {
                ast::Constraint::DefaultConstraint(default) => {
                    !default.expr().is_some_and(|value| is_null(value.syntax()))
                }
                ast::Constraint::GeneratedConstraint(_) => true,
                _ => false,
            }),
        generated: constraints.iter().any(|one| match one {
            ast::Constraint::GeneratedConstraint(generated) => is_generated_always(generated),
            _ => false,
        }),
    }
}

/// `GENERATED ALWAYS AS IDENTITY`, and what is computed.
fn is_generated_always(generated: &ast::GeneratedConstraint) -> bool {
    !tokens(generated.syntax()).any(|token| token.text().eq_ignore_ascii_case("default"))
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
            generated: false,
        })
        .collect();
    let reads = create.query().and_then(|query| of_view(query.syntax()));
    let mut changes = vec![Change::NewTable {
        table: table.clone(),
        columns,
        lenient: create.or_replace().is_some(),
    }];
    match reads {
        Some((tables, reads)) => changes.push(Change::View {
            view: table,
            tables,
            reads,
        }),
        None => changes.extend(not_understood(
            "reads columns of which it is not told whose they are",
        )),
    }
    Some(changes)
}

pub(super) fn dropped(
    tables: impl Iterator<Item = Option<TableName>>,
    lenient: bool,
    cascade: bool,
) -> Option<Vec<Change>> {
    tables
        .map(|table| {
            Some(Change::DropTable {
                table: table?,
                lenient,
                cascade,
            })
        })
        .collect()
}
