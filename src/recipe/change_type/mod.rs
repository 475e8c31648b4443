//! A column of another type, without a rewrite or a scan that others wait for.
//!
//! - *In place*, where PostgreSQL neither rewrites nor scans: tolerate → change.
//! - By a second column that takes the first one's name: tolerate → add → backfill → constrain → swap → keep → relax → drop.
//!   A trigger fills the second column from the first until the swap, and the first from the second after it, so that the
//!   swap can be undone. It refuses what either type does not hold, so that code which writes that has to be gone before.
//!
//! Which of them is decided by the server itself, on an empty copy of the table.

mod in_place;
pub(super) mod swap;

use super::draft::{already, refuse_unless_none};
use super::{ColumnFacts, Order, Patience, Recipe, Refused, TableFacts};
use crate::domain::{Problem, TableName};
use crate::plan::ChangeKind;

/// What is known of a change of type, as the server tells it of an empty copy of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeFacts {
    /// The column as it is.
    pub column: ColumnFacts,
    /// The column as the change makes it.
    pub changed: ColumnFacts,
    /// How its values become those of the new type.
    pub there: Conversion,
    /// How they become those of the old type again; `None` where nothing is known to do it.
    pub back: Option<Conversion>,
    /// Why the change is not made in place, in words; `None` where it is metadata alone.
    pub not_in_place: Option<&'static str>,
    /// The way back of a change in place rewrites the table.
    pub back_rewrites: bool,
    /// It is metadata alone only while TimeZone is UTC.
    pub needs_utc: bool,
    /// What stands in the way of changing it in place.
    pub refused_in_place: Vec<Refused>,
    /// What stands in the way of a second column with triggers.
    pub refused_swap: Vec<Refused>,
    /// The sequence that the column owns.
    pub sequence: Option<OwnedSequence>,
}

/// How values of one type become those of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// An expression over the column, every name in it with its schema; `None` where the value is assigned as it is.
    pub expression: Option<String>,
    /// It depends on the settings of the session that works it out.
    pub unstable: bool,
}

/// A sequence that goes with a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedSequence {
    /// Its name.
    pub name: TableName,
    /// Its type.
    pub data_type: String,
    /// What it is called where SQL needs it to become of the new type, and again of the old one.
    pub types: Option<(String, String)>,
}

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// A second column even where it can be done in place.
    pub swap: bool,
    /// The reader gave both conversions, or needs none.
    pub using_given: bool,
    /// The reader gave the conversion back.
    pub back_given: bool,
    /// What has to be waited for before the old column goes.
    pub patience: Patience,
}

/// The recipe for `shipctl plan change-type TABLE.COLUMN TYPE`.
///
/// # Errors
/// The column has the type already; what stands in the way.
pub fn recipe(facts: &TypeFacts, table: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let column = &facts.column;
    if column.data_type == facts.changed.data_type && column.collation == facts.changed.collation {
        return Err(already(format!(
            "{} is of type {} already",
            column.column, column.data_type
        )));
    }
    let is_in_place = facts.not_in_place.is_none() && !wish.swap;
    let mut refused = if is_in_place {
        facts.refused_in_place.clone()
    } else {
        column.refused.clone()
    };
    if is_in_place {
        refused.extend(in_place::obstacles(facts, table));
    } else {
        refused.extend(swap::obstacles(facts, table, wish));
    }
    refused.dedup();
    refuse_unless_none(ChangeKind::ChangeType, &column.column.to_string(), &refused)?;
    if is_in_place {
        in_place::recipe(facts, table, order)
    } else {
        swap::recipe(facts, table, wish, order)
    }
}

/// The type for SQL, with its collation where that is not the type's own.
fn type_of(facts: &ColumnFacts) -> String {
    let collation = facts.collation.as_ref();
    let collation = collation.map_or_else(String::new, |collation| format!(" COLLATE {collation}"));
    format!("{}{collation}", facts.data_type)
}

/// The plan's title.
fn title(facts: &TypeFacts) -> String {
    let column = &facts.column.column;
    format!(
        "Make {}.{} {}",
        column.table.name,
        column.column,
        type_of(&facts.changed)
    )
}

/// What code has to bear before the type changes.
pub(super) const TOLERATES: &[&str] = &[
    "It works with values of the old and of the new type alike, and writes none that either of them does not hold, nor any",
    "that are different by the one and the same by the other where they are to be unique. Statements that were prepared",
    "before fail once when the type changes (`cached plan must not change result type`): it prepares them anew.",
];
