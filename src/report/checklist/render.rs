//! Templates in Handlebars' strict mode: a name that does not exist is an error and not an empty text.

use std::sync::Arc;

use handlebars::{Handlebars, RenderErrorReason, no_escape};
use miette::NamedSource;

use super::Checklist;
use crate::domain::{Exit, Problem, SourceText};

/// The template's file name, below the project's templates folder.
pub const TEMPLATE: &str = "checklist.md.hbs";

/// The template that is used where the project has none of its own.
pub const BUILT_IN: &str = include_str!("../../../templates/checklist.md.hbs");

/// Fills in a template; `name` is its file, for errors.
///
/// # Errors
/// The template cannot be parsed, or uses something that does not exist; with its place.
pub fn render(name: &str, template: &str, checklist: &Checklist) -> Result<String, Problem> {
    let source: SourceText = Arc::new(NamedSource::new(name, template.to_owned()));
    let mut handlebars = Handlebars::new();
    handlebars.set_strict_mode(true);
    handlebars.register_escape_fn(no_escape);
    handlebars
        .register_template_string("checklist", template)
        .map_err(|error| {
            let problem = Problem::new(
                Exit::Usage,
                "template-invalid",
                format!("{name} is not a Handlebars template: {}", error.reason()),
            );
            placed(problem, &source, error.pos())
        })?;
    handlebars.render("checklist", checklist).map_err(|error| {
        let why = match error.reason() {
            RenderErrorReason::MissingVariable(Some(name)) => format!("there is no `{name}`"),
            other => other.to_string(),
        };
        let problem = Problem::new(
            Exit::Usage,
            "template-failed",
            format!("{name} cannot be filled in: {why}"),
        )
        .fix("docs/templates.md lists what a template may use");
        placed(problem, &source, error.line_no.zip(error.column_no))
    })
}

fn placed(problem: Problem, source: &SourceText, place: Option<(usize, usize)>) -> Problem {
    let Some((line, column)) = place else {
        return problem;
    };
    let text = source.inner();
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = text.get(start..).unwrap_or_default();
    let rest = rest.lines().next().unwrap_or_default();
    let at = rest
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(rest.len(), |(at, _)| at);
    let end = if at < rest.len() {
        start + rest.len()
    } else {
        start + at
    };
    problem.at(source, start + at..end, "here")
}
