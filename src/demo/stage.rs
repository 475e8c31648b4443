//! The stage of the demo: a private PostgreSQL, a temporary git repository, and the real program run in it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
use tempfile::TempDir;
use tokio::process::Command;

use super::application::{Release, SCHEMA};
use crate::domain::{CommitId, Exit, Problem};
use crate::postgres::cluster::Cluster;

/// The database and environment that the story plays in.
pub const DATABASE: &str = "accounts";
/// The environment's name.
pub const ENVIRONMENT: &str = "production";

const PROJECT_FILE: &str = r#"# Where the demo's services run, and how shipctl learns which commit each instance runs.
[environments.production]
database = "env:DATABASE_URL"
protected = true

[[environments.production.services]]
name = "web"
min_instances = 3
source = { kind = "connections", application_name = "web@{commit}" }

[[environments.production.services]]
name = "worker"
min_instances = 2
source = { kind = "connections", application_name = "worker@{commit}" }
"#;

/// A PostgreSQL cluster and a git repository of the example application.
pub struct Stage {
    cluster: Cluster,
    folder: TempDir,
    program: PathBuf,
}

/// How one command of the program ended.
pub struct Performed {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Stage {
    /// Starts the cluster and makes the repository with its first release.
    ///
    /// # Errors
    /// PostgreSQL or git fail.
    pub fn set_up() -> Result<Self, Problem> {
        let program = std::env::current_exe().map_err(|error| {
            Problem::new(Exit::Failed, "demo-stage", format!("cannot find myself: {error}"))
        })?;
        let cluster = Cluster::start()?;
        let folder = tempfile::Builder::new()
            .prefix("shipctl-demo-")
            .tempdir()
            .map_err(|error| stage(&error))?;
        let mut options = RepositoryInitOptions::new();
        options.initial_head("main");
        Repository::init_opts(folder.path(), &options).map_err(|error| stage(&error))?;
        std::fs::write(folder.path().join("schema.sql"), SCHEMA).map_err(|error| stage(&error))?;
        std::fs::write(folder.path().join("shipctl.toml"), PROJECT_FILE).map_err(|error| stage(&error))?;
        Ok(Self {
            cluster,
            folder,
            program,
        })
    }

    /// The repository's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A URL of the accounts database.
    pub fn url(&self) -> String {
        self.cluster.url(DATABASE)
    }

    /// A URL of the maintenance database.
    pub fn maintenance_url(&self) -> String {
        self.cluster.url("postgres")
    }

    /// Writes a release's SQL and commits everything that changed, with the trailer that ties it to its phase.
    ///
    /// # Errors
    /// git fails.
    pub fn commit_release(&self, release: &Release, plan: &str) -> Result<CommitId, Problem> {
        let folder = self.folder().join("sql");
        std::fs::create_dir_all(&folder).map_err(|error| stage(&error))?;
        for (name, sql) in [
            ("add.sql", release.add),
            ("rename.sql", release.rename),
            ("show.sql", release.show),
        ] {
            std::fs::write(folder.join(name), sql).map_err(|error| stage(&error))?;
        }
        let message = match release.phase {
            Some(phase) => format!("{}\n\nShip-Phase: {plan}/{phase}\n", release.subject),
            None => format!("{}\n", release.subject),
        };
        self.commit(&message)
    }

    /// Commits everything that changed.
    ///
    /// # Errors
    /// git fails.
    pub fn commit(&self, message: &str) -> Result<CommitId, Problem> {
        let id = commit_all(self.folder(), message).map_err(|error| stage(&error))?;
        id.to_string().parse().map_err(|error| stage(&error))
    }

    /// Runs the program in the repository, its output captured, and waits for its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn shipctl(&self, arguments: &[&str]) -> Result<Performed, Problem> {
        let started = Instant::now();
        let output = Command::new(&self.program)
            .args(arguments)
            .current_dir(self.folder())
            .env("DATABASE_URL", self.url())
            .env("SHIPCTL_ACTOR", "demo")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| stage(&error))?;
        Ok(Performed {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: started.elapsed(),
        })
    }

    /// Keeps the repository's folder, and returns it with the running cluster.
    pub fn keep(self) -> (PathBuf, Cluster) {
        (self.folder.keep(), self.cluster)
    }
}

fn commit_all(folder: &Path, message: &str) -> Result<git2::Oid, git2::Error> {
    let repository = Repository::open(folder)?;
    let mut index = repository.index()?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let author = Signature::now("shipctl demo", "demo@example.org")?;
    let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
    repository.commit(
        Some("HEAD"),
        &author,
        &author,
        message,
        &tree,
        &parent.iter().collect::<Vec<_>>(),
    )
}

fn stage(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        Exit::Failed,
        "demo-stage",
        format!("the demo cannot set its stage: {error}"),
    )
}
