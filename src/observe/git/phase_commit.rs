//! The commits of a code phase, so that they can be named: those the plan links, or else those with its trailer.

use super::{Repository, commit_id};
use crate::domain::{CommitId, PhaseId, PlanId, ServiceName};
use crate::plan::CodePhase;

impl Repository {
    /// The commits by which a code phase came (or will come) into the versions of a service: the one that is linked for it, or
    /// those that carry the phase's trailer and can be reached from any branch or tag. Empty where none is known here. What
    /// a version contains, they do not tell.
    pub fn commits_of(
        &self,
        service: &ServiceName,
        plan: &PlanId,
        phase: &PhaseId,
        code: &CodePhase,
    ) -> Vec<CommitId> {
        if let Some(commit) = self.entry(service, &code.commits) {
            return self.resolve(&commit.revision).into_iter().collect();
        }
        let head = self.resolve("HEAD").and_then(|head| self.locate(&head));
        let carriers = head.and_then(|head| self.carriers(head, plan, phase));
        carriers
            .unwrap_or_default()
            .into_iter()
            .filter(|carrier| !carrier.quoted)
            .filter_map(|carrier| commit_id(carrier.id).ok())
            .collect()
    }
}
