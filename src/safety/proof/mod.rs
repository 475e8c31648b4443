//! The proof of a plan: every state that the gates permit is looked at, and either all are safe or the shortest way to
//! one that is not is told.
//!
//! A state is which phases are done, which versions run side by side, and whether the values of each column are right.
//! What may happen next is asked of the rules of this room themselves. See `docs/proof.md`.

mod before;
mod compile;
mod copies;
mod counterexample;
mod guards;
mod harm;
mod model;
mod names;
mod question;
mod reasons;
mod remedy;
mod rules;
mod schema;
mod scripts;
mod search;
mod syncs;
#[cfg(test)]
mod tests;
mod touches;
mod traffic;
mod versions;
mod words;

use std::collections::BTreeSet;

use crate::domain::{PlanId, ServiceName, TableName};

use compile::Unsearchable;
pub use counterexample::{Counterexample, Harm, HarmKind, StepKind, TraceStep, VersionName};
pub use question::{Assumptions, Change, ConstraintKind, Fill, Firing, NewColumn, Script, Subject, Work};
use touches::share_a_table;
pub use touches::{Collision, collisions};

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
    /// A name of which it cannot be told which table it means, in words. Nothing was looked at then.
    pub ambiguous: Option<String>,
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
    let nothing = |plans, bounded: Option<String>, ambiguous| Proof {
        plans,
        outcome: Outcome::NotProved,
        states: 0,
        counterexample: None,
        bounded: bounded.into_iter().collect(),
        ambiguous,
    };
    let model = match compile::compile(subjects, services, assumptions) {
        Ok(model) => model,
        Err(Unsearchable::TooLarge(why)) => return nothing(plans, Some(why), None),
        Err(Unsearchable::Ambiguous(why)) => return nothing(plans, None, Some(why)),
    };
    let Some(searched) = search::search(&model, MOST_STATES, answers) else {
        return nothing(
            plans,
            Some("no names could be made up for what runs".to_owned()),
            None,
        );
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
        ambiguous: None,
    }
}

/// Whether two names may be of the same table: one without a schema may be the one with it.
pub fn same_table(one: &TableName, other: &TableName) -> bool {
    let schemas = match (&one.schema, &other.schema) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    one.name == other.name && schemas
}
