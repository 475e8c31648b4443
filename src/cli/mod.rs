//! The commands: one file each, with its clap arguments and its wiring, and nothing else.

pub mod actor;
mod approve;
mod can_deploy;
mod check;
mod checklist;
mod completions;
mod context;
mod control;
mod demo;
mod deployed;
mod effect;
mod explain;
mod format;
mod gate;
mod graph;
mod init;
mod lease;
mod link;
mod locking;
mod log;
mod looking;
mod migrate;
mod pause;
mod plan;
mod resume;
mod rollback;
mod run;
mod status;
mod throttle;
mod why;

use clap::Parser as _;
pub use context::Context;

use crate::domain::{Exit, Problem, distance};
use crate::report::{self, Console};

/// A Git-integrated deploy orchestrator for PostgreSQL schema changes.
///
/// A release plan describes a schema change as phases: schema phases change the database, code phases are satisfied
/// by a commit being deployed. Before a phase runs, shipctl establishes which code versions are really running, and
/// refuses unless every one of them works with the schema before, during and after it.
#[derive(Debug, clap::Parser)]
#[command(
    name = "shipctl",
    version = VERSION,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = OVERVIEW
)]
pub struct Cli {
    /// Print versioned JSON on standard output instead of text for people
    #[arg(long, global = true)]
    json: bool,

    /// Say more on standard error (-v: decisions; -vv: every query's purpose)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Run as if started in this folder
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR")]
    directory: Option<std::path::PathBuf>,

    #[command(subcommand)]
    command: Command,
}

/// What `--help` teaches beyond the list of commands.
const OVERVIEW: &str = "\
Start here:
  shipctl init                                   set up shipctl.toml and its folders
  shipctl plan rename users.name display_name    write a plan and its migrations
  shipctl status                                 see where it stands and what to type next

Carry a plan through:
  shipctl run PLAN --env production              run phases as far as the gates permit
  shipctl can-deploy HEAD --env production       may this commit be deployed now? (for pipelines)
  shipctl gate PLAN PHASE --env production       may this phase run now?
  shipctl why PLAN PHASE --env production        what decides, and the shortest way to make it run
  shipctl rollback PLAN --env production --to PHASE
  shipctl pause PLAN --env production            hold a run from another terminal (and: resume, throttle)

Exit codes:
  0 go or done · 1 blocked · 2 usage, or a file is invalid · 3 evidence unknown · 4 waiting
  5 execution failed · 6 another run holds the lock · 130 interrupted

Every command takes --help with examples, and --json for programs.";

/// The version with the commit it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SHIPCTL_COMMIT"), ")");

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Set up shipctl.toml, plans/, migrations/ and templates/ here
    Init(init::Args),
    /// Write a plan and its migrations for an operation
    Plan(plan::Args),
    /// Validate plans and their migrations
    Check(check::Args),
    /// Tie a commit to a code phase
    Link(link::Args),
    /// Draw a plan's phases
    Graph(graph::Args),
    /// Where plans stand, what blocks them, and what to do next
    ///
    /// Shows each phase with its state, since when and by whom; what runs where; why the next phase waits; and the command
    /// to type. Without --env and with several environments, a column for each.
    Status(status::Args),
    /// May this phase run now?
    ///
    /// Looks at what runs where and at what the ledger says, and judges as `shipctl run` would. For a code phase it answers
    /// whether everything that runs contains it. Changes nothing.
    Gate(gate::Args),
    /// Where a phase stands, what decides, and the shortest way to make it run
    ///
    /// Answers as `gate` does, and ends as it does; and tells how far the phase has come, what the answer rests on, and what
    /// would have to be done, step by step, until it may run. Every step is judged by the rules as if its turn had come.
    Why(why::Args),
    /// May this commit be deployed, or rolled back to, now?
    ///
    /// Judges the commit for each declared service (or for the one given) against every plan: whether the schema it needs
    /// is there, whether what it reads still exists, and whether it may run beside what runs now. A no comes
    /// with the shortest safe way to a yes. With --lease, a yes is held for a while: contract phases wait for its end.
    CanDeploy(can_deploy::Args),
    /// Deployments under way, and giving one up
    Lease(lease::Args),
    /// Which code versions are running, and how that is known
    Deployed(deployed::Args),
    /// Run a plan's phases as far as the gates permit
    Run(run::Args),
    /// Undo phases in reverse order, through the reverse gates
    Rollback(rollback::Args),
    /// Pause a plan's run from another terminal
    ///
    /// A backfill at work stops after the batch at hand and holds no lock; no phase begins. A statement that is at work is
    /// not interrupted. The pause is kept in the ledger: it also holds for the next run, until `shipctl resume`.
    Pause(pause::Args),
    /// Let a paused plan go on
    Resume(resume::Args),
    /// Set limits for a plan's backfills while they run; without any: show what is in force
    ///
    /// A run at work follows within a second. The limits are kept in the ledger and hold for later runs of the plan, until
    /// they are set again or cleared. Those of an environment stand in shipctl.toml.
    Throttle(throttle::Args),
    /// Approve a gated phase
    ///
    /// The approval is bound to the phase as it stands: an edit of its SQL voids it, and so does running or undoing the
    /// phase. Approvals count once for each person. A manual phase is done by its approvals.
    Approve(approve::Args),
    /// The audit trail
    ///
    /// One line a record, newest last. With --json every record in full.
    Log(log::Args),
    /// A pull-request checklist for a plan or a phase
    Checklist(checklist::Args),
    /// The plain migration runner
    Migrate(migrate::Args),
    /// The whole story on a private PostgreSQL, under live traffic
    Demo(demo::Args),
    /// What a code means, with an example that brings it about and one that does not
    ///
    /// Codes stand in brackets behind the reasons of a judgement, above errors and warnings, and in JSON. Without one, all of
    /// them are listed.
    Explain(explain::Args),
    /// A completion script for a shell
    Completions(completions::Args),
}

impl Command {
    /// Whether it prints events, one a line, instead of one document.
    fn is_stream(&self) -> bool {
        match self {
            Self::Run(args) => args.is_stream(),
            Self::Rollback(args) => args.is_stream(),
            _ => false,
        }
    }

    /// Whether it prints annotations for a workflow instead of text for people.
    fn is_for_github(&self) -> bool {
        match self {
            Self::Check(args) => args.format.is_github(),
            Self::Gate(args) => args.format.is_github(),
            Self::CanDeploy(args) => args.format.is_github(),
            _ => false,
        }
    }

    async fn run(self, context: &Context) -> Result<Exit, Problem> {
        match self {
            Self::Init(args) => init::run(args, context).await,
            Self::Plan(args) => plan::run(args, context).await,
            Self::Check(args) => check::run(args, context).await,
            Self::Link(args) => link::run(args, context).await,
            Self::Graph(args) => graph::run(args, context).await,
            Self::Status(args) => status::run(args, context).await,
            Self::Gate(args) => gate::run(args, context).await,
            Self::Why(args) => why::run(args, context).await,
            Self::Lease(args) => lease::run(args, context).await,
            Self::CanDeploy(args) => can_deploy::run(args, context).await,
            Self::Deployed(args) => deployed::run(args, context).await,
            Self::Run(args) => run::run(args, context).await,
            Self::Rollback(args) => rollback::run(args, context).await,
            Self::Pause(args) => pause::run(args, context).await,
            Self::Resume(args) => resume::run(args, context).await,
            Self::Throttle(args) => throttle::run(args, context).await,
            Self::Approve(args) => approve::run(args, context).await,
            Self::Log(args) => log::run(args, context).await,
            Self::Checklist(args) => checklist::run(args, context).await,
            Self::Migrate(args) => migrate::run(args, context).await,
            Self::Demo(args) => demo::run(args, context).await,
            Self::Explain(args) => explain::run(args, context).await,
            Self::Completions(args) => completions::run(args, context).await,
        }
    }
}

/// Parses the command line, runs the command, and says how the process is to end.
pub fn main() -> Exit {
    report::show_problems_in_whole_words();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mut error) => {
            nearest_first(&mut error);
            if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
                let text = error.to_string();
                let message = text
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .trim_start_matches("error: ");
                let problem = Problem::new(Exit::Usage, "usage", message).because(text.as_str());
                Console::new(true).problem(&problem.fix("see `shipctl help`"));
                return Exit::Usage;
            }
            // Help and version are errors to clap, and go to standard output.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    let Cli {
        json,
        verbose,
        directory,
        command,
    } = cli;
    start_tracing(verbose);
    let console = match json {
        true if command.is_for_github() => {
            let problem = Problem::new(Exit::Usage, "usage", "--json and --format exclude one another");
            Console::new(true).problem(&problem.fix("leave one of them out"));
            return Exit::Usage;
        }
        true if command.is_stream() => Console::for_streams(),
        false if command.is_for_github() => {
            let folder = directory.clone().unwrap_or_else(|| std::path::PathBuf::from("."));
            Console::for_github(&folder.canonicalize().unwrap_or(folder))
        }
        json => Console::new(json),
    };
    let outcome = Context::new(console.clone(), directory).and_then(|context| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Problem::new(Exit::Failed, "no-runtime", format!("cannot start: {error}")))?;
        runtime.block_on(command.run(&context))
    });
    match outcome {
        Ok(exit) => exit,
        Err(problem) => {
            console.problem(&problem);
            problem.exit()
        }
    }
}

/// Puts the command first that was most likely meant.
fn nearest_first(error: &mut clap::Error) {
    use clap::error::{ContextKind, ContextValue};

    let (Some(ContextValue::String(typed)), Some(ContextValue::Strings(similar))) = (
        error.get(ContextKind::InvalidSubcommand),
        error.get(ContextKind::SuggestedSubcommand),
    ) else {
        return;
    };
    let mut similar = similar.clone();
    similar.sort_by_key(|one| distance(typed, one));
    error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(similar));
}

fn start_tracing(verbose: u8) {
    let level = match verbose {
        0 => "off",
        1 => "shipctl=debug",
        _ => "shipctl=trace",
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .without_time()
        .init();
}
