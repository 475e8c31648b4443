//! NOT NULL for a column that is there, without a scan under an exclusive lock and without an INSERT that fails.
//!
//! always-write → fill → constrain. Code that leaves the column NULL has to be gone before anything refuses it; the rows
//! that are NULL come next; then a check is added NOT VALID and validated while writers go on, and saves SET NOT NULL its
//! scan.

use super::add_check::written;
use super::draft::{Draft, Fill, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{Order, Patience, Recipe, Refused, TableFacts, TableKind, carry, constraint_sql};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::{ChangeKind, SyncMode};
use crate::sql::readable;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The column.
    pub column: SqlIdentifier,
    /// What rows get that are NULL; `None` where there are none.
    pub fill: Option<String>,
}

/// The recipe for `shipctl plan set-not-null TABLE.COLUMN`.
///
/// # Errors
/// No such column; it is NOT NULL already; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::SetNotNull;
    let column = facts.column(&wish.column)?;
    let full = facts.column_name(&column.name);
    if column.not_null {
        return Err(already(format!("{full} is NOT NULL already")));
    }
    let mut refused = facts.refused.clone();
    if facts.kind == TableKind::OfAFamily {
        refused.push(Refused {
            what: format!("inheritance of {}", facts.table),
            why: "a column that comes from a parent, or goes on to children, is changed with all of them"
                .to_owned(),
        });
    }
    if column.generated && wish.fill.is_some() {
        refused.push(Refused {
            what: format!("generated column {}", column.name),
            why: "its values are computed, so that no fill can set them; leave out --fill".to_owned(),
        });
    }
    // From 18 on PostgreSQL knows which NOT NULL is a table's own, and leaves that alone.
    if facts.server_version < 180_000 {
        for table in &column.not_null_below {
            refused.push(Refused {
                what: format!("NOT NULL of {} in {table}", column.name),
                why: "it would be lost when this is undone, since it could not be told from the parent's; set it by a migration \
                      of your own, or drop it there first"
                    .to_owned(),
            });
        }
    }
    refused.extend(carry::not_null_check_taken(
        facts.constraint_names(),
        &column.name,
    ));
    refuse_unless_none(kind, &full.to_string(), &refused)?;

    let subject = Subject {
        kind,
        table: &facts.table,
        columns: std::slice::from_ref(&column.name),
        name: None,
        title: format!("Make {}.{} NOT NULL", facts.table.name, column.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    let written = written(facts, &[column]);
    draft.code(
        "always-write",
        &format!("Code never leaves {} NULL", column.name),
        // What reads it lives with NULL until the end.
        &[],
        &written.iter().collect::<Vec<_>>(),
        &[if column.generated {
            "No INSERT and no UPDATE gives the columns that it is computed of values of which it comes out NULL."
        } else {
            "Every INSERT gives it a value, and no UPDATE sets it to NULL, also where a default used to do."
        }],
    );
    if let Some(expression) = &wish.fill {
        draft.backfill(
            "fill",
            &format!("Fill {} where it is NULL, in batches", column.name),
            &Fill::column(&full, expression, format!("{} IS NOT NULL", readable(&column.name))),
            SyncMode::Code,
            &["Rows for which `verify` holds are left alone, so that it can be stopped and run again at any time."],
        );
    }
    let mut up = Vec::new();
    if wish.fill.is_none() {
        up.push(Sql::Remark(
            "Fails while a row is NULL, before anything is refused.",
        ));
        up.push(Sql::Statement(constraint_sql::fail_if_any(
            &facts.table,
            &format!("{} IS NULL", readable(&column.name)),
            &format!("{} holds rows in which {} is NULL", facts.table, column.name),
        )));
    }
    up.extend(Sql::each(carry::set_not_null(&facts.table, &column.name)));
    draft.schema(SchemaPhase {
        id: "constrain",
        kind: "expand",
        title: format!("{} is NOT NULL", column.name),
        comments: &["Older code, which may leave it NULL, cannot come back from here on."],
        explanation: &["SET NOT NULL finds the validated check and does not scan the table."],
        up,
        down: Sql::each(carry::drop_not_null(&facts.table, &column.name)),
        patience: Patience::default(),
    });
    let mut remarks = Vec::new();
    if column.generated {
        remarks.push(format!(
            "Nothing fills rows in which {} comes out NULL: `constrain` fails, and changes nothing, while there are any.",
            column.name
        ));
    } else if wish.fill.is_none() {
        remarks.push(format!(
            "Nothing fills rows that are NULL: `constrain` fails, and changes nothing, while there are any. With --fill \
             EXPRESSION a backfill sets {} in them first.",
            column.name
        ));
    }
    Ok(draft.finish(remarks))
}
