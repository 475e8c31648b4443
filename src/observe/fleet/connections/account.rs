//! What the clients, each judged by its name, mean for one service.

use std::collections::{BTreeMap, BTreeSet};

use super::classify::{Role, classify, is_pooler, patterns};
use super::{Client, Clients, Way, list};
use crate::observe::fleet::{Findings, Seen, shown};
use crate::project::{Environment, Service};
use crate::safety::{Doubt, Stranger};

/// Accounts for every client on behalf of one source: the one of the service `asked` with the pattern `text`.
pub(super) fn account(environment: &Environment, asked: &Service, text: &str, clients: &Clients) -> Findings {
    let declared = patterns(environment);
    let mut findings = Findings::default();
    let mut roles = BTreeSet::new();
    let mut unversioned = Vec::new();
    let mut unreadable: BTreeMap<String, Vec<&Client>> = BTreeMap::new();
    let mut pooled = false;
    let counted = || clients.all.iter().filter(|client| client.way != Way::PoolServer);
    for client in counted() {
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
                    roles.extend(client.roles());
                    pooled |= through_pooler && client.way == Way::Direct;
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
                    roles.extend(client.roles());
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
    // A pooler works for its clients as a role that may be another than they log in as.
    for client in clients.all.iter().filter(|client| client.way == Way::PoolServer) {
        match classify(environment, &declared, client) {
            Role::Version {
                service,
                pattern: Some(pattern),
                ..
            }
            | Role::Unreadable { service, pattern, .. }
                if service == asked.name && pattern == text =>
            {
                roles.extend(client.roles());
            }
            _ => {}
        }
    }
    // Old code that did not name itself yet connects as the same role as the code that does.
    unversioned.retain(|client| client.roles().any(|role| roles.contains(role)));
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
    findings.limits.extend(clients.silent.iter().cloned());
    if pooled || counted().any(|client| client.way == Way::Direct && is_pooler(environment, client)) {
        findings.limits.push(hidden(environment, asked));
    }
    findings
}

/// Clients may be hidden behind a pooler that nobody told us of.
fn hidden(environment: &Environment, asked: &Service) -> Doubt {
    let service = &asked.name;
    let (another, one) = if environment.pgbouncer.is_empty() {
        ("a connection pooler", "the admin console")
    } else {
        (
            "another connection pooler than those in `pgbouncer`",
            "the admin console of that one too",
        )
    };
    Doubt::new(format!(
        "{another} stands between {service} and the database: clients that are idle there are not seen"
    ))
    .fix(format!(
        "name {one} in `pgbouncer` of [environments.{}]; or add a source for {service} that does not depend on connections \
         (`http`, `kubernetes`, `heartbeat`); if the pooler does not serve it, put the pooler's name in `ignore_services`",
        environment.name
    ))
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

    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::postgres::pgbouncer::{Pool, PoolClient, PoolServer};
    use crate::project::{DatabaseSource, Manners, Source, SourceKind};

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
                            drain: None,
                        })
                        .collect(),
                })
                .collect(),
            ignore_services: BTreeSet::new(),
            pgbouncer: Vec::new(),
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
                    pid: Some(pid),
                    name: (*name).to_owned(),
                    role: (*role).to_owned(),
                    server_role: None,
                    address: Some("10.0.0.5".to_owned()),
                    port: Some(40_000 + pid),
                    way: Way::Direct,
                })
                .collect(),
            silent: Vec::new(),
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
    fn pooled(names: &[&str]) -> Vec<PoolClient> {
        names
            .iter()
            .map(|name| PoolClient {
                application_name: (*name).to_owned(),
                user: "app".to_owned(),
                server_user: "app".to_owned(),
                address: "10.0.0.9:50000".to_owned(),
            })
            .collect()
    }

    /// The connection of a PgBouncer that [`clients`] gives this process.
    fn server(user: &str, pid: i32) -> PoolServer {
        PoolServer {
            pid,
            user: user.to_owned(),
            port: Some(40_000 + pid),
        }
    }

    #[test]
    fn an_unnamed_client_of_the_role_that_a_pooler_works_as_may_be_old_code() {
        let environment = environment(&[("web", &["web@{commit}"])]);
        let service = &environment.services[0];
        let new = format!("web@{TWO}");
        let doubts = |served_last: &str, server_user: &str| {
            let mut everybody = clients(&[("owner", served_last), ("owner", "")]);
            let mut through = pooled(&[&new]);
            through[0].server_user = server_user.to_owned();
            everybody.admit(vec![Ok(Pool {
                clients: through,
                servers: vec![server("owner", 1)],
                others: Vec::new(),
            })]);
            account(&environment, service, "web@{commit}", &everybody)
                .doubts
                .len()
        };
        // By the name that the pooler's session bears, and by what the console says of the client.
        assert_eq!((doubts(&new, "app"), doubts("cron", "owner")), (1, 1));
        assert_eq!(doubts("cron", "app"), 0);
    }

    #[test]
    fn an_unnamed_client_for_which_a_pooler_works_as_the_role_of_a_service_may_be_old_code() {
        let environment = environment(&[("web", &["web@{commit}"])]);
        let new = format!("web@{TWO}");
        let doubts = |works_as: &str| {
            let mut through = pooled(&[&new, ""]);
            through[0].server_user = "owner".to_owned();
            through[1].user = "legacy".to_owned();
            through[1].server_user = works_as.to_owned();
            let mut everybody = clients(&[]);
            everybody.admit(vec![Ok(Pool {
                clients: through,
                servers: Vec::new(),
                others: Vec::new(),
            })]);
            account(&environment, &environment.services[0], "web@{commit}", &everybody)
                .doubts
                .len()
        };
        assert_eq!((doubts("owner"), doubts("legacy")), (1, 0));
    }

    #[test]
    fn a_process_of_another_server_hides_no_client_of_ours() {
        let environment = environment(&[("web", &["web@{commit}"])]);
        let service = &environment.services[0];
        let old = format!("web@{ONE}");
        let ours = server("app", 1);
        let seen = |server: &PoolServer, port: Option<i32>| {
            let mut everybody = clients(&[("app", &old)]);
            everybody.all[0].port = port;
            everybody.admit(vec![Ok(Pool {
                clients: Vec::new(),
                servers: vec![server.clone()],
                others: Vec::new(),
            })]);
            account(&environment, service, "web@{commit}", &everybody)
                .seen
                .len()
        };
        assert_eq!((seen(&ours, ours.port), seen(&ours, None)), (0, 0));
        let other_role = PoolServer {
            user: "stock".to_owned(),
            ..ours.clone()
        };
        assert_eq!((seen(&other_role, ours.port), seen(&other_role, None)), (1, 1));
        let other_port = PoolServer {
            port: Some(50_000),
            ..ours.clone()
        };
        assert_eq!(seen(&other_port, ours.port), 1);
        let socket = PoolServer { port: None, ..ours };
        assert_eq!((seen(&socket, Some(-1)), seen(&socket, Some(40_001))), (1, 1));
    }

    #[test]
    fn what_a_console_tells_replaces_the_names_that_its_connections_bear() {
        let environment = environment(&[("web", &["web@{commit}"])]);
        let service = &environment.services[0];
        let (old, new) = (format!("web@{ONE}"), format!("web@{TWO}"));
        // Process 1 bears the name of a client that has gone; idle clients have no process at all.
        let mut everybody = clients(&[("app", &old), ("pgbouncer", "pgbouncer")]);
        everybody.admit(vec![Ok(Pool {
            clients: pooled(&[&new, &new]),
            servers: vec![server("app", 1), server("pgbouncer", 2)],
            others: Vec::new(),
        })]);
        let found = account(&environment, service, "web@{commit}", &everybody);
        let commits: BTreeSet<&str> = found.seen.iter().map(|seen| seen.commit.as_str()).collect();
        assert_eq!(commits, BTreeSet::from([TWO]));
        assert!(found.limits.is_empty() && found.doubts.is_empty());
        assert_eq!(found.seen[0].instance, "10.0.0.9:50000 through PgBouncer");

        let mut everybody = clients(&[("app", &new)]);
        everybody.admit(vec![Ok(Pool {
            clients: pooled(&[&new, ""]),
            servers: vec![server("app", 1)],
            others: Vec::new(),
        })]);
        let found = account(&environment, service, "web@{commit}", &everybody);
        assert_eq!(
            found.doubts.len(),
            1,
            "a pooled client without a version is a doubt"
        );
    }

    #[test]
    fn a_pooler_that_tells_nothing_is_a_limit_and_no_doubt() {
        let environment = environment(&[("web", &["web@{commit}"])]);
        let service = &environment.services[0];
        let lengthened = format!("web@{ONE} - 10.0.0.1:5432");
        let found = account(
            &environment,
            service,
            "web@{commit}",
            &clients(&[("app", &lengthened)]),
        );
        assert_eq!((found.doubts.len(), found.limits.len()), (0, 1));
        assert!(found.limits[0].fix.as_ref().unwrap().contains("`pgbouncer`"));

        let mut everybody = clients(&[]);
        everybody.admit(vec![Err(crate::domain::Problem::new(
            crate::domain::Exit::Unknown,
            "database-unreachable",
            "nobody answers",
        ))]);
        let found = account(&environment, service, "web@{commit}", &everybody);
        assert!(found.limits[0].why.contains("nobody answers"));
    }
}
