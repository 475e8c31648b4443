//! The census: every declared source probed concurrently, each within its time limit (placeholder).

use std::path::Path;

use jiff::Timestamp;

use crate::postgres::Session;
use crate::project::Environment;
use crate::safety::SourceReport;

/// What the sources may use.
pub struct Probing<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The project's folder (relative paths, the working directory of commands, the repository of git refs).
    pub root: &'a Path,
    /// A session with the environment's database; `None` where it cannot be reached, which puts the sources that need it
    /// in doubt.
    pub database: Option<&'a Session>,
    /// The moment of the look, by this machine's clock.
    pub now: Timestamp,
}

/// Asks every source of every service, all at the same time. Never fails: what goes wrong is a doubt in its report.
pub async fn probe(probing: &Probing<'_>) -> Vec<SourceReport> {
    let _ = (
        probing.environment,
        probing.root,
        probing.database.is_some(),
        probing.now,
    );
    Vec::new()
}
