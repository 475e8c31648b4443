//! The plan file: TOML, then raw, then a validated graph with places to point at.

mod load;
mod model;

pub use load::{find, load, load_all, parse};
pub use model::{
    BackfillPhase, CodePhase, ColumnAssignment, Commit, ContentProbe, MigrationPhase, Operation, Phase,
    PhaseDetail, Plan,
};
