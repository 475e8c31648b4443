//! What can fail: a version meets a schema or data that it cannot work with.

use super::model::{Columns, Model, Schema, one, places};

/// Something that fails, in the model's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A version reads a column that is not there.
    ReadsMissing { version: usize, column: usize },
    /// A version writes a column that is not there.
    WritesMissing { version: usize, column: usize },
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
    let strict = (schema.not_null | model.checked_not_null(schema.guards)) & schema.exists & !schema.filled;
    let mut set = code.sets;
    for sync in model.active_syncs(schema.guards) {
        for column in places(sync.kept) {
            if code.sets & sync.columns & !one(column) != 0 {
                set |= one(column);
            }
        }
    }
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
