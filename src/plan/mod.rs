//! The plan file: TOML, then raw, then a validated graph with places to point at.

mod examine;
mod graph;
mod link;
mod load;
mod model;
mod operation;
mod probe;
mod raw;
mod raw_operation;
mod shape;
#[cfg(test)]
mod tests;
mod validate;

pub use examine::{Examined, NotUnderstood, examine};
pub use link::{Linked, link, replace};
pub use load::{find, load, load_all, locate, parse, plan_files};
pub use model::{
    BackfillPhase, Claim, CodePhase, ColumnAssignment, Commit, ContentPattern, ContentProbe, MigrationPhase,
    Phase, PhaseDetail, PhaseLocks, Plan, SyncMode, is_glob,
};
pub use operation::{ChangeKind, Operation};
