//! `connections`: what the database itself sees in `pg_stat_activity.application_name`, and, for what is hidden behind a
//! PgBouncer, what that says of its clients.
//!
//! All services are read from one snapshot. Everything that is connected is accounted for: it is a declared service's
//! version, or shipctl itself, or ignored on purpose, or else a doubt or a stranger.

mod account;
mod classify;
mod locks;

pub use locks::holding_locks;

use futures_util::future::join_all;
use jiff::Timestamp;

use self::account::account;
use super::{Findings, Probing, Shared, doubt_of, shown};
use crate::domain::Problem;
use crate::postgres::pgbouncer::{self, Here, Pool, PoolServer};
use crate::postgres::{ConnectionSettings, Session, describe_error};
use crate::project::Service;
use crate::safety::Doubt;

/// How many clients a doubt names before it only counts the rest.
const NAMED: usize = 3;

/// Everybody connected to the database at one moment, which is dated no later than it was.
pub(super) struct Clients {
    at: Timestamp,
    all: Vec<Client>,
    /// Consoles that could not be asked, or do not know of all clients, each with the reason.
    silent: Vec<Doubt>,
}

/// How a client reaches the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    /// It has a server process of its own, as far as can be seen.
    #[default]
    Direct,
    /// Through a PgBouncer, which told of it.
    Pooled,
    /// It is a PgBouncer's own connection, and bears the name of whatever client it served last.
    PoolServer,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Client {
    /// The server process; that of a pooled client changes.
    pid: Option<i32>,
    name: String,
    role: String,
    /// Of a pooled client: the role as which the pooler works for it at the server.
    server_role: Option<String>,
    address: Option<String>,
    /// Its port, with -1 for a Unix socket; `None` where it is hidden.
    port: Option<i32>,
    way: Way,
}

impl Client {
    /// `1234@10.0.0.5`, or the process id alone where the address is hidden or a local socket.
    fn instance(&self) -> String {
        match (self.pid, &self.address) {
            (Some(pid), Some(address)) => format!("{pid}@{address}"),
            (Some(pid), None) => format!("pid {pid}"),
            (None, Some(address)) => format!("{address} through PgBouncer"),
            (None, None) => "through PgBouncer".to_owned(),
        }
    }

    /// The roles as which it works in the database, as far as can be seen, and logged in.
    fn roles(&self) -> impl Iterator<Item = &str> {
        [Some(self.role.as_str()), self.server_role.as_deref()]
            .into_iter()
            .flatten()
    }

    /// Whether it is this connection of a PgBouncer. Processes of two servers may bear one number, so all else that can be
    /// seen must agree.
    fn is_that_of(&self, server: &PoolServer) -> bool {
        self.pid == Some(server.pid)
            && self.role == server.user
            && self.port.is_none_or(|port| server.port == Some(port))
    }

    fn describe(&self) -> String {
        let name = if self.name.is_empty() {
            "no application_name".to_owned()
        } else {
            format!("`{}`", shown(&self.name))
        };
        format!("{name} ({})", self.instance())
    }
}

pub(super) async fn ask(
    probing: &Probing<'_>,
    shared: &Shared,
    service: &Service,
    application_name: &str,
) -> Result<Findings, Doubt> {
    let session = probing.database("connections")?;
    let standby: bool = session
        .client()
        .query_one("SELECT pg_is_in_recovery()", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| Doubt::new(describe_error(&error, "reading who is connected").message()))?;
    if standby {
        return Err(
            Doubt::new("this server is a standby, and those who write are connected to another one")
                .fix("name the primary as the environment's `database`"),
        );
    }
    let clients = shared
        .clients
        .get_or_try_init(|| everybody(probing, session))
        .await?;
    Ok(account(probing.environment, service, application_name, clients))
}

/// Who is connected to the database, and who to the PgBouncers in front of it.
async fn everybody(probing: &Probing<'_>, session: &Session) -> Result<Clients, Doubt> {
    let (database, at, address, port): (String, Timestamp, Option<String>, Option<i32>) = session
        .client()
        .query_one(
            "SELECT current_database()::text, clock_timestamp(), host(inet_server_addr()), inet_server_port()",
            &[],
        )
        .await
        .and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)))
        .map_err(|error| Doubt::new(describe_error(&error, "reading who is connected").message()))?;
    let mut clients = snapshot(session, at).await?;
    let here = Here {
        database: &database,
        address: address.as_deref(),
        port,
    };
    let consoles = &probing.environment.pgbouncer;
    let answers = join_all(consoles.iter().map(|console| async {
        let settings = ConnectionSettings::resolve(console, &|name| std::env::var(name).ok())?;
        pgbouncer::pool(&settings, here).await
    }))
    .await;
    clients.admit(answers);
    Ok(clients)
}

impl Clients {
    /// Adds what the consoles said: their clients count, and their own connections do not.
    fn admit(&mut self, answers: Vec<Result<Pool, Problem>>) {
        let mut servers: Vec<PoolServer> = Vec::new();
        for answer in answers {
            match answer {
                Ok(pool) => {
                    servers.extend(pool.servers);
                    self.silent.extend(pool.others.iter().map(unseen));
                    self.all.extend(pool.clients.into_iter().map(|client| Client {
                        pid: None,
                        name: client.application_name,
                        role: client.user,
                        server_role: Some(client.server_user),
                        address: Some(client.address),
                        port: None,
                        way: Way::Pooled,
                    }));
                }
                Err(problem) => self.silent.push(unseen(&problem)),
            }
        }
        for client in &mut self.all {
            if servers.iter().any(|server| client.is_that_of(server)) {
                client.way = Way::PoolServer;
            }
        }
    }
}

/// Why clients behind a PgBouncer may not be seen.
fn unseen(problem: &Problem) -> Doubt {
    let doubt = doubt_of(problem);
    Doubt {
        why: format!("the clients behind a PgBouncer are not seen: {}", doubt.why),
        ..doubt
    }
}

async fn snapshot(session: &Session, at: Timestamp) -> Result<Clients, Doubt> {
    // Without pg_monitor the kind of a backend is hidden, but not its role, which only clients (and what works for
    // them) have.
    let rows = session
        .client()
        .query(
            "SELECT pid, coalesce(application_name, ''), coalesce(usename::text, ''), host(client_addr), client_port \
             FROM pg_catalog.pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() \
               AND (backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL)) \
             ORDER BY pid",
            &[],
        )
        .await;
    let read = |row: &tokio_postgres::Row| -> Result<Client, tokio_postgres::Error> {
        Ok(Client {
            pid: Some(row.try_get(0)?),
            name: row.try_get(1)?,
            role: row.try_get(2)?,
            server_role: None,
            address: row.try_get(3)?,
            port: row.try_get(4)?,
            way: Way::Direct,
        })
    };
    let all = rows
        .and_then(|rows| rows.iter().map(read).collect())
        .map_err(|error| Doubt::new(describe_error(&error, "reading who is connected").message()))?;
    Ok(Clients {
        at,
        all,
        silent: Vec::new(),
    })
}

fn list(clients: &[&Client]) -> String {
    let mut text = clients
        .iter()
        .take(NAMED)
        .map(|client| client.describe())
        .collect::<Vec<_>>()
        .join(", ");
    if clients.len() > NAMED {
        text.push_str(&format!(" and {} more", clients.len() - NAMED));
    }
    text
}
