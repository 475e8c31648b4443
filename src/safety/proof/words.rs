//! A counterexample in plain words: what is done, and what then fails.

use super::harm::{Cannot, Found};
use super::model::{Model, PhaseModel, one, places};
use super::search::Act;
use super::{ConstraintKind, Counterexample, Harm, HarmKind, StepKind, Subject, TraceStep, VersionName};
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

    fn id(&self, place: Place) -> Option<(PlanId, PhaseId)> {
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
            .map(|name| format!("{}.{}", name.table.name, name.column))
            .unwrap_or_default()
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

    fn version(&self, version: usize) -> VersionName {
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
    fn culprit(&self, acts: &[Act], column: Option<usize>) -> Option<Place> {
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

    fn harm(&self, acts: &[Act], found: Found) -> Harm {
        let told = match found {
            Found::ReadsMissing { version, column } => {
                let message = format!(
                    "{} reads {}, which is not there",
                    self.version(version).words,
                    self.column(column)
                );
                (HarmKind::ReadsMissingColumn, message, Some(version), Some(column))
            }
            Found::WritesMissing { version, column } => {
                let message = format!(
                    "{} writes {}, which is not there",
                    self.version(version).words,
                    self.column(column)
                );
                (
                    HarmKind::WritesMissingColumn,
                    message,
                    Some(version),
                    Some(column),
                )
            }
            Found::LeavesNull { version, column } => {
                let strict = if self.model.assumed_not_null & one(column) == 0 {
                    "but it is NOT NULL"
                } else {
                    "and it may be NOT NULL"
                };
                let message = format!(
                    "{}: its INSERT leaves {} NULL, {strict}",
                    self.version(version).words,
                    self.column(column)
                );
                (HarmKind::LeavesNull, message, Some(version), Some(column))
            }
            Found::MayViolate { version, guard } => {
                let guard = self.model.guards.get(guard);
                let column = guard.and_then(|guard| places(guard.columns).next());
                let kind = guard.map_or(ConstraintKind::Check, |guard| match guard.what {
                    super::model::GuardKind::Constraint(kind) => kind,
                    super::model::GuardKind::Trigger => ConstraintKind::Check,
                });
                let code = self.version(version).words;
                let about = column.map(|column| self.column(column)).unwrap_or_default();
                let name = guard
                    .and_then(|guard| guard.name.as_ref())
                    .map_or_else(String::new, |name| format!(" {name}"));
                let message = match kind {
                    ConstraintKind::Type => format!("{code} uses {about} by the type it had before"),
                    ConstraintKind::Unique => {
                        format!(
                            "{code} writes {about}, and may violate the uniqueness{name} that it was not written for"
                        )
                    }
                    _ => format!(
                        "{code} writes {about}, and may violate the constraint{name} that it was not written for"
                    ),
                };
                (HarmKind::MayViolate, message, Some(version), column)
            }
            Found::ReadsInvalid {
                version,
                column,
                because_of,
            } => {
                let reader = self.version(version).words;
                let name = self.column(column);
                let message = match because_of {
                    Some(writer) if writer != version => {
                        let leaves = match self.user(writer, column) {
                            Some(_) => "no longer keeps up to date",
                            None => "leaves out of date",
                        };
                        format!(
                            "{reader} reads {name}, which {} {leaves}",
                            self.version(writer).words
                        )
                    }
                    Some(_) => format!("{reader} reads {name}, in which values are missing or out of date"),
                    None => format!("{reader} reads {name}, which nothing has filled yet"),
                };
                (HarmKind::ReadsInvalid, message, Some(version), Some(column))
            }
            Found::Lost { column } => {
                let message = format!("{} goes, and nothing else holds its values", self.column(column));
                (HarmKind::LosesData, message, None, Some(column))
            }
            Found::CannotRun { column, why } => {
                let phase = self
                    .culprit(acts, Some(column))
                    .map(|place| self.name(place))
                    .unwrap_or_default();
                let column_name = self.column(column);
                let message = match why {
                    Cannot::Exists => format!("{phase} fails: {column_name} is there already"),
                    Cannot::Missing => format!("{phase} fails: {column_name} is not there"),
                    Cannot::Unfilled => {
                        format!("{phase} fails: there are rows without a value in {column_name}")
                    }
                };
                (HarmKind::CannotRun, message, None, Some(column))
            }
        };
        let (kind, message, version, column) = told;
        let culprit = self.culprit(acts, column);
        let user = version
            .zip(column)
            .and_then(|(version, column)| self.user(version, column));
        Harm {
            kind,
            message,
            column: column.and_then(|column| self.model.columns.get(column)).cloned(),
            version: version.map(|version| self.version(version)),
            culprit: culprit.and_then(|place| self.id(place)),
            user: user.and_then(|place| self.id(place)),
            assumed: self.assumed(found, user),
            remedy: self.remedy(found, culprit, user),
        }
    }

    /// What no plan says, and the harm rests on.
    fn assumed(&self, found: Found, user: Option<Place>) -> Option<String> {
        let before = if self.model.plans.len() > 1 {
            "the plans"
        } else {
            "the plan"
        };
        match found {
            Found::LeavesNull { column, .. } if self.model.assumed_not_null & one(column) != 0 => {
                Some(format!(
                    "whether {} was NOT NULL before {before} is not known",
                    self.column(column)
                ))
            }
            Found::ReadsMissing { column, .. }
            | Found::WritesMissing { column, .. }
            | Found::LeavesNull { column, .. }
            | Found::ReadsInvalid { column, .. }
                if user.is_none() && self.model.assumed_used & one(column) != 0 =>
            {
                Some(format!(
                    "what the code before {before} does with {} is not known",
                    self.column(column)
                ))
            }
            Found::MayViolate { .. } if self.model.assumed_used != 0 || self.model.assumed_not_null != 0 => {
                Some(format!(
                    "whether the code before {before} obeys it already is not known"
                ))
            }
            _ if self.model.assumed_used != 0 || self.model.assumed_not_null != 0 => Some(format!(
                "it takes the worst for true that {before} leave{} open about the tables and the code before",
                if self.model.plans.len() > 1 { "" } else { "s" }
            )),
            _ => None,
        }
    }
}
