//! A change of type by a second column that takes the first one's name.

pub(in crate::recipe) mod carried;
pub(in crate::recipe) mod phases;
mod sql;

use super::in_place::no_way_back;
use super::{Conversion, TOLERATES, TypeFacts, Wish, title};
use crate::domain::{Exit, Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::recipe::draft::{Draft, Subject};
use crate::recipe::sync_trigger::SyncTrigger;
use crate::recipe::{Order, Recipe, Refused, TableFacts, add_index, carry};
use crate::sql::{readable, readable_table};

use carried::Carried;

/// Everything that the files are made from.
pub(in crate::recipe) struct Swap<'a> {
    pub(in crate::recipe) facts: &'a TypeFacts,
    /// The new column, until it takes the name.
    pub(in crate::recipe) next: SqlIdentifier,
    /// The old column, once it has given its name away.
    pub(in crate::recipe) old: SqlIdentifier,
    for_next: Carried,
    for_old: Carried,
    /// Fills the new column from the old one, before the swap.
    there: SyncTrigger,
    /// Fills the old column from the new one, after it.
    back: SyncTrigger,
    back_by: Conversion,
}

/// `columns` are all those of the table that are swapped together, this one among them; the names of its triggers are made
/// of the label.
pub(in crate::recipe) fn prepare<'a>(
    facts: &'a TypeFacts,
    columns: &[SqlIdentifier],
    label: &str,
) -> Result<Swap<'a>, Vec<Refused>> {
    let column = &facts.column;
    let own = &column.column;
    let (next, old) = (
        carry::interim(&own.column, "_next"),
        carry::interim(&own.column, "_old"),
    );
    let (for_next, mut refused) = Carried::copied(column, columns, "_next");
    let (for_old, again) = Carried::copied(column, columns, "_old");
    refused.extend(again);
    refused.dedup();
    let others = || column.before_triggers.iter().flatten();
    let mut named = |label: &str| {
        SyncTrigger::named(&own.table, label, others())
            .map_err(|one| refused.push(one))
            .ok()
    };
    let triggers = named(&format!("{label}_there")).zip(named(&format!("{label}_back")));
    let Some(back_by) = facts.back.clone() else {
        refused.push(no_way_back(facts));
        return Err(refused);
    };
    match triggers {
        Some((there, back)) if refused.is_empty() => Ok(Swap {
            facts,
            next,
            old,
            for_next,
            for_old,
            there,
            back,
            back_by,
        }),
        _ => Err(refused),
    }
}

/// A column that is swapped alone.
fn alone(facts: &TypeFacts) -> Result<Swap<'_>, Vec<Refused>> {
    let own = &facts.column.column;
    let label = format!("{}_{}", own.table.name.as_str(), own.column.as_str());
    prepare(facts, std::slice::from_ref(&own.column), &label)
}

/// What stands in the way.
pub(super) fn obstacles(facts: &TypeFacts, table: &TableFacts, wish: &Wish) -> Vec<Refused> {
    let column = &facts.column;
    let mut refused = facts.changed.refused.clone();
    refused.extend(facts.refused_swap.iter().cloned());
    refused.extend(add_index::concurrently_refused(table.server_version));
    let conversions = [
        (Some(&facts.there), wish.using_given, "--using", &facts.changed),
        (facts.back.as_ref(), wish.back_given, "--back", column),
    ];
    for (conversion, is_given, option, to) in conversions {
        if conversion.is_some_and(|conversion| conversion.unstable && !is_given) {
            refused.push(Refused {
                what: format!("the conversion to {}", to.data_type),
                why: format!(
                    "what comes of it depends on the settings of each session (TimeZone, DateStyle and the like), so that the \
                     trigger and the backfill might not agree; say how with {option} 'EXPRESSION' over {}, such as AT TIME ZONE \
                     'UTC'{}",
                    column.column.column,
                    facts
                        .not_in_place
                        .map_or_else(String::new, |why| format!(" (in place {why} while everybody waits)"))
                ),
            });
        }
    }
    refused.extend(not_null_not_valid(&column.column.column, table));
    match alone(facts) {
        Err(more) => refused.extend(more),
        Ok(swap) => refused.extend(taken(&swap, table)),
    }
    refused
}

/// A NOT NULL constraint that rows may not obey yet: the second column gets one that holds.
pub(in crate::recipe) fn not_null_not_valid(name: &SqlIdentifier, table: &TableFacts) -> Option<Refused> {
    let column = table.column(name).ok()?;
    let constraint = column.named_not_null.as_ref().filter(|one| !one.validated)?;
    Some(Refused {
        what: format!("constraint {} of {}", constraint.name, table.table),
        why: format!(
            "it is NOT VALID, and that of the second column is not; once no row has NULL in {name}: ALTER TABLE {} VALIDATE \
             CONSTRAINT {}",
            readable_table(&table.table),
            readable(&constraint.name)
        ),
    })
}

/// Names of one's own that are needed.
pub(in crate::recipe) fn taken(swap: &Swap<'_>, table: &TableFacts) -> Vec<Refused> {
    let column = &swap.facts.column;
    let mut refused = Vec::new();
    let mut refuse = |what: &str, name: &SqlIdentifier| {
        refused.push(Refused {
            what: format!("{what} {name}"),
            why: "one that is made for the change would have that name; rename it first".to_owned(),
        });
    };
    for name in [&swap.next, &swap.old] {
        if column.siblings.contains(name) {
            refuse("column", name);
        }
    }
    for carried in [&swap.for_next, &swap.for_old] {
        for index in &carried.indexes {
            if table.relations.contains(&index.name) {
                refuse("relation", &index.name);
            }
        }
        for name in carried.constraint_names() {
            if table.constraint_names.contains(name) {
                refuse("constraint", name);
            }
        }
    }
    if column.not_null {
        for name in [&swap.next, &swap.old] {
            refused.extend(carry::not_null_check_taken(table.constraint_names(), name));
        }
    }
    refused
}

pub(super) fn recipe(
    facts: &TypeFacts,
    table: &TableFacts,
    wish: &Wish,
    order: &Order,
) -> Result<Recipe, Problem> {
    // What stands in the way was told before.
    let full = &facts.column.column;
    let name = &full.column;
    let swap = alone(facts).map_err(|_| uncopied())?;
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
    swap.add(&mut draft)?;
    swap.fill(&mut draft);
    swap.constrain(&mut draft);
    swap.swap(&mut draft)?;
    swap.keep(&mut draft);
    swap.relax_and_drop(&mut draft, wish)?;
    Ok(draft.finish(remarks(&swap, table, wish)))
}

/// What stood in the way of a copy was not told before, which cannot happen.
pub(in crate::recipe) fn uncopied() -> Problem {
    Problem::new(
        Exit::Failed,
        "catalog-unreadable",
        "what the column carries cannot be copied",
    )
}

fn remarks(swap: &Swap<'_>, table: &TableFacts, wish: &Wish) -> Vec<String> {
    let facts = swap.facts;
    let name = swap.name();
    let why = match facts.not_in_place {
        Some(why) => format!("By a second column, since in place {why} while everybody waits."),
        None => "By a second column, as asked for; it could be changed in place.".to_owned(),
    };
    let mut remarks = vec![
        why,
        format!(
            "Until {} is gone, a write fails whose value either type does not hold. Code that writes what only the new type \
             holds comes after the plan.",
            swap.old
        ),
        format!(
            "{name} will be the last of the table's columns: code that counts on their order (SELECT *, INSERT without a \
                 list of columns) has to be gone."
        ),
    ];
    let unique = facts.column.indexes.iter().filter(|index| index.unique);
    let unique: Vec<String> = unique.map(|index| index.name.to_string()).collect();
    if !unique.is_empty() {
        remarks.push(format!(
            "Between `constrain` and `relax` both columns have a unique index: an INSERT … ON CONFLICT that names one of {} may \
             raise unique_violation by the other column's where two writers meet, and has to be tried again.",
            unique.join(", ")
        ));
    }
    let unstable = [Some(&facts.there), facts.back.as_ref()];
    let is_unstable = unstable.into_iter().flatten().any(|one| one.unstable);
    if is_unstable && (wish.using_given || wish.back_given) {
        remarks.push(
            "What comes of a conversion may depend on the settings of a session (TimeZone, DateStyle and the like): see that it \
             comes out the same for every session that writes, and for shipctl's own."
                .to_owned(),
        );
    }
    let column = table.column(name).ok();
    if let Some(constraint) = column.and_then(|column| column.named_not_null.as_ref()) {
        remarks.push(format!(
            "Its NOT NULL constraint ({}) gets the name that PostgreSQL gives it, without a comment, and validated.",
            constraint.name
        ));
    }
    let others: Vec<String> = facts
        .column
        .before_triggers
        .iter()
        .flatten()
        .map(|trigger| trigger.name.to_string())
        .collect();
    if !others.is_empty() {
        remarks.push(format!(
            "Triggers that fire before a row is written must bear {name} of either type: {}.",
            others.join(", ")
        ));
    }
    remarks.extend(facts.column.remarks.iter().cloned());
    remarks
}
