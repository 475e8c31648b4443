//! `shipctl rollback` (placeholder until it is built).

use super::Context;
use crate::domain::{Exit, Problem};

/// Undo phases in reverse order, through the reverse gates.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {} = args;
    let _ = context;
    Err(Problem::new(
        Exit::Usage,
        "not-built",
        "`shipctl rollback` is not built yet",
    ))
}
