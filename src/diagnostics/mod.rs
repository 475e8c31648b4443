//! What every code means that a problem or a reason can carry: when it comes, why it matters, what to do, and an example.
//!
//! Pure data. `shipctl explain` shows it, `docs/diagnostics.md` is made from it, and tests run the examples and hold it
//! against the sources, so that no code is without an entry and no entry without a code.

mod command_line;
mod database;
mod demo;
mod example;
mod fill;
mod gates;
mod git;
mod ledger;
mod migrate;
mod migration_files;
mod operations;
mod plan_files;
mod project_file;
mod proof;
mod recipes;
mod run;
mod values;

pub use example::{Base, Example, RENAME_MIGRATIONS, RENAME_PLAN, Scene};

use crate::domain::Exit;

/// The entry of one code.
#[derive(Clone, Copy, Debug)]
pub struct Diagnostic {
    /// The code, as it stands in brackets behind a reason, above a problem, and in JSON.
    pub code: &'static str,
    /// How a command can end that reports it; `Done` where it stops nothing.
    pub exits: &'static [Exit],
    /// When it comes.
    pub condition: &'static str,
    /// Why it matters.
    pub effect: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// What brings it about, and what does not.
    pub example: Example,
}

/// Codes that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// Their entries, in the order in which they are read best.
    pub entries: &'static [Diagnostic],
}

/// Every entry, by group.
pub static GROUPS: [Group; 16] = [
    gates::GROUP,
    values::GROUP,
    plan_files::GROUP,
    proof::GROUP,
    project_file::GROUP,
    migration_files::GROUP,
    migrate::GROUP,
    recipes::GROUP,
    operations::GROUP,
    command_line::GROUP,
    git::GROUP,
    database::GROUP,
    ledger::GROUP,
    run::GROUP,
    fill::GROUP,
    demo::GROUP,
];

/// Every entry.
pub fn all() -> impl Iterator<Item = &'static Diagnostic> {
    GROUPS.iter().flat_map(|group| group.entries)
}

/// The entry of a code.
pub fn find(code: &str) -> Option<&'static Diagnostic> {
    all().find(|entry| entry.code == code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_one_entry_that_says_everything() {
        let mut seen = BTreeSet::new();
        for entry in all() {
            let code = entry.code;
            assert!(seen.insert(code), "{code} has two entries");
            assert!(!entry.exits.is_empty(), "{code}");
            for text in [entry.condition, entry.effect, entry.remedy] {
                assert!(text.len() > 12 && text.ends_with('.'), "{code}: {text}");
                assert!(!text.contains('\n') && !text.contains("  "), "{code}: {text}");
            }
        }
    }
}
