//! A partition that becomes a table of its own, without stopping those who use the partitioned table.
//!
//! let-go → detach. A check says what its bound said, so that detaching concurrently adds none, and the way back need not
//! read the table while it is locked.

use super::draft::{Draft, SchemaPhase, Sql, Subject, refuse_unless_none};
use super::partitions::{Guard, PartitionFacts};
use super::{Order, Patience, Recipe, Refused};
use crate::domain::Problem;
use crate::plan::ChangeKind;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What has to be waited for before.
    pub patience: Patience,
}

/// The recipe for `shipctl plan detach-partition PARENT CHILD`.
///
/// # Errors
/// What stands in the way.
pub fn recipe(facts: &PartitionFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::DetachPartition;
    let (parent, child) = (&facts.parent.table, &facts.child.table);
    refuse_unless_none(kind, &child.to_string(), &obstacles(facts))?;

    let subject = Subject {
        kind,
        table: parent,
        columns: &[],
        name: Some(&child.name),
        title: format!("Detach {} from {}", child.name, parent.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    let guard = Guard::of_partition(facts);
    let written: Vec<_> = guard.iter().flat_map(Guard::columns).collect();
    draft.code(
        "let-go",
        &format!("Nothing expects the rows of {} in {}", child.name, parent.name),
        &[],
        &written.iter().collect::<Vec<_>>(),
        &[
            "It reads them from the table itself, or not at all, and writes no such row through the partitioned table: it would",
            "be refused. What it writes to the table itself stays within the bound. Jobs, reports and functions of the database",
            "count as well.",
        ],
    );
    let before = || Sql::each(guard.iter().flat_map(Guard::add)).into_iter();
    let after = || Sql::each(guard.iter().map(Guard::drop));
    draft.schema(SchemaPhase {
        id: "detach",
        kind: "contract",
        title: format!("{} is a table of its own", child.name),
        comments: &[
            "Undone, it is a partition again; that fails, and changes nothing more, while rows are in it that do not belong there.",
        ],
        explanation: &[
            "The check says what the bound says, so that PostgreSQL need not make one of its own.",
        ],
        up: before()
            .chain([Sql::Statement(facts.detach())])
            .chain(after())
            .collect(),
        down: before().chain([facts.attach()]).chain(after()).collect(),
        patience: wish.patience.clone(),
    });
    Ok(draft.finish(vec![format!(
        "The rows stay in {child}, but are no longer seen in {parent}, and new ones like them find no partition. Row triggers of \
         {parent} fire no longer for {child}."
    )]))
}

fn obstacles(facts: &PartitionFacts) -> Vec<Refused> {
    let mut refused = facts.obstacles();
    if let Some(default) = &facts.default {
        refused.push(Refused {
            what: format!("default partition {}", default.table),
            why: format!(
                "while there is one, PostgreSQL detaches only with all of {} locked, and new rows of the bound would go there; detach \
                 by hand, in a migration, or detach the default partition so first",
                facts.parent.table
            ),
        });
    }
    refused
}
