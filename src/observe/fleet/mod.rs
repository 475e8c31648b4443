//! The census: every declared source probed concurrently, each within its time limit.
//!
//! A source never fails the census. What goes wrong, and what it cannot see, is a doubt in its report, worded so that
//! it stands by itself and free of passwords.

mod command;
mod connections;
mod file;
mod git_ref;
mod heartbeat;
mod http;
mod kubernetes;
mod pattern;
mod program;
mod reading;
mod recorded;
mod sampling;

pub use connections::holding_locks;
pub use recorded::WHOLE_SERVICE;

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use crate::domain::{CommitId, Problem};
use crate::ledger::StoredRecord;
use crate::postgres::Session;
use crate::project::{Environment, Service, Source, SourceKind};
use crate::safety::{Completeness, Doubt, Sighting, SourceReport, Stranger};

/// What the sources may use.
pub struct Probing<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The project's folder (relative paths, the working directory of commands, the repository of git refs).
    pub root: &'a Path,
    /// A session with the environment's database; `None` where it cannot be reached, which puts the sources that need it
    /// in doubt.
    pub database: Option<&'a Session>,
    /// The moment of the look, by this machine's clock.
    pub now: Timestamp,
    /// How far the database's clock is ahead of this machine's. Everything is dated by the database's in the end.
    pub skew: SignedDuration,
}

impl<'a> Probing<'a> {
    /// The database, or the doubt of a source that needs it.
    fn database(&self, source: &str) -> Result<&'a Session, Doubt> {
        self.database.ok_or_else(|| {
            Doubt::new(format!(
                "the database of {} cannot be reached, and `{source}` reads it",
                self.environment.name
            ))
            .fix(format!(
                "check `database` of [environments.{}] and that it is up",
                self.environment.name
            ))
        })
    }
}

/// What several sources read of the database, read once.
#[derive(Default)]
struct Shared {
    clients: OnceCell<connections::Clients>,
    records: OnceCell<Vec<StoredRecord>>,
}

/// What one source found, before it is put into the form of a report.
#[derive(Default)]
struct Findings {
    seen: Vec<Seen>,
    doubts: Vec<Doubt>,
    /// Why not everything was seen that the source usually sees: then it is a sample.
    limits: Vec<Doubt>,
    strangers: Vec<Stranger>,
    /// Instances of other declared services that showed up by the way.
    others: Vec<(crate::domain::ServiceName, Seen)>,
}

/// One instance running one commit.
struct Seen {
    instance: String,
    commit: CommitId,
    at: Timestamp,
}

impl From<Doubt> for Findings {
    fn from(doubt: Doubt) -> Self {
        Self {
            doubts: vec![doubt],
            ..Self::default()
        }
    }
}

/// Asks every source of every service, all at the same time. Never fails: what goes wrong is a doubt in its report.
pub async fn probe(probing: &Probing<'_>) -> Vec<SourceReport> {
    let shared = Shared::default();
    let questions = probing
        .environment
        .services
        .iter()
        .flat_map(|service| (0..service.sources.len()).map(move |number| (service, number)));
    let answers = join_all(questions.map(|(service, number)| ask(probing, &shared, service, number))).await;
    answers.into_iter().flatten().collect()
}

/// One source's report, and one more for each other service that it happened to see.
async fn ask(probing: &Probing<'_>, shared: &Shared, service: &Service, number: usize) -> Vec<SourceReport> {
    let Some(source) = service.sources.get(number) else {
        return Vec::new();
    };
    let name = source.kind.name();
    let limit = source.timeout.unsigned_abs();
    let answering = async {
        match &source.kind {
            SourceKind::Connections { application_name } => {
                connections::ask(probing, shared, service, application_name).await
            }
            SourceKind::Http {
                url,
                pointer,
                every_address,
            } => Ok(http::ask(url, pointer.as_deref(), *every_address, limit, probing.now).await),
            SourceKind::Kubernetes(settings) => kubernetes::ask(probing, service, settings, limit).await,
            SourceKind::Heartbeat(settings) => heartbeat::ask(probing, service, settings).await,
            SourceKind::GitRef { reference } => git_ref::ask(probing, service, reference).await,
            SourceKind::File { path, pointer, .. } => file::ask(probing, path, pointer.as_deref()).await,
            SourceKind::Command { argv, pointer, .. } => {
                command::ask(probing, argv, pointer.as_deref()).await
            }
            SourceKind::Recorded { max_age } => recorded::ask(probing, shared, service, *max_age).await,
        }
    };
    // The endpoints of one host each have the whole time, so that a slow one does not hide what the others said.
    let limit = if matches!(source.kind, SourceKind::Http { .. }) {
        limit.saturating_mul(2)
    } else {
        limit
    };
    let mut findings = match tokio::time::timeout(limit, answering).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(doubt)) => doubt.into(),
        Err(_) => too_slow(&format!("`{name}` of {}", service.name), limit).into(),
    };
    if !dated_by_database(&source.kind) {
        let seen = findings
            .seen
            .iter_mut()
            .chain(findings.others.iter_mut().map(|(_, seen)| seen));
        for one in seen {
            one.at = one.at.checked_add(probing.skew).unwrap_or(one.at);
        }
    }
    tracing::debug!(service = %service.name, source = name, seen = findings.seen.len(), "probed");
    let mut reports = reports(service, source, findings);
    if let (Some(window), Some(own)) = (source.drain, reports.first_mut()) {
        let key = sampling::key(probing.environment, service, number);
        let reading = sampling::cover(probing, &key, window, own);
        if tokio::time::timeout(limit, reading).await.is_err() {
            own.doubts.push(too_slow(
                &format!("the ledger, asked for earlier looks of `{name}`,"),
                limit,
            ));
        }
    }
    reports
}

fn reports(service: &Service, source: &Source, findings: Findings) -> Vec<SourceReport> {
    let name = source.kind.name();
    let completeness = if findings.limits.is_empty() {
        completeness(&source.kind)
    } else {
        completeness(&source.kind).min(Completeness::Sample)
    };
    let report = |service: &crate::domain::ServiceName, completeness, seen: Vec<Seen>| SourceReport {
        sightings: seen
            .into_iter()
            .map(|seen| Sighting {
                service: service.clone(),
                instance: seen.instance,
                commit: seen.commit,
                observed_at: seen.at,
                source: name.to_owned(),
                completeness,
            })
            .collect(),
        ..SourceReport::new(service.clone(), name, completeness)
    };
    let mut all = vec![SourceReport {
        doubts: findings.doubts,
        limits: findings.limits,
        strangers: findings.strangers,
        ..report(&service.name, completeness, findings.seen)
    }];
    all.extend(
        findings
            .others
            .into_iter()
            .map(|(other, seen)| report(&other, Completeness::Sample, vec![seen])),
    );
    all
}

/// Whether a source's sightings bear the database's time already.
fn dated_by_database(kind: &SourceKind) -> bool {
    match kind {
        SourceKind::Connections { .. } | SourceKind::Heartbeat(_) | SourceKind::Recorded { .. } => true,
        SourceKind::Http { .. }
        | SourceKind::Kubernetes(_)
        | SourceKind::GitRef { .. }
        | SourceKind::File { .. }
        | SourceKind::Command { .. } => false,
    }
}

fn completeness(kind: &SourceKind) -> Completeness {
    match kind {
        SourceKind::Connections { .. } | SourceKind::Kubernetes(_) | SourceKind::Heartbeat(_) => {
            Completeness::Full
        }
        SourceKind::Http { every_address, .. } => {
            if *every_address {
                Completeness::Full
            } else {
                Completeness::Sample
            }
        }
        SourceKind::GitRef { .. } | SourceKind::Recorded { .. } => Completeness::Claim,
        SourceKind::File { completeness, .. } | SourceKind::Command { completeness, .. } => *completeness,
    }
}

fn too_slow(who: &str, limit: Duration) -> Doubt {
    Doubt::new(format!("{who} did not answer within {limit:?}"))
        .fix("see why it is slow, or raise the source's `timeout`")
}

/// What could not be done, as something that is therefore not known.
fn doubt_of(problem: &Problem) -> Doubt {
    Doubt {
        why: problem.to_string().replace('\n', ": "),
        fix: problem.remedy().map(str::to_owned),
    }
}

/// A text that came from outside, fit to be shown: one line, no control characters, not too long.
fn shown(text: &str) -> String {
    cut(text, 80)
}

/// As [`shown`], with at most so many characters.
fn cut(text: &str, longest: usize) -> String {
    let mut clean: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(longest + 1)
        .collect();
    if clean.chars().count() > longest {
        clean.pop();
        clean.push('…');
    }
    clean
}
