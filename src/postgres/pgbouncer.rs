//! PgBouncer's admin console, which knows the clients that the database does not see.
//!
//! The console speaks the simple query protocol only, and answers nothing but its own SHOW commands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::session::console;
use super::{ConnectionSettings, describe_error};
use crate::domain::{Exit, Problem};

/// The name of the console among the databases of a PgBouncer.
const CONSOLE: &str = "pgbouncer";

/// What one PgBouncer says of one database of the server behind it.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    /// Every client that is connected to it, whether idle, at work or waiting.
    pub clients: Vec<PoolClient>,
    /// Its own connections with the server.
    pub servers: Vec<PoolServer>,
    /// Why there may be more PgBouncers of its kind, whose clients it does not know.
    pub others: Vec<Problem>,
}

/// A client of a PgBouncer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolClient {
    /// The name that it gave itself.
    pub application_name: String,
    /// The role that it logged in as.
    pub user: String,
    /// The role as which PgBouncer works for it at the server.
    pub server_user: String,
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
/// `pgbouncer-several` where the settings name several of them, of which only one would be asked; the console cannot be
/// reached or does not let us in; `pgbouncer-console` where something else answers;
/// `pgbouncer-too-old` before 1.18, which does not tell its clients' names; `pgbouncer-elsewhere` where it does not serve the
/// database.
pub async fn pool(settings: &ConnectionSettings, here: Here<'_>) -> Result<Pool, Problem> {
    let settings = settings.with_database(CONSOLE);
    let where_to = settings.describe();
    if settings.servers() != 1 {
        return Err(several(&format!("{where_to} names several PgBouncers"))
            .fix("make `pgbouncer` a list with one connection string for each of them"));
    }
    let client = console(&settings, "census").await?;
    let databases = show(&client, "SHOW DATABASES", &where_to).await?;
    // Servers are asked for on both sides of the clients: one that comes or goes in between still is no client.
    let mut servers = show(&client, "SHOW SERVERS", &where_to).await?;
    let clients = show(&client, "SHOW CLIENTS", &where_to).await?;
    servers.extend(show(&client, "SHOW SERVERS", &where_to).await?);
    let mut pool = read(&databases, &servers, &clients, here, &where_to)?;
    pool.others = others(&client, &settings, &where_to).await;
    Ok(pool)
}

/// One PgBouncer is asked, and there are others that have clients too.
fn several(how: &str) -> Problem {
    Problem::new(Exit::Unknown, "pgbouncer-several", how.to_owned())
        .because("each knows its own clients only, and one of them would be asked")
}

/// Why there may be others behind the address that was asked.
async fn others(client: &Client, settings: &ConnectionSettings, where_to: &str) -> Vec<Problem> {
    let fix = "give each PgBouncer an address of its own and list them all in `pgbouncer`; or let another source (`http`, \
               `kubernetes`, `heartbeat`) see the instances";
    let mut found = Vec::new();
    match settings.addresses().await {
        Ok(addresses) if is_shared(&addresses) => {
            let how = format!("the name in {where_to} stands for {} addresses", addresses.len());
            found.push(several(&how).fix(fix));
        }
        Ok(_) => {}
        Err(error) => found.push(
            several(&format!(
                "how many addresses the name in {where_to} stands for cannot be looked up ({error})"
            ))
            .fix(fix),
        ),
    }
    match show(client, "SHOW CONFIG", where_to).await {
        Ok(rows) if shares_its_port(&rows) => found.push(
            several(&format!(
                "the PgBouncer at {where_to} may share its port with others (`so_reuseport`)"
            ))
            .fix(fix),
        ),
        Ok(_) => {}
        Err(problem) => found.push(problem),
    }
    match client.simple_query("SHOW PEERS").await {
        Ok(messages)
            if messages
                .iter()
                .any(|one| matches!(one, SimpleQueryMessage::Row(_))) =>
        {
            found.push(several(&format!("the PgBouncer at {where_to} has peers (`SHOW PEERS`)")).fix(fix));
        }
        Ok(_) => {}
        // PgBouncer has peers from version 1.19 on.
        Err(error)
            if error
                .as_db_error()
                .is_some_and(|said| said.message().contains("invalid command")) => {}
        Err(error) => found.push(describe_error(&error, "asking the PgBouncer for its peers")),
    }
    found
}

/// Whether more than one machine may answer under these addresses: one has at most one of each family.
fn is_shared(addresses: &BTreeSet<IpAddr>) -> bool {
    addresses.iter().filter(|address| address.is_ipv4()).count() > 1
        || addresses.iter().filter(|address| address.is_ipv6()).count() > 1
}

/// Whether several processes may listen at one port. One that does not say that it is alone may not be.
fn shares_its_port(config: &[Row]) -> bool {
    let mut settings = config
        .iter()
        .filter(|row| text(row, "key") == Some("so_reuseport"));
    settings.next().and_then(|row| text(row, "value")) != Some("0")
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
        let database = told("database")?;
        let Some(entry) = served.iter().find(|row| text(row, "name") == Some(&database)) else {
            continue;
        };
        let user = told("user")?;
        let address = text(row, "addr").unwrap_or_default();
        pool.clients.push(PoolClient {
            application_name: told("application_name")?,
            server_user: text(entry, "force_user").unwrap_or(&user).to_owned(),
            user,
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
    fn what_may_stand_for_several_is_not_taken_for_all() {
        let addresses =
            |texts: &[&str]| -> BTreeSet<IpAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        assert!(!is_shared(&addresses(&["127.0.0.1", "::1"])));
        assert!(is_shared(&addresses(&["10.0.0.1", "10.0.0.2"])));
        assert!(is_shared(&addresses(&["10.0.0.1", "fd00::1", "fd00::2"])));

        let config = |value| [row(&[("key", "so_reuseport"), ("value", value)])];
        assert!(!shares_its_port(&config("0")));
        assert!(shares_its_port(&config("1")));
        assert!(shares_its_port(&[]));
    }

    #[test]
    fn a_client_works_as_the_role_that_its_database_forces_upon_it() {
        let mut forced = database("web", "shop", "db");
        forced.insert("force_user".to_owned(), "owner".to_owned());
        let client = |database| {
            row(&[
                ("database", database),
                ("user", "app"),
                ("application_name", "web"),
                ("addr", "10.0.0.9"),
            ])
        };
        let pool = read(
            &[forced, database("other", "shop", "db")],
            &[],
            &[client("web"), client("other")],
            HERE,
            "here",
        )
        .unwrap();
        let roles: Vec<&str> = pool
            .clients
            .iter()
            .map(|client| client.server_user.as_str())
            .collect();
        assert_eq!(roles, ["owner", "app"]);
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
