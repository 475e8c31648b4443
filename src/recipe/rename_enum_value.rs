//! A value of an enum type that gets another name while old and new code run: by a second value beside it.
//!
//! read-both → add → write-new → fill → read-new. `ALTER TYPE … RENAME VALUE` takes no time, but at that moment every
//! writer of the old name begins to fail, and before it every writer of the new one did. So the new name is added as a value
//! right after the old one, code reads both and writes the new one, rows are filled, and code forgets the old one. It stays in
//! the type, since PostgreSQL drops no values.

use super::add_enum_value::add_phase;
use super::draft::{Draft, Fill, ValueSubject, already, refuse_unless_none};
use super::enum_type::unusable;
use super::{EnumColumn, EnumFacts, EnumShape, Order, Recipe, Refused};
use crate::domain::{Problem, TableName};
use crate::plan::{ChangeKind, SyncMode};
use crate::sql::literal;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The value.
    pub from: String,
    /// What it is called afterwards.
    pub to: String,
}

/// The recipe for `shipctl plan rename-enum-value TYPE OLD NEW`.
///
/// # Errors
/// No such value, or it is there under both names; what stands in the way.
pub fn recipe(facts: &EnumFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::RenameEnumValue;
    let (from, to) = (wish.from.as_str(), wish.to.as_str());
    let (old, new) = (literal(from), literal(to));
    if from == to {
        return Err(already(format!("{old} has that name already")));
    }
    facts.place(from)?;
    refuse_unless_none(kind, &format!("{old} of {}", facts.name), &obstacles(facts, wish))?;

    let subject = ValueSubject {
        kind,
        data_type: &facts.name,
        value: from,
        to: Some(to),
        title: format!("Rename the value {old} of {} to {new}", facts.name.name),
    };
    let mut draft = Draft::of_value(&subject, order)?;
    let (from_name, to_name) = (facts.value_name(from), facts.value_name(to));
    draft.code(
        "read-both",
        &format!("Code takes {new} for what {old} is"),
        &[],
        &[&from_name],
        &[
            "It reads both, and writes the old one. In SQL it does not name the new one, which is not there yet: it asks for",
            "felt::text IN (…), not felt = ….",
        ],
    );
    draft.schema(add_phase(facts, to, &format!(" AFTER {old}")));
    draft.code(
        "write-new",
        &format!("Code writes {new}, and reads both"),
        &[],
        &[&to_name],
        &["Every INSERT and UPDATE that wrote the old one writes the new one."],
    );
    if let Some(table) = facts.columns.first().map(|held| &held.column.table) {
        draft.restore(
            "The way back: rows get the old value again, once no code runs that writes the new one.",
            &fill(facts, table, to, from),
        );
        draft.backfill(
            "fill",
            &format!("Give rows {new} that hold {old}, in batches"),
            &fill(facts, table, from, to),
            SyncMode::Code,
            &["Rows for which `verify` holds are left alone, so that it can be stopped and run again at any time."],
        );
    }
    draft.code(
        "read-new",
        &format!("Code knows only {new}"),
        &[&to_name],
        &[&to_name],
        &["The old value stays in the type, and no row holds it: shipctl plan drop-enum-value keeps it so."],
    );
    if let Some(table) = facts.columns.first().map(|held| &held.column.table) {
        // It too no longer writes what code above `write-new` wrote. While that code is everywhere it holds as it is.
        draft.restore(
            "The way back to `write-new` leaves rows as `fill` did; what is above it gets the old value by its own.",
            &fill(facts, table, from, to),
        );
    }
    Ok(draft.finish(remarks(facts, wish)))
}

/// Gives rows of a table one value in the place of another.
fn fill<'a>(facts: &'a EnumFacts, table: &'a TableName, from: &str, to: &str) -> Fill<'a> {
    let columns: Vec<&EnumColumn> = facts
        .columns
        .iter()
        .filter(|held| held.column.table == *table)
        .collect();
    let is_alone = columns.len() == 1;
    let set = columns.iter().map(|held| {
        // Only rows that hold it are set.
        let value = match held.shape {
            EnumShape::One if is_alone => facts.value(to),
            _ => held.exchanged(facts, from, to),
        };
        (&held.column.column, value)
    });
    let verify = columns.iter().map(|held| {
        let holds = format!("({}) IS NOT TRUE", held.holds(from));
        if is_alone { holds } else { format!("({holds})") }
    });
    Fill {
        table,
        set: set.collect(),
        verify: verify.collect::<Vec<_>>().join(" AND "),
    }
}

fn obstacles(facts: &EnumFacts, wish: &Wish) -> Vec<Refused> {
    let (old, new) = (literal(&wish.from), literal(&wish.to));
    let mut refused = facts.refused.clone();
    refused.extend(unusable(&wish.to));
    refused.extend(facts.hidden.clone());
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    if facts.values.contains(&wish.to) {
        refuse(
            format!("the value {new}"),
            format!(
                "the type has it already, so that the way back could not tell its rows from those of {old}; to make one of both: \
                 shipctl plan drop-enum-value … {old} --fill {new}"
            ),
        );
    }
    if facts.columns.is_empty() {
        refuse(
            facts.name.to_string(),
            format!(
                "no column holds values of {}: ALTER TYPE … RENAME VALUE does it, in a migration of your own",
                facts.name
            ),
        );
    }
    let first = facts.columns.first().map(|held| &held.column.table);
    for held in &facts.columns {
        let name = &held.column.column;
        if Some(&held.column.table) != first {
            refuse(
                format!("column {}", held.column),
                "the way back fills one table, and another one uses the type too: give each a type of its own first".to_owned(),
            );
        }
        if held.generated {
            refuse(
                format!("generated column {}", held.column),
                "its values are computed, so that no fill can set them".to_owned(),
            );
        }
        if held.partitions {
            refuse(
                format!("partition key of {}", held.column.table),
                format!("a row would go to another partition when {name} changes"),
            );
        }
        for by in &held.compared_by {
            refuse(
                format!("{by} of {}", held.column.table),
                format!(
                    "it tells {old} and {new} apart, which are to be the same meanwhile; drop it first, and make it again"
                ),
            );
        }
    }
    for mention in facts.mentions_of(&wish.from) {
        refuse(
            mention.what.clone(),
            format!(
                "it is written in terms of {old}, and knows nothing of {new}; drop it first, and make it again with {new}"
            ),
        );
    }
    refused
}

fn remarks(facts: &EnumFacts, wish: &Wish) -> Vec<String> {
    let (old, new) = (literal(&wish.from), literal(&wish.to));
    let mut remarks = vec![format!(
        "{old} stays in the type, since PostgreSQL drops no value. Where all writers can be stopped for a moment, ALTER TYPE … \
         RENAME VALUE does it at once, and leaves nothing."
    )];
    remarks.extend(
        facts.functions.iter().map(|function| {
            format!("Function {function} has {old} in its text: see that it takes {new} too.")
        }),
    );
    remarks
}
