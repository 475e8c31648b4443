//! The columns and tables that the question mentions, each with its place.
//!
//! Everything gets its place before anything is made of it: what comes and goes is told in bits, and there are only so many.

use super::compile::{Builder, every_change};
use super::guards::Functions;
use super::model::{Columns, one, places};
use super::{Change, Fill, Subject, Work, same_table};
use crate::domain::{ColumnName, SqlIdentifier, TableName};

/// The name of the column that stands for the rows of a table: one that no column can have.
fn rows_name() -> SqlIdentifier {
    SqlIdentifier::from_catalog("")
}

/// Whether a name is that of the rows of a table.
pub(super) fn is_rows(name: &ColumnName) -> bool {
    name.column.as_str().is_empty()
}

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
        if let Some(found) = self.find(table, column) {
            return found;
        }
        let table = self.tables.get(place).unwrap_or(table).clone();
        self.columns.push(ColumnName {
            table,
            column: column.clone(),
        });
        self.columns.len() - 1
    }

    fn find(&self, table: &TableName, column: &SqlIdentifier) -> Option<usize> {
        self.columns
            .iter()
            .position(|known| known.column == *column && same_table(&known.table, table))
    }

    /// The set with one column; the empty one for a column that is not known.
    pub(super) fn place(&self, table: &TableName, column: &SqlIdentifier) -> Columns {
        self.find(table, column).map_or(0, one)
    }

    /// The same, by its name.
    pub(super) fn bits(&self, name: &ColumnName) -> Columns {
        self.place(&name.table, &name.column)
    }

    /// The column that stands for the rows of a table, where one does.
    pub(super) fn rows_of(&self, table: &TableName) -> Columns {
        self.place(table, &rows_name())
    }

    /// The columns of the table of a column.
    pub(super) fn beside(&self, place: usize) -> Columns {
        self.columns
            .get(place)
            .map_or(0, |column| self.columns_of(&column.table))
    }

    /// Some columns with the rows of their tables: whoever uses the one uses the other.
    pub(super) fn with_rows(&self, columns: Columns) -> Columns {
        places(columns).fold(columns, |all, place| all | (self.beside(place) & self.rows))
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
        let functions = Functions::of(subject);
        for phase in subject.shape.phases() {
            match subject.work.get(&phase.id) {
                Some(Work::Migration { up, down, restore }) => {
                    for change in up.iter().chain(down.iter().flatten()).flatten() {
                        self.name_of_change(change, &functions);
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

    fn name_of_fill(&mut self, fill: Option<&Fill>) {
        let Some(fill) = fill else { return };
        for (target, sources) in &fill.columns {
            self.column(&fill.table, target);
            for source in sources {
                self.column(&fill.table, source);
            }
        }
        for (_, held) in &fill.paired {
            self.named(held);
        }
    }

    fn name_of_change(&mut self, change: &Change, functions: &Functions<'_>) {
        match change {
            Change::NewTable { table, columns, .. } => {
                self.name_rows(table);
                for column in columns {
                    self.column(table, &column.name);
                }
            }
            Change::AddColumn { table, column, .. } => {
                self.column(table, &column.name);
            }
            Change::DropColumn { column, .. }
            | Change::NotNull { column, .. }
            | Change::Default { column, .. }
            | Change::Generated { column, .. } => {
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
            Change::View { tables, reads, .. } => {
                for table in tables {
                    self.table(table);
                }
                for column in reads {
                    self.named(column);
                }
            }
            Change::AddTrigger { table, function, .. } => {
                self.table(table);
                for column in functions.named_by(function).into_iter().flatten() {
                    self.column(table, column);
                }
                for (column, _) in functions.updates_of(function) {
                    self.named(column);
                }
            }
            Change::Fill(fill) => self.name_of_fill(Some(fill)),
            Change::DropTable { table, .. } => self.name_rows(table),
            Change::RenameTable { from, to } => {
                self.name_rows(from);
                self.name_rows(to);
            }
            Change::DropConstraint { .. }
            | Change::ValidateConstraint { .. }
            | Change::DropTrigger { .. }
            | Change::Function { .. }
            | Change::DropFunction { .. }
            | Change::KeyOfIndex { .. }
            | Change::NotUnderstood { .. } => {}
        }
    }

    fn name_rows(&mut self, table: &TableName) {
        self.column(table, &rows_name());
    }

    /// A column of a table that is renamed is one of the other name too, and of each name that the table gets after that.
    pub(super) fn name_renamed_tables(&mut self, subjects: &[&Subject]) {
        let mut known = 0;
        // Until nothing more follows, or there are more than anybody looks at.
        while known != self.columns.len() && self.columns.len() <= super::model::MOST_COLUMNS {
            known = self.columns.len();
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
        for (place, column) in self.columns.iter().enumerate() {
            if is_rows(column) {
                self.rows |= one(place);
            }
        }
    }
}
