//! A column that holds what stood in a JSON document, kept in step with it by a trigger until nothing uses the document for
//! it any more.
//!
//! add → backfill → switch → compare → drop (→ remove-key). A value that does not fit the column's type leaves it NULL while
//! old code may still write such values, and stops `backfill` and `compare`, which name the rows: nothing is read as NULL,
//! or goes, that was never NULL, unless that was asked for.

mod functions;

use super::add_column::{NewColumnFacts, SYSTEM_COLUMNS};
use super::draft::{Draft, Fill, SchemaPhase, Sql, Subject, already, refusal, refuse_unless_none};
use super::json_path::{JsonPath, Step};
use super::sync_trigger::SyncTrigger;
use super::two_way::same_value;
use super::{ColumnFacts, Comparison, Order, Patience, Recipe, Refused, TableFacts, TableKind};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::{ChangeKind, SyncMode};
use crate::sql::{readable, readable_table};
use functions::{Functions, Truth};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The new column.
    pub column: SqlIdentifier,
    /// Where the value is.
    pub path: JsonPath,
    /// A value that does not fit the type becomes NULL.
    pub or_null: bool,
    /// The value goes from the documents in the end.
    pub remove_key: bool,
    /// What has to be waited for before the trigger goes.
    pub patience: Patience,
}

/// What the database says of the new column's type.
#[derive(Clone, Debug)]
pub struct TypeFacts {
    /// What it says of a new column.
    pub column: NewColumnFacts,
    /// It is an array, a composite, json or a type that becomes JSON in a way of its own: what is written to a column of it
    /// would not be read again from the document as it was.
    pub is_composed: bool,
    /// How two of its values are found to be the same.
    pub comparison: Comparison,
}

/// The recipe for `shipctl plan extract-json TABLE.COLUMN KEYPATH NEWCOLUMN TYPE`.
///
/// # Errors
/// The column is there already; what stands in the way.
pub fn recipe(
    table: &TableFacts,
    document: &ColumnFacts,
    new: &TypeFacts,
    wish: &Wish,
    order: &Order,
) -> Result<Recipe, Problem> {
    let kind = ChangeKind::ExtractJson;
    let column = table.column_name(&wish.column);
    let from = &document.column.column;
    let known = table.columns.iter().find(|one| one.name == wish.column);
    if known.is_some_and(|one| one.data_type == new.column.data_type) {
        return Err(already(format!(
            "{column} is there already, and is {}",
            new.column.data_type
        )));
    }
    let label = format!("{}_{}", table.table.name.as_str(), wish.column.as_str());
    let mut refused = obstacles(table, document, new, wish);
    let trigger = match SyncTrigger::named(&table.table, &label, document.before_triggers.iter().flatten()) {
        Ok(trigger) => trigger,
        Err(one) => {
            refused.push(one);
            return Err(refusal(kind, &column.to_string(), &refused));
        }
    };
    refuse_unless_none(kind, &column.to_string(), &refused)?;

    let functions = Functions::new(document, new, wish, &label);
    let found = functions.found();
    let columns = [from.clone(), wish.column.clone()];
    let pair = [from, &wish.column];
    let subject = Subject {
        kind,
        table: &table.table,
        columns: &columns,
        name: None,
        title: format!(
            "Extract {} of {}.{from} into {}",
            wish.path, table.table.name, wish.column
        ),
    };
    let mut draft = Draft::new(&subject, order)?;
    let [make, again] = [Truth::Document, Truth::Column].map(|truth| {
        let mut make = functions.create();
        make.extend(trigger.create(&functions.work(truth, document, &pair)));
        make
    });
    let mut take_away = trigger.remove(false);
    take_away.extend(functions.remove(false));
    let mut take_back = trigger.remove(true);
    take_back.extend(functions.remove(true));
    let (sql_table, sql_column) = (readable_table(&table.table), readable(&wish.column));

    let mut add = vec![format!(
        "ALTER TABLE {sql_table} ADD COLUMN {sql_column} {}",
        new.column.data_type
    )];
    add.extend(make);
    let mut undo = take_back;
    undo.push(format!(
        "ALTER TABLE {sql_table} DROP COLUMN IF EXISTS {sql_column}"
    ));
    draft.schema(SchemaPhase {
        id: "add",
        kind: "expand",
        title: format!("Add {}, and a trigger that keeps it in step with {from}", wish.column),
        comments: &[
            "Statements that were prepared with SELECT * or RETURNING * fail once it is there (\"cached plan must not change",
            "result type\"), also behind poolers: name the columns there first, or be ready to prepare them again.",
        ],
        explanation: &[
            "The column starts empty and nullable: no row is rewritten. From the moment it is there, a trigger gives it the value",
            "of each document that is written, or NULL where that does not fit; and what is written to it goes into the document.",
        ],
        up: vec![Sql::Together(add)],
        down: vec![
            Sql::Remark("The documents hold what was written to the column."),
            Sql::Together(undo),
        ],
        patience: Patience::default(),
    });
    let is_found = same_value(new.comparison, &wish.column, &found);
    let fits = format!(
        "({sql_column} IS NOT NULL OR {} IS NULL)",
        wish.path.text(&readable(from))
    );
    let mut fill = Fill::column(
        &column,
        &found,
        if wish.or_null || functions.always_fits() {
            is_found.clone()
        } else {
            format!("{is_found} AND {fits}")
        },
    );
    draft.backfill(
        "backfill",
        &format!("Copy {} out of {from} in batches", wish.path),
        &fill,
        SyncMode::Trigger,
        &[
            "No code has to change before: the trigger takes care of what is written meanwhile. Rows that it wrote are left alone.",
            if wish.or_null {
                "A value that does not fit the type becomes NULL; it stays in the document."
            } else {
                "A value that does not fit the type stops it, and the rows are named: mend their documents, and run again."
            },
        ],
    );
    let (full, from_full) = (&column, &document.column);
    draft.code(
        "switch",
        &format!("Code reads and writes {} instead of the document", wish.column),
        &[full, from_full],
        &[full, from_full],
        &[
            "Old and new code may run side by side, and may come and go: each sees what the other writes. The rest of the documents",
            "is as it was; leave this key in those that you write as you found it, until the trigger is gone: without it, it says",
            "that there is no value. NULL in the column takes the key out of the document.",
        ],
    );
    // The soak belongs to the first phase that closes the way back for the code.
    let mut patience = wish.patience.clone();
    if !wish.or_null {
        fill.set = vec![(&column.column, sql_column.clone())];
        if wish.remove_key {
            let kept = functions.kept_exactly(document);
            fill.verify = format!("{} AND {kept}", fill.verify);
        }
        draft.backfill(
            "compare",
            &format!("Every value in {from} is in {}", wish.column),
            &fill,
            SyncMode::Code,
            &[
                "It changes nothing. It fails, and names rows, where old code wrote what the column cannot hold: mend them.",
                if wish.remove_key {
                    "As the key goes, it also names those that would not hold the very same again: a number that is written as a text."
                } else {
                    "Old code that runs again after it has it done again."
                },
            ],
        );
        draft.gate(&Patience {
            soak: patience.soak.take(),
            approvals: 0,
        });
    }
    draft.schema(SchemaPhase {
        id: "drop",
        kind: "contract",
        title: format!("Drop the trigger; {from} no longer follows"),
        comments: &["From here on the documents hold what they held, or what code puts there."],
        explanation: &["No running version looks for the value in the document any more."],
        up: vec![Sql::Together(take_away)],
        down: vec![
            Sql::Remark("From here on both are kept in step again; the restore takes care of what was written before. Until then"),
            Sql::Remark("the column is right: a document counts only where its value changes."),
            Sql::Together(again),
        ],
        patience,
    });
    draft.restore(
        "Runs in batches after the DOWN side: documents get what is in the column.",
        &Fill {
            table: &table.table,
            set: vec![(from, functions.put())],
            verify: is_found,
        },
    );
    if wish.remove_key {
        draft.backfill(
            "remove-key",
            &format!("Take {} out of {from} in batches", wish.path),
            &functions.without_key(&table.table, document),
            SyncMode::Code,
            &[
                "The column holds it. Code must no longer write it into documents. Undone together with `drop`, which puts it back.",
            ],
        );
    }
    Ok(draft.finish(remarks(table, document, new, wish)))
}

fn obstacles(table: &TableFacts, document: &ColumnFacts, new: &TypeFacts, wish: &Wish) -> Vec<Refused> {
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
            "only of a table by itself is it known that one trigger sees every row that is written: not of a partitioned one, \
             of one with parents or children, nor of anything else",
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

fn remarks(table: &TableFacts, document: &ColumnFacts, new: &TypeFacts, wish: &Wish) -> Vec<String> {
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
    if !others.is_empty() {
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
