//! What a statement does to tables and columns, for the proof. What is not understood is said to be so.

use squawk_syntax::ast::{self, AstNode as _};
use squawk_syntax::{SourceFile, SyntaxNode};

use super::effect::not_null_of;
use super::{is_trivia, name_in, tokens};
use crate::domain::{ColumnName, SqlIdentifier, TableName};
use crate::safety::proof::{Change, ConstraintKind, Fill, NewColumn};

/// What one statement changes, in the order in which it does. Empty where running code cannot notice it.
pub fn changes(statement: &str) -> Vec<Change> {
    let parsed = SourceFile::parse(statement);
    let file = parsed.tree();
    let body_errors = file.sql_body_errors();
    let is_valid = parsed.errors().iter().all(|error| body_errors.contains(error));
    let mut statements = file.stmts();
    match (statements.next(), statements.next()) {
        (Some(stmt), None) if is_valid => {
            of_statement(&stmt).unwrap_or_else(|| not_understood("names nothing that is understood"))
        }
        (None, _) if is_valid => Vec::new(),
        _ => not_understood("is not understood"),
    }
}

/// The columns that an expression over one table reads, functions and types left out.
pub fn columns_read(expression: &str) -> Vec<SqlIdentifier> {
    let parsed = SourceFile::parse(&format!("SELECT ({expression}\n)"));
    columns_in(parsed.tree().syntax())
}

fn not_understood(why: &'static str) -> Vec<Change> {
    vec![Change::NotUnderstood { why }]
}

fn of_statement(stmt: &ast::Stmt) -> Option<Vec<Change>> {
    let changes = match stmt {
        ast::Stmt::AlterTable(alter) => {
            let table = name_in(alter.table_relation_name()?.syntax())?;
            let mut changes = Vec::new();
            for action in alter.actions() {
                changes.extend(
                    alter_table(&table, &action).unwrap_or_else(|| not_understood("is not understood")),
                );
            }
            changes
        }
        ast::Stmt::CreateTable(create) => create_table(create)?,
        ast::Stmt::CreateView(create) => create_view(create)?,
        ast::Stmt::DropTable(drop) => dropped(
            drop.table_name_refs().map(|table| name_in(table.syntax())),
            drop.if_exists().is_some(),
        )?,
        ast::Stmt::DropView(drop) => dropped(
            drop.view_refs().map(|view| name_in(view.syntax())),
            drop.if_exists().is_some(),
        )?,
        ast::Stmt::CreateIndex(create) => create_index(stmt, create)?,
        ast::Stmt::DropIndex(drop) => drop
            .index_refs()
            .filter_map(|index| name_in(index.syntax()))
            .map(|index| Change::DropConstraint { name: index.name })
            .collect(),
        ast::Stmt::CreateTrigger(create) => vec![Change::AddTrigger {
            table: name_in(create.on_relation()?.syntax())?,
            name: identifier(create.trigger()?.syntax())?,
            function: called(&create.call_expr()?)?,
        }],
        ast::Stmt::DropTrigger(drop) => vec![Change::DropTrigger {
            table: name_in(drop.on_relation()?.syntax())?,
            name: identifier(drop.trigger_ref()?.syntax())?,
        }],
        ast::Stmt::CreateFunction(create) => {
            let name = name_in(create.name()?.syntax())?.name;
            let sets = set_of_new_row(&create.syntax().text().to_string());
            vec![Change::Function { name, sets }]
        }
        ast::Stmt::Update(update) => {
            update_rows(update).unwrap_or_else(|| not_understood("changes some of the rows"))
        }
        ast::Stmt::Insert(_)
        | ast::Stmt::Delete(_)
        | ast::Stmt::Merge(_)
        | ast::Stmt::Copy(_)
        | ast::Stmt::Truncate(_) => not_understood("changes rows"),
        ast::Stmt::Do(_) | ast::Stmt::Call(_) => not_understood("runs code that cannot be looked into"),
        _ if is_unnoticed(stmt) => Vec::new(),
        _ => not_understood("is not looked into"),
    };
    Some(changes)
}

/// Whether code that reads and writes rows cannot notice a statement but by the locks it takes.
fn is_unnoticed(stmt: &ast::Stmt) -> bool {
    matches!(
        stmt,
        ast::Stmt::AlterFunction(_)
            | ast::Stmt::AlterIndex(_)
            | ast::Stmt::AlterSequence(_)
            | ast::Stmt::AlterStatistics(_)
            | ast::Stmt::Analyze(_)
            | ast::Stmt::Checkpoint(_)
            | ast::Stmt::Cluster(_)
            | ast::Stmt::CommentOn(_)
            | ast::Stmt::CreateExtension(_)
            | ast::Stmt::CreateProcedure(_)
            | ast::Stmt::CreatePublication(_)
            | ast::Stmt::CreateSchema(_)
            | ast::Stmt::CreateSequence(_)
            | ast::Stmt::CreateStatistics(_)
            | ast::Stmt::CreateType(_)
            | ast::Stmt::AlterPublication(_)
            | ast::Stmt::DropFunction(_)
            | ast::Stmt::DropStatistics(_)
            | ast::Stmt::EmptyStmt(_)
            | ast::Stmt::Grant(_)
            | ast::Stmt::Lock(_)
            | ast::Stmt::Notify(_)
            | ast::Stmt::Refresh(_)
            | ast::Stmt::Reindex(_)
            | ast::Stmt::Reset(_)
            | ast::Stmt::Select(_)
            | ast::Stmt::Set(_)
            | ast::Stmt::SetConstraints(_)
            | ast::Stmt::SetTransaction(_)
            | ast::Stmt::Show(_)
            | ast::Stmt::Vacuum(_)
    )
}

fn alter_table(table: &TableName, action: &ast::AlterTableAction) -> Option<Vec<Change>> {
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

fn create_table(create: &ast::CreateTable) -> Option<Vec<Change>> {
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
fn create_view(create: &ast::CreateView) -> Option<Vec<Change>> {
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

fn target_name(target: &ast::Target) -> Option<SqlIdentifier> {
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

fn dropped(tables: impl Iterator<Item = Option<TableName>>, lenient: bool) -> Option<Vec<Change>> {
    tables
        .map(|table| {
            Some(Change::DropTable {
                table: table?,
                lenient,
            })
        })
        .collect()
}

fn create_index(stmt: &ast::Stmt, create: &ast::CreateIndex) -> Option<Vec<Change>> {
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

/// An UPDATE of every row, or of those in which a column that it sets is still NULL.
fn update_rows(update: &ast::Update) -> Option<Vec<Change>> {
    if update.from_clause().is_some() {
        return None;
    }
    let mut columns = Vec::new();
    for set in update.set_clause()?.set_column_list()?.set_columns() {
        let ast::SetColumn::SetSingleColumn(set) = set else {
            return None;
        };
        let target = set.column_target()?.syntax().text().to_string();
        let sources = set
            .set_expr()
            .map(|value| columns_in(value.syntax()))
            .unwrap_or_default();
        columns.push((target.trim().parse::<SqlIdentifier>().ok()?, sources));
    }
    if let Some(condition) = update.where_clause_or_current_of() {
        let text = condition.syntax().text().to_string();
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["WHERE" | "where", column, is, null] = words.as_slice() else {
            return None;
        };
        let column: SqlIdentifier = column.parse().ok()?;
        let tests_null = is.eq_ignore_ascii_case("is") && null.eq_ignore_ascii_case("null");
        if !tests_null || !columns.iter().any(|(target, _)| *target == column) {
            return None;
        }
    }
    Some(vec![Change::Fill(Fill {
        table: name_in(update.relation_name()?.syntax())?,
        columns,
        by_trigger: false,
    })])
}

fn column(table: &TableName, name: &SyntaxNode) -> Option<ColumnName> {
    Some(ColumnName {
        table: table.clone(),
        column: identifier(name)?,
    })
}

/// The one name that a part of the tree is.
fn identifier(node: &SyntaxNode) -> Option<SqlIdentifier> {
    let text: String = tokens(node)
        .filter(|token| !is_trivia(token))
        .map(|token| token.text().to_owned())
        .collect();
    text.parse().ok()
}

fn constraint_name(constraint: &SyntaxNode) -> Option<SqlIdentifier> {
    let clause = constraint.children().find_map(ast::ConstraintNameClause::cast)?;
    identifier(clause.constraint_name()?.syntax())
}

fn called(call: &ast::CallExpr) -> Option<SqlIdentifier> {
    let name = call.expr()?.syntax().text().to_string();
    name.trim().parse::<TableName>().ok().map(|name| name.name)
}

/// The columns that a constraint lists, in whichever way it does.
fn listed(constraint: &SyntaxNode) -> Vec<SqlIdentifier> {
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
fn columns_in(node: &SyntaxNode) -> Vec<SqlIdentifier> {
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

/// The columns that a trigger function assigns: `NEW.column := …`.
fn set_of_new_row(text: &str) -> Vec<SqlIdentifier> {
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

#[cfg(test)]
mod tests;
