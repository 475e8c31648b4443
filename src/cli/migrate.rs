//! `shipctl migrate`: the plain migration runner.

use std::io::Write as _;

use jiff::Timestamp;
use serde_json::json;

use super::effect::{Found, stop_on_signals};
use super::{Context, actor};
use crate::domain::{EnvironmentName, Exit, Problem};
use crate::execute::LockPatience;
use crate::execute::migrate::{self, MigrateEvent, Outcome, Runner};
use crate::plan;
use crate::postgres::ConnectionSettings;
use crate::project::{Environment, Project};
use crate::report::{migrate as report, style};
use crate::sql;

/// The plain migration runner
///
/// Applies the files of migrations/ in natural order, each in one transaction with its record wherever PostgreSQL
/// allows. Migrations that belong to a plan are left to `shipctl run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl migrate new add_users_email
  shipctl migrate up --env staging
  shipctl migrate up --dry-run
  shipctl migrate down --steps 2
  shipctl migrate baseline --to 0042      take over a database that is already there")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Apply what is pending
    Up(Up),
    /// Undo the last migrations
    Down(Down),
    /// Where every migration stands
    Status(Target),
    /// Write an empty migration
    New(New),
    /// Record migrations as applied without running them
    Baseline(Baseline),
}

#[derive(Debug, clap::Args)]
struct Target {
    /// The environment (may be left out if there is only one)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,
}

#[derive(Debug, clap::Args)]
struct Up {
    #[command(flatten)]
    target: Target,

    /// The last migration to apply: its id, its name or its file
    #[arg(long, value_name = "ID")]
    to: Option<String>,

    /// Show the SQL and its locks; change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    found: Found,
}

#[derive(Debug, clap::Args)]
struct Down {
    #[command(flatten)]
    target: Target,

    /// How many migrations to undo, the last applied first
    #[arg(long, value_name = "N", default_value_t = 1)]
    steps: usize,

    /// Undo also what was edited after it had been applied
    #[arg(long)]
    force: bool,

    /// Go ahead in a protected environment
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    found: Found,
}

#[derive(Debug, clap::Args)]
struct New {
    /// What it does, in a few words
    #[arg(required = true)]
    name: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Baseline {
    #[command(flatten)]
    target: Target,

    /// The last migration that the database has: its id, its name or its file
    #[arg(long, value_name = "ID")]
    to: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { command } = args;
    let project = context.project()?;
    match command {
        Command::New(args) => new(args, context, &project),
        Command::Up(args) => up(args, context, &project).await,
        Command::Down(args) => down(args, context, &project).await,
        Command::Status(args) => status(args, context, &project).await,
        Command::Baseline(args) => baseline(args, context, &project).await,
    }
}

/// What every command on a database needs.
struct Scene<'a> {
    context: &'a Context,
    project: &'a Project,
    environment: &'a Environment,
    settings: ConnectionSettings,
    actor: String,
}

impl<'a> Scene<'a> {
    fn new(context: &'a Context, project: &'a Project, target: &Target) -> Result<Self, Problem> {
        let environment = context.environment(project, target.env.as_ref())?;
        Ok(Self {
            context,
            project,
            environment,
            settings: context.connection(environment)?,
            actor: actor::resolve(&project.root),
        })
    }

    /// The runner. An invalid plan stops it: without the plan, nobody knows which migrations are the plan's.
    fn runner<'s>(&'s self, events: &'s (dyn Fn(&MigrateEvent<'_>) + Sync)) -> Result<Runner<'s>, Problem> {
        Ok(Runner {
            settings: &self.settings,
            folder: &self.project.migrations,
            owners: migrate::owners(&plan::load_all(self.project)?),
            actor: &self.actor,
            patience: LockPatience::default(),
            stop: stop_on_signals(),
            events,
        })
    }

    fn tell(&self, verb: &'static str) -> impl Fn(&MigrateEvent<'_>) + Sync + '_ {
        let live = report::Live::new(&self.context.console, verb);
        move |event| live.event(event)
    }
}

async fn up(args: Up, context: &Context, project: &Project) -> Result<Exit, Problem> {
    let Up {
        target,
        to,
        dry_run,
        found,
    } = args;
    let scene = Scene::new(context, project, &target)?;
    let console = &context.console;
    let tell = scene.tell("applied");
    let runner = scene.runner(&tell)?;
    if dry_run {
        let overview = runner.overview().await?;
        let due = overview.due(to.as_deref())?;
        let files: Vec<_> = due
            .iter()
            .filter_map(|migration| migration.file.as_ref())
            .collect();
        console.json(&report::dry_run_json(&files));
        if files.is_empty() {
            console.result("Nothing is pending.");
        } else {
            console.result(&report::dry_run(&files));
        }
        return Ok(Exit::Done);
    }
    let outcome = runner.up(to.as_deref(), found.finding()).await?;
    finish(&scene, "applied", outcome, "Nothing is pending.")
}

async fn down(args: Down, context: &Context, project: &Project) -> Result<Exit, Problem> {
    let Down {
        target,
        steps,
        force,
        yes,
        found,
    } = args;
    let scene = Scene::new(context, project, &target)?;
    if scene.environment.protected && !yes {
        return Err(Problem::new(
            Exit::Blocked,
            "environment-protected",
            format!("{} is protected", scene.environment.name),
        )
        .because("undoing a migration may lose data")
        .fix(format!(
            "shipctl migrate down --steps {steps} --env {} --yes",
            scene.environment.name
        )));
    }
    let tell = scene.tell("undone");
    let outcome = scene.runner(&tell)?.down(steps, force, found.finding()).await?;
    finish(&scene, "undone", outcome, "Nothing is applied.")
}

async fn baseline(args: Baseline, context: &Context, project: &Project) -> Result<Exit, Problem> {
    let Baseline { target, to } = args;
    let scene = Scene::new(context, project, &target)?;
    let tell = scene.tell("recorded");
    let outcome = scene.runner(&tell)?.baseline(to.as_deref()).await?;
    for (migration, _) in &outcome.done {
        let name = style::paint(style::NAME, &migration.name);
        context
            .console
            .note(&format!("{} recorded {name}", style::paint(style::GOOD, "✓")));
    }
    finish(&scene, "recorded", outcome, "Nothing is pending.")
}

/// Shows what was done; where a migration failed, also what was done before it.
fn finish(scene: &Scene<'_>, verb: &str, outcome: Outcome, nothing: &str) -> Result<Exit, Problem> {
    let console = &scene.context.console;
    console.json(&report::outcome_json(verb, &outcome));
    if let Some(problem) = outcome.failed {
        // The document says all of it; people have been told of the others as they were done.
        return if console.is_json() {
            Ok(problem.exit())
        } else {
            Err(problem)
        };
    }
    console.result(&match outcome.done.len() {
        0 => nothing.to_owned(),
        1 => format!("1 migration {verb} in {}.", scene.environment.name),
        many => format!("{many} migrations {verb} in {}.", scene.environment.name),
    });
    Ok(Exit::Done)
}

async fn status(target: Target, context: &Context, project: &Project) -> Result<Exit, Problem> {
    let scene = Scene::new(context, project, &target)?;
    let overview = scene.runner(&|_| {})?.overview().await?;
    context.console.json(&report::status_json(&overview));
    context.console.result(&report::status(&overview));
    Ok(Exit::Done)
}

fn new(args: New, context: &Context, project: &Project) -> Result<Exit, Problem> {
    let New { name } = args;
    let existing = sql::names(&project.migrations)?;
    let name = migrate::new_name(&name.join(" "), &existing, Timestamp::now())?;
    let path = project.migrations.join(format!("{name}.sql"));
    let unwritable = |error: std::io::Error| {
        Problem::new(
            Exit::Failed,
            "migration-unwritable",
            format!("cannot write {}: {error}", path.display()),
        )
    };
    std::fs::create_dir_all(&project.migrations).map_err(unwritable)?;
    std::fs::File::create_new(&path)
        .and_then(|mut file| file.write_all(b"-- UP\n\n\n-- DOWN\n\n"))
        .map_err(unwritable)?;
    context
        .console
        .json(&json!({ "name": name, "file": path.display().to_string() }));
    context.console.result(&format!(
        "Wrote {}\nWrite its two sides, then: {}",
        style::paint(style::NAME, context.display_path(&path)),
        style::paint(style::NAME, "shipctl migrate up --dry-run")
    ));
    Ok(Exit::Done)
}
