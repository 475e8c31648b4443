//! Holds the rooms in order: a module may use the rooms below its own and none above.
#![allow(
    clippy::unwrap_used,
    reason = "in a test this is how a failure shows, in its helpers too"
)]

use std::fs;
use std::path::{Path, PathBuf};

use shipctl::execute::failpoint::Failpoint;

/// From top to bottom.
const ROOMS: [&str; 14] = [
    "cli",
    "demo",
    "report",
    "execute",
    "observe",
    "postgres",
    "recipe",
    "plan",
    "project",
    "sql",
    "ledger",
    "safety",
    "diagnostics",
    "domain",
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a line of code names through `crate::`, also inside `use crate::{a, b}`.
fn rooms_named(text: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line = text[..at].matches('\n').count() + 1;
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = 0;
            for (i, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => {
                        named.push((line, group[start..i].to_owned()));
                        break;
                    }
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        named.push((line, group[start..i].to_owned()));
                        start = i + 1;
                    }
                    _ => {}
                }
            }
        } else {
            named.push((line, rest.to_owned()));
        }
    }
    named
        .into_iter()
        .map(|(line, rest)| {
            let name = rest
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            (line, name)
        })
        .collect()
}

fn upward_imports(room: usize, text: &str) -> Vec<(usize, String)> {
    rooms_named(text)
        .into_iter()
        .filter(|(_, name)| {
            ROOMS
                .iter()
                .position(|other| other == name)
                .is_some_and(|other| other < room)
        })
        .collect()
}

#[test]
fn no_module_imports_upward() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for (room, name) in ROOMS.iter().enumerate() {
        let mut files = Vec::new();
        rust_files(&source.join(name), &mut files);
        assert!(!files.is_empty(), "the room {name} is empty");
        for file in files {
            for (line, upper) in upward_imports(room, &fs::read_to_string(&file).unwrap()) {
                faults.push(format!(
                    "{}:{line}: {name} uses {upper}, which is above it",
                    file.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_folder_of_src_is_a_known_room() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(
                ROOMS.contains(&name.as_str()),
                "src/{name} has no place in the order of rooms"
            );
        }
    }
}

#[test]
fn an_upward_import_is_noticed() {
    let plan = ROOMS.iter().position(|room| *room == "plan").unwrap();
    assert_eq!(upward_imports(plan, "use crate::domain::PlanId;\n").len(), 0);
    assert_eq!(
        upward_imports(plan, "use crate::{domain::PlanId, execute::{a, b}};"),
        [(1, "execute".to_owned())]
    );
    assert_eq!(
        upward_imports(plan, "\nlet x = crate::cli::main();"),
        [(2, "cli".to_owned())]
    );
}

#[test]
fn every_failpoint_is_reached_somewhere() {
    let mut files = Vec::new();
    rust_files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/execute"),
        &mut files,
    );
    let text: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let unreached: Vec<Failpoint> = Failpoint::ALL
        .iter()
        .copied()
        .filter(|point| !text.contains(&format!("reach(Failpoint::{point:?})")))
        .collect();
    assert_eq!(unreached, []);
}
