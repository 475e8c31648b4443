//! Reading the `source = {…}` and `sources = […]` of a service.

use std::path::PathBuf;

use jiff::SignedDuration;

use super::reader::{Placed, Table};
use super::{HeartbeatSource, Source, SourceKind, pods};
use crate::domain::did_you_mean;
use crate::safety::{Completeness, DrainWindow};

const KINDS: [&str; 8] = [
    "connections",
    "http",
    "kubernetes",
    "heartbeat",
    "git-ref",
    "file",
    "command",
    "recorded",
];

/// Reads both spellings; reports it if there is neither, or both.
pub(super) fn read_sources(service: &Table<'_, '_>) -> Vec<Source> {
    let example = "source = { kind = \"connections\", application_name = \"web@{commit}\" }";
    let both = service.has("source") && service.has("sources");
    let single = service.table("source");
    let list = service.tables("sources");
    if both {
        service.invalid(
            "source",
            single.as_ref().map_or(service.span(), Table::span),
            "`sources` is given as well",
            "move it into the list `sources = [ … ]`",
        );
    }
    let mut tables: Vec<Table<'_, '_>> = single.into_iter().collect();
    tables.extend(list.into_iter().flatten());
    if tables.is_empty() && !service.has("source") {
        service.missing("source", example);
    }
    tables.into_iter().filter_map(read_source).collect()
}

fn read_source(mut table: Table<'_, '_>) -> Option<Source> {
    let kind = table.required_string("kind", "kind = \"connections\"")?;
    let timeout = table.duration("timeout").unwrap_or(SignedDuration::from_secs(5));
    if KINDS.contains(&kind.value.as_str()) {
        table.call(format!("source `{}`", kind.value));
    }
    let kind = match kind.value.as_str() {
        "connections" => connections(&table),
        "http" => http(&table),
        "kubernetes" => pods::read(&table).map(SourceKind::Kubernetes),
        "heartbeat" => Some(SourceKind::Heartbeat(HeartbeatSource {
            ttl: table.duration("ttl").unwrap_or(SignedDuration::from_mins(1)),
        })),
        "git-ref" => table
            .required_string("reference", "reference = \"deployed/production\"")
            .and_then(|reference| not_empty(&table, "reference", reference))
            .map(|reference| SourceKind::GitRef { reference }),
        "file" => {
            let path = table.required_string("path", "path = \"deployed.json\"");
            let (pointer, completeness) = (pointer(&table), completeness(&table));
            let path = path
                .and_then(|path| not_empty(&table, "path", path))
                .map(PathBuf::from);
            path.map(|path| SourceKind::File {
                path,
                pointer,
                completeness,
            })
        }
        "command" => command(&table),
        "recorded" => Some(SourceKind::Recorded {
            max_age: table
                .duration("max_age")
                .unwrap_or(SignedDuration::from_hours(24)),
        }),
        other => {
            table.invalid(
                "kind",
                kind.span.clone(),
                "no such kind of source",
                did_you_mean(other, &KINDS),
            );
            return None;
        }
    };
    let drain = drain(&table, kind.as_ref());
    table.finish();
    Some(Source {
        kind: kind?,
        timeout,
        drain,
    })
}

/// How often and for how long a version must not have been seen before that counts as gone.
fn drain(table: &Table<'_, '_>, kind: Option<&SourceKind>) -> Option<DrainWindow> {
    if matches!(
        kind,
        Some(SourceKind::GitRef { .. } | SourceKind::Recorded { .. })
    ) {
        let why = "what was only said never shows that a version is gone, however often it is asked for";
        for key in ["samples", "over"] {
            table.out_of_place(key, why, "move it to a source that looks");
        }
        return None;
    }
    match (table.has("samples"), table.has("over")) {
        (false, false) => {}
        (true, false) => table.missing("over", "over = \"2m\", as long as the longest job"),
        (false, true) => table.missing("samples", "samples = 5"),
        (true, true) => {}
    }
    let (samples, over) = (table.number("samples", 2), table.duration("over"));
    Some(DrainWindow {
        samples: samples?.value,
        over: over?,
    })
}

/// A text that says something.
pub(super) fn not_empty(table: &Table<'_, '_>, key: &str, text: Placed<String>) -> Option<String> {
    if text.value.trim().is_empty() {
        table.invalid(key, text.span, "it is empty", "write what it should be");
        return None;
    }
    Some(text.value)
}

fn connections(table: &Table<'_, '_>) -> Option<SourceKind> {
    let pattern = table.required_string("application_name", "application_name = \"web@{commit}\"")?;
    let commits = pattern.value.matches("{commit}").count();
    let instances = pattern.value.matches("{instance}").count();
    let rest = pattern.value.replace("{commit}", "").replace("{instance}", "");
    let fix = "write it such as `application_name = \"web@{commit}\"` or \"web@{commit}/{instance}\"";
    if commits != 1 || instances > 1 || rest.contains(['{', '}']) {
        table.invalid(
            "application_name",
            pattern.span,
            "`{commit}` must stand in it once, `{instance}` at most once, and no other placeholder",
            fix,
        );
        return None;
    }
    if pattern.value.contains("{commit}{instance}") || pattern.value.contains("{instance}{commit}") {
        table.invalid(
            "application_name",
            pattern.span,
            "nothing separates `{commit}` from `{instance}`",
            fix,
        );
        return None;
    }
    // PostgreSQL keeps 63 bytes of the name, and a cut-off commit identifies nothing.
    let fixed = rest.len() + 40;
    if fixed > 63 {
        table.invalid(
            "application_name",
            pattern.span,
            format!("with a full commit it is {fixed} bytes long, and PostgreSQL keeps only 63"),
            "shorten the fixed part to at most 23 bytes",
        );
        return None;
    }
    Some(SourceKind::Connections {
        application_name: pattern.value,
    })
}

fn http(table: &Table<'_, '_>) -> Option<SourceKind> {
    let url = table.required_string("url", "url = \"https://web.internal/version\"");
    let pointer = pointer(table);
    let every_address = table.boolean("every_address").unwrap_or(false);
    let url = url?;
    if !(url.value.starts_with("http://") || url.value.starts_with("https://")) {
        table.invalid(
            "url",
            url.span,
            "it must begin with http:// or https://",
            "write the whole URL, such as \"https://web.internal/version\"",
        );
        return None;
    }
    Some(SourceKind::Http {
        url: url.value,
        pointer,
        every_address,
    })
}

fn command(table: &Table<'_, '_>) -> Option<SourceKind> {
    let example = "argv = [\"./scripts/deployed\", \"web\"]";
    if !table.has("argv") {
        table.missing("argv", example);
    }
    let argv = table.strings("argv");
    let (pointer, completeness) = (pointer(table), completeness(table));
    let argv: Vec<String> = argv?.into_iter().map(|word| word.value).collect();
    if argv.first().is_none_or(|program| program.trim().is_empty()) {
        table.invalid(
            "argv",
            table.span(),
            "no program is named",
            format!("write `{example}`"),
        );
        return None;
    }
    Some(SourceKind::Command {
        argv,
        pointer,
        completeness,
    })
}

fn pointer(table: &Table<'_, '_>) -> Option<String> {
    let pointer = table.string("pointer")?;
    if !pointer.value.is_empty() && !pointer.value.starts_with('/') {
        table.invalid(
            "pointer",
            pointer.span,
            "a JSON pointer begins with a slash",
            format!("write `pointer = \"/{}\"`", pointer.value.replace('.', "/")),
        );
        return None;
    }
    Some(pointer.value)
}

/// What a file or a program enumerates. Without a declaration nothing is proven by absence.
fn completeness(table: &Table<'_, '_>) -> Completeness {
    let Some(word) = table.string("completeness") else {
        return Completeness::Claim;
    };
    match word.value.as_str() {
        "full" => Completeness::Full,
        "sample" => Completeness::Sample,
        "claim" => Completeness::Claim,
        other => {
            table.invalid(
                "completeness",
                word.span.clone(),
                "no such completeness",
                did_you_mean(other, &["full", "sample", "claim"]),
            );
            Completeness::Claim
        }
    }
}
