//! The question in bits: columns, guards, versions, and what each phase does to them.

use crate::domain::{ColumnName, PhaseId, PlanId, ServiceName, SqlIdentifier, TableName};
use crate::safety::{PhaseKind, PlanShape};

use super::schema::{Op, Schema};
use super::{ConstraintKind, Firing};

/// A set of columns.
pub(super) type Columns = u128;
/// The most columns that a search takes.
pub(super) const MOST_COLUMNS: usize = 128;
/// The most phases of a plan, services, and guards, that a search takes.
pub(super) const MOST_BITS: usize = 64;
/// The most versions that a search takes.
pub(super) const MOST_VERSIONS: usize = 1024;

/// The set with one column; the empty one for what is beyond those that a search takes.
pub(super) fn one(column: usize) -> Columns {
    u32::try_from(column)
        .ok()
        .and_then(|column| Columns::checked_shl(1, column))
        .unwrap_or(0)
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

/// A constraint, a trigger or a view that a plan brings.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub plan: usize,
    pub phase: usize,
    /// Which of the phase's changes makes it.
    pub number: usize,
    /// Its table; the view itself.
    pub table: TableName,
    pub name: Option<SqlIdentifier>,
    pub what: GuardKind,
    /// What it is about: the columns that a constraint names, a trigger's function uses, a view reads.
    pub columns: Columns,
    /// All columns of its table; of a view those of the tables that it reads.
    pub on: Columns,
}

/// What a guard is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GuardKind {
    Constraint(ConstraintKind),
    Trigger { function: SqlIdentifier, fires: Firing },
    View,
}

impl GuardKind {
    pub(super) fn is_constraint(&self) -> bool {
        matches!(self, Self::Constraint(_))
    }

    pub(super) fn is_trigger(&self) -> bool {
        matches!(self, Self::Trigger { .. })
    }
}

/// Columns that triggers keep in step while all of them are there.
#[derive(Clone, Debug)]
pub(super) struct Sync {
    pub triggers: u64,
    pub columns: Columns,
    /// Those that an INSERT of another gives a value.
    pub filled: Columns,
    /// Those that follow every write of another.
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
    /// The columns of which it is known that its INSERTs leave them out.
    pub omits: Columns,
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
    /// Columns of which it matters whether rows lack a value: those that must have one at some time.
    pub demanded: Columns,
    /// The rows of tables that come, go, or get another name, each as one column.
    pub rows: Columns,
    /// For each column those that hold the same by a backfill.
    pub partners: Vec<Columns>,
    /// The same, by the names that the backfill gives them.
    pub copies: Vec<Columns>,
    /// Columns of two tables that hold the same in rows which pair: whoever writes the one leaves the other stale.
    pub paired: Vec<(usize, usize)>,
    /// The columns of views.
    pub of_views: Columns,
    /// Whether the worst is taken for true.
    pub is_worst: bool,
    pub initial: Schema,
    /// Columns of which it is only assumed that they are NOT NULL before the plans.
    pub assumed_not_null: Columns,
    /// Columns of which it is only assumed that the code before the plans reads and writes them.
    pub assumed_used: Columns,
    /// Columns of which it is only assumed that rows lack a value in them.
    pub assumed_blank: Columns,
    /// Columns of which it is only assumed that they have to hold what another one holds.
    pub assumed_copies: Columns,
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

    /// The columns that have a value after each INSERT of a version.
    pub(super) fn set_by(&self, schema: Schema, version: &VersionModel) -> Columns {
        let mut set = version.sets;
        for sync in self.active_syncs(schema.guards) {
            for column in places(sync.filled) {
                if version.sets & sync.columns & !one(column) != 0 {
                    set |= one(column);
                }
            }
        }
        set
    }

    /// The columns of other tables that hold what some columns do.
    fn paired_with(&self, columns: Columns) -> Columns {
        self.paired.iter().fold(0, |all, (one_side, other)| {
            let from = |side: usize, to: usize| if columns & one(side) == 0 { 0 } else { one(to) };
            all | from(*one_side, *other) | from(*other, *one_side)
        })
    }

    /// The columns that refuse NULL, and that no default saves from it.
    pub(super) fn strict(&self, schema: Schema) -> Columns {
        (schema.not_null | self.checked_not_null(schema.guards)) & schema.exists & !schema.filled
    }

    /// The schema once a version has been at work in it: what it does not write is no longer valid, and what it leaves out
    /// is NULL in some rows.
    pub(super) fn worked_in_by(&self, schema: Schema, version: &VersionModel) -> Schema {
        let mut kept = version.keeps | (self.kept_by_default & schema.filled);
        for sync in self.active_syncs(schema.guards) {
            kept |= sync.kept;
        }
        let left = (version.inserts | self.paired_with(version.writes)) & self.perishable & !kept;
        let omitted = version.omits & !self.set_by(schema, version) & !schema.filled & !self.strict(schema);
        let blank = (omitted & self.demanded) | (version.inserts & self.rows);
        Schema {
            valid: schema.valid & !left,
            blank: schema.blank | (blank & schema.exists),
            ..schema
        }
    }
}
