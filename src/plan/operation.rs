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
    /// One of the values of an enum type.
    #[serde(untagged)]
    EnumValue {
        /// Which one.
        kind: ChangeKind,
        /// The type.
        #[serde(rename = "type")]
        data_type: TableName,
        /// The value.
        value: String,
        /// What it is called afterwards, where it gets another name.
        to: Option<String>,
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
    /// The table that it changes, if it is about one.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            Self::RenameColumn { table, .. } | Self::Change { table, .. } => Some(table),
            Self::EnumValue { .. } => None,
        }
    }
}

/// The operations that change one thing about a table or a type.
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
    /// A table gets another name.
    RenameTable,
    /// A new table.
    CreateTable,
    /// A table that goes.
    DropTable,
    /// A table becomes a partition.
    AttachPartition,
    /// A partition becomes a table of its own.
    DetachPartition,
    /// A column of another type.
    ChangeType,
    /// A key of a wider type, with all columns that refer to it.
    WidenKey,
    /// A column hands out its own values.
    AddIdentity,
    /// A new primary key.
    AddPrimaryKey,
    /// A column becomes several.
    SplitColumn,
    /// Several columns become one.
    MergeColumns,
    /// A column goes to another table.
    MoveColumn,
    /// A column is made of a part of a JSON document.
    ExtractJson,
    /// An index takes the place of another.
    ReplaceIndex,
    /// A new value of an enum type.
    AddEnumValue,
    /// A value of an enum type gets another name.
    RenameEnumValue,
    /// A value of an enum type that no row may hold any more.
    DropEnumValue,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 29] = [
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
        Self::RenameTable,
        Self::CreateTable,
        Self::DropTable,
        Self::AttachPartition,
        Self::DetachPartition,
        Self::ChangeType,
        Self::WidenKey,
        Self::AddIdentity,
        Self::AddPrimaryKey,
        Self::SplitColumn,
        Self::MergeColumns,
        Self::MoveColumn,
        Self::ExtractJson,
        Self::ReplaceIndex,
        Self::AddEnumValue,
        Self::RenameEnumValue,
        Self::DropEnumValue,
    ];

    /// Whether it is about a value of an enum type, and not about a table.
    pub fn is_of_enum(self) -> bool {
        matches!(
            self,
            Self::AddEnumValue | Self::RenameEnumValue | Self::DropEnumValue
        )
    }

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
            Self::RenameTable => "rename-table",
            Self::CreateTable => "create-table",
            Self::DropTable => "drop-table",
            Self::AttachPartition => "attach-partition",
            Self::DetachPartition => "detach-partition",
            Self::ChangeType => "change-type",
            Self::WidenKey => "widen-key",
            Self::AddIdentity => "add-identity",
            Self::AddPrimaryKey => "add-primary-key",
            Self::SplitColumn => "split-column",
            Self::MergeColumns => "merge-columns",
            Self::MoveColumn => "move-column",
            Self::ExtractJson => "extract-json",
            Self::ReplaceIndex => "replace-index",
            Self::AddEnumValue => "add-enum-value",
            Self::RenameEnumValue => "rename-enum-value",
            Self::DropEnumValue => "drop-enum-value",
        }
    }
}
