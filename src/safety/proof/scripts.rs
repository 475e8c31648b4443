//! What the phases of a plan do, from changes to bits.

use super::compile::{Builder, bit, mask};
use super::model::{Guard, GuardKind, Op, PhaseModel, PlanModel, Uses, one, places};
use super::{Change, ConstraintKind, NewColumn, Script, Subject, Work};
use crate::domain::{ServiceName, SqlIdentifier, TableName};
use crate::safety::PhaseKind;

impl Builder {
    pub(super) fn plan<'q>(
        &mut self,
        plan: usize,
        subject: &'q Subject,
        services: &[ServiceName],
    ) -> PlanModel<'q> {
        let shape = &subject.shape;
        let order: Vec<_> = shape.phases().collect();
        let mut phases = Vec::new();
        for (place, phase) in order.iter().enumerate() {
            let mut above = 0;
            let mut comparable = 1 << place;
            for (other, candidate) in order.iter().enumerate() {
                if shape.is_above(&candidate.id, &phase.id) {
                    above |= 1 << other;
                    comparable |= 1 << other;
                }
                if shape.is_above(&phase.id, &candidate.id) {
                    comparable |= 1 << other;
                }
            }
            let mut model = PhaseModel {
                id: phase.id.clone(),
                kind: phase.kind,
                above,
                comparable,
                up: Vec::new(),
                down: None,
                fill: Vec::new(),
                uses: Uses::default(),
                services: 0,
            };
            match subject.work.get(&phase.id) {
                Some(Work::Migration { up, down, restore }) => {
                    let first = self.guards.len();
                    model.up = self.script(plan, place, up, true);
                    let own = mask(first, self.guards.len());
                    model.down = down.as_ref().map(|down| {
                        let mut script = self.script(plan, place, down, false);
                        script.push(self.fill(restore.as_ref()));
                        // Whatever it made is gone once it is undone.
                        script.push(vec![Op::Guards {
                            guards: own & !self.triggers(),
                            on: false,
                        }]);
                        script
                    });
                }
                Some(Work::Backfill(fill)) => {
                    model.fill = self.fill(Some(fill));
                    model.up = vec![model.fill.clone()];
                    model.down = Some(Vec::new());
                }
                Some(Work::Code {
                    reads,
                    writes,
                    restore,
                }) => {
                    model.uses.reads = self.set_of(reads);
                    model.uses.writes = self.set_of(writes);
                    model.fill = self.fill(restore.as_ref());
                    for (place, service) in services.iter().enumerate() {
                        if phase.services.include(service) {
                            model.services |= 1 << place;
                        }
                    }
                }
                Some(Work::Manual) | None => model.down = Some(Vec::new()),
            }
            phases.push(model);
        }
        PlanModel {
            id: shape.id().clone(),
            shape,
            not_code: (0..)
                .zip(&phases)
                .filter(|(_, phase)| phase.kind != PhaseKind::Code)
                .fold(0, |all, (place, _)| all | bit(place)),
            phases,
        }
    }

    pub(super) fn triggers(&self) -> u64 {
        self.guards
            .iter()
            .enumerate()
            .filter(|(_, guard)| guard.what == GuardKind::Trigger)
            .fold(0, |all, (place, _)| all | bit(place))
    }

    pub(super) fn script(
        &mut self,
        plan: usize,
        phase: usize,
        script: &Script,
        forward: bool,
    ) -> Vec<Vec<Op>> {
        script
            .iter()
            .map(|step| {
                let mut ops = Vec::new();
                for change in step {
                    self.change(plan, phase, change, forward, &mut ops);
                }
                ops
            })
            .collect()
    }

    pub(super) fn add(
        &mut self,
        table: &TableName,
        column: &NewColumn,
        is_new_table: bool,
        lenient: bool,
    ) -> Op {
        let place = self.column(table, &column.name);
        let alone = self.partners.get(place).is_none_or(|partners| *partners == 0);
        let is_filled = self.filled & one(place) != 0;
        Op::Add {
            column: place,
            // Whoever writes to a new table was written for it, and knows what it demands.
            not_null: column.not_null && !is_new_table,
            filled: column.filled,
            valid: is_new_table || !is_filled || (column.filled && alone),
            lenient,
        }
    }

    pub(super) fn change(
        &mut self,
        plan: usize,
        phase: usize,
        change: &Change,
        forward: bool,
        ops: &mut Vec<Op>,
    ) {
        match change {
            Change::NewTable {
                table,
                columns,
                lenient,
            } => {
                for column in columns {
                    let op = self.add(table, column, true, *lenient);
                    ops.push(op);
                }
            }
            Change::DropTable { table, .. } => {
                ops.extend(places(self.columns_of(table)).map(|column| Op::Drop {
                    column,
                    lenient: true,
                }));
            }
            Change::RenameTable { from, to } => {
                let names: Vec<SqlIdentifier> = places(self.columns_of(from))
                    .filter_map(|place| self.columns.get(place))
                    .map(|column| column.column.clone())
                    .collect();
                for name in names {
                    let (from, to) = (self.column(from, &name), self.column(to, &name));
                    ops.push(Op::Move { from, to });
                }
            }
            Change::AddColumn {
                table,
                column,
                lenient,
            } => {
                let op = self.add(table, column, false, *lenient);
                ops.push(op);
            }
            Change::DropColumn { column, lenient } => ops.push(Op::Drop {
                column: self.named(column),
                lenient: *lenient,
            }),
            Change::RenameColumn { from, to } => ops.push(Op::Move {
                from: self.named(from),
                to: self.column(&from.table, to),
            }),
            Change::NotNull { column, on } => ops.push(Op::NotNull {
                column: self.named(column),
                on: *on,
            }),
            Change::Default { column, on } => ops.push(Op::Default {
                column: self.named(column),
                on: *on,
            }),
            Change::AddConstraint {
                table,
                name,
                kind,
                columns,
            } => {
                // The way back brings constraints that were there before; all code knows them.
                if !forward && *kind != ConstraintKind::NotNull {
                    return;
                }
                let columns = columns
                    .iter()
                    .fold(0, |all, column| all | one(self.column(table, column)));
                self.guards.push(Guard {
                    plan,
                    phase,
                    name: name.clone(),
                    what: GuardKind::Constraint(*kind),
                    columns,
                });
                ops.push(Op::Guards {
                    guards: bit(self.guards.len() - 1),
                    on: true,
                });
            }
            Change::DropConstraint { name } => {
                let guards = self.guards_called(name, |guard| guard.what != GuardKind::Trigger);
                ops.push(Op::Guards { guards, on: false });
            }
            Change::AddTrigger { table, name, .. } => {
                let columns = self.columns_of(table);
                let known = self.guards_called(name, |guard| {
                    guard.what == GuardKind::Trigger && guard.columns & columns == guard.columns
                });
                let guards = if known != 0 {
                    known
                } else {
                    self.guards.push(Guard {
                        plan,
                        phase,
                        name: Some(name.clone()),
                        what: GuardKind::Trigger,
                        columns,
                    });
                    bit(self.guards.len() - 1)
                };
                ops.push(Op::Guards { guards, on: true });
            }
            Change::DropTrigger { table, name } => {
                let columns = self.columns_of(table);
                let guards = self.guards_called(name, |guard| {
                    guard.what == GuardKind::Trigger && guard.columns & columns == guard.columns
                });
                ops.push(Op::Guards { guards, on: false });
            }
            Change::Fill(fill) => ops.extend(self.fill(Some(fill))),
            Change::Function { .. } | Change::NotUnderstood { .. } => {}
        }
    }

    pub(super) fn guards_called(&self, name: &SqlIdentifier, wanted: impl Fn(&Guard) -> bool) -> u64 {
        self.guards
            .iter()
            .enumerate()
            .filter(|(_, guard)| guard.name.as_ref() == Some(name) && wanted(guard))
            .fold(0, |all, (place, _)| all | bit(place))
    }
}
