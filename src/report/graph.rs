//! A plan's phases as a drawing: for the terminal, as a Mermaid flowchart, as Graphviz DOT.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::Style;

use super::{style, time};
use crate::domain::PhaseId;
use crate::plan::{Phase, PhaseDetail, Plan};
use crate::safety::{Gate, PhaseKind};

/// How a phase stands, for colouring it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Done or satisfied.
    Done,
    /// Running, or the next one to run.
    Active,
    /// Something is wrong with it.
    Blocked,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Active => "active",
            Self::Blocked => "blocked",
        }
    }

    fn fill(self) -> &'static str {
        match self {
            Self::Done => "#d4edda",
            Self::Active => "#fff3cd",
            Self::Blocked => "#f8d7da",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Done => style::GOOD,
            Self::Active => style::CAUTION,
            Self::Blocked => style::BAD,
        }
    }

    const ALL: [Self; 3] = [Self::Done, Self::Active, Self::Blocked];
}

/// The tones of those phases that have one.
pub type Tones = BTreeMap<PhaseId, Tone>;

/// The plan as a Mermaid flowchart, as Markdown hosts draw it in a ```` ```mermaid ```` block.
pub fn mermaid(plan: &Plan) -> String {
    mermaid_with(plan, &Tones::new())
}

/// The same with phases coloured by how they stand.
pub fn mermaid_with(plan: &Plan, tones: &Tones) -> String {
    let mut text = String::from("flowchart TD\n");
    let nodes = numbered(plan);
    for phase in plan.phases() {
        let label = lines_of(phase)
            .map(|line| mermaid_text(&line))
            .collect::<Vec<_>>();
        let label = label.join("<br/>");
        let (open, close) = match phase.kind() {
            PhaseKind::Expand => ("[", "]"),
            PhaseKind::Backfill => ("[/", "/]"),
            PhaseKind::Contract => ("{{", "}}"),
            PhaseKind::Code => ("([", "])"),
            PhaseKind::Manual => (">", "]"),
        };
        let _ = writeln!(text, "    {}{open}\"{label}\"{close}", node(&nodes, &phase.id));
    }
    for phase in plan.phases() {
        for need in &phase.needs {
            let _ = writeln!(text, "    {} --> {}", node(&nodes, need), node(&nodes, &phase.id));
        }
    }
    for tone in Tone::ALL {
        let members: Vec<String> = tones
            .iter()
            .filter(|(id, its)| **its == tone && nodes.contains_key(id))
            .map(|(id, _)| node(&nodes, id))
            .collect();
        if !members.is_empty() {
            let _ = writeln!(text, "    classDef {} fill:{}", tone.class(), tone.fill());
            let _ = writeln!(text, "    class {} {}", members.join(","), tone.class());
        }
    }
    text
}

/// The plan as Graphviz DOT.
pub fn dot(plan: &Plan, tones: &Tones) -> String {
    let mut text = format!("digraph \"{}\" {{\n", dot_text(plan.id().as_str()));
    text.push_str("    node [fontname=\"sans-serif\" style=\"filled\" fillcolor=\"white\"];\n");
    for phase in plan.phases() {
        let label = lines_of(phase).map(|line| dot_text(&line)).collect::<Vec<_>>();
        let shape = match phase.kind() {
            PhaseKind::Expand => "box",
            PhaseKind::Backfill => "parallelogram",
            PhaseKind::Contract => "hexagon",
            PhaseKind::Code => "ellipse",
            PhaseKind::Manual => "note",
        };
        let fill = tones
            .get(&phase.id)
            .map(|tone| format!(" fillcolor=\"{}\"", tone.fill()))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "    \"{}\" [label=\"{}\" shape={shape}{fill}];",
            phase.id,
            label.join("\\n")
        );
    }
    for phase in plan.phases() {
        for need in &phase.needs {
            let _ = writeln!(text, "    \"{need}\" -> \"{}\";", phase.id);
        }
    }
    text.push_str("}\n");
    text
}

/// The plan for a terminal: a line a phase, in layers; the phases of one layer do not wait for each other.
pub fn text(plan: &Plan, tones: &Tones) -> String {
    let layers = plan.layers();
    let width = |of: fn(&Phase) -> usize| plan.phases().iter().map(of).max().unwrap_or(0);
    let id_width = width(|phase| phase.id.as_str().chars().count());
    let kind_width = width(|phase| phase.kind().as_str().len());
    let number_width = layers.len().to_string().len();

    let mut drawing = format!(
        "{}  {}\n\n",
        style::paint(style::HEADING, plan.title()),
        style::paint(style::DIM, plan.id())
    );
    for (depth, layer) in layers.iter().enumerate() {
        let (first_layer, last_layer) = (depth == 0, depth + 1 == layers.len());
        for (at, phase) in layer.iter().enumerate() {
            let trunk = match (at, first_layer, last_layer) {
                (0, true, true) => "─",
                (0, true, false) => "╭",
                (0, false, true) => "╰",
                (0, false, false) => "├",
                (_, _, true) => " ",
                _ => "│",
            };
            let branch = match (at, layer.len()) {
                (0, 1) => "──",
                (0, _) => "┬─",
                (at, of) if at + 1 == of => "└─",
                _ => "├─",
            };
            let number = if at == 0 {
                format!("─ {:>number_width$} ", depth + 1)
            } else {
                " ".repeat(number_width + 3)
            };
            let id_style = tones.get(&phase.id).map_or(style::NAME, |tone| tone.style());
            let id = style::paint(id_style, format!("{:<id_width$}", phase.id));
            let remarks = remarks(phase).join(" · ");
            let mut line = format!(
                "  {} {id}  {}",
                style::paint(style::DIM, format!("{trunk}{number}{branch}")),
                style::paint(kind_style(phase.kind()), phase.kind().as_str())
            );
            if !remarks.is_empty() {
                let gap = kind_width - phase.kind().as_str().len() + 2;
                let _ = write!(line, "{:gap$}{}", "", style::paint(style::DIM, remarks));
            }
            let _ = writeln!(drawing, "{line}");
        }
    }
    drawing
}

/// What the terminal drawing says of a phase beside its kind.
fn remarks(phase: &Phase) -> Vec<String> {
    let mut remarks = Vec::new();
    if !phase.needs.is_empty() {
        let needs: Vec<&str> = phase.needs.iter().map(PhaseId::as_str).collect();
        remarks.push(format!("needs {}", needs.join(", ")));
    }
    remarks.extend(gate_text(&phase.gate));
    if let PhaseDetail::Code(code) = &phase.detail {
        let commits: Vec<String> = code
            .commits
            .iter()
            .map(|commit| {
                let revision: String = commit.revision.chars().take(9).collect();
                match &commit.service {
                    Some(service) => format!("{service} {revision}"),
                    None => revision,
                }
            })
            .collect();
        remarks.push(if commits.is_empty() {
            "found by its trailer".to_owned()
        } else {
            format!("commit {}", commits.join(", "))
        });
    }
    remarks
}

/// The gate in words; `None` if it demands nothing.
pub fn gate_text(gate: &Gate) -> Option<String> {
    let approvals = match gate.approvals {
        0 => None,
        1 => Some("1 approval".to_owned()),
        many => Some(format!("{many} approvals")),
    };
    let soak = gate.soak.map(|soak| format!("soak {}", time::rough(soak)));
    let words: Vec<String> = approvals.into_iter().chain(soak).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn kind_style(kind: PhaseKind) -> Style {
    match kind {
        PhaseKind::Contract => style::BAD,
        PhaseKind::Expand | PhaseKind::Backfill => style::GOOD,
        PhaseKind::Code => style::NAME,
        PhaseKind::Manual => style::CAUTION,
    }
}

/// The lines in a phase's box.
fn lines_of(phase: &Phase) -> impl Iterator<Item = String> {
    let title = (!phase.title.is_empty()).then(|| phase.title.clone());
    [
        Some(format!("{} ({})", phase.id, phase.kind().as_str())),
        title,
        gate_text(&phase.gate),
    ]
    .into_iter()
    .flatten()
}

fn numbered(plan: &Plan) -> BTreeMap<&PhaseId, usize> {
    plan.phases()
        .iter()
        .enumerate()
        .map(|(at, phase)| (&phase.id, at))
        .collect()
}

/// Phase ids may hold characters (and be words) that mean something to Mermaid, so nodes are numbered.
fn node(nodes: &BTreeMap<&PhaseId, usize>, id: &PhaseId) -> String {
    format!("p{}", nodes.get(id).copied().unwrap_or_default())
}

fn mermaid_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => safe.push_str("#quot;"),
            '<' => safe.push_str("#lt;"),
            '>' => safe.push_str("#gt;"),
            '#' => safe.push_str("#35;"),
            '&' => safe.push_str("#amp;"),
            '`' => safe.push_str("#96;"),
            control if control.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

fn dot_text(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan;

    fn sample() -> Plan {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
        let text = include_str!("../../plans/rename-users-name.toml");
        plan::parse(Path::new("x.toml"), text, &root.join("migrations")).unwrap()
    }

    fn forked() -> Plan {
        let text = r#"
id = "forked"
title = "Two at once"
[[phase]]
id = "start"
kind = "manual"
title = "say \"go\" & <wait>"
instructions = "…"
[[phase]]
id = "web"
kind = "code"
needs = ["start"]
services = ["web"]
commit = "3f2a9c1"
[[phase]]
id = "worker"
kind = "code"
needs = ["start"]
[[phase]]
id = "api"
kind = "code"
needs = ["start"]
commit = { "." = "0123456789abcdef", worker = "4711" }
[[phase]]
id = "end"
kind = "manual"
needs = ["web", "worker", "api"]
instructions = "…"
"#;
        plan::parse(Path::new("x.toml"), text, Path::new(".")).unwrap()
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn the_terminal_drawing_shows_layers() {
        insta::assert_snapshot!(plain(&text(&sample(), &Tones::new())));
        insta::assert_snapshot!(plain(&text(&forked(), &Tones::new())));
    }

    #[test]
    fn mermaid_and_dot_survive_any_title() {
        let tones = Tones::from([("start".parse().unwrap(), Tone::Done)]);
        insta::assert_snapshot!(mermaid_with(&forked(), &tones));
        insta::assert_snapshot!(dot(&forked(), &tones));
    }
}
