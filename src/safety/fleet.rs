//! Which code versions are running: sightings, and what is known and not known about each service.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Coverage;
use crate::domain::{CommitId, ServiceName};

/// A code version of one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The service that runs it.
    pub service: ServiceName,
    /// The commit it was built from.
    pub commit: CommitId,
}

/// How much of a service a source can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completeness {
    /// Somebody said so; nothing was looked at.
    Claim,
    /// Some instances, such as one answer through a load balancer.
    Sample,
    /// Every instance there is.
    Full,
}

/// One instance seen running one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The service.
    pub service: ServiceName,
    /// The instance within the service, as its source names it (a pid, an address, a pod).
    pub instance: String,
    /// The commit it runs.
    pub commit: CommitId,
    /// When the instance was seen, by the source's clock.
    pub observed_at: Timestamp,
    /// The source's kind, such as `connections`.
    pub source: String,
    /// How much of the service that source sees.
    pub completeness: Completeness,
}

impl Sighting {
    /// The version that was seen.
    pub fn version(&self) -> Version {
        Version {
            service: self.service.clone(),
            commit: self.commit.clone(),
        }
    }
}

/// Something that is not known, and what would make it known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Doubt {
    /// Why it is not known, in one sentence.
    pub why: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Doubt {
    /// A doubt without a remedy.
    pub fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            fix: None,
        }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// What one source of one service answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The declared service that was asked about.
    pub service: ServiceName,
    /// The source's kind, such as `http`.
    pub source: String,
    /// How much of the service the source saw.
    pub completeness: Completeness,
    /// The instances seen. May be empty: a source can enumerate nothing.
    pub sightings: Vec<Sighting>,
    /// Why the answer, or a part of it, cannot be relied on (an error, a client without a version).
    pub doubts: Vec<Doubt>,
    /// Why the source saw less than its kind usually does (a pooler hides clients). These are no doubts about what was seen, and
    /// matter only where no other source sees everything.
    pub limits: Vec<Doubt>,
    /// Versions seen under service names that are not declared.
    pub strangers: Vec<Stranger>,
    /// Instances of versions that were not seen now, but within the source's drain window.
    pub lingering: Vec<Sighting>,
    /// How far the source's drain window is covered; `None` where it has none.
    pub coverage: Option<Coverage>,
}

impl SourceReport {
    /// A report of a source that saw nothing yet.
    pub fn new(service: ServiceName, source: impl Into<String>, completeness: Completeness) -> Self {
        Self {
            service,
            source: source.into(),
            completeness,
            sightings: Vec::new(),
            doubts: Vec::new(),
            limits: Vec::new(),
            strangers: Vec::new(),
            lingering: Vec::new(),
            coverage: None,
        }
    }
}

/// A version that runs under a service name the environment does not declare.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stranger {
    /// The name it bears.
    pub name: String,
    /// The commit it reports.
    pub commit: CommitId,
    /// The source that saw it.
    pub source: String,
}

/// What an environment demands of the census of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRequirement {
    /// The service.
    pub service: ServiceName,
    /// How many sources are declared for it. Each must have reported, or the census is in doubt.
    pub sources: usize,
    /// At least so many distinct instances must be seen, or the census is in doubt.
    pub min_instances: u32,
    /// A sighting older than this is in doubt.
    pub max_age: SignedDuration,
}

/// What is known of one declared service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCensus {
    /// The service.
    pub service: ServiceName,
    /// Every instance seen by any source.
    pub sightings: Vec<Sighting>,
    /// Why this may not be all, or may be wrong. A census without doubts enumerates the service.
    pub doubts: Vec<Doubt>,
}

impl ServiceCensus {
    /// The distinct versions seen.
    pub fn versions(&self) -> BTreeSet<Version> {
        self.sightings.iter().map(Sighting::version).collect()
    }
}

/// The fleet: what runs now over all declared services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// One census a declared service.
    pub services: BTreeMap<ServiceName, ServiceCensus>,
    /// Versions under undeclared names.
    pub strangers: BTreeSet<Stranger>,
}

impl Fleet {
    /// Every version seen.
    pub fn versions(&self) -> BTreeSet<Version> {
        self.services.values().flat_map(ServiceCensus::versions).collect()
    }
}

/// What was seen earlier: every sighting that the ledger, the heartbeats and the recorded deployments remember.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The latest (and at least the latest) sighting of each version.
    pub sightings: Vec<Sighting>,
}
