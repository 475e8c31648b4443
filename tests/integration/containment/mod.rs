//! Integration tests: what a version contains, in repositories that git itself made, each case with its negation.

mod ancestry;
mod clones;
mod copies;
mod losses;
mod merges;
mod probes;
mod remains;
mod reverts;
mod trailers;

use std::path::Path;

use shipctl::domain::CommitId;
use shipctl::observe::git::Repository;
use shipctl::plan::{Claim, CodePhase, Commit, ContentProbe};
use shipctl::safety::{Containment, Doubt, Services, Version};

use crate::support::Repo;

/// A code phase `p/dual-write`.
#[derive(Clone)]
struct Phase(CodePhase);

impl Phase {
    /// Found by its trailer.
    fn by_trailer() -> Self {
        Self(CodePhase {
            services: Services::All,
            reads: None,
            writes: None,
            commits: Vec::new(),
            accepts: Vec::new(),
            content: Vec::new(),
            restore: None,
        })
    }

    /// Tied to a commit.
    fn of(commit: &CommitId) -> Self {
        let mut phase = Self::by_trailer();
        phase.0.commits.push(Commit {
            service: None,
            revision: commit.to_string(),
            span: 0..0,
        });
        phase
    }

    /// Accepts what messages claim.
    fn accepting_messages(mut self) -> Self {
        self.0.accepts.push(Claim::Message);
        self
    }

    /// Looks into the tree.
    fn probing(mut self, probe: ContentProbe) -> Self {
        self.0.content.push(probe);
        self
    }

    /// Asks whether `version` contains it, in a repository opened for this question.
    fn within(&self, version: &CommitId, folder: &Path) -> Containment {
        let version = Version {
            service: "web".parse().unwrap(),
            commit: version.clone(),
        };
        Repository::discover(folder).unwrap().contains(
            &version,
            &"p".parse().unwrap(),
            &"dual-write".parse().unwrap(),
            &self.0,
        )
    }

    /// The evidence that it does.
    #[track_caller]
    fn is_in(&self, version: &CommitId, folder: &Path) -> String {
        match self.within(version, folder) {
            Containment::Yes { evidence } => evidence,
            other => panic!("{other:?}"),
        }
    }

    /// The evidence that it does not.
    #[track_caller]
    fn is_not_in(&self, version: &CommitId, folder: &Path) -> String {
        match self.within(version, folder) {
            Containment::No { evidence } => evidence,
            other => panic!("{other:?}"),
        }
    }

    /// Why it cannot be told.
    #[track_caller]
    fn is_unknown_in(&self, version: &CommitId, folder: &Path) -> Doubt {
        match self.within(version, folder) {
            Containment::Unknown(doubt) => doubt,
            other => panic!("{other:?}"),
        }
    }
}

/// Commits one file, and nothing else.
fn commit_file(repo: &Repo, path: &str, text: &str, message: &str) -> CommitId {
    repo.write(path, text);
    repo.git(&["add", "--", path]);
    repo.git(&["commit", "--quiet", "--message", message]);
    repo.head()
}

/// A file of numbered lines, some of them written otherwise.
fn lines(changes: &[(usize, &str)]) -> String {
    (1..=40)
        .map(|number| {
            let other = changes.iter().find(|(at, _)| *at == number);
            let text = other.map_or_else(|| format!("line {number}"), |(_, text)| (*text).to_owned());
            text + "\n"
        })
        .collect()
}

/// A repository with `app.sql` committed on `main`.
fn with_app() -> Repo {
    let repo = Repo::new();
    commit_file(&repo, "app.sql", &lines(&[]), "Begin");
    repo
}

/// Types what a doubt advises.
#[track_caller]
fn follow(doubt: &Doubt, folder: &Path) {
    let command = doubt.fix.as_deref().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
