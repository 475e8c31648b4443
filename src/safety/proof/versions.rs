//! The versions that the code phases can be combined into, and what each does with columns.

use super::model::{Columns, Guard, GuardKind, PlanModel, VersionModel, places};
use super::{Assumptions, ConstraintKind};
use crate::safety::PhaseKind;

/// The most sets of code phases of one plan and service that are looked at.
const MOST_SETS: usize = 32;

/// What the code before the plans does with the columns that were there before them.
pub(super) struct Base {
    pub exists: Columns,
    /// The rows of tables, where they are counted as a column.
    pub rows: Columns,
    /// Columns that were there and get their values only by a backfill.
    pub fresh: Columns,
    pub reads: Columns,
    pub writes: Columns,
    /// What it writes by what the plans state.
    pub stated_writes: Columns,
    /// Columns that its INSERTs may leave NULL.
    pub may_be_null: Columns,
    /// Columns of which it is only assumed that it uses them.
    pub assumed: Columns,
}

/// Every version of every service: for each plan a set of code phases with all above them.
pub(super) fn all(
    plans: &[PlanModel<'_>],
    services: usize,
    base: &Base,
    tables: &[Columns],
    guards: &[Guard],
    assumptions: Assumptions,
    bounded: &mut Vec<String>,
) -> Vec<VersionModel> {
    let mut versions = Vec::new();
    for service in 0..services {
        let touches = touched(plans, service, base, tables);
        let mut combined: Vec<Vec<u64>> = vec![Vec::new()];
        for plan in plans {
            let sets = closed_sets(plan, service, bounded);
            combined = combined
                .into_iter()
                .flat_map(|so_far| {
                    sets.iter().map(move |set| {
                        let mut with = so_far.clone();
                        with.push(*set);
                        with
                    })
                })
                .collect();
        }
        for phases in combined {
            let uses = Reading {
                plans,
                service,
                phases: &phases,
                base,
                tables,
                touches: &touches,
                assumptions,
            };
            versions.push(uses.version(guards));
        }
    }
    versions
}

/// The sets of code phases concerning a service that hold with each phase all above it, smallest first.
fn closed_sets(plan: &PlanModel<'_>, service: usize, bounded: &mut Vec<String>) -> Vec<u64> {
    let own: Vec<(usize, u64)> = plan
        .phases
        .iter()
        .enumerate()
        .filter(|(_, phase)| phase.kind == PhaseKind::Code && phase.services & (1 << service) != 0)
        .map(|(place, phase)| (place, phase.above))
        .collect();
    let concerning = own.iter().fold(0_u64, |all, (place, _)| all | 1 << place);
    let mut sets: Vec<u64> = vec![0];
    for (place, above) in &own {
        let needed = above & concerning;
        let more: Vec<u64> = sets
            .iter()
            .filter(|set| *set & needed == needed)
            .map(|set| set | 1 << place)
            .collect();
        sets.extend(more);
        if sets.len() > MOST_SETS {
            bounded.push(format!(
                "the code phases of {} can be combined in more than {MOST_SETS} ways: only versions that have them in the \
                 order of the file were looked at",
                plan.id
            ));
            let mut prefix = 0;
            sets = vec![0];
            for (place, _) in &own {
                prefix |= 1 << place;
                sets.push(prefix);
            }
            break;
        }
    }
    sets.sort_by_key(|set| (set.count_ones(), *set));
    sets
}

/// Of which tables a service reads and writes rows.
struct Touches {
    reads: Columns,
    writes: Columns,
}

/// What a service does with tables: one that a change of what is written does not concern does not write.
fn touched(plans: &[PlanModel<'_>], service: usize, base: &Base, tables: &[Columns]) -> Touches {
    let mut touches = Touches { reads: 0, writes: 0 };
    for table in tables {
        let (mut reads, mut writes) = (true, true);
        for plan in plans {
            for phase in plan.phases.iter().filter(|phase| phase.kind == PhaseKind::Code) {
                if phase.services & (1 << service) != 0 || phase.uses.governs & table == 0 {
                    continue;
                }
                let before = before(plan, phase.above, base, *table);
                reads &= phase.uses.reads & table == before.0;
                writes &= phase.uses.writes & table == before.1;
            }
        }
        if reads {
            touches.reads |= table;
        }
        if writes {
            touches.writes |= table;
        }
    }
    touches
}

/// What is read and written of a table by the code that a phase builds on.
fn before(plan: &PlanModel<'_>, above: u64, base: &Base, table: Columns) -> (Columns, Columns) {
    let code: Vec<usize> = places(u128::from(above))
        .filter(|place| {
            plan.phases
                .get(*place)
                .is_some_and(|phase| phase.kind == PhaseKind::Code)
        })
        .collect();
    let last = code.iter().filter(|place| {
        !code.iter().any(|other| {
            plan.phases
                .get(*other)
                .is_some_and(|other| other.above & (1 << **place) != 0)
        })
    });
    let mut uses: Option<(Columns, Columns)> = None;
    for phase in last.filter_map(|place| plan.phases.get(*place)) {
        let (reads, writes) = uses.unwrap_or_default();
        uses = Some((
            reads | (phase.uses.reads & table),
            writes | (phase.uses.writes & table),
        ));
    }
    uses.unwrap_or((base.reads & table, base.writes & table))
}

/// One version, to be worked out.
struct Reading<'m, 'q> {
    plans: &'m [PlanModel<'q>],
    service: usize,
    phases: &'m [u64],
    base: &'m Base,
    tables: &'m [Columns],
    touches: &'m Touches,
    assumptions: Assumptions,
}

impl Reading<'_, '_> {
    fn version(&self, guards: &[Guard]) -> VersionModel {
        let (mut reads, mut writes, mut surely, mut governed): (Columns, Columns, Columns, Columns) =
            (0, 0, 0, 0);
        let all = self.tables.iter().fold(0, |all, table| all | table);
        for column in places(all) {
            let column = 1 << column;
            let last = self.last_about(column);
            if last.is_empty() {
                reads |= self.base.reads & column;
                writes |= self.base.writes & column;
                continue;
            }
            governed |= column;
            if last.iter().any(|(reads, _)| *reads) {
                reads |= column;
            }
            if last.iter().any(|(_, writes)| *writes) {
                writes |= column;
            }
            if last.iter().all(|(_, writes)| *writes) {
                surely |= column;
            }
        }
        reads &= self.touches.reads;
        writes &= self.touches.writes;
        surely &= self.touches.writes;

        let as_before = self.base.exists & !governed & !self.base.fresh;
        let inserts = self.inserts(reads, writes, governed);
        let sets = surely | (as_before & !self.base.may_be_null);
        // What the code before the plans leaves out of the columns of then, only the worst tells.
        let unknown = match self.assumptions {
            Assumptions::Stated => as_before,
            Assumptions::Worst => 0,
        };
        VersionModel {
            service: self.service,
            phases: self.phases.to_vec(),
            reads,
            writes,
            inserts,
            sets,
            omits: inserts & !sets & !unknown,
            keeps: surely | as_before,
            risks: self.risks(guards, reads, writes),
        }
    }

    /// What the newest of the version's phases that say something about a column say: whether they read and write it.
    fn last_about(&self, column: Columns) -> Vec<(bool, bool)> {
        let mut found = Vec::new();
        for (plan, set) in self.plans.iter().zip(self.phases) {
            let about: Vec<usize> = places(u128::from(*set))
                .filter(|place| {
                    plan.phases
                        .get(*place)
                        .is_some_and(|phase| phase.uses.governs & column != 0)
                })
                .collect();
            for place in &about {
                let is_last = !about.iter().any(|other| {
                    plan.phases
                        .get(*other)
                        .is_some_and(|other| other.above & (1 << *place) != 0)
                });
                if let Some(phase) = plan.phases.get(*place).filter(|_| is_last) {
                    found.push((phase.uses.reads & column != 0, phase.uses.writes & column != 0));
                }
            }
        }
        found
    }

    /// The columns of the tables into which the version inserts: those that it writes, and, as far as it says nothing of
    /// them itself, those that other code of the plans writes.
    fn inserts(&self, reads: Columns, writes: Columns, governed: Columns) -> Columns {
        let written = self
            .plans
            .iter()
            .flat_map(|plan| &plan.phases)
            .fold(self.base.stated_writes, |all, phase| all | phase.uses.writes);
        let mut inserts = 0;
        for table in self.tables {
            // Into a table that was not there nobody inserts by chance.
            let rows = table & self.base.rows;
            let is_new = rows & !self.base.exists != 0;
            // Nor does code of which it is said that it no longer uses the table.
            let is_left = rows & governed & !reads != 0;
            let is_written = written & table & self.touches.writes != 0 && !is_new && !is_left;
            let says_nothing = governed & table == 0 || self.assumptions == Assumptions::Worst;
            if writes & table != 0 || (is_written && says_nothing) {
                inserts |= table;
            }
        }
        inserts
    }

    /// The guards that the version was not written for: none of its phases comes before or after what made them. By what
    /// is stated, only those count of which later code knows.
    fn risks(&self, guards: &[Guard], reads: Columns, writes: Columns) -> u64 {
        let mut risks = 0;
        for (place, guard) in guards.iter().enumerate() {
            let kind = match &guard.what {
                GuardKind::Trigger { .. }
                | GuardKind::View
                | GuardKind::Constraint(ConstraintKind::NotNull) => continue,
                GuardKind::Constraint(kind) => *kind,
            };
            let used = if kind == ConstraintKind::Type {
                reads | writes
            } else {
                writes
            };
            let (Some(plan), Some(own)) = (self.plans.get(guard.plan), self.phases.get(guard.plan)) else {
                continue;
            };
            if used & guard.columns == 0 {
                continue;
            }
            let Some(made_by) = plan.phases.get(guard.phase) else {
                continue;
            };
            let about = |place: usize| {
                plan.phases.get(place).is_some_and(|phase| {
                    phase.kind == PhaseKind::Code
                        && (phase.uses.reads | phase.uses.writes) & guard.columns != 0
                })
            };
            let knows = places(u128::from(own & made_by.comparable)).any(about);
            let later = places(u128::from(made_by.comparable & !made_by.above)).any(about);
            if !knows && (later || self.assumptions == Assumptions::Worst) {
                risks |= 1_u64
                    .checked_shl(u32::try_from(place).unwrap_or(u32::MAX))
                    .unwrap_or(0);
            }
        }
        risks
    }
}
