//! `shipctl demo`.

use super::Context;
use crate::demo;
use crate::domain::{Exit, Problem};

/// The whole story on a private PostgreSQL, under live traffic.
///
/// Starts a PostgreSQL of its own (nothing of yours is touched), makes a git repository of a small application with four
/// releases, and carries the rename of users.name through while clients of several versions read and write. Ends
/// with what each phase took and what the clients felt.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shipctl demo
  shipctl demo --rows 2000000
  shipctl demo --json | jq '{lost_rows, wrong_rows, app_errors, max_stall_ms}'
  shipctl demo --keep                 look round afterwards: its database and repository stay until Ctrl-C")]
pub struct Args {
    /// Rows in the table
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,

    /// Leave the database and the repository running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
///
/// # Errors
/// As [`demo::run`].
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { rows, keep } = args;
    demo::run(demo::Options { rows, keep }, &context.console).await
}
