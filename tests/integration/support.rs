//! What every integration test needs: the shared cluster, fresh databases, git repositories and the program.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use shipctl::domain::{CommitId, Secret};
use shipctl::postgres::{Cluster, ConnectionSettings, Session};
use shipctl::project::DatabaseSource;

/// The cluster that all tests of this binary share. Its keeper removes it when the binary ends.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        Cluster::builder()
            .throwaway()
            .setting("max_connections", "300")
            .start()
            .unwrap()
    })
}

/// A database of a test's own.
#[derive(Debug)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// A URL without a password.
    pub url: String,
    /// Settings that lead to it.
    pub settings: ConnectionSettings,
}

impl Database {
    /// A session with it.
    pub async fn session(&self) -> Session {
        Session::open(&self.settings, "test").await.unwrap()
    }

    /// Runs statements on a session of their own.
    pub async fn execute(&self, sql: &str) {
        self.session().await.client().batch_execute(sql).await.unwrap();
    }

    /// The first column of the first row, as text.
    pub async fn value(&self, query: &str) -> Option<String> {
        let session = self.session().await;
        let messages = session.client().simple_query(query).await.unwrap();
        messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }
}

/// Makes an empty database.
pub async fn fresh_database() -> Database {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let admin = Session::open(&cluster().settings("postgres").unwrap(), "test-setup")
        .await
        .unwrap();
    admin
        .client()
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    Database {
        url: cluster().url(&name),
        settings: cluster().settings(&name).unwrap(),
        name,
    }
}

/// Settings from a connection string alone, without the surroundings' variables.
pub fn settings(text: &str) -> Result<ConnectionSettings, shipctl::domain::Problem> {
    ConnectionSettings::resolve(&DatabaseSource::Literal(Secret::new(text)), &|_| None)
}

/// Says that a test proves nothing, and why, past the harness, which keeps quiet about tests that pass.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Asks again and again until the answer is yes; fails the test after a minute, which only a machine with much else
/// to do takes.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let begun = Instant::now();
    while !check().await {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "never came true: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A temporary git repository.
#[derive(Debug)]
pub struct Repo {
    folder: tempfile::TempDir,
}

impl Repo {
    /// An empty one, on branch `main`.
    pub fn new() -> Self {
        let repo = Self {
            folder: tempfile::Builder::new()
                .prefix("shipctl-test-")
                .tempdir()
                .unwrap(),
        };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs git in it and returns what it printed. The user's own git settings have no say.
    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs([
                ("GIT_AUTHOR_NAME", "Ada"),
                ("GIT_AUTHOR_EMAIL", "ada@example.org"),
                ("GIT_COMMITTER_NAME", "Ada"),
                ("GIT_COMMITTER_EMAIL", "ada@example.org"),
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// Commits everything, also if nothing changed.
    pub fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.head()
    }

    /// The commit that is checked out.
    pub fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Makes a branch at the current commit and switches to it.
    pub fn branch(&self, name: &str) {
        self.git(&["switch", "--quiet", "--create", name]);
    }

    /// Switches to a branch or commit.
    pub fn switch(&self, revision: &str) {
        self.git(&["checkout", "--quiet", revision]);
    }

    /// Tags the current commit.
    pub fn tag(&self, name: &str) {
        self.git(&["tag", name]);
    }
}

/// The `shipctl` program with a clean environment: nothing of the surroundings' PG* or SHIPCTL_* variables.
pub fn shipctl(folder: &Path, args: &[&str]) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("shipctl"));
    command
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("SHIPCTL_ACTOR", "Ada <ada@example.org>")
        .timeout(Duration::from_secs(120));
    command
}

/// A repository with a `shipctl.toml` and a database of its own.
#[derive(Debug)]
pub struct Project {
    /// The repository.
    pub repo: Repo,
    /// The database, which the program gets as DATABASE_URL.
    pub database: Database,
}

impl Project {
    /// One environment, `production`, with these `[[environments.production.services]]` tables.
    pub async fn new(services: &str) -> Self {
        Self::with_config(&format!(
            "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n\n{services}"
        ))
        .await
    }

    /// With this `shipctl.toml`, except for its `[project]` table.
    pub async fn with_config(environments: &str) -> Self {
        let project = Self {
            repo: Repo::new(),
            database: fresh_database().await,
        };
        project.repo.write(
            "shipctl.toml",
            &format!(
                "[project]\nplans = \"plans\"\nmigrations = \"migrations\"\ntemplates = \"templates\"\n\n{environments}"
            ),
        );
        for folder in ["plans", "migrations", "templates"] {
            fs::create_dir_all(project.repo.path().join(folder)).unwrap();
        }
        project
    }

    /// The program in this project, connected to its database.
    pub fn shipctl(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = shipctl(self.repo.path(), args);
        command.env("DATABASE_URL", &self.database.url);
        command
    }
}

/// Settings of snapshots that hide what differs from run to run: commits, moments, lengths of time, and whatever matches
/// one of `more`, which is hidden first.
pub fn steady(more: &[(&str, &str)]) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b[0-9a-f]{40}\b", "[commit]");
    settings.add_filter(r"\b[0-9a-f]{9}\b", "[commit]");
    settings.add_filter(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)", "[moment]");
    for (pattern, shown) in more {
        settings.add_filter(pattern, *shown);
    }
    settings.add_filter(r"\d+s ago|just now", "[ago]");
    settings.add_filter(r"\b\d+(\.\d+)?m?s\b", "[time]");
    settings.add_filter(r"pid \d+", "pid [n]");
    // Columns are as wide as what was hidden.
    settings.add_filter(r"(\S) {2,}", "$1  ");
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings
}
