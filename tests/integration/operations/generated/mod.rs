//! Operations on tables that nobody thought of: made at random, and held against the one statement like those written by
//! hand. What is refused must say so by name.
//!
//! `GENERATED_TABLES=200 cargo test --test integration generated` looks at more of them; `GENERATED_SEED=N` at others;
//! `GENERATED_OPERATION=split-column` at one operation alone.

mod columns;
mod definition;
mod enums;
mod keys;
mod reshaped;
mod tables;
mod wider;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::tables::{Table, table};
use super::{Case, SERVICES, holds_planned, planned_or_refused};
use crate::catalog::prepared;
use crate::support::Project;

/// How many tables are looked at where nothing else is said: as many as the time of every run allows.
const TABLES: u32 = 2;
/// Among so many tables each operation is held at least once.
const ENOUGH: u32 = 6;

/// An operation: what is there before, what is planned, the same at once, and what stays.
pub struct Operation {
    name: &'static str,
    ddl: String,
    arguments: Vec<String>,
    oracle: String,
    stays: String,
}

impl Operation {
    /// One that leaves nothing behind when it is undone.
    fn new(ddl: String, arguments: &[&str], oracle: String) -> Self {
        Self {
            name: String::leak(arguments[0].to_owned()),
            ddl,
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            oracle,
            stays: String::new(),
        }
    }

    /// What stays when it is undone, as in [`Case`].
    fn leaving(self, stays: String) -> Self {
        Self { stays, ..self }
    }

    /// With a name of its own, to be counted by.
    fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }
}

fn operations(made: &Table, other: &Table, at: usize, pick: &mut impl FnMut() -> u32) -> Vec<Operation> {
    let mut all = columns::operations(made, at);
    all.extend([
        columns::drop_dependents(made, at, pick()),
        reshaped::split(made, at, pick()),
        reshaped::extract(made, pick()),
        keys::primary_key(made, at, pick()),
        keys::identity(made, pick()),
        keys::replaced_index(made, at, pick()),
        keys::created(made, other),
        keys::attached(made, pick()),
        keys::detached(made, pick()),
        enums::added(made, pick()),
        enums::renamed(made, pick()),
        enums::dropped(made, pick()),
        wider::column(made, at, pick()),
    ]);
    all.extend(reshaped::merge(made, pick()));
    // It has the most phases by far, each of which is undone once.
    let wider = pick();
    all.extend((wider & 2048 == 0).then(|| wider::key(made, wider)));
    all
}

fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// That it was held, or why it was refused.
type Held = Result<(), String>;

/// The operations to hold.
fn generated() -> Vec<Operation> {
    let (tables, seed) = (number("GENERATED_TABLES", TABLES), number("GENERATED_SEED", 1));
    let only = std::env::var("GENERATED_OPERATION").ok();
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let mut all = Vec::new();
    for _ in 0..tables {
        let made = table().new_tree(&mut runner).unwrap().current();
        let other = table().new_tree(&mut runner).unwrap().current();
        let at = (0..made.columns.len()).new_tree(&mut runner).unwrap().current();
        let mut pick = || any::<u32>().new_tree(&mut runner).unwrap().current();
        all.extend(operations(&made, &other, at, &mut pick));
    }
    all.retain(|operation| only.as_ref().is_none_or(|only| *only == operation.name));
    all
}

/// Holds one after the other; what each was, and whether it was held, refused (and why), or found something.
async fn worked_off(work: Arc<Mutex<Vec<Operation>>>) -> Vec<(&'static str, Option<Held>)> {
    let mut done = Vec::new();
    loop {
        let next = work.lock().unwrap().pop();
        let Some(operation) = next else {
            return done;
        };
        let name = operation.name;
        // What one finds does not keep the others from being looked at.
        done.push((name, tokio::spawn(holds_or_is_refused(operation)).await.ok()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_on_generated_tables_leave_what_the_one_statement_leaves() {
    let mut work = generated();
    work.reverse();
    let work = Arc::new(Mutex::new(work));
    let (one, other) = tokio::join!(
        tokio::spawn(worked_off(Arc::clone(&work))),
        tokio::spawn(worked_off(work))
    );
    // How often each was held, and refused.
    let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let mut faults = 0;
    for (name, is_held) in [one.unwrap(), other.unwrap()].concat() {
        let counted = counts.entry(name).or_default();
        match is_held {
            Some(Ok(())) => counted.0 += 1,
            Some(Err(why)) => {
                eprintln!("{name} is refused: {why}");
                counted.1 += 1;
            }
            None => faults += 1,
        }
    }
    let (held, refused) = counts
        .values()
        .fold((0, 0), |(held, refused), one| (held + one.0, refused + one.1));
    eprintln!("{held} operations were held against the one statement, {refused} were refused: {counts:?}");
    assert_eq!(faults, 0, "{faults} operations left something else; see above");
    // Refusals prove little.
    assert!(held > refused, "{held} were held, {refused} refused");
    if number("GENERATED_TABLES", TABLES) >= ENOUGH {
        let never: Vec<_> = counts.iter().filter(|(_, (held, _))| *held == 0).collect();
        assert!(never.is_empty(), "never held: {never:?}");
    }
}

/// Holds it, unless it is refused by name.
async fn holds_or_is_refused(operation: Operation) -> Held {
    let leaked = |text: String| -> &'static str { String::leak(text) };
    let arguments: Vec<&'static str> = operation.arguments.into_iter().map(leaked).collect();
    let name = leaked(format!("{arguments:?} of\n{}", operation.ddl));
    let case = Case {
        name,
        ddl: leaked(operation.ddl),
        arguments: Vec::leak(arguments),
        oracle: leaked(operation.oracle),
        stays: leaked(operation.stays),
        proof: "",
    };
    let project = Project::new(SERVICES).await;
    let phased = prepared(&project.database, case.ddl).await;
    match planned_or_refused(&project, case.arguments) {
        Ok(plan) => {
            holds_planned(&case, &project, &phased, &plan).await;
            Ok(())
        }
        Err(said) => {
            let is_told = ["stands in the way", "cannot be carried over", "already"]
                .iter()
                .any(|words| said.contains(words));
            assert!(is_told, "{name}\n{said}");
            let is_why = |line: &&str| line.contains("held up by") || line.contains("already");
            Err(said.lines().find(is_why).unwrap_or(&said).trim().to_owned())
        }
    }
}
