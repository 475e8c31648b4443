//! Pieces of a statement's text, and the text without them.

use std::ops::Range;

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::super::{code_range, is_trivia, range_of, tokens};

/// A part of the tree from its first keyword of a kind on.
pub(super) fn from_keyword(node: &SyntaxNode, keyword: SyntaxKind) -> Result<String, String> {
    let found = tokens(node).find(|token| token.kind() == keyword);
    let found = found.ok_or("a foreign key is not understood")?;
    let whole = code_range(node);
    let start = usize::from(node.text_range().start());
    let text = node.text().to_string();
    text.get(range_of(&found).start - start..whole.end - start)
        .map(str::to_owned)
        .ok_or_else(|| "a foreign key is not understood".to_owned())
}

/// A table constraint with the comma before it, or that after it where it is the first.
pub(super) fn with_comma(node: &SyntaxNode) -> Range<usize> {
    let own = code_range(node);
    let mut before = node.first_token().and_then(|token| token.prev_token());
    while let Some(token) = before {
        if token.kind() == SyntaxKind::COMMA {
            return range_of(&token).start..own.end;
        }
        if !is_trivia(&token) {
            break;
        }
        before = token.prev_token();
    }
    let mut after = node.last_token().and_then(|token| token.next_token());
    while let Some(token) = after {
        if token.kind() == SyntaxKind::COMMA {
            return own.start..range_of(&token).end;
        }
        if !is_trivia(&token) {
            break;
        }
        after = token.next_token();
    }
    own
}

/// A range of the text without some parts of it.
pub(super) fn without(text: &str, whole: &Range<usize>, cuts: &[Range<usize>]) -> String {
    let mut kept = String::new();
    let mut from = whole.start;
    for cut in cuts.iter().filter(|cut| cut.start >= whole.start) {
        let piece = text.get(from..cut.start.max(from)).unwrap_or_default();
        kept.push_str(piece.trim_end());
        from = from.max(cut.end);
    }
    kept.push_str(text.get(from..whole.end).unwrap_or_default());
    kept
}

/// The text of a part of the tree without comments, and without space around it.
pub(super) fn text_of(node: &SyntaxNode) -> String {
    tokens_text(node).trim().to_owned()
}

/// The text of a part of the tree without comments.
pub(super) fn tokens_text(node: &SyntaxNode) -> String {
    tokens(node)
        .map(|token| {
            if token.kind() == SyntaxKind::COMMENT {
                " ".to_owned()
            } else {
                token.text().to_owned()
            }
        })
        .collect()
}
