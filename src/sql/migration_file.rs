//! Migration files in every layout people have, and finding them (placeholder until the logic lands).

use std::path::{Path, PathBuf};

use super::Script;
use crate::domain::{Digest, Exit, Problem, SourceText};

/// One migration with its two sides.
#[derive(Clone, Debug)]
pub struct MigrationFile {
    /// The full name: file or folder name without `.sql`, `.up.sql`. Unique in its folder.
    pub name: String,
    /// What the bookkeeping table stores as id: the leading digits (`0007` of `0007_add_x`, `20261122_101500` of a
    /// timestamped name), or the name where there are none.
    pub id: String,
    /// The file, or the folder of a pair.
    pub path: PathBuf,
    /// The file of the forward side.
    pub up_source: SourceText,
    /// The file of the reverse side (the same as `up_source` where one file holds both).
    pub down_source: Option<SourceText>,
    /// The forward side.
    pub up: Script,
    /// The reverse side, where there is one.
    pub down: Option<Script>,
    /// The text of the forward side as written.
    pub up_text: String,
    /// The text of the reverse side as written.
    pub down_text: Option<String>,
}

impl MigrationFile {
    /// The digest of both sides.
    pub fn digest(&self) -> Digest {
        Digest::of_parts([self.up_text.as_str(), self.down_text.as_deref().unwrap_or("")])
    }

    /// Reads one migration from texts that are already in memory (the ledger's own, or those the ledger stored).
    ///
    /// # Errors
    /// As [`Script::parse`].
    pub fn from_text(name: &str, text: &str) -> Result<Self, Problem> {
        let _ = text;
        Err(Problem::new(
            Exit::Usage,
            "not-built",
            format!("cannot read {name} yet"),
        ))
    }
}

/// The migration called `name` (in any layout) in `folder`; `None` if there is none.
///
/// # Errors
/// It cannot be read or parsed, or exists in two layouts.
pub fn find(folder: &Path, name: &str) -> Result<Option<MigrationFile>, Problem> {
    let _ = (folder, name);
    Ok(None)
}

/// Every migration in `folder` in natural order. A folder that does not exist holds none.
///
/// # Errors
/// Every migration that cannot be read or parsed; two with the same id.
pub fn list(folder: &Path) -> Result<Vec<MigrationFile>, Problem> {
    let _ = folder;
    Ok(Vec::new())
}
