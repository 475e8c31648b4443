//! The one error type people meet: what happened, where, why it matters and what to do.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{LabeledSpan, NamedSource, SourceSpan};
use serde::Serialize;

use super::Exit;

/// A file's text with its name, shared by every problem found in it.
pub type SourceText = Arc<NamedSource<String>>;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth reading; stops nothing.
    Warning,
    /// Stops the command.
    Error,
}

/// Something that went wrong, in words for people and with a stable code for programs.
///
/// Build one with [`Problem::new`] and add the reason, the remedy and the place.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: &'static str,
    exit: Exit,
    severity: Severity,
    message: String,
    because: Option<String>,
    fix: Option<String>,
    source: Option<SourceText>,
    labels: Vec<LabeledSpan>,
    related: Vec<Problem>,
}

impl Problem {
    /// A problem that ends the command with `exit`. `code` is a stable kebab-case name, such as
    /// `plan-unknown-key`; `message` says what happened, in one sentence without a final stop.
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            exit,
            severity: Severity::Error,
            message: message.into(),
            because: None,
            fix: None,
            source: None,
            labels: Vec::new(),
            related: Vec::new(),
        }))
    }

    /// A remark that stops nothing.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        let mut problem = Self::new(Exit::Done, code, message);
        problem.0.severity = Severity::Warning;
        problem
    }

    /// Adds why it happened or why it matters.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.0.because = Some(why.into());
        self
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn fix(mut self, what: impl Into<String>) -> Self {
        self.0.fix = Some(what.into());
        self
    }

    /// Points at bytes of a file, with a label. Can be called again for a further place in the same file.
    #[must_use]
    pub fn at(mut self, source: &SourceText, span: Range<usize>, label: impl Into<String>) -> Self {
        self.0.source = Some(Arc::clone(source));
        self.0.labels.push(LabeledSpan::new_with_span(
            Some(label.into()),
            SourceSpan::new(span.start.into(), span.len()),
        ));
        self
    }

    /// Adds problems found at the same time, so that all are reported at once.
    #[must_use]
    pub fn with(mut self, related: Vec<Problem>) -> Self {
        self.0.related.extend(related);
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// How the process ends.
    pub fn exit(&self) -> Exit {
        self.0.exit
    }

    /// Whether it stops the command.
    pub fn severity(&self) -> Severity {
        self.0.severity
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Why it happened or matters.
    pub fn why(&self) -> Option<&str> {
        self.0.because.as_deref()
    }

    /// What to do.
    pub fn remedy(&self) -> Option<&str> {
        self.0.fix.as_deref()
    }

    /// Problems found at the same time.
    pub fn related(&self) -> &[Problem] {
        &self.0.related
    }

    /// The file it points into and the labelled byte ranges, if it has a place.
    pub fn place(&self) -> Option<(&SourceText, &[LabeledSpan])> {
        self.0
            .source
            .as_ref()
            .map(|source| (source, self.0.labels.as_slice()))
    }

    /// Makes one problem of many: the only one as it stands, or a summary that carries them all.
    /// `None` if there is none.
    pub fn bundle(mut problems: Vec<Problem>, summary: impl Into<String>) -> Option<Problem> {
        match problems.len() {
            0 => None,
            1 => problems.pop(),
            _ => {
                let exit = problems.iter().map(Problem::exit).max().unwrap_or(Exit::Usage);
                Some(Problem::new(exit, "several-problems", summary).with(problems))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(why) = &self.0.because {
            write!(f, "\n{why}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl miette::Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.0.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.0.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0
            .fix
            .as_ref()
            .map(|fix| Box::new(fix) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let has_labels = !self.0.labels.is_empty();
        has_labels.then(|| Box::new(self.0.labels.iter().cloned()) as Box<dyn Iterator<Item = LabeledSpan>>)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        let has_related = !self.0.related.is_empty();
        has_related.then(|| {
            Box::new(self.0.related.iter().map(|one| one as &dyn miette::Diagnostic))
                as Box<dyn Iterator<Item = &'a dyn miette::Diagnostic>>
        })
    }
}
