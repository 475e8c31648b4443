//! A plan as the proof sees it: the changes of its SQL, and what its code says that it reads and writes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{BackfillPhase, ChangeKind, MigrationPhase, Operation, PhaseDetail, Plan, SyncMode};
use crate::domain::{ColumnName, PhaseId, SourceText, SqlIdentifier, TableName};
use crate::safety::proof::{Change, ConstraintKind, Fill, Script, Subject, Work, same_table};
use crate::sql;

/// What can be proved of a plan, and what cannot.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What the proof is asked about; `None` where code phases do not say what they read and write.
    pub subject: Option<Subject>,
    /// The code phases that do not say what they read, or what they write.
    pub undeclared: Vec<PhaseId>,
    /// Statements of which it is not known what they change.
    pub not_understood: Vec<NotUnderstood>,
}

/// A statement of which it is not known what it changes.
#[derive(Clone, Debug)]
pub struct NotUnderstood {
    /// The phase.
    pub phase: PhaseId,
    /// The migration's file.
    pub source: SourceText,
    /// The statement's bytes in it.
    pub span: Range<usize>,
    /// The statement in a few words.
    pub summary: String,
    /// What it does, in a few words.
    pub why: &'static str,
}

/// Looks at a plan for the proof.
pub fn examine(plan: &Plan) -> Examined {
    let mut examined = Examined {
        subject: None,
        undeclared: Vec::new(),
        not_understood: Vec::new(),
    };
    let kept = kept_by_triggers(plan);
    let keys = Keys::of(plan);
    let pairs = paired(plan);
    let mut work = BTreeMap::new();
    for phase in plan.phases() {
        let done = match &phase.detail {
            PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => migration(
                &phase.id,
                run,
                (&kept, &keys, &pairs),
                &mut examined.not_understood,
            ),
            PhaseDetail::Backfill(backfill) => {
                Work::Backfill(of_value(plan, true).unwrap_or_else(|| fill(backfill, &pairs)))
            }
            PhaseDetail::Code(code) => match (&code.reads, &code.writes) {
                (Some(reads), Some(writes)) => Work::Code {
                    reads: reads.clone(),
                    writes: writes.clone(),
                    restore: code
                        .restore
                        .as_ref()
                        .map(|restore| of_value(plan, false).unwrap_or_else(|| fill(restore, &pairs))),
                },
                _ => {
                    examined.undeclared.push(phase.id.clone());
                    continue;
                }
            },
            PhaseDetail::Manual { .. } => Work::Manual,
        };
        work.insert(phase.id.clone(), done);
    }
    if examined.undeclared.is_empty() {
        examined.subject = Some(Subject {
            shape: plan.shape().clone(),
            work,
            renames: renames(plan),
        });
    }
    examined
}

fn renames(plan: &Plan) -> Vec<(ColumnName, ColumnName)> {
    match plan.operation() {
        Some(Operation::RenameColumn { table, from, to, .. }) => {
            let column = |column: &SqlIdentifier| ColumnName {
                table: table.clone(),
                column: column.clone(),
            };
            vec![(column(from), column(to))]
        }
        Some(Operation::EnumValue {
            data_type,
            value,
            to: Some(to),
            ..
        }) => vec![(value_of(data_type, value), value_of(data_type, to))],
        // What moves to another table gets another name there, and is called by the one or the other.
        Some(Operation::Change {
            kind: ChangeKind::MoveColumn,
            table,
            columns,
            ..
        }) => {
            let is_moved =
                |held: &ColumnName| same_table(&held.table, table) && columns.contains(&held.column);
            paired(plan)
                .into_iter()
                .filter(|(_, held)| is_moved(held))
                .map(|(filled, held)| (held, filled))
                .collect()
        }
        Some(Operation::EnumValue { .. } | Operation::Change { .. }) | None => Vec::new(),
    }
}

/// A value of an enum type, which plans name as if the type were a table and its values columns. No table can have the
/// type's name.
fn value_of(data_type: &TableName, value: &str) -> ColumnName {
    ColumnName {
        table: data_type.clone(),
        column: SqlIdentifier::from_catalog(value),
    }
}

/// What the fills of a plan that gives a value another name come to: whoever knows only the new name, or only the old one
/// again, finds all rows by it.
fn of_value(plan: &Plan, forward: bool) -> Option<Fill> {
    let [(from, to)] = &renames(plan)[..] else {
        return None;
    };
    if !matches!(plan.operation(), Some(Operation::EnumValue { .. })) {
        return None;
    }
    let target = if forward { to } else { from };
    Some(Fill {
        table: target.table.clone(),
        columns: vec![(target.column.clone(), Vec::new())],
        looked_up: Vec::new(),
        paired: Vec::new(),
        by_trigger: false,
    })
}

/// What a fill looks up in another table: each of its columns with that one.
fn looked_up(backfill: &BackfillPhase) -> impl Iterator<Item = (ColumnName, ColumnName)> {
    backfill.set.iter().filter_map(|one| {
        let own = ColumnName {
            table: backfill.table.clone(),
            column: one.column.clone(),
        };
        let other = sql::column_looked_up(&one.expression)?;
        (!same_table(&other.table, &own.table)).then_some((own, other))
    })
}

/// Columns of two tables that triggers keep in step, as the backfills say: the one that is filled, and what it holds.
fn paired(plan: &Plan) -> Vec<(ColumnName, ColumnName)> {
    let backfills = plan.phases().iter().filter_map(|phase| match &phase.detail {
        PhaseDetail::Backfill(backfill) if backfill.synced_by == SyncMode::Trigger => Some(backfill),
        _ => None,
    });
    backfills.flat_map(looked_up).collect()
}

fn same_column(one: &ColumnName, other: &ColumnName) -> bool {
    one.column == other.column && same_table(&one.table, &other.table)
}

fn fill(backfill: &BackfillPhase, pairs: &[(ColumnName, ColumnName)]) -> Fill {
    let (mut columns, mut looked_up) = (Vec::new(), Vec::new());
    let paired = self::looked_up(backfill)
        .filter(|(own, other)| {
            pairs.iter().any(|(filled, held)| {
                (same_column(own, filled) && same_column(other, held))
                    || (same_column(own, held) && same_column(other, filled))
            })
        })
        .map(|(own, other)| (own.column, other))
        .collect();
    for one in &backfill.set {
        // What is set to itself is only looked at, by `verify`.
        if one.is_idle() {
            continue;
        }
        let (read, looks_up) = sql::columns_read(&one.expression, &backfill.table);
        columns.push((one.column.clone(), read));
        if looks_up {
            looked_up.push(one.column.clone());
        }
    }
    Fill {
        table: backfill.table.clone(),
        columns,
        looked_up,
        paired,
        by_trigger: backfill.synced_by == SyncMode::Trigger,
    }
}

/// A trigger of which a backfill below says that it keeps what it fills.
struct Kept {
    table: TableName,
    name: SqlIdentifier,
    function: SqlIdentifier,
}

fn kept_by_triggers(plan: &Plan) -> Vec<Kept> {
    let mut kept = Vec::new();
    for phase in plan.phases() {
        let PhaseDetail::Backfill(backfill) = &phase.detail else {
            continue;
        };
        if backfill.synced_by != SyncMode::Trigger {
            continue;
        }
        let others: Vec<TableName> = looked_up(backfill).map(|(_, other)| other.table).collect();
        for above in plan.phases() {
            let (PhaseDetail::Expand(run) | PhaseDetail::Contract(run)) = &above.detail else {
                continue;
            };
            if !plan.shape().is_above(&above.id, &phase.id) {
                continue;
            }
            let statements = run.migration.up.steps.iter().flat_map(|step| &step.statements);
            for change in statements.flat_map(|statement| sql::changes(&statement.text)) {
                if let Change::AddTrigger {
                    table,
                    name,
                    function,
                    ..
                } = change
                    && (same_table(&table, &backfill.table)
                        || others.iter().any(|other| same_table(&table, other)))
                {
                    kept.push(Kept {
                        table,
                        name,
                        function,
                    });
                }
            }
        }
    }
    kept
}

/// What tells the columns of an index that becomes that of a primary key.
struct Keys {
    /// The unique indexes that the plan makes, each with its table and columns.
    made: Vec<(TableName, SqlIdentifier, Vec<SqlIdentifier>)>,
    /// What the plan makes NOT NULL by itself.
    not_null: Vec<ColumnName>,
    /// The table and the columns of which the plan is to make a primary key. What it does not make NOT NULL was so in the
    /// catalog that it was made of.
    asked: Option<(TableName, Vec<SqlIdentifier>)>,
    /// The table that becomes a partition. The key that it gets is that of the partitioned table, whose columns are NOT NULL; so
    /// were its own, in the catalog that the plan was made of.
    attached: Option<SqlIdentifier>,
    /// The plan widens keys. What it makes primary keys of it has made NOT NULL where it has added it; the rest was part of a
    /// primary key in the catalog that the plan was made of.
    widened: bool,
    /// The columns that the plan adds.
    added: Vec<ColumnName>,
}

impl Keys {
    fn of(plan: &Plan) -> Self {
        let mut keys = Self {
            made: Vec::new(),
            not_null: Vec::new(),
            added: Vec::new(),
            widened: matches!(
                plan.operation(),
                Some(Operation::Change {
                    kind: ChangeKind::WidenKey,
                    ..
                })
            ),
            attached: match plan.operation() {
                Some(Operation::Change {
                    kind: ChangeKind::AttachPartition,
                    name,
                    ..
                }) => name.clone(),
                _ => None,
            },
            asked: match plan.operation() {
                Some(Operation::Change {
                    kind: ChangeKind::AddPrimaryKey,
                    table,
                    columns,
                    ..
                }) => Some((table.clone(), columns.clone())),
                _ => None,
            },
        };
        for phase in plan.phases() {
            let (PhaseDetail::Expand(run) | PhaseDetail::Contract(run)) = &phase.detail else {
                continue;
            };
            let statements = run.migration.up.steps.iter().flat_map(|step| &step.statements);
            for change in statements.flat_map(|statement| sql::changes(&statement.text)) {
                match change {
                    Change::AddConstraint {
                        table,
                        name: Some(name),
                        kind: ConstraintKind::Unique,
                        columns,
                        ..
                    } => keys.made.push((table, name, columns)),
                    Change::NotNull { column, on: true } => keys.not_null.push(column),
                    Change::AddColumn { table, column, .. } => keys.added.push(ColumnName {
                        table,
                        column: column.name,
                    }),
                    _ => {}
                }
            }
            // A way back may build the index of the key that it brings back.
            let down = run.migration.down.iter().flat_map(|script| &script.steps);
            for change in down
                .flat_map(|step| &step.statements)
                .flat_map(|statement| sql::changes(&statement.text))
            {
                if let Change::AddConstraint {
                    table,
                    name: Some(name),
                    kind: ConstraintKind::Unique,
                    columns,
                    ..
                } = change
                {
                    keys.made.push((table, name, columns));
                }
            }
        }
        keys
    }

    /// The same with NOT NULL in place of keys that are made of known indexes.
    fn resolved(&self, changes: Vec<Change>) -> Vec<Change> {
        let mut resolved = Vec::new();
        for change in changes {
            let Change::KeyOfIndex { table, index } = &change else {
                resolved.push(change);
                continue;
            };
            let asked = self.asked.as_ref().filter(|(of, _)| same_table(of, table));
            let made = self
                .made
                .iter()
                .find(|(of, name, _)| name == index && same_table(of, table));
            let Some(columns) = made
                .map(|(_, _, columns)| columns)
                .or(asked.map(|(_, columns)| columns))
            else {
                resolved.push(change);
                continue;
            };
            for column in columns {
                let is_made = self
                    .not_null
                    .iter()
                    .any(|one| one.column == *column && same_table(&one.table, table));
                let is_added = self
                    .added
                    .iter()
                    .any(|one| one.column == *column && same_table(&one.table, table));
                let is_asked = asked.is_some_and(|(_, asked)| asked.contains(column))
                    || self.attached.as_ref() == Some(&table.name)
                    || (self.widened && !is_added);
                if is_made || !is_asked {
                    resolved.push(Change::NotNull {
                        column: ColumnName {
                            table: table.clone(),
                            column: column.clone(),
                        },
                        on: true,
                    });
                }
            }
        }
        resolved
    }
}

/// Why it is not known what a change does, if it is not.
fn doubt(change: &Change, kept: &[Kept]) -> Option<&'static str> {
    match change {
        Change::NotUnderstood { why } => Some(why),
        Change::KeyOfIndex { .. } => Some("makes columns NOT NULL that are not named"),
        Change::AddTrigger { table, name, .. } => {
            let is_kept = kept
                .iter()
                .any(|trigger| trigger.name == *name && same_table(&trigger.table, table));
            (!is_kept).then_some("makes a trigger that no backfill with `synced_by = \"trigger\"` explains")
        }
        Change::Function {
            name, replaces: true, ..
        } => {
            let is_kept = kept.iter().any(|trigger| trigger.function == *name);
            (!is_kept).then_some("replaces what something may call")
        }
        _ => None,
    }
}

fn migration(
    phase: &PhaseId,
    run: &MigrationPhase,
    (kept, keys, pairs): (&[Kept], &Keys, &[(ColumnName, ColumnName)]),
    not_understood: &mut Vec<NotUnderstood>,
) -> Work {
    let mut side = |script: &sql::Script, source: &SourceText| -> Script {
        script
            .steps
            .iter()
            .map(|step| {
                let mut changes = Vec::new();
                for statement in &step.statements {
                    for change in keys.resolved(sql::changes(&statement.text)) {
                        if let Some(why) = doubt(&change, kept) {
                            not_understood.push(NotUnderstood {
                                phase: phase.clone(),
                                source: source.clone(),
                                span: statement.offset..statement.offset + statement.text.len(),
                                summary: statement.summary.clone(),
                                why,
                            });
                        }
                        changes.push(change);
                    }
                }
                changes
            })
            .collect()
    };
    let migration = &run.migration;
    let up = side(&migration.up, &migration.up_source);
    let down = migration.down.as_ref().map(|down| {
        side(
            down,
            migration.down_source.as_ref().unwrap_or(&migration.up_source),
        )
    });
    Work::Migration {
        up,
        down,
        restore: run.restore.as_ref().map(|restore| fill(restore, pairs)),
    }
}
