//! From `database = …` and the PG* variables to connection settings.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, Config, SslNegotiation, TargetSessionAttrs};

use super::connection_string::{self, Parameters, invalid, refused};
use super::password_file::{self, Lookup};
use super::tls::{TlsMode, TlsSettings};
use crate::domain::{Exit, Problem, Secret};
use crate::project::DatabaseSource;

/// libpq's parameters and the variables that stand in for them.
const VARIABLES: &[(&str, &str)] = &[
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];

/// Variables that change what a connection means and that cannot be honoured.
const REFUSED_VARIABLES: &[&str] = &[
    "PGSERVICE",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGSSLCRL",
    "PGSSLCRLDIR",
];

const DEFAULT_PORT: u16 = 5432;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything needed to connect. Never shows a password, in `Debug` neither.
#[derive(Clone)]
pub struct ConnectionSettings {
    /// In the order in which they are tried. Never empty.
    endpoints: Vec<Endpoint>,
    user: String,
    database: String,
    options: Option<String>,
    channel_binding: ChannelBinding,
    target: TargetSessionAttrs,
    negotiation: SslNegotiation,
    connect_timeout: Duration,
    tls: TlsSettings,
    ignored_password_file: Option<PathBuf>,
}

/// One server that may be tried.
#[derive(Clone)]
struct Endpoint {
    /// A host name, an address, or the folder of a Unix socket.
    host: String,
    /// The address to use instead of looking the name up.
    address: Option<IpAddr>,
    port: u16,
    password: Option<Secret>,
}

impl Endpoint {
    fn is_socket(&self) -> bool {
        self.address.is_none() && self.host.starts_with('/')
    }
}

impl ConnectionSettings {
    /// Resolves the source with `variable` reading environment variables: a libpq URL or keyword string; PG* variables
    /// (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGPASSFILE, PGSSLMODE, PGSSLROOTCERT …) and the password file
    /// fill in what is missing.
    ///
    /// # Errors
    /// The variable is not set; the text is not a connection string. The text itself is never quoted.
    pub fn resolve(
        source: &DatabaseSource,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Problem> {
        let text = match source {
            DatabaseSource::Literal(text) => text.clone(),
            DatabaseSource::Variable(name) => match variable(name).filter(|text| !text.trim().is_empty()) {
                Some(text) => Secret::new(text),
                None => return Err(variable_missing(name)),
            },
        };
        let mut parameters = connection_string::parse(text.reveal())?;
        parameters.retain(|_, value| !value.is_empty());
        if let Some(name) = REFUSED_VARIABLES
            .iter()
            .find(|name| variable(name).is_some_and(|value| !value.is_empty()))
        {
            return Err(refused(name));
        }
        for (key, name) in VARIABLES {
            // An address in the environment belongs to a host in the environment, not to one in the string.
            if *key == "hostaddr" && parameters.contains_key("host") {
                continue;
            }
            if !parameters.contains_key(*key)
                && let Some(value) = variable(name).filter(|value| !value.is_empty())
            {
                parameters.insert((*key).to_owned(), value);
            }
        }
        let home = variable("HOME").map(PathBuf::from);
        Self::from_parameters(&parameters, home.as_deref(), variable)
    }

    fn from_parameters(
        parameters: &Parameters,
        home: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Problem> {
        let get = |key: &str| parameters.get(key).map(String::as_str);
        let user = match get("user") {
            Some(user) => user.to_owned(),
            None => super::system_user::current(variable).ok_or_else(|| {
                Problem::new(
                    Exit::Usage,
                    "database-user-missing",
                    "the connection string names no user, and this process's user has no name",
                )
                .fix("add the user to the connection string or set PGUSER")
            })?,
        };
        let database = get("dbname").unwrap_or(&user).to_owned();
        let mut endpoints = endpoints(parameters)?;
        if get("load_balance_hosts") == Some("random") {
            fastrand::shuffle(&mut endpoints);
        }
        let mut ignored_password_file = None;
        let password_file = get("passfile")
            .map(PathBuf::from)
            .or_else(|| Some(home?.join(".pgpass")));
        for endpoint in &mut endpoints {
            endpoint.password = match (get("password"), &password_file) {
                (Some(password), _) => Some(Secret::new(password)),
                (None, None) => None,
                (None, Some(file)) => {
                    match password_file::look_up(file, &endpoint.host, endpoint.port, &database, &user) {
                        Lookup::Found(password) => Some(password),
                        Lookup::Nothing => None,
                        Lookup::TooOpen => {
                            ignored_password_file = Some(file.clone());
                            None
                        }
                    }
                }
            };
        }
        let channel_binding = match get("channel_binding") {
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("disable") => ChannelBinding::Disable,
            Some("require") => ChannelBinding::Require,
            Some(_) => return Err(invalid("channel_binding must be disable, prefer or require")),
        };
        let target = match get("target_session_attrs") {
            None | Some("any" | "prefer-standby") => TargetSessionAttrs::Any,
            Some("read-write" | "primary") => TargetSessionAttrs::ReadWrite,
            Some(_) => {
                return Err(refused(
                    "target_session_attrs (other than any, read-write and primary)",
                ));
            }
        };
        let negotiation = match get("sslnegotiation") {
            None | Some("postgres") => SslNegotiation::Postgres,
            Some("direct") => SslNegotiation::Direct,
            Some(_) => return Err(invalid("sslnegotiation must be postgres or direct")),
        };
        let connect_timeout = match get("connect_timeout").map(|text| text.trim().parse::<i64>()) {
            None => DEFAULT_TIMEOUT,
            Some(Ok(seconds)) if seconds > 0 => Duration::from_secs(seconds.unsigned_abs()),
            // libpq waits for ever here; a pipeline must not.
            Some(Ok(_)) => DEFAULT_TIMEOUT,
            Some(Err(_)) => return Err(invalid("connect_timeout must be a number of seconds")),
        };
        Ok(Self {
            endpoints,
            user,
            database,
            options: get("options").map(str::to_owned),
            channel_binding,
            target,
            negotiation,
            connect_timeout,
            tls: TlsSettings::resolve(parameters, home)?,
            ignored_password_file,
        })
    }

    /// The same settings for another database of the same server.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The role to log in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// How many servers it names, of which the first that answers is taken.
    pub(super) fn servers(&self) -> usize {
        self.endpoints.len()
    }

    /// The addresses that the names of its servers stand for now; none for Unix sockets.
    ///
    /// # Errors
    /// A name cannot be looked up.
    pub(super) async fn addresses(&self) -> std::io::Result<BTreeSet<IpAddr>> {
        let mut addresses = BTreeSet::new();
        for endpoint in self.endpoints.iter().filter(|endpoint| !endpoint.is_socket()) {
            match endpoint.address {
                Some(address) => {
                    addresses.insert(address);
                }
                None => {
                    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await?;
                    addresses.extend(found.map(|one| one.ip()));
                }
            }
        }
        Ok(addresses)
    }

    /// Where it leads, for people, without the password: `app on db.internal:5432 as deploy`.
    pub fn describe(&self) -> String {
        let servers: Vec<String> = self
            .endpoints
            .iter()
            .map(|endpoint| match &endpoint.host {
                host if endpoint.is_socket() => format!("{host} (port {})", endpoint.port),
                host if host.contains(':') => format!("[{host}]:{}", endpoint.port),
                host => format!("{host}:{}", endpoint.port),
            })
            .collect();
        format!("{} on {} as {}", self.database, servers.join(", "), self.user)
    }

    /// How long one server may take to answer.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// A password file that was not used because others may read it.
    pub(super) fn ignored_password_file(&self) -> Option<&Path> {
        self.ignored_password_file.as_deref()
    }

    pub(super) fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    /// The driver's settings for each server in turn, with the TLS mode that holds for it. The password is set if known.
    pub(super) fn attempts(&self, application_name: &str) -> Vec<(Config, TlsMode)> {
        self.endpoints
            .iter()
            .map(|endpoint| {
                let mut config = Config::new();
                config
                    .user(&self.user)
                    .dbname(&self.database)
                    .application_name(application_name)
                    .port(endpoint.port)
                    .channel_binding(self.channel_binding)
                    .target_session_attrs(self.target)
                    .ssl_negotiation(self.negotiation)
                    .connect_timeout(self.connect_timeout)
                    .keepalives(true)
                    .keepalives_idle(Duration::from_secs(30))
                    .keepalives_interval(Duration::from_secs(10))
                    .keepalives_retries(3);
                if let Some(options) = &self.options {
                    config.options(options);
                }
                if let Some(password) = &endpoint.password {
                    config.password(password.reveal());
                }
                config.host(&endpoint.host);
                if let Some(address) = endpoint.address {
                    config.hostaddr(address);
                }
                // As in libpq, TLS does not concern Unix sockets.
                let mode = if endpoint.is_socket() {
                    config.ssl_negotiation(SslNegotiation::Postgres);
                    TlsMode::Disable
                } else {
                    self.tls.mode()
                };
                (config, mode)
            })
            .collect()
    }
}

impl fmt::Debug for ConnectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionSettings({})", self.describe())
    }
}

impl fmt::Display for ConnectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

fn variable_missing(name: &str) -> Problem {
    Problem::new(
        Exit::Usage,
        "database-variable-missing",
        format!("the environment variable {name} is not set, or empty"),
    )
    .because("shipctl.toml takes the database's connection string from it")
    .fix(format!(
        "export {name}=postgres://USER@HOST/DATABASE (the password may come from PGPASSWORD or ~/.pgpass)"
    ))
}

fn endpoints(parameters: &Parameters) -> Result<Vec<Endpoint>, Problem> {
    let list = |key: &str| -> Vec<&str> {
        parameters
            .get(key)
            .map(|text| text.split(',').map(str::trim).collect())
            .unwrap_or_default()
    };
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len()).max(1);
    let fits = |given: usize| given == 0 || given == count;
    if !fits(hosts.len()) || !fits(addresses.len()) || !(fits(ports.len()) || ports.len() == 1) {
        return Err(invalid("the numbers of hosts, addresses and ports differ"));
    }
    (0..count)
        .map(|i| {
            let port = match ports.get(i).or(ports.first()) {
                None | Some(&"") => DEFAULT_PORT,
                Some(text) => text
                    .parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or_else(|| invalid("a port must be a number from 1 to 65535"))?,
            };
            let address: Option<IpAddr> = match addresses.get(i) {
                None | Some(&"") => None,
                Some(text) => Some(
                    text.parse()
                        .map_err(|_| invalid("hostaddr must be an IP address"))?,
                ),
            };
            let host = match (hosts.get(i), address) {
                (Some(host), _) if !host.is_empty() => (*host).to_owned(),
                (_, Some(address)) => address.to_string(),
                _ => socket_folder(port),
            };
            Ok(Endpoint {
                host,
                address,
                port,
                password: None,
            })
        })
        .collect()
}

/// Where a local server's socket is: the first usual folder that has it, else the first that exists.
fn socket_folder(port: u16) -> String {
    const USUAL: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];
    let socket = format!(".s.PGSQL.{port}");
    USUAL
        .iter()
        .find(|folder| Path::new(folder).join(&socket).exists())
        .or_else(|| USUAL.iter().find(|folder| Path::new(folder).is_dir()))
        .unwrap_or(&USUAL[0])
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str, variables: &[(&str, &str)]) -> Result<ConnectionSettings, Problem> {
        let variables: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        ConnectionSettings::resolve(&DatabaseSource::Literal(Secret::new(text)), &move |name| {
            variables
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn variables_fill_in_what_is_missing() {
        let settings = resolve(
            "postgres://deploy@db.internal/app",
            &[("PGPORT", "6432"), ("PGUSER", "other"), ("PGPASSWORD", "hunter2")],
        )
        .unwrap();
        assert_eq!(settings.describe(), "app on db.internal:6432 as deploy");
        let (config, mode) = settings.attempts("shipctl test").remove(0);
        assert_eq!(config.get_password(), Some(b"hunter2".as_slice()));
        assert_eq!(mode, TlsMode::Prefer);
    }

    #[test]
    fn the_database_defaults_to_the_user_and_sockets_have_no_tls() {
        let settings = resolve("host=/run/pg user=app sslmode=verify-full", &[]).unwrap();
        assert_eq!(settings.describe(), "app on /run/pg (port 5432) as app");
        assert_eq!(settings.attempts("x")[0].1, TlsMode::Disable);
    }

    #[test]
    fn several_hosts_are_tried_in_order() {
        let settings = resolve("postgres://u@a:1,b,[::1]:3/d", &[]).unwrap();
        assert_eq!(settings.describe(), "d on a:1, b:5432, [::1]:3 as u");
        assert!(resolve("host=a,b port=1,2,3 user=u", &[]).is_err());
    }

    #[test]
    fn a_missing_variable_is_named() {
        let source = DatabaseSource::Variable("DATABASE_URL".to_owned());
        let problem = ConnectionSettings::resolve(&source, &|_| None).unwrap_err();
        assert_eq!(problem.exit(), Exit::Usage);
        assert!(problem.message().contains("DATABASE_URL"));
    }

    #[test]
    fn neither_debug_nor_errors_show_a_password() {
        let settings = resolve("postgres://u:hunter2@h/d?sslmode=require", &[]).unwrap();
        assert!(!format!("{settings:?} {settings}").contains("hunter2"));
        for text in [
            "postgres://u:hunter2@h:hunter2/d",
            "user=u password=hunter2 sslmode=hunter2",
            "user=u hostaddr=hunter2",
            "user=u connect_timeout=hunter2",
            "user=u channel_binding=hunter2",
        ] {
            let problem = resolve(text, &[]).unwrap_err();
            assert!(!format!("{problem:?}").contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let problem = resolve("user=u", &[("PGSERVICE", "prod")]).unwrap_err();
        assert_eq!(problem.code(), "connection-parameter-unsupported");
    }
}
