//! The repository in which each service's commits are looked up, opened once.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::git::Repository;
use crate::domain::{CommitId, PhaseId, PlanId, Problem, ServiceName};
use crate::plan::CodePhase;
use crate::project::{Environment, Project};
use crate::safety::{Containment, Doubt, Fleet, Version};

/// The repositories behind an environment's services. A service that is not declared (any more) is looked up in the
/// project's own.
pub struct Repositories {
    home: PathBuf,
    plans: PathBuf,
    elsewhere: BTreeMap<ServiceName, PathBuf>,
    opened: BTreeMap<PathBuf, OnceCell<Result<Repository, Doubt>>>,
}

impl Repositories {
    /// Notes which there are; each is opened when it is first asked.
    pub fn new(project: &Project, environment: &Environment) -> Self {
        let elsewhere: BTreeMap<ServiceName, PathBuf> = environment
            .services
            .iter()
            .filter_map(|service| {
                let path = service.repository.clone()?;
                Some((service.name.clone(), path))
            })
            .collect();
        let opened = elsewhere
            .values()
            .chain([&project.root])
            .map(|path| (path.clone(), OnceCell::new()))
            .collect();
        Self {
            home: project.root.clone(),
            plans: project.plans.clone(),
            elsewhere,
            opened,
        }
    }

    /// The folder whose repository holds a service's commits.
    pub fn path(&self, service: &ServiceName) -> &Path {
        self.elsewhere.get(service).unwrap_or(&self.home)
    }

    /// The repository that holds a service's commits.
    ///
    /// # Errors
    /// It cannot be opened: a doubt, since nothing can be told about its commits then.
    pub fn of_service(&self, service: &ServiceName) -> Result<&Repository, Doubt> {
        let path = self.path(service);
        let Some(cell) = self.opened.get(path) else {
            return Err(Doubt::new(format!(
                "{} is not a known repository",
                path.display()
            )));
        };
        cell.get_or_init(|| self.open(path).map_err(|problem| doubt_of(&problem)))
            .as_ref()
            .map_err(Clone::clone)
    }

    fn open(&self, path: &Path) -> Result<Repository, Problem> {
        let repository = if path == self.home {
            Repository::discover(path)?
        } else {
            let inhabitants = self.elsewhere.iter().filter(|(_, home)| *home == path);
            Repository::of_services(path, inhabitants.map(|(service, _)| service.clone()).collect())?
        };
        Ok(repository.with_plans_in(&self.plans))
    }

    /// Learns in one walk of each repository which versions descend from the commits of which code phases, so that
    /// [`Repositories::contains`] need not walk for every pair.
    pub fn prepare<'p>(&self, versions: &BTreeSet<Version>, phases: impl Iterator<Item = &'p CodePhase>) {
        let revisions: BTreeSet<&str> = phases
            .flat_map(|code| &code.commits)
            .map(|commit| commit.revision.as_str())
            .collect();
        let revisions: Vec<&str> = revisions.into_iter().collect();
        let mut by_home: BTreeMap<&Path, Vec<&Version>> = BTreeMap::new();
        for version in versions {
            by_home
                .entry(self.path(&version.service))
                .or_default()
                .push(version);
        }
        for versions in by_home.into_values() {
            let Some(Ok(repository)) = versions.first().map(|first| self.of_service(&first.service)) else {
                continue;
            };
            let commits: BTreeSet<&CommitId> = versions.iter().map(|version| &version.commit).collect();
            let commits: Vec<CommitId> = commits.into_iter().cloned().collect();
            repository.prepare(&commits, &revisions);
        }
    }

    /// Whether a version contains a code phase.
    pub fn contains(
        &self,
        version: &Version,
        plan: &PlanId,
        phase: &PhaseId,
        code: &CodePhase,
    ) -> Containment {
        match self.of_service(&version.service) {
            Ok(repository) => repository.contains(version, plan, phase, code),
            Err(doubt) => Containment::Unknown(doubt),
        }
    }

    /// The commits by which a code phase comes into the versions of a service, as far as they are known here.
    pub fn commits_of(
        &self,
        service: &ServiceName,
        plan: &PlanId,
        phase: &PhaseId,
        code: &CodePhase,
    ) -> Vec<CommitId> {
        self.of_service(service)
            .map(|repository| repository.commits_of(service, plan, phase, code))
            .unwrap_or_default()
    }

    /// The first line of a commit's message, where the commit is known.
    pub fn subject(&self, service: &ServiceName, commit: &CommitId) -> Option<String> {
        let repository = self.of_service(service).ok()?;
        Some(repository.summary(commit)?.subject)
    }

    /// The subjects of all that runs, where the commits are known.
    pub fn subjects(&self, fleet: &Fleet) -> BTreeMap<(ServiceName, CommitId), String> {
        fleet
            .versions()
            .into_iter()
            .filter_map(|version| {
                let subject = self.subject(&version.service, &version.commit)?;
                Some(((version.service, version.commit), subject))
            })
            .collect()
    }
}

/// What could not be done, as something that is therefore not known.
pub(super) fn doubt_of(problem: &Problem) -> Doubt {
    Doubt {
        why: problem.to_string().replace('\n', ": "),
        fix: problem.remedy().map(str::to_owned),
    }
}
