//! Pull-request checklists: what shipctl can show evidence for is ticked, the rest is left to people.

mod items;
mod render;

pub use items::{Tests, checklist};
pub use render::{BUILT_IN, TEMPLATE, render};

use serde::Serialize;

/// Everything a template may use. The names are an interface, documented in `docs/templates.md`.
#[derive(Clone, Debug, Serialize)]
pub struct Checklist {
    /// The plan.
    pub plan: PlanData,
    /// The phase asked for; `None` for the whole plan.
    pub phase: Option<PhaseData>,
    /// Every phase, in order.
    pub phases: Vec<PhaseData>,
    /// The phases that must come before the one asked for, in order.
    pub before: Vec<PhaseData>,
    /// The phases that must come after it, in order.
    pub after: Vec<PhaseData>,
    /// The trailers of all code phases, in order.
    pub trailers: Vec<String>,
    /// The boxes.
    pub items: Vec<Item>,
    /// The plan as a Mermaid flowchart.
    pub mermaid: String,
    /// The environment whose ledger was asked, if one was.
    pub environment: Option<String>,
}

/// The plan, for templates.
#[derive(Clone, Debug, Serialize)]
pub struct PlanData {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its file's name.
    pub file: String,
}

/// A phase, for templates.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseData {
    /// Its id.
    pub id: String,
    /// `expand`, `backfill`, `contract`, `code` or `manual`.
    pub kind: String,
    /// One line for people; may be empty.
    pub title: String,
    /// The migration that it runs.
    pub migration: Option<String>,
    /// For a code phase: the trailer of its commit.
    pub trailer: Option<String>,
    /// For a code phase: the columns that its code reads.
    pub reads: Vec<String>,
    /// For a code phase: the columns that its code writes.
    pub writes: Vec<String>,
}

/// One box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// A stable name.
    pub id: &'static str,
    /// What is asked.
    pub text: String,
    /// Whether there is evidence for it.
    pub done: bool,
    /// The evidence, or what was found against it.
    pub evidence: Vec<String>,
    /// What a person has to do, where the box is open.
    pub todo: Option<String>,
}
