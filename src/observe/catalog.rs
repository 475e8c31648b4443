//! What the database's catalog says of a column (placeholder until the logic lands).

use crate::domain::{ColumnName, Problem};
use crate::postgres::Session;
use crate::recipe::ColumnFacts;

/// Reads everything a recipe must know of a column.
///
/// # Errors
/// No such table or column (with the nearest names).
pub async fn column_facts(session: &Session, column: &ColumnName) -> Result<ColumnFacts, Problem> {
    let _ = session;
    Err(Problem::new(
        crate::domain::Exit::Usage,
        "not-built",
        column.to_string(),
    ))
}
