//! `shipctl graph`

use super::Context;
use crate::domain::{Exit, Problem};
use crate::plan;
use crate::report::graph::{self, Tones};

/// Draw a plan's phases
///
/// Each phase stands below all it needs; phases of one layer do not wait for each other.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shipctl graph rename-users-name
  shipctl graph rename-users-name --format mermaid     for a Markdown page
  shipctl graph rename-users-name --format dot | dot -Tsvg > plan.svg")]
pub struct Args {
    /// The plan's id, or the path of its file
    plan: String,

    /// What to draw it as
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// A drawing for the terminal
    Text,
    /// A Mermaid flowchart
    Mermaid,
    /// Graphviz DOT
    Dot,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { plan, format } = args;
    let plan = plan::find(&context.project()?, &plan)?;
    if context.console.is_json() {
        let phases: Vec<serde_json::Value> = plan
            .phases()
            .iter()
            .map(|phase| {
                serde_json::json!({
                    "id": phase.id, "title": phase.title, "kind": phase.kind(), "needs": phase.needs,
                    "gate": { "approvals": phase.gate.approvals, "soak": phase.gate.soak },
                })
            })
            .collect();
        context.console.json(&serde_json::json!({
            "plan": plan.id(), "title": plan.title(), "phases": phases,
        }));
        return Ok(Exit::Done);
    }
    let none = Tones::new();
    context.console.document(&match format {
        Format::Text => graph::text(&plan, &none),
        Format::Mermaid => graph::mermaid(&plan),
        Format::Dot => graph::dot(&plan, &none),
    });
    Ok(Exit::Done)
}
