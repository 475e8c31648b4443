//! The phases, each over all tables.

use super::set::{OfTable, Twins, Widening};
use crate::domain::{ColumnName, Problem};
use crate::plan::SyncMode;
use crate::recipe::add_identity::largest;
use crate::recipe::change_type::TOLERATES;
use crate::recipe::change_type::swap::phases::{Filled, Sides};
use crate::recipe::draft::{Draft, Fill, SchemaPhase, Sql};
use crate::recipe::{Patience, constraint_sql, names};
use crate::sql::readable;

/// The longest part of a phase's id that is made of a table's name.
const LONGEST_PART: usize = 40;

/// Writes all of them.
pub(super) fn write(widening: &Widening<'_>, patience: &Patience, draft: &mut Draft) -> Result<(), Problem> {
    tolerate(widening, draft);
    add(widening, draft)?;
    fill(widening, draft);
    constrain(widening, draft);
    swap(widening, draft)?;
    keep(widening, draft);
    relax(widening, patience, draft);
    drop(widening, patience, draft)
}

/// The ids of phases of which there is one for each table.
fn ids(word: &str, widening: &Widening<'_>) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let is_alone = widening.changed().count() == 1;
    for table in widening.changed() {
        let name = table.name();
        let part = names::safe_within(name.name.as_str(), '-', &name.to_string(), LONGEST_PART);
        let made = if is_alone {
            word.to_owned()
        } else {
            format!("{word}-{part}")
        };
        // Tables of several schemas may have one name.
        let numbered = std::iter::once(made.clone()).chain((2u32..).map(|number| format!("{made}-{number}")));
        let mut free = numbered.filter(|id| !ids.contains(id));
        ids.push(free.next().unwrap_or(made));
    }
    ids
}

/// The columns in words, with those of which table they are.
fn columns(table: &OfTable<'_>) -> String {
    let names: Vec<String> = table.swaps.iter().map(|swap| swap.name().to_string()).collect();
    format!("{} of {}", names.join(" and "), table.name().name)
}

fn filled<'f>(table: &'f OfTable<'_>, of: Vec<Filled<'f>>) -> Fill<'f> {
    let verify: Vec<String> = match of.as_slice() {
        [one] => vec![one.verify.clone()],
        several => several.iter().map(|one| format!("({})", one.verify)).collect(),
    };
    Fill {
        table: table.name(),
        set: of.into_iter().map(|one| (one.column, one.expression)).collect(),
        verify: verify.join(" AND "),
    }
}

fn referring(one: &Twins<'_>) -> Vec<ColumnName> {
    let columns = one.own.columns.iter().map(|column| ColumnName {
        table: one.table.clone(),
        column: column.clone(),
    });
    columns.collect()
}

fn tolerate(widening: &Widening<'_>, draft: &mut Draft) {
    // Wide enough already, but held to a second foreign key as well.
    let others: Vec<ColumnName> = widening.references.iter().flat_map(referring).collect();
    let mut others: Vec<&ColumnName> = others
        .iter()
        .filter(|name| widening.facts.column(name).is_none())
        .collect();
    others.dedup();
    let widened = widening.swaps().map(|swap| &swap.facts.column.column);
    let all: Vec<&ColumnName> = widened.chain(others.iter().copied()).collect();
    // What is GENERATED ALWAYS nobody writes.
    let written: Vec<&ColumnName> = widening
        .facts
        .columns()
        .filter(|column| column.handed_out.is_always != Some(true))
        .map(|column| &column.facts.column)
        .chain(others.iter().copied())
        .collect();
    let comments = [
        &[
            "Wherever code holds such a value (variables, fields of messages, columns of other databases), it is of a type that",
            "bears the new one's. Until the plan is done no value is beyond the old one's.",
        ],
        TOLERATES,
    ]
    .concat();
    draft.code(
        "tolerate",
        "Code bears all of these columns of either type",
        &all,
        &written,
        &comments,
    );
}

fn add(widening: &Widening<'_>, draft: &mut Draft) -> Result<(), Problem> {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for table in widening.changed() {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        for swap in &table.swaps {
            let sides = swap.add_sql()?;
            there.extend(sides.up);
            back.extend(sides.down);
        }
        up.push(Sql::Together(there));
        down.push(Sql::Together(back));
    }
    down.reverse();
    draft.schema(SchemaPhase {
        id: "add",
        kind: "expand",
        title: "Add a second column beside each, and a trigger that fills it".to_owned(),
        comments: &["From here on a write fails whose value the new type does not hold: older code cannot come back."],
        explanation: &[
            "Table by table: the new columns start empty and nullable, so that no row is rewritten. From the moment they are there, a",
            "trigger makes their values of those that are written to the old ones. It is called only where these change, and not for",
            "shipctl's own backfill.",
        ],
        up,
        down,
        patience: Patience::default(),
    });
    Ok(())
}

fn fill(widening: &Widening<'_>, draft: &mut Draft) {
    for (table, id) in widening.changed().zip(ids("backfill", widening)) {
        let fill = filled(table, table.swaps.iter().map(|swap| swap.filled()).collect());
        draft.backfill(
            &id,
            &format!("Fill what stands beside {} in batches", columns(table)),
            &fill,
            SyncMode::Trigger,
            &["The trigger takes care of what is written meanwhile."],
        );
    }
}

fn constrain(widening: &Widening<'_>, draft: &mut Draft) {
    let Sides { up, down } = widening.constrain();
    draft.schema(SchemaPhase {
        id: "constrain",
        kind: "expand",
        title: "Give the new columns the indexes and constraints of the old ones".to_owned(),
        comments: &[],
        explanation: &[
            "The new columns are filled: they get the indexes and constraints of the old ones, built while writers go on, and",
            "statistics, so that nobody plans without them after the swap. Foreign keys between them come last, when what they refer",
            "to is unique.",
        ],
        up,
        down,
        patience: Patience::default(),
    });
}

fn swap(widening: &Widening<'_>, draft: &mut Draft) -> Result<(), Problem> {
    let Sides { up, down } = widening.swap()?;
    draft.schema(SchemaPhase {
        id: "swap",
        kind: "expand",
        title: format!("All of them are {}", widening.facts.data_type),
        comments: &[
            "Until the old columns are gone, a write fails whose value the old type does not hold: code that needs the new",
            "type's range comes after the plan.",
        ],
        explanation: &[
            "Together, in a moment, under a lock on all of these tables, each after those that it refers to: the columns change their",
            "names, with their defaults, sequences, indexes and constraints. A table has one primary key at most: that of the old",
            "columns goes with the foreign keys that rest on it, and that of the new ones is made of the index that is there. From",
            "then on a trigger makes the old columns' values of the new ones', so that this can be undone.",
        ],
        up,
        down,
        patience: Patience::default(),
    });
    Ok(())
}

fn keep(widening: &Widening<'_>, draft: &mut Draft) {
    for (table, id) in widening.changed().zip(ids("keep", widening)) {
        let fill = filled(table, table.swaps.iter().map(|swap| swap.kept()).collect());
        draft.backfill(
            &id,
            &format!("See that the old columns can take back the names {}", columns(table)),
            &fill,
            SyncMode::Trigger,
            &["Every row is looked at once. There should be nothing to fill: what was there is right, and the trigger makes the rest."],
        );
    }
}

fn relax(widening: &Widening<'_>, patience: &Patience, draft: &mut Draft) {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for swap in widening.swaps() {
        let sides = swap.relax_sql();
        up.extend(sides.up);
        down.extend(sides.down);
    }
    draft.schema(SchemaPhase {
        id: "relax",
        kind: "contract",
        title: "Free the old columns of their indexes and constraints".to_owned(),
        comments: &["From here on the swap can be undone only after this is."],
        explanation: &[
            "Nobody uses the old columns by now. What hangs on them goes one by one: each lock is short.",
        ],
        up,
        down,
        patience: Patience {
            soak: patience.soak.clone(),
            approvals: 0,
        },
    });
}

/// One migration a table, that of the key last: undone, it comes first, and fails before anything changes where a value does
/// not fit any more.
fn drop(widening: &Widening<'_>, patience: &Patience, draft: &mut Draft) -> Result<(), Problem> {
    let mut approvals = patience.approvals;
    let tables: Vec<_> = widening.changed().zip(ids("drop", widening)).collect();
    for (table, id) in tables.into_iter().rev() {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        for swap in &table.swaps {
            let sides = swap.drop_sql()?;
            there.extend(sides.up);
            back.extend(sides.down);
        }
        let comments: &[&str] = if approvals > 0 {
            &[
                "The point of no cheap return: undoing it adds the columns again and fills them from the new ones. Whoever approves",
                "this approves that all of the old columns go, table by table.",
            ]
        } else {
            &[
                "The point of no cheap return: undoing it adds the columns again and fills them from the new ones.",
            ]
        };
        draft.schema(SchemaPhase {
            id: &id,
            kind: "contract",
            title: format!("Drop what was {}, and the trigger", columns(table)),
            comments,
            explanation: &["Together, so that at no moment a trigger writes a column that is gone."],
            up: vec![Sql::Together(there)],
            down: vec![
                Sql::Remark("Fails while a value is beyond the old type, before anything changes."),
                Sql::Statement(beyond(table)),
                Sql::Remark(
                    "The columns come back empty; the phase's `restore` fills them in batches afterwards.",
                ),
                Sql::Together(back),
            ],
            patience: Patience {
                soak: None,
                approvals: std::mem::take(&mut approvals),
            },
        });
        let fill = filled(table, table.swaps.iter().map(|swap| swap.restored()).collect());
        draft.restore("Runs in batches after the DOWN side.", &fill);
    }
    Ok(())
}

/// Fails where a value does not fit into the old type.
fn beyond(table: &OfTable<'_>) -> String {
    let each = table.swaps.iter().filter_map(|swap| {
        let largest = largest(&swap.facts.column.data_type)?;
        Some(format!(
            "{} NOT BETWEEN {} AND {largest}",
            readable(swap.name()),
            -largest - 1
        ))
    });
    constraint_sql::fail_if_any(
        table.name(),
        &each.collect::<Vec<_>>().join(" OR "),
        &format!(
            "{} holds values beyond the old type, to which there is no way back",
            table.name()
        ),
    )
}
