//! Whether the history that this clone shows is the whole one, and the one that others see.

use std::path::PathBuf;

use super::Repository;
use super::remedy::quoted;
use crate::safety::Doubt;

impl Repository {
    /// Whether history is cut short: a shallow clone, or one with grafts. What cannot be reached in such a clone may
    /// still be an ancestor.
    pub fn is_shallow(&self) -> bool {
        self.inner.is_shallow() || self.grafts().is_some()
    }

    /// The file that gives commits other parents than they have.
    fn grafts(&self) -> Option<PathBuf> {
        let file = self.inner.commondir().join("info").join("grafts");
        std::fs::metadata(&file)
            .is_ok_and(|found| found.len() > 0)
            .then_some(file)
    }

    /// The objects that git shows others for.
    pub(super) fn replacements(&self) -> Vec<String> {
        let Ok(mut found) = self.inner.references_glob("refs/replace/*") else {
            return Vec::new();
        };
        found
            .names()
            .filter_map(|name| Some(name.ok()?.rsplit('/').next()?.to_owned()))
            .collect()
    }

    /// Refuses to say anything of a history with grafts, since the parents it shows may be made up.
    pub(super) fn history_is_genuine(&self) -> Result<(), Doubt> {
        let Some(file) = self.grafts() else { return Ok(()) };
        Err(Doubt::new(format!(
            "the clone {} has grafts, which give commits other parents than they have, so its history proves nothing",
            self.folder().display()
        ))
        .fix(format!("rm {}", quoted(&file.display().to_string()))))
    }

    /// Refuses to say anything for which the whole history is needed where it is cut short.
    pub(super) fn history_is_uncut(&self, what: &str) -> Result<(), Doubt> {
        if self.is_shallow() {
            return Err(Doubt::new(format!(
                "the history is cut short in the clone {}, so it cannot be told whether {what}",
                self.folder().display()
            ))
            .fix(self.deepen()));
        }
        Ok(())
    }

    /// Refuses to say no where history is cut short, or where git would show another one. Objects that are replaced are
    /// read as they are, so that a yes is one for everybody; but whoever replaced them may have joined histories.
    pub(super) fn history_is_whole(&self, what: &str) -> Result<(), Doubt> {
        self.history_is_uncut(what)?;
        let replaced = self.replacements();
        if !replaced.is_empty() {
            let names: Vec<String> = replaced.iter().map(|name| quoted(name)).collect();
            return Err(Doubt::new(format!(
                "objects are replaced in the clone {} (refs/replace), so it cannot be told whether {what}",
                self.folder().display()
            ))
            .fix(format!("{} replace -d {}", self.git(), names.join(" "))));
        }
        Ok(())
    }
}
