//! What triggers keep in step: columns of one table, and columns of two whose rows pair.

use super::compile::Builder;
use super::guards::{Functions, changes_of};
use super::model::{Columns, Sync, one, places};
use super::{Change, Fill, Firing, Subject, Work, same_table};
use crate::domain::{ColumnName, PhaseId, SqlIdentifier, TableName};

/// A trigger that a phase above a backfill makes.
struct Made<'q> {
    /// The place of the phase, and of the change in it.
    phase: usize,
    number: usize,
    table: &'q TableName,
    function: &'q SqlIdentifier,
    fires: &'q Firing,
}

/// The triggers that phases above a backfill make.
fn triggers_above<'q>(subject: &'q Subject, backfill: &PhaseId) -> Vec<Made<'q>> {
    let mut all = Vec::new();
    for (phase, shape) in subject.shape.phases().enumerate() {
        if !subject.shape.is_above(&shape.id, backfill) {
            continue;
        }
        for (number, (forward, change)) in changes_of(subject, &shape.id).into_iter().enumerate() {
            if let Change::AddTrigger {
                table,
                function,
                fires,
                ..
            } = change
                && forward
            {
                all.push(Made {
                    phase,
                    number,
                    table,
                    function,
                    fires,
                });
            }
        }
    }
    all
}

/// The parts of a fill that share no column: each may be kept by triggers of its own, which know nothing of the others.
fn independent(fill: &Fill) -> Vec<Fill> {
    let mut parts: Vec<Fill> = Vec::new();
    for (target, sources) in &fill.columns {
        let mut part = Fill {
            columns: vec![(target.clone(), sources.clone())],
            ..fill.clone()
        };
        let shares = |other: &Fill| {
            other.columns.iter().any(|(one, read)| {
                one == target
                    || read.contains(target)
                    || sources.contains(one)
                    || sources.iter().any(|it| read.contains(it))
            })
        };
        let (shared, apart): (Vec<Fill>, Vec<Fill>) = parts.into_iter().partition(shares);
        parts = apart;
        for other in shared {
            part.columns.extend(other.columns);
        }
        parts.push(part);
    }
    parts
}

impl Builder {
    /// The columns that triggers keep in step.
    pub(super) fn syncs(&mut self, subjects: &[&Subject]) {
        for (plan, subject) in subjects.iter().enumerate() {
            let functions = Functions::of(subject);
            for phase in subject.shape.phases() {
                if let Some(Work::Backfill(fill)) = subject.work.get(&phase.id)
                    && fill.by_trigger
                {
                    // Columns that pairs of rows hold are not kept by a trigger of the one table alone.
                    let own = Fill {
                        columns: fill
                            .columns
                            .iter()
                            .filter(|(column, _)| fill.paired.iter().all(|(paired, _)| paired != column))
                            .cloned()
                            .collect(),
                        paired: Vec::new(),
                        ..fill.clone()
                    };
                    for part in independent(&own) {
                        let sync = self.sync(plan, subject, &phase.id, &part, &functions);
                        self.syncs.push(sync);
                    }
                    for (column, held) in &fill.paired {
                        let pair = [
                            ColumnName {
                                table: fill.table.clone(),
                                column: column.clone(),
                            },
                            held.clone(),
                        ];
                        let places = (self.named(&pair[0]), self.named(&pair[1]));
                        self.paired.push(places);
                        let sync = self.sync_of_pair(plan, subject, &phase.id, &pair, &functions);
                        self.syncs.push(sync);
                    }
                }
            }
        }
    }

    fn sync(
        &mut self,
        plan: usize,
        subject: &Subject,
        backfill: &PhaseId,
        fill: &Fill,
        functions: &Functions<'_>,
    ) -> Sync {
        let columns = self.columns_of_fill(fill);
        let mut triggers = 0;
        let (mut on_insert, mut on_update): (Columns, Columns) = (0, 0);
        for made in triggers_above(subject, backfill) {
            let Made {
                table,
                function,
                fires,
                ..
            } = made;
            if !same_table(table, &fill.table) {
                continue;
            }
            let written = functions
                .set_by(function)
                .iter()
                .fold(0, |all, column| all | one(self.column(table, column)));
            // One that sets other columns has no part in this.
            if written != 0 && written & columns == 0 {
                continue;
            }
            triggers |= self.made_by(plan, made.phase, made.number);
            // Where the function cannot be looked into, the declaration counts.
            let written = if written == 0 { columns } else { columns & written };
            if self.fires_for(table, fires, columns, fires.on_insert) {
                on_insert |= written;
            }
            for target in places(written) {
                let others = columns & !one(target);
                let is_told = fires.of.is_empty() || others & !self.listed(table, &fires.of) == 0;
                if is_told && self.fires_for(table, fires, columns, fires.on_update) {
                    on_update |= one(target);
                }
            }
        }
        Sync {
            triggers,
            columns,
            filled: on_insert,
            kept: on_insert & on_update,
        }
    }

    /// What keeps a pair of columns of two tables in step: the triggers that hand on what is written to either, and those that
    /// take the other's value for a row that comes. Each is kept while an UPDATE of the other reaches it, and an INSERT of a row
    /// of either table, whichever of both comes last.
    fn sync_of_pair(
        &mut self,
        plan: usize,
        subject: &Subject,
        backfill: &PhaseId,
        pair: &[ColumnName; 2],
        functions: &Functions<'_>,
    ) -> Sync {
        let columns = one(self.named(&pair[0])) | one(self.named(&pair[1]));
        let mut triggers = 0;
        let (mut on_insert, mut on_update, mut filled): (Columns, Columns, Columns) = (0, 0, 0);
        for made in triggers_above(subject, backfill) {
            let Made {
                table,
                function,
                fires,
                ..
            } = made;
            let Some(own) = pair.iter().find(|column| same_table(&column.table, table)) else {
                continue;
            };
            let Some(other) = pair.iter().find(|column| *column != own) else {
                continue;
            };
            let takes = functions.set_by(function).contains(&&own.column);
            let hands_on = functions.updates_of(function).iter().any(|(column, source)| {
                **source == own.column
                    && column.column == other.column
                    && same_table(&column.table, &other.table)
            });
            if !(takes || hands_on) {
                continue;
            }
            let (own_bit, other_bit) = (self.bits(own), self.bits(other));
            // Whether the column itself is named by those conditions that there are.
            let is_told = fires.of.is_empty() || fires.of.contains(&own.column);
            let always = |on_event: bool| {
                // What is handed on before the row is written may not be what is written.
                let of_rows = Firing {
                    before_row: fires.after_row,
                    ..fires.clone()
                };
                self.fires_for(table, &of_rows, own_bit, on_event)
            };
            let hands_on_insert = hands_on && always(fires.on_insert);
            let hands_on_update = hands_on && is_told && always(fires.on_update);
            let takes = takes && self.fires_for(table, fires, own_bit, fires.on_insert);
            if hands_on_insert {
                on_insert |= other_bit;
            }
            if hands_on_update {
                on_update |= other_bit;
            }
            if takes {
                on_insert |= own_bit;
                filled |= own_bit;
            }
            if hands_on_insert || hands_on_update || takes {
                triggers |= self.made_by(plan, made.phase, made.number);
            }
        }
        Sync {
            triggers,
            columns,
            filled,
            kept: on_insert & on_update,
        }
    }

    /// Whether a trigger fires whenever something of some columns is written, in time to change the row.
    fn fires_for(&self, table: &TableName, fires: &Firing, columns: Columns, on_event: bool) -> bool {
        let always = match &fires.when {
            None => true,
            // A condition that asks for nothing but these columns asks whether they differ.
            Some(named) => {
                !named.is_empty()
                    && named.iter().all(|column| {
                        let column = self.place(table, column);
                        column != 0 && column & !columns == 0
                    })
            }
        };
        fires.before_row && on_event && always
    }

    fn listed(&self, table: &TableName, names: &[SqlIdentifier]) -> Columns {
        names
            .iter()
            .fold(0, |all, column| all | self.place(table, column))
    }
}
