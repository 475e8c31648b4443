//! What a statement does to tables and columns, for the proof. What is not understood is said to be so.

mod names;
mod table;

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode as _};

use self::names::{called, columns_in, identifier, set_of_new_row};
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
                    table::alter_table(&table, &action)
                        .unwrap_or_else(|| not_understood("is not understood")),
                );
            }
            changes
        }
        ast::Stmt::CreateTable(create) => table::create_table(create)?,
        ast::Stmt::CreateView(create) => table::create_view(create)?,
        ast::Stmt::DropTable(drop) => table::dropped(
            drop.table_name_refs().map(|table| name_in(table.syntax())),
            drop.if_exists().is_some(),
        )?,
        ast::Stmt::DropView(drop) => table::dropped(
            drop.view_refs().map(|view| name_in(view.syntax())),
            drop.if_exists().is_some(),
        )?,
        ast::Stmt::CreateIndex(create) => table::create_index(stmt, create)?,
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

#[cfg(test)]
mod tests;
