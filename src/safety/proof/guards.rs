//! What plans bring beside columns, and what depends on columns: constraints, triggers and views.

use std::collections::BTreeMap;

use super::compile::{Builder, bit, every_change};
use super::model::{Columns, Guard, GuardKind, one};
use super::{Change, ConstraintKind, Subject, Work, same_table};
use crate::domain::{ColumnName, PhaseId, SqlIdentifier, TableName};

/// What the functions of some plans do with the new and the old row.
#[derive(Default)]
pub(super) struct Functions<'q>(BTreeMap<&'q SqlIdentifier, Function<'q>>);

struct Function<'q> {
    sets: Vec<&'q SqlIdentifier>,
    names: Vec<&'q SqlIdentifier>,
    updates: Vec<(&'q ColumnName, &'q SqlIdentifier)>,
}

impl<'q> Functions<'q> {
    /// Of a function that is made more than once only that is believed which it always does.
    pub(super) fn of(subject: &'q Subject) -> Self {
        let mut known: BTreeMap<&SqlIdentifier, Function<'_>> = BTreeMap::new();
        for (_, change) in every_change(subject) {
            let Change::Function {
                name,
                sets,
                names,
                updates,
                ..
            } = change
            else {
                continue;
            };
            match known.get_mut(name) {
                Some(before) => {
                    before.sets.retain(|column| sets.contains(column));
                    before.names.extend(names);
                    before.updates.retain(|(column, source)| {
                        updates
                            .iter()
                            .any(|(other, of)| other == *column && of == *source)
                    });
                }
                None => {
                    known.insert(
                        name,
                        Function {
                            sets: sets.iter().collect(),
                            names: names.iter().collect(),
                            updates: updates.iter().map(|(column, source)| (column, source)).collect(),
                        },
                    );
                }
            }
        }
        Self(known)
    }

    /// Every column that a function names; `None` where its body is not known.
    pub(super) fn named_by(&self, function: &SqlIdentifier) -> Option<&[&'q SqlIdentifier]> {
        self.0.get(function).map(|function| function.names.as_slice())
    }

    /// The columns that a function assigns; none where it assigns none, so that it cannot be told what it does.
    pub(super) fn set_by(&self, function: &SqlIdentifier) -> &[&'q SqlIdentifier] {
        self.0
            .get(function)
            .map_or(&[], |function| function.sets.as_slice())
    }

    /// The columns of other rows that a function sets, each with that of the new row whose value it gets.
    pub(super) fn updates_of(&self, function: &SqlIdentifier) -> &[(&'q ColumnName, &'q SqlIdentifier)] {
        self.0
            .get(function)
            .map_or(&[], |function| function.updates.as_slice())
    }
}

/// Whether a forward side makes a trigger of this name.
fn brings_trigger(subject: &Subject, on: &TableName, called: &SqlIdentifier) -> bool {
    subject.shape.phases().any(|shape| {
        changes_of(subject, &shape.id)
            .into_iter()
            .any(|(forward, change)| {
                matches!(change, Change::AddTrigger { table, name, .. }
                if forward && name == called && same_table(table, on))
            })
    })
}

/// Every change of a phase's SQL in order, with whether it is of the forward side.
pub(super) fn changes_of<'q>(subject: &'q Subject, phase: &PhaseId) -> Vec<(bool, &'q Change)> {
    match subject.work.get(phase) {
        Some(Work::Migration { up, down, .. }) => {
            let back = down.iter().flatten().flatten();
            up.iter()
                .flatten()
                .map(|change| (true, change))
                .chain(back.map(|change| (false, change)))
                .collect()
        }
        _ => Vec::new(),
    }
}

impl Builder {
    /// Counts everything that is made, so that what takes it away finds it in whichever order the phases stand.
    pub(super) fn guards(&mut self, subjects: &[&Subject]) {
        for (plan, subject) in subjects.iter().enumerate() {
            let functions = Functions::of(subject);
            for (phase, shape) in subject.shape.phases().enumerate() {
                for (number, (forward, change)) in changes_of(subject, &shape.id).into_iter().enumerate() {
                    let made = match change {
                        Change::AddConstraint {
                            table,
                            name,
                            kind,
                            columns,
                            ..
                        } if forward || *kind == ConstraintKind::NotNull => {
                            // The way back brings constraints that were there before; all code knows them.
                            let columns = columns
                                .iter()
                                .fold(0, |all, column| all | one(self.column(table, column)));
                            let on = self.columns_of(table);
                            let what = GuardKind::Constraint(*kind);
                            (table, name.clone(), what, self.under_each_name(columns), on)
                        }
                        Change::AddTrigger {
                            table,
                            name,
                            function,
                            fires,
                        } => {
                            let uses = match functions.named_by(function) {
                                Some(names) => names
                                    .iter()
                                    .fold(0, |all, column| all | one(self.column(table, column))),
                                // One that the way back alone brings was there before, and knows nothing of the plan's columns.
                                None if !forward && !brings_trigger(subject, table, name) => 0,
                                None => self.declared(subject, table),
                            };
                            let elsewhere = functions
                                .updates_of(function)
                                .iter()
                                .fold(0, |all, (column, _)| all | one(self.named(column)));
                            let uses = uses | elsewhere;
                            let what = GuardKind::Trigger {
                                function: function.clone(),
                                fires: fires.clone(),
                            };
                            let on = self.columns_of(table);
                            (table, Some(name.clone()), what, uses, on)
                        }
                        Change::View { view, tables, reads } => {
                            let reads = self.set_of(reads);
                            let on = tables.iter().fold(0, |all, table| all | self.columns_of(table));
                            let (reads, on) = (self.under_each_name(reads), self.under_each_name(on));
                            (view, None, GuardKind::View, reads, on)
                        }
                        _ => continue,
                    };
                    let (table, name, what, columns, on) = made;
                    self.guards.push(Guard {
                        plan,
                        phase,
                        number,
                        table: table.clone(),
                        name,
                        what,
                        columns,
                        on,
                    });
                }
            }
        }
    }

    /// What a change makes; of a trigger every one that is the same.
    pub(super) fn made_by(&self, plan: usize, phase: usize, number: usize) -> u64 {
        let Some(place) = self
            .guards
            .iter()
            .position(|guard| guard.plan == plan && guard.phase == phase && guard.number == number)
        else {
            return 0;
        };
        let Some(made) = self.guards.get(place).filter(|made| made.what.is_trigger()) else {
            return bit(place);
        };
        let same = |guard: &Guard| {
            guard.what == made.what && guard.name == made.name && same_table(&guard.table, &made.table)
        };
        // One of them stands for all.
        self.guards.iter().position(same).map_or(0, bit)
    }

    pub(super) fn guards_that(&self, wanted: impl Fn(&Guard) -> bool) -> u64 {
        self.guards
            .iter()
            .enumerate()
            .filter(|(_, guard)| wanted(guard))
            .fold(0, |all, (place, _)| all | bit(place))
    }

    /// The triggers with a name on a table.
    pub(super) fn triggers_called(&self, name: &SqlIdentifier, table: &TableName) -> u64 {
        self.guards_that(|guard| {
            guard.what.is_trigger() && guard.name.as_ref() == Some(name) && same_table(&guard.table, table)
        })
    }

    /// The triggers that call a function.
    pub(super) fn triggers_calling(&self, called: &SqlIdentifier) -> u64 {
        self.guards_that(
            |guard| matches!(&guard.what, GuardKind::Trigger { function, .. } if function == called),
        )
    }

    /// The views that read a column.
    pub(super) fn views_of(&self, columns: Columns) -> u64 {
        self.guards_that(|guard| guard.what == GuardKind::View && guard.columns & columns != 0)
    }

    /// The views that read a table, but for one of that name: it may read what the name belonged to before.
    pub(super) fn views_on(&self, table: &TableName) -> u64 {
        let columns = self.columns_of(table);
        self.guards_that(|guard| {
            guard.what == GuardKind::View && guard.on & columns != 0 && !same_table(&guard.table, table)
        })
    }

    /// The columns of a table that backfills say are kept by a trigger.
    fn declared(&mut self, subject: &Subject, table: &TableName) -> Columns {
        let mut columns = 0;
        for work in subject.work.values() {
            if let Work::Backfill(fill) = work
                && fill.by_trigger
                && same_table(&fill.table, table)
            {
                columns |= self.columns_of_fill(fill);
            }
        }
        columns
    }
}
