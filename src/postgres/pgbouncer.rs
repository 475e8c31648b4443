//! PgBouncer's admin console, which knows the clients that the database does not see.
//!
//! The console speaks the simple query protocol only, and answers nothing but its own SHOW commands.

use std::collections::BTreeMap;

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::session::console;
use super::{ConnectionSettings, describe_error};
use crate::domain::{Exit, Problem};

/// The name of the console among the databases of a PgBouncer.
const CONSOLE: &str = "pgbouncer";

/// What one PgBouncer says of one database of the server behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Every client that is connected to it, whether idle, at work or waiting.
    pub clients: Vec<PoolClient>,
    /// The server processes of its own connections.
    pub servers: Vec<i32>,
}

/// A client of a PgBouncer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolClient {
    /// The name that it gave itself.
    pub application_name: String,
    /// The role that it logged in as.
    pub user: String,
    /// Its address and port.
    pub address: String,
}

/// Asks the console that `settings` lead to for all that is connected to `database` (by its name on the server).
///
/// # Errors
/// The console cannot be reached or does not let us in; `pgbouncer-console` where something else answers;
/// `pgbouncer-too-old` before 1.18, which does not tell its clients' names; `pgbouncer-elsewhere` where it does not serve the
/// database.
pub async fn pool(settings: &ConnectionSettings, database: &str) -> Result<Pool, Problem> {
    let settings = settings.with_database(CONSOLE);
    let client = console(&settings, "census").await?;
    let where_to = settings.describe();
    let databases = show(&client, "SHOW DATABASES", &where_to).await?;
    let served: Vec<&str> = databases
        .iter()
        .filter(|row| row.get("database").map(String::as_str) == Some(database))
        .filter_map(|row| row.get("name").map(String::as_str))
        .filter(|name| *name != CONSOLE)
        .collect();
    if served.is_empty() {
        return Err(Problem::new(
            Exit::Unknown,
            "pgbouncer-elsewhere",
            format!("the PgBouncer at {where_to} does not serve the database {database} now"),
        )
        .because("its SHOW DATABASES names no such database, so whose clients it has is not known")
        .fix("name the consoles of all PgBouncers that serve the database in `pgbouncer`, and no others"));
    }
    // Servers are asked for on both sides of the clients: one that comes or goes in between still is no client.
    let mut servers = show(&client, "SHOW SERVERS", &where_to).await?;
    let rows = show(&client, "SHOW CLIENTS", &where_to).await?;
    servers.extend(show(&client, "SHOW SERVERS", &where_to).await?);
    let mut pool = Pool::default();
    for row in &rows {
        let text = |column: &str| row.get(column).cloned();
        let incomplete = |column: &str| {
            Problem::new(
                Exit::Unknown,
                "pgbouncer-too-old",
                format!("the PgBouncer at {where_to} does not tell the {column} of its clients"),
            )
            .fix("PgBouncer tells the application names of its clients from version 1.18 on")
        };
        let name = text("database").ok_or_else(|| incomplete("database"))?;
        if !served.contains(&name.as_str()) {
            continue;
        }
        let address = text("addr").unwrap_or_default();
        pool.clients.push(PoolClient {
            application_name: text("application_name").ok_or_else(|| incomplete("application_name"))?,
            user: text("user").ok_or_else(|| incomplete("user"))?,
            address: match text("port").filter(|port| port != "0") {
                Some(port) => format!("{address}:{port}"),
                None => address,
            },
        });
    }
    pool.servers = servers
        .iter()
        .filter_map(|row| row.get("remote_pid")?.parse().ok())
        .filter(|pid| *pid > 0)
        .collect();
    pool.servers.sort_unstable();
    pool.servers.dedup();
    Ok(pool)
}

/// The rows of an answer, by column.
async fn show(
    client: &Client,
    command: &str,
    where_to: &str,
) -> Result<Vec<BTreeMap<String, String>>, Problem> {
    let messages = client.simple_query(command).await.map_err(|error| {
        let Some(said) = error.as_db_error() else {
            return describe_error(&error, "asking the PgBouncer");
        };
        Problem::new(
            Exit::Unknown,
            "pgbouncer-console",
            format!("what answers at {where_to} refuses {command}: {}", said.message()),
        )
        .fix(
            "let `pgbouncer` lead to the port of a PgBouncer, as a role of its `stats_users` or `admin_users`",
        )
    })?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(by_column(row)),
            _ => None,
        })
        .collect())
}

fn by_column(row: &SimpleQueryRow) -> BTreeMap<String, String> {
    row.columns()
        .iter()
        .enumerate()
        .filter_map(|(index, column)| {
            let value = row.try_get(index).ok().flatten()?;
            Some((column.name().to_owned(), value.to_owned()))
        })
        .collect()
}
