//! What stands in the way of columns that take the place of others.

use super::{Held, Reshape};
use crate::plan::SyncMode;
use crate::recipe::add_column::SYSTEM_COLUMNS;
use crate::recipe::add_index::concurrently_refused;
use crate::recipe::{Refused, carry};

/// All of it.
pub(super) fn of(reshape: &Reshape<'_>, held: &Held<'_>) -> Vec<Refused> {
    let mut refused: Vec<Refused> = Vec::new();
    for one in reshape.old.iter().flat_map(|facts| &facts.refused) {
        if !refused.contains(one) {
            refused.push(one.clone());
        }
    }
    held.shared(reshape.old, &reshape.wish.dependents, &mut refused);
    new_columns(reshape, &mut refused);
    let mut refuse = |what: String, why: &str| {
        refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    for name in reshape.old_names() {
        if !reshape.made_new.iter().any(|made| made.reads.contains(name)) {
            refuse(
                format!("column {name}"),
                "no --into reads it, so that its values would be lost; use it in one of them, or drop it with drop-column",
            );
        }
    }
    for name in reshape.new_names() {
        if !reshape.made_old.iter().any(|made| made.reads.contains(name)) {
            refuse(
                format!("column {name}"),
                "no --from reads it, so that running code would not see what is written to it; use it in one of them",
            );
        }
    }
    if held.builds() {
        refused.extend(concurrently_refused(reshape.table.server_version));
    }
    let with_check = reshape
        .old
        .iter()
        .filter(|facts| facts.not_null)
        .map(|facts| &facts.column.column)
        .chain(&reshape.wish.not_null);
    for name in with_check {
        refused.extend(carry::not_null_check_taken(
            reshape.table.constraint_names(),
            name,
        ));
    }
    refused
}

fn new_columns(reshape: &Reshape<'_>, refused: &mut Vec<Refused>) {
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    for column in reshape.new {
        let name = &column.name;
        if SYSTEM_COLUMNS.contains(&name.as_str()) {
            refuse(
                format!("name {name}"),
                "PostgreSQL keeps it for itself; choose another".to_owned(),
            );
        }
        if reshape.table.columns.iter().any(|one| one.name == *name) {
            refuse(
                format!("column {name}"),
                format!(
                    "{} has one of that name already; choose another name, or drop that one first if it is a leftover",
                    reshape.table.table
                ),
            );
        }
        if column.facts.constrained_domain {
            refuse(
                format!("domain {}", column.facts.data_type),
                "adding a column of a domain with constraints or a default rewrites the table under an exclusive lock; take its \
                 base type"
                    .to_owned(),
            );
        }
    }
    for name in &reshape.wish.not_null {
        if !reshape.new_names().any(|one| one == name) {
            refuse(
                format!("--not-null {name}"),
                "it is none of the columns that come".to_owned(),
            );
        }
    }
}

/// What the reader should know besides.
pub(super) fn remarks(reshape: &Reshape<'_>, held: &Held<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    let new = super::listed(reshape.new_names(), " and ");
    let old = super::listed(reshape.old_names(), " and ");
    if reshape.wish.lossy {
        remarks.push(format!(
            "`drop` loses the values of {old} that --from does not make of {new} again. Undone, these rows get what it makes."
        ));
    }
    let names = held.names();
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        remarks.push(format!(
            "What hangs on {old} goes along, and {new} get nothing of it: {}. Make what is needed after `backfill` \
             (add-index, add-check, add-unique).",
            names.join(", ")
        ));
    }
    for facts in reshape.old {
        let name = &facts.column.column;
        if let Some(default) = &facts.default {
            remarks.push(format!(
                "The default of {name} ({default}) goes along. Until then, an INSERT that gives none of {new} gets what --into \
                 makes of it."
            ));
        }
        if !facts.grants.is_empty() {
            remarks.push(format!(
                "Rights are granted on {name} alone: grant those on {new} that the new code needs, after `add`."
            ));
        }
        for remark in &facts.remarks {
            if !remarks.contains(remark) {
                remarks.push(remark.clone());
            }
        }
    }
    let others: Vec<String> = reshape
        .old
        .iter()
        .take(1)
        .flat_map(|facts| facts.before_triggers.iter().flatten())
        .map(|trigger| trigger.name.to_string())
        .collect();
    if reshape.wish.sync == SyncMode::Trigger && !others.is_empty() {
        remarks.push(format!(
            "Triggers that fire before the one which keeps both sides in step see only the side that was written: {}.",
            others.join(", ")
        ));
    }
    remarks
}
