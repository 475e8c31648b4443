//! The columns and tables that the question mentions, each with its place.

use super::compile::{Builder, every_change};
use super::model::{Columns, one};
use super::{Change, Fill, Subject, Work, same_table};
use crate::domain::{ColumnName, SqlIdentifier, TableName};

impl Builder {
    pub(super) fn table(&mut self, name: &TableName) -> usize {
        if let Some(place) = self.tables.iter().position(|table| same_table(table, name)) {
            if let (Some(table), Some(_)) = (self.tables.get_mut(place), &name.schema) {
                *table = name.clone();
            }
            return place;
        }
        self.tables.push(name.clone());
        self.tables.len() - 1
    }

    pub(super) fn column(&mut self, table: &TableName, column: &SqlIdentifier) -> usize {
        let place = self.table(table);
        let known = |known: &ColumnName| known.column == *column && same_table(&known.table, table);
        if let Some(found) = self.columns.iter().position(known) {
            return found;
        }
        let table = self.tables.get(place).unwrap_or(table).clone();
        self.columns.push(ColumnName {
            table,
            column: column.clone(),
        });
        self.columns.len() - 1
    }

    pub(super) fn named(&mut self, name: &ColumnName) -> usize {
        self.column(&name.table, &name.column)
    }

    /// The columns of each table.
    pub(super) fn table_columns(&self) -> Vec<Columns> {
        self.tables.iter().map(|table| self.columns_of(table)).collect()
    }

    pub(super) fn columns_of(&self, table: &TableName) -> Columns {
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| same_table(&column.table, table))
            .fold(0, |all, (place, _)| all | one(place))
    }

    pub(super) fn set_of(&mut self, names: &[ColumnName]) -> Columns {
        names.iter().fold(0, |all, name| all | one(self.named(name)))
    }

    /// Gives every column that is mentioned its place.
    pub(super) fn name_everything(&mut self, subject: &Subject) {
        for (old, new) in &subject.renames {
            self.named(old);
            self.named(new);
        }
        for phase in subject.shape.phases() {
            match subject.work.get(&phase.id) {
                Some(Work::Migration { up, down, restore }) => {
                    for change in up.iter().chain(down.iter().flatten()).flatten() {
                        self.name_of_change(change);
                    }
                    self.name_of_fill(restore.as_ref());
                }
                Some(Work::Backfill(fill)) => self.name_of_fill(Some(fill)),
                Some(Work::Code {
                    reads,
                    writes,
                    restore,
                }) => {
                    for name in reads.iter().chain(writes) {
                        self.named(name);
                    }
                    self.name_of_fill(restore.as_ref());
                }
                Some(Work::Manual) | None => {}
            }
        }
    }

    pub(super) fn name_of_fill(&mut self, fill: Option<&Fill>) {
        let Some(fill) = fill else { return };
        for (target, sources) in &fill.columns {
            self.column(&fill.table, target);
            for source in sources {
                self.column(&fill.table, source);
            }
        }
    }

    pub(super) fn name_of_change(&mut self, change: &Change) {
        match change {
            Change::NewTable { table, columns, .. } => {
                for column in columns {
                    self.column(table, &column.name);
                }
            }
            Change::AddColumn { table, column, .. } => {
                self.column(table, &column.name);
            }
            Change::DropColumn { column, .. }
            | Change::NotNull { column, .. }
            | Change::Default { column, .. } => {
                self.named(column);
            }
            Change::RenameColumn { from, to } => {
                self.named(from);
                self.column(&from.table, to);
            }
            Change::AddConstraint { table, columns, .. } => {
                for column in columns {
                    self.column(table, column);
                }
            }
            Change::Fill(fill) => self.name_of_fill(Some(fill)),
            Change::DropTable { table, .. } => {
                self.table(table);
            }
            Change::RenameTable { from, to } => {
                self.table(from);
                self.table(to);
            }
            Change::DropConstraint { .. }
            | Change::AddTrigger { .. }
            | Change::DropTrigger { .. }
            | Change::Function { .. }
            | Change::NotUnderstood { .. } => {}
        }
    }

    /// A column of a table that is renamed is one of the other name too.
    pub(super) fn name_renamed_tables(&mut self, subjects: &[&Subject]) {
        for (_, change) in subjects.iter().flat_map(|subject| every_change(subject)) {
            let Change::RenameTable { from, to } = change else {
                continue;
            };
            let names: Vec<SqlIdentifier> = self
                .columns
                .iter()
                .filter(|column| same_table(&column.table, from) || same_table(&column.table, to))
                .map(|column| column.column.clone())
                .collect();
            for name in names {
                self.column(from, &name);
                self.column(to, &name);
            }
        }
    }
}
