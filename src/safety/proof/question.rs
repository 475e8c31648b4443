//! What the proof is asked about: plans with the changes of their SQL and the uses that their code declares.

use std::collections::BTreeMap;

use crate::domain::{ColumnName, PhaseId, SqlIdentifier, TableName};
use crate::safety::PlanShape;

/// What one statement does to tables and columns, as far as running code can notice it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A table, or a view, that comes.
    NewTable {
        /// Its name.
        table: TableName,
        /// Its columns.
        columns: Vec<NewColumn>,
        /// Nothing happens where it is there already.
        lenient: bool,
    },
    /// A table, or a view, that goes.
    DropTable {
        /// Its name.
        table: TableName,
        /// Nothing happens where it is not there.
        lenient: bool,
        /// What depends on it goes too.
        cascade: bool,
    },
    /// A table that gets another name.
    RenameTable {
        /// The name it had.
        from: TableName,
        /// The name it gets.
        to: TableName,
    },
    /// A column that comes.
    AddColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: NewColumn,
        /// Nothing happens where it is there already.
        lenient: bool,
    },
    /// A column that goes.
    DropColumn {
        /// The column.
        column: ColumnName,
        /// Nothing happens where it is not there.
        lenient: bool,
        /// What depends on it goes too.
        cascade: bool,
    },
    /// A column that gets another name.
    RenameColumn {
        /// The name it had.
        from: ColumnName,
        /// The name it gets.
        to: SqlIdentifier,
    },
    /// NOT NULL of a column comes or goes.
    NotNull {
        /// The column.
        column: ColumnName,
        /// Whether it comes.
        on: bool,
    },
    /// The default of a column comes or goes.
    Default {
        /// The column.
        column: ColumnName,
        /// Whether it comes.
        on: bool,
    },
    /// Whether PostgreSQL makes the values of a column itself and lets nobody write it.
    Generated {
        /// The column.
        column: ColumnName,
        /// Whether it does from now on.
        on: bool,
    },
    /// What the query of a view reads.
    View {
        /// The view.
        view: TableName,
        /// Its tables.
        tables: Vec<TableName>,
        /// The columns of them that it names.
        reads: Vec<ColumnName>,
    },
    /// Something that refuses rows which were accepted before.
    AddConstraint {
        /// The table.
        table: TableName,
        /// Its name, by which it is dropped; of a change of type there is none.
        name: Option<SqlIdentifier>,
        /// What it demands.
        kind: ConstraintKind,
        /// The columns it is about.
        columns: Vec<SqlIdentifier>,
        /// The rows that are there are looked at too, and not only those that are written from now on.
        validated: bool,
    },
    /// A unique index becomes that of a primary key: its columns are NOT NULL from then on.
    KeyOfIndex {
        /// The table.
        table: TableName,
        /// The index.
        index: SqlIdentifier,
    },
    /// The rows that are there are looked at for a constraint.
    ValidateConstraint {
        /// The table.
        table: TableName,
        /// The constraint.
        name: SqlIdentifier,
    },
    /// A constraint or an index that goes.
    DropConstraint {
        /// The table; where it is dropped as an index, it is not told.
        table: Option<TableName>,
        /// Its name.
        name: SqlIdentifier,
    },
    /// A trigger that comes.
    AddTrigger {
        /// The table.
        table: TableName,
        /// Its name.
        name: SqlIdentifier,
        /// The function it calls.
        function: SqlIdentifier,
        /// When it fires.
        fires: Firing,
    },
    /// A trigger that goes, or no longer fires.
    DropTrigger {
        /// The table.
        table: TableName,
        /// Its name.
        name: SqlIdentifier,
    },
    /// A function whose body may set columns of the new row (`NEW.column := …`).
    Function {
        /// Its name.
        name: SqlIdentifier,
        /// The columns that it sets.
        sets: Vec<SqlIdentifier>,
        /// Every column of the new or the old row that it names.
        names: Vec<SqlIdentifier>,
        /// The columns of other rows that it sets (`UPDATE t SET column = NEW.other`), each with that of the new row whose
        /// value it gets.
        updates: Vec<(ColumnName, SqlIdentifier)>,
        /// It takes the place of one of that name, if there is one.
        replaces: bool,
    },
    /// A function that goes.
    DropFunction {
        /// Its name.
        name: SqlIdentifier,
        /// The triggers that call it go too.
        cascade: bool,
    },
    /// Every row gets new values.
    Fill(Fill),
    /// Nothing is known of what it does.
    NotUnderstood {
        /// Why, in a few words: `runs code that cannot be looked into`.
        why: &'static str,
    },
}

/// A column that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewColumn {
    /// Its name.
    pub name: SqlIdentifier,
    /// It is NOT NULL.
    pub not_null: bool,
    /// A row that is inserted without it gets a value: a default, a generated value, an identity.
    pub filled: bool,
    /// PostgreSQL makes its values, and lets nobody write it.
    pub generated: bool,
}

/// When a trigger fires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firing {
    /// Before each row is written, so that it can change the row.
    pub before_row: bool,
    /// After each row is written.
    pub after_row: bool,
    /// For an INSERT.
    pub on_insert: bool,
    /// For an UPDATE.
    pub on_update: bool,
    /// Only for an UPDATE that sets one of these columns; of any if none is named.
    pub of: Vec<SqlIdentifier>,
    /// The columns of the row that its condition names, if it has one; none where it waits for a fill.
    pub when: Option<Vec<SqlIdentifier>>,
}

/// What a constraint demands of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintKind {
    /// A check that a column is not null.
    NotNull,
    /// A unique constraint, a unique index, or a primary key.
    Unique,
    /// Any other check.
    Check,
    /// A foreign key.
    ForeignKey,
    /// An exclusion constraint.
    Exclusion,
    /// Values of another type.
    Type,
}

/// Rows that get values made of other columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The table.
    pub table: TableName,
    /// Each column with those of the table that its expression reads.
    pub columns: Vec<(SqlIdentifier, Vec<SqlIdentifier>)>,
    /// Those among them whose expression has a query of its own, so that they hold what is found elsewhere.
    pub looked_up: Vec<SqlIdentifier>,
    /// Those that hold a column of the rows of another table which they pair with, each with that column; kept by triggers.
    pub paired: Vec<(SqlIdentifier, ColumnName)>,
    /// A trigger keeps the columns in step.
    pub by_trigger: bool,
}

/// The statements of one side of a migration, by what commits together.
pub type Script = Vec<Vec<Change>>;

/// What a phase does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A migration.
    Migration {
        /// The forward side.
        up: Script,
        /// The reverse side; without one, the phase cannot be undone.
        down: Option<Script>,
        /// What is filled after the reverse side.
        restore: Option<Fill>,
    },
    /// A backfill.
    Backfill(Fill),
    /// Code, with what it reads and writes.
    Code {
        /// The columns it reads.
        reads: Vec<ColumnName>,
        /// The columns that each of its INSERTs, and each UPDATE of their value, sets.
        writes: Vec<ColumnName>,
        /// What is filled once the code is gone.
        restore: Option<Fill>,
    },
    /// A person's work.
    Manual,
}

/// A plan to be proved.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its phases as the rules see them.
    pub shape: PlanShape,
    /// What each of them does.
    pub work: BTreeMap<PhaseId, Work>,
    /// Columns that the plan renames, by its operation: the old name and the new one.
    pub renames: Vec<(ColumnName, ColumnName)>,
}

/// What is taken for true where a plan does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assumptions {
    /// Only what the plans say or imply.
    Stated,
    /// The worst that they leave open.
    Worst,
}
