//! Doubts about a repository, each with the command that would settle it as it is typed.

use git2::ErrorCode;

use super::{Repository, Scope};
use crate::domain::CommitId;
use crate::safety::Doubt;

impl Repository {
    pub(super) fn unresolved(&self, revision: &str, error: &git2::Error) -> Doubt {
        match error.code() {
            ErrorCode::Ambiguous => Doubt::new(format!("`{revision}` names several objects"))
                .fix("write more digits of the commit id, or all of them"),
            ErrorCode::InvalidSpec => Doubt::new(format!("`{revision}` is not a revision"))
                .fix("name a commit id, a branch or a tag"),
            ErrorCode::NotFound => Doubt::new(format!(
                "`{revision}` is not in the repository {}",
                self.folder().display()
            ))
            .fix(self.fetch(revision)),
            _ => self.unreadable(error),
        }
    }

    /// What a failure to read says. An object that ought to be here is fetched again: to git, the clone is complete, so
    /// that a plain fetch would bring nothing.
    pub(super) fn unreadable(&self, error: &git2::Error) -> Doubt {
        if let (ErrorCode::NotFound, Some(remote)) = (error.code(), self.remote()) {
            return Doubt::new(format!(
                "objects are missing from the clone {}: {}",
                self.folder().display(),
                error.message()
            ))
            .fix(self.fetch_everything(&remote));
        }
        Doubt::new(format!(
            "the repository {} cannot be read: {}",
            self.folder().display(),
            error.message()
        ))
        .fix(format!("{} fsck --connectivity-only", self.git()))
    }

    /// The command that would bring a revision here.
    pub(super) fn fetch(&self, revision: &str) -> String {
        let Some(remote) = self.remote().map(|remote| quoted(&remote)) else {
            return format!("bring it into {} (it has no remote)", self.folder().display());
        };
        // A server hands out a single commit only by its full id; anything shorter comes with the branches and tags.
        if revision.parse::<CommitId>().is_ok() {
            format!("{} fetch {remote} {revision}", self.git())
        } else {
            format!("{} fetch --tags {remote}", self.git())
        }
    }

    /// The command that would make the history whole. With its trees and files: that a change was not taken back, or not
    /// copied, can only be seen in them.
    pub(super) fn deepen(&self) -> String {
        format!("{} fetch --unshallow", self.git())
    }

    /// The doubt about what a partial clone left out, or lost.
    pub(super) fn no_objects(&self, what: &str, error: &git2::Error) -> Doubt {
        match (error.code(), self.remote()) {
            (ErrorCode::NotFound, Some(remote)) => Doubt::new(format!(
                "{what} cannot be examined: objects are missing from the (partial) clone {}",
                self.folder().display()
            ))
            .fix(self.fetch_everything(&remote)),
            _ => self.unreadable(error),
        }
    }

    /// The command that would bring the files that a partial clone left out.
    pub(super) fn refetch(&self) -> String {
        match self.remote() {
            Some(remote) => self.fetch_everything(&remote),
            None => format!("bring them into {} (it has no remote)", self.folder().display()),
        }
    }

    fn fetch_everything(&self, remote: &str) -> String {
        format!("{} fetch --refetch --no-filter {}", self.git(), quoted(remote))
    }

    fn remote(&self) -> Option<String> {
        let names = self.inner.remotes().ok()?;
        let mut names = names.iter().filter_map(|name| name.ok().flatten());
        let first = names.next()?;
        let origin = std::iter::once(first).chain(names).find(|name| *name == "origin");
        Some(origin.unwrap_or(first).to_owned())
    }

    /// `git`, aimed at this repository unless it is the project's own.
    pub(super) fn git(&self) -> String {
        match self.scope {
            Scope::Project => "git".to_owned(),
            Scope::Services(_) => format!("git -C {}", quoted(&self.folder().display().to_string())),
        }
    }
}

/// A word as a shell takes it for one.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@%:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        for word in ["/a b/it's", "", "$HOME", "plain/word-1.2"] {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(word))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
