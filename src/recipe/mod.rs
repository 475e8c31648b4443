//! Operations: from catalog facts to a plan and its SQL. Pure; one folder an operation.

pub mod add_check;
pub mod add_column;
pub mod add_enum_value;
pub mod add_foreign_key;
pub mod add_identity;
pub mod add_index;
pub mod add_primary_key;
pub mod add_unique;
pub mod attach_partition;
mod carry;
pub mod change_type;
mod constraint_sql;
pub mod create_table;
pub mod custom;
mod dependents;
pub mod detach_partition;
mod draft;
pub mod drop_column;
pub mod drop_constraint;
pub mod drop_default;
pub mod drop_enum_value;
pub mod drop_index;
pub mod drop_not_null;
pub mod drop_table;
mod enum_type;
pub mod extract_json;
mod facts;
pub mod json_path;
mod migration_text;
pub mod move_column;
mod names;
mod partitions;
pub mod rename_column;
pub mod rename_enum_value;
pub mod rename_table;
pub mod replace_index;
pub mod reshape;
pub mod set_default;
pub mod set_not_null;
mod sync_trigger;
mod table_definition;
mod table_facts;
mod toml_text;
mod two_way;
pub mod widen_key;

pub use facts::{
    BeforeTrigger, CheckFacts, ColumnFacts, ColumnGrant, Comparison, DefaultValue, Deferrable,
    ForeignKeyFacts, IndexFacts, IndexKey, IndexedValue, MadeOf, Refused, UniqueConstraint,
};

pub use dependents::Dependent;
pub use draft::refuse_unless_none;
pub use enum_type::{EnumColumn, EnumFacts, EnumShape, Mention};

use std::collections::BTreeSet;

use jiff::Timestamp;

pub use partitions::{MissingIndex, MissingKey, PartitionFacts};
pub use table_definition::{ForeignKeyDefinition, Grant, TableDefinition};
pub use table_facts::{
    ConstraintBelow, ConstraintFacts, ConstraintType, IndexDefinition, NotNullFacts, Partition, TableColumn,
    TableFacts, TableKind,
};

use crate::domain::{Exit, PlanId, Problem};

/// What every operation is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The plan's id, where it is not to be made from the names.
    pub id: Option<PlanId>,
    /// What stamps the migrations' names.
    pub now: Timestamp,
    /// The ids that are known.
    pub known: KnownPlans,
}

/// The ids of plans that there are, or were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownPlans {
    /// They have a file.
    pub files: BTreeSet<String>,
    /// They are in the records of a ledger, or named by a commit's trailer: both would be taken for those of a new plan.
    pub used: BTreeSet<String>,
}

impl KnownPlans {
    /// What to tell where an id got a number since an earlier plan had the one that was made.
    pub fn remark(&self, id: &PlanId, made: &str) -> Option<String> {
        let is_numbered = self.used.contains(made) && id.as_str().starts_with(&format!("{made}-"));
        is_numbered.then(|| {
            format!(
                "The id ends with a number, since the ledger or the trailer of a commit knows an earlier plan {made}."
            )
        })
    }

    /// The id that is asked for, or the first free one like `made`: with a number where an earlier plan had it. One that has
    /// a file is given back as it is, for whoever writes files to refuse.
    ///
    /// # Errors
    /// `plan-id-used` where the one that is asked for had its time; `plan-id` where none can be made.
    pub fn choose(&self, asked: Option<&PlanId>, made: &str) -> Result<PlanId, Problem> {
        if let Some(id) = asked {
            if self.used.contains(id.as_str()) && !self.files.contains(id.as_str()) {
                return Err(Problem::new(
                    Exit::Usage,
                    "plan-id-used",
                    format!("there was a plan {id} before"),
                )
                .because(
                    "what the ledger or the trailers of commits say of it would be taken for the new one's",
                )
                .fix("give another id with --id, or leave it out"));
            }
            return Ok(id.clone());
        }
        let tried = std::iter::once(made.to_owned()).chain((2u32..).map(|number| format!("{made}-{number}")));
        let mut free = tried.filter(|id| self.files.contains(id) || !self.used.contains(id));
        free.next()
            .unwrap_or_else(|| made.to_owned())
            .parse()
            .map_err(|error| {
                Problem::new(Exit::Usage, "plan-id", format!("{error}")).fix("give the plan an id with --id")
            })
    }
}

/// What has to be waited for before something is taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// How long the last code phase must have held, as plan files write it (`24h`); `None` is not at all.
    pub soak: Option<String>,
    /// How many people must approve.
    pub approvals: u32,
}

/// The stamp that an operation at `now` puts in front of the name of its migration of this number.
pub fn stamp(now: Timestamp, number: usize) -> String {
    names::stamp(now, i64::try_from(number).unwrap_or_default())
}

/// The stamps that an operation at `now` puts in front of its migrations' names, which are at most so many.
pub fn stamps(now: Timestamp) -> [String; 8] {
    [0, 1, 2, 3, 4, 5, 6, 7].map(|seconds| names::stamp(now, seconds))
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
