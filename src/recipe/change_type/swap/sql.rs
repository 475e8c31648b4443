//! The SQL of a swap: its triggers, conversions and names.

use super::Swap;
use crate::domain::{ColumnName, Exit, Problem, SqlIdentifier, TableName};
use crate::recipe::add_identity::largest;
use crate::recipe::change_type::{Conversion, type_of};
use crate::recipe::sync_trigger::{SyncTrigger, Work, changed};
use crate::recipe::{ColumnFacts, DefaultValue, carry};
use crate::sql::{literal, readable, readable_table, replace_column};

impl Swap<'_> {
    pub(super) fn full(&self, name: &SqlIdentifier) -> ColumnName {
        ColumnName {
            table: self.facts.column.column.table.clone(),
            column: name.clone(),
        }
    }

    pub(in crate::recipe) fn name(&self) -> &SqlIdentifier {
        &self.facts.column.column.column
    }

    pub(super) fn table(&self) -> String {
        readable_table(&self.facts.column.column.table)
    }

    /// A column as it is made for a while: without a default.
    pub(super) fn bare(facts: &ColumnFacts) -> ColumnFacts {
        ColumnFacts {
            default: None,
            default_value: DefaultValue::Same,
            ..facts.clone()
        }
    }

    /// The statements of a trigger that fills `target` from `source` of another type.
    fn trigger(
        &self,
        trigger: &SyncTrigger,
        (source, from): (&SqlIdentifier, &ColumnFacts),
        target: &SqlIdentifier,
        conversion: &Conversion,
    ) -> Result<Vec<String>, Problem> {
        let (old, new) = (readable(source), readable(target));
        let body = match &conversion.expression {
            None => format!("BEGIN\n  NEW.{new} := NEW.{old};\n  RETURN NEW;\nEND"),
            Some(expression) => {
                // A variable, so that no name in the expression can mean anything else.
                let variable = SqlIdentifier::from_catalog("value_to_convert");
                let expression = replaced(expression, self.name(), &variable)?;
                format!(
                    "DECLARE\n  {} {} := NEW.{old};\nBEGIN\n  NEW.{new} := {expression};\n  RETURN NEW;\nEND",
                    readable(&variable),
                    type_of(from)
                )
            }
        };
        let is_alone = self
            .facts
            .column
            .before_triggers
            .as_ref()
            .is_some_and(|others| !others.iter().any(|trigger| trigger.on_update));
        let of = [source];
        Ok(trigger.create(&Work {
            body,
            // Of every row that does not give both.
            on_insert: format!("NEW.{old} IS NOT NULL OR NEW.{new} IS NULL"),
            on_update: changed(source),
            of: is_alone.then_some(&of[..]),
        }))
    }

    pub(super) fn trigger_there(&self) -> Result<Vec<String>, Problem> {
        let facts = self.facts;
        self.trigger(
            &self.there,
            (self.name(), &facts.column),
            &self.next,
            &facts.there,
        )
    }

    pub(super) fn trigger_back(&self) -> Result<Vec<String>, Problem> {
        self.trigger(
            &self.back,
            (self.name(), &self.facts.changed),
            &self.old,
            &self.back_by,
        )
    }

    /// The value that a conversion makes of the column, as a value of the type.
    pub(super) fn converted(&self, conversion: &Conversion, to: &ColumnFacts) -> String {
        let own = readable(self.name());
        let value = conversion.expression.as_ref().unwrap_or(&own);
        format!("({value})::{}", to.data_type)
    }

    pub(super) fn expression(&self, conversion: &Conversion) -> String {
        let own = readable(self.name());
        conversion.expression.clone().unwrap_or(own)
    }

    /// What the old column holds after the swap: what the conversion makes of the new one.
    pub(super) fn fill_back(&self, target: &ColumnName) -> String {
        carry::same_values(
            self.facts.column.comparison,
            &readable(&target.column),
            &self.converted(&self.back_by, &self.facts.column),
        )
    }

    /// Gives indexes and constraints of both columns other names: those of `from` the names of `to`.
    pub(super) fn renamed(
        &self,
        pairs: impl Fn(&SqlIdentifier, &SqlIdentifier, &SqlIdentifier) -> Vec<(SqlIdentifier, SqlIdentifier)>,
    ) -> Vec<String> {
        let facts = &self.facts.column;
        let mut statements = Vec::new();
        let indexes = facts
            .indexes
            .iter()
            .zip(&self.for_next.indexes)
            .zip(&self.for_old.indexes);
        for ((own, next), old) in indexes {
            for (from, to) in pairs(&own.name, &next.name, &old.name) {
                statements.push(carry::rename_index(facts, own, &from, &to));
            }
            if own.clustered {
                statements.push(carry::cluster_on(facts, &own.name));
            }
        }
        let own = facts.checks.iter().map(|check| &check.name);
        let own = own.chain(facts.foreign_keys.iter().map(|key| &key.name));
        let twins = self
            .for_next
            .constraint_names()
            .zip(self.for_old.constraint_names());
        for (own, (next, old)) in own.zip(twins) {
            for (from, to) in pairs(own, next, old) {
                statements.push(carry::rename_constraint(facts, &from, &to));
            }
        }
        statements
    }

    pub(super) fn rename_column(&self, from: &SqlIdentifier, to: &SqlIdentifier) -> String {
        format!(
            "ALTER TABLE {} RENAME COLUMN {} TO {}",
            self.table(),
            readable(from),
            readable(to)
        )
    }

    /// Lets the sequence go with the column that has the name, and be of its type.
    pub(super) fn sequence(&self, is_back: bool) -> Vec<String> {
        let Some(sequence) = &self.facts.sequence else {
            return Vec::new();
        };
        let kind = sequence.types.as_ref().map_or_else(String::new, |(old, new)| {
            format!(" AS {}", if is_back { old } else { new })
        });
        let mut statements = Vec::new();
        if let (true, Some((old, _))) = (is_back, &sequence.types) {
            statements.extend(within(&sequence.name, old));
        }
        statements.push(format!(
            "ALTER SEQUENCE {}{kind} OWNED BY {}.{}",
            readable_table(&sequence.name),
            self.table(),
            readable(self.name())
        ));
        statements
    }
}

/// Brings a sequence back among the values of a type where calls whose values were refused have taken it beyond: it can be of
/// the type again, and has come to its end.
fn within(sequence: &TableName, data_type: &str) -> Option<String> {
    let largest = largest(data_type)?;
    let name = readable_table(sequence);
    Some(format!(
        "SELECT setval({}, greatest(least(last_value, {largest}), {})) FROM {name} WHERE last_value NOT BETWEEN {} AND {largest}",
        literal(&name),
        -largest - 1,
        -largest - 1
    ))
}

fn replaced(expression: &str, old: &SqlIdentifier, new: &SqlIdentifier) -> Result<String, Problem> {
    replace_column(expression, old, new).map_err(|why| {
        Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!("`{expression}` is not a usable conversion: {why}"),
        )
    })
}
