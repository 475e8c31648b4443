//! A new value of an enum type, which nobody meets who does not know it.
//!
//! tolerate → add → write. Code that cannot read the value has to be gone before any code writes it, and code can only
//! write it once it is there. PostgreSQL drops no values, so that the way back leaves it where it harms nobody.

use super::draft::{Draft, SchemaPhase, Sql, ValueSubject, already, refuse_unless_none};
use super::enum_type::unusable;
use super::{EnumFacts, Order, Patience, Recipe};
use crate::domain::{ColumnName, Problem};
use crate::plan::ChangeKind;
use crate::sql::literal;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The value.
    pub value: String,
    /// Where it stands among the others.
    pub position: Position,
}

/// Where a value stands among the others of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// After all others.
    Last,
    /// Right before another.
    Before(String),
    /// Right after another.
    After(String),
}

/// The recipe for `shipctl plan add-enum-value TYPE VALUE`.
///
/// # Errors
/// The value is there already; no such value to stand beside; what stands in the way.
pub fn recipe(facts: &EnumFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::AddEnumValue;
    let (name, value) = (&facts.name, wish.value.as_str());
    if facts.values.iter().any(|one| one == value) {
        return Err(already(format!(
            "{name} has the value {} already",
            literal(value)
        )));
    }
    let position = match &wish.position {
        Position::Last => String::new(),
        Position::Before(other) => {
            facts.place(other)?;
            format!(" BEFORE {}", literal(other))
        }
        Position::After(other) => {
            facts.place(other)?;
            format!(" AFTER {}", literal(other))
        }
    };
    let mut refused = facts.refused.clone();
    refused.extend(unusable(value));
    refuse_unless_none(kind, &name.to_string(), &refused)?;

    let subject = ValueSubject {
        kind,
        data_type: name,
        value,
        to: None,
        title: format!("Add the value {} to {}", literal(value), name.name),
    };
    let mut draft = Draft::of_value(&subject, order)?;
    draft.code(
        "tolerate",
        &format!("Code can read {}", literal(value)),
        &[],
        &[],
        &[
            "It takes the value where it comes out of the database, also in lists of all values, and neither writes it nor",
            "names it in SQL: until it is there, that fails.",
        ],
    );
    draft.schema(add_phase(facts, value, &position));
    let new: ColumnName = facts.value_name(value);
    draft.code(
        "write",
        &format!("Code writes {}", literal(value)),
        &[],
        &[&new],
        &["Only now, as everything that runs can read it. What is written is the value, named TYPE.VALUE below."],
    );
    Ok(draft.finish(remarks(facts, value)))
}

/// The phase that adds a value.
pub(super) fn add_phase<'a>(facts: &EnumFacts, value: &str, position: &str) -> SchemaPhase<'a> {
    let mut down = vec![
        Sql::Remark(
            "PostgreSQL drops no value of an enum type: it stays, and harms nobody while no row holds it.",
        ),
        Sql::Remark("Fails, and changes nothing, while one does."),
    ];
    down.extend(Sql::each(facts.fail_while_held(value)));
    SchemaPhase {
        id: "add",
        kind: "expand",
        title: format!("{} has the value {}", facts.name.name, literal(value)),
        comments: &["Undone, the value stays, since PostgreSQL drops none; run again, it is found."],
        explanation: &["Stops nobody: no table is looked at."],
        up: vec![Sql::Statement(facts.add(value, position))],
        down,
        patience: Patience::default(),
    }
}

fn remarks(facts: &EnumFacts, value: &str) -> Vec<String> {
    let mut remarks = vec![format!(
        "The value cannot be taken back: PostgreSQL drops none. Undone, the plan sees that no row holds {}, and leaves it.",
        literal(value)
    )];
    let checks = facts.mentions.iter().filter(|one| one.is_check);
    remarks.extend(checks.map(|check| {
        format!(
            "{} names values, and may refuse {}: {}",
            check.what,
            literal(value),
            check.text
        )
    }));
    let parted = facts.columns.iter().filter(|held| held.partitions);
    remarks.extend(parted.map(|held| {
        format!(
            "{} is partitioned by {}: see that a partition takes {} before `write` is deployed.",
            held.column.table,
            held.column.column,
            literal(value)
        )
    }));
    remarks.extend(facts.hidden.iter().map(|hidden| {
        format!(
            "Whether the value is held by {} is not looked at when the plan is undone.",
            hidden.what
        )
    }));
    remarks
}
