//! `shipctl explain`: what a code means.

use serde_json::json;

use super::Context;
use crate::diagnostics::{self, Diagnostic};
use crate::domain::{Exit, Problem, did_you_mean, nearest};
use crate::report::explain;

/// What a code means
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shipctl explain rollback-floor
  shipctl explain                       every code, by what it is about
  shipctl explain scan-under-lock --json")]
pub struct Args {
    /// The code; all of them are listed if none is given
    code: Option<String>,

    /// Print everything as one Markdown page
    #[arg(long, conflicts_with = "code")]
    markdown: bool,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { code, markdown } = args;
    let console = &context.console;
    if markdown {
        console.document(&explain::markdown());
        return Ok(Exit::Done);
    }
    let Some(code) = code else {
        console.json(&json!({ "codes": diagnostics::all().map(explain::as_json).collect::<Vec<_>>() }));
        console.result(&explain::list(console.width()));
        return Ok(Exit::Done);
    };
    let entry = find(&code)?;
    console.json(&explain::as_json(entry));
    console.result(&explain::text(entry, console.width()));
    Ok(Exit::Done)
}

fn find(code: &str) -> Result<&'static Diagnostic, Problem> {
    diagnostics::find(code).ok_or_else(|| {
        let near = nearest(code, diagnostics::all().map(|entry| entry.code));
        let fix = if near.is_empty() {
            "`shipctl explain` lists all of them".to_owned()
        } else {
            did_you_mean(code, &near)
        };
        Problem::new(Exit::Usage, "unknown-code", format!("there is no code `{code}`")).fix(fix)
    })
}
