//! The lists of columns in the text of a foreign key.

use squawk_syntax::SourceFile;
use squawk_syntax::ast::AstNode as _;

use super::pieces::tokens_text;
use crate::domain::{SqlIdentifier, TableName};

/// The lists of `FOREIGN KEY (…) REFERENCES name [(…)]`.
pub(super) fn both_lists(definition: &str) -> Result<(Vec<SqlIdentifier>, Vec<SqlIdentifier>), String> {
    let parsed = SourceFile::parse(definition);
    let text = tokens_text(parsed.tree().syntax());
    let (_, rest) = text.split_once('(').ok_or("a foreign key has no columns")?;
    let (columns, rest) = names_to_end(rest)?;
    // A table's name may hold parentheses only in quotes, which are gone through like those of columns.
    let mut rest = rest.trim_start();
    rest = rest
        .get(..10)
        .filter(|word| word.eq_ignore_ascii_case("references"))
        .and_then(|_| rest.get(10..))
        .ok_or("a foreign key does not say REFERENCES")?;
    let mut quoted = false;
    for (at, character) in rest.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '(' if !quoted => {
                let inner = rest.get(at + 1..).unwrap_or_default();
                // Only right after the name, not what a later action lists.
                let before = rest.get(..at).unwrap_or_default();
                let is_name = before.trim().parse::<TableName>().is_ok();
                return Ok((
                    columns,
                    if is_name {
                        names_to_end(inner)?.0
                    } else {
                        Vec::new()
                    },
                ));
            }
            _ => {}
        }
    }
    Ok((columns, Vec::new()))
}

/// Names with commas between them, up to a closing parenthesis, and what follows that.
pub(super) fn names_to_end(text: &str) -> Result<(Vec<SqlIdentifier>, &str), String> {
    let mut names = Vec::new();
    let (mut quoted, mut from) = (false, 0);
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ',' | ')' if !quoted => {
                let name = text.get(from..at).unwrap_or_default().trim();
                names.push(
                    name.parse::<SqlIdentifier>()
                        .map_err(|_| format!("`{name}` is not understood as the name of a column"))?,
                );
                from = at + 1;
                if character == ')' {
                    return Ok((names, text.get(from..).unwrap_or_default()));
                }
            }
            _ => {}
        }
    }
    Err("a list of columns does not end".to_owned())
}
