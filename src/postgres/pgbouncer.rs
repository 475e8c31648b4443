//! PgBouncer's admin console, which knows the clients that the database does not see.
//!
//! The console speaks the simple query protocol only, and answers nothing but its own SHOW commands.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Its own connections with the server.
    pub servers: Vec<PoolServer>,
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

/// A connection that a PgBouncer holds with the server, as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolServer {
    /// The server process.
    pub pid: i32,
    /// The role that PgBouncer logged in as.
    pub user: String,
    /// PgBouncer's port; `None` through a Unix socket.
    pub port: Option<i32>,
}

/// The server that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// The name of the database on the server.
    pub database: &'a str,
    /// The server's address, as it knows it; `None` through a Unix socket.
    pub address: Option<&'a str>,
    /// The server's port.
    pub port: Option<i32>,
}

/// A row of an answer, by column.
type Row = BTreeMap<String, String>;

/// Asks the console that `settings` lead to for all that is connected to a database.
///
/// # Errors
/// The console cannot be reached or does not let us in; `pgbouncer-console` where something else answers;
/// `pgbouncer-too-old` before 1.18, which does not tell its clients' names; `pgbouncer-elsewhere` where it does not serve the
/// database.
pub async fn pool(settings: &ConnectionSettings, here: Here<'_>) -> Result<Pool, Problem> {
    let settings = settings.with_database(CONSOLE);
    let client = console(&settings, "census").await?;
    let where_to = settings.describe();
    let databases = show(&client, "SHOW DATABASES", &where_to).await?;
    // Servers are asked for on both sides of the clients: one that comes or goes in between still is no client.
    let mut servers = show(&client, "SHOW SERVERS", &where_to).await?;
    let clients = show(&client, "SHOW CLIENTS", &where_to).await?;
    servers.extend(show(&client, "SHOW SERVERS", &where_to).await?);
    read(&databases, &servers, &clients, here, &where_to)
}

/// What the answers say of one database.
fn read(
    databases: &[Row],
    servers: &[Row],
    clients: &[Row],
    here: Here<'_>,
    where_to: &str,
) -> Result<Pool, Problem> {
    let served: Vec<&Row> = databases
        .iter()
        .filter(|row| text(row, "database") == Some(here.database) && text(row, "name") != Some(CONSOLE))
        .collect();
    if served.is_empty() {
        return Err(Problem::new(
            Exit::Unknown,
            "pgbouncer-elsewhere",
            format!(
                "the PgBouncer at {where_to} does not serve the database {} now",
                here.database
            ),
        )
        .because("its SHOW DATABASES names no such database, so whose clients it has is not known")
        .fix("name the consoles of all PgBouncers that serve the database in `pgbouncer`, and no others"));
    }
    let is_served = |name: &str| served.iter().any(|row| text(row, "name") == Some(name));
    let mut pool = Pool::default();
    for row in clients {
        let told = |column: &str| {
            text(row, column).map(str::to_owned).ok_or_else(|| {
                Problem::new(
                    Exit::Unknown,
                    "pgbouncer-too-old",
                    format!("the PgBouncer at {where_to} does not tell the {column} of its clients"),
                )
                .fix("PgBouncer tells the application names of its clients from version 1.18 on")
            })
        };
        if !is_served(&told("database")?) {
            continue;
        }
        let address = text(row, "addr").unwrap_or_default();
        pool.clients.push(PoolClient {
            application_name: told("application_name")?,
            user: told("user")?,
            address: match text(row, "port").filter(|port| *port != "0") {
                Some(port) => format!("{address}:{port}"),
                None => address.to_owned(),
            },
        });
    }
    let servers: Vec<&Row> = servers
        .iter()
        .filter(|row| text(row, "database").is_some_and(is_served))
        .collect();
    pool.servers = with_us(&served, &servers, here)
        .filter_map(|row| {
            Some(PoolServer {
                pid: number(row, "remote_pid")?,
                user: text(row, "user")?.to_owned(),
                port: number(row, "local_port"),
            })
        })
        .collect();
    pool.servers.sort_unstable();
    pool.servers.dedup();
    Ok(pool)
}

/// Those of the connections that lead to the server that is asked about. Where a PgBouncer leads to one server only, that
/// is it; where to several that have a database of this name, only the address tells.
fn with_us<'r>(served: &[&Row], servers: &'r [&'r Row], here: Here<'_>) -> impl Iterator<Item = &'r Row> {
    let mut named = BTreeSet::new();
    for row in served {
        let host = text(row, "host").unwrap_or_default();
        named.extend(host.split(',').map(|host| (host.to_owned(), number(row, "port"))));
    }
    let place = |row: &Row| (text(row, "addr").map(str::to_owned), number(row, "port"));
    let reached: BTreeSet<_> = servers.iter().map(|row| place(row)).collect();
    let several = named.len() > 1 || reached.len() > 1;
    let ours = (here.address.map(str::to_owned), here.port);
    servers
        .iter()
        .copied()
        .filter(move |row| !several || (ours.0.is_some() && place(row) == ours))
}

fn text<'r>(row: &'r Row, column: &str) -> Option<&'r str> {
    row.get(column).map(String::as_str)
}

/// A number, if it is there and not 0, which stands for none.
fn number(row: &Row, column: &str) -> Option<i32> {
    text(row, column)?.parse().ok().filter(|number| *number > 0)
}

/// The rows of an answer, by column.
async fn show(client: &Client, command: &str, where_to: &str) -> Result<Vec<Row>, Problem> {
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

fn by_column(row: &SimpleQueryRow) -> Row {
    row.columns()
        .iter()
        .enumerate()
        .filter_map(|(index, column)| {
            let value = row.try_get(index).ok().flatten()?;
            Some((column.name().to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Here<'static> = Here {
        database: "shop",
        address: Some("10.0.0.1"),
        port: Some(5432),
    };

    fn row(columns: &[(&str, &str)]) -> Row {
        columns
            .iter()
            .map(|(column, value)| ((*column).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn database(name: &str, database: &str, host: &str) -> Row {
        row(&[
            ("name", name),
            ("database", database),
            ("host", host),
            ("port", "5432"),
        ])
    }

    fn server(database: &str, address: &str, pid: &str) -> Row {
        row(&[
            ("database", database),
            ("user", "app"),
            ("addr", address),
            ("port", "5432"),
            ("local_port", "40000"),
            ("remote_pid", pid),
        ])
    }

    fn pids(databases: &[Row], servers: &[Row], here: Here<'_>) -> Vec<i32> {
        let pool = read(databases, servers, &[], here, "here").unwrap();
        pool.servers.iter().map(|server| server.pid).collect()
    }

    #[test]
    fn only_the_connections_with_our_database_on_our_server_are_told() {
        let one = [database("web", "shop", "db"), database("other", "stock", "other")];
        let servers = [server("web", "10.0.0.1", "11"), server("other", "10.0.0.2", "12")];
        assert_eq!(pids(&one, &servers, HERE), [11]);
        // It may know the only server by another address than that by itself.
        let elsewhere = Here {
            address: Some("127.0.0.1"),
            ..HERE
        };
        assert_eq!(pids(&one, &servers, elsewhere), [11]);

        // Another server has a database of this name: under another name, of the same entry, or by the same name of a host.
        let two = [database("web", "shop", "db"), database("read", "shop", "replica")];
        let list = [database("web", "shop", "db,replica")];
        let same = [database("web", "shop", "db")];
        for (databases, second) in [(two.as_slice(), "read"), (&list, "web"), (&same, "web")] {
            let servers = [server("web", "10.0.0.1", "11"), server(second, "10.0.0.2", "12")];
            assert_eq!(pids(databases, &servers, HERE), [11]);
            assert!(pids(databases, &servers, elsewhere).is_empty());
            let unknown = Here {
                address: None,
                port: None,
                ..HERE
            };
            assert!(pids(databases, &servers, unknown).is_empty());
        }
        assert!(pids(&two, &[server("read", "10.0.0.2", "12")], HERE).is_empty());
    }
}
