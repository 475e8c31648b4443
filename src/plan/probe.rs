//! The content probes of a code phase: `content` looks for texts, `probe` for regular expressions.

use std::path::{Component, Path};

use globset::GlobBuilder;

use super::{ContentPattern, ContentProbe, is_glob};
use crate::project::reader::{Placed, Table};

/// Why the whole tree cannot be looked through.
const HOLDS_ITSELF: &str = "this includes this file, in which the pattern is always found";

/// Reads both keys.
pub(super) fn read_probes(table: &Table<'_, '_>) -> Vec<ContentProbe> {
    let texts = table.tables("content").unwrap_or_default();
    let mut probes: Vec<ContentProbe> = texts.into_iter().filter_map(read_text).collect();
    probes.extend(read_regexes(table));
    probes
}

fn read_text(table: Table<'_, '_>) -> Option<ContentProbe> {
    let pattern = table.required_string("pattern", "pattern = \"users.name\"");
    let paths = read_paths(&table);
    let (present, absent) = (table.boolean("present"), table.boolean("absent"));
    if let Some(pattern) = &pattern {
        refuse_empty(&table, "pattern", pattern);
    }
    let expected = match (present, absent) {
        (Some(present), None) => Some(present),
        (None, Some(absent)) => Some(!absent),
        _ => {
            one_of_both(
                &table,
                "`present = true` or `absent = true`",
                "add `absent = true` if the pattern must not be there",
            );
            None
        }
    };
    table.finish();
    Some(ContentProbe {
        pattern: ContentPattern::Text(pattern?.value),
        paths,
        present: expected?,
    })
}

/// `probe` is one table, or a list of them.
fn read_regexes(table: &Table<'_, '_>) -> Vec<ContentProbe> {
    let tables = if table.is_list("probe") {
        table.tables("probe").unwrap_or_default()
    } else {
        table.table("probe").into_iter().collect()
    };
    tables.into_iter().filter_map(read_regex).collect()
}

fn read_regex(table: Table<'_, '_>) -> Option<ContentProbe> {
    let paths = read_paths(&table);
    let expected = match (table.string("present"), table.string("absent")) {
        (Some(pattern), None) => Some(("present", pattern, true)),
        (None, Some(pattern)) => Some(("absent", pattern, false)),
        _ => {
            one_of_both(
                &table,
                "`present = 'REGEX'` or `absent = 'REGEX'`",
                "add `absent = 'REGEX'` with what must not be there",
            );
            None
        }
    };
    table.finish();
    let (key, pattern, present) = expected?;
    refuse_empty(&table, key, &pattern);
    match regex::bytes::Regex::new(&pattern.value) {
        Err(error) => {
            // Its message draws the expression over several lines; the last says what is wrong.
            let said = error.to_string();
            let why = said
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            table.invalid(
                key,
                pattern.span,
                why,
                "write a regular expression; between single quotes, backslashes stand for themselves",
            );
            return None;
        }
        Ok(regex) if regex.is_match(b"") => {
            table.invalid(
                key,
                pattern.span,
                "it matches nothing at all, so it is found everywhere",
                "write an expression that some text is needed for",
            );
            return None;
        }
        Ok(_) => {}
    }
    Some(ContentProbe {
        pattern: ContentPattern::Regex(pattern.value),
        paths,
        present,
    })
}

fn read_paths(table: &Table<'_, '_>) -> Vec<String> {
    let paths = table.strings("paths").unwrap_or_default();
    if paths.is_empty() {
        table.document().mistake(
            "missing-key",
            format!("{} must say where to look", table.what()),
            table.span(),
            "the whole tree includes this file, in which the pattern is always found",
            "add `paths = [\"src\"]` with the folders of the code",
        );
    }
    for path in &paths {
        refuse_unusable(table, path);
    }
    paths.into_iter().map(|path| path.value).collect()
}

/// The plan itself holds the pattern, and lies in the same tree.
fn refuse_unusable(table: &Table<'_, '_>, path: &Placed<String>) {
    let parts = Path::new(&path.value).components();
    if parts.clone().all(|part| matches!(part, Component::CurDir)) {
        let fix = "name the folders of the code";
        table.invalid("paths", path.span.clone(), HOLDS_ITSELF, fix);
    } else if parts
        .clone()
        .any(|part| !matches!(part, Component::CurDir | Component::Normal(_)))
    {
        let fix = "name it from the repository's root, as in \"src\"";
        table.invalid(
            "paths",
            path.span.clone(),
            "this is not in the repository's tree",
            fix,
        );
    } else if is_glob(&path.value) {
        match GlobBuilder::new(&path.value).literal_separator(true).build() {
            Err(error) => table.invalid(
                "paths",
                path.span.clone(),
                error.kind().to_string(),
                "write a glob such as \"src/**/*.rs\"",
            ),
            Ok(glob) if glob.compile_matcher().is_match(plan_file(table)) => {
                let fix = "name the folders of the code, as in \"src/**\"";
                table.invalid("paths", path.span.clone(), HOLDS_ITSELF, fix);
            }
            Ok(_) => {}
        }
    }
}

/// The plan's file under the repository's root: the last folder and the name, which is all that can be known here.
fn plan_file(table: &Table<'_, '_>) -> std::path::PathBuf {
    let name = Path::new(table.document().source().name());
    let parts: Vec<Component<'_>> = name.components().collect();
    parts[parts.len().saturating_sub(2)..].iter().collect()
}

fn refuse_empty(table: &Table<'_, '_>, key: &'static str, pattern: &Placed<String>) {
    if pattern.value.is_empty() {
        table.invalid(
            key,
            pattern.span.clone(),
            "an empty pattern is found everywhere",
            "write what to look for",
        );
    }
}

fn one_of_both(table: &Table<'_, '_>, either: &str, fix: &str) {
    table.document().mistake(
        "missing-key",
        format!("{} must say either {either}", table.what()),
        table.span(),
        "one of the two is needed",
        fix,
    );
}
