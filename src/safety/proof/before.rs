//! What the plans say, or leave open, of the tables and the code before them.

use super::compile::{Builder, every_change};
use super::model::{Columns, MOST_COLUMNS, PlanModel, one, places};
use super::versions::Base;
use super::{Assumptions, Change, ConstraintKind, Subject, Work};
use crate::safety::PhaseKind;

/// What is known of the tables before the plans.
pub(super) struct Known {
    pub(super) exists: Columns,
    pub(super) not_null: Columns,
    pub(super) nullable: Columns,
    /// Columns that had a default, since a plan takes it away.
    pub(super) defaulted: Columns,
    /// Columns that were GENERATED ALWAYS, since a plan lets code write them.
    pub(super) generated: Columns,
}

impl Known {
    /// What the plans say of the time before them: what they free of NOT NULL was NOT NULL, what they make NOT NULL was
    /// not, and what a rename makes is as strict as what it renames.
    pub(super) fn of(builder: &Builder, subjects: &[&Subject]) -> Self {
        let all = if builder.columns.len() >= MOST_COLUMNS {
            Columns::MAX
        } else {
            one(builder.columns.len()) - 1
        };
        let (mut added, mut not_null, mut nullable, mut made_strict): (Columns, Columns, Columns, Columns) =
            (0, 0, 0, 0);
        let (mut defaulted, mut given): (Columns, Columns) = (0, 0);
        let (mut generated, mut told): (Columns, Columns) = (0, 0);
        for subject in subjects {
            let mut touched: Columns = 0;
            // Columns of then that have another name, and of which nothing else was said yet.
            let mut renamed: Vec<(Columns, Columns)> = Vec::new();
            for (forward, change) in every_change(subject) {
                if !forward {
                    continue;
                }
                let (new, old) = match change {
                    Change::AddColumn { table, column, .. } => (builder.place(table, &column.name), 0),
                    Change::NewTable { table, .. } => (builder.columns_of(table), 0),
                    Change::RenameColumn { from, to } => {
                        let (from, to) = (builder.bits(from), builder.place(&from.table, to));
                        if from & (touched | added) == 0 {
                            renamed.push((from, to));
                        }
                        (to, from)
                    }
                    Change::RenameTable { from, to } => (builder.columns_of(to), builder.columns_of(from)),
                    Change::DropColumn { column, .. } => (0, builder.bits(column)),
                    Change::DropTable { table, .. } => (0, builder.columns_of(table)),
                    Change::NotNull { column, on } => {
                        let column = builder.bits(column);
                        if touched & column == 0 && added & column == 0 {
                            *(if *on { &mut nullable } else { &mut not_null }) |= column;
                        }
                        // What is freed under another name was NOT NULL under its own.
                        if let Some(place) = renamed.iter().position(|(_, to)| to & column != 0) {
                            let (from, _) = renamed.remove(place);
                            not_null |= if *on { 0 } else { from };
                        }
                        if *on {
                            made_strict |= column;
                        }
                        (0, column)
                    }
                    Change::AddConstraint {
                        table,
                        kind: ConstraintKind::NotNull,
                        columns,
                        ..
                    } => {
                        let columns = columns
                            .iter()
                            .fold(0, |all, column| all | builder.place(table, column));
                        made_strict |= columns;
                        nullable |= columns & !touched & !added;
                        (0, columns)
                    }
                    Change::Default { column, on } => {
                        let column = builder.bits(column) & !added & !given;
                        given |= column;
                        if !*on {
                            defaulted |= column;
                        }
                        (0, 0)
                    }
                    // An identity that goes was a default as well, and need not have been ALWAYS.
                    Change::Generated { column, on } => {
                        let column = builder.bits(column) & !added & !touched & !given & !told;
                        told |= column;
                        if !*on {
                            generated |= column;
                        }
                        (0, 0)
                    }
                    _ => (0, 0),
                };
                added |= new & !touched;
                touched |= new | old;
            }
        }
        let exists = all & !added;
        not_null &= exists;
        nullable &= exists & !not_null;
        for (old, new) in subjects.iter().flat_map(|subject| &subject.renames) {
            // A rename carries NOT NULL over: where it does not, there was none.
            let (old, is_strict) = (builder.bits(old) & exists, made_strict & builder.bits(new) != 0);
            if is_strict {
                not_null |= old & !nullable;
            } else {
                nullable |= old & !not_null;
            }
        }
        Self {
            exists,
            not_null,
            nullable,
            defaulted: defaulted & exists,
            generated: generated & exists,
        }
    }
}

/// What the code before the plans does with the columns that were there before them.
pub(super) fn base(
    builder: &Builder,
    plans: &[PlanModel<'_>],
    subjects: &[&Subject],
    known: &Known,
    assumptions: Assumptions,
) -> Base {
    let (mut reads, mut writes, mut mentioned, mut written): (Columns, Columns, Columns, Columns) =
        (0, 0, 0, 0);
    for (plan, subject) in plans.iter().zip(subjects) {
        let has_code = plan.phases.iter().any(|phase| phase.kind == PhaseKind::Code);
        for (old, _) in &subject.renames {
            reads |= builder.bits(old);
            writes |= builder.bits(old);
        }
        for phase in &plan.phases {
            reads |= phase.uses.reads;
            writes |= phase.uses.writes;
            written |= phase.uses.writes;
            let has_code_above = places(u128::from(phase.above))
                .filter_map(|place| plan.phases.get(place))
                .any(|above| above.kind == PhaseKind::Code);
            let Some(Work::Migration { up, .. }) = subject.work.get(&phase.id) else {
                continue;
            };
            for change in up.iter().flatten() {
                let gone = match change {
                    Change::DropColumn { column, .. } => builder.bits(column),
                    Change::RenameColumn { from, .. } => builder.bits(from),
                    Change::DropTable { table, .. } | Change::RenameTable { from: table, .. } => {
                        builder.columns_of(table)
                    }
                    _ => 0,
                };
                // What nothing gates is taken to be used by the code that nothing keeps away.
                if has_code && !has_code_above {
                    mentioned |= gone;
                }
            }
        }
    }
    let fresh = builder.derived_fills & known.exists;
    let stated_writes = (writes | mentioned) & known.exists & !fresh & !known.generated;
    let stated_reads =
        builder.with_rows((reads | mentioned) & known.exists & !fresh) | (stated_writes & builder.rows);
    let stated_reads = stated_reads & known.exists;
    let everything = known.exists & !fresh;
    let (reads, writes) = match assumptions {
        Assumptions::Stated => (stated_reads, stated_writes),
        Assumptions::Worst => (everything, everything & !known.generated),
    };
    Base {
        exists: known.exists,
        rows: builder.rows,
        fresh,
        reads,
        writes,
        stated_writes,
        may_be_null: match assumptions {
            Assumptions::Stated => known.exists & !known.not_null & (written | fresh),
            // Whoever has a default need not write the column.
            Assumptions::Worst => {
                (known.exists & !known.not_null & (known.nullable | fresh)) | known.defaulted
            }
        },
        assumed: everything & !(stated_reads & (stated_writes | known.generated)),
    }
}
