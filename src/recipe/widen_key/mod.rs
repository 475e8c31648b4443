//! A key of a wider type, with every column that refers to it, over as many tables as there are.
//!
//! tolerate → add → backfill → constrain → swap → keep → relax → drop, as for one column that changes its type; but all columns
//! change their names in one transaction, since a foreign key that is checked against another type's values would refuse them.
//! A primary key cannot be put aside as other constraints can, since a table has one at most: it goes in that transaction with
//! the foreign keys that rest on it, and those of the new columns take their names. The way back builds them again before it.

mod identity;
mod obstacles;
mod phases;
mod remarks;
mod set;
mod sql;

use super::add_identity::IdentityFacts;
use super::draft::{Draft, Subject, already, refuse_unless_none};
use super::{ColumnFacts, ForeignKeyFacts, Order, Patience, Recipe, Refused, TableFacts};
use crate::domain::{ColumnName, Problem, TableName};
use crate::plan::ChangeKind;

/// What is known of a key and of all that refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WidenFacts {
    /// The key.
    pub key: ColumnName,
    /// The type that all columns get.
    pub data_type: String,
    /// The tables that have a part in it, that of the key first.
    pub tables: Vec<WidenedTable>,
    /// The foreign keys that refer to any of the columns.
    pub references: Vec<Reference>,
    /// What stands in the way besides what the columns carry.
    pub refused: Vec<Refused>,
}

/// A table with the columns that get the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WidenedTable {
    /// The table.
    pub facts: TableFacts,
    /// Its columns; none where those that refer to the key are wide enough already.
    pub columns: Vec<WidenedColumn>,
}

/// A column that gets the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WidenedColumn {
    /// The column.
    pub facts: ColumnFacts,
    /// Whether it is an identity, and its sequences.
    pub handed_out: IdentityFacts,
}

/// A foreign key that refers to one of the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its table.
    pub table: TableName,
    /// The key.
    pub key: ForeignKeyFacts,
}

/// How many bytes a value of an integer type has; `None` of any other type.
pub fn bytes_of(data_type: &str) -> Option<u8> {
    match data_type {
        "smallint" => Some(2),
        "integer" => Some(4),
        "bigint" => Some(8),
        _ => None,
    }
}

/// The recipe for `shipctl plan widen-key TABLE[.COLUMN]`.
///
/// # Errors
/// The key has the type already; what stands in the way.
pub fn recipe(facts: &WidenFacts, patience: &Patience, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::WidenKey;
    let key = &facts.key;
    if let Some(has) = facts.column(key).map(|column| &column.facts.data_type)
        && bytes_of(has)
            .zip(bytes_of(&facts.data_type))
            .is_some_and(|(has, gets)| has >= gets)
    {
        return Err(already(match facts.narrower() {
            columns if columns.is_empty() => format!("{key} is of type {has} already"),
            columns => format!(
                "{key} is of type {has} already; {}, which refer to it, are not: `shipctl plan change-type` widens each of them",
                columns.join(" and ")
            ),
        }));
    }
    let types = set::types(facts);
    let prepared = set::prepare(facts, &types);
    let refused = obstacles::all(facts, &prepared);
    refuse_unless_none(kind, &key.to_string(), &refused)?;
    let widening = prepared.map_err(|_| super::change_type::swap::uncopied())?;

    let subject = Subject {
        kind,
        table: &key.table,
        columns: std::slice::from_ref(&key.column),
        name: None,
        title: title(facts),
    };
    let mut draft = Draft::new(&subject, order)?;
    phases::write(&widening, patience, &mut draft)?;
    Ok(draft.finish(remarks::all(&widening)))
}

/// How many migrations the plan has at most.
pub fn migrations(facts: &WidenFacts) -> usize {
    4 + facts.tables.len()
}

impl WidenFacts {
    /// All columns that get the type, those of a table together.
    fn columns(&self) -> impl Iterator<Item = &WidenedColumn> {
        self.tables.iter().flat_map(|table| &table.columns)
    }

    fn column(&self, name: &ColumnName) -> Option<&WidenedColumn> {
        self.columns().find(|column| column.facts.column == *name)
    }

    /// The columns besides the key that are not of the type yet.
    fn narrower(&self) -> Vec<String> {
        let others = self.columns().filter(|column| column.facts.column != self.key);
        others.map(|column| column.facts.column.to_string()).collect()
    }
}

fn title(facts: &WidenFacts) -> String {
    let key = &facts.key;
    let others = match facts.columns().count() - 1 {
        0 => String::new(),
        1 => ", and a column that refers to it".to_owned(),
        number => format!(", and {number} columns that refer to it"),
    };
    format!(
        "Make {}.{} {}{others}",
        key.table.name, key.column, facts.data_type
    )
}
