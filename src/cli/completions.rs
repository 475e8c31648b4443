//! `shipctl completions`

use clap::CommandFactory as _;

use super::Context;
use crate::domain::{Exit, Problem};

/// A completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shipctl completions bash > ~/.local/share/bash-completion/completions/shipctl
  shipctl completions zsh > ~/.zfunc/_shipctl
  shipctl completions fish > ~/.config/fish/completions/shipctl.fish")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "shipctl", &mut script);
    context.console.document(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
