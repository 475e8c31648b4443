//! The SQL that makes a new table: taken apart into what locks nobody, and foreign keys to other tables, which do.

mod columns;
mod pieces;

use std::ops::Range;

use squawk_syntax::ast::{self, AstNode as _};
use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use columns::{both_lists, names_to_end};
use pieces::{from_keyword, text_of, tokens_text, with_comma, without};

use super::{check_index_key, code_range, dotted, name_in, tokens};
use crate::domain::{ColumnName, SqlIdentifier, TableName};
use crate::safety::proof::same_table;

/// A new table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTableText {
    /// Its name, as written.
    pub table: TableName,
    /// Its columns.
    pub columns: Vec<NewColumnText>,
    /// `CREATE TABLE` without the foreign keys to other tables.
    pub create: String,
    /// The same for a temporary table of that name.
    pub trial: String,
    /// The foreign keys to other tables.
    pub foreign_keys: Vec<ForeignKeyText>,
    /// Its indexes, as statements.
    pub indexes: Vec<String>,
    /// The names of those that have one.
    pub index_names: Vec<SqlIdentifier>,
    /// The columns by which rows are found, of each index and constraint of it.
    pub found_by: Vec<Vec<SqlIdentifier>>,
    /// Columns that refer to the table itself.
    pub refers_to_itself: Vec<Vec<SqlIdentifier>>,
    /// Comments and grants, as statements.
    pub rest: Vec<String>,
}

/// A column of a new table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewColumnText {
    /// Its name.
    pub name: SqlIdentifier,
    /// Code does not write it: it is computed, or hands out its own values.
    pub unwritten: bool,
}

/// A foreign key to another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKeyText {
    /// Its name, if it was given one.
    pub name: Option<SqlIdentifier>,
    /// The columns that refer.
    pub columns: Vec<SqlIdentifier>,
    /// The table that they refer to.
    pub target: TableName,
    /// The columns that they refer to; none where it is the primary key.
    pub target_columns: Vec<SqlIdentifier>,
    /// `FOREIGN KEY (…) REFERENCES …`.
    pub definition: String,
}

/// Takes apart what makes one table: `CREATE TABLE`, and the indexes, comments and grants on it.
///
/// # Errors
/// Why it is not that, in words.
pub fn new_table(text: &str) -> Result<NewTableText, String> {
    let parsed = SourceFile::parse(text);
    if let Some(error) = parsed.errors().first() {
        return Err(format!("it is not valid SQL: {error}"));
    }
    let file = parsed.tree();
    let statements: Vec<ast::Stmt> = file
        .stmts()
        .filter(|stmt| !matches!(stmt, ast::Stmt::EmptyStmt(_)))
        .collect();
    let mut statements = statements.iter();
    let mut made = match statements.next() {
        Some(ast::Stmt::CreateTable(create)) => created(text, create)?,
        _ => return Err("it does not begin with CREATE TABLE name (…)".to_owned()),
    };
    for stmt in statements {
        belongs(text, stmt, &mut made)?;
    }
    Ok(made)
}

fn created(text: &str, create: &ast::CreateTable) -> Result<NewTableText, String> {
    if create.partition_of().is_some() {
        return Err(
            "PARTITION OF locks the whole partitioned table; make a table by itself, and then: shipctl plan \
             attach-partition"
                .to_owned(),
        );
    }
    let odd = [
        (create.inherits().is_some(), "INHERITS"),
        (create.of_type().is_some(), "OF type"),
        (create.on_commit().is_some(), "ON COMMIT"),
        (
            create.if_not_exists().is_some(),
            "IF NOT EXISTS, which keeps what is there,",
        ),
        (
            create
                .persistence()
                .is_some_and(|kind| !kind.syntax().text().to_string().eq_ignore_ascii_case("unlogged")),
            "a temporary table, which is gone with its session,",
        ),
    ];
    if let Some((_, what)) = odd.into_iter().find(|(is_there, _)| *is_there) {
        return Err(format!("{what} is not planned; leave it out"));
    }
    let named = create.table_name().ok_or("it has no name")?;
    let table = name_in(named.syntax()).ok_or("its name is not understood")?;
    let list = create
        .table_arg_list()
        .ok_or("it has no columns in parentheses")?;
    let mut made = NewTableText {
        table: table.clone(),
        columns: Vec::new(),
        create: String::new(),
        trial: String::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
        index_names: Vec::new(),
        found_by: Vec::new(),
        refers_to_itself: Vec::new(),
        rest: Vec::new(),
    };
    let mut cuts: Vec<Range<usize>> = Vec::new();
    // A temporary table is not the one that these refer to.
    let mut own: Vec<Range<usize>> = Vec::new();
    for part in list.args() {
        match &part {
            ast::TableArg::LikeClause(_) => {
                return Err("LIKE takes columns from another table; write them out".to_owned());
            }
            ast::TableArg::Column(column) => cuts.extend(of_column(column, &mut made, &mut own)?),
            ast::TableArg::TableConstraint(constraint) => {
                let known = made.refers_to_itself.len();
                if of_table(constraint.syntax(), &mut made)? {
                    cuts.push(with_comma(constraint.syntax()));
                } else if made.refers_to_itself.len() > known {
                    own.push(with_comma(constraint.syntax()));
                }
            }
        }
    }
    if made.columns.is_empty() {
        return Err("it has no columns".to_owned());
    }
    let whole = code_range(create.syntax());
    cuts.sort_by_key(|cut| cut.start);
    made.create = without(text, &whole, &cuts);
    let name = code_range(named.syntax());
    cuts.extend(own);
    cuts.sort_by_key(|cut| cut.start);
    let temporary = format!("pg_temp.{}", table.name.quoted());
    let (before, after) = (
        without(text, &(whole.start..name.start), &[]),
        without(text, &(name.end..whole.end), &cuts),
    );
    // UNLOGGED means nothing for a temporary table, and may not be said of one.
    let before = before
        .split_whitespace()
        .filter(|word| !word.eq_ignore_ascii_case("unlogged"))
        .collect::<Vec<_>>()
        .join(" ");
    made.trial = format!("{before} {temporary}{after}");
    let again = SourceFile::parse(&made.create);
    if !again.errors().is_empty() {
        return Err(
            "its foreign keys cannot be told from the rest; write them last, one after the other".to_owned(),
        );
    }
    Ok(made)
}

/// Notes a column, and gives back what is to be cut out of it.
fn of_column(
    column: &ast::Column,
    made: &mut NewTableText,
    own: &mut Vec<Range<usize>>,
) -> Result<Vec<Range<usize>>, String> {
    let name = column.name().ok_or("a column has no name")?;
    let name: SqlIdentifier = text_of(name.syntax())
        .parse()
        .map_err(|_| "the name of a column is not understood".to_owned())?;
    let ty = column
        .ty()
        .map(|ty| ty.syntax().text().to_string().to_ascii_lowercase());
    let is_serial = ty.is_some_and(|ty| ty.trim().ends_with("serial") || ty.trim().starts_with("serial"));
    let mut unwritten = is_serial;
    let mut cuts = Vec::new();
    for constraint in column.syntax().children().filter_map(ast::Constraint::cast) {
        match &constraint {
            ast::Constraint::GeneratedConstraint(_) => unwritten = true,
            ast::Constraint::PrimaryKeyConstraint(_) | ast::Constraint::UniqueConstraint(_) => {
                made.found_by.push(vec![name.clone()]);
            }
            ast::Constraint::ReferencesConstraint(references) => {
                let target = references.table().and_then(|table| name_in(table.syntax()));
                let target = target.ok_or("the table that a foreign key refers to is not understood")?;
                if same_table(&target, &made.table) {
                    made.refers_to_itself.push(vec![name.clone()]);
                    own.push(code_range(references.syntax()));
                    continue;
                }
                let column = references.column().map(|column| text_of(column.syntax()));
                let target_columns = column
                    .map(|column| column.parse::<SqlIdentifier>())
                    .transpose()
                    .map_err(|_| "a column that is referred to is not understood".to_owned())?;
                let node = references.syntax();
                made.foreign_keys.push(ForeignKeyText {
                    name: named(node)?,
                    columns: vec![name.clone()],
                    target,
                    target_columns: target_columns.into_iter().collect(),
                    definition: format!(
                        "FOREIGN KEY ({}) {}",
                        super::readable(&name),
                        from_keyword(node, SyntaxKind::REFERENCES_KW)?
                    ),
                });
                cuts.push(code_range(node));
            }
            _ => {}
        }
    }
    made.columns.push(NewColumnText { name, unwritten });
    Ok(cuts)
}

/// Notes a constraint of the table; whether it is to be cut out.
fn of_table(node: &SyntaxNode, made: &mut NewTableText) -> Result<bool, String> {
    let inner = node.clone();
    let constraint =
        ast::Constraint::cast(inner.clone()).or_else(|| inner.children().find_map(ast::Constraint::cast));
    match constraint {
        Some(ast::Constraint::ForeignKeyConstraint(key)) => {
            let target = key.table_name_ref().and_then(|table| name_in(table.syntax()));
            let target = target.ok_or("the table that a foreign key refers to is not understood")?;
            let definition = from_keyword(key.syntax(), SyntaxKind::FOREIGN_KW)?;
            let (columns, target_columns) = both_lists(&definition)?;
            if same_table(&target, &made.table) {
                made.refers_to_itself.push(columns);
                return Ok(false);
            }
            made.foreign_keys.push(ForeignKeyText {
                name: named(key.syntax())?,
                columns,
                target,
                target_columns,
                definition,
            });
            Ok(true)
        }
        Some(ast::Constraint::PrimaryKeyConstraint(_) | ast::Constraint::UniqueConstraint(_)) => {
            let text = tokens_text(node);
            let list = text.split_once('(').map(|(_, rest)| rest).unwrap_or_default();
            made.found_by.push(names_to_end(list)?.0);
            Ok(false)
        }
        _ => Ok(false),
    }
}

/// A statement that belongs to the table.
fn belongs(text: &str, stmt: &ast::Stmt, made: &mut NewTableText) -> Result<(), String> {
    let written = text.get(code_range(stmt.syntax())).unwrap_or_default().to_owned();
    let is_own = |name: Option<TableName>| name.is_some_and(|name| same_table(&name, &made.table));
    let refused = |why: &str| {
        let first: String = written.chars().take(60).collect();
        Err(format!("`{first}` {why}"))
    };
    match stmt {
        ast::Stmt::CreateIndex(create) => {
            if !is_own(
                create
                    .table_relation_name()
                    .and_then(|table| name_in(table.syntax())),
            ) {
                return refused("is about another table; plan it by itself");
            }
            if create.concurrently_token().is_some() {
                return refused("need not be CONCURRENTLY, since the table is empty; leave the word out");
            }
            let name = create.index().and_then(|index| name_in(index.syntax()));
            made.index_names.extend(name.map(|name| name.name));
            made.found_by.push(plain_columns(create));
            made.indexes.push(written);
            Ok(())
        }
        ast::Stmt::CommentOn(comment) => {
            let is_about = match comment.comment_object() {
                Some(ast::CommentObject::ObjectTable(table)) => is_own(name_in(table.syntax())),
                Some(ast::CommentObject::ObjectColumn(column)) => {
                    let column = dotted(column.syntax()).and_then(|name| name.parse::<ColumnName>().ok());
                    is_own(column.map(|column| column.table))
                }
                Some(ast::CommentObject::ObjectConstraint(constraint)) => {
                    is_own(tables_in(constraint.syntax()).pop().flatten())
                }
                Some(ast::CommentObject::ObjectIndex(index)) => {
                    name_in(index.syntax()).is_some_and(|index| made.index_names.contains(&index.name))
                }
                _ => false,
            };
            if !is_about {
                return refused("is not about the new table");
            }
            made.rest.push(written);
            Ok(())
        }
        ast::Stmt::Grant(grant) => {
            let on = grant
                .on_privilege_objects_clause()
                .and_then(|on| on.privilege_objects());
            let tables: Vec<Option<TableName>> = match on {
                Some(
                    objects @ (ast::PrivilegeObjects::PrivilegeTable(_)
                    | ast::PrivilegeObjects::PrivilegeDefault(_)),
                ) => tables_in(objects.syntax()),
                _ => Vec::new(),
            };
            if tables.is_empty() || !tables.into_iter().all(is_own) {
                return refused("is not about the new table alone");
            }
            made.rest.push(written);
            Ok(())
        }
        ast::Stmt::CreateTable(_) => refused("makes another table; plan it by itself"),
        _ => refused("is neither an index, a comment nor a grant; put it in a migration of its own"),
    }
}

/// The columns by which an index of all rows finds them: the keys before the first that is an expression.
fn plain_columns(create: &ast::CreateIndex) -> Vec<SqlIdentifier> {
    if tokens(create.syntax()).any(|token| token.kind() == SyntaxKind::WHERE_KW) {
        return Vec::new();
    }
    let items = create.partition_item_list();
    items
        .iter()
        .flat_map(ast::PartitionItemList::partition_items)
        .map_while(|item| check_index_key(&item.syntax().text().to_string()).ok()?.column)
        .collect()
}

/// The dotted names in a part of the tree.
fn tables_in(node: &SyntaxNode) -> Vec<Option<TableName>> {
    let is_path = |node: &SyntaxNode| matches!(node.kind(), SyntaxKind::PATH | SyntaxKind::PATH_REF);
    node.descendants()
        .filter(is_path)
        .filter(|node| !node.ancestors().skip(1).any(|above| is_path(&above)))
        .map(|node| tokens_text(&node).trim().parse().ok())
        .collect()
}

/// The name of a constraint.
fn named(node: &SyntaxNode) -> Result<Option<SqlIdentifier>, String> {
    let Some(clause) = node.children().find_map(ast::ConstraintNameClause::cast) else {
        return Ok(None);
    };
    let name = clause.constraint_name().map(|name| text_of(name.syntax()));
    name.map(|name| name.parse::<SqlIdentifier>())
        .transpose()
        .map_err(|_| "the name of a constraint is not understood".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_keys_are_cut_out_wherever_they_stand() {
        let made = new_table(
            "CREATE TABLE s.\"T,(\" (FOREIGN KEY (a, b) REFERENCES p (c, d), a int REFERENCES q -- why
                 ON DELETE CASCADE NOT NULL, b int, CONSTRAINT k FOREIGN KEY (b) REFERENCES \"r(\", c int REFERENCES s.\"T,(\")",
        )
        .unwrap();
        assert_eq!(
            made.create.split_whitespace().collect::<Vec<_>>().join(" "),
            "CREATE TABLE s.\"T,(\" ( a int NOT NULL, b int, c int REFERENCES s.\"T,(\")"
        );
        assert!(made.trial.starts_with("CREATE TABLE pg_temp.\"T,(\"") && !made.trial.contains("REFERENCES"));
        let keys: Vec<String> = made
            .foreign_keys
            .iter()
            .map(|key| format!("{} {:?} {}", key.target, key.name, key.definition))
            .collect();
        assert_eq!(
            keys,
            [
                "p None FOREIGN KEY (a, b) REFERENCES p (c, d)".to_owned(),
                "q None FOREIGN KEY (a) REFERENCES q -- why\n                 ON DELETE CASCADE".to_owned(),
                format!(
                    "\"r(\" {:?} FOREIGN KEY (b) REFERENCES \"r(\"",
                    Some(SqlIdentifier::from_catalog("k"))
                ),
            ]
        );
        assert_eq!(made.foreign_keys[0].target_columns.len(), 2);
        assert!(made.foreign_keys[2].target_columns.is_empty());
        assert_eq!(made.refers_to_itself.len(), 1);
    }

    #[test]
    fn what_does_not_belong_to_the_table_is_refused() {
        for text in [
            "CREATE TABLE t (a int); DROP TABLE u",
            "CREATE TABLE t (a int); CREATE INDEX ON u (a)",
            "CREATE TABLE t (a int); ALTER TABLE t ADD b int",
            "CREATE TABLE t (a int) ON COMMIT DROP",
            "CREATE TABLE t (a int",
            "DO $$ BEGIN END $$",
        ] {
            assert!(new_table(text).is_err(), "{text}");
        }
    }
}
