//! A session that is opened again when it was lost.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::domain::Problem;
use crate::postgres::{ConnectionSettings, Session};

pub(super) struct Link {
    settings: ConnectionSettings,
    purpose: &'static str,
    session: Mutex<Option<Arc<Session>>>,
}

impl Link {
    /// Opens nothing yet. `purpose` names the session in `pg_stat_activity`.
    pub(super) fn new(settings: &ConnectionSettings, purpose: &'static str) -> Self {
        Self {
            settings: settings.clone(),
            purpose,
            session: Mutex::new(None),
        }
    }

    /// Where it leads, without a password.
    pub(super) fn describe(&self) -> String {
        self.settings.describe()
    }

    /// The session, a new one if there is none or it has ended.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(super) async fn session(&self) -> Result<Arc<Session>, Problem> {
        let mut held = self.session.lock().await;
        if let Some(session) = held.as_ref().filter(|session| !session.client().is_closed()) {
            return Ok(Arc::clone(session));
        }
        // Seldom needed and large: not to be a part of every look.
        let fresh = Box::pin(Session::open(&self.settings, self.purpose)).await?;
        let fresh = Arc::new(fresh);
        *held = Some(Arc::clone(&fresh));
        Ok(fresh)
    }
}
