//! What stands in the way of a column for what documents hold, and what the reader should know besides.

use super::{TypeFacts, Wish};
use crate::plan::SyncMode;
use crate::recipe::add_column::SYSTEM_COLUMNS;
use crate::recipe::json_path::Step;
use crate::recipe::{ColumnFacts, Refused, TableFacts, TableKind};

/// What stands in the way.
pub(super) fn of(table: &TableFacts, document: &ColumnFacts, new: &TypeFacts, wish: &Wish) -> Vec<Refused> {
    let mut refused = table.refused.clone();
    let mut refuse = |what: String, why: &str| {
        refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    let from = &document.column.column;
    if table.kind != TableKind::Ordinary || table.has_parent {
        refuse(
            format!("kind of {}", table.table),
            "only of a table by itself is it known that one trigger sees every row that is written, and one fill reaches it: not \
             of a partitioned one, of one with parents or children, nor of anything else",
        );
    }
    if !matches!(document.data_type.as_str(), "json" | "jsonb") {
        refuse(
            format!("type {} of {from}", document.data_type),
            "it holds no JSON documents (json or jsonb)",
        );
    }
    if table.columns.iter().any(|one| one.name == *from && one.generated) {
        refuse(
            format!("generated column {from}"),
            "its documents are computed, so that nothing can be written into them",
        );
    }
    if SYSTEM_COLUMNS.contains(&wish.column.as_str()) {
        refuse(
            format!("name {}", wish.column),
            "PostgreSQL keeps it for itself; choose another",
        );
    }
    if let Some(known) = table.columns.iter().find(|one| one.name == wish.column) {
        refuse(
            format!("column {}", known.name),
            "it is there already, with another type; choose another name, or drop that one first if it is a leftover",
        );
    }
    if new.column.constrained_domain {
        refuse(
            format!("domain {}", new.column.data_type),
            "adding a column of a domain with constraints or a default rewrites the table under an exclusive lock; take its base \
             type",
        );
    }
    if new.is_composed {
        refuse(
            format!("type {}", new.column.data_type),
            "what is written to it would not come back from the document as it was (an array, a row, json with its blanks, a type \
             with a cast of its own to JSON); take jsonb, which holds any value",
        );
    }
    if wish.remove_key && wish.or_null {
        refuse(
            "--or-null with --remove-key".to_owned(),
            "what does not fit the type would be lost with the key",
        );
    }
    if wish.remove_key && matches!(wish.path.last(), Step::Element(_)) {
        refuse(
            "--remove-key of an array's element".to_owned(),
            "the elements behind it would take its place",
        );
    }
    refused
}

/// What the reader should know.
pub(super) fn remarks(
    table: &TableFacts,
    document: &ColumnFacts,
    new: &TypeFacts,
    wish: &Wish,
) -> Vec<String> {
    let from = &document.column.column;
    let mut remarks = Vec::new();
    if wish.or_null {
        remarks.push(format!(
            "Values that are no {} become NULL in {} without a word; they stay in {from}.",
            new.column.data_type, wish.column
        ));
    }
    if document.data_type == "json" {
        remarks.push(format!(
            "{from} is json: a document into which a new value is put comes back as jsonb writes it, without the blanks, the \
             order of keys and the repeated keys that it had."
        ));
    }
    if wish.remove_key {
        remarks.push(format!(
            "A {} that is null in a document counts as one that is not there, and is not there after an undoing.",
            wish.path
        ));
    }
    let others: Vec<String> = document
        .before_triggers
        .iter()
        .flatten()
        .map(|trigger| trigger.name.to_string())
        .collect();
    if wish.sync == SyncMode::Trigger && !others.is_empty() {
        remarks.push(format!(
            "Triggers that fire before the one which keeps both in step see only the side that was written: {}.",
            others.join(", ")
        ));
    }
    if !new.column.publications.is_empty() {
        remarks.push(format!(
            "{} is published ({}): its subscribers need the new column before it is added here.",
            table.table.name,
            new.column.publications.join(", ")
        ));
    }
    remarks
}
