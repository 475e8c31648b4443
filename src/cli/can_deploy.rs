//! `shipctl can-deploy` (placeholder until it is built).

use super::Context;
use crate::domain::{Exit, Problem};

/// May this commit be deployed, or rolled back to, now?.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {} = args;
    let _ = context;
    Err(Problem::new(
        Exit::Usage,
        "not-built",
        "`shipctl can-deploy` is not built yet",
    ))
}
