//! How results look: on a terminal, as JSON, as Markdown, as workflow commands.

pub mod checklist;
mod console;
pub mod deployed;
pub mod explain;
pub mod github;
pub mod graph;
pub mod judgement;
pub mod log;
pub mod manners;
pub mod migrate;
pub mod planned;
pub mod run;
pub mod standing;
pub mod status;
mod step_progress;
mod table;
pub mod time;
mod wrap;

pub use console::{Console, SCHEMA_VERSION, gravest, problem_as_json, show_problems_in_whole_words, style};
pub use table::Table;
