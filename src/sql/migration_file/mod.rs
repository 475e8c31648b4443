//! Migration files in every layout people have, and finding them.
//!
//! `NAME.sql` with `-- UP` and `-- DOWN` lines (without any, all of it is UP), `NAME.up.sql` with `NAME.down.sql`, or a
//! folder `NAME` with `up.sql` and `down.sql`.

mod naming;
mod sides;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::NamedSource;

use naming::id_of;
pub use naming::natural_order;
use sides::{Side, Sides, side, unmarked};

use super::Script;
use super::referenced::lock_them;
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
    /// The reverse side, where there is one with at least one statement.
    pub down: Option<Script>,
    /// The text of the forward side as written.
    pub up_text: String,
    /// The text of the reverse side as written.
    pub down_text: Option<String>,
}

impl MigrationFile {
    /// The digest of both sides. Line endings and the space around a side do not count: a checkout on another system must
    /// not look like an edit.
    pub fn digest(&self) -> Digest {
        let plain = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
        let down = plain(self.down_text.as_deref().unwrap_or(""));
        Digest::of_parts([plain(&self.up_text).as_str(), down.as_str()])
    }

    /// Reads one migration from a text with `-- UP` and `-- DOWN` that is already in memory (the ledger's own, or those
    /// the ledger stored).
    ///
    /// # Errors
    /// As [`Script::parse`]; markers that appear twice; statements before the first marker.
    pub fn from_text(name: &str, text: &str) -> Result<Self, Problem> {
        let source = Arc::new(NamedSource::new(format!("{name}.sql"), text.to_owned()));
        Self::from_one(name, PathBuf::from(format!("{name}.sql")), source)
    }

    fn from_one(name: &str, path: PathBuf, source: SourceText) -> Result<Self, Problem> {
        let sides = Sides::of(&source)?;
        let mut up = Script::parse(&source, sides.up.clone())?;
        let mut down = side(&source, sides.down)?;
        lock_them(&mut up, down.as_mut().map(|(script, _)| script));
        let text = |range: Range<usize>| source.inner().get(range).unwrap_or_default().to_owned();
        Ok(Self {
            name: name.to_owned(),
            id: id_of(name).to_owned(),
            path,
            up_text: text(sides.up),
            down_text: down.as_ref().map(|(_, range)| text(range.clone())),
            down_source: down.as_ref().map(|_| Arc::clone(&source)),
            down: down.map(|(script, _)| script),
            up,
            up_source: source,
        })
    }

    fn from_pair(
        name: &str,
        path: PathBuf,
        up_source: SourceText,
        down_source: Option<SourceText>,
    ) -> Result<Self, Problem> {
        let mut up = Script::parse(&up_source, unmarked(&up_source, Side::Down)?)?;
        let mut down = match &down_source {
            Some(source) => side(source, Some(unmarked(source, Side::Up)?))?,
            None => None,
        };
        lock_them(&mut up, down.as_mut().map(|(script, _)| script));
        Ok(Self {
            name: name.to_owned(),
            id: id_of(name).to_owned(),
            path,
            up_text: up_source.inner().clone(),
            up,
            up_source,
            down_text: match (&down, &down_source) {
                (Some(_), Some(source)) => Some(source.inner().clone()),
                _ => None,
            },
            down_source: down_source.filter(|_| down.is_some()),
            down: down.map(|(script, _)| script),
        })
    }
}

/// What a folder holds under one name.
#[derive(Default)]
struct Found {
    one: Option<PathBuf>,
    up: Option<PathBuf>,
    down: Option<PathBuf>,
    folder: Option<PathBuf>,
}

/// Looks through a folder. One that does not exist holds nothing.
fn scan(folder: &Path) -> Result<BTreeMap<String, Found>, Problem> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let unreadable = |error: std::io::Error| {
        Problem::new(
            Exit::Usage,
            "migrations-unreadable",
            format!("cannot read the folder {}: {error}", folder.display()),
        )
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(unreadable(error)),
    };
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if file.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if path.join("up.sql").is_file() || path.join("down.sql").is_file() {
                found.entry(file.to_owned()).or_default().folder = Some(path.clone());
            }
        } else if let Some(name) = file.strip_suffix(".up.sql") {
            found.entry(name.to_owned()).or_default().up = Some(path.clone());
        } else if let Some(name) = file.strip_suffix(".down.sql") {
            found.entry(name.to_owned()).or_default().down = Some(path.clone());
        } else if let Some(name) = file.strip_suffix(".sql") {
            found.entry(name.to_owned()).or_default().one = Some(path.clone());
        }
    }
    Ok(found)
}

fn load(name: &str, found: Found) -> Result<MigrationFile, Problem> {
    let lonely = |path: &Path| {
        Problem::new(
            Exit::Usage,
            "migration-without-up",
            format!("{} undoes a migration that is not there", path.display()),
        )
        .fix("add its forward side")
    };
    match found {
        Found {
            one: Some(path),
            up: None,
            down: None,
            folder: None,
        } => {
            let source = read(&path)?;
            MigrationFile::from_one(name, path, source)
        }
        Found {
            one: None,
            up: Some(up),
            down,
            folder: None,
        } => {
            let down = down.as_deref().map(read).transpose()?;
            MigrationFile::from_pair(name, up.clone(), read(&up)?, down)
        }
        Found {
            one: None,
            up: None,
            down: None,
            folder: Some(folder),
        } => {
            let (up, down) = (folder.join("up.sql"), folder.join("down.sql"));
            if !up.is_file() {
                return Err(lonely(&down));
            }
            let down = down.is_file().then(|| read(&down)).transpose()?;
            let up = read(&up)?;
            MigrationFile::from_pair(name, folder, up, down)
        }
        Found {
            one: None,
            up: None,
            down: Some(down),
            folder: None,
        } => Err(lonely(&down)),
        Found {
            one,
            up,
            down,
            folder,
        } => {
            let all: Vec<String> = [one, up, down, folder]
                .into_iter()
                .flatten()
                .map(|path| path.display().to_string())
                .collect();
            Err(Problem::new(
                Exit::Usage,
                "migration-twice",
                format!("the migration {name} exists in more than one layout"),
            )
            .because(all.join(" and "))
            .fix("keep one of them"))
        }
    }
}

fn read(path: &Path) -> Result<SourceText, Problem> {
    let bytes = fs::read(path).map_err(|error| {
        Problem::new(
            Exit::Usage,
            "migration-unreadable",
            format!("cannot read {}: {error}", path.display()),
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error
            .as_bytes()
            .iter()
            .take(at)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        Problem::new(
            Exit::Usage,
            "migration-not-utf8",
            format!("{} is not UTF-8 (line {line})", path.display()),
        )
        .fix("save it as UTF-8")
    })?;
    Ok(Arc::new(NamedSource::new(shown(path), text).with_language("SQL")))
}

/// A path as people know it: from the folder of the migrations on.
fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.iter().collect();
    let side = path
        .file_name()
        .is_some_and(|file| file == "up.sql" || file == "down.sql");
    let shown = if side { 3 } else { 2 };
    let skip = parts.len().saturating_sub(shown);
    parts
        .into_iter()
        .skip(skip)
        .collect::<PathBuf>()
        .display()
        .to_string()
}

/// The migration called `name` (in any layout) in `folder`; `None` if there is none.
///
/// # Errors
/// It cannot be read or parsed, or exists in two layouts.
pub fn find(folder: &Path, name: &str) -> Result<Option<MigrationFile>, Problem> {
    let name = name.strip_suffix(".sql").unwrap_or(name);
    scan(folder)?
        .remove(name)
        .map(|found| load(name, found))
        .transpose()
}

/// The names of the migrations in `folder`, in natural order, without reading them.
///
/// # Errors
/// The folder cannot be read.
pub fn names(folder: &Path) -> Result<Vec<String>, Problem> {
    let mut names: Vec<String> = scan(folder)?.into_keys().collect();
    names.sort_by(|a, b| natural_order(a, b));
    Ok(names)
}

/// Every migration in `folder` in natural order. A folder that does not exist holds none.
///
/// # Errors
/// Every migration that cannot be read or parsed; two with the same id.
pub fn list(folder: &Path) -> Result<Vec<MigrationFile>, Problem> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for (name, found) in scan(folder)? {
        match load(&name, found) {
            Ok(file) => files.push(file),
            Err(problem) => problems.push(problem),
        }
    }
    files.sort_by(|a, b| natural_order(&a.name, &b.name));
    let mut by_id: BTreeMap<String, &MigrationFile> = BTreeMap::new();
    for file in &files {
        // 7 and 007 are one number to people, so they are one id.
        let key = match file.id.trim_start_matches('0') {
            "" => "0".to_owned(),
            plain => plain.to_owned(),
        };
        if let Some(other) = by_id.insert(key, file) {
            problems.push(
                Problem::new(
                    Exit::Usage,
                    "migration-id-twice",
                    format!("{} and {} have the same id {}", other.name, file.name, file.id),
                )
                .because("the id is what the database remembers of a migration")
                .fix(format!(
                    "rename {} so that it begins with another number",
                    file.path.display()
                )),
            );
        }
    }
    match Problem::bundle(
        problems,
        format!("the migrations in {} are not usable", folder.display()),
    ) {
        Some(problem) => Err(problem),
        None => Ok(files),
    }
}

#[cfg(test)]
mod tests;
