//! One run per plan and environment: an advisory lock on a session of its own (placeholder until the logic lands).

use super::{ConnectionSettings, Session};
use crate::domain::{EnvironmentName, Exit, PlanId, Problem};

/// The lock of one plan in one environment, held as long as this value and its session live.
pub struct RunLock {
    session: Session,
}

impl RunLock {
    /// Takes the lock, or says who holds it.
    ///
    /// # Errors
    /// `run-locked` (exit 6), naming the holder: process id, application, address, since when.
    pub async fn acquire(
        settings: &ConnectionSettings,
        environment: &EnvironmentName,
        plan: &PlanId,
    ) -> Result<Self, Problem> {
        let _ = (environment, plan);
        let session = Session::open(settings, "lock").await?;
        Ok(Self { session })
    }

    /// Proves, on another session, that the lock is still held by this value's session. Called at the start of every
    /// effect's transaction, so that a run whose lock session died changes nothing any more.
    ///
    /// # Errors
    /// `run-lock-lost` (exit 6).
    pub async fn assert_held(&self, client: &impl tokio_postgres::GenericClient) -> Result<(), Problem> {
        let _ = client;
        Err(Problem::new(
            Exit::Locked,
            "not-built",
            format!("{}", self.session.backend_pid()),
        ))
    }
}
