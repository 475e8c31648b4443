//! How results look: on a terminal, as JSON, as Markdown.

mod console;

pub use console::{Console, SCHEMA_VERSION, gravest, problem_as_json, style};
