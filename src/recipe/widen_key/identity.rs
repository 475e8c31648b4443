//! The sequence of an identity, which goes on with the column that takes the name.

use super::{WidenedColumn, bytes_of};
use crate::domain::SqlIdentifier;
use crate::recipe::Refused;
use crate::recipe::add_identity::{SequenceFacts, largest};
use crate::sql::{literal, readable, readable_table};

/// The identity of a column, with its sequence.
pub(super) struct Identity<'a> {
    table: String,
    is_always: bool,
    sequence: &'a SequenceFacts,
}

impl<'a> Identity<'a> {
    /// That of a column, where it is one.
    pub(super) fn of(column: &'a WidenedColumn) -> Option<Self> {
        Some(Self {
            is_always: column.handed_out.is_always?,
            sequence: column.handed_out.sequences.first()?,
            table: readable_table(&column.facts.column.table),
        })
    }

    /// Lets a column take the identity of another over, with values of this type from here on.
    pub(super) fn handed_over(
        &self,
        from: &SqlIdentifier,
        to: &SqlIdentifier,
        (old, new): (&str, &str),
    ) -> Vec<String> {
        let sequence = self.sequence;
        let name = readable_table(&sequence.name);
        let counts = counting(sequence, (old, new));
        let largest = largest(new).unwrap_or(i64::MAX);
        let goes_on = if bytes_of(new) < bytes_of(old) {
            // Calls whose values were refused may have taken it beyond: it has come to its end then.
            format!(
                "SELECT setval({}, greatest(least(last_value, {largest}), {}), is_called) FROM {}",
                literal(&name),
                -largest - 1,
                sequence.aside_name()
            )
        } else {
            sequence.goes_on()
        };
        let alter = |column: &SqlIdentifier, action: &str| {
            format!(
                "ALTER TABLE {} ALTER COLUMN {} {action}",
                self.table,
                readable(column)
            )
        };
        let kind = if self.is_always { "ALWAYS" } else { "BY DEFAULT" };
        let mut statements = vec![
            sequence.renamed_aside(),
            alter(
                to,
                &format!(
                    "ADD GENERATED {kind} AS IDENTITY (SEQUENCE NAME {name} {})",
                    counts.options(largest)
                ),
            ),
            goes_on,
            alter(from, "DROP IDENTITY"),
        ];
        statements.extend(sequence.belongings());
        statements
    }
}

/// How the sequence counts with another type: what was the end of the one is that of the other. The facts tell how it counts
/// with the type that the column has before the change.
fn counting(sequence: &SequenceFacts, (old, new): (&str, &str)) -> SequenceFacts {
    let mut counts = sequence.clone();
    if bytes_of(new) < bytes_of(old) {
        return counts;
    }
    if let (Some(had), Some(has)) = (largest(old), largest(new)) {
        if counts.greatest == had {
            counts.greatest = has;
        }
        if counts.least == -had - 1 {
            counts.least = -has - 1;
        }
    }
    counts
}

/// What stands in the way of a column's sequences.
pub(super) fn obstacles(column: &WidenedColumn, relations: &[SqlIdentifier]) -> Vec<Refused> {
    let full = &column.facts.column;
    let mut refused = Vec::new();
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    let sequences = &column.handed_out.sequences;
    if column.handed_out.is_always.is_none() {
        if sequences.len() > 1 {
            refuse(
                format!("sequences of {full}"),
                "the column owns several; run ALTER SEQUENCE … OWNED BY NONE for those that it does not use"
                    .to_owned(),
            );
        }
        return refused;
    }
    for sequence in sequences {
        for dependent in &sequence.dependents {
            refuse(
                dependent.clone(),
                format!(
                    "it uses the sequence {}, in whose place another of its name comes; let it do without first",
                    sequence.name
                ),
            );
        }
        if sequence.data_type != column.facts.data_type {
            refuse(
                format!("sequence {}", sequence.name),
                format!(
                    "it is of type {}, and not of that of the identity; run ALTER SEQUENCE … AS {} first",
                    sequence.data_type, column.facts.data_type
                ),
            );
        }
        if relations.contains(&sequence.aside()) {
            refuse(
                format!("relation {}", sequence.aside()),
                "the sequence that goes would have that name for a moment; rename it first".to_owned(),
            );
        }
    }
    refused
}
