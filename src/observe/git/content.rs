//! Content probes: text that must be present in, or absent from, a version's tree.

use std::collections::BTreeMap;
use std::path::Path;

use git2::{ErrorCode, ObjectType, Oid};

use super::{Repository, short};
use crate::plan::ContentProbe;
use crate::safety::{Containment, Doubt};

/// Whether a tree or file contains a pattern, by object: versions share most of theirs.
#[derive(Default)]
pub(super) struct Memo {
    found: BTreeMap<(Oid, String), bool>,
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
        let mut found = None;
        if probe.paths.is_empty() && self.occurs(version, tree.id(), ObjectType::Tree, &probe.pattern)? {
            found = Some(".".to_owned());
        }
        for path in &probe.paths {
            let clean: std::path::PathBuf = Path::new(path)
                .components()
                .filter(|part| !matches!(part, std::path::Component::CurDir))
                .collect();
            let (object, kind) = if clean.as_os_str().is_empty() {
                (tree.id(), ObjectType::Tree)
            } else {
                let entry = tree.get_path(&clean).map_err(|error| match error.code() {
                    // The code may have moved, so that nothing follows from not finding the pattern here.
                    ErrorCode::NotFound => Doubt::new(format!(
                        "{} has no `{path}`, where a content probe is to look for `{}`",
                        short(version),
                        probe.pattern
                    ))
                    .fix("correct the probe's `paths` in the plan"),
                    _ => self.no_content(version, &error),
                })?;
                (entry.id(), entry.kind().unwrap_or(ObjectType::Any))
            };
            if found.is_none() && self.occurs(version, object, kind, &probe.pattern)? {
                found = Some(path.clone());
            }
        }
        let at = short(version);
        let pattern = &probe.pattern;
        let places = if probe.paths.is_empty() {
            "its tree".to_owned()
        } else {
            probe.paths.join(", ")
        };
        let said = match &found {
            Some(place) => format!("`{pattern}` occurs under {place} in {at}"),
            None => format!("`{pattern}` does not occur under {places} in {at}"),
        };
        Ok((found.is_some() == probe.present, said))
    }

    fn occurs(&self, version: Oid, object: Oid, kind: ObjectType, pattern: &str) -> Result<bool, Doubt> {
        let key = (object, pattern.to_owned());
        if let Some(known) = self.content.borrow().found.get(&key) {
            return Ok(*known);
        }
        let answer = match kind {
            ObjectType::Tree => {
                let tree = self
                    .inner
                    .find_tree(object)
                    .map_err(|error| self.no_content(version, &error))?;
                let mut any = false;
                for entry in &tree {
                    let kind = entry.kind().unwrap_or(ObjectType::Any);
                    if self.occurs(version, entry.id(), kind, pattern)? {
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
                    .map_err(|error| self.no_content(version, &error))?;
                !blob.is_binary() && contains(blob.content(), pattern.as_bytes())
            }
            _ => {
                return Err(Doubt::new(format!(
                    "a submodule lies where a content probe is to look for `{pattern}`, and its files are not here"
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
