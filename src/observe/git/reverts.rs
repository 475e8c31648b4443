//! Reverts recorded in messages: ancestry stays true when a change is taken back, so it must be looked for.

use std::collections::BTreeSet;

use git2::Oid;

use super::Repository;
use crate::safety::Doubt;

/// A commit whose message says that it takes another back.
struct Revert {
    by: Oid,
    of: String,
    mainline: Option<String>,
}

impl Repository {
    /// The commit that takes `change` back somewhere between it and `version`, unless that one was itself taken
    /// back, and so on.
    pub(super) fn reverted_by(&self, change: Oid, version: Oid) -> Result<Option<Oid>, Doubt> {
        let reverts = self
            .reverts_since(change, version)
            .map_err(|error| self.unreadable(&error))?;
        self.standing_revert(change, &reverts, &mut BTreeSet::new())
    }

    fn reverts_since(&self, change: Oid, version: Oid) -> Result<Vec<Revert>, git2::Error> {
        let mut walk = self.inner.revwalk()?;
        walk.push(version)?;
        walk.hide(change)?;
        let mut reverts = Vec::new();
        for found in walk {
            let by = found?;
            let commit = self.inner.find_commit(by)?;
            reverts.extend(
                reverts_named(&String::from_utf8_lossy(commit.message_bytes()))
                    .into_iter()
                    .map(|(of, mainline)| Revert { by, of, mainline }),
            );
        }
        Ok(reverts)
    }

    fn standing_revert(
        &self,
        change: Oid,
        reverts: &[Revert],
        visiting: &mut BTreeSet<Oid>,
    ) -> Result<Option<Oid>, Doubt> {
        for revert in reverts {
            if revert.by == change || visiting.contains(&revert.by) || !self.takes_back(revert, change)? {
                continue;
            }
            visiting.insert(revert.by);
            let undone = self.standing_revert(revert.by, reverts, visiting)?.is_some();
            visiting.remove(&revert.by);
            if !undone {
                return Ok(Some(revert.by));
            }
        }
        Ok(None)
    }

    /// Whether a revert is about `change`: names it, or names a merge that brought it in.
    fn takes_back(&self, revert: &Revert, change: Oid) -> Result<bool, Doubt> {
        if change.to_string().starts_with(&revert.of) {
            return Ok(true);
        }
        let Some(merge) = self.commit_named(&revert.of) else {
            return Ok(false);
        };
        if merge.parent_count() < 2 || !self.reaches(merge.id(), change)? {
            return Ok(false);
        }
        let mainline = revert
            .mainline
            .as_deref()
            .and_then(|name| self.commit_named(name))
            .map(|commit| commit.id())
            .or_else(|| merge.parent_id(0).ok());
        match mainline {
            Some(mainline) => Ok(!self.reaches(mainline, change)?),
            None => Ok(true),
        }
    }

    fn commit_named(&self, id: &str) -> Option<git2::Commit<'_>> {
        self.inner.find_commit_by_prefix(id).ok()
    }
}

/// The ids that a message says it reverts, each with the mainline of a reverted merge where it is given.
fn reverts_named(message: &str) -> Vec<(String, Option<String>)> {
    // Line breaks may fall anywhere in the sentence.
    let text = message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_ascii_lowercase();
    text.split("this reverts commit ")
        .skip(1)
        .filter_map(|rest| {
            let of = leading_id(rest)?;
            let mainline = rest[of.len()..]
                .strip_prefix(", reversing changes made to ")
                .and_then(leading_id);
            Some((of.to_owned(), mainline.map(str::to_owned)))
        })
        .collect()
}

fn leading_id(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    (7..=64).contains(&end).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::reverts_named;

    #[test]
    fn messages_of_reverts_are_understood() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let merge =
            format!("Revert \"Merge x\"\n\nThis reverts commit {id}, reversing\nchanges made to abcdef0.\n");
        assert_eq!(
            reverts_named(&merge),
            [(id.to_owned(), Some("abcdef0".to_owned()))]
        );
        assert_eq!(
            reverts_named("This reverts commit ABCDEF0."),
            [("abcdef0".to_owned(), None)]
        );
        assert!(reverts_named("This reverts commit of mine").is_empty());
    }
}
