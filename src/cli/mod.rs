//! The commands: one file each, with its clap arguments and its wiring, and nothing else.

pub mod actor;
mod approve;
mod can_deploy;
mod check;
mod checklist;
mod completions;
mod context;
mod demo;
mod deployed;
mod gate;
mod graph;
mod init;
mod link;
mod log;
mod looking;
mod migrate;
mod plan;
mod rollback;
mod run;
mod status;

use clap::Parser as _;
pub use context::Context;

use crate::domain::{Exit, Problem};
use crate::report::Console;

/// A Git-integrated deploy orchestrator for PostgreSQL schema changes.
#[derive(Debug, clap::Parser)]
#[command(name = "shipctl", version = VERSION, max_term_width = 100, arg_required_else_help = true)]
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
    Status(status::Args),
    /// May this phase run now?
    Gate(gate::Args),
    /// May this commit be deployed, or rolled back to, now?
    CanDeploy(can_deploy::Args),
    /// Which code versions are running, and how that is known
    Deployed(deployed::Args),
    /// Run a plan's phases as far as the gates permit
    Run(run::Args),
    /// Undo phases in reverse order, through the reverse gates
    Rollback(rollback::Args),
    /// Approve a gated phase
    Approve(approve::Args),
    /// The audit trail
    Log(log::Args),
    /// A pull-request checklist for a plan or a phase
    Checklist(checklist::Args),
    /// The plain migration runner
    Migrate(migrate::Args),
    /// The whole story on a private PostgreSQL, under live traffic
    Demo(demo::Args),
    /// A completion script for a shell
    Completions(completions::Args),
}

impl Command {
    async fn run(self, context: &Context) -> Result<Exit, Problem> {
        match self {
            Self::Init(args) => init::run(args, context).await,
            Self::Plan(args) => plan::run(args, context).await,
            Self::Check(args) => check::run(args, context).await,
            Self::Link(args) => link::run(args, context).await,
            Self::Graph(args) => graph::run(args, context).await,
            Self::Status(args) => status::run(args, context).await,
            Self::Gate(args) => gate::run(args, context).await,
            Self::CanDeploy(args) => can_deploy::run(args, context).await,
            Self::Deployed(args) => deployed::run(args, context).await,
            Self::Run(args) => run::run(args, context).await,
            Self::Rollback(args) => rollback::run(args, context).await,
            Self::Approve(args) => approve::run(args, context).await,
            Self::Log(args) => log::run(args, context).await,
            Self::Checklist(args) => checklist::run(args, context).await,
            Self::Migrate(args) => migrate::run(args, context).await,
            Self::Demo(args) => demo::run(args, context).await,
            Self::Completions(args) => completions::run(args, context).await,
        }
    }
}

/// Parses the command line, runs the command, and says how the process is to end.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
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
    let console = Console::new(json);
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
