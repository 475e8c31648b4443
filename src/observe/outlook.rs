//! What a way to a yes is searched with: commits that can be named, and phases from which there is no way back.

use std::collections::BTreeSet;

use super::repositories::Repositories;
use super::{Observer, Situation};
use crate::domain::PhaseId;
use crate::plan::{PhaseDetail, Plan};
use crate::safety::{Goal, Ground, PlanShape, Version, WayStep, shortest_way};

impl Observer<'_> {
    /// Versions that can be named on a way, besides what runs and ran: those that brought the plans' code phases, and what
    /// the checkout of each service stands at. A look that is to find ways has these among its candidates.
    pub fn nameable(&self) -> Vec<Version> {
        let repositories = Repositories::new(self.project, self.environment);
        let mut versions = Vec::new();
        for service in &self.environment.services {
            let mut commits = Vec::new();
            for plan in self.plans {
                for (phase, code) in plan.code_phases() {
                    if code.services.include(&service.name) {
                        commits.extend(repositories.commits_of(&service.name, plan.id(), &phase.id, code));
                    }
                }
            }
            let head = repositories
                .of_service(&service.name)
                .and_then(|repository| repository.resolve("HEAD"));
            commits.extend(head);
            for commit in commits {
                let version = Version {
                    service: service.name.clone(),
                    commit,
                };
                if !versions.contains(&version) {
                    versions.push(version);
                }
            }
        }
        versions
    }
}

impl Situation {
    /// The shortest safe way to a yes, as far as one plan is concerned. `shapes` are all plans that bind a deployment, and
    /// `named` the versions that can be named.
    pub fn way(
        &self,
        goal: Goal<'_>,
        plan: &Plan,
        shapes: &[PlanShape],
        named: &[Version],
    ) -> Option<Vec<WayStep>> {
        let mut known: Vec<Version> = self.facts.fleet.versions().into_iter().collect();
        known.extend(named.iter().cloned());
        let mut history: Vec<_> = self.facts.history.sightings.iter().collect();
        history.sort_by_key(|sighting| std::cmp::Reverse(sighting.observed_at));
        known.extend(history.into_iter().map(crate::safety::Sighting::version));
        let ground = Ground {
            plan: plan.shape(),
            plans: shapes,
            known: &known,
            for_good: &for_good(plan),
        };
        shortest_way(goal, &ground, &self.facts)
    }
}

/// Phases without a DOWN side, and code phases that do not say how what they abandon is restored.
fn for_good(plan: &Plan) -> BTreeSet<PhaseId> {
    plan.phases()
        .iter()
        .filter(|phase| match &phase.detail {
            PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => run
                .migration
                .down
                .as_ref()
                .is_none_or(|down| down.steps.is_empty()),
            PhaseDetail::Code(code) => code.restore.is_none(),
            PhaseDetail::Backfill(_) | PhaseDetail::Manual { .. } => false,
        })
        .map(|phase| phase.id.clone())
        .collect()
}
