//! The one place that prints. Results go to standard output, everything else to standard error.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this room is where printing happens"
)]

use std::cmp::Reverse;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::github::{self, Places};
use crate::diagnostics;
use crate::domain::{Exit, Problem, Severity};
use crate::safety::Reason;

/// Lines are broken for a terminal of this width where there is none.
const USUAL_WIDTH: usize = 100;

/// The version of every JSON document that shipctl prints; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// Where output goes and how it looks. Colours are stripped by `anstream` where they are not wanted
/// (no terminal, `NO_COLOR`).
#[derive(Clone, Debug)]
pub struct Console {
    output: Output,
}

/// For whom, and in which form.
#[derive(Clone, Debug)]
enum Output {
    /// Text for people.
    Text,
    /// One JSON document.
    Document,
    /// One JSON value a line.
    Lines,
    /// Workflow commands, for the annotations of a pull request.
    Workflow(Places),
}

impl Console {
    /// A console for people, or for programs with `json`.
    pub fn new(json: bool) -> Self {
        let output = if json { Output::Document } else { Output::Text };
        Self { output }
    }

    /// A console for programs that read a stream: every value on a line of its own.
    pub fn for_streams() -> Self {
        Self {
            output: Output::Lines,
        }
    }

    /// A console for GitHub's workflows; `directory` is where the command runs.
    pub fn for_github(directory: &Path) -> Self {
        Self {
            output: Output::Workflow(Places::around(directory)),
        }
    }

    /// Whether programs read the output, as JSON.
    pub fn is_json(&self) -> bool {
        matches!(self.output, Output::Document | Output::Lines)
    }

    /// Whether standard error is a terminal, so that progress can be drawn on it.
    pub fn is_interactive(&self) -> bool {
        matches!(self.output, Output::Text) && std::io::stderr().is_terminal()
    }

    /// The width of the terminal that results go to, in columns; a usual one where it is none.
    pub fn width(&self) -> usize {
        let stdout = std::io::stdout();
        match terminal_size::terminal_size_of(&stdout) {
            Some((width, _)) if stdout.is_terminal() => usize::from(width.0),
            _ => USUAL_WIDTH,
        }
    }

    /// Prints a result for people (standard output, with a closing line break). Nothing with `--json`.
    /// On a terminal, long lines are broken to its width. A workflow gets a notice.
    pub fn result(&self, text: &str) {
        match self.output {
            Output::Text => {
                let text = fit(&std::io::stdout(), text.trim_end_matches('\n'));
                anstream::println!("{text}");
            }
            Output::Document | Output::Lines => {}
            Output::Workflow(_) => anstream::println!("{}", github::notice(text)),
        }
    }

    /// Says to people, after a judgement, where more is to be read about its gravest reason.
    pub fn more(&self, reasons: &[Reason]) {
        let gravest = reasons.iter().min_by_key(|reason| Reverse(reason.verdict));
        if let (Output::Text, Some(reason)) = (&self.output, gravest)
            && let Some(hint) = hint_at(reason.code.as_str())
        {
            anstream::eprintln!("\n{hint}");
        }
    }

    /// Gives a workflow the reasons of a judgement, one annotation each; everybody else has them in the result.
    pub fn annotate<'r>(&self, reasons: impl IntoIterator<Item = &'r Reason>) {
        if let Output::Workflow(_) = self.output {
            for reason in reasons {
                anstream::println!("{}", github::reason(reason));
            }
        }
    }

    /// Prints a text that is the same for people and programs (a graph, a checklist, a completion script).
    pub fn document(&self, text: &str) {
        anstream::print!("{text}");
    }

    /// Prints JSON with `schema_version` in front: a document, or a line of a stream. Nothing without `--json`.
    pub fn json(&self, value: &impl Serialize) {
        #[derive(Serialize)]
        struct Versioned<'a, T> {
            schema_version: u32,
            #[serde(flatten)]
            value: &'a T,
        }
        let versioned = Versioned {
            schema_version: SCHEMA_VERSION,
            value,
        };
        let text = match self.output {
            Output::Text | Output::Workflow(_) => return,
            Output::Document => serde_json::to_string_pretty(&versioned),
            Output::Lines => serde_json::to_string(&versioned),
        };
        let text = text.unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        anstream::println!("{text}");
    }

    /// Says something on standard error, for people. Nothing with `--json`.
    pub fn note(&self, text: &str) {
        if !self.is_json() {
            let text = fit(&std::io::stderr(), text.trim_end_matches('\n'));
            anstream::eprintln!("{text}");
        }
    }

    /// Shows a problem: a diagnostic on standard error for people; with `--json` a document on standard output. A stream
    /// gets an event of it, and its end; a workflow an annotation.
    pub fn problem(&self, problem: &Problem) {
        let error = problem_as_json(problem);
        match &self.output {
            Output::Text => {
                let report = miette::Report::new(problem.clone());
                anstream::eprintln!("{report:?}");
                if let Some(hint) = hint(problem) {
                    anstream::eprintln!("{hint}\n");
                }
            }
            Output::Workflow(places) => anstream::println!("{}", github::problem(problem, places)),
            Output::Document => self.json(&problem_document(problem)),
            Output::Lines => {
                self.json(&serde_json::json!({ "event": "problem", "error": error }));
                self.json(&serde_json::json!({
                    "event": "end",
                    "verdict": verdict_of(problem.exit()),
                    "exit": problem.exit().code(),
                    "reasons": [{
                        "code": problem.code(),
                        "phase": null,
                        "message": problem.message(),
                        "evidence": problem.why().into_iter().collect::<Vec<_>>(),
                        "fix": problem.remedy(),
                    }],
                }));
            }
        }
    }
}

/// Where more is to be read about a problem that stops the command.
fn hint(problem: &Problem) -> Option<String> {
    let first = problem.related().first().unwrap_or(problem);
    (problem.severity() == Severity::Error)
        .then(|| hint_at(first.code()))
        .flatten()
}

/// Where more is to be read about a code; said once, since whoever has read it knows the way.
fn hint_at(code: &str) -> Option<String> {
    static SAID: AtomicBool = AtomicBool::new(false);
    if diagnostics::find(code).is_none() || SAID.swap(true, Ordering::Relaxed) {
        return None;
    }
    let command = style::paint(style::NAME, format!("shipctl explain {code}"));
    Some(format!("  {} {command}", style::paint(style::DIM, "more:")))
}

/// The verdict that goes with an exit code.
pub fn verdict_of(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "go",
        Exit::Blocked => "blocked",
        Exit::Usage => "invalid",
        Exit::Unknown => "unknown",
        Exit::Waiting => "waiting",
        Exit::Failed => "failed",
        Exit::Locked => "locked",
        Exit::Interrupted => "interrupted",
    }
}

/// Has problems broken between words only, so that names with hyphens and paths can be copied.
pub fn show_problems_in_whole_words() {
    // Only the first call counts; a later one is no harm.
    let _ = miette::set_hook(Box::new(|_| {
        Box::new(
            miette::MietteHandlerOpts::new()
                .word_separator(textwrap::WordSeparator::AsciiSpace)
                .word_splitter(textwrap::WordSplitter::NoHyphenation)
                .break_words(false)
                .build(),
        )
    }));
}

/// `text` broken to the width of the terminal it goes to; as it is where it goes to a file or a program.
fn fit(stream: &(impl IsTerminal + std::os::fd::AsFd), text: &str) -> String {
    match terminal_size::terminal_size_of(stream) {
        Some((width, _)) if stream.is_terminal() => super::wrap::wrap(text, usize::from(width.0)),
        _ => text.to_owned(),
    }
}

/// The document of a command that came to a problem instead of an answer. What could not be found out is a verdict
/// too, so that a pipeline needs no case of its own for it.
fn problem_document(problem: &Problem) -> serde_json::Value {
    let error = problem_as_json(problem);
    if problem.exit() != Exit::Unknown {
        return serde_json::json!({ "error": error });
    }
    let reason = serde_json::json!({
        "code": problem.code(),
        "verdict": "unknown",
        "plan": null,
        "phase": null,
        "message": problem.message(),
        "evidence": problem.why().into_iter().collect::<Vec<_>>(),
        "fix": problem.remedy(),
    });
    serde_json::json!({ "verdict": "unknown", "reasons": [reason], "error": error })
}

/// A problem as programs read it.
pub fn problem_as_json(problem: &Problem) -> serde_json::Value {
    let places: Vec<serde_json::Value> = problem
        .place()
        .map(|(source, labels)| {
            labels
                .iter()
                .map(|label| {
                    let line = source
                        .inner()
                        .bytes()
                        .take(label.offset())
                        .filter(|byte| *byte == b'\n')
                        .count()
                        + 1;
                    serde_json::json!({
                        "file": source.name(), "line": line, "offset": label.offset(), "length": label.len(),
                        "label": label.label(),
                    })
                })
                .collect()
        })
        .unwrap_or_default();
    serde_json::json!({
        "code": problem.code(),
        "severity": problem.severity(),
        "message": problem.message(),
        "why": problem.why(),
        "fix": problem.remedy(),
        "exit": problem.exit().code(),
        "places": places,
        "related": problem.related().iter().map(problem_as_json).collect::<Vec<_>>(),
    })
}

/// The styles of the whole program, so that one colour means one thing.
pub mod style {
    use super::{AnsiColor, Style};

    /// Done, go.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// Waiting, in doubt.
    pub const CAUTION: Style = AnsiColor::Yellow.on_default();
    /// Blocked, failed.
    pub const BAD: Style = AnsiColor::Red.on_default();
    /// Names and commands to type.
    pub const NAME: Style = AnsiColor::Cyan.on_default();
    /// What matters less.
    pub const DIM: Style = Style::new().dimmed();
    /// Headings.
    pub const HEADING: Style = Style::new().bold();

    /// `text` in a style.
    pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
        format!("{style}{text}{style:#}")
    }
}

/// The exit code a set of problems asks for: the gravest.
pub fn gravest(problems: &[Problem]) -> Exit {
    problems.iter().map(Problem::exit).max().unwrap_or(Exit::Done)
}
