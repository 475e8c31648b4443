//! How results look: on a terminal, as JSON, as Markdown, as workflow commands.

pub mod checklist;
mod console;
pub mod deployable;
pub mod deployed;
pub mod deployed_sources;
pub mod explain;
pub mod floor;
pub mod github;
pub mod graph;
pub mod impact;
pub mod judgement;
pub mod leases;
pub mod log;
pub mod manners;
pub mod migrate;
pub mod planned;
pub mod proof;
pub mod run;
pub mod run_outcome;
pub mod run_preview;
pub mod standing;
pub mod status;
mod step_progress;
mod table;
pub mod time;
pub mod way;
mod wrap;

pub use console::{Console, SCHEMA_VERSION, gravest, problem_as_json, show_problems_in_whole_words, style};
pub use table::Table;
