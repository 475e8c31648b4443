//! What a client is, by the name and the role that it bears.

use super::Client;
use crate::domain::{CommitId, ServiceName};
use crate::observe::fleet::pattern::Pattern;
use crate::observe::fleet::{reading, shown};
use crate::project::{Environment, SourceKind};

/// The longest name that PostgreSQL keeps, in bytes.
const LONGEST_NAME: usize = 63;

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

/// A service that is declared with a pattern.
pub(super) struct Declared<'e> {
    service: &'e ServiceName,
    text: &'e str,
    pattern: Pattern<'e>,
}

/// What a client is.
pub(super) enum Role<'c> {
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

/// The patterns of every declared service.
pub(super) fn patterns(environment: &Environment) -> Vec<Declared<'_>> {
    environment
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
        .collect()
}

/// What this client is.
pub(super) fn classify<'c>(
    environment: &Environment,
    declared: &[Declared<'c>],
    client: &'c Client,
) -> Role<'c> {
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

/// Whether the client is a pooler's own connection, by what it calls itself.
pub(super) fn is_pooler(environment: &Environment, client: &Client) -> bool {
    POOLERS.iter().any(|pooler| {
        [&client.name, &client.role]
            .iter()
            .any(|text| text.eq_ignore_ascii_case(pooler))
            && !environment.ignore_services.contains(*pooler)
    })
}
