//! What of the tables a plan touches, and where two plans touch the same.

use super::compile::every_change;
use super::{Change, Subject, Work, same_table};
use crate::domain::{ColumnName, PhaseId, PlanId, SqlIdentifier, TableName};

/// A column that two plans touch, at least one of them changing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    /// The plans.
    pub plans: [PlanId; 2],
    /// The column.
    pub column: ColumnName,
    /// The first phase of each that touches it.
    pub phases: [PhaseId; 2],
}

/// Whether two plans name the same table, whatever they do with it.
pub(super) fn share_a_table(one: &Subject, other: &Subject) -> bool {
    let others = tables(other);
    tables(one)
        .iter()
        .any(|table| others.iter().any(|other| same_table(table, other)))
}

/// Every table that a plan names.
pub(super) fn tables(subject: &Subject) -> Vec<TableName> {
    let mut tables: Vec<TableName> = touches(subject)
        .into_iter()
        .map(|touch| touch.column.table)
        .collect();
    let renames = subject.renames.iter().flat_map(|(old, new)| [old, new]);
    tables.extend(renames.map(|column| column.table.clone()));
    for work in subject.work.values() {
        if let Work::Migration {
            restore: Some(fill), ..
        }
        | Work::Code {
            restore: Some(fill), ..
        } = work
        {
            tables.push(fill.table.clone());
        }
    }
    for work in subject.work.values() {
        if let Work::Backfill(fill) = work {
            tables.extend(fill.paired.iter().map(|(_, held)| held.table.clone()));
        }
    }
    for (_, change) in every_change(subject) {
        of_change(change, &mut |column, _| tables.push(column.table));
        match change {
            Change::NewTable { table, .. }
            | Change::DropTable { table, .. }
            | Change::DropConstraint {
                table: Some(table), ..
            }
            | Change::ValidateConstraint { table, .. }
            | Change::AddTrigger { table, .. }
            | Change::DropTrigger { table, .. } => tables.push(table.clone()),
            Change::RenameTable { from, to } => tables.extend([from.clone(), to.clone()]),
            Change::View {
                view, tables: read, ..
            } => {
                tables.push(view.clone());
                tables.extend(read.iter().cloned());
            }
            _ => {}
        }
    }
    tables.sort();
    tables.dedup();
    tables
}

/// The columns that two plans touch, where at least one of them changes it.
pub fn collisions(subjects: &[Subject]) -> Vec<Collision> {
    let mut found: Vec<Collision> = Vec::new();
    for (place, first) in subjects.iter().enumerate() {
        for second in subjects.iter().skip(place + 1) {
            let theirs = touches(second);
            for ours in touches(first) {
                let met = theirs.iter().find(|touch| {
                    touch.column.column == ours.column.column
                        && same_table(&touch.column.table, &ours.column.table)
                        && (touch.changes || ours.changes)
                });
                let plans = [first.shape.id().clone(), second.shape.id().clone()];
                if let Some(met) = met
                    && !found
                        .iter()
                        .any(|known| known.plans == plans && known.column.column == ours.column.column)
                {
                    found.push(Collision {
                        plans,
                        column: ours.column,
                        phases: [ours.phase, met.phase.clone()],
                    });
                }
            }
        }
    }
    found
}

struct Touch {
    column: ColumnName,
    phase: PhaseId,
    changes: bool,
}

/// The columns that a plan names, in the order of its phases; those that it changes first.
fn touches(subject: &Subject) -> Vec<Touch> {
    let mut touches = Vec::new();
    for phase in subject.shape.phases() {
        let mut touch = |column: ColumnName, changes| {
            touches.push(Touch {
                column,
                phase: phase.id.clone(),
                changes,
            });
        };
        match subject.work.get(&phase.id) {
            Some(Work::Migration { up, .. }) => {
                for change in up.iter().flatten() {
                    of_change(change, &mut touch);
                }
            }
            Some(Work::Backfill(fill)) => {
                for (target, sources) in &fill.columns {
                    touch(column(&fill.table, target), true);
                    sources
                        .iter()
                        .for_each(|source| touch(column(&fill.table, source), false));
                }
                fill.paired
                    .iter()
                    .for_each(|(_, held)| touch(held.clone(), false));
            }
            Some(Work::Code { reads, writes, .. }) => {
                reads
                    .iter()
                    .chain(writes)
                    .for_each(|one| touch(one.clone(), false));
            }
            Some(Work::Manual) | None => {}
        }
    }
    touches.sort_by_key(|touch| !touch.changes);
    touches
}

fn of_change(change: &Change, touch: &mut impl FnMut(ColumnName, bool)) {
    match change {
        Change::NewTable { table, columns, .. } => {
            columns
                .iter()
                .for_each(|new| touch(column(table, &new.name), true));
        }
        Change::AddColumn {
            table, column: new, ..
        } => touch(column(table, &new.name), true),
        Change::DropColumn { column, .. }
        | Change::NotNull { column, .. }
        | Change::Default { column, .. }
        | Change::Generated { column, .. } => touch(column.clone(), true),
        Change::RenameColumn { from, to } => {
            touch(from.clone(), true);
            touch(column(&from.table, to), true);
        }
        Change::AddConstraint { table, columns, .. } => {
            columns.iter().for_each(|one| touch(column(table, one), true));
        }
        Change::View { reads, .. } => reads.iter().for_each(|one| touch(one.clone(), false)),
        Change::Fill(fill) => {
            fill.columns
                .iter()
                .for_each(|(target, _)| touch(column(&fill.table, target), true));
        }
        _ => {}
    }
}

fn column(table: &TableName, column: &SqlIdentifier) -> ColumnName {
    ColumnName {
        table: table.clone(),
        column: column.clone(),
    }
}
