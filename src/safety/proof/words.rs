//! A counterexample in plain words: what is done, what then fails, and which phase should have waited for which.

use super::harm::Found;
use super::model::{Model, PhaseModel, one, places};
use super::search::Act;
use super::{Change, ConstraintKind, Subject, Work};
use crate::domain::{ColumnName, PhaseId, PlanId, ServiceName};
use crate::safety::PhaseKind;

/// The shortest way to a state in which something fails.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is done, in order.
    pub steps: Vec<TraceStep>,
    /// What fails then.
    pub harm: Harm,
}

impl Counterexample {
    /// The steps in one line: `run add → deploy dual-write → run drop`.
    pub fn line(&self) -> String {
        let words: Vec<&str> = self.steps.iter().map(|step| step.words.as_str()).collect();
        words.join(" → ")
    }
}

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A phase runs.
    Run,
    /// A phase is undone.
    Undo,
    /// A backfill is verified, and filled again.
    Verify,
    /// Abandoned data is restored.
    Restore,
    /// A version is deployed, and replaces the one before.
    Deploy,
    /// A version begins to be deployed, and runs beside the one before.
    BeginDeploy,
    /// The version that was being deployed replaces the one before.
    FinishDeploy,
    /// The version that was being deployed is stopped again.
    Withdraw,
}

impl StepKind {
    /// The stable kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Undo => "undo",
            Self::Verify => "verify",
            Self::Restore => "restore",
            Self::Deploy => "deploy",
            Self::BeginDeploy => "begin-deploy",
            Self::FinishDeploy => "finish-deploy",
            Self::Withdraw => "withdraw",
        }
    }
}

/// One step of a counterexample.
#[derive(Clone, Debug)]
pub struct TraceStep {
    /// What is done.
    pub kind: StepKind,
    /// The plan and phase, of a step that is about a phase.
    pub phase: Option<(PlanId, PhaseId)>,
    /// The version, of a step that is about a deployment.
    pub version: Option<VersionName>,
    /// The step in words.
    pub words: String,
}

/// A version, by the newest of its code phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionName {
    /// The service, where there is more than one.
    pub service: Option<ServiceName>,
    /// Its newest code phases; none for the code before the plan.
    pub phases: Vec<(PlanId, PhaseId)>,
    /// The version in words.
    pub words: String,
}

/// What kind of thing fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HarmKind {
    /// Code reads a column that is not there.
    ReadsMissingColumn,
    /// Code writes a column that is not there.
    WritesMissingColumn,
    /// An INSERT leaves a column NULL that is NOT NULL.
    LeavesNull,
    /// A write may violate a constraint that the code was not written for, or meet a type that it does not know.
    MayViolate,
    /// Code reads values that are missing or stale.
    ReadsInvalid,
    /// A column goes that was the only one with the right values.
    LosesData,
    /// The SQL of a phase fails.
    CannotRun,
}

impl HarmKind {
    /// The stable kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadsMissingColumn => "reads-missing-column",
            Self::WritesMissingColumn => "writes-missing-column",
            Self::LeavesNull => "leaves-null",
            Self::MayViolate => "may-violate",
            Self::ReadsInvalid => "reads-invalid",
            Self::LosesData => "loses-data",
            Self::CannotRun => "cannot-run",
        }
    }
}

/// What fails, and what should have been otherwise.
#[derive(Clone, Debug)]
pub struct Harm {
    /// What kind of thing.
    pub kind: HarmKind,
    /// What happens, in a clause.
    pub message: String,
    /// The column.
    pub column: Option<ColumnName>,
    /// The version that fails.
    pub version: Option<VersionName>,
    /// The phase that the last step is about: the one whose needs let it come too early.
    pub culprit: Option<(PlanId, PhaseId)>,
    /// The code phase by which the failing version uses the column.
    pub user: Option<(PlanId, PhaseId)>,
    /// What is assumed for it and said by no plan; `None` where nothing is.
    pub assumed: Option<String>,
    /// What to do.
    pub remedy: String,
}

/// Puts what a search found into words.
pub(super) fn tell(model: &Model<'_>, subjects: &[&Subject], acts: &[Act], found: Found) -> Counterexample {
    let teller = Teller { model, subjects };
    Counterexample {
        steps: teller.steps(acts),
        harm: teller.harm(acts, found),
    }
}

struct Teller<'m> {
    model: &'m Model<'m>,
    subjects: &'m [&'m Subject],
}

/// A phase by its plan's and its own number.
type Place = (usize, usize);

impl Teller<'_> {
    fn phase(&self, place: Place) -> Option<&PhaseModel> {
        self.model.plans.get(place.0)?.phases.get(place.1)
    }

    fn id(&self, place: Place) -> Option<(PlanId, PhaseId)> {
        Some((
            self.model.plans.get(place.0)?.id.clone(),
            self.phase(place)?.id.clone(),
        ))
    }

    /// `drop`, or `plan/drop` where there are several plans.
    fn name(&self, place: Place) -> String {
        match self.id(place) {
            Some((plan, phase)) if self.model.plans.len() > 1 => format!("{plan}/{phase}"),
            Some((_, phase)) => phase.to_string(),
            None => String::new(),
        }
    }

    fn column(&self, column: usize) -> String {
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
    fn user(&self, version: usize, column: usize) -> Option<Place> {
        self.newest(version)
            .into_iter()
            .find(|place| self.says(*place, column))
    }

    fn every_phase(&self) -> impl Iterator<Item = Place> + '_ {
        self.model
            .plans
            .iter()
            .enumerate()
            .flat_map(|(plan, model)| (0..model.phases.len()).map(move |phase| (plan, phase)))
    }

    /// The last phase whose SQL holds a change.
    fn phase_that(&self, wanted: impl Fn(&Change) -> bool) -> Option<Place> {
        self.every_phase()
            .filter(|place| {
                let work = self
                    .phase(*place)
                    .and_then(|phase| self.subjects.get(place.0)?.work.get(&phase.id));
                matches!(work, Some(Work::Migration { up, .. }) if up.iter().flatten().any(&wanted))
            })
            .last()
    }

    /// The first code phase that does something with a column.
    fn code_that(&self, column: usize, wanted: impl Fn(bool, bool) -> bool) -> Option<Place> {
        self.every_phase().find(|place| {
            self.phase(*place).is_some_and(|phase| {
                let has = |set: u128| set & one(column) != 0;
                phase.kind == PhaseKind::Code
                    && has(phase.uses.governs)
                    && wanted(has(phase.uses.reads), has(phase.uses.writes))
            })
        })
    }

    fn backfill_of(&self, column: usize) -> Option<Place> {
        self.every_phase().find(|place| {
            self.phase(*place).is_some_and(|phase| {
                phase.kind == PhaseKind::Backfill
                    && phase
                        .fill
                        .iter()
                        .any(|op| matches!(op, super::model::Op::Fill { target, .. } if *target == column))
            })
        })
    }

    fn is_above(&self, above: Place, below: Place) -> bool {
        above.0 == below.0
            && self
                .phase(below)
                .is_some_and(|phase| phase.above & (1 << above.1) != 0)
    }

    /// `let drop need stop-write`, where that is possible and not so already.
    fn need(&self, phase: Option<Place>, needed: Option<Place>) -> Option<String> {
        let (phase, needed) = (phase?, needed?);
        let possible = phase.0 == needed.0
            && phase != needed
            && !self.is_above(needed, phase)
            && !self.is_above(phase, needed);
        possible.then(|| format!("let {} need {}", self.name(phase), self.name(needed)))
    }

    /// `move backfill behind dual-write`, where it is not.
    fn behind_its_writer(&self, backfill: Option<Place>, writer: Option<Place>) -> Option<String> {
        let (backfill, writer) = (backfill?, writer?);
        if self.is_above(writer, backfill) || !self.model.syncs.is_empty() {
            return None;
        }
        Some(format!(
            "move {} behind {}: rows that are written before are missed otherwise",
            self.name(backfill),
            self.name(writer)
        ))
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
                let message = format!(
                    "{}: its INSERT leaves {} NULL, but it is NOT NULL",
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
                        let keeps = if self.user(writer, column).is_some() {
                            "no longer keeps"
                        } else {
                            "does not keep"
                        };
                        format!(
                            "{reader} reads {name}, which {} {keeps} up to date",
                            self.version(writer).words
                        )
                    }
                    _ => format!("{reader} reads {name}, in which values are missing or out of date"),
                };
                (HarmKind::ReadsInvalid, message, Some(version), Some(column))
            }
            Found::Lost { column } => {
                let message = format!("{} goes, and nothing else holds its values", self.column(column));
                (HarmKind::LosesData, message, None, Some(column))
            }
            Found::CannotRun { column, exists } => {
                let phase = self
                    .culprit(acts, Some(column))
                    .map(|place| self.name(place))
                    .unwrap_or_default();
                let why = if exists {
                    "is there already"
                } else {
                    "is not there"
                };
                let message = format!("{phase} fails: {} {why}", self.column(column));
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

    fn remedy(&self, found: Found, culprit: Option<Place>, user: Option<Place>) -> String {
        let named = |column: usize| {
            let name = self.model.columns.get(column).cloned();
            move |other: &ColumnName| {
                name.as_ref().is_some_and(|name| {
                    name.column == other.column && super::same_table(&name.table, &other.table)
                })
            }
        };
        if self.model.plans.len() > 1 {
            return "let one of the plans be complete before the other begins, or put both changes into one plan; the file \
                    of a plan that is complete everywhere can be removed, as the ledger keeps its copy"
                .to_owned();
        }
        match found {
            Found::ReadsMissing { column, .. } | Found::WritesMissing { column, .. } => {
                let is = named(column);
                let gone_by = self.phase_that(|change| match change {
                    Change::DropColumn { column, .. } => is(column),
                    Change::RenameColumn { from, .. } => is(from),
                    _ => false,
                });
                let is = named(column);
                let comes_by = self.phase_that(|change| match change {
                    Change::AddColumn { table, column, .. } => is(&ColumnName {
                        table: table.clone(),
                        column: column.name.clone(),
                    }),
                    _ => false,
                });
                let unused = self.code_that(column, |reads, writes| !reads && !writes);
                self.need(gone_by, unused)
                    .or_else(|| self.need(user, comes_by))
                    .unwrap_or_else(|| {
                        let phase = culprit.map(|place| self.name(place)).unwrap_or_default();
                        format!(
                            "let {phase} need a code phase that neither reads nor writes {}",
                            self.column(column)
                        )
                    })
            }
            Found::LeavesNull { column, .. } => {
                let is = named(column);
                let freed_by = self.phase_that(
                    |change| matches!(change, Change::NotNull { column, on: false } if is(column)),
                );
                let is = named(column);
                let made_by = self.phase_that(|change| match change {
                    Change::NotNull { column, on: true } => is(column),
                    Change::AddColumn { table, column, .. } => is(&ColumnName {
                        table: table.clone(),
                        column: column.name.clone(),
                    }),
                    _ => false,
                });
                let writer = self.code_that(column, |_, writes| writes);
                let backfill = self
                    .backfill_of(column)
                    .filter(|backfill| culprit.is_some_and(|culprit| self.is_above(*backfill, culprit)));
                if let Some(moved) = self.behind_its_writer(backfill, writer) {
                    return moved;
                }
                let Some(name) = self.model.columns.get(column) else {
                    return String::new();
                };
                self.need(culprit, freed_by)
                    .or_else(|| self.need(made_by.filter(|_| freed_by.is_none()), writer))
                    .unwrap_or_else(|| match (made_by, writer) {
                        (Some(made_by), Some(writer)) => format!(
                            "move {} behind {}: only code that writes {} can live with NOT NULL",
                            self.name(made_by),
                            self.name(writer),
                            self.column(column)
                        ),
                        _ => format!(
                            "add a phase before {} whose migration says: ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
                            culprit.map(|place| self.name(place)).unwrap_or_default(),
                            name.table,
                            name.column
                        ),
                    })
            }
            Found::ReadsInvalid {
                column, because_of, ..
            } => {
                let backfill = self.backfill_of(column);
                let writer = self.code_that(column, |_, writes| writes);
                let unread = self.code_that(column, |reads, _| !reads);
                let stops = because_of.and_then(|version| self.user(version, column));
                let from_backfill = self.need(user, backfill);
                let by_trigger = backfill.is_some_and(|place| {
                    writer.is_some_and(|writer| !self.is_above(writer, place)) && !self.model.syncs.is_empty()
                });
                from_backfill
                    .or_else(|| self.need(stops, unread))
                    .or_else(|| self.need(backfill.filter(|_| !by_trigger), writer))
                    .or_else(|| self.behind_its_writer(backfill, writer))
                    .unwrap_or_else(|| {
                        format!(
                            "let code stop reading {} one code phase before it stops writing it, and let the second need \
                             the first",
                            self.column(column)
                        )
                    })
            }
            Found::MayViolate { .. } => {
                let phase = culprit.map(|place| self.name(place)).unwrap_or_default();
                format!(
                    "let {phase} need a code phase whose writes obey it, and declare what that code writes"
                )
            }
            Found::Lost { column } => {
                let partners = self.model.partners.get(column).copied().unwrap_or(0);
                let backfill = places(partners).find_map(|partner| self.backfill_of(partner));
                self.need(culprit, backfill)
                    .unwrap_or_else(|| "copy the values first".to_owned())
            }
            Found::CannotRun { .. } => "put the phases into the order in which their SQL can run".to_owned(),
        }
    }
}
