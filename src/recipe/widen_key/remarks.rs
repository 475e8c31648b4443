//! What the reader of the plan should know.

use super::set::Widening;
use super::{WidenedColumn, bytes_of};
use crate::recipe::add_identity::largest;
use crate::recipe::{Deferrable, IndexFacts};

pub(super) fn all(widening: &Widening<'_>) -> Vec<String> {
    let facts = widening.facts;
    let columns: Vec<String> = facts
        .columns()
        .map(|column| format!("{} ({})", column.facts.column, column.facts.data_type))
        .collect();
    let mut remarks = vec![format!("Becomes {}: {}.", facts.data_type, columns.join(", "))];
    remarks.extend(facts.columns().filter_map(position));
    remarks.push(
        "Until the old columns are gone, a write fails whose value the old type does not hold. Code that writes what only the new \
         type holds comes after the plan."
            .to_owned(),
    );
    let tables: Vec<String> = widening
        .tables
        .iter()
        .map(|table| table.name().to_string())
        .collect();
    if tables.len() > 1 {
        remarks.push(format!(
            "`swap` locks {} in this order for a moment, once nobody is at work in any of them: a transaction that is long open in one \
             of them keeps it waiting.",
            tables.join(", ")
        ));
    }
    remarks.push(
        "The columns will be the last of their tables: code that counts on the order of columns (SELECT *, INSERT without a list of \
         columns) has to be gone."
            .to_owned(),
    );
    let is_unique = |index: &&IndexFacts| index.unique;
    let mut unique: Vec<String> = facts
        .columns()
        .flat_map(|column| column.facts.indexes.iter().filter(is_unique))
        .map(|index| index.name.to_string())
        .collect();
    unique.dedup();
    remarks.push(format!(
        "Between `constrain` and `relax` old and new columns both have a unique index: an INSERT … ON CONFLICT that names one of {} \
         may raise unique_violation by the other column's where two writers meet, and has to be tried again.",
        unique.join(", ")
    ));
    let deferred = facts
        .references
        .iter()
        .filter(|one| one.key.deferrable != Deferrable::No);
    let in_step = |index: &&IndexFacts| {
        let constraint = index.constraint.as_ref();
        constraint.is_some_and(|one| one.deferrable != Deferrable::No)
    };
    for column in facts.columns() {
        for index in column.facts.indexes.iter().filter(in_step) {
            remarks.push(format!(
                "Code that defers {} of {} by its name (SET CONSTRAINTS) has to defer ALL until the plan is done: another constraint \
                 beside it is checked as well.",
                index.name, column.facts.column.table
            ));
        }
        if column.handed_out.is_always.is_some() {
            remarks.push(format!(
                "`swap` puts another sequence in the place of {}'s: a session that waits for its nextval in that moment fails once, \
                 and currval and lastval of sessions begin anew.",
                column.facts.column
            ));
        } else if column.handed_out.sequences.is_empty() && column.facts.default.is_some() {
            remarks.push(format!(
                "{} owns no sequence: one that its default uses stays as it is, with its end. ALTER SEQUENCE … OWNED BY {} \
                 before, and it is widened as well.",
                column.facts.column, column.facts.column
            ));
        }
    }
    for one in deferred {
        remarks.push(format!(
            "Code that defers {} of {} by its name (SET CONSTRAINTS) has to defer ALL: until `swap` another key beside it is checked \
             as well.",
            one.key.name, one.table
        ));
    }
    for table in &widening.tables {
        for swap in &table.swaps {
            let column = table.table.facts.column(swap.name()).ok();
            if let Some(constraint) = column.and_then(|column| column.named_not_null.as_ref()) {
                remarks.push(format!(
                    "The NOT NULL constraint {} gets the name that PostgreSQL gives it, without a comment, and validated.",
                    constraint.name
                ));
            }
        }
        let triggers = table.any().and_then(|facts| facts.before_triggers.as_ref());
        let triggers: Vec<String> = triggers
            .into_iter()
            .flatten()
            .map(|trigger| trigger.name.to_string())
            .collect();
        if !triggers.is_empty() {
            remarks.push(format!(
                "Triggers of {} that fire before a row is written must bear columns of either type: {}.",
                table.name(),
                triggers.join(", ")
            ));
        }
    }
    for column in facts.columns() {
        for remark in &column.facts.remarks {
            if !remarks.contains(remark) {
                remarks.push(remark.clone());
            }
        }
    }
    remarks
}

/// How far the sequence of a column is.
fn position(column: &WidenedColumn) -> Option<String> {
    let sequence = column.handed_out.sequences.first()?;
    let has = &column.facts.data_type;
    bytes_of(has)?;
    let (position, largest) = (sequence.position?, largest(has)?);
    let percent = i128::from(position.max(0)) * 100 / i128::from(largest);
    let mut said = format!(
        "Its sequence {} is at {position}, which is {percent} % of what {has} holds.",
        sequence.name
    );
    if percent >= 50 {
        said.push_str(
            " Values beyond that are refused until the old column is gone: see that there is time enough for the plan, its soak \
             included.",
        );
    }
    Some(said)
}
