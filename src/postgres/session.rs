//! One connection to the database.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio_postgres::config::{Config, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use super::ConnectionSettings;
use super::failure::{describe_error, describe_refusal, unreachable};
use super::tls::TlsMode;
use crate::domain::{Exit, Problem};

/// The oldest version that is supported, as `server_version_num`.
const OLDEST: u32 = 130_000;

/// The longest application name that the server keeps, in bytes.
const LONGEST_NAME: usize = 63;

/// Made once on every session: no time limit that a role or a database may carry cuts long work short, strings mean what
/// the splitter takes them to mean, a statement that waited for a lock sees what was committed meanwhile, and row security raises an error where it would silently hide rows. If our machine dies, the server notices within a minute
/// and ends what we left open.
const SETTLE: &str = "SELECT pg_backend_pid(), current_setting('server_version_num')::int,
        (SELECT count(set_config(name, '0', false)) FROM pg_settings
          WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
                         'idle_session_timeout', 'transaction_timeout')),
        set_config('standard_conforming_strings', 'on', false), set_config('row_security', 'off', false),
        set_config('default_transaction_isolation', 'read committed', false),
        set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),
        set_config('tcp_keepalives_count', '3', false)";

/// A connection of its own: settings made on it stay on it. `application_name` is `shipctl <purpose>`.
pub struct Session {
    client: Client,
    backend_pid: i32,
    server_version: u32,
}

impl Session {
    /// Connects, with a time limit. `purpose` names the session in `pg_stat_activity`.
    ///
    /// # Errors
    /// `database-unreachable`, `database-refused-login`, `database-missing`, `database-tls` (exit 3);
    /// `database-too-old` (exit 2).
    pub async fn open(settings: &ConnectionSettings, purpose: &str) -> Result<Self, Problem> {
        Self::settle(connect_to_any(settings, purpose).await?).await
    }

    async fn settle(client: Client) -> Result<Self, Problem> {
        let row = client
            .query_one(SETTLE, &[])
            .await
            .map_err(|error| describe_error(&error, "opening a session"))?;
        let server_version = u32::try_from(row.get::<_, i32>(1)).unwrap_or_default();
        if server_version < OLDEST {
            return Err(Problem::new(
                Exit::Usage,
                "database-too-old",
                format!("the server is PostgreSQL {}", major_and_minor(server_version)),
            )
            .fix("shipctl supports PostgreSQL 13 and later"));
        }
        Ok(Self {
            backend_pid: row.get(0),
            server_version,
            client,
        })
    }

    /// Puts every setting back to what a session begins with.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn reset(&self) -> Result<(), Problem> {
        let failed = |error: tokio_postgres::Error| describe_error(&error, "preparing the session");
        self.client.batch_execute("RESET ALL").await.map_err(failed)?;
        self.client.query_one(SETTLE, &[]).await.map(drop).map_err(failed)
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
        self.server_version
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("backend_pid", &self.backend_pid)
            .field("server_version", &self.server_version)
            .finish_non_exhaustive()
    }
}

/// A connection to something that only looks like PostgreSQL, such as a pooler's console: nothing is set or asked on it.
///
/// # Errors
/// As [`Session::open`].
pub(super) async fn console(settings: &ConnectionSettings, purpose: &str) -> Result<Client, Problem> {
    connect_to_any(settings, purpose).await
}

/// The first server that answers.
async fn connect_to_any(settings: &ConnectionSettings, purpose: &str) -> Result<Client, Problem> {
    let name = shortened(&format!("shipctl {purpose}"));
    let mut refusal = None;
    for (config, mode) in settings.attempts(&name) {
        match connect(settings, &config, mode).await {
            Ok(client) => return Ok(client),
            // A server that answers and refuses is an answer, as in libpq; one that does not may have a stand-in.
            Err(problem) if ["database-unreachable", "database-tls"].contains(&problem.code()) => {
                refusal = refusal.or(Some(problem));
            }
            Err(problem) => return Err(problem),
        }
    }
    Err(refusal.unwrap_or_else(|| unreachable(&settings.describe(), "it names no server".to_owned())))
}

fn major_and_minor(version: u32) -> String {
    format!("{}.{}", version / 10_000, version % 10_000)
}

fn shortened(name: &str) -> String {
    let end = (0..=LONGEST_NAME.min(name.len()))
        .rev()
        .find(|at| name.is_char_boundary(*at))
        .unwrap_or(0);
    name[..end].to_owned()
}

/// One server, with libpq's rules for when to try again with or without TLS.
async fn connect(settings: &ConnectionSettings, config: &Config, mode: TlsMode) -> Result<Client, Problem> {
    let attempt = |ssl: SslMode| attempt(settings, config, mode, ssl);
    let outcome = match mode {
        TlsMode::Disable => attempt(SslMode::Disable).await?,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => attempt(SslMode::Require).await?,
        TlsMode::Allow => match attempt(SslMode::Disable).await? {
            Err(error) if is_unwanted_login(&error) => attempt(SslMode::Require).await?,
            other => other,
        },
        TlsMode::Prefer => match attempt(SslMode::Prefer).await? {
            // The handshake failed, or the server takes this login only without TLS.
            Err(error) if error.as_db_error().is_none() && error.to_string().contains("TLS") => {
                attempt(SslMode::Disable).await?
            }
            Err(error) if is_unwanted_login(&error) => match attempt(SslMode::Disable).await? {
                Ok(client) => Ok(client),
                Err(_) => Err(error),
            },
            other => other,
        },
    };
    outcome.map_err(|error| describe_refusal(&error, settings))
}

fn is_unwanted_login(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

type Outcome = Result<Client, tokio_postgres::Error>;

async fn attempt(
    settings: &ConnectionSettings,
    config: &Config,
    mode: TlsMode,
    ssl: SslMode,
) -> Result<Outcome, Problem> {
    let mut config = config.clone();
    config.ssl_mode(ssl);
    let limit = settings.connect_timeout();
    match ssl {
        SslMode::Disable => {
            within(settings, limit, async {
                let (client, connection) = config.connect(NoTls).await?;
                serve(connection);
                Ok(client)
            })
            .await
        }
        _ => {
            let tls = settings.tls().connector(mode)?;
            within(settings, limit, async {
                let (client, connection) = config.connect(tls).await?;
                serve(connection);
                Ok(client)
            })
            .await
        }
    }
}

/// The driver limits only the socket's part; a server that accepts and then says nothing must not hold us either.
async fn within(
    settings: &ConnectionSettings,
    limit: Duration,
    connecting: impl Future<Output = Outcome>,
) -> Result<Outcome, Problem> {
    tokio::time::timeout(limit, connecting).await.map_err(|_| {
        unreachable(
            &settings.describe(),
            format!("no answer within {} s", limit.as_secs()),
        )
    })
}

/// Keeps the connection going until its client is dropped.
fn serve(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a database connection ended");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = shortened(&format!("shipctl {}", "ü".repeat(60)));
        assert!(name.len() <= LONGEST_NAME && name.len() >= LONGEST_NAME - 1);
    }
}
