//! `connections`: what the database itself sees in `pg_stat_activity.application_name`.
//!
//! All services are read from one snapshot. Everything that is connected is accounted for: it is a declared service's
//! version, or shipctl itself, or ignored on purpose, or else a doubt or a stranger.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::pattern::Pattern;
use super::{Findings, Probing, Seen, Shared, reading, shown};
use crate::domain::{CommitId, ServiceName};
use crate::postgres::{Session, describe_error};
use crate::project::{Environment, Service, SourceKind};
use crate::safety::{Doubt, Stranger};

/// The longest name that PostgreSQL keeps, in bytes.
const LONGEST_NAME: usize = 63;

/// How many clients a doubt names before it only counts the rest.
const NAMED: usize = 3;

/// Names under which people's tools connect. They run no version of any service.
const TOOLS: [&str; 10] = [
    "psql",
    "pg_dump",
    "pg_dumpall",
    "pg_restore",
    "pgcli",
    "vacuumdb",
    "pgAdmin",
    "DBeaver",
    "DataGrip",
    "TablePlus",
];

/// Names and roles under which poolers hold connections of their own.
const POOLERS: [&str; 6] = [
    "pgbouncer",
    "pgcat",
    "odyssey",
    "supavisor",
    "pgpool",
    "rdsproxyadmin",
];

/// Everybody connected to the database at one moment.
pub(super) struct Clients {
    at: Timestamp,
    all: Vec<Client>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Client {
    pid: i32,
    name: String,
    role: String,
    address: Option<String>,
}

impl Client {
    /// `1234@10.0.0.5`, or the process id alone where the address is hidden or a local socket.
    fn instance(&self) -> String {
        match &self.address {
            Some(address) => format!("{}@{address}", self.pid),
            None => format!("pid {}", self.pid),
        }
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
    let clients = shared.clients.get_or_try_init(|| snapshot(session)).await?;
    Ok(account(probing.environment, service, application_name, clients))
}

async fn snapshot(session: &Session) -> Result<Clients, Doubt> {
    // Without pg_monitor the kind of a backend is hidden, but not its role, which only clients (and what works for
    // them) have.
    let rows = session
        .client()
        .query(
            "SELECT pid, coalesce(application_name, ''), coalesce(usename::text, ''), host(client_addr), \
                    clock_timestamp() \
             FROM pg_catalog.pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() \
               AND (backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL)) \
             ORDER BY pid",
            &[],
        )
        .await
        .map_err(|error| Doubt::new(describe_error(&error, "reading who is connected").message()))?;
    let mut clients = Clients {
        at: Timestamp::UNIX_EPOCH,
        all: Vec::with_capacity(rows.len()),
    };
    for row in rows {
        let read = || -> Result<(Client, Timestamp), tokio_postgres::Error> {
            let client = Client {
                pid: row.try_get(0)?,
                name: row.try_get(1)?,
                role: row.try_get(2)?,
                address: row.try_get(3)?,
            };
            Ok((client, row.try_get(4)?))
        };
        let (client, at) = read()
            .map_err(|error| Doubt::new(describe_error(&error, "reading who is connected").message()))?;
        clients.all.push(client);
        clients.at = at;
    }
    Ok(clients)
}

/// A service that is declared with a pattern.
struct Declared<'e> {
    service: &'e ServiceName,
    text: &'e str,
    pattern: Pattern<'e>,
}

/// What a client is.
enum Role<'c> {
    /// It runs this version of a service.
    Version {
        service: ServiceName,
        /// The pattern that its name fits, if it fits a declared one.
        pattern: Option<&'c str>,
        instance: Option<&'c str>,
        commit: CommitId,
        /// Its name was lengthened by a pooler.
        pooled: bool,
    },
    /// It belongs to a service, but what it runs cannot be read from its name.
    Unreadable {
        service: ServiceName,
        pattern: &'c str,
        why: String,
    },
    /// It runs a version of something that is not declared.
    Stranger { name: String, commit: CommitId },
    /// It bears no version.
    Unversioned,
    /// It does not matter.
    Ignored,
}

/// Accounts for every client on behalf of one source: the one of the service `asked` with the pattern `text`.
fn account(environment: &Environment, asked: &Service, text: &str, clients: &Clients) -> Findings {
    let declared: Vec<Declared<'_>> = environment
        .services
        .iter()
        .flat_map(|service| service.sources.iter().map(move |source| (service, source)))
        .filter_map(|(service, source)| match &source.kind {
            SourceKind::Connections { application_name } => Some(Declared {
                service: &service.name,
                text: application_name,
                pattern: Pattern::new(application_name),
            }),
            _ => None,
        })
        .collect();

    let mut findings = Findings::default();
    let mut roles = BTreeSet::new();
    let mut unversioned = Vec::new();
    let mut unreadable: BTreeMap<String, Vec<&Client>> = BTreeMap::new();
    let mut pooled = false;
    for client in &clients.all {
        match classify(environment, &declared, client) {
            Role::Version {
                service,
                pattern,
                instance,
                commit,
                pooled: through_pooler,
            } => {
                let seen = Seen {
                    instance: instance.map_or_else(|| client.instance(), shown),
                    commit,
                    at: clients.at,
                };
                if service == asked.name && pattern == Some(text) {
                    roles.insert(client.role.as_str());
                    pooled |= through_pooler;
                    findings.seen.push(seen);
                } else if pattern.is_none() {
                    findings.others.push((service, seen));
                }
            }
            Role::Unreadable {
                service,
                pattern,
                why,
            } => {
                if service == asked.name && pattern == text {
                    roles.insert(client.role.as_str());
                    unreadable.entry(why).or_default().push(client);
                }
            }
            Role::Stranger { name, commit } => findings.strangers.push(Stranger {
                name,
                commit,
                source: "connections".to_owned(),
            }),
            Role::Unversioned => unversioned.push(client),
            Role::Ignored => {}
        }
    }
    for (why, clients) in unreadable {
        findings
            .doubts
            .push(Doubt::new(format!("{why}: {}", list(&clients))).fix(format!(
                "have every process of {} set application_name to `{}`, with the full commit id",
                asked.name, text
            )));
    }
    // Old code that did not name itself yet connects as the same role as the code that does.
    unversioned.retain(|client| roles.contains(client.role.as_str()));
    if !unversioned.is_empty() {
        findings.doubts.push(
            Doubt::new(format!(
                "{} share a database role with {} and report no version, so they may be instances of it: {}",
                count(unversioned.len(), "client"),
                asked.name,
                list(&unversioned)
            ))
            .fix(format!(
                "stop them, name them `{}`, or list their names in `ignore_services` of [environments.{}]",
                text, environment.name
            )),
        );
    }
    if pooled || clients.all.iter().any(|client| is_pooler(environment, client)) {
        findings.doubts.push(
            Doubt::new(format!(
                "a connection pooler stands between {} and the database: clients that are idle there are not seen",
                asked.name
            ))
            .fix(format!(
                "add a source for {} that does not depend on connections (`http`, `heartbeat`, `kubernetes`); if the \
                 pooler does not serve it, put the pooler's name in `ignore_services`",
                asked.name
            )),
        );
    }
    findings
}

fn classify<'c>(environment: &Environment, declared: &[Declared<'c>], client: &'c Client) -> Role<'c> {
    let full = client.name.as_str();
    if full == "shipctl" || full.starts_with("shipctl ") {
        return Role::Ignored;
    }
    let (name, pooled) = match without_host(full) {
        Some(name) => (name, true),
        None => (full, false),
    };
    for one in declared {
        if let Some(found) = one.pattern.fit(name)
            && let Some(Ok(commit)) = found.commit.map(str::parse)
        {
            return Role::Version {
                service: one.service.clone(),
                pattern: Some(one.text),
                instance: found.instance,
                commit,
                pooled,
            };
        }
    }
    let stem = name.split('@').next().unwrap_or_default();
    let ignored = &environment.ignore_services;
    if ignored.contains(full) || ignored.contains(name) || ignored.contains(stem) {
        return Role::Ignored;
    }
    if let Some(one) = declared.iter().find(|one| one.pattern.resembles(name)) {
        return Role::Unreadable {
            service: one.service.clone(),
            pattern: one.text,
            why: unreadable(one, name),
        };
    }
    if let Some((stem, commit)) = name.rsplit_once('@')
        && let Ok(commit) = commit.parse()
        && !stem.is_empty()
    {
        let known = environment
            .services
            .iter()
            .find(|service| service.name.as_str() == stem);
        return match known {
            Some(service) => Role::Version {
                service: service.name.clone(),
                pattern: None,
                instance: None,
                commit,
                pooled,
            },
            None => Role::Stranger {
                name: shown(stem),
                commit,
            },
        };
    }
    let tool = TOOLS.iter().any(|tool| {
        name.strip_prefix(tool)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '-', '/']))
    });
    if tool || is_pooler(environment, client) {
        Role::Ignored
    } else {
        Role::Unversioned
    }
}

/// Why a client of a service cannot be told by its name.
fn unreadable(one: &Declared<'_>, name: &str) -> String {
    let service = one.service;
    let said = one.pattern.fit_loosely(name).and_then(|found| found.commit);
    if name.len() >= LONGEST_NAME {
        format!("PostgreSQL cut the name of a client of {service} off at {LONGEST_NAME} bytes")
    } else {
        match said {
            Some(commit) if !commit.is_empty() => {
                format!("a client of {service} {}", reading::not_a_commit(commit))
            }
            _ => format!("a client of {service} does not say which commit it runs"),
        }
    }
}

/// The name as the client gave it, where PgBouncer's `application_name_add_host` added ` - host:port`.
fn without_host(name: &str) -> Option<&str> {
    let (before, host) = name.rsplit_once(" - ")?;
    let (address, port) = host.rsplit_once(':')?;
    let added = !address.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    added.then_some(before)
}

fn is_pooler(environment: &Environment, client: &Client) -> bool {
    POOLERS.iter().any(|pooler| {
        [&client.name, &client.role]
            .iter()
            .any(|text| text.eq_ignore_ascii_case(pooler))
            && !environment.ignore_services.contains(*pooler)
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

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;

    use jiff::SignedDuration;

    use super::*;
    use crate::project::{DatabaseSource, Manners, Source};

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn environment(services: &[(&str, &[&str])]) -> Environment {
        Environment {
            name: "production".parse().unwrap(),
            database: DatabaseSource::Variable("X".to_owned()),
            protected: false,
            services: services
                .iter()
                .map(|(name, patterns)| Service {
                    name: name.parse().unwrap(),
                    min_instances: 1,
                    max_age: SignedDuration::from_mins(2),
                    repository: None,
                    sources: patterns
                        .iter()
                        .map(|pattern| Source {
                            kind: SourceKind::Connections {
                                application_name: (*pattern).to_owned(),
                            },
                            timeout: SignedDuration::from_secs(5),
                        })
                        .collect(),
                })
                .collect(),
            ignore_services: BTreeSet::new(),
            manners: Manners::default(),
        }
    }

    fn clients(names: &[(&str, &str)]) -> Clients {
        Clients {
            at: Timestamp::UNIX_EPOCH,
            all: names
                .iter()
                .zip(1..)
                .map(|((role, name), pid)| Client {
                    pid,
                    name: (*name).to_owned(),
                    role: (*role).to_owned(),
                    address: Some("10.0.0.5".to_owned()),
                })
                .collect(),
        }
    }

    /// What each source of each service saw, as `service: commits / doubts`.
    fn told(environment: &Environment, clients: &Clients) -> Map<String, (usize, usize)> {
        let mut told = Map::new();
        for service in &environment.services {
            for source in &service.sources {
                if let SourceKind::Connections { application_name } = &source.kind {
                    let found = account(environment, service, application_name, clients);
                    told.insert(application_name.clone(), (found.seen.len(), found.doubts.len()));
                }
            }
        }
        told
    }

    #[test]
    fn two_sources_of_one_service_each_count_their_own() {
        let environment = environment(&[("web", &["web@{commit}", "console@{commit}"])]);
        let (web, console) = (format!("web@{ONE}"), format!("console@{TWO}"));
        let told = told(
            &environment,
            &clients(&[("app", &web), ("app", &console), ("app", &web)]),
        );
        assert_eq!(told["web@{commit}"], (2, 0));
        assert_eq!(told["console@{commit}"], (1, 0));
    }

    #[test]
    fn only_clients_of_the_same_role_may_be_old_code_of_a_service() {
        let environment = environment(&[("web", &["web@{commit}"]), ("worker", &["worker@{commit}"])]);
        let (web, worker) = (format!("web@{ONE}"), format!("worker@{TWO}"));
        let everybody = clients(&[
            ("web", &web),
            ("worker", &worker),
            ("worker", ""),
            ("analyst", ""),
            ("web", "pgAdmin 4 - DB:x"),
            ("web", "shipctl run"),
        ]);
        let told = told(&environment, &everybody);
        assert_eq!(told["web@{commit}"], (1, 0));
        assert_eq!(told["worker@{commit}"], (1, 1));
    }
}
