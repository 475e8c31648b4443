//! A column that goes to another table, whose rows pair with its own one to one.
//!
//! add → backfill → constrain → switch → compare → relax → drop, with create-rows before the backfill where rows that pair
//! with none are to get one. Where old code has to bear something from `add` on, a release that does comes first: tolerate.
//! Triggers on both tables keep both sides in step from `add` to `drop`.
//!
//! A foreign key between the tables tells which rows pair. It also orders the two writes of a pair: no row of the referring
//! table is written before the other's is there, so that each writer meets the other.

mod bodies;
mod obstacles;
mod phases;
mod remarks;
mod sides;
mod triggers;

use super::draft::{refusal, refuse_unless_none};
use super::reshape::held::Held;
use super::{ColumnFacts, Order, Patience, Recipe, Refused, TableFacts};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::plan::ChangeKind;
use sides::Sides;
use triggers::Triggers;

/// A foreign key between two tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBetween {
    /// Its name.
    pub name: SqlIdentifier,
    /// It is the target's and refers to the source, not the other way round.
    pub of_target: bool,
    /// Its columns, in order.
    pub pairs: Vec<Pair>,
    /// Every row obeys it.
    pub validated: bool,
    /// It may be checked at the end of a transaction only, or is not enforced, or is of periods.
    pub unusual: bool,
}

/// Columns that hold the same in rows that pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// That of the table which has the column.
    pub source: SqlIdentifier,
    /// That of the table which gets it.
    pub target: SqlIdentifier,
}

/// What the catalog says of both tables together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairing {
    /// What stands in the way.
    pub refused: Vec<Refused>,
    /// The names of the triggers of both tables, and of the functions of their schemas.
    pub taken: Vec<SqlIdentifier>,
    /// Other triggers may change rows of the target before they are updated.
    pub target_is_changed: bool,
    /// The triggers that each UPDATE of the source's column fires, in words.
    pub fired: Vec<String>,
    /// The triggers that an INSERT into the source may fire after those that keep both in step, in words.
    pub fired_late: Vec<String>,
}

/// What is to be moved where.
#[derive(Clone, Debug)]
pub struct Move<'a> {
    /// The column.
    pub facts: &'a ColumnFacts,
    /// Its table.
    pub source: &'a TableFacts,
    /// The table that gets it.
    pub target: &'a TableFacts,
    /// Its name there.
    pub name: &'a SqlIdentifier,
    /// The foreign key by which rows pair.
    pub key: &'a KeyBetween,
    /// What is known of both tables together.
    pub pairing: &'a Pairing,
    /// What the reader asked for.
    pub wish: Wish,
}

/// What the reader asked for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Values of rows that pair with none may go.
    pub lossy: bool,
    /// Rows with a value that pair with none get one.
    pub create_rows: bool,
    /// What may go along though other columns have a part in it, or though it is no part of the table.
    pub dependents: Vec<TableName>,
    /// What has to be waited for before the column goes.
    pub patience: Patience,
}

/// The foreign key by which rows pair: the one with these columns, or the only one where none are given.
///
/// # Errors
/// There is none, or more than one.
pub fn key_for<'k>(
    keys: &'k [KeyBetween],
    on: &[Pair],
    (source, target): (&TableFacts, &TableFacts),
) -> Result<&'k KeyBetween, Problem> {
    let what = format!("{} and {}", source.table, target.table);
    let sorted = |pairs: &[Pair]| {
        let mut pairs = pairs.to_vec();
        pairs.sort();
        pairs
    };
    let meant: Vec<&KeyBetween> = keys
        .iter()
        .filter(|key| on.is_empty() || sorted(&key.pairs) == sorted(on))
        .collect();
    let why = match meant.as_slice() {
        [one] => return Ok(one),
        [] if keys.is_empty() || !on.is_empty() => format!(
            "a foreign key between both tables, on the very columns that pair, keeps rows which are written at the same moment \
             from missing each other; add one first with `shipctl plan add-foreign-key {}.COLUMN {}.COLUMN`",
            target.table, source.table
        ),
        _ => {
            let names: Vec<String> = meant.iter().map(|key| key.name.to_string()).collect();
            format!(
                "there are {}; say with --on which columns pair",
                names.join(" and ")
            )
        }
    };
    let what_is_refused = Refused {
        what: format!("the pairing of {what}"),
        why,
    };
    Err(refusal(ChangeKind::MoveColumn, &what, &[what_is_refused]))
}

/// The recipe.
///
/// # Errors
/// What stands in the way.
pub fn recipe(asked: &Move<'_>, order: &Order) -> Result<Recipe, Problem> {
    let what = asked.facts.column.to_string();
    let held = Held::by(std::slice::from_ref(asked.facts));
    let mut refused = obstacles::of(asked, &held);
    let sides = Sides::of(asked);
    let triggers = match Triggers::named(asked) {
        Ok(triggers) => triggers,
        Err(one) => {
            refused.push(one);
            return Err(refusal(ChangeKind::MoveColumn, &what, &refused));
        }
    };
    let carried = match sides.carried(asked) {
        Ok(carried) => carried,
        Err(more) => {
            refused.extend(more);
            return Err(refusal(ChangeKind::MoveColumn, &what, &refused));
        }
    };
    refused.extend(obstacles::taken(asked, &carried));
    refuse_unless_none(ChangeKind::MoveColumn, &what, &refused)?;
    phases::plan(asked, &sides, &held, &triggers, &carried, order)
}

impl Move<'_> {
    /// Whether the column is NOT NULL at its new place in the end: every row of the target pairs with one.
    fn is_strict(&self) -> bool {
        self.facts.not_null && self.key.of_target && self.key.validated
    }
}
