//! A column that holds what stood in a JSON document, kept in step with it until nothing uses the document for it any more.
//!
//! - By a trigger: add → backfill → switch → compare → drop (→ remove-key).
//! - Or the code writes both for a while: add → dual-write → backfill → switch-read → compare → stop-write → drop
//!   (→ remove-key).
//!
//! A value that does not fit the column's type leaves it NULL while
//! old code may still write such values, and stops `backfill` and `compare`, which name the rows: nothing is read as NULL,
//! or goes, that was never NULL, unless that was asked for.

mod functions;
mod obstacles;
mod phases;

use super::add_column::NewColumnFacts;
use super::draft::{already, refusal, refuse_unless_none};
use super::json_path::JsonPath;
use super::sync_trigger::SyncTrigger;
use super::{ColumnFacts, Comparison, Order, Patience, Recipe, TableFacts};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::{ChangeKind, SyncMode};
use functions::Functions;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The new column.
    pub column: SqlIdentifier,
    /// Where the value is.
    pub path: JsonPath,
    /// What keeps the column and the documents in step.
    pub sync: SyncMode,
    /// A value that does not fit the type becomes NULL.
    pub or_null: bool,
    /// The value goes from the documents in the end.
    pub remove_key: bool,
    /// What has to be waited for before the documents no longer follow.
    pub patience: Patience,
}

/// What the database says of the new column's type.
#[derive(Clone, Debug)]
pub struct TypeFacts {
    /// What it says of a new column.
    pub column: NewColumnFacts,
    /// It is an array, a composite, json or a type that becomes JSON in a way of its own: what is written to a column of it
    /// would not be read again from the document as it was.
    pub is_composed: bool,
    /// How two of its values are found to be the same.
    pub comparison: Comparison,
}

/// Everything that the files are made from.
struct Extraction<'a> {
    table: &'a TableFacts,
    document: &'a ColumnFacts,
    new: &'a TypeFacts,
    wish: &'a Wish,
    functions: Functions<'a>,
    /// What keeps both in step, where it is not the code.
    trigger: Option<SyncTrigger>,
}

/// The recipe for `shipctl plan extract-json TABLE.COLUMN KEYPATH NEWCOLUMN TYPE`.
///
/// # Errors
/// The column is there already; what stands in the way.
pub fn recipe(
    table: &TableFacts,
    document: &ColumnFacts,
    new: &TypeFacts,
    wish: &Wish,
    order: &Order,
) -> Result<Recipe, Problem> {
    let kind = ChangeKind::ExtractJson;
    let column = table.column_name(&wish.column);
    let known = table.columns.iter().find(|one| one.name == wish.column);
    if known.is_some_and(|one| one.data_type == new.column.data_type) {
        return Err(already(format!(
            "{column} is there already, and is {}",
            new.column.data_type
        )));
    }
    let label = format!("{}_{}", table.table.name.as_str(), wish.column.as_str());
    let mut refused = obstacles::of(table, document, new, wish);
    let trigger = match wish.sync {
        SyncMode::Code => None,
        SyncMode::Trigger => {
            match SyncTrigger::named(&table.table, &label, document.before_triggers.iter().flatten()) {
                Ok(trigger) => Some(trigger),
                Err(one) => {
                    refused.push(one);
                    return Err(refusal(kind, &column.to_string(), &refused));
                }
            }
        }
    };
    refuse_unless_none(kind, &column.to_string(), &refused)?;

    phases::plan(
        &Extraction {
            table,
            document,
            new,
            wish,
            functions: Functions::new(document, new, wish, &label),
            trigger,
        },
        order,
    )
}
