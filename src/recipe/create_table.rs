//! A new table, its foreign keys added one by one, so that no two other tables are locked at once.
//!
//! create → use. The table is empty and nobody knows it: its indexes and constraints are made at once. Each foreign key to
//! another table is a statement of its own, after the table, since it locks the other one for a moment.

use super::add_foreign_key::{differ, not_unique};
use super::draft::{Draft, SchemaPhase, Sql, Subject, refuse_unless_none};
use super::{ConstraintType, Order, Patience, Recipe, Refused, TableFacts, constraint_sql, names};
use crate::domain::{ColumnName, Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{ForeignKeyText, NewTableText, readable, readable_table};

/// What the database says of the place that the table is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTableFacts {
    /// Names of its schema that it would meet: tables, indexes, sequences, views.
    pub relations: Vec<SqlIdentifier>,
    /// Names of types of its schema.
    pub types: Vec<SqlIdentifier>,
    /// The tables that its foreign keys refer to, in their order.
    pub targets: Vec<TableFacts>,
    /// Its columns, as the database would make them; `None` where that could not be tried.
    pub tried: Option<Vec<TriedColumn>>,
}

/// A column as the database would make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedColumn {
    /// Its name.
    pub name: SqlIdentifier,
    /// Its type as `format_type` writes it.
    pub data_type: String,
}

/// The recipe for `shipctl plan create-table`.
///
/// # Errors
/// What stands in the way.
pub fn recipe(text: &NewTableText, facts: &NewTableFacts, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::CreateTable;
    let table = &text.table;
    refuse_unless_none(kind, &table.to_string(), &obstacles(text, facts))?;

    let subject = Subject {
        kind,
        table,
        columns: &[],
        name: None,
        title: format!("Make {}", table.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    let found = Found::of(text, facts);
    draft.schema(create_phase(text, &found));
    let full = |wanted: fn(bool) -> bool| -> Vec<ColumnName> {
        text.columns
            .iter()
            .filter(|column| wanted(column.unwritten))
            .map(|column| ColumnName {
                table: table.clone(),
                column: column.name.clone(),
            })
            .collect()
    };
    let (reads, writes) = (full(|_| true), full(|unwritten| !unwritten));
    draft.code(
        "use",
        &format!("Use {}", table.name),
        &reads.iter().collect::<Vec<_>>(),
        &writes.iter().collect::<Vec<_>>(),
        &[],
    );
    Ok(draft.finish(remarks(text, &found)))
}

/// What is made besides what was written: names of foreign keys, and indexes.
struct Found<'a> {
    keys: Vec<(SqlIdentifier, &'a ForeignKeyText)>,
    indexes: Vec<Vec<SqlIdentifier>>,
}

impl<'a> Found<'a> {
    fn of(text: &'a NewTableText, facts: &NewTableFacts) -> Self {
        let mut taken: Vec<SqlIdentifier> = text
            .foreign_keys
            .iter()
            .filter_map(|key| key.name.clone())
            .collect();
        taken.extend(facts.relations.iter().cloned());
        let mut keys = Vec::new();
        for key in &text.foreign_keys {
            let name = key.name.clone().unwrap_or_else(|| {
                let name = names::chosen(&text.table.name, &key.columns, "fkey", |name| {
                    taken.contains(name)
                });
                taken.push(name.clone());
                name
            });
            keys.push((name, key));
        }
        let mut indexes: Vec<Vec<SqlIdentifier>> = Vec::new();
        let referring = text
            .foreign_keys
            .iter()
            .map(|key| &key.columns)
            .chain(&text.refers_to_itself);
        for columns in referring {
            let leads = |keys: &Vec<SqlIdentifier>| {
                let leading: Vec<_> = keys.iter().take(columns.len()).collect();
                columns.iter().all(|column| leading.contains(&column))
            };
            if !text.found_by.iter().any(leads) && !indexes.iter().any(leads) {
                indexes.push(columns.clone());
            }
        }
        Self { keys, indexes }
    }
}

fn create_phase(text: &NewTableText, found: &Found<'_>) -> SchemaPhase<'static> {
    let table = &text.table;
    let name = readable_table(table);
    let mut up = vec![text.create.clone()];
    up.extend(text.indexes.iter().cloned());
    up.extend(
        found
            .indexes
            .iter()
            .map(|columns| format!("CREATE INDEX ON {name} ({})", constraint_sql::list(columns))),
    );
    for (key, text) in &found.keys {
        up.push(constraint_sql::add(table, key, &text.definition));
    }
    up.extend(text.rest.iter().cloned());
    let mut down = vec![Sql::Remark(
        "The table goes WITH ITS ROWS: these are lost, and running the phase again brings an empty table.",
    )];
    down.extend(
        found
            .keys
            .iter()
            .rev()
            .map(|(key, _)| Sql::Statement(constraint_sql::drop(table, key))),
    );
    down.push(Sql::Statement(format!("DROP TABLE {name}")));
    SchemaPhase {
        id: "create",
        kind: "expand",
        title: format!("Make {}", table.name),
        comments: &["Undone, the table goes, and ALL ROWS that code has written meanwhile ARE LOST."],
        explanation: &[
            "The table is empty, so that its indexes are built in a moment. Foreign keys follow one by one: each locks the",
            "table that it refers to for a moment.",
        ],
        up: Sql::each(up),
        down,
        patience: Patience::default(),
    }
}

fn remarks(text: &NewTableText, found: &Found<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    for columns in &found.indexes {
        remarks.push(format!(
            "An index by {} is made too: each deletion of a row that is referred to, and each change of its key, looks for rows \
             that refer to it.",
            constraint_sql::list(columns)
        ));
    }
    for (_, key) in &found.keys {
        if !key.definition.to_ascii_uppercase().contains("ON DELETE") {
            remarks.push(format!(
                "Once code of `use` writes rows, older code that still runs cannot delete the rows of {} that they refer to: say \
                 ON DELETE, or let that code bear it.",
                key.target
            ));
        }
    }
    remarks.push(format!(
        "`use` is taken to read and write all columns of {}; take out of `writes` what your INSERTs leave out.",
        text.table.name
    ));
    remarks
}

fn obstacles(text: &NewTableText, facts: &NewTableFacts) -> Vec<Refused> {
    let mut refused = Vec::new();
    let refuse = |what: String, why: &str| Refused {
        what,
        why: why.to_owned(),
    };
    let name = &text.table.name;
    if facts.relations.contains(name) {
        refused.push(refuse(
            format!("relation {name}"),
            "a table, index, sequence or view of the schema has the name; choose another, or drop that one first",
        ));
    } else if facts.types.contains(name) {
        refused.push(refuse(
            format!("type {name}"),
            "a type of the schema has the name, and the type of the table's rows would need it; choose another",
        ));
    }
    for index in &text.index_names {
        if facts.relations.contains(index) {
            refused.push(refuse(
                format!("relation {index}"),
                "a table, index, sequence or view of the schema has the name of the index; choose another",
            ));
        }
    }
    for (key, target) in text.foreign_keys.iter().zip(&facts.targets) {
        let columns: Vec<SqlIdentifier> = if key.target_columns.is_empty() {
            let primary = target
                .constraints
                .iter()
                .find(|one| one.kind == ConstraintType::PrimaryKey);
            primary.map(|one| one.columns.clone()).unwrap_or_default()
        } else {
            key.target_columns.clone()
        };
        let list = constraint_sql::list(&key.columns);
        if columns.len() != key.columns.len() {
            refused.push(refuse(
                format!("foreign key ({list}) to {}", target.table),
                "it does not refer to as many columns as it has; name those it refers to",
            ));
            continue;
        }
        refused.extend(not_unique(target, &columns));
        for (one, other) in key.columns.iter().zip(&columns) {
            let Some(other) = target.columns.iter().find(|column| column.name == *other) else {
                refused.push(Refused {
                    what: format!("column {} of {}", readable(other), target.table),
                    why: "there is none; a foreign key is to refer to it".to_owned(),
                });
                continue;
            };
            let own = facts.tried.iter().flatten().find(|column| column.name == *one);
            refused.extend(own.and_then(|own| differ((&own.name, &own.data_type), other)));
        }
    }
    refused
}
