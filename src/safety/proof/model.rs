//! The question in bits: columns, guards, versions, and what each phase does to them.

use crate::domain::{ColumnName, PhaseId, PlanId, ServiceName, SqlIdentifier};
use crate::safety::{PhaseKind, PlanShape};

use super::ConstraintKind;

/// A set of columns.
pub(super) type Columns = u128;
/// The most columns that a search takes.
pub(super) const MOST_COLUMNS: usize = 128;
/// The most phases of a plan, and the most guards, that a search takes.
pub(super) const MOST_BITS: usize = 64;
/// The most versions that a search takes.
pub(super) const MOST_VERSIONS: usize = 1024;

/// The set with one column.
pub(super) fn one(column: usize) -> Columns {
    1 << column
}

/// The places of the bits of a set.
pub(super) fn places(mut set: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if set == 0 {
            return None;
        }
        let place = set.trailing_zeros() as usize;
        set &= set - 1;
        Some(place)
    })
}

/// The tables of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Schema {
    /// The columns that are there.
    pub exists: Columns,
    /// Those that are NOT NULL.
    pub not_null: Columns,
    /// Those that a row gets a value in which is inserted without them.
    pub filled: Columns,
    /// Those whose values are what was last written in every row.
    pub valid: Columns,
    /// The constraints and triggers of the plans that are there.
    pub guards: u64,
}

/// One thing that a statement does.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Add {
        column: usize,
        not_null: bool,
        filled: bool,
        valid: bool,
        lenient: bool,
    },
    Drop {
        column: usize,
        lenient: bool,
    },
    Move {
        from: usize,
        to: usize,
    },
    NotNull {
        column: usize,
        on: bool,
    },
    Default {
        column: usize,
        on: bool,
    },
    Guards {
        guards: u64,
        on: bool,
    },
    Fill {
        target: usize,
        sources: Columns,
    },
}

/// Why a statement cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The column is there already.
    Exists(usize),
    /// The column is not there.
    Missing(usize),
}

impl Schema {
    /// Does what a statement does.
    pub(super) fn apply(&mut self, op: &Op) -> Result<(), Refusal> {
        match *op {
            Op::Add {
                column,
                not_null,
                filled,
                valid,
                lenient,
            } => {
                if self.exists & one(column) != 0 {
                    return if lenient {
                        Ok(())
                    } else {
                        Err(Refusal::Exists(column))
                    };
                }
                self.exists |= one(column);
                set(&mut self.not_null, column, not_null);
                set(&mut self.filled, column, filled);
                set(&mut self.valid, column, valid);
            }
            Op::Drop { column, lenient } => {
                if self.exists & one(column) == 0 {
                    return if lenient {
                        Ok(())
                    } else {
                        Err(Refusal::Missing(column))
                    };
                }
                for part in [
                    &mut self.exists,
                    &mut self.not_null,
                    &mut self.filled,
                    &mut self.valid,
                ] {
                    *part &= !one(column);
                }
            }
            Op::Move { from, to } => {
                if self.exists & one(from) == 0 {
                    return Err(Refusal::Missing(from));
                }
                if self.exists & one(to) != 0 {
                    return Err(Refusal::Exists(to));
                }
                for part in [
                    &mut self.exists,
                    &mut self.not_null,
                    &mut self.filled,
                    &mut self.valid,
                ] {
                    let had = *part & one(from) != 0;
                    set(part, to, had);
                    set(part, from, false);
                }
            }
            Op::NotNull { column, on } => {
                self.needs(one(column))?;
                set(&mut self.not_null, column, on);
            }
            Op::Default { column, on } => {
                self.needs(one(column))?;
                set(&mut self.filled, column, on);
            }
            Op::Guards { guards, on: true } => self.guards |= guards,
            Op::Guards { guards, on: false } => self.guards &= !guards,
            Op::Fill { target, sources } => {
                self.needs(one(target) | sources)?;
                let is_valid = self.valid & sources == sources;
                set(&mut self.valid, target, is_valid);
            }
        }
        Ok(())
    }

    fn needs(&self, columns: Columns) -> Result<(), Refusal> {
        match places(columns & !self.exists).next() {
            Some(missing) => Err(Refusal::Missing(missing)),
            None => Ok(()),
        }
    }
}

fn set(part: &mut Columns, column: usize, on: bool) {
    if on {
        *part |= one(column);
    } else {
        *part &= !one(column);
    }
}

/// A constraint or a trigger that a plan brings.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub plan: usize,
    pub phase: usize,
    pub name: Option<SqlIdentifier>,
    pub what: GuardKind,
    pub columns: Columns,
}

/// What a guard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GuardKind {
    Constraint(ConstraintKind),
    Trigger,
}

/// Columns that triggers keep in step while all of them are there.
#[derive(Clone, Debug)]
pub(super) struct Sync {
    pub triggers: u64,
    pub columns: Columns,
    /// Those that the triggers write.
    pub kept: Columns,
}

/// A plan.
pub(super) struct PlanModel<'q> {
    pub id: PlanId,
    pub shape: &'q PlanShape,
    /// Its phases, each after all it needs.
    pub phases: Vec<PhaseModel>,
    /// Those that are not of code.
    pub not_code: u64,
}

impl PlanModel<'_> {
    /// The phases below one.
    pub(super) fn below(&self, place: usize) -> u64 {
        self.phases
            .get(place)
            .map_or(0, |phase| phase.comparable & !phase.above & !(1 << place))
    }
}

/// A phase.
pub(super) struct PhaseModel {
    pub id: PhaseId,
    pub kind: PhaseKind,
    /// The phases above it.
    pub above: u64,
    /// Those above and below it, and itself.
    pub comparable: u64,
    /// What running it does, by what commits together.
    pub up: Vec<Vec<Op>>,
    /// What undoing it does; `None` if it cannot be undone.
    pub down: Option<Vec<Vec<Op>>>,
    /// What filling it again, or restoring what it abandoned, does.
    pub fill: Vec<Op>,
    /// Of a code phase: what it declares.
    pub uses: Uses,
    /// Of a code phase: the services that it concerns.
    pub services: u64,
}

/// What code does with columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    pub reads: Columns,
    pub writes: Columns,
    /// The columns about which the phase says something by naming them or not.
    pub governs: Columns,
}

/// A version of a service: which code phases it has, and what it does with columns.
#[derive(Clone, Debug)]
pub(super) struct VersionModel {
    pub service: usize,
    /// Its code phases, by plan.
    pub phases: Vec<u64>,
    pub reads: Columns,
    /// The columns that it may write.
    pub writes: Columns,
    /// The columns of the tables into which it inserts.
    pub inserts: Columns,
    /// The columns that each of its INSERTs sets to a value.
    pub sets: Columns,
    /// The columns that are true after its writes.
    pub keeps: Columns,
    /// The guards that its writes, or reads, may run into.
    pub risks: u64,
}

/// Everything that a search needs.
pub(super) struct Model<'q> {
    pub plans: Vec<PlanModel<'q>>,
    pub columns: Vec<ColumnName>,
    pub services: Vec<ServiceName>,
    pub versions: Vec<VersionModel>,
    pub guards: Vec<Guard>,
    pub syncs: Vec<Sync>,
    /// Columns whose values can be missing or stale.
    pub perishable: Columns,
    /// Those among them that keep their value where a default fills them.
    pub kept_by_default: Columns,
    /// For each column those that hold the same by a backfill.
    pub partners: Vec<Columns>,
    pub initial: Schema,
    /// Columns of which it is only assumed that they are NOT NULL before the plans.
    pub assumed_not_null: Columns,
    /// Columns of which it is only assumed that the code before the plans reads and writes them.
    pub assumed_used: Columns,
    /// What was left out, in words.
    pub bounded: Vec<String>,
}

impl Model<'_> {
    /// The checks among the guards that forbid NULL, by the columns that they forbid it in.
    pub(super) fn checked_not_null(&self, guards: u64) -> Columns {
        places(u128::from(guards))
            .filter_map(|place| self.guards.get(place))
            .filter(|guard| guard.what == GuardKind::Constraint(ConstraintKind::NotNull))
            .map(|guard| guard.columns)
            .fold(0, |all, columns| all | columns)
    }

    /// The triggers at work.
    pub(super) fn active_syncs(&self, guards: u64) -> impl Iterator<Item = &Sync> {
        self.syncs
            .iter()
            .filter(move |sync| sync.triggers != 0 && guards & sync.triggers == sync.triggers)
    }

    /// The schema once a version has been at work in it: what it does not write is no longer valid.
    pub(super) fn worked_in_by(&self, schema: Schema, version: &VersionModel) -> Schema {
        let mut kept = version.keeps | (self.kept_by_default & schema.filled);
        for sync in self.active_syncs(schema.guards) {
            kept |= sync.kept;
        }
        let left = version.inserts & self.perishable & !kept;
        Schema {
            valid: schema.valid & !left,
            ..schema
        }
    }
}
