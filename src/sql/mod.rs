//! SQL as text: splitting scripts, what each statement does and locks, and migration files with their two sides.
//!
//! The squawk crates are used in this room only (`parse`).

mod complaint;
mod impact;
mod migration_file;
mod parse;
mod referenced;
mod script;

pub use complaint::{Complaint, complaint, complaint_of};
pub use impact::{Impact, ended_after, impacts};
pub use migration_file::{MigrationFile, find, list, names, natural_order};
pub use parse::{
    Effect, ForeignKeyText, IndexKeyText, NewColumnText, NewTableText, changes, check_expression,
    check_index_key, check_partition_bound, column_looked_up, columns_read, effect, literal, new_table,
    readable, readable_table, replace_column,
};
pub use script::{CrashProbe, Lock, LockMode, Script, Statement, Step, Transactional};
