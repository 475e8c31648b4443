//! What fails in plain words, and what that rests on.

use super::harm::{Cannot, Found};
use super::model::{GuardKind, one, places};
use super::names::is_rows;
use super::search::Act;
use super::words::{Place, Teller};
use super::{ConstraintKind, Harm, HarmKind};
use crate::domain::SqlIdentifier;

/// ` sync`, or nothing where there is no name.
fn named(name: Option<&SqlIdentifier>) -> String {
    name.map_or_else(String::new, |name| format!(" {name}"))
}

impl Teller<'_> {
    pub(super) fn harm(&self, acts: &[Act], found: Found) -> Harm {
        let told = match found {
            Found::ReadsMissing { version, column } => {
                let message = format!(
                    "{} reads {}, which {} not there",
                    self.version(version).words,
                    self.column(column),
                    if self.model.rows & one(column) == 0 {
                        "is"
                    } else {
                        "are"
                    }
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
            Found::WritesGenerated { version, column } => {
                let message = format!(
                    "{} writes {}, which is GENERATED ALWAYS",
                    self.version(version).words,
                    self.column(column)
                );
                (HarmKind::WritesGenerated, message, Some(version), Some(column))
            }
            Found::TriggerMisses {
                version,
                guard,
                column,
            } => {
                let guard = self.model.guards.get(guard);
                let (table, name) = guard
                    .map(|guard| (guard.table.name.to_string(), named(guard.name.as_ref())))
                    .unwrap_or_default();
                let message = format!(
                    "{} writes {table}, whose trigger{name} uses {}, which is not there",
                    self.version(version).words,
                    self.column(column)
                );
                (HarmKind::TriggerFails, message, Some(version), Some(column))
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
                    GuardKind::Constraint(kind) => kind,
                    GuardKind::Trigger { .. } | GuardKind::View => ConstraintKind::Check,
                });
                let code = self.version(version).words;
                let about = column.map(|column| self.column(column)).unwrap_or_default();
                let name = named(guard.and_then(|guard| guard.name.as_ref()));
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
                let (go, their) = match self.model.rows & one(column) {
                    0 => ("goes", "its"),
                    _ => ("go", "their"),
                };
                let message = format!(
                    "{} {go}, and nothing else holds {their} values",
                    self.column(column)
                );
                (HarmKind::LosesData, message, None, Some(column))
            }
            Found::CannotRun { column, why } => {
                let phase = self
                    .culprit(acts, Some(column))
                    .map(|place| match acts.last() {
                        Some(Act::Undo { .. }) => format!("undoing {}", self.name(place)),
                        _ => self.name(place),
                    })
                    .unwrap_or_default();
                let name = self.column(column);
                let message = match why {
                    Cannot::Exists => format!("{phase} fails: {} there already", self.column_is(column)),
                    Cannot::Missing => format!("{phase} fails: {} not there", self.column_is(column)),
                    Cannot::Unfilled => {
                        format!("{phase} fails: there are rows without a value in {name}")
                    }
                    Cannot::Depended(guard) => match self.model.guards.get(guard) {
                        Some(trigger) if trigger.what.is_trigger() => format!(
                            "{phase} fails: the trigger{} calls the function that it drops",
                            named(trigger.name.as_ref())
                        ),
                        _ => format!("{phase} fails: a view reads {name}"),
                    },
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
            column: column
                .and_then(|column| self.model.columns.get(column))
                .filter(|column| !is_rows(column))
                .cloned(),
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
            Found::CannotRun {
                column,
                why: Cannot::Unfilled,
            } if self.model.assumed_blank & one(column) != 0 => Some(format!(
                "whether every row has a value in {} before {before} is not known",
                self.column(column)
            )),
            Found::ReadsInvalid { column, .. } if self.model.assumed_copies & one(column) != 0 => {
                Some(format!(
                    "whether {} has to hold what was written before it came is not known",
                    self.column(column)
                ))
            }
            Found::ReadsMissing { column, .. }
            | Found::WritesMissing { column, .. }
            | Found::WritesGenerated { column, .. }
            | Found::TriggerMisses { column, .. }
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
