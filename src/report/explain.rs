//! How the entries of codes look: one on a terminal, all of them as a list or as a page, and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::style::{self, paint};
use super::wrap::wrap;
use crate::diagnostics::{Base, Diagnostic, Example, GROUPS, RENAME_MIGRATIONS, RENAME_PLAN, Scene};
use crate::domain::Exit;

/// Wider lines are hard to read.
const WIDEST: usize = 100;

/// What a code means, for a terminal of `width` columns.
pub fn text(entry: &Diagnostic, width: usize) -> String {
    let mut text = format!(
        "{}  {}\n\n",
        paint(style::HEADING, entry.code),
        paint(style::DIM, exits(entry))
    );
    for (label, words) in [
        ("When", entry.condition),
        ("Why", entry.effect),
        ("Do", entry.remedy),
    ] {
        let _ = writeln!(text, "  {}  {words}", paint(style::NAME, format!("{label:<4}")));
    }
    if let Example::Played { bad, good } = &entry.example {
        let shared = bad.base == good.base && bad.files == good.files;
        let _ = write!(text, "\n  {}\n", paint(style::DIM, ground(good.base)));
        if shared {
            text += &files_text(bad);
        }
        for (sign, tone, words, scene) in [
            ("✗", style::BAD, "This reports it:", bad),
            ("✓", style::GOOD, "This does not:", good),
        ] {
            let _ = write!(text, "\n  {} {words}\n", paint(tone, sign));
            if !shared {
                text += &files_text(scene);
            }
            for command in scene.commands {
                let _ = writeln!(
                    text,
                    "    {} {}",
                    paint(style::DIM, "$"),
                    paint(style::NAME, command)
                );
            }
        }
    }
    wrap(&text, width.min(WIDEST))
}

/// Every code by group, with the beginning of what is to be said about it, for a terminal of `width` columns.
pub fn list(width: usize) -> String {
    let column = GROUPS
        .iter()
        .flat_map(|group| group.entries)
        .map(|entry| entry.code.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for group in GROUPS {
        let _ = writeln!(text, "{}", paint(style::HEADING, group.title));
        for entry in group.entries {
            let code = format!("{:<column$}", entry.code);
            let _ = writeln!(
                text,
                "  {}  {}",
                paint(style::NAME, code),
                first_sentence(entry.condition)
            );
        }
        text.push('\n');
    }
    let _ = writeln!(text, "More: {}", paint(style::NAME, "shipctl explain CODE"));
    wrap(&text, width.min(WIDEST))
}

/// The page `docs/diagnostics.md`.
pub fn markdown() -> String {
    let mut page = String::from(
        "<!-- Made by `shipctl explain --markdown`; edit src/diagnostics instead. -->\n\n\
         # Diagnostics\n\n\
         What every code means: those in brackets behind the reasons of a judgement, and those of errors and warnings. \
         `shipctl explain CODE` shows the same in a terminal.\n\n\
         The examples are played by the tests. Where nothing else is said, they begin in a git repository with this \
         `shipctl.toml` and an empty database:\n\n",
    );
    let _ = write!(
        page,
        "```toml\n{}```\n\n",
        Base::Project.project_file().unwrap_or_default()
    );
    page += "**The plan `rename`** of some examples goes with this project, a table `users (id, name)`, and a commit for each \
             code phase, tagged with its name; `old` is the commit before. What `web` runs is what the tag `deployed` says: at \
             first `old`.\n\n";
    let _ = write!(
        page,
        "```toml\n# shipctl.toml\n{}\n# plans/rename.toml\n{RENAME_PLAN}```\n\n",
        Base::Rename.project_file().unwrap_or_default()
    );
    for (path, text) in RENAME_MIGRATIONS {
        let _ = write!(page, "```sql\n-- {path}\n{text}```\n\n");
    }
    for group in GROUPS {
        let _ = writeln!(page, "- [{}](#{})", group.title, anchor(group.title));
    }
    for group in GROUPS {
        let _ = write!(page, "\n## {}\n", group.title);
        for entry in group.entries {
            let _ = write!(
                page,
                "\n### {}\n\n*{}.* {}\n\n- **Why it matters:** {}\n- **What to do:** {}\n",
                entry.code,
                exits(entry),
                entry.condition,
                entry.effect,
                entry.remedy
            );
            if let Example::Played { bad, good } = &entry.example {
                let shared = bad.base == good.base && bad.files == good.files;
                if good.base != Base::Project {
                    let _ = write!(page, "\n{}\n", ground(good.base));
                }
                let mut block = String::new();
                if shared {
                    block += &files_plain(bad);
                }
                for (words, scene) in [("reports it", bad), ("does not", good)] {
                    if !block.is_empty() {
                        block.push('\n');
                    }
                    let _ = writeln!(block, "# this {words}");
                    if !shared {
                        block += &files_plain(scene);
                    }
                    for command in scene.commands {
                        let _ = writeln!(block, "$ {command}");
                    }
                }
                let _ = write!(page, "\n```console\n{block}```\n");
            }
        }
    }
    page
}

/// An entry as programs read it.
pub fn as_json(entry: &Diagnostic) -> Value {
    let group = GROUPS
        .iter()
        .find(|group| group.entries.iter().any(|one| one.code == entry.code))
        .map(|group| group.title);
    let scene = |scene: &Scene| {
        let files: Vec<Value> = scene
            .files
            .iter()
            .map(|(path, text)| json!({ "path": path, "text": text }))
            .collect();
        json!({ "in": ground(scene.base), "files": files, "commands": scene.commands })
    };
    let examples = match &entry.example {
        Example::Played { bad, good } => json!({ "bad": scene(bad), "good": scene(good) }),
        Example::Elsewhere { .. } | Example::Unplayed(_) => Value::Null,
    };
    json!({
        "code": entry.code,
        "group": group,
        "exits": entry.exits.iter().map(|exit| exit.code()).collect::<Vec<_>>(),
        "condition": entry.condition,
        "effect": entry.effect,
        "remedy": entry.remedy,
        "examples": examples,
    })
}

/// How a command ends that reports it, in words.
fn exits(entry: &Diagnostic) -> String {
    let words: Vec<String> = entry
        .exits
        .iter()
        .map(|exit| {
            let word = match exit {
                Exit::Done => return "stops nothing".to_owned(),
                Exit::Blocked => "blocked",
                Exit::Usage => "invalid",
                Exit::Unknown => "unknown",
                Exit::Waiting => "waiting",
                Exit::Failed => "failed",
                Exit::Locked => "locked",
                Exit::Interrupted => "interrupted",
            };
            format!("{word}, exit {}", exit.code())
        })
        .collect();
    words.join("; or ")
}

/// What is there before an example begins.
fn ground(base: Base) -> &'static str {
    match base {
        Base::Nothing => "In an empty folder:",
        Base::Project => "In a project whose environment production has the service web:",
        Base::Rename => {
            "In a project with the plan `rename` (add → dual-write → backfill → switch-read → stop-write → drop), whose \
             code phases are tagged commits; web runs what the tag `deployed` says, at first `old`, the commit before them:"
        }
    }
}

fn files_text(scene: &Scene) -> String {
    let mut text = String::new();
    for (path, content) in scene.files {
        let _ = writeln!(text, "    {}", paint(style::DIM, path));
        for line in content.lines() {
            let gap = if line.is_empty() { "" } else { " " };
            let _ = writeln!(text, "    {}{gap}{line}", paint(style::DIM, "│"));
        }
    }
    text
}

fn files_plain(scene: &Scene) -> String {
    let mut text = String::new();
    for (path, content) in scene.files {
        let _ = write!(text, "$ cat {path}\n{content}");
    }
    text
}

fn first_sentence(text: &str) -> &str {
    let end = [". ", ": ", "; "]
        .iter()
        .filter_map(|stop| text.find(stop))
        .min()
        .unwrap_or(text.len());
    text.get(..end).unwrap_or(text).trim_end_matches('.')
}

fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}
