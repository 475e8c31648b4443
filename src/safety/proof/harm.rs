//! What can fail: a version meets a schema or data that it cannot work with.

use super::model::{Columns, Model, one, places};
use super::schema::Schema;

/// Something that fails, in the model's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A version reads a column that is not there.
    ReadsMissing { version: usize, column: usize },
    /// A version writes a column that is not there.
    WritesMissing { version: usize, column: usize },
    /// A version writes a column whose values PostgreSQL makes.
    WritesGenerated { version: usize, column: usize },
    /// A version writes to a table with a trigger that uses a column which is not there.
    TriggerMisses {
        version: usize,
        guard: usize,
        column: usize,
    },
    /// The INSERT of a version leaves a column NULL that is NOT NULL.
    LeavesNull { version: usize, column: usize },
    /// The write of a version may run into a constraint that it was not written for.
    MayViolate { version: usize, guard: usize },
    /// A version reads a column in which values are missing or stale, because of another version or since nothing filled it.
    ReadsInvalid {
        version: usize,
        column: usize,
        because_of: Option<usize>,
    },
    /// A column goes that was the only one with the right values.
    Lost { column: usize },
    /// The script of the phase itself fails.
    CannotRun { column: usize, why: Cannot },
}

/// Why the script of a phase fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cannot {
    /// It makes a column that is there already.
    Exists,
    /// It uses a column that is not there.
    Missing,
    /// It makes a column NOT NULL that rows have no value in.
    Unfilled,
    /// It takes away what a view reads, or a trigger calls.
    Depended(usize),
}

/// Looks whether a version can work with a schema.
pub(super) fn of(
    model: &Model<'_>,
    schema: Schema,
    version: usize,
    stale_by: &[(usize, Columns)],
) -> Result<(), Found> {
    let Some(code) = model.versions.get(version) else {
        return Ok(());
    };
    if let Some(column) = places(code.reads & !schema.exists).next() {
        return Err(Found::ReadsMissing { version, column });
    }
    if let Some(column) = places(code.writes & !schema.exists).next() {
        return Err(Found::WritesMissing { version, column });
    }
    if let Some(found) = missed_by_trigger(model, schema, version, code.inserts) {
        return Err(found);
    }
    if let Some(column) = places(code.writes & schema.generated).next() {
        return Err(Found::WritesGenerated { version, column });
    }
    let (strict, set) = (model.strict(schema), model.set_by(schema, code));
    if let Some(column) = places(strict & code.inserts & !set).next() {
        return Err(Found::LeavesNull { version, column });
    }
    if let Some(guard) = places(u128::from(code.risks & schema.guards)).next() {
        return Err(Found::MayViolate { version, guard });
    }
    let invalid = code.reads & schema.exists & model.perishable & !schema.valid;
    if let Some(column) = places(invalid).next() {
        let because_of = stale_by
            .iter()
            .find(|(_, columns)| columns & one(column) != 0)
            .map(|(version, _)| *version);
        return Err(Found::ReadsInvalid {
            version,
            column,
            because_of,
        });
    }
    Ok(())
}

/// A column that a trigger at work uses and that is not there.
fn missed_by_trigger(model: &Model<'_>, schema: Schema, version: usize, inserts: Columns) -> Option<Found> {
    for guard in places(u128::from(schema.guards)) {
        let Some(trigger) = model.guards.get(guard).filter(|guard| guard.what.is_trigger()) else {
            continue;
        };
        if inserts & trigger.on == 0 {
            continue;
        }
        if let Some(column) = places(trigger.columns & !schema.exists).next() {
            return Some(Found::TriggerMisses {
                version,
                guard,
                column,
            });
        }
    }
    None
}
