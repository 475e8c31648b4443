//! What stands in the way of widening a key.

use super::set::{Widening, is_primary};
use super::{WidenFacts, WidenedTable, bytes_of, identity};
use crate::domain::SqlIdentifier;
use crate::recipe::change_type::swap::{not_null_not_valid, taken};
use crate::recipe::{Deferrable, IndexFacts, IndexedValue, Refused, TableFacts, add_index};

/// All of it, each thing once.
pub(super) fn all(facts: &WidenFacts, prepared: &Result<Widening<'_>, Vec<Refused>>) -> Vec<Refused> {
    let mut refused = Vec::new();
    if let Some(key) = facts.column(&facts.key) {
        let full = &facts.key;
        if bytes_of(&key.facts.data_type).is_none() {
            refused.push(Refused {
                what: format!("type {} of {full}", key.facts.data_type),
                why: "only a smallint or integer is widened; give it another type by `shipctl plan change-type`".to_owned(),
            });
        }
        let names_it = |index: &IndexFacts| {
            let mut keys = index.keys.iter();
            keys.any(|one| matches!(&one.what, IndexedValue::Column(column) if *column == full.column))
        };
        if !key
            .facts
            .indexes
            .iter()
            .any(|index| index.unique && names_it(index))
        {
            refused.push(Refused {
                what: format!("no unique index on {full}"),
                why: "it is no key, to which others could refer; `shipctl plan change-type` gives it another type".to_owned(),
            });
        }
    }
    for table in &facts.tables {
        for column in &table.columns {
            refused.extend(column.facts.refused.iter().cloned());
            refused.extend(identity::obstacles(column, &table.facts.relations));
            refused.extend(not_null_not_valid(&column.facts.column.column, &table.facts));
        }
        refused.extend(of_indexes(table));
    }
    refused.extend(facts.refused.iter().cloned());
    let version = facts.tables.first().map(|table| table.facts.server_version);
    refused.extend(version.and_then(add_index::concurrently_refused));
    match prepared {
        Err(more) => refused.extend(more.iter().cloned()),
        Ok(widening) => refused.extend(names_taken(widening)),
    }
    let mut each: Vec<Refused> = Vec::new();
    for one in refused {
        if !each.contains(&one) {
            each.push(one);
        }
    }
    each
}

/// Indexes that could not be built for another type or at another moment.
fn of_indexes(table: &WidenedTable) -> Vec<Refused> {
    let mut refused = Vec::new();
    for column in &table.columns {
        let name = &column.facts.column.column;
        for index in &column.facts.indexes {
            let is_deferrable = |one: &crate::recipe::UniqueConstraint| one.deferrable != Deferrable::No;
            if is_primary(index) && index.constraint.as_ref().is_some_and(is_deferrable) {
                refused.push(Refused {
                    what: format!("primary key {} of {}", index.name, table.facts.table),
                    why: "it is DEFERRABLE, and the index beside it would refuse at once what it refuses at the end of a transaction; \
                          make it NOT DEFERRABLE first (drop it, and `shipctl plan add-primary-key`)"
                        .to_owned(),
                });
            }
            let with_class = index.keys.iter().find_map(|key| match &key.what {
                IndexedValue::Column(column) if column == name => key.operator_class.as_ref(),
                _ => None,
            });
            if let Some(class) = with_class {
                refused.push(Refused {
                    what: format!("index {} of {}", index.name, table.facts.table),
                    why: format!(
                        "its operator class {class} is one of the old type; drop it before the change and make it anew after"
                    ),
                });
            }
        }
    }
    refused
}

/// Names of one's own that are needed.
fn names_taken(widening: &Widening<'_>) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut refuse = |what: &str, name: &SqlIdentifier, facts: &TableFacts| {
        refused.push(Refused {
            what: format!("{what} {name} of {}", facts.table),
            why: "one that is made for the change would have that name; rename it first".to_owned(),
        });
    };
    for table in &widening.tables {
        let facts = &table.table.facts;
        if let Some(primary) = &table.primary {
            for name in [&primary.next.name, &primary.old.name] {
                if facts.relations.contains(name) {
                    refuse("relation", name, facts);
                }
            }
        }
        let own = widening.references.iter().filter(|one| *one.table == facts.table);
        for name in own.flat_map(|one| [&one.next.name, &one.old.name]) {
            if facts.constraint_names.contains(name) {
                refuse("constraint", name, facts);
            }
        }
    }
    for table in &widening.tables {
        for swap in &table.swaps {
            refused.extend(taken(swap, &table.table.facts));
        }
    }
    refused
}
