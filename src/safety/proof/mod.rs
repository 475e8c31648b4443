//! The proof of a plan: every state that the gates permit is looked at, and either all are safe or the shortest way to
//! one that is not is told.
//!
//! A state is which phases are done, which versions run side by side, and whether the values of each column are right.
//! What may happen next is asked of the rules of this room themselves. See `docs/proof.md`.

mod before;
mod compile;
mod counterexample;
mod harm;
mod model;
mod names;
mod question;
mod remedy;
mod rules;
mod scripts;
mod search;
#[cfg(test)]
mod tests;
mod versions;
mod words;

use std::collections::BTreeSet;

use crate::domain::{ColumnName, PhaseId, PlanId, ServiceName, TableName};

pub use counterexample::{Counterexample, Harm, HarmKind, StepKind, TraceStep, VersionName};
pub use question::{Assumptions, Change, ConstraintKind, Fill, NewColumn, Script, Subject, Work};

/// How many states are looked at before a search gives up.
const MOST_STATES: usize = 20_000;

/// What a proof came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every state is safe.
    Safe,
    /// One is not, by what the plans say themselves.
    Unsafe,
    /// It was not shown: something may fail if the worst is true that the plans leave open, or there was too much to look
    /// at.
    NotProved,
}

/// The proof of one plan, or of two that share a table.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The plans that were looked at together.
    pub plans: Vec<PlanId>,
    /// What it came to.
    pub outcome: Outcome,
    /// How many different states were reached.
    pub states: usize,
    /// The shortest way to a state in which something fails.
    pub counterexample: Option<Counterexample>,
    /// What was not looked at, in words.
    pub bounded: Vec<String>,
}

/// A column that two plans touch, at least one of them changing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    /// The plans.
    pub plans: [PlanId; 2],
    /// The column.
    pub column: ColumnName,
    /// The first phase of each that touches it.
    pub phases: [PhaseId; 2],
}

/// Proves each plan by itself, and each two that share a table together. `services` are those that the project declares.
pub fn prove(subjects: &[Subject], services: &BTreeSet<ServiceName>) -> Vec<Proof> {
    let mut proofs: Vec<Proof> = subjects.iter().map(|subject| alone(subject, services)).collect();
    let is_unsafe: Vec<bool> = proofs
        .iter()
        .map(|proof| proof.outcome == Outcome::Unsafe)
        .collect();
    for (one, first) in subjects.iter().enumerate() {
        for (other, second) in subjects.iter().enumerate().skip(one + 1) {
            // What is wrong by itself need not be told again.
            let is_told = [one, other]
                .iter()
                .any(|place| is_unsafe.get(*place) == Some(&true));
            if !is_told && share_a_table(first, second) {
                proofs.push(looked_at(
                    &[first, second],
                    services,
                    Assumptions::Stated,
                    &mut Vec::new(),
                ));
            }
        }
    }
    proofs
}

fn alone(subject: &Subject, services: &BTreeSet<ServiceName>) -> Proof {
    let mut answers = Vec::new();
    let stated = looked_at(&[subject], services, Assumptions::Stated, &mut answers);
    if stated.outcome != Outcome::Safe {
        return stated;
    }
    let worst = looked_at(&[subject], services, Assumptions::Worst, &mut answers);
    if worst.outcome == Outcome::Safe {
        return stated;
    }
    Proof {
        outcome: Outcome::NotProved,
        states: stated.states,
        ..worst
    }
}

fn looked_at(
    subjects: &[&Subject],
    services: &BTreeSet<ServiceName>,
    assumptions: Assumptions,
    answers: &mut Vec<rules::Answers>,
) -> Proof {
    let plans: Vec<PlanId> = subjects
        .iter()
        .map(|subject| subject.shape.id().clone())
        .collect();
    let too_much = |plans, states, why| Proof {
        plans,
        outcome: Outcome::NotProved,
        states,
        counterexample: None,
        bounded: vec![why],
    };
    let model = match compile::compile(subjects, services, assumptions) {
        Ok(model) => model,
        Err(compile::TooLarge(why)) => return too_much(plans, 0, why),
    };
    let Some(searched) = search::search(&model, MOST_STATES, answers) else {
        return too_much(plans, 0, "no names could be made up for what runs".to_owned());
    };
    let mut bounded = model.bounded.clone();
    if searched.cut_short {
        bounded.push(format!(
            "the search ended after {MOST_STATES} states, and there are more"
        ));
    }
    let counterexample = searched
        .found
        .map(|(acts, found)| words::tell(&model, subjects, &acts, found));
    Proof {
        plans,
        outcome: match &counterexample {
            Some(_) => Outcome::Unsafe,
            None if bounded.is_empty() => Outcome::Safe,
            None => Outcome::NotProved,
        },
        states: searched.states,
        counterexample,
        bounded,
    }
}

/// A table without a schema may be the one with it.
fn same_table(one: &TableName, other: &TableName) -> bool {
    let schemas = match (&one.schema, &other.schema) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    one.name == other.name && schemas
}

fn share_a_table(one: &Subject, other: &Subject) -> bool {
    let tables = |subject| -> Vec<TableName> {
        touches(subject)
            .into_iter()
            .map(|touch| touch.column.table)
            .collect()
    };
    let others = tables(other);
    tables(one)
        .iter()
        .any(|table| others.iter().any(|other| same_table(table, other)))
}

/// The columns that two plans touch, where at least one of them changes it.
pub fn collisions(subjects: &[Subject]) -> Vec<Collision> {
    let mut found: Vec<Collision> = Vec::new();
    for (place, first) in subjects.iter().enumerate() {
        for second in subjects.iter().skip(place + 1) {
            let theirs = touches(second);
            for ours in touches(first) {
                let met = theirs.iter().find(|touch| {
                    touch.column.column == ours.column.column
                        && same_table(&touch.column.table, &ours.column.table)
                        && (touch.changes || ours.changes)
                });
                let plans = [first.shape.id().clone(), second.shape.id().clone()];
                if let Some(met) = met
                    && !found
                        .iter()
                        .any(|known| known.plans == plans && known.column.column == ours.column.column)
                {
                    found.push(Collision {
                        plans,
                        column: ours.column,
                        phases: [ours.phase, met.phase.clone()],
                    });
                }
            }
        }
    }
    found
}

struct Touch {
    column: ColumnName,
    phase: PhaseId,
    changes: bool,
}

/// The columns that a plan names, in the order of its phases; those that it changes first.
fn touches(subject: &Subject) -> Vec<Touch> {
    let mut touches = Vec::new();
    for phase in subject.shape.phases() {
        let mut touch = |column: ColumnName, changes| {
            touches.push(Touch {
                column,
                phase: phase.id.clone(),
                changes,
            });
        };
        let column = |table: &TableName, column: &crate::domain::SqlIdentifier| ColumnName {
            table: table.clone(),
            column: column.clone(),
        };
        match subject.work.get(&phase.id) {
            Some(Work::Migration { up, .. }) => {
                for change in up.iter().flatten() {
                    match change {
                        Change::NewTable { table, columns, .. } => {
                            columns
                                .iter()
                                .for_each(|new| touch(column(table, &new.name), true));
                        }
                        Change::AddColumn {
                            table, column: new, ..
                        } => touch(column(table, &new.name), true),
                        Change::DropColumn { column, .. }
                        | Change::NotNull { column, .. }
                        | Change::Default { column, .. } => touch(column.clone(), true),
                        Change::RenameColumn { from, to } => {
                            touch(from.clone(), true);
                            touch(column(&from.table, to), true);
                        }
                        Change::AddConstraint { table, columns, .. } => {
                            columns.iter().for_each(|one| touch(column(table, one), true));
                        }
                        Change::Fill(fill) => {
                            fill.columns
                                .iter()
                                .for_each(|(target, _)| touch(column(&fill.table, target), true));
                        }
                        _ => {}
                    }
                }
            }
            Some(Work::Backfill(fill)) => {
                for (target, sources) in &fill.columns {
                    touch(column(&fill.table, target), true);
                    sources
                        .iter()
                        .for_each(|source| touch(column(&fill.table, source), false));
                }
            }
            Some(Work::Code { reads, writes, .. }) => {
                reads
                    .iter()
                    .chain(writes)
                    .for_each(|one| touch(one.clone(), false));
            }
            Some(Work::Manual) | None => {}
        }
    }
    touches.sort_by_key(|touch| !touch.changes);
    touches
}
