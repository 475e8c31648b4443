//! A file being read: its text, of bounded size, and every mistake found in it so far.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use miette::NamedSource;
use toml::Spanned;
use toml::de::DeTable;

use crate::domain::{Exit, Problem, SourceText};

/// No configuration or plan file is longer; a larger one is something else under this name.
const LARGEST: u64 = 1 << 20;

const INVALID_TOML: &str = "invalid-toml";

/// Reads a text file of bounded size. `shown` is the name used in problems.
pub(crate) fn read_text(path: &Path, shown: &str) -> Result<String, Problem> {
    let unreadable = |why: String| {
        Problem::new(
            Exit::Usage,
            "unreadable-file",
            format!("cannot read {shown}: {why}"),
        )
    };
    let length = std::fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if length > LARGEST {
        return Err(unreadable(format!(
            "it is {length} bytes long, more than such a file can be"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".to_owned()))
}

/// A file being read: its text to point into, and the problems found so far.
pub(crate) struct Document {
    source: SourceText,
    problems: RefCell<Vec<Problem>>,
}

impl Document {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self {
            source: Arc::new(NamedSource::new(name, text.to_owned())),
            problems: RefCell::default(),
        }
    }

    pub(crate) fn source(&self) -> &SourceText {
        &self.source
    }

    /// Parses the text as far as it can be; syntax errors become problems.
    pub(crate) fn parse<'t>(&self, text: &'t str) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            self.report(
                Problem::new(
                    Exit::Usage,
                    INVALID_TOML,
                    format!("{} is not valid TOML", self.source.name()),
                )
                .at(&self.source, span, error.message()),
            );
        }
        table
    }

    pub(crate) fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// Reports a mistake at a place.
    pub(crate) fn mistake(
        &self,
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        label: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.report(
            Problem::new(Exit::Usage, code, message)
                .at(&self.source, span, label)
                .fix(fix),
        );
    }

    /// Every problem found, in order of place. Where the file is not TOML, only that counts: what was read of the
    /// rest is a guess.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        if problems.iter().any(|problem| problem.code() == INVALID_TOML) {
            problems.retain(|problem| problem.code() == INVALID_TOML);
        }
        sort_by_place(&mut problems);
        problems
    }
}

/// Puts problems in the order in which their places stand in the file.
pub(crate) fn sort_by_place(problems: &mut [Problem]) {
    problems.sort_by_key(|problem| {
        problem
            .place()
            .and_then(|(_, labels)| labels.first())
            .map_or(0, miette::LabeledSpan::offset)
    });
}
