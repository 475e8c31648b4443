//! Repositories: revisions, ancestry, trailers, and what a version contains.
//!
//! Everything here blocks, reads local objects only, and never fetches. What is not known is a [`Doubt`] that
//! carries the command which would make it known.

mod ancestry;
mod branches;
mod claims;
mod commit_graph;
mod completeness;
mod containment;
mod content;
mod deeds;
mod equivalents;
mod format;
mod graph_files;
mod graph_sweep;
mod losses;
mod patch;
mod phase_commit;
mod remains;
mod remedy;
mod revert_messages;
mod reverts;
mod reverts_said;
mod trailers;

#[cfg(test)]
mod fixture;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid};
use jiff::Timestamp;

use crate::domain::{CommitId, Exit, Problem, ServiceName};
use crate::safety::Doubt;

/// A git repository, opened for reading.
///
/// Answers are remembered by full ids for as long as the value lives, so that asking about many versions and phases costs
/// little more than asking once. An id fixes the history and the trees behind it; only what this clone lacks can change,
/// so open it anew to see what was fetched since.
pub struct Repository {
    inner: git2::Repository,
    scope: Scope,
    /// The folder of the plans, where it lies in the working tree: named from there.
    plans: Option<PathBuf>,
    graph: OnceCell<Option<commit_graph::CommitGraph>>,
    ancestry: RefCell<ancestry::Memo>,
    trailers: RefCell<trailers::Index>,
    content: RefCell<content::Memo>,
    patches: RefCell<patch::Memo>,
    fates: RefCell<reverts::Memo>,
    equivalents: RefCell<equivalents::Memo>,
    branches: RefCell<branches::Memo>,
    remains: remains::Memo,
}

/// Whose commits the repository holds, which settles which commit entry of a code phase counts in it.
enum Scope {
    /// The project's own: entries without a service.
    Project,
    /// Another one: entries of one of these services.
    Services(BTreeSet<ServiceName>),
}

/// A commit as people recognise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSummary {
    /// The id.
    pub id: CommitId,
    /// The first line of its message.
    pub subject: String,
}

/// A tag or branch, where it points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its full name.
    pub name: String,
    /// The commit, tags peeled.
    pub commit: CommitId,
    /// When this clone last fetched, for a reference that fetches bring; `None` where that is not known.
    pub fetched_at: Option<Timestamp>,
}

impl Repository {
    /// Opens the project's repository: the one that `path` lies in (worktrees and submodules too).
    ///
    /// # Errors
    /// There is none, or git refuses it (ownership).
    pub fn discover(path: &Path) -> Result<Self, Problem> {
        Self::open(path, Scope::Project)
    }

    /// Opens another repository, which holds the commits of `services`.
    ///
    /// # Errors
    /// As [`Repository::discover`].
    pub fn of_services(path: &Path, services: BTreeSet<ServiceName>) -> Result<Self, Problem> {
        Self::open(path, Scope::Services(services))
    }

    fn open(path: &Path, scope: Scope) -> Result<Self, Problem> {
        format::refuse_other_than_sha1(path)?;
        let inner = git2::Repository::discover(path).map_err(|error| refused(path, &error))?;
        Ok(Self {
            inner,
            scope,
            plans: None,
            graph: OnceCell::new(),
            ancestry: RefCell::default(),
            trailers: RefCell::default(),
            content: RefCell::default(),
            patches: RefCell::default(),
            fates: RefCell::default(),
            equivalents: RefCell::default(),
            branches: RefCell::default(),
            remains: remains::Memo::default(),
        })
    }

    /// Leaves the plans in this folder out of what content probes look through: they hold the patterns themselves.
    pub fn with_plans_in(mut self, folder: &Path) -> Self {
        let inside = |root: &Path| -> Option<PathBuf> {
            let (folder, root) = (folder.canonicalize().ok()?, root.canonicalize().ok()?);
            Some(folder.strip_prefix(root).ok()?.to_owned())
        };
        self.plans = self.inner.workdir().and_then(inside);
        self
    }

    /// The folder of the working tree; of the repository itself where it is bare.
    pub fn folder(&self) -> &Path {
        self.inner.workdir().unwrap_or_else(|| self.inner.path())
    }

    /// Resolves a revision to the full id of a commit; tags are peeled.
    ///
    /// # Errors
    /// A doubt with the fetch command that would help.
    pub fn resolve(&self, revision: &str) -> Result<CommitId, Doubt> {
        let found = self
            .inner
            .revparse_single(revision)
            .map_err(|error| self.unresolved(revision, &error))?;
        let commit = found.peel_to_commit().map_err(|error| match error.code() {
            ErrorCode::NotFound => self.unresolved(revision, &error),
            _ => Doubt::new(format!("`{revision}` is not a commit")),
        })?;
        commit_id(commit.id())
    }

    /// Resolves a revision that must keep its meaning: an id or a tag. A branch moves on, is left behind in a stale clone
    /// or is set back, and everything contains where it once began.
    ///
    /// # Errors
    /// As [`Repository::resolve`]; a doubt for a branch and for what is counted from one.
    pub(super) fn resolve_for_good(&self, revision: &str) -> Result<CommitId, Doubt> {
        let commit = self.resolve(revision)?;
        let is_tag = || {
            self.inner
                .resolve_reference_from_short_name(revision)
                .is_ok_and(|found| found.is_tag())
        };
        if commit.as_str().starts_with(&revision.to_ascii_lowercase()) || is_tag() {
            return Ok(commit);
        }
        Err(Doubt::new(format!(
            "`{revision}` is not an id or a tag, so it may mean another commit tomorrow"
        ))
        .fix(format!("name the commit itself, such as {}", commit.short())))
    }

    /// Looks up a tag or branch by its short or full name; never takes it for anything else, such as digits of an id.
    ///
    /// # Errors
    /// A doubt with the fetch command that would help.
    pub fn reference(&self, name: &str) -> Result<Reference, Doubt> {
        let found = self
            .inner
            .resolve_reference_from_short_name(name)
            .map_err(|error| self.unresolved(name, &error))?;
        let commit = found
            .peel_to_commit()
            .map_err(|_| Doubt::new(format!("`{name}` does not point to a commit")))?;
        let full = String::from_utf8_lossy(found.name_bytes()).into_owned();
        let local = full.starts_with("refs/heads/");
        let fetched_at = std::fs::metadata(self.inner.path().join("FETCH_HEAD"))
            .and_then(|file| file.modified())
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok())
            .filter(|_| !local);
        Ok(Reference {
            name: full,
            commit: commit_id(commit.id())?,
            fetched_at,
        })
    }

    /// The commit's summary, where the object is here.
    pub fn summary(&self, commit: &CommitId) -> Option<CommitSummary> {
        let found = self.inner.find_commit(oid(commit)?).ok()?;
        let subject = String::from_utf8_lossy(found.summary_bytes().unwrap_or_default()).into_owned();
        Some(CommitSummary {
            id: commit.clone(),
            subject,
        })
    }

    /// How many commits of `descendant` come after `ancestor`; `None` unless it is one.
    ///
    /// # Errors
    /// A doubt where one of them is not here.
    pub fn commits_since(&self, ancestor: &CommitId, descendant: &CommitId) -> Result<Option<usize>, Doubt> {
        let (ancestor, descendant) = (self.locate(ancestor)?, self.locate(descendant)?);
        if self.reaches(descendant, ancestor)? {
            Ok(Some(self.distance(descendant, ancestor)?.0))
        } else {
            Ok(None)
        }
    }

    /// The object of a commit that must be here.
    fn locate(&self, commit: &CommitId) -> Result<Oid, Doubt> {
        let missing = || {
            Doubt::new(format!(
                "commit {} is not in the repository {}",
                commit.short(),
                self.folder().display()
            ))
            .fix(self.fetch(commit.as_str()))
        };
        let oid = oid(commit).ok_or_else(missing)?;
        match self.inner.find_commit(oid) {
            Ok(_) => Ok(oid),
            Err(error) if error.code() == ErrorCode::NotFound => Err(missing()),
            Err(error) => Err(self.unreadable(&error)),
        }
    }
}

fn oid(commit: &CommitId) -> Option<Oid> {
    Oid::from_str(commit.as_str()).ok()
}

fn commit_id(oid: Oid) -> Result<CommitId, Doubt> {
    oid.to_string()
        .parse()
        .map_err(|error: crate::domain::InvalidCommitId| Doubt::new(error.to_string()))
}

/// The id as people are shown it.
fn short(oid: Oid) -> String {
    let mut text = oid.to_string();
    text.truncate(9);
    text
}

fn refused(path: &Path, error: &git2::Error) -> Problem {
    let whole: PathBuf = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let shown = whole.display();
    match error.code() {
        ErrorCode::Owner => Problem::new(
            Exit::Usage,
            "repository-not-trusted",
            format!("the repository of {shown} belongs to another user"),
        )
        .because(
            "git refuses to read repositories of other users, because their configuration can run programs",
        )
        .fix(format!("git config --global --add safe.directory {shown}")),
        ErrorCode::NotFound => Problem::new(
            Exit::Usage,
            "no-repository",
            format!("{shown} is not in a git repository"),
        )
        .because("code phases are tied to commits, so shipctl must be able to read them")
        .fix("run it inside the repository, or make one with `git init`"),
        _ => Problem::new(
            Exit::Usage,
            "repository-unreadable",
            format!("cannot open the repository of {shown}: {}", error.message()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::Fixture;
    use super::*;

    #[test]
    fn revisions_become_full_ids_and_tags_are_peeled() {
        let fixture = Fixture::new();
        let first = fixture.commit("first");
        fixture.git(&["tag", "-a", "v1", "-m", "one"]);
        let second = fixture.commit("second");
        let repository = fixture.open();
        assert_eq!(repository.resolve("v1").unwrap(), first);
        assert_eq!(repository.resolve("HEAD").unwrap(), second);
        assert_eq!(repository.resolve(&second.as_str()[..8]).unwrap(), second);
        assert_eq!(repository.summary(&second).unwrap().subject, "second");
        assert_eq!(repository.commits_since(&first, &second).unwrap(), Some(1));
        assert_eq!(repository.commits_since(&second, &first).unwrap(), None);
    }

    #[test]
    fn what_does_not_resolve_is_a_doubt_with_the_command_that_helps() {
        let fixture = Fixture::new();
        fixture.commit("first");
        fixture.git(&["remote", "add", "origin", "nowhere"]);
        let repository = fixture.open();
        let doubt = repository.resolve("deployed/production").unwrap_err();
        assert_eq!(doubt.fix.as_deref(), Some("git fetch --tags origin"));
        let id = "0123456789012345678901234567890123456789";
        let doubt = repository.resolve(id).unwrap_err();
        assert_eq!(doubt.fix.unwrap(), format!("git fetch origin {id}"));
        assert!(
            repository
                .resolve("HEAD^{tree}")
                .unwrap_err()
                .why
                .contains("not a commit")
        );
        assert!(repository.resolve("a..b").is_err());
        assert!(repository.resolve("").is_err());
    }

    #[test]
    fn a_worktree_and_a_subfolder_belong_to_their_repository() {
        let fixture = Fixture::new();
        let id = fixture.commit("first");
        let tree = fixture.path().join("tree");
        fixture.git(&["worktree", "add", "-q", "--detach", &tree.display().to_string()]);
        std::fs::create_dir(tree.join("sub")).unwrap();
        let repository = Repository::discover(&tree.join("sub")).unwrap();
        assert_eq!(repository.resolve("HEAD").unwrap(), id);
    }

    #[test]
    fn outside_of_a_repository_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let problem = Repository::discover(folder.path()).err().unwrap();
        assert_eq!(problem.code(), "no-repository");
    }
}
