//! What one column carries, for another: the same under another name.

use super::interim;
use crate::domain::SqlIdentifier;
use crate::recipe::{CheckFacts, ForeignKeyFacts, IndexFacts, IndexKey, IndexedValue};
use crate::sql::replace_column;

/// What an object for the new column has behind its name until the old column is gone.
const NEXT: &str = "_next";

/// A copy of a check constraint for the other column, under its interim name.
///
/// # Errors
/// The expression leaves doubt about what is the column.
pub fn check_for(check: &CheckFacts, old: &SqlIdentifier, new: &SqlIdentifier) -> Result<CheckFacts, String> {
    check_as(check, old, new, NEXT)
}

/// The same, under a name with this suffix.
///
/// # Errors
/// The expression leaves doubt about what is the column.
pub fn check_as(
    check: &CheckFacts,
    old: &SqlIdentifier,
    new: &SqlIdentifier,
    suffix: &str,
) -> Result<CheckFacts, String> {
    Ok(CheckFacts {
        name: interim(&check.name, suffix),
        expression: replace_column(&check.expression, old, new)?,
        ..check.clone()
    })
}

/// A copy of a foreign key for the other column, under its interim name.
pub fn foreign_key_for(key: &ForeignKeyFacts, old: &SqlIdentifier, new: &SqlIdentifier) -> ForeignKeyFacts {
    foreign_key_as(key, old, new, NEXT)
}

/// The same, under a name with this suffix.
pub fn foreign_key_as(
    key: &ForeignKeyFacts,
    old: &SqlIdentifier,
    new: &SqlIdentifier,
    suffix: &str,
) -> ForeignKeyFacts {
    ForeignKeyFacts {
        name: interim(&key.name, suffix),
        columns: key
            .columns
            .iter()
            .map(|column| swapped(column, old, new))
            .collect(),
        ..key.clone()
    }
}

/// A copy of an index for the other column, under its interim name.
///
/// # Errors
/// An expression leaves doubt about what is the column.
pub fn index_for(index: &IndexFacts, old: &SqlIdentifier, new: &SqlIdentifier) -> Result<IndexFacts, String> {
    index_as(index, old, new, NEXT)
}

/// The same, under a name with this suffix.
///
/// # Errors
/// An expression leaves doubt about what is the column.
pub fn index_as(
    index: &IndexFacts,
    old: &SqlIdentifier,
    new: &SqlIdentifier,
    suffix: &str,
) -> Result<IndexFacts, String> {
    let keys: Result<Vec<IndexKey>, String> = index
        .keys
        .iter()
        .map(|key| {
            let what = match &key.what {
                IndexedValue::Column(column) => IndexedValue::Column(swapped(column, old, new)),
                IndexedValue::Expression(text) => IndexedValue::Expression(replace_column(text, old, new)?),
            };
            Ok(IndexKey { what, ..key.clone() })
        })
        .collect();
    Ok(IndexFacts {
        name: interim(&index.name, suffix),
        keys: keys?,
        include: index
            .include
            .iter()
            .map(|column| swapped(column, old, new))
            .collect(),
        predicate: index
            .predicate
            .as_deref()
            .map(|predicate| replace_column(predicate, old, new))
            .transpose()?,
        ..index.clone()
    })
}

fn swapped(column: &SqlIdentifier, old: &SqlIdentifier, new: &SqlIdentifier) -> SqlIdentifier {
    if column == old {
        new.clone()
    } else {
        column.clone()
    }
}
