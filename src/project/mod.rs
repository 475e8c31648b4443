//! `shipctl.toml`: where plans, migrations and templates live, and what each environment declares.

pub(crate) mod document;
mod load;
mod manners;
mod model;
mod pods;
pub(crate) mod reader;
mod redact;
mod scaffold;
mod source;

pub use load::{FILE_NAME, discover, load, parse};
pub use model::{
    DatabaseSource, Environment, HeartbeatSource, KubernetesSource, Manners, PodCommit, Project, Service,
    Source, SourceKind,
};
pub use scaffold::Scaffold;
