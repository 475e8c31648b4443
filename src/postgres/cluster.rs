//! Private PostgreSQL clusters from the local binaries, for the demo, rehearsals and tests (placeholder).

use super::ConnectionSettings;
use crate::domain::Problem;

/// A running private cluster. Stopped and removed when dropped; no other process can reach it but over its socket folder
/// or a loopback port.
pub struct Cluster {}

impl Cluster {
    /// Makes and starts a cluster in a fresh temporary folder. As root it runs as an unprivileged user.
    ///
    /// # Errors
    /// No PostgreSQL binaries (says what to install), or they fail (with their output).
    pub fn start() -> Result<Self, Problem> {
        Ok(Self {})
    }

    /// A `postgres://` URL for one of its databases (superuser, no password, loopback).
    pub fn url(&self, database: &str) -> String {
        database.to_owned()
    }

    /// Settings for one of its databases.
    ///
    /// # Errors
    /// As [`ConnectionSettings::resolve`].
    pub fn settings(&self, database: &str) -> Result<ConnectionSettings, Problem> {
        ConnectionSettings::resolve(
            &crate::project::DatabaseSource::Literal(crate::domain::Secret::new(self.url(database))),
            &|_| None,
        )
    }
}
