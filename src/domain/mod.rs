//! The values every other room speaks: identifiers, commits, SQL names, digests, problems and exit codes.
//!
//! Nothing here performs I/O, and nothing here depends on another room.

mod commit;
mod digest;
mod duration;
mod exit;
mod identifier;
pub mod limits;
mod lock_timeout;
mod name;
mod nearest;
mod problem;
mod secret;

pub use commit::{CommitId, InvalidCommitId};
pub use digest::Digest;
pub use duration::rough;
pub use exit::Exit;
pub use identifier::{EnvironmentName, InvalidIdentifier, PhaseId, PlanId, ServiceName};
pub use limits::{Limit, Limits};
pub use lock_timeout::{InvalidLockTimeout, LockTimeout};
pub use name::{ColumnName, InvalidName, SqlIdentifier, TableName};
pub use nearest::{did_you_mean, distance, nearest};
pub use problem::{Problem, Severity, SourceText};
pub use secret::Secret;
