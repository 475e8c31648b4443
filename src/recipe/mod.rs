//! Operations: from catalog facts to a plan and its SQL. Pure; one file an operation.

mod facts;
pub mod rename_column;

pub use facts::{CarriedObject, ColumnFacts, Refused};

/// What a recipe brings forth: files to be written, and what to tell the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The plan file's name without folder: `rename-users-name.toml`.
    pub plan_file: String,
    /// The plan file's text.
    pub plan_text: String,
    /// The migration files: name with `.sql`, and text with `-- UP` and `-- DOWN`.
    pub migrations: Vec<(String, String)>,
    /// Things the reader should know (functions that mention the column, views to be changed by hand …).
    pub remarks: Vec<String>,
}
