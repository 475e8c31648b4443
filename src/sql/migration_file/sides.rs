//! Where in a file its two sides begin and end.

use std::ops::Range;

use crate::domain::{Exit, Problem, SourceText};
use crate::sql::{Script, parse};

/// The script of a reverse side, unless it holds no statement: then there is none.
pub(super) fn side(
    source: &SourceText,
    range: Option<Range<usize>>,
) -> Result<Option<(Script, Range<usize>)>, Problem> {
    let Some(range) = range else { return Ok(None) };
    let script = Script::parse(source, range.clone())?;
    Ok((!script.steps.is_empty()).then_some((script, range)))
}

/// A whole file as one side; the marker of the other side in it is an error, since the file cannot hold both.
pub(super) fn unmarked(source: &SourceText, other: Side) -> Result<Range<usize>, Problem> {
    match markers(source.inner())
        .into_iter()
        .find(|marker| marker.side == other)
    {
        None => Ok(0..source.inner().len()),
        Some(marker) => Err(Problem::new(
            Exit::Usage,
            "migration-markers",
            format!(
                "{} is one side of a pair, but holds a marker of the other",
                source.name()
            ),
        )
        .fix("keep both sides in one NAME.sql, or each in a file of its own")
        .at(source, marker.range, "the other side begins here")),
    }
}

/// One of the two directions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Up,
    Down,
}

struct Marker {
    side: Side,
    /// The marker's line, from its dashes to the end of the comment.
    range: Range<usize>,
}

/// The lines of a file that are a marker: a line comment alone on its line that says `UP` or `DOWN` and nothing else but
/// decoration. The forms of other runners (`-- migrate:up`, `-- +goose Up`, `-- Up Migration`) are understood.
fn markers(text: &str) -> Vec<Marker> {
    parse::line_comments(text)
        .into_iter()
        .filter(|comment| {
            let before = text.get(..comment.range.start).unwrap_or_default();
            let line = before.rsplit('\n').next().unwrap_or_default();
            line.trim_start_matches('\u{feff}').trim().is_empty()
        })
        .filter_map(|comment| {
            let words = comment
                .text
                .trim_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '=' | '*' | '#' | ':'))
                .to_ascii_lowercase();
            let side = match words.as_str() {
                "up" | "up migration" | "migrate:up" | "+migrate up" | "+goose up" => Side::Up,
                "down" | "down migration" | "migrate:down" | "+migrate down" | "+goose down" => Side::Down,
                _ => return None,
            };
            Some(Marker {
                side,
                range: comment.range,
            })
        })
        .collect()
}

/// Where in a file its two sides are.
pub(super) struct Sides {
    pub(super) up: Range<usize>,
    pub(super) down: Option<Range<usize>>,
}

impl Sides {
    pub(super) fn of(source: &SourceText) -> Result<Self, Problem> {
        let text = source.inner();
        let markers = markers(text);
        let Some(first) = markers.first() else {
            return Ok(Self {
                up: 0..text.len(),
                down: None,
            });
        };
        let faulty = |message: &str| {
            Problem::new(
                Exit::Usage,
                "migration-markers",
                format!("{}: {message}", source.name()),
            )
        };
        let mut up = None;
        let mut down = None;
        for (place, marker) in markers.iter().enumerate() {
            let end = markers.get(place + 1).map_or(text.len(), |next| next.range.start);
            let slot = match marker.side {
                Side::Up => &mut up,
                Side::Down => &mut down,
            };
            if slot.is_some() {
                return Err(faulty("the same side begins twice").at(
                    source,
                    marker.range.clone(),
                    "a second marker of this side",
                ));
            }
            *slot = Some(marker.range.end..end);
        }
        let preamble = 0..first.range.start;
        let up = match up {
            // Only a DOWN marker: what stands before it is UP.
            None => preamble,
            Some(up) => {
                if parse::has_code(
                    text.get(preamble)
                        .unwrap_or_default()
                        .trim_start_matches('\u{feff}'),
                ) {
                    return Err(faulty("statements before the first marker belong to no side")
                        .fix("move them below `-- UP`")
                        .at(source, first.range.clone(), "the first side begins here"));
                }
                up
            }
        };
        Ok(Self { up, down })
    }
}
