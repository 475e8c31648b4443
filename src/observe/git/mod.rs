//! Repositories: revisions, ancestry, trailers, and what a version contains (placeholder until the logic lands).

use std::path::Path;

use crate::domain::{CommitId, PhaseId, PlanId, Problem};
use crate::plan::CodePhase;
use crate::safety::{Containment, Doubt, Version};

/// A git repository, opened for reading.
pub struct Repository {
    _inner: git2::Repository,
}

/// A commit as people recognise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSummary {
    /// The id.
    pub id: CommitId,
    /// The first line of its message.
    pub subject: String,
}

impl Repository {
    /// Opens the repository that `path` lies in (worktrees and submodules too).
    ///
    /// # Errors
    /// There is none, or git refuses it (ownership).
    pub fn discover(path: &Path) -> Result<Self, Problem> {
        match git2::Repository::discover(path) {
            Ok(inner) => Ok(Self { _inner: inner }),
            Err(error) => Err(Problem::new(
                crate::domain::Exit::Usage,
                "no-repository",
                error.message().to_owned(),
            )),
        }
    }

    /// Resolves a revision to the full id of a commit; tags are peeled.
    ///
    /// # Errors
    /// A doubt with the fetch command that would help.
    pub fn resolve(&self, revision: &str) -> Result<CommitId, Doubt> {
        Err(Doubt::new(format!("cannot resolve {revision} yet")))
    }

    /// The commit's summary, where the object is here.
    pub fn summary(&self, commit: &CommitId) -> Option<CommitSummary> {
        let _ = commit;
        None
    }

    /// Whether a version contains a code phase, with the evidence. Strongest evidence first; what cannot be told is Unknown.
    pub fn contains(
        &self,
        version: &Version,
        plan: &PlanId,
        phase: &PhaseId,
        code: &CodePhase,
    ) -> Containment {
        let _ = (version, plan, phase, code);
        Containment::Unknown(Doubt::new("containment is not built yet"))
    }
}
