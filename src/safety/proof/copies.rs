//! Which columns hold what others hold, and which of them can be wrong.

use super::compile::{Builder, every_change};
use super::model::{Columns, one, places};
use super::schema::Op;
use super::{Assumptions, Change, Fill, Subject, Work};
use crate::safety::PhaseKind;

/// One column that a fill sets.
struct Target {
    column: usize,
    /// The columns that its expression reads; that it is made of itself says nothing.
    sources: Columns,
    /// It holds what is found elsewhere, and not what its sources hold.
    looked_up: bool,
}

impl Builder {
    /// Which columns are filled, from which others.
    pub(super) fn fills(&mut self, subjects: &[&Subject], assumptions: Assumptions) {
        self.partners = vec![0; self.columns.len()];
        for subject in subjects {
            let mut fills: Vec<&Fill> = Vec::new();
            let mut restores: Vec<&Fill> = Vec::new();
            for work in subject.work.values() {
                match work {
                    Work::Backfill(fill) => fills.push(fill),
                    Work::Migration { restore, .. } | Work::Code { restore, .. } => restores.extend(restore),
                    Work::Manual => {}
                }
            }
            for (forward, change) in every_change(subject) {
                if let Change::Fill(fill) = change {
                    if forward { &mut fills } else { &mut restores }.push(fill);
                }
            }
            for (fill, is_backfill) in fills
                .into_iter()
                .map(|fill| (fill, true))
                .chain(restores.into_iter().map(|fill| (fill, false)))
            {
                for target in self.targets_of(fill) {
                    self.filled |= one(target.column);
                    self.targets |= one(target.column);
                    if target.looked_up {
                        self.derived_fills |= one(target.column);
                    } else if target.sources == 0 {
                        self.constant_fills |= one(target.column);
                    } else {
                        self.copied(target.column, target.sources);
                        if is_backfill {
                            self.derived_fills |= one(target.column);
                        }
                    }
                }
            }
            // What is renamed has to hold what the other held, whether or not anything copies it.
            for (old, new) in &subject.renames {
                let (old, new) = (self.named(old), self.named(new));
                self.copied(new, one(old));
                self.derived_fills |= one(new);
            }
            if assumptions == Assumptions::Worst {
                self.seeming_renames(subject);
            }
        }
        self.copies.clone_from(&self.partners);
        self.moved(subjects);
    }

    fn copied(&mut self, target: usize, sources: Columns) {
        self.filled |= one(target) | sources;
        if let Some(partners) = self.partners.get_mut(target) {
            *partners |= sources;
        }
        for source in places(sources) {
            if let Some(partners) = self.partners.get_mut(source) {
                *partners |= one(target);
            }
        }
    }

    /// Where code writes a new column beside one that it reads, and later code reads the new one instead, the new one seems
    /// to take the place of the other. Whether it has to hold what was written before, the plan does not say.
    fn seeming_renames(&mut self, subject: &Subject) {
        let new = every_change(subject)
            .filter_map(|(forward, change)| match change {
                Change::AddColumn { table, column, .. } if forward && !column.filled => {
                    Some(self.place(table, &column.name))
                }
                _ => None,
            })
            .fold(0, |all, column| all | column)
            & !self.filled;
        for phase in subject.shape.phases() {
            let Some(Work::Code { reads, .. }) = subject.work.get(&phase.id) else {
                continue;
            };
            let reads = self.set_of(reads);
            for above in subject.shape.above(&phase.id) {
                let Some(Work::Code {
                    reads: before,
                    writes,
                    ..
                }) = subject.work.get(&above.id)
                else {
                    continue;
                };
                let (before, both) = (self.set_of(before), self.set_of(writes));
                for column in places(new & reads & both & !before) {
                    let same_table = self.beside(column);
                    let old = before & both & !reads & same_table;
                    if old != 0 {
                        self.copied(column, old);
                        self.derived_fills |= one(column);
                        self.assumed_copies |= one(column);
                    }
                }
            }
        }
    }

    /// A column keeps what it holds when it, or its table, gets another name.
    fn moved(&mut self, subjects: &[&Subject]) {
        for (_, change) in subjects.iter().flat_map(|subject| every_change(subject)) {
            match change {
                Change::RenameColumn { from, to } => {
                    let (from, to) = (self.named(from), self.column(&from.table, to));
                    self.moves.push((from, to));
                }
                Change::RenameTable { from, to } => {
                    for place in places(self.columns_of(from)) {
                        let Some(name) = self.columns.get(place).map(|column| column.column.clone()) else {
                            continue;
                        };
                        let to = self.column(to, &name);
                        self.moves.push((place, to));
                    }
                }
                _ => {}
            }
        }
        // Until nothing more follows: a name may be changed again and again.
        for _ in 0..self.moves.len() {
            for (from, to) in self.moves.clone() {
                let both = one(from) | one(to);
                for set in [&mut self.filled, &mut self.abandoned] {
                    if *set & both != 0 {
                        *set |= both;
                    }
                }
                let held = |place: usize| self.partners.get(place).copied().unwrap_or(0);
                let partners = held(from) | held(to);
                for (place, set) in self.partners.iter_mut().enumerate() {
                    if place == from || place == to {
                        *set |= partners & !one(place);
                    } else if *set & both != 0 {
                        *set |= both;
                    }
                }
            }
        }
    }

    /// Some columns with all names that they have before or after.
    pub(super) fn under_each_name(&self, mut columns: Columns) -> Columns {
        for _ in 0..self.moves.len() {
            for (from, to) in &self.moves {
                let both = one(*from) | one(*to);
                if columns & both != 0 {
                    columns |= both;
                }
            }
        }
        columns
    }

    /// Columns that a code phase stops writing.
    pub(super) fn abandoned(&mut self, subjects: &[&Subject]) {
        for subject in subjects {
            for phase in subject.shape.phases() {
                let Some(Work::Code { writes, .. }) = subject.work.get(&phase.id) else {
                    continue;
                };
                let own = self.set_of(writes);
                for above in subject.shape.above(&phase.id) {
                    if above.kind != PhaseKind::Code {
                        continue;
                    }
                    if let Some(Work::Code { writes, .. }) = subject.work.get(&above.id) {
                        let before = self.set_of(writes);
                        self.abandoned |= before & !own;
                    }
                }
            }
        }
    }

    fn targets_of(&mut self, fill: &Fill) -> Vec<Target> {
        fill.columns
            .iter()
            .map(|(target, sources)| {
                let column = self.column(&fill.table, target);
                // What a pair of rows holds is a copy, whatever tells which rows those are.
                if let Some((_, held)) = fill.paired.iter().find(|(paired, _)| paired == target) {
                    return Target {
                        column,
                        sources: one(self.named(held)),
                        looked_up: false,
                    };
                }
                let sources = sources
                    .iter()
                    .fold(0, |all, source| all | one(self.column(&fill.table, source)));
                Target {
                    column,
                    sources: sources & !one(column),
                    looked_up: fill.looked_up.contains(target),
                }
            })
            .collect()
    }

    pub(super) fn fill(&mut self, fill: Option<&Fill>) -> Vec<Op> {
        let targets = fill.map(|fill| self.targets_of(fill)).unwrap_or_default();
        targets
            .into_iter()
            .map(|target| Op::Fill {
                target: target.column,
                sources: target.sources,
            })
            .collect()
    }

    /// The columns that a fill sets and reads.
    pub(super) fn columns_of_fill(&mut self, fill: &Fill) -> Columns {
        self.targets_of(fill)
            .into_iter()
            .fold(0, |all, target| all | one(target.column) | target.sources)
    }
}
