//! Renaming a column without a moment in which running code breaks (placeholder until the logic lands).

use jiff::Timestamp;

use super::{ColumnFacts, Recipe};
use crate::domain::{Exit, Problem, SqlIdentifier};

/// The recipe for `shipctl plan rename TABLE.COLUMN NEW`. `now` stamps the migration names.
///
/// # Errors
/// What the column carries and cannot be carried over, by name.
pub fn recipe(facts: &ColumnFacts, to: &SqlIdentifier, now: Timestamp) -> Result<Recipe, Problem> {
    let _ = (facts, now);
    Err(Problem::new(
        Exit::Usage,
        "not-built",
        format!("cannot rename to {to} yet"),
    ))
}
