//! Migration files in every layout people have, and finding them.
//!
//! `NAME.sql` with `-- UP` and `-- DOWN` lines (without any, all of it is UP), `NAME.up.sql` with `NAME.down.sql`, or a
//! folder `NAME` with `up.sql` and `down.sql`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::NamedSource;

use super::{Script, parse};
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
        let up = Script::parse(&source, sides.up.clone())?;
        let down = side(&source, sides.down)?;
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
        let up = Script::parse(&up_source, unmarked(&up_source, Side::Down)?)?;
        let down = match &down_source {
            Some(source) => side(source, Some(unmarked(source, Side::Up)?))?,
            None => None,
        };
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

/// The script of a reverse side, unless it holds no statement: then there is none.
fn side(source: &SourceText, range: Option<Range<usize>>) -> Result<Option<(Script, Range<usize>)>, Problem> {
    let Some(range) = range else { return Ok(None) };
    let script = Script::parse(source, range.clone())?;
    Ok((!script.steps.is_empty()).then_some((script, range)))
}

/// A whole file as one side; the marker of the other side in it is an error, since the file cannot hold both.
fn unmarked(source: &SourceText, other: Side) -> Result<Range<usize>, Problem> {
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
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

struct Sides {
    up: Range<usize>,
    down: Option<Range<usize>>,
}

impl Sides {
    fn of(source: &SourceText) -> Result<Self, Problem> {
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

/// The id that a name begins with.
fn id_of(name: &str) -> &str {
    let bytes = name.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let separator = |at: usize| matches!(bytes.get(at), Some(b'_' | b'-' | b'T' | b'.'));
    let first = digits(0);
    let mut end = first;
    // 2026-11-22
    if first == 4
        && bytes.get(4) == Some(&b'-')
        && digits(5) == 2
        && bytes.get(7) == Some(&b'-')
        && digits(8) == 2
    {
        end = 10;
    }
    // A date goes on with a time of day: 20261122_101500, 2026-11-22-101500.
    if (end == 10 || first == 8) && separator(end) && matches!(digits(end + 1), 4 | 6) {
        end = end + 1 + digits(end + 1);
    }
    match name.get(..end) {
        Some(id) if end > 0 => id,
        _ => name,
    }
}

/// Compares names the way people count: `9_x` before `10_x`, `0002` before `10`.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (x, y) = match (left.chars().next(), right.chars().next()) {
            (Some(x), Some(y)) => (x, y),
            (x, y) => return x.is_some().cmp(&y.is_some()).then_with(|| a.cmp(b)),
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, rest_left) = number(left);
            let (n, rest_right) = number(right);
            // Without leading zeros, the longer number is the greater one.
            let order = m.len().cmp(&n.len()).then_with(|| m.cmp(n));
            if order != Ordering::Equal {
                return order;
            }
            (left, right) = (rest_left, rest_right);
        } else {
            if x != y {
                return x.cmp(&y);
            }
            left = left.get(x.len_utf8()..).unwrap_or_default();
            right = right.get(y.len_utf8()..).unwrap_or_default();
        }
    }
}

/// The number that a text begins with, without leading zeros, and what follows.
fn number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.trim_start_matches('0'), rest)
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
mod tests {
    use super::*;

    fn texts(text: &str) -> (String, Option<String>) {
        let file = MigrationFile::from_text("0001_x", text).unwrap();
        (
            file.up_text.trim().to_owned(),
            file.down_text.map(|text| text.trim().to_owned()),
        )
    }

    fn pair(up: &str, down: &str) -> (String, Option<String>) {
        (up.to_owned(), Some(down.to_owned()))
    }

    #[test]
    fn both_sides_are_found_in_every_common_spelling() {
        for text in [
            "-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;",
            "--up\r\nSELECT 1;\r\n--down\r\nSELECT 2;\r\n",
            "\u{feff}-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;",
            "-- a title\n/* a block */\n-- ===== UP =====\nSELECT 1;\n  -- Down:\nSELECT 2;",
            "-- Up Migration\nSELECT 1;\n-- Down Migration\nSELECT 2;",
            "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;",
            "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;",
            "SELECT 1;\n-- DOWN\nSELECT 2;",
            "-- DOWN\nSELECT 2;\n-- UP\nSELECT 1;",
        ] {
            assert_eq!(texts(text), pair("SELECT 1;", "SELECT 2;"), "{text}");
        }
        assert_eq!(texts("SELECT 1;"), ("SELECT 1;".to_owned(), None));
        assert_eq!(
            texts("-- UP\nSELECT 1;\n-- DOWN\n-- nothing"),
            ("SELECT 1;".to_owned(), None)
        );
    }

    #[test]
    fn markers_inside_strings_dollar_quotes_and_comments_are_none() {
        let tricky = "-- UP\nSELECT '\n-- DOWN\n', $$\n-- DOWN\n$$, $t$\n-- UP\n$t$ /*\n-- DOWN\n*/, \"\n-- DOWN\n\"; -- DOWN\n\
                      -- goes down well\nSELECT 1;\n-- DOWN\nSELECT 2;";
        let file = MigrationFile::from_text("0001_x", tricky).unwrap();
        assert_eq!(file.up.steps.len(), 2);
        assert_eq!(file.down_text.unwrap().trim(), "SELECT 2;");
    }

    #[test]
    fn unclear_sides_are_refused() {
        for bad in [
            "-- UP\nSELECT 1;\n-- UP\nSELECT 2;",
            "SELECT 0;\n-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;",
            "-- UP\nSELECT FROM WHERE;\n",
        ] {
            assert!(MigrationFile::from_text("0001_x", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn line_endings_are_no_edit_but_words_are() {
        let digest = |text| MigrationFile::from_text("0001_x", text).unwrap().digest();
        let plain = digest("-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;\n");
        assert_eq!(plain, digest("-- UP\r\nSELECT 1;\r\n\r\n-- DOWN\r\nSELECT 2;"));
        assert_ne!(plain, digest("-- UP\nSELECT 1;\n-- DOWN\nSELECT 3;\n"));
    }

    #[test]
    fn ids_are_the_numbers_that_names_begin_with() {
        for (name, id) in [
            ("0007_add_x", "0007"),
            ("0007_2_factor", "0007"),
            ("12-add", "12"),
            ("20261122_101500_add", "20261122_101500"),
            ("20261122101500_add", "20261122101500"),
            ("20261122_add", "20261122"),
            ("2026-11-22-101500_add", "2026-11-22-101500"),
            ("2026-11-22_add", "2026-11-22"),
            ("add_users", "add_users"),
            ("001", "001"),
        ] {
            assert_eq!(id_of(name), id, "{name}");
        }
    }

    #[test]
    fn order_is_natural() {
        let mut names = vec!["10_b", "0002_a", "9_c", "1_z", "v10", "v9", "0002", "a"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["1_z", "0002", "0002_a", "9_c", "10_b", "a", "v9", "v10"]);
    }

    #[test]
    fn every_layout_is_listed_and_clashes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("0010_c.sql", b"-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;");
        write("2_b.up.sql", b"SELECT 1;");
        write("2_b.down.sql", b"SELECT 2;");
        write("0001_a/up.sql", b"SELECT 1;");
        write("0001_a/down.sql", b"SELECT 2;");
        write("notes/readme.md", b"x");
        write(".hidden.sql", b"not sql");
        let files = list(folder.path()).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["0001_a", "2_b", "0010_c"]);
        assert!(files.iter().all(|file| file.down.is_some()));
        assert_eq!(find(folder.path(), "2_b").unwrap().unwrap().id, "2");
        assert!(find(folder.path(), "3_x").unwrap().is_none());
        assert!(list(&folder.path().join("nowhere")).unwrap().is_empty());

        write("02_other.sql", b"SELECT 1;");
        let clash = list(folder.path()).unwrap_err();
        assert!(
            clash.message().contains("02_other") && clash.message().contains("2_b"),
            "{clash}"
        );
        fs::remove_file(folder.path().join("02_other.sql")).unwrap();

        write("2_b.sql", b"SELECT 1;");
        assert_eq!(find(folder.path(), "2_b").unwrap_err().code(), "migration-twice");
        fs::remove_file(folder.path().join("2_b.sql")).unwrap();

        write("0011_d.sql", b"SELECT '\xff';");
        write("0012_e.down.sql", b"SELECT 1;");
        let both = list(folder.path()).unwrap_err();
        assert_eq!(both.related().len(), 2);
    }
}
