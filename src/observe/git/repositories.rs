//! The repository of each service: the project's own, or the one that `shipctl.toml` names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Repository;
use crate::domain::{PhaseId, PlanId, Problem, ServiceName};
use crate::plan::CodePhase;
use crate::project::{Environment, Service};
use crate::safety::{Containment, Doubt, Version};

/// The repositories of an environment's services, each opened once.
pub struct Repositories {
    own: Result<Repository, Doubt>,
    others: BTreeMap<PathBuf, Result<Repository, Doubt>>,
    elsewhere: BTreeMap<ServiceName, PathBuf>,
}

impl Repositories {
    /// Opens the repository of the project and those of the environment's services. One that cannot be opened is a
    /// doubt for the services that live in it.
    pub fn open(root: &Path, environment: &Environment) -> Self {
        let elsewhere: BTreeMap<ServiceName, PathBuf> = environment
            .services
            .iter()
            .filter_map(|service: &Service| Some((service.name.clone(), service.repository.clone()?)))
            .collect();
        let mut inhabitants: BTreeMap<PathBuf, BTreeSet<ServiceName>> = BTreeMap::new();
        for (service, path) in &elsewhere {
            inhabitants
                .entry(path.clone())
                .or_default()
                .insert(service.clone());
        }
        Self {
            own: Repository::discover(root).map_err(|problem| doubt(&problem)),
            others: inhabitants
                .into_iter()
                .map(|(path, services)| {
                    let opened = Repository::of_services(&path, services);
                    (path, opened.map_err(|problem| doubt(&problem)))
                })
                .collect(),
            elsewhere,
        }
    }

    /// The repository that holds the commits of a service. Undeclared services are taken to live in the project's.
    ///
    /// # Errors
    /// A doubt where it cannot be opened.
    pub fn of(&self, service: &ServiceName) -> Result<&Repository, Doubt> {
        let found = match self.elsewhere.get(service) {
            Some(path) => self.others.get(path).unwrap_or(&self.own),
            None => &self.own,
        };
        found.as_ref().map_err(Doubt::clone)
    }

    /// Whether a version contains a code phase, by the repository of its service.
    pub fn contains(
        &self,
        version: &Version,
        plan: &PlanId,
        phase: &PhaseId,
        code: &CodePhase,
    ) -> Containment {
        match self.of(&version.service) {
            Ok(repository) => repository.contains(version, plan, phase, code),
            Err(doubt) => Containment::Unknown(doubt),
        }
    }
}

fn doubt(problem: &Problem) -> Doubt {
    let doubt = Doubt::new(problem.message());
    match problem.remedy() {
        Some(fix) => doubt.fix(fix),
        None => doubt,
    }
}
