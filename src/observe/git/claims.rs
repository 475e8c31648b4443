//! Commits that claim to be a change: they say so, or look like it, but are another patch.

use git2::Oid;

use super::Repository;
use super::patch::Pattern;
use super::revert_messages::{reverts_named, speaks_of_reverting};

/// A commit that claims to be the change.
pub(super) struct Claim {
    pub(super) commit: Oid,
    /// What it says, in words that follow the commit.
    pub(super) how: String,
    /// Whether it names the commit or does what that one did, so that a plan may accept it.
    pub(super) acceptable: bool,
}

/// What commits that claim to be a change would say.
pub(super) struct Claimant {
    change: Option<Pattern>,
    id: String,
    subject: String,
    author: (Vec<u8>, i64),
}

impl Claimant {
    pub(super) fn of(repository: &Repository, change: Oid) -> Result<Self, git2::Error> {
        let commit = repository.inner.find_commit(change)?;
        let subject = commit.summary_bytes().unwrap_or_default();
        Ok(Self {
            change: repository.change_of(change)?,
            id: change.to_string(),
            subject: String::from_utf8_lossy(subject).into_owned(),
            author: author(&commit),
        })
    }

    pub(super) fn made_by(&self, repository: &Repository, commit: Oid) -> Result<Option<Claim>, git2::Error> {
        let message = repository.message(commit)?;
        let (how, acceptable) = if self.names_it(&message) {
            // A squash may hold its revert as well.
            let how = "another patch, whose message says that it was made from that one";
            (how, !self.takes_it_back(&message))
        } else if speaks_of_reverting(&message) {
            return Ok(None);
        } else if self.lists_it(&message) {
            ("another patch, whose message lists the title of that one", false)
        } else if self.looks_like_it(repository, commit)? {
            ("another patch, which has its title, author and date", false)
        } else {
            return Ok(None);
        };
        Ok(Some(Claim {
            commit,
            how: how.to_owned(),
            acceptable,
        }))
    }

    /// Whether a message says that it reverts the change.
    fn takes_it_back(&self, message: &str) -> bool {
        reverts_named(message)
            .iter()
            .any(|(of, _)| self.id.starts_with(of))
    }

    fn looks_like_it(&self, repository: &Repository, commit: Oid) -> Result<bool, git2::Error> {
        let found = repository.inner.find_commit(commit)?;
        Ok(author(&found) == self.author
            && found.summary_bytes().unwrap_or_default() == self.subject.as_bytes()
            && self.touches_the_same(repository, commit)?)
    }

    fn touches_the_same(&self, repository: &Repository, commit: Oid) -> Result<bool, git2::Error> {
        match (&self.change, repository.change_of(commit)?) {
            (Some(change), Some(other)) => Ok(change.shares_a_file_with(&other)),
            _ => Ok(false),
        }
    }

    /// What `git cherry-pick -x` and `git merge --squash` write.
    fn names_it(&self, message: &str) -> bool {
        message.lines().any(|line| {
            let line = line.trim();
            let picked = line
                .strip_prefix("(cherry picked from commit ")
                .and_then(|rest| rest.strip_suffix(')'));
            picked.or_else(|| line.strip_prefix("commit ")) == Some(self.id.as_str())
        })
    }

    /// What the squash merges of hosting sites write.
    fn lists_it(&self, message: &str) -> bool {
        !self.subject.is_empty()
            && message
                .lines()
                .any(|line| line.strip_prefix("* ").map(str::trim_end) == Some(self.subject.as_str()))
    }
}

/// Who wrote a commit and when: picking and rebasing keep both.
fn author(commit: &git2::Commit<'_>) -> (Vec<u8>, i64) {
    let author = commit.author();
    (author.email_bytes().to_owned(), author.when().seconds())
}
