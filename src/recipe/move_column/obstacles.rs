//! What stands in the way of a column that moves.

use super::sides::Carried;
use super::{Held, Move};
use crate::domain::{SqlIdentifier, TableName};
use crate::recipe::add_column::SYSTEM_COLUMNS;
use crate::recipe::add_index::concurrently_refused;
use crate::recipe::{
    ColumnFacts, DefaultValue, Deferrable, Dependent, IndexFacts, IndexedValue, Refused, TableFacts,
    TableKind, carry, dependents,
};

/// What depends on the column and goes along, and what else stands in the way.
pub(super) fn let_go<'a>(asked: &Move<'a>) -> (Vec<&'a Dependent>, Vec<Refused>) {
    let facts: &'a ColumnFacts = asked.facts;
    let shared: Vec<SqlIdentifier> = facts.shared.iter().map(|(name, _)| name.clone()).collect();
    dependents::let_go(
        &facts.dependents,
        &facts.refused,
        &asked.wish.dependents,
        &facts.column.table,
        &shared,
    )
}

/// All of it, but for names that are taken.
pub(super) fn of(asked: &Move<'_>, held: &Held<'_>) -> Vec<Refused> {
    let facts = asked.facts;
    let (_, mut refused) = let_go(asked);
    for one in asked
        .source
        .refused
        .iter()
        .chain(&asked.target.refused)
        .chain(&asked.pairing.refused)
    {
        if !refused.contains(one) {
            refused.push(one.clone());
        }
    }
    // Of the names that are given, those of what other columns have a part in are meant here.
    let schema = facts.column.table.schema.as_ref();
    let named: Vec<TableName> = asked
        .wish
        .dependents
        .iter()
        .filter(|given| {
            let mut shared = facts.shared.iter();
            shared.any(|(name, _)| dependents::is_called(given, schema, name))
        })
        .cloned()
        .collect();
    held.shared(std::slice::from_ref(facts), &named, &mut refused);
    target(asked, &mut refused);
    pairs(asked, &mut refused);
    left_out(facts, asked, &mut refused);
    deferrable(facts, &mut refused);
    if asked.wish.create_rows {
        created(asked, &mut refused);
    }
    if held.builds() {
        refused.extend(concurrently_refused(asked.source.server_version));
    }
    if facts.not_null {
        refused.extend(carry::not_null_check_taken(
            asked.source.constraint_names(),
            &facts.column.column,
        ));
    }
    if asked.is_strict() {
        refused.extend(carry::not_null_check_taken(
            asked.target.constraint_names(),
            asked.name,
        ));
    }
    refused
}

fn target(asked: &Move<'_>, refused: &mut Vec<Refused>) {
    let target = asked.target;
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    if target.kind != TableKind::Ordinary || target.has_parent {
        refuse(
            format!("kind of {}", target.table),
            "rows of a partitioned table, a partition or a table with parents or children do not surely pair; only ordinary \
             tables are supported"
                .to_owned(),
        );
    }
    if SYSTEM_COLUMNS.contains(&asked.name.as_str()) {
        refuse(
            format!("name {}", asked.name),
            "PostgreSQL keeps it for itself; choose another".to_owned(),
        );
    }
    if target.columns.iter().any(|one| one.name == *asked.name) {
        refuse(
            format!("column {}", asked.name),
            format!(
                "{} has one of that name already; give another name behind the table's, or drop that one first if it is a leftover",
                target.table
            ),
        );
    }
}

/// What keeps rows from pairing one to one.
fn pairs(asked: &Move<'_>, refused: &mut Vec<Refused>) {
    let key = asked.key;
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    if key.unusual {
        refuse(
            format!("foreign key {}", key.name),
            "it is deferrable, not enforced, or of periods, so that a row may come before the one it refers to and miss it; make \
             it an ordinary one first"
                .to_owned(),
        );
    }
    let source: Vec<SqlIdentifier> = key.pairs.iter().map(|pair| pair.source.clone()).collect();
    let target: Vec<SqlIdentifier> = key.pairs.iter().map(|pair| pair.target.clone()).collect();
    if source.contains(&asked.facts.column.column) {
        refuse(
            format!("foreign key {}", key.name),
            format!("rows pair by {} itself, which stays", asked.facts.column.column),
        );
    }
    let sides: [(&TableFacts, &[SqlIdentifier]); 2] = [(asked.source, &source), (asked.target, &target)];
    for (table, columns) in sides {
        for name in columns {
            let nullable = table
                .columns
                .iter()
                .any(|column| column.name == *name && !column.not_null);
            if nullable {
                refuse(
                    format!("column {}", table.column_name(name)),
                    "rows pair by it, and it may be NULL; make it NOT NULL first with `shipctl plan set-not-null`".to_owned(),
                );
            }
        }
        if !table.indexes.iter().any(|index| index.keeps_unique(columns)) {
            let names: Vec<String> = columns.iter().map(SqlIdentifier::to_string).collect();
            refuse(
                format!("{} ({})", table.table, names.join(", ")),
                "several rows may hold the same there, so that they do not pair one to one: there is no valid unique index on just \
                 these columns that holds all rows and is checked at once; add one first with `shipctl plan add-unique`"
                    .to_owned(),
            );
        }
    }
}

/// What would refuse rows without the column, as new code writes them before the column goes.
fn left_out(facts: &ColumnFacts, asked: &Move<'_>, refused: &mut Vec<Refused>) {
    let name = &facts.column.column;
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    match (&facts.default, facts.default_value) {
        (None, _) if facts.not_null => refuse(
            format!("NOT NULL of {name}"),
            format!(
                "it has no default, and new code, which leaves it out, could not insert into {}; let it be NULL first (drop-not-null) \
                 or give it a default (set-default)",
                facts.column.table
            ),
        ),
        (Some(default), DefaultValue::Another | DefaultValue::Unknown)
            if facts.not_null || !asked.key.of_target =>
        {
            refuse(
                format!("default of {name}"),
                format!(
                    "{default} may come to another value each time, so that it cannot be told whether a value was given; drop the \
                     default first"
                ),
            );
        }
        _ => {}
    }
    let has_default = facts.default.is_some();
    let checks = if has_default {
        &facts.refuse_default
    } else {
        &facts.refuse_null
    };
    for check in checks {
        refuse(
            format!("check constraint {check}"),
            format!(
                "new code leaves {name} out of {}, and the check does not surely pass then; drop it first, and add one for the moved \
                 column after",
                facts.column.table
            ),
        );
    }
    for index in facts.indexes.iter().filter(|index| index.unique) {
        let is_shared = facts.shared.iter().any(|(shared, _)| *shared == index.name);
        if (has_default && !is_shared) || (!has_default && refuses_null(index, name)) {
            refuse(
                format!("unique index {}", index.name),
                format!(
                    "new code leaves {name} out of {}, and the index may refuse the second row without it; drop it first, or the \
                     default, and add one for the moved column after",
                    facts.column.table
                ),
            );
        }
    }
    for key in &facts.foreign_keys {
        let acts = [&key.on_update, &key.on_delete].into_iter().flatten();
        if acts.into_iter().any(|action| action != "RESTRICT") {
            refuse(
                format!("foreign key {}", key.name),
                "its action would change or delete rows of both tables while both have it; make it NO ACTION or RESTRICT first"
                    .to_owned(),
            );
        }
        if key.match_full && key.columns.len() > 1 {
            refuse(
                format!("foreign key {}", key.name),
                format!("it is MATCH FULL and refuses rows that leave only {name} out; drop it first"),
            );
        }
    }
}

/// What one side is to check at the end only, the triggers would break in between at the other.
fn deferrable(facts: &ColumnFacts, refused: &mut Vec<Refused>) {
    for index in own_indexes(facts) {
        let constraint = index.constraint.as_ref();
        if constraint.is_some_and(|constraint| constraint.deferrable != Deferrable::No) {
            refused.push(Refused {
                what: format!("unique constraint {}", index.name),
                why: "it is deferrable, and values that change places would meet at the other side while the triggers hand them on \
                      one by one; drop it first, and add one that is not deferrable, or one for the moved column after"
                    .to_owned(),
            });
        }
    }
}

/// Those that no other column has a part in, and that go along so.
pub(super) fn own_indexes(facts: &ColumnFacts) -> impl Iterator<Item = &IndexFacts> {
    let is_own = |index: &&IndexFacts| !facts.shared.iter().any(|(shared, _)| *shared == index.name);
    facts.indexes.iter().filter(is_own)
}

/// A NULL among the keys is like no other; one that an expression or a condition looks at may be.
fn refuses_null(index: &IndexFacts, name: &SqlIdentifier) -> bool {
    let is_key = index
        .keys
        .iter()
        .any(|key| key.what == IndexedValue::Column(name.clone()));
    index.nulls_not_distinct || !is_key
}

/// What keeps rows of the target from being made.
fn created(asked: &Move<'_>, refused: &mut Vec<Refused>) {
    let target = asked.target;
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    if !asked.key.of_target {
        refuse(
            "--create-rows".to_owned(),
            format!(
                "{} refers to {}, so that each of its rows has one there already; leave it out",
                asked.source.table, target.table
            ),
        );
    }
    for column in &target.columns {
        let is_key = asked.key.pairs.iter().any(|pair| pair.target == column.name);
        let name = target.column_name(&column.name);
        if is_key && (column.identity || column.generated) {
            refuse(
                format!("column {name}"),
                "PostgreSQL makes its values, so that a row for a given one cannot be made".to_owned(),
            );
        }
        let has_value =
            column.default.is_some() || column.identity || column.generated || column.filled_by_others;
        if !is_key && column.not_null && !has_value {
            refuse(
                format!("column {name}"),
                "it is NOT NULL and has no default, so that --create-rows has nothing to put there; give it a default first"
                    .to_owned(),
            );
        }
    }
}

/// Names that what goes along would have, and that something at the target has.
pub(super) fn taken(asked: &Move<'_>, carried: &Carried) -> Vec<Refused> {
    let target = asked.target;
    let mut refused = Vec::new();
    let mut refuse = |name: &SqlIdentifier| {
        refused.push(Refused {
            what: format!("name {name}"),
            why: format!(
                "something of {} has it, or its schema, and what goes along with {} would have it there; rename one of both first",
                target.table, asked.facts.column.column
            ),
        });
    };
    let is_of_source = |name: &SqlIdentifier| {
        target.table.schema == asked.source.table.schema
            && asked.source.indexes.iter().any(|index| index.name == *name)
    };
    for (index, twin) in &carried.indexes {
        if (target.relations.contains(&index.name) && !is_of_source(&index.name))
            || target.constraint_names().any(|name| *name == index.name)
        {
            refuse(&index.name);
        }
        if target.relations.contains(&twin.name) || target.constraint_names().any(|name| *name == twin.name) {
            refuse(&twin.name);
        }
    }
    let checks = carried.checks.iter().map(|check| &check.name);
    for name in checks.chain(carried.foreign_keys.iter().map(|key| &key.name)) {
        if target.constraint_names().any(|other| other == name) {
            refuse(name);
        }
    }
    refused
}
