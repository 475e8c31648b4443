//! The columns of a key as swaps of one column each, and the keys between them that are made anew.

use super::{Reference, WidenFacts, WidenedColumn, WidenedTable};
use crate::domain::{ColumnName, SqlIdentifier, TableName};
use crate::recipe::change_type::swap::carried::{foreign_key_of, index_of};
use crate::recipe::change_type::swap::{Swap, prepare as prepare_swap};
use crate::recipe::change_type::{Conversion, OwnedSequence, TypeFacts};
use crate::recipe::{ColumnFacts, ForeignKeyFacts, IndexFacts, Refused};

/// Everything that the files are made from.
pub(super) struct Widening<'a> {
    pub(super) facts: &'a WidenFacts,
    /// The tables, each behind those that it refers to.
    pub(super) tables: Vec<OfTable<'a>>,
    pub(super) references: Vec<Twins<'a>>,
}

/// A table in the set.
pub(super) struct OfTable<'a> {
    pub(super) table: &'a WidenedTable,
    /// One for each of its columns that get the type.
    pub(super) swaps: Vec<Swap<'a>>,
    /// The index of its primary key, where a column is part of that.
    pub(super) primary: Option<Primary<'a>>,
}

/// The index of a primary key, and those that take its place.
pub(super) struct Primary<'a> {
    pub(super) own: &'a IndexFacts,
    /// Over the new columns, before they have the names.
    pub(super) next: IndexFacts,
    /// Over the old columns, on the way back.
    pub(super) old: IndexFacts,
}

/// A foreign key that refers to a column of the set, and those that take its place.
pub(super) struct Twins<'a> {
    pub(super) table: &'a TableName,
    pub(super) own: &'a ForeignKeyFacts,
    pub(super) next: ForeignKeyFacts,
    pub(super) old: ForeignKeyFacts,
}

impl OfTable<'_> {
    pub(super) fn name(&self) -> &TableName {
        &self.table.facts.table
    }

    /// The column facts by which SQL finds the table.
    pub(super) fn any(&self) -> Option<&ColumnFacts> {
        self.table.columns.first().map(|column| &column.facts)
    }
}

impl Widening<'_> {
    /// The tables with columns that get the type.
    pub(super) fn changed(&self) -> impl DoubleEndedIterator<Item = &OfTable<'_>> {
        self.tables.iter().filter(|table| !table.swaps.is_empty())
    }

    pub(super) fn swaps(&self) -> impl Iterator<Item = &Swap<'_>> {
        self.tables.iter().flat_map(|table| &table.swaps)
    }
}

/// What each column changes to, table by table. What several columns of a table carry is told of the first of them; what is made
/// anew is told of none.
pub(super) fn types(facts: &WidenFacts) -> Vec<Vec<TypeFacts>> {
    let of_table = |table: &WidenedTable| {
        let each = table.columns.iter().enumerate();
        each.map(|(number, column)| {
            let before = table.columns.get(..number).unwrap_or_default();
            type_of(facts, column, before)
        })
        .collect()
    };
    facts.tables.iter().map(of_table).collect()
}

fn type_of(facts: &WidenFacts, column: &WidenedColumn, before: &[WidenedColumn]) -> TypeFacts {
    let mut own = column.facts.clone();
    let table = &own.column.table;
    let before = || before.iter().map(|other| &other.facts);
    own.indexes
        .retain(|index| !is_primary(index) && !before().any(|other| other.indexes.contains(index)));
    own.checks
        .retain(|check| !before().any(|other| other.checks.contains(check)));
    own.foreign_keys.retain(|key| {
        let is_anew = |one: &Reference| one.table == *table && one.key.name == key.name;
        !facts.references.iter().any(is_anew) && !before().any(|other| other.foreign_keys.contains(key))
    });
    let as_it_is = Conversion {
        expression: None,
        unstable: false,
    };
    TypeFacts {
        changed: ColumnFacts {
            data_type: facts.data_type.clone(),
            ..own.clone()
        },
        there: as_it_is.clone(),
        back: Some(as_it_is),
        not_in_place: Some("PostgreSQL rewrites the table"),
        back_rewrites: true,
        needs_utc: false,
        refused_in_place: Vec::new(),
        refused_swap: Vec::new(),
        sequence: sequence(facts, column),
        column: own,
    }
}

/// The sequence that the column owns, where it is no identity.
fn sequence(facts: &WidenFacts, column: &WidenedColumn) -> Option<OwnedSequence> {
    if column.handed_out.is_always.is_some() {
        return None;
    }
    column.handed_out.sequences.first().map(|sequence| OwnedSequence {
        name: sequence.name.clone(),
        data_type: sequence.data_type.clone(),
        types: (sequence.data_type == column.facts.data_type)
            .then(|| (sequence.data_type.clone(), facts.data_type.clone())),
    })
}

pub(super) fn is_primary(index: &IndexFacts) -> bool {
    index.constraint.as_ref().is_some_and(|one| one.primary)
}

/// Puts them together; what leaves doubt is refused.
pub(super) fn prepare<'a>(
    facts: &'a WidenFacts,
    types: &'a [Vec<TypeFacts>],
) -> Result<Widening<'a>, Vec<Refused>> {
    let mut refused = Vec::new();
    let mut tables = Vec::new();
    for number in parents_first(facts) {
        let (Some(table), Some(types)) = (facts.tables.get(number), types.get(number)) else {
            continue;
        };
        let columns = names(table);
        let mut swaps = Vec::new();
        for of_column in types {
            match prepare_swap(of_column, &columns, &label(facts, of_column)) {
                Ok(swap) => swaps.push(swap),
                Err(more) => refused.extend(more),
            }
        }
        let mut indexes = table.columns.iter().flat_map(|column| &column.facts.indexes);
        let primary = indexes.find(|index| is_primary(index)).map(|own| {
            let twin = |suffix| {
                index_of(own, &columns, suffix).map(|index| IndexFacts {
                    constraint: None,
                    clustered: false,
                    ..index
                })
            };
            Ok(Primary {
                own,
                next: twin("_next")?,
                old: twin("_old")?,
            })
        });
        let primary = primary.transpose().unwrap_or_else(|why: String| {
            refused.push(Refused {
                what: format!("primary key of {}", table.facts.table),
                why,
            });
            None
        });
        tables.push(OfTable {
            table,
            swaps,
            primary,
        });
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let references = facts.references.iter().map(|one| Twins {
        table: &one.table,
        own: &one.key,
        next: twin(facts, one, "_next"),
        old: twin(facts, one, "_old"),
    });
    Ok(Widening {
        references: references.collect(),
        facts,
        tables,
    })
}

/// What the triggers of a column are named by: its table, and the schema where another in the set is named so too.
fn label(facts: &WidenFacts, column: &TypeFacts) -> String {
    let full = &column.column.column;
    let joined = |name: &ColumnName| format!("{}_{}", name.table.name.as_str(), name.column.as_str());
    let mut others = facts.columns().map(|one| &one.facts.column);
    let is_ambiguous = others.any(|other| other != full && joined(other) == joined(full));
    match &full.table.schema {
        Some(schema) if is_ambiguous => format!("{}_{}", schema.as_str(), joined(full)),
        _ => joined(full),
    }
}

/// The columns of a table that get the type.
fn names(table: &WidenedTable) -> Vec<SqlIdentifier> {
    let names = table.columns.iter().map(|one| &one.facts.column.column);
    names.cloned().collect()
}

/// A foreign key between the columns with this suffix.
fn twin(facts: &WidenFacts, reference: &Reference, suffix: &str) -> ForeignKeyFacts {
    let columns_of = |table: &TableName| {
        let mut tables = facts.tables.iter();
        tables
            .find(|one| one.facts.table == *table)
            .map(names)
            .unwrap_or_default()
    };
    let mut key = foreign_key_of(&reference.key, &columns_of(&reference.table), suffix);
    let widened = columns_of(&key.target);
    for column in &mut key.target_columns {
        if widened.contains(column) {
            *column = crate::recipe::carry::interim(column, suffix);
        }
    }
    key
}

/// The numbers of the tables, each behind those that it refers to; where they refer to each other, as they were found.
fn parents_first(facts: &WidenFacts) -> Vec<usize> {
    let mut left: Vec<usize> = (0..facts.tables.len()).collect();
    let mut sorted = Vec::new();
    let table = |number: usize| facts.tables.get(number).map(|one| &one.facts.table);
    while !left.is_empty() {
        let is_free = |number: &usize| {
            let parents = facts
                .references
                .iter()
                .filter(|one| Some(&one.table) == table(*number) && one.key.target != one.table);
            let mut parents = parents.map(|one| Some(&one.key.target));
            !parents.any(|parent| left.iter().any(|other| table(*other) == parent))
        };
        let place = left.iter().position(is_free).unwrap_or_default();
        sorted.push(left.remove(place));
    }
    sorted
}
