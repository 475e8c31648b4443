//! What a statement does to tables and columns, for the proof. What is not understood is said to be so.

mod constraints;
mod names;
mod reads;
mod table;
mod triggers;

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode as _};

pub(super) use self::names::{columns_in, constraint_name};
use self::names::{columns_of_row, looks_up, name_of};
use self::reads::only_reads;
pub use self::reads::{column_looked_up, columns_read};
use super::name_in;
use crate::domain::SqlIdentifier;
use crate::safety::proof::{Change, Fill};

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

fn not_understood(why: &'static str) -> Vec<Change> {
    vec![Change::NotUnderstood { why }]
}

/// What goes with CASCADE takes along what is not known here.
fn with_what_depends(behavior: Option<ast::DropBehavior>, mut changes: Vec<Change>) -> Vec<Change> {
    if is_cascade(behavior) {
        changes.extend(not_understood("drops with CASCADE what depends on it"));
    }
    changes
}

fn is_cascade(behavior: Option<ast::DropBehavior>) -> bool {
    matches!(behavior, Some(ast::DropBehavior::Cascade(_)))
}

fn of_statement(stmt: &ast::Stmt) -> Option<Vec<Change>> {
    let changes = match stmt {
        ast::Stmt::AlterTable(alter) => {
            let table = name_in(alter.table_relation_name()?.syntax())?;
            let mut changes = Vec::new();
            for action in alter.actions() {
                changes.extend(
                    table::alter_table(&table, &action)
                        .unwrap_or_else(|| not_understood("is not understood")),
                );
            }
            changes
        }
        ast::Stmt::CreateTable(create) => table::create_table(create)?,
        ast::Stmt::CreateView(create) => table::create_view(create)?,
        ast::Stmt::DropTable(drop) => with_what_depends(
            drop.drop_behavior(),
            table::dropped(
                drop.table_name_refs().map(|table| name_in(table.syntax())),
                drop.if_exists().is_some(),
                is_cascade(drop.drop_behavior()),
            )?,
        ),
        ast::Stmt::DropView(drop) => with_what_depends(
            drop.drop_behavior(),
            table::dropped(
                drop.view_refs().map(|view| name_in(view.syntax())),
                drop.if_exists().is_some(),
                is_cascade(drop.drop_behavior()),
            )?,
        ),
        ast::Stmt::AlterType(alter) => match alter.action()? {
            ast::AlterTypeAction::AddValue(add) => table::add_value(alter, &add)?,
            _ => not_understood("changes a type"),
        },
        ast::Stmt::CreateIndex(create) => constraints::create_index(stmt, create)?,
        ast::Stmt::DropIndex(drop) => with_what_depends(
            drop.drop_behavior(),
            drop.index_refs()
                .map(|index| {
                    Some(Change::DropConstraint {
                        table: None,
                        name: name_in(index.syntax())?.name,
                    })
                })
                .collect::<Option<_>>()?,
        ),
        // Nothing that uses it is left, or PostgreSQL refuses.
        ast::Stmt::DropSequence(drop) => with_what_depends(drop.drop_behavior(), Vec::new()),
        ast::Stmt::CreateTrigger(create) => vec![triggers::created(create)?],
        ast::Stmt::DropTrigger(drop) => {
            with_what_depends(drop.drop_behavior(), vec![triggers::dropped(drop)?])
        }
        ast::Stmt::CreateFunction(create) => vec![triggers::function(create)?],
        ast::Stmt::DropFunction(drop) => {
            with_what_depends(drop.drop_behavior(), triggers::dropped_functions(drop)?)
        }
        ast::Stmt::Select(_) if only_reads(stmt.syntax()) => Vec::new(),
        ast::Stmt::Select(_) => not_understood("calls or holds what may change something"),
        ast::Stmt::Update(update) => {
            update_rows(update).unwrap_or_else(|| not_understood("changes some of the rows"))
        }
        ast::Stmt::Insert(_)
        | ast::Stmt::Delete(_)
        | ast::Stmt::Merge(_)
        | ast::Stmt::Copy(_)
        | ast::Stmt::Truncate(_) => not_understood("changes rows"),
        ast::Stmt::CreateSchema(create) if create.schema_elements().next().is_some() => {
            not_understood("makes what is in it in the same statement")
        }
        ast::Stmt::CreateProcedure(create) if create.or_replace().is_some() => {
            not_understood("replaces what something may call")
        }
        // Whose it is changes nothing of what it shows.
        ast::Stmt::AlterView(alter) if matches!(alter.action(), Some(ast::AlterViewAction::OwnerTo(_))) => {
            Vec::new()
        }
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
            | ast::Stmt::DropStatistics(_)
            | ast::Stmt::EmptyStmt(_)
            | ast::Stmt::Grant(_)
            | ast::Stmt::Lock(_)
            | ast::Stmt::Notify(_)
            | ast::Stmt::Refresh(_)
            | ast::Stmt::Reindex(_)
            | ast::Stmt::Reset(_)
            | ast::Stmt::Set(_)
            | ast::Stmt::SetConstraints(_)
            | ast::Stmt::SetTransaction(_)
            | ast::Stmt::Show(_)
            | ast::Stmt::Vacuum(_)
    )
}

/// An UPDATE of every row, or of those in which a column that it sets is still NULL.
fn update_rows(update: &ast::Update) -> Option<Vec<Change>> {
    if update.from_clause().is_some() {
        return None;
    }
    let table = name_in(update.relation_name()?.syntax())?;
    // By its alias, or by its own name.
    let alias = update.alias();
    let own = match &alias {
        Some(alias) => name_of(alias.syntax())?,
        None => table.name.clone(),
    };
    let (mut columns, mut looked_up) = (Vec::new(), Vec::new());
    for set in update.set_clause()?.set_column_list()?.set_columns() {
        let ast::SetColumn::SetSingleColumn(set) = set else {
            return None;
        };
        let target = set.column_target()?.syntax().text().to_string();
        let sources = set
            .set_expr()
            .map(|value| columns_of_row(value.syntax(), &own))
            .unwrap_or_default();
        let target = target.trim().parse::<SqlIdentifier>().ok()?;
        if set.set_expr().is_some_and(|value| looks_up(value.syntax())) {
            looked_up.push(target.clone());
        }
        columns.push((target, sources));
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
        table,
        columns,
        looked_up,
        paired: Vec::new(),
        by_trigger: false,
    })])
}

#[cfg(test)]
mod tests;
