//! Content probes: text that must be present in, or absent from, a version's tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid};
use globset::{GlobBuilder, GlobMatcher};
use regex::bytes::{Regex, RegexBuilder};

use super::patch::is_not_in_tree;
use super::{Repository, short};
use crate::plan::{ContentPattern, ContentProbe, is_glob};
use crate::safety::{Containment, Doubt};

/// What was seen in a tree or file, by object: versions share most of theirs.
#[derive(Default)]
pub(super) struct Memo {
    found: BTreeMap<(Oid, ContentPattern), Sight>,
}

/// A question about one version.
struct Search<'a> {
    version: Oid,
    tree: &'a git2::Tree<'a>,
    pattern: &'a ContentPattern,
    needle: Needle,
}

/// What is looked for, ready to be found.
enum Needle {
    Text(Vec<u8>),
    Regex(Regex),
}

/// What lies at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link,
    Submodule,
}

/// Something in the tree, and where.
struct Item {
    path: PathBuf,
    id: Oid,
    kind: Kind,
}

/// What was seen of a pattern. The greater one counts where several were: it was found, or may be where nobody could look.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sight {
    Absent,
    /// A binary file: nothing that code is expected in, but nothing that text can be said to be absent from.
    Binary,
    Unseen(Obstacle),
    Found,
}

/// What cannot be looked into.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    Utf16,
    Link,
    Submodule,
}

/// The mode of a symbolic link.
const LINK: i32 = 0o120_000;

/// What files in UTF-16 begin with.
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

impl Repository {
    /// What the probes say of a version's tree: Yes if all hold, No if one does not, Unknown if one cannot be made.
    /// `None` without probes.
    pub(super) fn probe_content(
        &self,
        version: Oid,
        probes: &[ContentProbe],
    ) -> Result<Option<Containment>, Doubt> {
        let mut held = Vec::new();
        for probe in probes {
            let (holds, said) = self.probe(version, probe)?;
            if !holds {
                return Ok(Some(Containment::No { evidence: said }));
            }
            held.push(said);
        }
        Ok((!held.is_empty()).then(|| Containment::Yes {
            evidence: held.join("; "),
        }))
    }

    fn probe(&self, version: Oid, probe: &ContentProbe) -> Result<(bool, String), Doubt> {
        let tree = self
            .inner
            .find_commit(version)
            .and_then(|commit| commit.tree())
            .map_err(|error| self.no_content(version, &error))?;
        let search = Search {
            version,
            tree: &tree,
            pattern: &probe.pattern,
            needle: needle(&probe.pattern)?,
        };
        if probe.paths.is_empty() {
            return Err(Doubt::new(format!(
                "a content probe does not say where to look for `{}`",
                probe.pattern.as_str()
            ))
            .fix("add `paths` to the probe in the plan"));
        }
        let (mut seen, mut found) = (Sight::Absent, None);
        for path in &probe.paths {
            // Each is looked up even if the pattern was found, since a path that is gone makes the probe worthless.
            for item in self.place(&search, path)? {
                if found.is_some() {
                    break;
                }
                seen = seen.max(self.look_into(&search, &item)?);
                found = (seen == Sight::Found).then_some(path);
            }
        }
        match seen {
            Sight::Unseen(obstacle) => return Err(search.cannot_see(obstacle.words())),
            Sight::Binary if !probe.present => {
                return Err(search.cannot_see(("a binary file", "text cannot be said to be absent from it")));
            }
            _ => {}
        }
        let (at, pattern) = (short(version), probe.pattern.as_str());
        let said = match found {
            Some(place) => format!("`{pattern}` occurs under {place} in {at}"),
            None => format!(
                "`{pattern}` does not occur under {} in {at}",
                probe.paths.join(", ")
            ),
        };
        Ok((found.is_some() == probe.present, said))
    }

    /// What a path stands for in this tree. A path that leads nowhere is a doubt: the code may have moved, so that
    /// nothing follows from not finding the pattern there. One that leads to the plans is too, since those hold the pattern.
    fn place(&self, search: &Search<'_>, path: &str) -> Result<Vec<Item>, Doubt> {
        let nowhere = || {
            Doubt::new(format!(
                "{} has no `{path}`, where a content probe is to look for `{}`",
                short(search.version),
                search.pattern.as_str()
            ))
            .fix("correct the probe's `paths` in the plan")
        };
        let clean: PathBuf = Path::new(path)
            .components()
            .filter(|part| !matches!(part, Component::CurDir))
            .collect();
        if self.plans.as_ref().is_some_and(|plans| clean.starts_with(plans)) {
            return Err(Doubt::new(format!(
                "`{path}` is where the plans are, and they hold the pattern `{}` of a content probe themselves",
                search.pattern.as_str()
            ))
            .fix("correct the probe's `paths` in the plan"));
        }
        if let Some((id, kind)) = self.look_up(search, &clean)? {
            return Ok(vec![Item {
                path: clean,
                id,
                kind,
            }]);
        }
        if !is_glob(path) {
            return Err(nowhere());
        }
        let glob = GlobBuilder::new(&clean.to_string_lossy())
            .literal_separator(true)
            .build()
            .map_err(|error| Doubt::new(format!("`{path}` is not a glob: {error}")))?
            .compile_matcher();
        // Only what lies below the part without wildcards can match.
        let above: PathBuf = clean
            .components()
            .take_while(|part| !is_glob(&part.as_os_str().to_string_lossy()))
            .collect();
        let Some((id, Kind::Folder)) = self.look_up(search, &above)? else {
            return Err(nowhere());
        };
        let mut items = Vec::new();
        self.collect(search, id, &above, &glob, &mut items)?;
        if items.is_empty() {
            return Err(nowhere());
        }
        Ok(items)
    }

    fn look_up(&self, search: &Search<'_>, path: &Path) -> Result<Option<(Oid, Kind)>, Doubt> {
        if path.as_os_str().is_empty() {
            return Ok(Some((search.tree.id(), Kind::Folder)));
        }
        match search.tree.get_path(path) {
            Ok(entry) => Ok(Some((entry.id(), kind_of(&entry)))),
            Err(error) if is_not_in_tree(&error) => Ok(None),
            Err(error) => Err(self.no_content(search.version, &error)),
        }
    }

    /// The files below a folder that a glob matches, and all that may lead to others: every submodule, and links, except to
    /// a file.
    fn collect(
        &self,
        search: &Search<'_>,
        folder: Oid,
        at: &Path,
        glob: &GlobMatcher,
        items: &mut Vec<Item>,
    ) -> Result<(), Doubt> {
        for item in self.items(search, folder, at)? {
            match item.kind {
                Kind::Folder => self.collect(search, item.id, &item.path, glob, items)?,
                Kind::File if !glob.is_match(&item.path) => {}
                Kind::Link if !glob.is_match(&item.path) && self.links_to_file(search, &item)? => {}
                _ => items.push(item),
            }
        }
        Ok(())
    }

    /// What lies in a folder, the plans left out.
    fn items(&self, search: &Search<'_>, folder: Oid, at: &Path) -> Result<Vec<Item>, Doubt> {
        let tree = self
            .inner
            .find_tree(folder)
            .map_err(|error| self.no_content(search.version, &error))?;
        let mut items = Vec::new();
        for entry in &tree {
            let path = at.join(OsStr::from_bytes(entry.name_bytes()));
            let is_plan = path.extension().is_some_and(|extension| extension == "toml")
                && path.parent() == self.plans.as_deref();
            if !is_plan {
                items.push(Item {
                    path,
                    id: entry.id(),
                    kind: kind_of(&entry),
                });
            }
        }
        Ok(items)
    }

    /// Whether a link leads to a file of the tree.
    fn links_to_file(&self, search: &Search<'_>, link: &Item) -> Result<bool, Doubt> {
        let target = self
            .inner
            .find_blob(link.id)
            .map_err(|error| self.no_content(search.version, &error))?;
        let mut path = link.path.parent().unwrap_or(Path::new("")).to_owned();
        for part in Path::new(OsStr::from_bytes(target.content())).components() {
            match part {
                Component::CurDir => {}
                Component::Normal(name) => path.push(name),
                Component::ParentDir if path.pop() => {}
                _ => return Ok(false),
            }
        }
        Ok(matches!(self.look_up(search, &path)?, Some((_, Kind::File))))
    }

    fn look_into(&self, search: &Search<'_>, item: &Item) -> Result<Sight, Doubt> {
        match item.kind {
            Kind::Link => return Ok(Sight::Unseen(Obstacle::Link)),
            Kind::Submodule => return Ok(Sight::Unseen(Obstacle::Submodule)),
            Kind::Folder | Kind::File => {}
        }
        // A folder with the plans in it is the same object as one elsewhere that may have others there.
        let is_above_plans = self
            .plans
            .as_ref()
            .is_some_and(|plans| plans.starts_with(&item.path));
        let key = (item.id, search.pattern.clone());
        if !is_above_plans && let Some(known) = self.content.borrow().found.get(&key) {
            return Ok(*known);
        }
        let seen = if item.kind == Kind::Folder {
            let mut seen = Sight::Absent;
            for inner in self.items(search, item.id, &item.path)? {
                seen = seen.max(self.look_into(search, &inner)?);
                if seen == Sight::Found {
                    break;
                }
            }
            seen
        } else {
            let blob = self
                .inner
                .find_blob(item.id)
                .map_err(|error| self.no_content(search.version, &error))?;
            let text = blob.content();
            match blob.is_binary() {
                true if UTF16_MARKS.iter().any(|mark| text.starts_with(mark)) => {
                    Sight::Unseen(Obstacle::Utf16)
                }
                true => Sight::Binary,
                false if search.needle.is_in(text) => Sight::Found,
                false => Sight::Absent,
            }
        };
        if !is_above_plans {
            self.content.borrow_mut().found.insert(key, seen);
        }
        Ok(seen)
    }

    fn no_content(&self, version: Oid, error: &git2::Error) -> Doubt {
        if error.code() == ErrorCode::NotFound {
            Doubt::new(format!(
                "files of {} are not in this (partial) clone",
                short(version)
            ))
            .fix(self.refetch())
        } else {
            self.unreadable(error)
        }
    }
}

impl Search<'_> {
    fn cannot_see(&self, (what, why): (&str, &str)) -> Doubt {
        Doubt::new(format!(
            "{what} lies where a content probe is to look for `{}`, and {why}",
            self.pattern.as_str()
        ))
        .fix("name the probe's `paths` so that they leave it out")
    }
}

impl Obstacle {
    /// What it is, and why nothing can be seen in it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Utf16 => ("a file in UTF-16", "that is not searched"),
            Self::Link => ("a symbolic link", "what it leads to is not searched"),
            Self::Submodule => ("a submodule", "its files are not here"),
        }
    }
}

fn kind_of(entry: &git2::TreeEntry<'_>) -> Kind {
    match entry.kind() {
        Some(ObjectType::Tree) => Kind::Folder,
        Some(ObjectType::Blob) if entry.filemode_raw() == LINK => Kind::Link,
        Some(ObjectType::Blob) => Kind::File,
        _ => Kind::Submodule,
    }
}

impl Needle {
    fn is_in(&self, text: &[u8]) -> bool {
        match self {
            Self::Text(needle) => contains(text, needle),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

fn needle(pattern: &ContentPattern) -> Result<Needle, Doubt> {
    match pattern {
        ContentPattern::Text(text) => Ok(Needle::Text(text.clone().into_bytes())),
        ContentPattern::Regex(regex) => RegexBuilder::new(regex)
            .multi_line(true)
            .crlf(true)
            .build()
            .map(Needle::Regex)
            .map_err(|_| Doubt::new(format!("`{regex}` is not a regular expression"))),
    }
}

fn contains(text: &[u8], pattern: &[u8]) -> bool {
    let Some(first) = pattern.first() else {
        return true;
    };
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(pattern) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
