//! What every command needs: the console, the folder it runs in, and the project found from there.

use std::path::{Path, PathBuf};

use crate::domain::{EnvironmentName, Exit, Problem, did_you_mean};
use crate::postgres::{ConnectionSettings, Session};
use crate::project::{self, Environment, Project};
use crate::report::Console;

/// What every command needs.
#[derive(Debug)]
pub struct Context {
    /// Where output goes.
    pub console: Console,
    /// The folder the command runs in (absolute).
    pub directory: PathBuf,
}

impl Context {
    /// Settles the folder: the one asked for, or the current one.
    ///
    /// # Errors
    /// It does not exist.
    pub fn new(console: Console, directory: Option<PathBuf>) -> Result<Self, Problem> {
        let asked = directory.unwrap_or_else(|| PathBuf::from("."));
        let directory = asked.canonicalize().map_err(|error| {
            Problem::new(
                Exit::Usage,
                "no-such-folder",
                format!("cannot enter {}: {error}", asked.display()),
            )
        })?;
        Ok(Self { console, directory })
    }

    /// The project that the folder belongs to.
    ///
    /// # Errors
    /// There is none, or its file is invalid.
    pub fn project(&self) -> Result<Project, Problem> {
        project::discover(&self.directory)
    }

    /// The environment asked for; without a name, the only one there is.
    ///
    /// # Errors
    /// No such environment, or several to choose from.
    pub fn environment<'p>(
        &self,
        project: &'p Project,
        name: Option<&EnvironmentName>,
    ) -> Result<&'p Environment, Problem> {
        let known = || {
            project
                .environments
                .keys()
                .map(EnvironmentName::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        };
        match name {
            Some(name) => project.environments.get(name).ok_or_else(|| {
                Problem::new(
                    Exit::Usage,
                    "unknown-environment",
                    format!("there is no environment `{name}`"),
                )
                .fix(did_you_mean(
                    name.as_str(),
                    &project
                        .environments
                        .keys()
                        .map(EnvironmentName::as_str)
                        .collect::<Vec<_>>(),
                ))
            }),
            None => {
                let mut all = project.environments.values();
                match (all.next(), all.next()) {
                    (Some(only), None) => Ok(only),
                    (None, _) => Err(Problem::new(
                        Exit::Usage,
                        "no-environment",
                        "shipctl.toml declares no environment",
                    )
                    .fix("add an [environments.NAME] table with `database = \"env:DATABASE_URL\"`")),
                    _ => Err(Problem::new(
                        Exit::Usage,
                        "which-environment",
                        "several environments are declared",
                    )
                    .fix(format!("say which with --env: {}", known()))),
                }
            }
        }
    }

    /// How to reach the environment's database, with this process's PG* variables.
    ///
    /// # Errors
    /// As [`ConnectionSettings::resolve`].
    pub fn connection(&self, environment: &Environment) -> Result<ConnectionSettings, Problem> {
        ConnectionSettings::resolve(&environment.database, &|name| std::env::var(name).ok())
    }

    /// A session with the environment's database.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn session(&self, environment: &Environment, purpose: &str) -> Result<Session, Problem> {
        Session::open(&self.connection(environment)?, purpose).await
    }

    /// A path as the user would type it from here.
    pub fn display_path<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.directory).unwrap_or(path).display()
    }
}
