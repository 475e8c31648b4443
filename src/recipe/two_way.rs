//! Old and new columns of a row that are made of one another, both ways: what keeps them in step, and what tells whether
//! they are.
//!
//! On INSERT the new columns decide where any of them was given, the old ones otherwise; on UPDATE the side that changed
//! decides, and the new one where both did. What the one side says need not be all that the other does (two words of three),
//! so that a row is in step as soon as either side is what the other makes of it.

use super::draft::Fill;
use super::sync_trigger::{Work, changed};
use super::{ColumnFacts, Comparison, carry};
use crate::domain::{SqlIdentifier, TableName};
use crate::sql::readable;

/// A column, and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: SqlIdentifier,
    /// What a trigger assigns to it, over NEW.
    pub assigned: String,
    /// What a fill gives it, over the row's columns.
    pub expression: String,
    /// The same as a value of its very type.
    pub compared: String,
    /// How two of its values are found to be the same.
    pub comparison: Comparison,
}

impl Part {
    /// Whether it holds what the other side makes of it.
    fn holds(&self) -> String {
        same_value(self.comparison, &self.name, &self.compared)
    }
}

/// A condition that is true where a column holds a value.
pub fn same_value(comparison: Comparison, column: &SqlIdentifier, value: &str) -> String {
    let column = readable(column);
    match comparison {
        // An expression of any kind.
        Comparison::Equality => carry::same_values(comparison, &column, &format!("({value})")),
        Comparison::Text | Comparison::Bytes => carry::same_values(comparison, &column, value),
    }
}

/// The columns of both sides.
pub struct TwoWay<'a> {
    /// Their table.
    pub table: &'a TableName,
    /// The columns that are there, as the new ones make them.
    pub old: Vec<Part>,
    /// The columns that come, as the old ones make them.
    pub new: Vec<Part>,
}

impl TwoWay<'_> {
    /// What the trigger does. It is called for each INSERT: what is made of NULL need not be NULL.
    pub fn work<'w>(&self, facts: &ColumnFacts, both: &'w [&'w SqlIdentifier]) -> Work<'w> {
        let assign = |parts: &[Part], indent: &str| {
            let each = parts
                .iter()
                .map(|part| format!("{indent}NEW.{} := {};\n", readable(&part.name), part.assigned));
            each.collect::<String>()
        };
        let given = match self.new.as_slice() {
            [one] => format!("NEW.{} IS NOT NULL", readable(&one.name)),
            several => format!("num_nonnulls({}) > 0", names(several, "NEW.")),
        };
        let any_changed = |parts: &[Part]| {
            let each: Vec<String> = parts.iter().map(|part| changed(&part.name)).collect();
            each.join(" OR ")
        };
        // The columns of the rows that expressions look at are never variables.
        let body = format!(
            "#variable_conflict use_column
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF {given} THEN
{}    ELSE
{}    END IF;
  ELSIF {} THEN
{}  ELSE
{}  END IF;
  RETURN NEW;
END",
            assign(&self.old, "      "),
            assign(&self.new, "      "),
            any_changed(&self.new),
            assign(&self.old, "    "),
            assign(&self.new, "    "),
        );
        // Where another trigger may change a column that the UPDATE does not name, each row has to be looked at.
        let is_alone = facts
            .before_triggers
            .as_ref()
            .is_some_and(|others| !others.iter().any(|trigger| trigger.on_update));
        Work {
            body,
            on_insert: String::new(),
            on_update: format!("{} OR {}", any_changed(&self.old), any_changed(&self.new)),
            of: is_alone.then_some(both),
        }
    }

    /// Fills the new columns, but for rows in which the old ones were made of them.
    pub fn fill_new(&self) -> Fill<'_> {
        self.fill(
            &self.new,
            format!(
                "({}) OR ({} AND {})",
                all_hold(&self.new),
                any_is_set(&self.new),
                all_hold(&self.old)
            ),
        )
    }

    /// Fills the old columns, but for rows in which the new ones were made of them.
    pub fn fill_old(&self) -> Fill<'_> {
        self.fill(
            &self.old,
            format!(
                "({}) OR ({} AND {})",
                all_hold(&self.old),
                any_is_set(&self.old),
                all_hold(&self.new)
            ),
        )
    }

    /// Finds the rows whose old columns cannot be made of the new ones again, and changes none.
    pub fn compare(&self) -> Fill<'_> {
        Fill {
            table: self.table,
            set: self
                .old
                .iter()
                .map(|part| (&part.name, readable(&part.name)))
                .collect(),
            verify: all_hold(&self.old),
        }
    }

    fn fill<'f>(&'f self, parts: &'f [Part], verify: String) -> Fill<'f> {
        Fill {
            table: self.table,
            set: parts
                .iter()
                .map(|part| (&part.name, part.expression.clone()))
                .collect(),
            verify,
        }
    }
}

fn all_hold(parts: &[Part]) -> String {
    let each: Vec<String> = parts.iter().map(Part::holds).collect();
    each.join(" AND ")
}

fn any_is_set(parts: &[Part]) -> String {
    match parts {
        [one] => format!("{} IS NOT NULL", readable(&one.name)),
        several => format!("num_nonnulls({}) > 0", names(several, "")),
    }
}

fn names(parts: &[Part], prefix: &str) -> String {
    let each: Vec<String> = parts
        .iter()
        .map(|part| format!("{prefix}{}", readable(&part.name)))
        .collect();
    each.join(", ")
}
