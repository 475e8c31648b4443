//! A value of an enum type that no row may hold any more. PostgreSQL drops no values, so that checks keep it away.
//!
//! stop-writing → fill → forbid. Code that writes the value has to be gone before anything refuses it; rows that hold it
//! come next; then each column gets a check, NOT VALID first and validated while writers go on.

use super::draft::{Draft, Fill, SchemaPhase, Sql, ValueSubject, already, refuse_unless_none};
use super::{EnumColumn, EnumFacts, EnumShape, Order, Patience, Recipe, Refused, constraint_sql, names};
use crate::domain::{ColumnName, Problem, SqlIdentifier, TableName};
use crate::plan::{ChangeKind, SyncMode};
use crate::sql::{literal, readable};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The value.
    pub value: String,
    /// What rows get that hold it; `None` where there are none.
    pub fill: Option<String>,
}

/// The recipe for `shipctl plan drop-enum-value TYPE VALUE`.
///
/// # Errors
/// No such value; no column could hold it; what stands in the way.
pub fn recipe(facts: &EnumFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::DropEnumValue;
    let value = wish.value.as_str();
    let quoted = literal(value);
    facts.place(value)?;
    if let Some(other) = &wish.fill {
        facts.place(other)?;
    }
    refuse_unless_none(
        kind,
        &format!("{quoted} of {}", facts.name),
        &obstacles(facts, wish),
    )?;
    if facts.columns.is_empty() {
        return Err(already(format!("no column holds values of {}", facts.name)));
    }

    let subject = ValueSubject {
        kind,
        data_type: &facts.name,
        value,
        to: None,
        title: format!("Forbid the value {quoted} of {}", facts.name.name),
    };
    let mut draft = Draft::of_value(&subject, order)?;
    let written: Vec<&ColumnName> = facts
        .columns
        .iter()
        .filter(|held| !held.generated)
        .map(|held| &held.column)
        .collect();
    draft.code(
        "stop-writing",
        &format!("Code never writes {quoted}"),
        &[],
        &written,
        &["It still reads it. Jobs, functions and triggers of the database count as well."],
    );
    if let Some(other) = &wish.fill {
        fills(&mut draft, facts, value, other);
    }
    draft.schema(forbid(facts, wish));
    Ok(draft.finish(remarks(facts, wish)))
}

fn obstacles(facts: &EnumFacts, wish: &Wish) -> Vec<Refused> {
    let value = literal(&wish.value);
    let mut refused = facts.refused.clone();
    refused.extend(facts.hidden.clone());
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    if wish.fill.as_ref() == Some(&wish.value) {
        refuse("--fill".to_owned(), format!("rows would get {value} again"));
    }
    for mention in facts.mentions_of(&wish.value) {
        if mention.is_default {
            refuse(
                mention.what.clone(),
                format!(
                    "a row that is inserted without the column would get {value}, and be refused; set another first"
                ),
            );
        } else if mention.is_index {
            refuse(
                mention.what.clone(),
                format!(
                    "it is made for rows with {value}; drop it first, or replace it: shipctl plan replace-index"
                ),
            );
        }
    }
    for held in &facts.columns {
        if held.default.as_ref().is_some_and(|default| !is_literal(default)) {
            refuse(
                format!("default of {}", held.column),
                format!("it cannot be told whether it comes to {value}; make it a value, or drop it"),
            );
        }
        if held.generated && wish.fill.is_some() {
            refuse(
                format!("generated column {}", held.column),
                "its values are computed, so that no fill can set them; leave out --fill".to_owned(),
            );
        }
        if held.partitions && wish.fill.is_some() {
            refuse(
                format!("partition key of {}", held.column.table),
                format!(
                    "a row would go to another partition when {} changes; leave out --fill",
                    held.column.column
                ),
            );
        }
    }
    refused
}

/// Whether an expression is a text with a type: `'glad'::public.mood`.
fn is_literal(expression: &str) -> bool {
    let inner = expression
        .strip_prefix("E")
        .unwrap_or(expression)
        .strip_prefix('\'');
    let rest = inner.and_then(|inner| {
        inner
            .replace("''", "")
            .split_once('\'')
            .map(|(_, rest)| rest.to_owned())
    });
    // Names in quotes may hold anything.
    let is_type = |rest: &str| {
        let plain: String = rest.split('"').step_by(2).collect();
        rest.starts_with("::") && !plain.contains(['\'', '(', '|'])
    };
    expression.starts_with("NULL::") || rest.is_some_and(|rest| is_type(&rest))
}

fn fills(draft: &mut Draft, facts: &EnumFacts, value: &str, other: &str) {
    let mut tables: Vec<&TableName> = facts.columns.iter().map(|held| &held.column.table).collect();
    tables.dedup();
    for (number, table) in (1..).zip(&tables) {
        let columns: Vec<&EnumColumn> = facts
            .columns
            .iter()
            .filter(|held| held.column.table == **table)
            .collect();
        let id = if number == 1 {
            "fill".to_owned()
        } else {
            format!("fill-{number}")
        };
        let verify = columns
            .iter()
            .map(|held| format!("({}) IS NOT TRUE", held.holds(value)));
        draft.backfill(
            &id,
            &format!(
                "Give rows of {} {} that hold {}, in batches",
                table.name,
                literal(other),
                literal(value)
            ),
            &Fill {
                table,
                set: columns
                    .iter()
                    .map(|held| (&held.column.column, held.exchanged(facts, value, other)))
                    .collect(),
                verify: verify
                    .map(|one| format!("({one})"))
                    .collect::<Vec<_>>()
                    .join(" AND "),
            },
            SyncMode::Code,
            &["Rows for which `verify` holds are left alone. Undone, they keep what they got."],
        );
    }
}

/// The name of the check that keeps a value out of a column.
fn check_name(held: &EnumColumn, value: &str) -> SqlIdentifier {
    let words = [held.column.column.clone(), SqlIdentifier::from_catalog(value)];
    let is_taken = |name: &SqlIdentifier| held.constraint_names.contains(name);
    names::chosen(&held.column.table.name, &words, "check", is_taken)
}

fn forbid<'a>(facts: &EnumFacts, wish: &Wish) -> SchemaPhase<'a> {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    if wish.fill.is_none() {
        up.push(Sql::Remark(
            "Fails while a row holds it, before anything is refused.",
        ));
        up.extend(Sql::each(facts.fail_while_held(&wish.value)));
    }
    for held in &facts.columns {
        let ColumnName { table, column } = &held.column;
        let (name, column) = (check_name(held, &wish.value), readable(column));
        let value = facts.value(&wish.value);
        let check = match held.shape {
            EnumShape::One => format!("CHECK ({column} <> {value}) NOT VALID"),
            EnumShape::Array => format!("CHECK ({value} <> ALL ({column})) NOT VALID"),
        };
        up.push(Sql::Statement(constraint_sql::add(table, &name, &check)));
        up.push(Sql::Statement(constraint_sql::validate(table, &name)));
        down.push(Sql::Statement(format!(
            "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
            crate::sql::readable_table(table),
            readable(&name)
        )));
    }
    SchemaPhase {
        id: "forbid",
        kind: "expand",
        title: format!("No row holds {}", literal(&wish.value)),
        comments: &[
            "Older code, which may write it, cannot come back from here on. Code may forget the value as soon as this is done.",
        ],
        explanation: &["PostgreSQL drops no value of an enum type: checks keep it out of all columns."],
        up,
        down,
        patience: Patience::default(),
    }
}

fn remarks(facts: &EnumFacts, wish: &Wish) -> Vec<String> {
    let value = literal(&wish.value);
    let mut remarks = vec![format!(
        "{value} stays in the type, where no column may hold it: PostgreSQL drops no value. To be rid of it wholly, make a type \
         without it, and change the columns to that: shipctl plan change-type. A column that is made later needs its own check."
    )];
    if wish.fill.is_none() {
        remarks.push(format!(
            "Nothing gives rows another value that hold {value}: `forbid` fails, and changes nothing, while there are any. With \
             --fill VALUE a backfill does it first."
        ));
    }
    let others = facts
        .mentions_of(&wish.value)
        .filter(|one| !one.is_default && !one.is_index);
    remarks.extend(others.map(|one| format!("{} is written in terms of {value}.", one.what)));
    remarks.extend(
        facts
            .functions
            .iter()
            .map(|function| format!("Function {function} has {value} in its text.")),
    );
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_with_a_type_are_literals() {
        for (expression, is) in [
            ("'glad'::public.mood", true),
            ("'{glad,sad}'::public.mood[]", true),
            ("E'a\\\\b'::public.\"Mood\"", true),
            ("'it''s'::m", true),
            ("NULL::m", true),
            ("'{}'::\"S (1)\".\"Mo'od \"\"x\"\" 🐘\"[]", true),
            ("'a'::m || \"it's\"('b')", false),
            ("'a'::\"it''s\" || f('b')::\"x\"", false),
            ("public.first_mood()", false),
            ("('a'::text || 'b'::text)::m", false),
            ("'a'::text || 'b'", false),
        ] {
            assert_eq!(is_literal(expression), is, "{expression}");
        }
    }
}
