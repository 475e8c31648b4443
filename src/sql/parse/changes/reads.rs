//! What queries and expressions read, and whether that is all they do.

use squawk_syntax::ast::{self, AstNode as _};
use squawk_syntax::{SourceFile, SyntaxNode};

use super::super::{is_trivia, name_in, tokens};
use super::names::{columns_of_row, identifier, looks_up, name_of, qualifier, read_in};
use crate::domain::{ColumnName, SqlIdentifier, TableName};

/// The columns of its own row that an expression over one table reads, functions and types left out; and whether it has a
/// query of its own.
pub fn columns_read(expression: &str, table: &TableName) -> (Vec<SqlIdentifier>, bool) {
    let parsed = SourceFile::parse(&format!("SELECT ({expression}\n)"));
    let file = parsed.tree();
    let select = file.stmts().find_map(|stmt| match stmt {
        ast::Stmt::Select(select) => select.select_clause()?.target_list()?.targets().next()?.expr(),
        _ => None,
    });
    let node = select.map_or_else(|| file.syntax().clone(), |expr| expr.syntax().clone());
    (columns_of_row(&node, &table.name), looks_up(&node))
}

/// The column of another table that an expression looks up, where it does nothing else but give something else for none:
/// `(SELECT s.a FROM t AS s WHERE …)`.
pub fn column_looked_up(expression: &str) -> Option<ColumnName> {
    let parsed = SourceFile::parse(&format!("SELECT ({expression}\n)"));
    let file = parsed.tree();
    let mut queries = file.syntax().descendants().filter_map(ast::Select::cast).skip(1);
    let (Some(query), None) = (queries.next(), queries.next()) else {
        return None;
    };
    let mut targets = query.select_clause()?.target_list()?.targets();
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return None;
    };
    let ast::Expr::FieldExpr(field) = target.expr()? else {
        return None;
    };
    let mut items = query
        .syntax()
        .descendants()
        .filter_map(ast::RelationFromItem::cast);
    let (Some(item), None) = (items.next(), items.next()) else {
        return None;
    };
    let table = name_in(item.relation_name_ref()?.syntax())?;
    let called = match item.alias() {
        Some(alias) => name_of(alias.syntax())?,
        None => table.name.clone(),
    };
    let name = read_in(field.syntax()).next()?;
    (qualifier(&name)? == called).then_some(ColumnName {
        table,
        column: identifier(name.syntax())?,
    })
}

/// Functions of PostgreSQL that change no table.
const HARMLESS: [&str; 44] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "coalesce",
    "concat",
    "count",
    "current_setting",
    "every",
    "format",
    "greatest",
    "json_agg",
    "jsonb_agg",
    "least",
    "length",
    "lower",
    "max",
    "min",
    "nextval",
    "now",
    "nullif",
    "pg_advisory_lock",
    "pg_advisory_unlock",
    "pg_advisory_xact_lock",
    "pg_backend_pid",
    "pg_column_size",
    "pg_get_expr",
    "pg_get_serial_sequence",
    "pg_indexes_size",
    "pg_notify",
    "pg_relation_size",
    "pg_size_pretty",
    "pg_sleep",
    "pg_stat_reset",
    "pg_table_size",
    "pg_total_relation_size",
    "pg_try_advisory_lock",
    "pg_try_advisory_xact_lock",
    "pg_typeof",
    "set_config",
    "setval",
    "string_agg",
    "sum",
    "upper",
];

/// Whether a query changes nothing: it holds no statement that does, and calls only what is known.
pub(super) fn only_reads(query: &SyntaxNode) -> bool {
    !query.descendants().any(|node| {
        let changes = ast::Insert::can_cast(node.kind())
            || ast::Update::can_cast(node.kind())
            || ast::Delete::can_cast(node.kind())
            || ast::Merge::can_cast(node.kind());
        let calls = ast::CallExpr::cast(node)
            .and_then(|call| call.expr())
            .is_some_and(|callee| !is_harmless(&callee.syntax().text().to_string()));
        changes || calls
    })
}

fn is_harmless(function: &str) -> bool {
    let Ok(name) = function.trim().parse::<TableName>() else {
        return false;
    };
    let is_known = HARMLESS.contains(&name.name.as_str());
    is_known && name.schema.is_none_or(|schema| schema.as_str() == "pg_catalog")
}

/// The tables that the query of a view reads, and their columns; `None` where it cannot be told whose they are.
pub(super) fn of_view(query: &SyntaxNode) -> Option<(Vec<TableName>, Vec<ColumnName>)> {
    let is_joined_by_name = tokens(query).any(|token| {
        token.text().eq_ignore_ascii_case("using") || token.text().eq_ignore_ascii_case("natural")
    });
    if is_joined_by_name {
        return None;
    }
    let mut tables: Vec<(SqlIdentifier, TableName)> = Vec::new();
    for item in query.descendants().filter_map(ast::RelationFromItem::cast) {
        let table = name_in(item.relation_name_ref()?.syntax())?;
        let name = match item.alias() {
            Some(alias) => name_of(alias.syntax())?,
            None => table.name.clone(),
        };
        tables.push((name, table));
    }
    let mut reads: Vec<ColumnName> = Vec::new();
    for name in read_in(query) {
        let table = match (qualifier(&name), tables.as_slice()) {
            (Some(of), _) => tables
                .iter()
                .find(|(name, _)| *name == of)
                .map(|(_, table)| table)?,
            (None, [(_, table)]) => table,
            (None, _) => return None,
        };
        reads.push(ColumnName {
            table: table.clone(),
            column: identifier(name.syntax())?,
        });
    }
    Some((tables.into_iter().map(|(_, table)| table).collect(), reads))
}

/// Whether an expression is NULL, with whatever type.
pub(super) fn is_null(expression: &SyntaxNode) -> bool {
    let words: Vec<String> = tokens(expression)
        .filter(|token| !is_trivia(token))
        .map(|token| token.text().to_ascii_lowercase())
        .collect();
    let mut words = words
        .iter()
        .map(String::as_str)
        .skip_while(|word| matches!(*word, "(" | "cast"));
    words.next() == Some("null") && matches!(words.next(), None | Some(")" | "::" | ":" | "as"))
}
