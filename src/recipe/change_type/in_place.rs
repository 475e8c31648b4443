//! A change of type that is metadata alone.

use super::super::draft::{Draft, SchemaPhase, Sql, Subject};
use super::super::{
    ColumnFacts, ConstraintFacts, ConstraintType, Order, Patience, Recipe, Refused, TableFacts, carry,
    constraint_sql,
};
use super::{Conversion, TOLERATES, TypeFacts, title, type_of};
use crate::domain::Problem;
use crate::plan::ChangeKind;
use crate::sql::{complaint, literal, readable, readable_table};

/// The way back rewrites tables up to this size, which takes a moment, and no larger ones.
const SMALL: u32 = 64 << 20;

/// The constraints that PostgreSQL would look at all rows for: checks and foreign keys that the column has a part in.
fn rescanned<'t>(facts: &TypeFacts, table: &'t TableFacts) -> Vec<&'t ConstraintFacts> {
    let column = &facts.column.column.column;
    table
        .constraints
        .iter()
        .filter(|one| matches!(one.kind, ConstraintType::Check | ConstraintType::ForeignKey))
        .filter(|one| one.columns.contains(column))
        .collect()
}

/// What stands in the way.
pub(super) fn obstacles(facts: &TypeFacts, table: &TableFacts) -> Vec<Refused> {
    let mut refused = Vec::new();
    for constraint in rescanned(facts, table) {
        if constraint.inherited {
            refused.push(Refused {
                what: format!("constraint {}", constraint.name),
                why: "it comes from a parent table, and cannot be dropped and made anew here".to_owned(),
            });
        }
    }
    if facts.back.is_none() {
        refused.push(no_way_back(facts));
    }
    refused
}

/// Nothing is known to make the old values of the new ones.
pub(super) fn no_way_back(facts: &TypeFacts) -> Refused {
    Refused {
        what: format!("the way back to {}", facts.column.data_type),
        why: format!(
            "PostgreSQL does not know how to make {} of {}; say it with --back 'EXPRESSION' over {}",
            facts.column.data_type, facts.changed.data_type, facts.column.column.column
        ),
    }
}

pub(super) fn recipe(facts: &TypeFacts, table: &TableFacts, order: &Order) -> Result<Recipe, Problem> {
    let full = &facts.column.column;
    let name = &full.column;
    let subject = Subject {
        kind: ChangeKind::ChangeType,
        table: &full.table,
        columns: std::slice::from_ref(name),
        name: None,
        title: title(facts),
    };
    let mut draft = Draft::new(&subject, order)?;
    draft.code(
        "tolerate",
        &format!("Code bears {name} of either type"),
        &[full],
        &[full],
        TOLERATES,
    );
    let mut up = change(facts, table, &facts.changed, Some(&facts.there), true);
    up.push(Sql::Statement(analyze(full)));
    let mut down = Vec::new();
    if facts.back_rewrites {
        down.push(Sql::Remark(
            "PostgreSQL writes every row anew for this way back while everybody waits, so that it is done up to 64 MB only.",
        ));
        down.push(Sql::Statement(refuse_large(facts)));
    }
    down.extend(change(
        facts,
        table,
        &facts.column,
        facts.back.as_ref(),
        !facts.back_rewrites,
    ));
    // The change of type took them away, there and back.
    down.extend(Sql::each(carry::set_storage(&facts.column, name)));
    down.push(Sql::Statement(analyze(full)));
    draft.schema(SchemaPhase {
        id: "change",
        kind: "expand",
        title: format!("{name} is {}", type_of(&facts.changed)),
        comments: &["Older code, which knows the old type only, cannot come back from here on. Code that needs the new one comes \
                     after the plan."],
        explanation: &[
            "The server was asked: it neither rewrites the table nor builds an index anew for this. Checks and foreign keys",
            "would be looked at for all rows under the lock, so that they come back NOT VALID with it and are validated after.",
            "It is ended after two seconds, which it takes only if what the server was asked about has changed: plan it again then.",
            "The statistics of the column are gone with its type, hence ANALYZE.",
        ],
        up,
        down,
        patience: Patience::default(),
    });
    Ok(draft.finish(remarks(facts)))
}

/// Changes the type in one statement with what would be looked at again, and validates that after.
fn change(
    facts: &TypeFacts,
    table: &TableFacts,
    to: &ColumnFacts,
    conversion: Option<&Conversion>,
    in_a_moment: bool,
) -> Vec<Sql> {
    let full = &facts.column.column;
    let sql_table = readable_table(&full.table);
    let constraints = rescanned(facts, table);
    let mut actions: Vec<String> = constraints
        .iter()
        .map(|one| format!("DROP CONSTRAINT {}", readable(&one.name)))
        .collect();
    let using = conversion
        .and_then(|conversion| conversion.expression.as_ref())
        .map_or_else(String::new, |expression| format!(" USING {expression}"));
    actions.push(format!(
        "ALTER COLUMN {} TYPE {}{using}",
        readable(&full.column),
        type_of(to)
    ));
    for one in &constraints {
        let not_valid = if one.definition.ends_with("NOT ENFORCED") {
            ""
        } else {
            " NOT VALID"
        };
        actions.push(format!(
            "ADD CONSTRAINT {} {}{not_valid}",
            readable(&one.name),
            one.definition
        ));
    }
    let mut together = Vec::new();
    if facts.needs_utc {
        together.push("SET LOCAL TimeZone = 'UTC'".to_owned());
    }
    together.push(format!("ALTER TABLE {sql_table}\n  {}", actions.join(",\n  ")));
    let mut sql = vec![if in_a_moment {
        Sql::in_a_moment(together)
    } else {
        Sql::Together(together)
    }];
    for one in &constraints {
        if one.validated {
            sql.push(Sql::Statement(constraint_sql::validate(&full.table, &one.name)));
        }
        if let Some(comment) = &one.comment {
            sql.push(Sql::Statement(constraint_sql::comment(
                &full.table,
                &one.name,
                comment,
            )));
        }
    }
    sql
}

fn analyze(column: &crate::domain::ColumnName) -> String {
    format!(
        "ANALYZE {} ({})",
        readable_table(&column.table),
        readable(&column.column)
    )
}

/// Fails where the table is so large that writing it anew takes long.
fn refuse_large(facts: &TypeFacts) -> String {
    let column = &facts.column.column;
    let message = format!(
        "{} is too large for its rows to be written anew while everybody waits; plan the way back instead: shipctl plan \
         change-type {column} '{}'",
        column.table, facts.column.data_type
    );
    let table = literal(&readable_table(&column.table));
    complaint(
        &message,
        &format!("WHERE pg_total_relation_size({table}) > {SMALL}"),
    )
}

fn remarks(facts: &TypeFacts) -> Vec<String> {
    let column = &facts.column.column;
    let mut remarks = vec![format!(
        "In place: tried on an empty copy, the server neither rewrote the table nor built an index anew to make {} of {}.",
        type_of(&facts.changed),
        type_of(&facts.column)
    )];
    if facts.needs_utc {
        remarks.push(format!(
            "That holds because TimeZone is UTC for this database and role: the values of {} are taken as times of UTC, and the \
             migration says so. Where sessions that write it have another TimeZone, use --swap with --using.",
            column.column
        ));
    }
    if facts.back_rewrites {
        remarks.push(format!(
            "The way back, to {}, rewrites the table: `rollback` does that up to 64 MB, and fails before it changes anything \
             where the table is larger or a value does not fit any more. --swap makes a plan whose way back rewrites nothing.",
            type_of(&facts.column)
        ));
    }
    remarks.extend(facts.column.remarks.iter().cloned());
    remarks
}
