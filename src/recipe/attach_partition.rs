//! A table that becomes a partition, without being read while it is locked.
//!
//! obey → prepare → attach. A check says of its rows what the bound will, one of the default partition says that none of
//! these rows is there, and the table gets the indexes and foreign keys of the others: so ATTACH finds everything, and
//! locks the table for a moment only. Writers of the partitioned table go on.

use super::draft::{Draft, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::partitions::{Guard, MissingIndex, PartitionFacts};
use super::{ConstraintType, Order, Patience, Recipe, Refused, TableKind, add_index, constraint_sql, names};
use crate::domain::{ColumnName, Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{readable, readable_table};

/// The recipe for `shipctl plan attach-partition PARENT CHILD`.
///
/// # Errors
/// It is a partition already; what stands in the way.
pub fn recipe(facts: &PartitionFacts, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::AttachPartition;
    let (parent, child) = (&facts.parent.table, &facts.child.table);
    if facts.parent.partitions.iter().any(|one| one.table == *child) {
        return Err(already(format!("{child} is a partition of {parent} already")));
    }
    let indexes = indexes(facts);
    refuse_unless_none(kind, &child.to_string(), &obstacles(facts, &indexes))?;

    let subject = Subject {
        kind,
        table: parent,
        columns: &[],
        name: Some(&child.name),
        title: format!("Attach {} to {}", child.name, parent.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    let guards: Vec<Guard> = [Guard::of_partition(facts), Guard::of_default(facts)]
        .into_iter()
        .flatten()
        .collect();
    // Keys, checks and the bound may be about any of them.
    let own = facts.child.columns.iter();
    let mut written: Vec<ColumnName> = own
        .filter(|column| !column.generated && !column.identity)
        .map(|column| facts.child.column_name(&column.name))
        .collect();
    written.extend(guards.iter().skip(1).flat_map(Guard::columns));
    let elsewhere = match &facts.default {
        Some(default) => format!(
            "No row of the bound is written to {} meanwhile, which means: until `attach` ran, not at all through {}.",
            default.table.name, parent.name
        ),
        None => format!("Readers of {} bear that the rows are there too.", parent.name),
    };
    draft.code(
        "obey",
        &format!("Code writes to {} only what will be in its bound", child.name),
        &[],
        &written.iter().collect::<Vec<_>>(),
        &[
            &format!(
                "What it writes to {} directly obeys the keys and constraints of {}.",
                child.name, parent.name
            ),
            &elsewhere,
        ],
    );
    let prepare = prepare(facts, &guards, &indexes);
    if !prepare.up.is_empty() {
        draft.schema(prepare);
    }
    draft.schema(SchemaPhase {
        id: "attach",
        kind: "expand",
        title: format!("{} is a partition of {}", child.name, parent.name),
        comments: &["Undone, its rows can no longer be read, or written, through the partitioned table."],
        explanation: &[
            "PostgreSQL finds in the checks what it would otherwise have to read the tables for. Then they have done their duty.",
            "Should it read them all the same, it is ended after two seconds.",
        ],
        up: std::iter::once(facts.attach())
            .chain(Sql::each(guards.iter().map(Guard::drop)))
            .collect(),
        down: {
            let mut down = Vec::new();
            let (own, of_default) = (guards.first(), guards.get(1));
            // With the check there, detaching concurrently adds none of its own.
            down.extend(own.iter().flat_map(|guard| guard.add()));
            down.push(facts.detach());
            down.extend(of_default.iter().flat_map(|guard| guard.add()));
            Sql::each(down)
        },
        patience: Patience::default(),
    });
    Ok(draft.finish(remarks(facts)))
}

fn prepare(
    facts: &PartitionFacts,
    guards: &[Guard],
    indexes: &[(SqlIdentifier, &MissingIndex)],
) -> SchemaPhase<'static> {
    let child = &facts.child.table;
    let name = readable_table(child);
    let mut up: Vec<String> = guards.iter().flat_map(Guard::add).collect();
    let mut down: Vec<String> = guards.iter().map(Guard::drop).collect();
    for (index, missing) in indexes {
        let unique = if missing.unique { "UNIQUE " } else { "" };
        up.push(format!(
            "CREATE {unique}INDEX CONCURRENTLY {} ON {name} {}",
            readable(index),
            missing.definition
        ));
        match &missing.constraint {
            Some((kind, options)) => {
                let definition = format!("{kind} USING INDEX {}{options}", readable(index));
                up.push(constraint_sql::add(child, index, &definition));
                down.splice(0..0, constraint_sql::drop_with_index(child, index));
            }
            None => down.insert(
                0,
                format!(
                    "DROP INDEX CONCURRENTLY IF EXISTS {}",
                    constraint_sql::index(child, index)
                ),
            ),
        }
    }
    for key in &facts.missing_keys {
        up.push(constraint_sql::add(
            child,
            &key.name,
            &format!("{} NOT VALID", key.definition),
        ));
        up.push(constraint_sql::validate(child, &key.name));
        down.insert(0, constraint_sql::drop(child, &key.name));
    }
    SchemaPhase {
        id: "prepare",
        kind: "expand",
        title: format!("{} fits {}", child.name, facts.parent.table.name),
        comments: &[],
        explanation: &[
            "What ATTACH would do under its locks is done before, while writers go on: rows are looked at, indexes are built.",
        ],
        up: Sql::each(up),
        down: Sql::each(down),
        patience: Patience::default(),
    }
}

/// The indexes that are missing, by the names that PostgreSQL would give them.
fn indexes(facts: &PartitionFacts) -> Vec<(SqlIdentifier, &MissingIndex)> {
    let mut named: Vec<(SqlIdentifier, &MissingIndex)> = Vec::new();
    for missing in &facts.missing_indexes {
        let table = &facts.child.table.name;
        let is_taken = |name: &SqlIdentifier| {
            facts.child.relations.contains(name)
                || facts.child.constraint_names.contains(name)
                || named.iter().any(|(known, _)| known == name)
        };
        let name = match &missing.constraint {
            Some((kind, _)) if kind == "PRIMARY KEY" => names::chosen_for_table(table, "pkey", is_taken),
            Some(_) => names::chosen(table, &missing.columns, "key", is_taken),
            None => names::chosen(table, &missing.columns, "idx", is_taken),
        };
        named.push((name, missing));
    }
    named
}

fn remarks(facts: &PartitionFacts) -> Vec<String> {
    let (parent, child) = (&facts.parent.table, &facts.child.table);
    let mut remarks = Vec::new();
    if let Some(condition) = &facts.condition {
        remarks.push(format!(
            "Nothing puts rows right that do not belong there: `prepare` fails at VALIDATE while there are any, and goes on from there \
             once they are right. To see them: SELECT * FROM {} WHERE NOT ({condition});",
            readable_table(child)
        ));
    }
    if let Some(default) = &facts.default {
        remarks.push(format!(
            "From `prepare` to `attach`, a row of the bound that is written through {parent} is refused, since it would go to {}; so \
             would moving such rows to {child} have to be done before. `attach` locks {} for a moment too.",
            default.table, default.table
        ));
    }
    remarks.push(format!(
        "Row triggers of {parent} fire for {child} from `attach` on, also for what is written to it directly."
    ));
    remarks
}

fn obstacles(facts: &PartitionFacts, indexes: &[(SqlIdentifier, &MissingIndex)]) -> Vec<Refused> {
    let mut refused = facts.obstacles();
    let (parent, child) = (&facts.parent, &facts.child);
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    if parent.kind != TableKind::Partitioned {
        refuse(
            parent.table.to_string(),
            "it is not partitioned; nothing can be attached to it".to_owned(),
        );
    }
    match child.kind {
        TableKind::Partitioned => refuse(
            format!("partitioned table {}", child.table),
            "its indexes cannot be built while writers go on; attach it by hand, in a migration".to_owned(),
        ),
        TableKind::OfAFamily => refuse(
            format!("inheritance of {}", child.table),
            "a partition has no other parents or children; ALTER TABLE … NO INHERIT first".to_owned(),
        ),
        TableKind::Ordinary | TableKind::Other => {}
    }
    if facts
        .default
        .as_ref()
        .is_some_and(|default| default.kind == TableKind::Partitioned)
    {
        refuse(
            format!("the partitions of the default partition of {}", parent.table),
            "each of them would have to be checked; attach it by hand, in a migration".to_owned(),
        );
    }
    for (_, missing) in indexes {
        let is_second = missing
            .constraint
            .as_ref()
            .is_some_and(|(kind, _)| kind == "PRIMARY KEY");
        let own = child
            .constraints
            .iter()
            .find(|one| one.kind == ConstraintType::PrimaryKey)
            .filter(|_| is_second);
        if let Some(own) = own {
            refuse(
                format!("primary key {} of {}", own.name, child.table),
                format!(
                    "it is not that of {}, and there can be only one; drop it first",
                    parent.table
                ),
            );
        }
    }
    if !indexes.is_empty() {
        refused.extend(add_index::concurrently_refused(child.server_version));
    }
    for key in &facts.missing_keys {
        if child.constraint_names.contains(&key.name) {
            refused.push(Refused {
                what: format!("constraint {} of {}", key.name, child.table),
                why: format!(
                    "the foreign key of {} has that name, and this is not the same, or is not valid; rename it, or drop it first",
                    parent.table
                ),
            });
        }
    }
    refused
}
