//! A table that goes, after the code that used it, with everything that belongs to it.
//!
//! ignore → drop. Its foreign keys go first, one by one: each locks the other table for a moment, and not for longer than
//! it takes to drop one. What else depends on the table is refused; nothing is dropped by CASCADE.

use super::draft::{Draft, SchemaPhase, Sql, Subject, refuse_unless_none};
use super::{
    Dependent, Order, Patience, Recipe, Refused, TableDefinition, TableFacts, TableKind, constraint_sql,
    dependents,
};
use crate::domain::{Problem, TableName};
use crate::plan::ChangeKind;
use crate::sql::readable_table;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What rests on the table and goes before it.
    pub dependents: Vec<TableName>,
    /// What has to be waited for before the table goes.
    pub patience: Patience,
}

/// The recipe for `shipctl plan drop-table TABLE`.
///
/// # Errors
/// What stands in the way.
pub fn recipe(
    facts: &TableFacts,
    definition: &TableDefinition,
    wish: &Wish,
    order: &Order,
) -> Result<Recipe, Problem> {
    let kind = ChangeKind::DropTable;
    let table = &facts.table;
    let (going, left) = let_go(facts, definition, wish);
    refuse_unless_none(kind, &table.to_string(), &obstacles(facts, left))?;

    let subject = Subject {
        kind,
        table,
        columns: &[],
        name: None,
        title: format!("Drop {}", table.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    draft.code(
        "ignore",
        &format!("Nothing uses {}", table.name),
        &[],
        &[],
        &[
            "It neither reads nor writes the table. Jobs, reports and functions of the database count as well.",
        ],
    );
    draft.schema(drop_phase(facts, definition, &going, wish));
    Ok(draft.finish(remarks(facts, definition)))
}

/// What rests on the table and may go, and what else stands in the way.
fn let_go<'a>(
    facts: &TableFacts,
    definition: &'a TableDefinition,
    wish: &Wish,
) -> (Vec<&'a Dependent>, Vec<Refused>) {
    dependents::let_go(
        &definition.dependents,
        &definition.refused,
        &wish.dependents,
        &facts.table,
        &[],
    )
}

fn drop_phase(
    facts: &TableFacts,
    definition: &TableDefinition,
    going: &[&Dependent],
    wish: &Wish,
) -> SchemaPhase<'static> {
    let table = &facts.table;
    let mut up: Vec<String> = going.iter().map(|dependent| dependent.drop.clone()).collect();
    up.extend(
        definition
            .outward(table)
            .map(|key| constraint_sql::drop(table, &key.name)),
    );
    up.push(format!("DROP TABLE {}", readable_table(table)));
    let mut down = vec![Sql::Remark(
        "The table comes back with all that belonged to it, but WITHOUT ITS ROWS: these are lost.",
    )];
    down.extend(Sql::each(definition.again(table)));
    down.extend(Sql::each(
        going.iter().flat_map(|dependent| dependent.make.clone()),
    ));
    let explanation: &'static [&'static str] = if going.is_empty() {
        &["Foreign keys go first, one by one: each locks the table that it refers to for a moment."]
    } else {
        &[
            "Views go first, then its foreign keys, one by one: each locks the table that it refers to for a moment.",
        ]
    };
    SchemaPhase {
        id: "drop",
        kind: "contract",
        title: format!("Drop {}", table.name),
        comments: &["ALL ROWS ARE LOST from here on: the way back brings an empty table."],
        explanation,
        up: Sql::each(up),
        down,
        patience: wish.patience.clone(),
    }
}

fn remarks(facts: &TableFacts, definition: &TableDefinition) -> Vec<String> {
    let table = &facts.table;
    let mut remarks = vec![format!(
        "`drop` LOSES EVERY ROW of {table}: undone, the table comes back with all that belonged to it, but empty, and its \
         sequences begin anew. Keep a copy if the rows may be needed: pg_dump --table='{table}'."
    )];
    if !definition.publications.is_empty() {
        remarks.push(format!(
            "{table} is published: its subscribers keep their tables, which nothing fills any more."
        ));
    }
    remarks.extend(definition.mentioned_by.iter().map(|function| {
        format!(
            "Function {function} mentions {}: it is part of the code, fails only when it runs, and must do without it first.",
            table.name
        )
    }));
    remarks
}

fn obstacles(facts: &TableFacts, left: Vec<Refused>) -> Vec<Refused> {
    let mut refused = facts.refused.clone();
    let table = &facts.table;
    match facts.kind {
        TableKind::Partitioned => refused.push(Refused {
            what: format!("partitioned table {table}"),
            why: "its partitions would go with it, all at once; take them away one by one first (shipctl plan \
                  detach-partition), and drop it by hand, in a migration"
                .to_owned(),
        }),
        TableKind::OfAFamily if facts.has_parent => refused.push(Refused {
            what: format!("the parent of {table}"),
            why: "who reads the parent reads this table's rows too; if it is a partition: shipctl plan detach-partition; \
                  otherwise ALTER TABLE … NO INHERIT first"
                .to_owned(),
        }),
        TableKind::OfAFamily => refused.push(Refused {
            what: format!("tables that inherit from {table}"),
            why: "they have their columns from it; ALTER TABLE … NO INHERIT them first".to_owned(),
        }),
        TableKind::Ordinary | TableKind::Other => {}
    }
    if facts.kind == TableKind::Ordinary {
        refused.extend(left);
    }
    refused
}
