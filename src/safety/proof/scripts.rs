//! What the phases of a plan do, from changes to bits.

use super::compile::{Builder, bit};
use super::model::{GuardKind, PhaseModel, PlanModel, Uses, one, places};
use super::schema::{Addition, Op};
use super::{Change, ConstraintKind, NewColumn, Script, Subject, Work, same_table};
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
                    let mut number = 0;
                    model.up = self.script((plan, place), up, true, &mut number);
                    // Whatever it made is gone once it is undone; triggers stay where nothing takes them away.
                    let own = self.guards_that(|guard| {
                        guard.plan == plan
                            && guard.phase == place
                            && guard.number < number
                            && !guard.what.is_trigger()
                    });
                    model.down = down.as_ref().map(|down| {
                        let mut script = self.script((plan, place), down, false, &mut number);
                        script.push(self.fill(restore.as_ref()));
                        script.push(vec![Op::Guards {
                            guards: own,
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
                    model.uses.writes = self.set_of(writes);
                    model.uses.writes = self.with_rows(model.uses.writes);
                    model.uses.reads = self.set_of(reads);
                    model.uses.reads = self.with_rows(model.uses.reads) | (model.uses.writes & self.rows);
                    model.fill = self.fill(restore.as_ref());
                    for (place, service) in services.iter().enumerate() {
                        if phase.services.include(service) {
                            model.services |= 1 << place;
                        }
                    }
                }
                Some(Work::Manual) | None => {
                    model.up = vec![vec![Op::Presumed {
                        columns: self.presumed,
                    }]];
                    model.down = Some(Vec::new());
                }
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

    /// The operations of a script. `number` counts the changes of the phase.
    fn script(
        &mut self,
        place: (usize, usize),
        script: &Script,
        forward: bool,
        number: &mut usize,
    ) -> Vec<Vec<Op>> {
        script
            .iter()
            .map(|step| {
                let mut ops = Vec::new();
                for change in step {
                    let made = self.made_by(place.0, place.1, *number);
                    self.change(change, made, forward, &mut ops);
                    *number += 1;
                }
                ops
            })
            .collect()
    }

    fn add(&mut self, table: &TableName, column: &NewColumn, is_new_table: bool, lenient: bool) -> Op {
        let place = self.column(table, &column.name);
        let alone = self.partners.get(place).is_none_or(|partners| *partners == 0);
        let is_filled = self.filled & one(place) != 0;
        Op::Add(Addition {
            column: place,
            // Whoever writes to a new table was written for it, and knows what it demands.
            not_null: column.not_null && !is_new_table,
            filled: column.filled,
            generated: column.generated,
            valid: is_new_table || !is_filled || (column.filled && alone),
            blank: !is_new_table && !column.filled && self.demanded & one(place) != 0,
            rows: self.rows_of(table),
            lenient,
        })
    }

    fn change(&mut self, change: &Change, made: u64, forward: bool, ops: &mut Vec<Op>) {
        match change {
            Change::NewTable {
                table,
                columns,
                lenient,
            } => {
                ops.extend(places(self.rows_of(table)).map(|column| {
                    Op::Add(Addition {
                        column,
                        not_null: false,
                        filled: true,
                        generated: false,
                        valid: true,
                        blank: false,
                        rows: 0,
                        lenient: *lenient,
                    })
                }));
                for column in columns {
                    // The way back brings a table that was there before; all code knows what nobody may write in it.
                    let column = NewColumn {
                        generated: column.generated && forward,
                        ..column.clone()
                    };
                    let op = self.add(table, &column, true, *lenient);
                    ops.push(op);
                }
            }
            Change::DropTable {
                table,
                lenient,
                cascade,
            } => self.drop_table(table, *lenient, *cascade, ops),
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
            Change::DropColumn {
                column,
                lenient,
                cascade,
            } => {
                let place = self.named(column);
                let views = self.views_of(one(place));
                self.take_away(views, place, *cascade, ops);
                ops.push(Op::Drop {
                    column: place,
                    lenient: *lenient,
                });
                // Constraints and indexes go with any of their columns.
                let guards =
                    self.guards_that(|guard| guard.what.is_constraint() && guard.columns & one(place) != 0);
                ops.push(Op::Guards { guards, on: false });
            }
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
            Change::Generated { column, on } => ops.push(Op::Generated {
                column: self.named(column),
                on: *on,
            }),
            Change::AddConstraint {
                table,
                kind,
                columns,
                validated,
                ..
            } => {
                let columns = columns
                    .iter()
                    .fold(0, |all, column| all | self.place(table, column));
                if *kind == ConstraintKind::Type {
                    for column in places(columns) {
                        let views = self.views_of(one(column));
                        self.take_away(views, column, false, ops);
                    }
                    if !forward {
                        let guards = self.guards_that(|guard| {
                            guard.what == GuardKind::Constraint(ConstraintKind::Type)
                                && guard.columns & columns != 0
                        });
                        ops.push(Op::Guards { guards, on: false });
                    }
                }
                if *kind == ConstraintKind::NotNull && *validated {
                    ops.push(Op::Whole { columns });
                }
                ops.push(Op::Guards {
                    guards: made,
                    on: true,
                });
            }
            Change::ValidateConstraint { table, name } => {
                let guards = self.constraints_called(name, Some(table));
                let columns = places(u128::from(guards))
                    .filter_map(|place| self.guards.get(place))
                    .filter(|guard| guard.what == GuardKind::Constraint(ConstraintKind::NotNull))
                    .fold(0, |all, guard| all | guard.columns);
                ops.push(Op::Whole { columns });
            }
            Change::DropConstraint { table, name } => ops.push(Op::Guards {
                guards: self.constraints_called(name, table.as_ref()),
                on: false,
            }),
            Change::AddTrigger { table, name, .. } => {
                ops.push(Op::Guards {
                    guards: self.triggers_called(name, table),
                    on: false,
                });
                ops.push(Op::Guards {
                    guards: made,
                    on: true,
                });
            }
            Change::DropTrigger { table, name } => ops.push(Op::Guards {
                guards: self.triggers_called(name, table),
                on: false,
            }),
            Change::View { view, .. } => {
                let guards = self.views_called(view);
                ops.push(Op::Guards { guards, on: false });
                ops.push(Op::Guards {
                    guards: made,
                    on: true,
                });
            }
            Change::DropFunction { name, cascade } => {
                let guards = self.triggers_calling(name);
                if *cascade {
                    ops.push(Op::Guards { guards, on: false });
                } else {
                    ops.extend(places(u128::from(guards)).map(|place| Op::Undepended {
                        column: self.used_by(place),
                        guards: bit(place),
                    }));
                }
            }
            Change::Fill(fill) => ops.extend(self.fill(Some(fill))),
            Change::KeyOfIndex { .. } | Change::NotUnderstood { .. } => ops.push(Op::Presumed {
                columns: self.presumed,
            }),
            Change::Function { .. } => {}
        }
    }

    /// A table goes with all that is on it.
    fn drop_table(&mut self, table: &TableName, lenient: bool, cascade: bool, ops: &mut Vec<Op>) {
        let rows = self.rows_of(table);
        if let Some(column) = places(rows).next() {
            let views = self.views_on(table);
            self.take_away(views, column, cascade, ops);
            ops.push(Op::Drop { column, lenient });
        }
        ops.extend(places(self.columns_of(table) & !rows).map(|column| Op::Drop {
            column,
            lenient: true,
        }));
        let guards = self.guards_that(|guard| same_table(&guard.table, table));
        ops.push(Op::Guards { guards, on: false });
    }

    /// Views that read a column keep it from going, or go with it.
    fn take_away(&self, views: u64, column: usize, cascade: bool, ops: &mut Vec<Op>) {
        if !cascade {
            ops.push(Op::Undepended {
                column,
                guards: views,
            });
            return;
        }
        for view in places(u128::from(views)).filter_map(|place| self.guards.get(place)) {
            ops.extend(places(self.columns_of(&view.table)).map(|column| Op::Drop {
                column,
                lenient: true,
            }));
        }
        ops.push(Op::Guards {
            guards: views,
            on: false,
        });
    }

    /// The constraints with a name; where the table is not told, it is an index.
    fn constraints_called(&self, name: &SqlIdentifier, table: Option<&TableName>) -> u64 {
        self.guards_that(|guard| {
            let is_meant = match table {
                Some(table) => same_table(&guard.table, table),
                None => guard.what == GuardKind::Constraint(ConstraintKind::Unique),
            };
            guard.what.is_constraint() && guard.name.as_ref() == Some(name) && is_meant
        })
    }

    fn views_called(&self, view: &TableName) -> u64 {
        self.guards_that(|guard| guard.what == GuardKind::View && same_table(&guard.table, view))
    }

    /// A column that a trigger's function uses, to name it by.
    fn used_by(&self, guard: usize) -> usize {
        self.guards
            .get(guard)
            .and_then(|guard| places(guard.columns | guard.on).next())
            .unwrap_or(0)
    }
}
