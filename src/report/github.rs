//! Problems as GitHub's workflow commands, which show them beside the lines of a pull request.
//!
//! `::error file=plans/x.toml,line=3,endLine=3,col=1,title=code::message`

use std::path::{Path, PathBuf};

use crate::domain::{Problem, Severity, SourceText};
use crate::project;
use crate::safety::{Reason, Verdict};

/// Where the files lie that problems point into.
#[derive(Clone, Debug)]
pub struct Places {
    /// The root of the repository, which the paths are written from.
    root: PathBuf,
    /// Folders from which problems name their files.
    bases: Vec<PathBuf>,
}

impl Places {
    /// Those of the project to which `directory` belongs.
    pub fn around(directory: &Path) -> Self {
        let root = directory
            .ancestors()
            // `.git` is a file in worktrees and submodules.
            .find(|folder| folder.join(".git").exists())
            .unwrap_or(directory)
            .to_path_buf();
        let mut bases = Vec::new();
        if let Ok(project) = project::discover(directory) {
            bases.push(project.root.clone());
            // Migrations are named from their folder on.
            bases.extend(project.migrations.parent().map(Path::to_path_buf));
        }
        let inside = directory
            .ancestors()
            .take_while(|folder| folder.starts_with(&root));
        bases.extend(inside.map(Path::to_path_buf));
        Self { root, bases }
    }

    /// A file's path from the root of the repository; as it is named where it is not found.
    fn path(&self, name: &str) -> String {
        let found = self
            .bases
            .iter()
            .map(|base| base.join(name))
            .find(|path| path.exists())
            .and_then(|path| path.canonicalize().ok());
        let root = self.root.canonicalize();
        match (found, root) {
            (Some(path), Ok(root)) => path.strip_prefix(&root).unwrap_or(&path).display().to_string(),
            _ => name.to_owned(),
        }
    }
}

/// A problem and those found with it, each as a line.
pub fn problem(problem: &Problem, places: &Places) -> String {
    let mut lines = Vec::new();
    collect(problem, places, &mut lines);
    lines.join("\n")
}

/// A reason of a judgement as a line.
pub fn reason(reason: &Reason) -> String {
    let level = match reason.verdict {
        Verdict::Go => "notice",
        Verdict::Waiting => "warning",
        Verdict::Unknown | Verdict::Blocked => "error",
    };
    let mut text = reason.message.clone();
    for line in &reason.evidence {
        text.push_str(&format!("\n{line}"));
    }
    if let Some(fix) = &reason.fix {
        text.push_str(&format!("\nfix: {fix}"));
    }
    command(level, &[("title", reason.code.as_str().to_owned())], &text)
}

/// A result as a line: its headline, since reasons have lines of their own.
pub fn notice(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    command("notice", &[], plain.lines().next().unwrap_or_default().trim())
}

fn collect(problem: &Problem, places: &Places, lines: &mut Vec<String>) {
    // A summary of several problems says nothing that they do not say.
    if problem.code() != "several-problems" {
        lines.push(one(problem, places));
    }
    for related in problem.related() {
        collect(related, places, lines);
    }
}

fn one(problem: &Problem, places: &Places) -> String {
    let level = match problem.severity() {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut properties = Vec::new();
    let mut text = problem.message().to_owned();
    if let Some((source, [label, ..])) = problem.place() {
        properties.push(("file", places.path(source.name())));
        let (line, column) = position(source, label.offset());
        let (last_line, last_column) = position(source, label.offset() + label.len());
        properties.push(("line", line.to_string()));
        properties.push(("endLine", last_line.to_string()));
        properties.push(("col", column.to_string()));
        // GitHub takes columns only within one line.
        if line == last_line && last_column > column {
            properties.push(("endColumn", last_column.to_string()));
        }
        if let Some(words) = label.label() {
            text.push_str(&format!(" ({words})"));
        }
    }
    properties.push(("title", problem.code().to_owned()));
    if let Some(why) = problem.why() {
        text.push_str(&format!("\n{why}"));
    }
    if let Some(fix) = problem.remedy() {
        text.push_str(&format!("\nfix: {fix}"));
    }
    command(level, &properties, &text)
}

/// Line and column (in characters) of an offset, both from 1.
fn position(source: &SourceText, offset: usize) -> (usize, usize) {
    let text = source.inner();
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = text.get(..end).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn command(name: &str, properties: &[(&str, String)], text: &str) -> String {
    let listed: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("{key}={}", escaped_property(value)))
        .collect();
    let gap = if listed.is_empty() { "" } else { " " };
    format!("::{name}{gap}{}::{}", listed.join(","), escaped(text))
}

/// What would end the line, or begin an escape.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The same, and what would end a property.
fn escaped_property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use miette::NamedSource;

    use super::*;
    use crate::domain::Exit;
    use crate::report::style;

    fn nowhere() -> Places {
        Places {
            root: PathBuf::from("/nowhere"),
            bases: Vec::new(),
        }
    }

    #[test]
    fn a_place_is_given_in_lines_and_characters() {
        let source: SourceText = Arc::new(NamedSource::new("plans/x.toml", "ä = 1\nößt = 2\n".to_owned()));
        let at = "ä = 1\nöß".len();
        let found = Problem::new(Exit::Usage, "unknown-key", "`t` is not a key")
            .at(&source, at..at + 1, "unknown key")
            .fix("did you mean `s`?");
        assert_eq!(
            problem(&found, &nowhere()),
            "::error file=plans/x.toml,line=2,endLine=2,col=3,endColumn=4,title=unknown-key::`t` is not a key (unknown \
             key)%0Afix: did you mean `s`?"
        );
    }

    #[test]
    fn what_would_end_a_line_or_a_property_is_escaped() {
        let source: SourceText = Arc::new(NamedSource::new("plans/a,b: 100%.toml", "x".to_owned()));
        let found = Problem::warning("same-commit", "100%\r\nsure: a, b").at(&source, 0..1, "here");
        assert_eq!(
            problem(&found, &nowhere()),
            "::warning file=plans/a%2Cb%3A 100%25.toml,line=1,endLine=1,col=1,endColumn=2,title=same-commit::100%25%0D%0A\
             sure: a, b (here)"
        );
    }

    #[test]
    fn several_problems_are_a_line_each_without_their_summary() {
        let each = ["one", "two"].map(|message| Problem::new(Exit::Usage, "missing-key", message));
        let all = Problem::bundle(each.into(), "several").unwrap();
        assert_eq!(
            problem(&all, &nowhere()),
            "::error title=missing-key::one\n::error title=missing-key::two"
        );
    }

    #[test]
    fn results_are_notices_without_colours() {
        let text = format!("plan x: {}\n  and more\n", style::paint(style::GOOD, "valid"));
        assert_eq!(notice(&text), "::notice::plan x: valid");
    }
}
