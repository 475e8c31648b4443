//! A column that may be NULL, without a reader that cannot bear it.
//!
//! bear-null → relax → write-null. NOT NULL protects the code that reads: it goes only once every reader bears NULL, and
//! code that writes NULL comes only after. From then on neither older readers nor the constraint come back before the rows
//! that are NULL have been filled, which is what `writes` of the two code phases says to the rules.

use super::draft::{Draft, Fill, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{Order, Patience, Recipe, Refused, TableColumn, TableFacts, TableKind, carry};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::readable;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The column.
    pub column: SqlIdentifier,
    /// What rows get that are NULL when the plan is undone.
    pub fill: Option<String>,
}

/// The recipe for `shipctl plan drop-not-null TABLE.COLUMN`.
///
/// # Errors
/// No such column; it may be NULL already; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::DropNotNull;
    let column = facts.column(&wish.column)?;
    let full = facts.column_name(&column.name);
    if !column.not_null {
        return Err(already(format!("{full} may be NULL already")));
    }
    refuse_unless_none(kind, &full.to_string(), &obstacles(facts, column, wish))?;

    let subject = Subject {
        kind,
        table: &facts.table,
        columns: std::slice::from_ref(&column.name),
        name: None,
        title: format!("Let {}.{} be NULL", facts.table.name, column.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    let written = [&full];
    let writes = if column.generated { &[][..] } else { &written[..] };
    draft.code(
        "bear-null",
        &format!("Everything that reads {} bears NULL", column.name),
        // It does not rely on a value any more.
        &[],
        writes,
        &["It does not write NULL yet: until `relax`, that would fail. What comes out of a NULL (sums, joins, NOT IN) counts too."],
    );
    draft.schema(SchemaPhase {
        id: "relax",
        kind: "expand",
        title: format!("{} may be NULL", column.name),
        comments: &["Older code, which may not bear NULL, cannot come back from here on."],
        explanation: &[
            "Nothing is scanned: what was never NULL still is not.",
            "The way back does restrict: it fails, and changes nothing, while a row is NULL.",
        ],
        // The check is there only where the way back was given up halfway.
        up: Sql::each(carry::drop_not_null(&facts.table, &column.name)),
        down: Sql::each(carry::set_not_null(&facts.table, &column.name)),
        patience: Patience::default(),
    });
    let mut remarks = Vec::new();
    if !column.generated {
        draft.code(
            "write-null",
            &format!("Code may leave {} NULL", column.name),
            &[],
            // Not with every write any more.
            &[],
            &[match wish.fill {
                Some(_) => {
                    "Once this ran anywhere, code from before `bear-null` is kept away until a rollback has filled the rows that are NULL."
                }
                None => "Once this ran anywhere, code from before `bear-null` is kept away for good: rows may be NULL.",
            }],
        );
        match &wish.fill {
            Some(expression) => draft.restore(
                "The way back: rows that are NULL by then get a value.",
                &Fill::column(&full, expression, format!("{} IS NOT NULL", readable(&column.name))),
            ),
            None => remarks.push(
                "Once `write-null` ran, the plan cannot be undone, since rows may be NULL. With --fill EXPRESSION a rollback \
                 gives them a value first."
                    .to_owned(),
            ),
        }
    }
    remarks.extend(not_null_remark(column));
    Ok(draft.finish(remarks))
}

/// What the way back does not bring.
fn not_null_remark(column: &TableColumn) -> Option<String> {
    column.named_not_null.as_ref().map(|constraint| {
        format!(
            "Its NOT NULL constraint has a name or a comment of its own ({}); undone, it comes back by the name that \
             PostgreSQL gives it, and without the comment.",
            constraint.name
        )
    })
}

fn obstacles(facts: &TableFacts, column: &TableColumn, wish: &Wish) -> Vec<Refused> {
    let mut refused = facts.refused.clone();
    let mut refuse = |what: String, why: &str| {
        refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    if let Some(key) = facts.primary_key_of(&column.name) {
        refuse(
            format!("primary key {}", key.name),
            "its columns are never NULL; give the table another primary key first",
        );
    }
    if column.identity {
        refuse(
            format!("identity of {}", column.name),
            "an identity column is never NULL; run ALTER COLUMN … DROP IDENTITY first",
        );
    }
    if column.replica_identity {
        refuse(
            format!("replica identity of {}", facts.table),
            "logical replication tells rows apart by this column, which must not be NULL for that; set another REPLICA \
             IDENTITY first",
        );
    }
    if facts.kind == TableKind::OfAFamily || facts.has_parent {
        refuse(
            format!("inheritance of {}", facts.table),
            "a column that comes from a parent, or goes on to children, is changed with all of them",
        );
    }
    if column.named_not_null.as_ref().is_some_and(|one| !one.validated) {
        refuse(
            format!("NOT NULL of {}, which is NOT VALID", column.name),
            "rows may be NULL already, so that the way back could fail; validate it first",
        );
    }
    if column.generated && wish.fill.is_some() {
        refuse(
            format!("generated column {}", column.name),
            "its values are computed, so that no fill can set them; leave out --fill",
        );
    }
    refused.extend(carry::not_null_check_taken(
        facts.constraint_names(),
        &column.name,
    ));
    refused
}
