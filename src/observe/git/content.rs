//! Content probes: text that must be present in, or absent from, a version's tree.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use git2::{ErrorClass, ErrorCode, ObjectType, Oid};
use globset::{GlobBuilder, GlobMatcher};
use regex::bytes::{Regex, RegexBuilder};

use super::{Repository, short};
use crate::plan::{ContentPattern, ContentProbe, is_glob};
use crate::safety::{Containment, Doubt};

/// Whether a tree or file contains a pattern, by object: versions share most of theirs.
#[derive(Default)]
pub(super) struct Memo {
    found: BTreeMap<(Oid, ContentPattern), bool>,
}

/// A question about one version.
struct Search<'a> {
    version: Oid,
    pattern: &'a ContentPattern,
    needle: Needle,
}

/// What is looked for, ready to be found.
enum Needle {
    Text(Vec<u8>),
    Regex(Regex),
}

/// What a path of a probe leads to.
enum Place {
    /// A file or folder.
    Object(Oid, ObjectType),
    /// The files that a glob matches, or something in the way of telling which.
    Files(Vec<(Oid, ObjectType)>),
}

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
            pattern: &probe.pattern,
            needle: needle(&probe.pattern)?,
        };
        let whole_tree = [".".to_owned()];
        let paths = if probe.paths.is_empty() {
            &whole_tree
        } else {
            probe.paths.as_slice()
        };
        let mut found = None;
        for path in paths {
            // Each is looked up even if the pattern was found, since a path that is gone makes the probe worthless.
            let objects = match self.place(&search, &tree, path)? {
                Place::Object(object, kind) => vec![(object, kind)],
                Place::Files(files) => files,
            };
            for (object, kind) in objects {
                if found.is_none() && self.occurs(&search, object, kind)? {
                    found = Some(path.clone());
                }
            }
        }
        let (at, pattern) = (short(version), probe.pattern.as_str());
        let said = match &found {
            Some(place) => format!("`{pattern}` occurs under {place} in {at}"),
            None => format!("`{pattern}` does not occur under {} in {at}", paths.join(", ")),
        };
        Ok((found.is_some() == probe.present, said))
    }

    /// What a path stands for in this tree. A path that leads nowhere is a doubt: the code may have moved, so that
    /// nothing follows from not finding the pattern there.
    fn place(&self, search: &Search<'_>, tree: &git2::Tree<'_>, path: &str) -> Result<Place, Doubt> {
        let clean: PathBuf = Path::new(path)
            .components()
            .filter(|part| !matches!(part, Component::CurDir))
            .collect();
        if let Some((object, kind)) = self.look_up(search, tree, &clean)? {
            return Ok(Place::Object(object, kind));
        }
        let nowhere = || {
            Doubt::new(format!(
                "{} has no `{path}`, where a content probe is to look for `{}`",
                short(search.version),
                search.pattern.as_str()
            ))
            .fix("correct the probe's `paths` in the plan")
        };
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
        let Some((folder, ObjectType::Tree)) = self.look_up(search, tree, &above)? else {
            return Err(nowhere());
        };
        let mut files = Vec::new();
        self.collect(search, folder, &above, &glob, &mut files)?;
        if files.is_empty() {
            return Err(nowhere());
        }
        Ok(Place::Files(files))
    }

    fn look_up(
        &self,
        search: &Search<'_>,
        tree: &git2::Tree<'_>,
        path: &Path,
    ) -> Result<Option<(Oid, ObjectType)>, Doubt> {
        if path.as_os_str().is_empty() {
            return Ok(Some((tree.id(), ObjectType::Tree)));
        }
        match tree.get_path(path) {
            Ok(entry) => Ok(Some((entry.id(), entry.kind().unwrap_or(ObjectType::Any)))),
            // Not in the tree; where a tree itself is missing, the error is of another class.
            Err(error) if error.code() == ErrorCode::NotFound && error.class() == ErrorClass::Tree => {
                Ok(None)
            }
            Err(error) => Err(self.no_content(search.version, &error)),
        }
    }

    /// The files below a folder that a glob matches, and every submodule, since nobody can see what is in it.
    fn collect(
        &self,
        search: &Search<'_>,
        folder: Oid,
        at: &Path,
        glob: &GlobMatcher,
        files: &mut Vec<(Oid, ObjectType)>,
    ) -> Result<(), Doubt> {
        let tree = self
            .inner
            .find_tree(folder)
            .map_err(|error| self.no_content(search.version, &error))?;
        for entry in &tree {
            let path = at.join(String::from_utf8_lossy(entry.name_bytes()).as_ref());
            match entry.kind() {
                Some(ObjectType::Tree) => self.collect(search, entry.id(), &path, glob, files)?,
                Some(ObjectType::Blob) if !glob.is_match(&path) => {}
                kind => files.push((entry.id(), kind.unwrap_or(ObjectType::Any))),
            }
        }
        Ok(())
    }

    fn occurs(&self, search: &Search<'_>, object: Oid, kind: ObjectType) -> Result<bool, Doubt> {
        let key = (object, search.pattern.clone());
        if let Some(known) = self.content.borrow().found.get(&key) {
            return Ok(*known);
        }
        let answer = match kind {
            ObjectType::Tree => {
                let tree = self
                    .inner
                    .find_tree(object)
                    .map_err(|error| self.no_content(search.version, &error))?;
                let mut any = false;
                for entry in &tree {
                    let kind = entry.kind().unwrap_or(ObjectType::Any);
                    if self.occurs(search, entry.id(), kind)? {
                        any = true;
                        break;
                    }
                }
                any
            }
            ObjectType::Blob => {
                let blob = self
                    .inner
                    .find_blob(object)
                    .map_err(|error| self.no_content(search.version, &error))?;
                !blob.is_binary() && search.needle.is_in(blob.content())
            }
            _ => {
                return Err(Doubt::new(format!(
                    "a submodule lies where a content probe is to look for `{}`, and its files are not here",
                    search.pattern.as_str()
                ))
                .fix("name the probe's `paths` so that they leave the submodule out"));
            }
        };
        self.content.borrow_mut().found.insert(key, answer);
        Ok(answer)
    }

    fn no_content(&self, version: Oid, error: &git2::Error) -> Doubt {
        if error.code() == ErrorCode::NotFound {
            Doubt::new(format!(
                "files of {} are not in this (partial) clone",
                short(version)
            ))
            .fix(format!("{} archive {version} > /dev/null", self.git()))
        } else {
            self.unreadable(error)
        }
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
