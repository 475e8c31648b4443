//! A project on which the real program is run: a repository, a plan, and the fleet as it is told.

use std::path::Path;
use std::process::Command;

use git2::{IndexAddOption, Repository, Signature};
use tempfile::TempDir;

use super::Outcome;
use super::child::{Child, Ended};
use super::stage::Run;

/// The id of the plan that `shipctl plan rename users.name display_name` writes.
const PLAN: &str = "rename-users-name";

/// How long a batch may take where nobody is to be spared, in milliseconds.
const LONG_BATCH: u32 = 250;

/// Exit codes of a program that had nothing to do: closed, unknown, try again later.
const NOTHING_TO_DO: [i32; 3] = [1, 3, 4];

/// How shipctl is told to fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Sessions of each process that write rows.
    pub workers: u32,
    /// Processes: one runs the plan, the others join it.
    pub processes: u32,
    /// Whether batches may be long, which is fastest where nobody waits for a row.
    pub long_batches: bool,
}

impl Start {
    /// One process with so many workers, and batches as short as they are by default.
    pub fn workers(workers: u32) -> Self {
        Self {
            workers,
            processes: 1,
            long_batches: false,
        }
    }

    /// So many processes with one worker each.
    pub fn processes(processes: u32) -> Self {
        Self {
            workers: 1,
            processes,
            long_batches: false,
        }
    }

    /// The same with long batches.
    pub fn with_long_batches(self) -> Self {
        Self {
            long_batches: true,
            ..self
        }
    }

    /// What it is called in tables.
    pub fn name(&self) -> String {
        let mut name = match (self.workers, self.processes) {
            (1, 1) => "shipctl, 1 worker".to_owned(),
            (workers, 1) => format!("shipctl, {workers} workers"),
            (1, processes) => format!("shipctl, {processes} processes"),
            (workers, processes) => format!("shipctl, {processes} processes of {workers} workers"),
        };
        if self.long_batches {
            name += ", long batches";
        }
        name
    }

    fn arguments(&self, abilities: Abilities) -> Vec<String> {
        let mut arguments = Vec::new();
        // A program without the option has one worker.
        if abilities.workers {
            arguments.extend(["--workers".to_owned(), self.workers.to_string()]);
        }
        if self.long_batches {
            arguments.extend(["--target-batch-ms".to_owned(), LONG_BATCH.to_string()]);
        }
        arguments
    }
}

/// What the program that is measured can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abilities {
    workers: bool,
    join: bool,
    target_batch: bool,
}

impl Abilities {
    /// As its help says.
    pub fn look() -> Outcome<Self> {
        let output = program().args(["run", "--help"]).output()?;
        let help = String::from_utf8_lossy(&output.stdout);
        Ok(Self {
            workers: help.contains("--workers"),
            join: help.contains("--join"),
            target_batch: help.contains("--target-batch-ms"),
        })
    }

    /// The option without which it cannot be started so.
    pub fn lacks(&self, start: Start) -> Option<&'static str> {
        if start.workers > 1 && !self.workers {
            Some("--workers")
        } else if start.processes > 1 && !self.join {
            Some("--join")
        } else if start.long_batches && !self.target_batch {
            Some("--target-batch-ms")
        } else {
            None
        }
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_shipctl"))
}

/// A repository with shipctl's project in it, and the fleet as it is told.
pub(crate) struct Project {
    folder: TempDir,
    url: String,
    abilities: Abilities,
}

/// How a fill ended.
pub(crate) struct Filled {
    /// The process that ran the plan.
    pub first: Ended,
    /// The greatest memory of any process, in KiB.
    pub memory_kib: Option<u64>,
    /// Processes that came to join and found that nothing was left to be done.
    pub late: u32,
}

impl Project {
    /// A project for a run's database, with the plan that `shipctl plan rename` writes.
    pub async fn set_up(run: &Run) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("shipctl-bench-").tempdir()?;
        Repository::init(folder.path())?;
        for name in ["plans", "migrations", "templates"] {
            std::fs::create_dir_all(folder.path().join(name))?;
        }
        std::fs::write(
            folder.path().join("shipctl.toml"),
            "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n\n\
             [[environments.production.services]]\nname = \"web\"\nmax_age = \"24h\"\n\
             source = { kind = \"file\", path = \"fleet\", completeness = \"full\" }\n",
        )?;
        let project = Self {
            folder,
            url: run.url.clone(),
            abilities: Abilities::look()?,
        };
        let words = "plan rename users.name display_name --env production --soak 0s --approvals 0 --id";
        project
            .shipctl(words.split(' ').chain([PLAN]).map(str::to_owned))?
            .well()
            .await?;
        project.deploy(None)?;
        Ok(project)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Commits a release, with the trailer of its code phase, and says that this is what runs.
    pub fn deploy(&self, phase: Option<&str>) -> Outcome<()> {
        let repository = Repository::open(self.path())?;
        std::fs::write(self.path().join("RELEASE"), phase.unwrap_or("first"))?;
        let mut index = repository.index()?;
        index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
        index.write()?;
        let tree = repository.find_tree(index.write_tree()?)?;
        let author = Signature::now("bench", "bench@example.org")?;
        let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<_> = parent.iter().collect();
        let message = phase.map_or_else(
            || "The first release\n".to_owned(),
            |phase| format!("Ship {phase}\n\nShip-Phase: {PLAN}/{phase}\n"),
        );
        let commit = repository.commit(Some("HEAD"), &author, &author, &message, &tree, &parents)?;
        std::fs::write(
            self.path().join("fleet"),
            format!("web-1 {commit}\nweb-2 {commit}\n"),
        )?;
        Ok(())
    }

    /// Runs the plan up to a phase.
    pub async fn run_to(&self, phase: &str) -> Outcome<Ended> {
        self.start(phase, &[])?.well().await
    }

    /// Runs the plan up to the end of the fill, with as many processes as it is told; ends when the last of them has.
    pub async fn fill(&self, start: Start) -> Outcome<Filled> {
        let arguments = start.arguments(self.abilities);
        let mut first = self.start("backfill", &arguments)?;
        let mut others = Vec::new();
        if start.processes > 1 {
            first.fills().await;
            for _ in 1..start.processes {
                others.push(self.join(&arguments)?);
            }
        }
        let first = first.well().await?;
        let mut filled = Filled {
            memory_kib: first.memory_kib,
            first,
            late: 0,
        };
        for other in others {
            let ended = other.end().await?;
            let idle = ended
                .status
                .code()
                .is_some_and(|code| NOTHING_TO_DO.contains(&code))
                && !ended.worked();
            if !ended.status.success() && !idle {
                return Err(ended.failure("run --join").into());
            }
            filled.late += u32::from(idle);
            filled.memory_kib = filled.memory_kib.max(ended.memory_kib);
        }
        Ok(filled)
    }

    fn start(&self, phase: &str, more: &[String]) -> Outcome<Child> {
        let words = [
            "run",
            PLAN,
            "--env",
            "production",
            "--to",
            phase,
            "--yes",
            "--json",
        ];
        self.shipctl(words.map(str::to_owned).into_iter().chain(more.iter().cloned()))
    }

    fn join(&self, more: &[String]) -> Outcome<Child> {
        let words = ["run", PLAN, "--env", "production", "--join", "--json"];
        self.shipctl(words.map(str::to_owned).into_iter().chain(more.iter().cloned()))
    }

    fn shipctl(&self, arguments: impl IntoIterator<Item = String>) -> Outcome<Child> {
        let arguments: Vec<String> = arguments.into_iter().collect();
        let mut command = program();
        command
            .args(&arguments)
            .current_dir(self.path())
            .env_remove("RUST_LOG")
            .env("DATABASE_URL", &self.url)
            .env("SHIPCTL_ACTOR", "bench");
        Child::start(command, arguments.join(" "))
    }
}
