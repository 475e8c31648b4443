//! One connection to the database (placeholder until the logic lands).

use tokio_postgres::Client;

use super::ConnectionSettings;
use crate::domain::Problem;

/// A connection of its own: settings made on it stay on it. `application_name` is `shipctl <purpose>`.
pub struct Session {
    client: Client,
    backend_pid: i32,
}

impl Session {
    /// Connects, with a time limit. `purpose` names the session in `pg_stat_activity`.
    ///
    /// # Errors
    /// `database-unreachable` (exit 3), `database-refused-login` (exit 3), `database-pooled` where a session
    /// is really a pooler's transaction.
    pub async fn open(settings: &ConnectionSettings, purpose: &str) -> Result<Self, Problem> {
        let _ = purpose;
        Err(Problem::new(
            crate::domain::Exit::Unknown,
            "not-built",
            settings.describe(),
        ))
    }

    /// The client, for queries.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The client, for transactions.
    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    /// The server process that serves this session.
    pub fn backend_pid(&self) -> i32 {
        self.backend_pid
    }

    /// The server's version as `server_version_num` (150018).
    pub fn server_version(&self) -> u32 {
        0
    }
}

/// An error of the server or the connection as a problem, with SQLSTATE, detail and hint, free of secrets.
/// `doing` completes "while …".
pub fn describe_error(error: &tokio_postgres::Error, doing: &str) -> Problem {
    Problem::new(
        crate::domain::Exit::Failed,
        "database-error",
        format!("{error} while {doing}"),
    )
}
