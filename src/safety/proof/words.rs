//! A counterexample in plain words: what is done, and what then fails.

use super::harm::Found;
use super::model::{Model, PhaseModel, one, places};
use super::names::is_rows;
use super::search::Act;
use super::{Counterexample, StepKind, Subject, TraceStep, VersionName};
use crate::domain::{PhaseId, PlanId};

/// Puts what a search found into words.
pub(super) fn tell(model: &Model<'_>, subjects: &[&Subject], acts: &[Act], found: Found) -> Counterexample {
    let teller = Teller { model, subjects };
    Counterexample {
        steps: teller.steps(acts),
        harm: teller.harm(acts, found),
    }
}

pub(super) struct Teller<'m> {
    pub(super) model: &'m Model<'m>,
    pub(super) subjects: &'m [&'m Subject],
}

/// A phase by its plan's and its own number.
pub(super) type Place = (usize, usize);

impl Teller<'_> {
    pub(super) fn phase(&self, place: Place) -> Option<&PhaseModel> {
        self.model.plans.get(place.0)?.phases.get(place.1)
    }

    pub(super) fn id(&self, place: Place) -> Option<(PlanId, PhaseId)> {
        Some((
            self.model.plans.get(place.0)?.id.clone(),
            self.phase(place)?.id.clone(),
        ))
    }

    /// `drop`, or `plan/drop` where there are several plans.
    pub(super) fn name(&self, place: Place) -> String {
        match self.id(place) {
            Some((plan, phase)) if self.model.plans.len() > 1 => format!("{plan}/{phase}"),
            Some((_, phase)) => phase.to_string(),
            None => String::new(),
        }
    }

    pub(super) fn column(&self, column: usize) -> String {
        self.model
            .columns
            .get(column)
            .map(|name| match is_rows(name) {
                true => format!("the rows of {}", name.table.name),
                false => format!("{}.{}", name.table.name, name.column),
            })
            .unwrap_or_default()
    }

    /// The same with a verb: `users.name is`, and where it stands for a table's rows, `users is`.
    pub(super) fn column_is(&self, column: usize) -> String {
        match self.model.columns.get(column).filter(|name| is_rows(name)) {
            Some(name) => format!("{} is", name.table.name),
            None => format!("{} is", self.column(column)),
        }
    }

    /// The newest code phases of a version.
    fn newest(&self, version: usize) -> Vec<Place> {
        let Some(version) = self.model.versions.get(version) else {
            return Vec::new();
        };
        let mut newest = Vec::new();
        for (plan, set) in version.phases.iter().enumerate() {
            newest.extend(
                places(u128::from(*set))
                    .map(|phase| (plan, phase))
                    .filter(|place| {
                        !places(u128::from(*set)).any(|other| {
                            self.phase((plan, other))
                                .is_some_and(|other| other.above & (1 << place.1) != 0)
                        })
                    }),
            );
        }
        newest
    }

    pub(super) fn version(&self, version: usize) -> VersionName {
        let newest = self.newest(version);
        let mut words = if newest.is_empty() {
            match self.model.plans.len() {
                1 => "the code before the plan".to_owned(),
                _ => "the code before the plans".to_owned(),
            }
        } else {
            let names: Vec<String> = newest.iter().map(|place| self.name(*place)).collect();
            names.join(" with ")
        };
        let service = self
            .model
            .versions
            .get(version)
            .and_then(|version| self.model.services.get(version.service))
            .filter(|_| self.model.services.len() > 1)
            .cloned();
        if let Some(service) = &service {
            words = format!("{words} in {service}");
        }
        VersionName {
            service,
            phases: newest.iter().filter_map(|place| self.id(*place)).collect(),
            words,
        }
    }

    fn steps(&self, acts: &[Act]) -> Vec<TraceStep> {
        let mut steps = Vec::new();
        let mut running: Vec<Option<usize>> = self
            .model
            .services
            .iter()
            .enumerate()
            .map(|(service, _)| {
                self.model.versions.iter().position(|version| {
                    version.service == service && version.phases.iter().all(|set| *set == 0)
                })
            })
            .collect();
        let mut acts = acts.iter().peekable();
        while let Some(act) = acts.next() {
            let about_phase = |kind: StepKind, verb: &str, place: Place| TraceStep {
                kind,
                phase: self.id(place),
                version: None,
                words: format!("{verb} {}", self.name(place)),
            };
            let about_version = |kind: StepKind, version: usize, words: &dyn Fn(&str) -> String| {
                let name = self.version(version);
                TraceStep {
                    kind,
                    phase: None,
                    words: words(&name.words),
                    version: Some(name),
                }
            };
            let service = |version: usize| {
                self.model
                    .versions
                    .get(version)
                    .map_or(0, |version| version.service)
            };
            let step = match *act {
                Act::Run { plan, phase } => about_phase(StepKind::Run, "run", (plan, phase)),
                Act::Undo { plan, phase } => about_phase(StepKind::Undo, "undo", (plan, phase)),
                Act::Verify { plan, phase } => about_phase(StepKind::Verify, "verify again", (plan, phase)),
                Act::Restore { plan, phase } => {
                    about_phase(StepKind::Restore, "restore what was abandoned by", (plan, phase))
                }
                Act::Begin { version } => {
                    let beside = running.get(service(version)).copied().flatten();
                    if acts.next_if_eq(&&Act::Finish { version }).is_some() {
                        if let Some(place) = running.get_mut(service(version)) {
                            *place = Some(version);
                        }
                        about_version(StepKind::Deploy, version, &|name| format!("deploy {name}"))
                    } else {
                        let beside = beside
                            .map(|beside| self.version(beside).words)
                            .unwrap_or_default();
                        about_version(StepKind::BeginDeploy, version, &|name| {
                            format!("begin to deploy {name} beside {beside}")
                        })
                    }
                }
                Act::Finish { version } => {
                    if let Some(place) = running.get_mut(service(version)) {
                        *place = Some(version);
                    }
                    about_version(StepKind::FinishDeploy, version, &|name| {
                        format!("finish deploying {name}")
                    })
                }
                Act::Withdraw { version } => {
                    about_version(StepKind::Withdraw, version, &|name| format!("stop {name} again"))
                }
            };
            steps.push(step);
        }
        steps
    }

    /// The phase that the last step is about; of a deployment the newest phase, of those about the column first.
    pub(super) fn culprit(&self, acts: &[Act], column: Option<usize>) -> Option<Place> {
        match *acts.last()? {
            Act::Run { plan, phase }
            | Act::Undo { plan, phase }
            | Act::Verify { plan, phase }
            | Act::Restore { plan, phase } => Some((plan, phase)),
            Act::Begin { version } | Act::Finish { version } | Act::Withdraw { version } => {
                let newest = self.newest(version);
                newest
                    .iter()
                    .copied()
                    .find(|place| column.is_some_and(|column| self.says(*place, column)))
                    .or_else(|| newest.first().copied())
            }
        }
    }

    /// Whether a code phase says something about a column.
    fn says(&self, place: Place, column: usize) -> bool {
        self.phase(place)
            .is_some_and(|phase| phase.uses.governs & one(column) != 0)
    }

    /// The newest code phase of a version that says something about a column.
    pub(super) fn user(&self, version: usize, column: usize) -> Option<Place> {
        self.newest(version)
            .into_iter()
            .find(|place| self.says(*place, column))
    }
}
