//! What to do about a plan that is not safe: which phase should wait for which.

use super::harm::{Cannot, Found};
use super::model::{one, places};
use super::schema::Op;
use super::words::{Place, Teller};
use super::{Change, Work};
use crate::domain::ColumnName;
use crate::safety::PhaseKind;

impl Teller<'_> {
    pub(super) fn every_phase(&self) -> impl Iterator<Item = Place> + '_ {
        self.model
            .plans
            .iter()
            .enumerate()
            .flat_map(|(plan, model)| (0..model.phases.len()).map(move |phase| (plan, phase)))
    }

    /// The last phase whose SQL holds a change.
    pub(super) fn phase_that(&self, wanted: impl Fn(&Change) -> bool) -> Option<Place> {
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
    pub(super) fn code_that(&self, column: usize, wanted: impl Fn(bool, bool) -> bool) -> Option<Place> {
        self.every_phase().find(|place| {
            self.phase(*place).is_some_and(|phase| {
                let has = |set: u128| set & one(column) != 0;
                phase.kind == PhaseKind::Code
                    && has(phase.uses.governs)
                    && wanted(has(phase.uses.reads), has(phase.uses.writes))
            })
        })
    }

    pub(super) fn backfill_of(&self, column: usize) -> Option<Place> {
        self.every_phase().find(|place| {
            self.phase(*place).is_some_and(|phase| {
                phase.kind == PhaseKind::Backfill
                    && phase
                        .fill
                        .iter()
                        .any(|op| matches!(op, Op::Fill { target, .. } if *target == column))
            })
        })
    }

    pub(super) fn is_above(&self, above: Place, below: Place) -> bool {
        above.0 == below.0
            && self
                .phase(below)
                .is_some_and(|phase| phase.above & (1 << above.1) != 0)
    }

    /// `let drop need stop-write`, where that is possible and not so already.
    pub(super) fn need(&self, phase: Option<Place>, needed: Option<Place>) -> Option<String> {
        let (phase, needed) = (phase?, needed?);
        let possible = phase.0 == needed.0
            && phase != needed
            && !self.is_above(needed, phase)
            && !self.is_above(phase, needed);
        possible.then(|| format!("let {} need {}", self.name(phase), self.name(needed)))
    }

    /// `move backfill behind dual-write`, where it is not.
    pub(super) fn behind_its_writer(&self, backfill: Option<Place>, writer: Option<Place>) -> Option<String> {
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

    pub(super) fn remedy(&self, found: Found, culprit: Option<Place>, user: Option<Place>) -> String {
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
                    Change::DropTable { table, .. } | Change::RenameTable { from: table, .. } => self
                        .model
                        .columns
                        .get(column)
                        .is_some_and(|name| super::same_table(&name.table, table)),
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
            Found::WritesGenerated { column, .. } => format!(
                "make it GENERATED BY DEFAULT, or let no code that runs then write {}",
                self.column(column)
            ),
            Found::TriggerMisses { guard, .. } => {
                let guard = self.model.guards.get(guard);
                let name = guard.and_then(|guard| guard.name.as_ref());
                let (name, table) = name
                    .zip(guard)
                    .map(|(name, guard)| (name.to_string(), guard.table.to_string()))
                    .unwrap_or_default();
                format!("drop it where the column goes: DROP TRIGGER {name} ON {table}")
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
            Found::CannotRun {
                column,
                why: Cannot::Unfilled,
            } => self
                .need(culprit, self.backfill_of(column))
                .unwrap_or_else(|| format!("fill {} first", self.column(column))),
            Found::CannotRun {
                why: Cannot::Depended(guard),
                ..
            } => match self.model.guards.get(guard) {
                Some(trigger) if trigger.what.is_trigger() => {
                    format!("drop the trigger on {} first", trigger.table)
                }
                Some(view) => format!("drop or replace the view {} first", view.table),
                None => String::new(),
            },
            Found::CannotRun { .. } => "put the phases into the order in which their SQL can run".to_owned(),
        }
    }
}
