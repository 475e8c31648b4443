//! The validated form of `shipctl.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::SignedDuration;

use crate::domain::{EnvironmentName, Limits, Problem, Secret, ServiceName};
use crate::safety::{Completeness, DrainWindow, ServiceRequirement};

/// A project: the folder of `shipctl.toml` and what the file says.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder that holds `shipctl.toml`.
    pub root: PathBuf,
    /// Where plans are (absolute).
    pub plans: PathBuf,
    /// Where migrations are (absolute).
    pub migrations: PathBuf,
    /// Where the project's own templates are (absolute; need not exist).
    pub templates: PathBuf,
    /// By name.
    pub environments: BTreeMap<EnvironmentName, Environment>,
    /// Remarks on the file that stop nothing.
    pub warnings: Vec<Problem>,
}

impl Project {
    /// Every service declared in any environment.
    pub fn service_names(&self) -> BTreeSet<ServiceName> {
        self.environments
            .values()
            .flat_map(|environment| &environment.services)
            .map(|service| service.name.clone())
            .collect()
    }
}

/// One environment: a database and the services that use it.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// How to reach the database.
    pub database: DatabaseSource,
    /// Contract phases need an approval here.
    pub protected: bool,
    /// The declared services, in file order.
    pub services: Vec<Service>,
    /// Names of clients that are known to be no service and need not be declared.
    pub ignore_services: BTreeSet<String>,
    /// The admin consoles of the PgBouncers between the services and the database.
    pub pgbouncer: Vec<DatabaseSource>,
    /// The limits within which fills keep here.
    pub manners: Manners,
}

/// How a fill is to behave towards the rest of the environment.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// The limits that the file sets.
    pub limits: Limits,
    /// The replicas whose lag counts; empty stands for those that the server itself knows of.
    pub replicas: Vec<DatabaseSource>,
}

/// Where the connection string comes from.
#[derive(Clone, Debug)]
pub enum DatabaseSource {
    /// From an environment variable (`env:NAME`), read when it is needed.
    Variable(String),
    /// Given in the file: a libpq URL or keyword string.
    Literal(Secret),
}

/// A service: something that runs code versions against the database.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// At least so many instances must be seen (1 unless given).
    pub min_instances: u32,
    /// A sighting older than this is in doubt (2 minutes unless given).
    pub max_age: SignedDuration,
    /// Another repository that holds its commits (absolute); `None` is the project's own.
    pub repository: Option<PathBuf>,
    /// Where to learn what runs. Never empty.
    pub sources: Vec<Source>,
}

impl Service {
    /// What the census of this service must meet.
    pub fn requirement(&self) -> ServiceRequirement {
        ServiceRequirement {
            service: self.name.clone(),
            sources: self.sources.len(),
            min_instances: self.min_instances,
            max_age: self.max_age,
        }
    }
}

/// One source of a service, with its time limit.
#[derive(Clone, Debug)]
pub struct Source {
    /// Which source, with its settings.
    pub kind: SourceKind,
    /// How long it may take (5 seconds unless given).
    pub timeout: SignedDuration,
    /// How often and for how long it must not have seen a version before that counts as gone; one look where it is not
    /// given.
    pub drain: Option<DrainWindow>,
}

/// The sources and their settings.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// `pg_stat_activity.application_name` of the environment's database.
    Connections {
        /// A pattern with `{commit}` and optionally `{instance}`, such as `web@{commit}`.
        application_name: String,
    },
    /// A version endpoint.
    Http {
        /// The URL (`http` or `https`).
        url: String,
        /// A JSON pointer to the commit (`/git/commit`); `None` takes the body as plain text.
        pointer: Option<String>,
        /// Ask every address the host name resolves to.
        every_address: bool,
    },
    /// Pods, listed by `kubectl`.
    Kubernetes(KubernetesSource),
    /// Rows that instances upsert into the ledger's `heartbeats`.
    Heartbeat(HeartbeatSource),
    /// A tag or branch that the deploy pipeline moves.
    GitRef {
        /// Such as `deployed/production` or `refs/tags/live`.
        reference: String,
    },
    /// A file's content: the commit, plain or behind a JSON pointer.
    File {
        /// The path, relative to the project.
        path: PathBuf,
        /// A JSON pointer; `None` takes the file as plain text: one commit a line, optionally after an instance name.
        pointer: Option<String>,
        /// What the file enumerates, as declared.
        completeness: Completeness,
    },
    /// A program's output, in the same forms as a file's content.
    Command {
        /// The program and its arguments; no shell.
        argv: Vec<String>,
        /// A JSON pointer.
        pointer: Option<String>,
        /// What the output enumerates, as declared.
        completeness: Completeness,
    },
    /// What `shipctl deployed record` wrote.
    Recorded {
        /// A record older than this is in doubt.
        max_age: SignedDuration,
    },
}

/// Settings of the heartbeat source.
#[derive(Clone, Debug)]
pub struct HeartbeatSource {
    /// An instance that has not written for so long is gone (1 minute unless given).
    pub ttl: SignedDuration,
}

/// Settings of the kubernetes source.
#[derive(Clone, Debug)]
pub struct KubernetesSource {
    /// The label selector, such as `app=web`.
    pub selector: String,
    /// The namespace.
    pub namespace: String,
    /// The context of the kubeconfig; `None` is the current one.
    pub context: Option<String>,
    /// Where a pod says which commit it runs.
    pub commit: PodCommit,
}

/// Where a pod says which commit it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodCommit {
    /// An annotation of the pod.
    Annotation(String),
    /// A label of the pod.
    Label(String),
    /// The tag of a container's image.
    ImageTag {
        /// The container.
        container: String,
        /// What the tag looks like: `{commit}`, `sha-{commit}`.
        pattern: String,
    },
    /// The digest of the image that runs, looked up in a file.
    Digests {
        /// The file, relative to the project: the commit of each `sha256:…`.
        file: PathBuf,
        /// The container; may be `None` where pods have only one.
        container: Option<String>,
    },
}

impl SourceKind {
    /// The name used in `shipctl.toml` and in output.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connections { .. } => "connections",
            Self::Http { .. } => "http",
            Self::Kubernetes(_) => "kubernetes",
            Self::Heartbeat(_) => "heartbeat",
            Self::GitRef { .. } => "git-ref",
            Self::File { .. } => "file",
            Self::Command { .. } => "command",
            Self::Recorded { .. } => "recorded",
        }
    }
}
