//! `shipctl.toml`: where plans, migrations and templates live, and what each environment declares.

mod load;
mod model;

pub use load::{discover, load};
pub use model::{DatabaseSource, Environment, HeartbeatSource, Project, Service, Source, SourceKind};
