//! Operations: from catalog facts to a plan and its SQL. Pure; one folder an operation.

pub mod add_check;
pub mod add_column;
pub mod add_foreign_key;
pub mod add_index;
pub mod add_unique;
mod carry;
mod constraint_sql;
mod draft;
pub mod drop_column;
pub mod drop_constraint;
pub mod drop_default;
pub mod drop_index;
pub mod drop_not_null;
mod facts;
mod migration_text;
mod names;
pub mod rename_column;
pub mod set_default;
pub mod set_not_null;
mod table_facts;
mod toml_text;

pub use facts::{
    BeforeTrigger, CheckFacts, ColumnFacts, ColumnGrant, Comparison, DefaultValue, Deferrable,
    ForeignKeyFacts, IndexFacts, IndexKey, IndexedValue, Refused, UniqueConstraint,
};

pub use draft::refuse_unless_none;

use jiff::Timestamp;

pub use table_facts::{
    ConstraintBelow, ConstraintFacts, ConstraintType, IndexDefinition, NotNullFacts, Partition, TableColumn,
    TableFacts, TableKind,
};

use crate::domain::PlanId;

/// What every operation is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The plan's id, where it is not to be made from the names.
    pub id: Option<PlanId>,
    /// What stamps the migrations' names.
    pub now: Timestamp,
}

/// What has to be waited for before something is taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// How long the last code phase must have held, as plan files write it (`24h`); `None` is not at all.
    pub soak: Option<String>,
    /// How many people must approve.
    pub approvals: u32,
}

/// The stamps that an operation at `now` puts in front of its migrations' names, which are at most so many.
pub fn stamps(now: Timestamp) -> [String; 4] {
    [0, 1, 2, 3].map(|seconds| names::stamp(now, seconds))
}

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
