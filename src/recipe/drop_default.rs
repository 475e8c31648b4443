//! No default any more, without an INSERT that counted on it.
//!
//! always-write → drop-default. All code gives the value itself first; what counts on the default has to be gone before it
//! is taken away, since its INSERTs would fail or leave NULL.

use super::draft::{Draft, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::set_default::{alter, obstacles, old_default};
use super::{Order, Patience, Recipe, TableFacts};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::ChangeKind;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The column.
    pub column: SqlIdentifier,
    /// What has to be waited for before the default goes.
    pub patience: Patience,
}

/// The recipe for `shipctl plan drop-default TABLE.COLUMN`.
///
/// # Errors
/// No such column; it has no default; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::DropDefault;
    let column = facts.column(&wish.column)?;
    let full = facts.column_name(&column.name);
    refuse_unless_none(kind, &full.to_string(), &obstacles(facts, column))?;
    if column.default.is_none() {
        return Err(already(format!("{full} has no default")));
    }

    let subject = Subject {
        kind,
        table: &facts.table,
        columns: std::slice::from_ref(&column.name),
        name: None,
        title: format!("No default for {}.{}", facts.table.name, column.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    draft.code(
        "always-write",
        &format!("Code gives {} itself in every INSERT", column.name),
        &[],
        &[&full],
        &["Also where the value is the default: object-relational mappers leave such values out as long as they know of it."],
    );
    let left_out = if column.not_null {
        "An INSERT that leaves the column out fails from here on."
    } else {
        "An INSERT that leaves the column out makes it NULL from here on."
    };
    draft.schema(SchemaPhase {
        id: "drop-default",
        kind: "contract",
        title: format!("{} has no default", column.name),
        comments: &[
            left_out,
            "Older code, which counts on the default, cannot come back.",
        ],
        explanation: &["Rows that are there keep their values; the way back brings the same default."],
        up: Sql::each([alter(facts, column, "DROP DEFAULT")]),
        down: Sql::each([old_default(facts, column)]),
        patience: wish.patience.clone(),
    });
    Ok(draft.finish(Vec::new()))
}
