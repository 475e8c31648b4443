//! Parsing SQL text: the only place that knows the squawk parser. Everything that leaves it is in this room's own types.

mod changes;
mod classify;
mod effect;
mod expression;
mod index_key;
mod locks;
mod new_table;
mod partition_bound;
mod quoting;
mod replace;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use changes::{changes, column_looked_up, columns_read};
pub use effect::{Effect, effect};
pub use expression::check_expression;
pub use index_key::{IndexKeyText, check_index_key};
pub use new_table::{ForeignKeyText, NewColumnText, NewTableText, new_table};
pub use partition_bound::check_partition_bound;
pub use quoting::{literal, readable, readable_table};
pub use replace::replace_column;
use squawk_syntax::ast::{self, AstNode as _};
use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode, SyntaxToken};

use super::script::{Script, Statement, Step, Transactional};
use crate::domain::{Exit, Problem, SourceText, TableName};

/// How many syntax errors of one script are shown; the first one usually causes those after it.
const SHOWN_ERRORS: usize = 5;

/// How long a summary may get, in characters.
const SUMMARY: usize = 76;

/// A comment of a file.
pub(super) struct Comment {
    /// Its bytes in the file.
    pub range: Range<usize>,
    /// Its text, with the dashes.
    pub text: String,
}

/// The line comments of a text. What looks like one inside a string, a dollar quote, a quoted name or a block comment
/// is none.
pub(super) fn line_comments(text: &str) -> Vec<Comment> {
    tokens(SourceFile::parse(text).tree().syntax())
        .filter(|token| token.kind() == SyntaxKind::COMMENT && token.text().starts_with("--"))
        .map(|token| Comment {
            range: range_of(&token),
            text: token.text().to_owned(),
        })
        .collect()
}

/// Whether a text has anything but space and comments.
pub(super) fn has_code(text: &str) -> bool {
    tokens(SourceFile::parse(text).tree().syntax()).any(|token| !is_trivia(&token))
}

/// Parses `text[range]` of a file into steps.
pub(super) fn parse(source: &SourceText, range: Range<usize>) -> Result<Script, Problem> {
    let Some(text) = source.inner().get(range.clone()) else {
        return Err(Problem::new(
            Exit::Usage,
            "sql-range",
            format!("{} has no text at bytes {range:?}", source.name()),
        ));
    };
    // A byte order mark is no SQL, but editors write it; blanking it keeps every offset.
    let blanked;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => {
            blanked = format!("   {rest}");
            blanked.as_str()
        }
        None => text,
    };
    let place = Place {
        source,
        base: range.start,
    };
    let parsed = SourceFile::parse(text);
    let file = parsed.tree();

    let foreign = place.psql_only(file.syntax());
    if let Some(problem) = foreign {
        return Err(problem);
    }
    // Bodies of SQL functions are the server's to judge, when it creates them; they do not affect where a statement ends.
    let body_errors = file.sql_body_errors();
    let mut last_line = 0;
    let syntax: Vec<Problem> = parsed
        .errors()
        .into_iter()
        .filter(|error| !body_errors.contains(error))
        .filter(|error| {
            // One mistake makes the parser stumble over the rest of its line too.
            let line = place.line(usize::from(error.range().start()));
            line != std::mem::replace(&mut last_line, line)
        })
        .take(SHOWN_ERRORS)
        .map(|error| {
            let span = word_at(
                text,
                usize::from(error.range().start()),
                usize::from(error.range().end()),
            );
            Problem::new(
                Exit::Usage,
                "sql-syntax",
                format!(
                    "{}:{}: this is not valid SQL",
                    source.name(),
                    place.line(span.start)
                ),
            )
            .because("nothing of a script that cannot be parsed as a whole is executed")
            .at(source, place.shift(&span), plain_words(error.message()))
        })
        .collect();
    if let Some(problem) = Problem::bundle(syntax, format!("{} is not valid SQL", source.name())) {
        return Err(problem);
    }
    place.steps(&file)
}

/// A place to point at: the bytes given, or the word that begins there if there are none.
fn word_at(text: &str, start: usize, end: usize) -> Range<usize> {
    if end > start {
        return start..end;
    }
    let rest = text.get(start..).unwrap_or_default();
    let word = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    start..start + word
}

/// The parser's words without the names it has for its tokens.
fn plain_words(message: &str) -> String {
    let words: Vec<&str> = message
        .split(' ')
        .map(|word| match word.strip_suffix("_KW") {
            Some(keyword) => keyword,
            None if word == "IDENT" => "a name",
            None => word,
        })
        .collect();
    words
        .join(" ")
        .replace("expected command, found", "no statement begins like this:")
}

/// Where the parsed text stands in its file.
struct Place<'a> {
    source: &'a SourceText,
    base: usize,
}

impl Place<'_> {
    fn shift(&self, range: &Range<usize>) -> Range<usize> {
        range.start + self.base..range.end + self.base
    }

    /// The line (from 1) of an offset in the parsed text.
    fn line(&self, offset: usize) -> u32 {
        let before = self.source.inner().bytes().take(self.base + offset);
        let breaks = before.filter(|byte| *byte == b'\n').count();
        u32::try_from(breaks + 1).unwrap_or(u32::MAX)
    }

    fn problem(
        &self,
        node: &SyntaxNode,
        code: &'static str,
        message: impl std::fmt::Display,
        label: &str,
    ) -> Problem {
        let range = code_range(node);
        Problem::new(
            Exit::Usage,
            code,
            format!("{}:{}: {message}", self.source.name(), self.line(range.start)),
        )
        .at(self.source, self.shift(&range), label)
    }

    /// What only psql understands: meta-commands and inline COPY data. They come before syntax errors, which they cause.
    fn psql_only(&self, root: &SyntaxNode) -> Option<Problem> {
        let copy = root.descendants().find(|node| {
            ast::CopyStdin::can_cast(node.kind())
                || (ast::CopyStdout::can_cast(node.kind()) && node.parent().is_some())
        });
        let copy = copy.and_then(|node| node.ancestors().find(|node| ast::Copy::can_cast(node.kind())));
        if let Some(copy) = copy {
            return Some(
                self.problem(
                    &copy,
                    "sql-copy-data",
                    "COPY with data in the script is for psql only",
                    "reads from or writes to the client",
                )
                .fix("write the rows as INSERT … VALUES, or COPY from a file on the server"),
            );
        }
        let command = tokens(root).find(|token| !is_trivia(token) && token.text().starts_with('\\'))?;
        let start = usize::from(command.text_range().start());
        let rest = self.source.inner().get(self.base + start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default().trim_end();
        let word = line.split_whitespace().next().unwrap_or("\\");
        Some(
            Problem::new(
                Exit::Usage,
                "sql-meta-command",
                format!(
                    "{}:{}: `{word}` is a psql command, not SQL",
                    self.source.name(),
                    self.line(start)
                ),
            )
            .fix("remove it; shipctl sends the statements to the server itself")
            .at(
                self.source,
                self.shift(&(start..start + line.len())),
                "only psql understands this",
            ),
        )
    }

    /// Groups the statements into steps.
    fn steps(&self, file: &SourceFile) -> Result<Script, Problem> {
        let mut steps = Vec::new();
        let mut problems = Vec::new();
        let mut open: Option<(ast::Begin, Vec<Statement>)> = None;
        for stmt in file.stmts() {
            match &stmt {
                ast::Stmt::EmptyStmt(_) => {}
                ast::Stmt::Begin(begin) => {
                    if let Some(problem) = self.begin_problem(begin, open.is_some()) {
                        problems.push(problem);
                    }
                    if open.is_none() {
                        open = Some((begin.clone(), Vec::new()));
                    }
                }
                ast::Stmt::Commit(ast::Commit::CommitTransaction(commit)) => {
                    if commit.chain_clause().is_some() {
                        problems.push(self.problem(
                            stmt.syntax(),
                            "sql-transaction",
                            "COMMIT AND CHAIN cannot be used here",
                            "write COMMIT; BEGIN; instead",
                        ));
                    }
                    match open.take() {
                        Some((_, statements)) if statements.is_empty() => {}
                        Some((_, statements)) => steps.push(Step { statements }),
                        None => problems.push(self.problem(
                            stmt.syntax(),
                            "sql-transaction",
                            "COMMIT without BEGIN",
                            "no transaction is open here",
                        )),
                    }
                }
                ast::Stmt::Rollback(
                    ast::Rollback::RollbackTransaction(_) | ast::Rollback::RollbackToSavepoint(_),
                )
                | ast::Stmt::SavepointCreate(_)
                | ast::Stmt::ReleaseSavepoint(_)
                | ast::Stmt::PrepareTransaction(_) => problems.push(
                    self.problem(
                        stmt.syntax(),
                        "sql-transaction",
                        "a migration cannot steer its own transaction",
                        "only BEGIN and COMMIT may bracket statements",
                    )
                    .because(
                        "the record that a step is done commits together with the step, or neither does",
                    ),
                ),
                _ => match self.statement(&stmt, open.is_some()) {
                    Ok(statement) => match &mut open {
                        Some((_, statements)) => statements.push(statement),
                        None => steps.push(Step {
                            statements: vec![statement],
                        }),
                    },
                    Err(problem) => problems.push(problem),
                },
            }
        }
        if let Some((begin, _)) = open {
            problems.push(self.problem(
                begin.syntax(),
                "sql-transaction",
                "BEGIN without COMMIT",
                "this transaction is never committed",
            ));
        }
        match Problem::bundle(
            problems,
            format!("{} cannot be run as it stands", self.source.name()),
        ) {
            Some(problem) => Err(problem),
            None => Ok(Script { steps }),
        }
    }

    fn begin_problem(&self, begin: &ast::Begin, nested: bool) -> Option<Problem> {
        if nested {
            return Some(self.problem(
                begin.syntax(),
                "sql-transaction",
                "BEGIN inside a transaction",
                "a transaction is open already",
            ));
        }
        let modes = begin.transaction_mode_list()?;
        modes.transaction_modes().next().map(|_| {
            self.problem(
                begin.syntax(),
                "sql-transaction",
                "BEGIN cannot carry transaction modes here",
                "write SET TRANSACTION … as its first statement instead",
            )
        })
    }

    fn statement(&self, stmt: &ast::Stmt, in_transaction: bool) -> Result<Statement, Problem> {
        let node = stmt.syntax();
        let transactional = classify::transactional(stmt).map_err(|unusable| match unusable {
            classify::Unusable::UnnamedIndex => self
                .problem(
                    node,
                    "sql-unnamed-index",
                    "an index that is built concurrently needs a name",
                    "no name is given",
                )
                .because("after a crash, only the name tells whether the index was built")
                .fix("write CREATE INDEX CONCURRENTLY name ON …"),
        })?;
        if in_transaction && transactional != Transactional::Yes {
            return Err(self
                .problem(
                    node,
                    "sql-not-transactional",
                    "this statement cannot run in a transaction",
                    "between BEGIN and COMMIT",
                )
                .fix("move it out of the bracket; it then runs on its own"));
        }
        let range = code_range(node);
        let text = node.text().to_string();
        let start = usize::from(node.text_range().start());
        let text = text
            .get(range.start - start..range.end - start)
            .unwrap_or_default()
            .to_owned();
        Ok(Statement {
            text,
            line: self.line(range.start),
            offset: range.start + self.base,
            summary: summary(node),
            transactional,
            locks: locks::locks(stmt),
        })
    }
}

fn tokens(node: &SyntaxNode) -> impl Iterator<Item = SyntaxToken> + use<> {
    node.descendants_with_tokens()
        .filter_map(squawk_syntax::SyntaxElement::into_token)
}

fn is_trivia(token: &SyntaxToken) -> bool {
    matches!(token.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT)
}

fn range_of(token: &SyntaxToken) -> Range<usize> {
    let range = token.text_range();
    usize::from(range.start())..usize::from(range.end())
}

/// The bytes of a statement without the space and comments around it and without its semicolon.
fn code_range(node: &SyntaxNode) -> Range<usize> {
    let whole = node.text_range();
    let mut code = tokens(node).filter(|token| !is_trivia(token) && !closes(token, node));
    let Some(first) = code.next() else {
        return usize::from(whole.start())..usize::from(whole.end());
    };
    let end = code.last().unwrap_or_else(|| first.clone());
    range_of(&first).start..range_of(&end).end
}

fn closes(token: &SyntaxToken, statement: &SyntaxNode) -> bool {
    token.kind() == SyntaxKind::SEMICOLON && token.parent().as_ref() == Some(statement)
}

/// A statement in one line without comments, cut to a readable length.
fn summary(node: &SyntaxNode) -> String {
    let mut line = String::new();
    let mut gap = false;
    for token in tokens(node).filter(|token| !closes(token, node)) {
        if is_trivia(&token) {
            gap = !line.is_empty();
            continue;
        }
        if std::mem::take(&mut gap) {
            line.push(' ');
        }
        line.push_str(token.text());
        if line.len() > 8 * SUMMARY {
            break;
        }
    }
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SUMMARY {
        return line;
    }
    let cut: String = line.chars().take(SUMMARY - 1).collect();
    format!("{}…", cut.trim_end())
}

/// The first dotted name in a part of the tree, where it names at most a schema and an object.
fn name_in(node: &SyntaxNode) -> Option<TableName> {
    dotted(node)?.parse().ok()
}

/// The first dotted name in a part of the tree, as written, without space and comments.
fn dotted(node: &SyntaxNode) -> Option<String> {
    let path = node
        .descendants()
        .find(|node| matches!(node.kind(), SyntaxKind::PATH | SyntaxKind::PATH_REF))?;
    Some(
        tokens(&path)
            .filter(|token| !is_trivia(token))
            .map(|token| token.text().to_owned())
            .collect(),
    )
}
