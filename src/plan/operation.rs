//! The operation that a plan was generated from.

use serde::Serialize;

use super::SyncMode;
use crate::domain::{SqlIdentifier, TableName};

/// The operation a plan was generated from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Operation {
    /// Rename a column.
    RenameColumn {
        /// The table.
        table: TableName,
        /// The old name.
        from: SqlIdentifier,
        /// The new name.
        to: SqlIdentifier,
        /// What keeps both columns in step.
        sync: SyncMode,
    },
    /// Any other.
    #[serde(untagged)]
    Change {
        /// Which one.
        kind: ChangeKind,
        /// The table.
        table: TableName,
        /// The columns that it is about.
        columns: Vec<SqlIdentifier>,
        /// The constraint or index that it makes or takes away.
        name: Option<SqlIdentifier>,
    },
}

impl Operation {
    /// The table that it changes.
    pub fn table(&self) -> &TableName {
        match self {
            Self::RenameColumn { table, .. } | Self::Change { table, .. } => table,
        }
    }
}

/// The operations that change one thing about a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A new column.
    AddColumn,
    /// A column that goes.
    DropColumn,
    /// A column may no longer be NULL.
    SetNotNull,
    /// A column may be NULL.
    DropNotNull,
    /// Another default.
    SetDefault,
    /// No default any more.
    DropDefault,
    /// A new check constraint.
    AddCheck,
    /// A new foreign key.
    AddForeignKey,
    /// A new unique constraint.
    AddUnique,
    /// A constraint that goes.
    DropConstraint,
    /// A new index.
    AddIndex,
    /// An index that goes.
    DropIndex,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AddColumn,
        Self::DropColumn,
        Self::SetNotNull,
        Self::DropNotNull,
        Self::SetDefault,
        Self::DropDefault,
        Self::AddCheck,
        Self::AddForeignKey,
        Self::AddUnique,
        Self::DropConstraint,
        Self::AddIndex,
        Self::DropIndex,
    ];

    /// The word used in plan files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddColumn => "add-column",
            Self::DropColumn => "drop-column",
            Self::SetNotNull => "set-not-null",
            Self::DropNotNull => "drop-not-null",
            Self::SetDefault => "set-default",
            Self::DropDefault => "drop-default",
            Self::AddCheck => "add-check",
            Self::AddForeignKey => "add-foreign-key",
            Self::AddUnique => "add-unique",
            Self::DropConstraint => "drop-constraint",
            Self::AddIndex => "add-index",
            Self::DropIndex => "drop-index",
        }
    }
}
