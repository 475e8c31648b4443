//! Operations: from catalog facts to a plan and its SQL. Pure; one folder an operation.

mod carry;
mod facts;
pub mod rename_column;
mod toml_text;

pub use facts::{
    BeforeTrigger, CheckFacts, ColumnFacts, ColumnGrant, Comparison, DefaultValue, Deferrable,
    ForeignKeyFacts, IndexFacts, IndexKey, IndexedValue, Refused, UniqueConstraint,
};

use crate::domain::PlanId;

/// What a recipe brings forth: files to be written, and what to tell the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The plan's id.
    pub plan_id: PlanId,
    /// The plan file's name without folder: `rename-users-name.toml`.
    pub plan_file: String,
    /// The plan file's text.
    pub plan_text: String,
    /// The migration files: name with `.sql`, and text with `-- UP` and `-- DOWN`.
    pub migrations: Vec<(String, String)>,
    /// Things the reader should know (functions that mention the column, a volatile default …).
    pub remarks: Vec<String>,
}
