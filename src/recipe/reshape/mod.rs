//! Columns of a row that take the place of others: one that is split, several that are merged.
//!
//! - A trigger keeps both sides in step: add → backfill → switch → constrain → compare → relax → drop.
//! - Or the code writes both for a while: add → dual-write → backfill → switch-read → constrain → compare → relax →
//!   stop-write → drop.
//!
//! `constrain` is there where new columns are to be NOT NULL, and below the code that never leaves them NULL; `compare`
//! finds the rows whose old values could not be made again, before they go; `relax` is there where something holds the old
//! columns, so that the way back has a place at which they get it again: after the drop's way back has filled them.

pub(super) mod held;
mod obstacles;
mod phases;

pub use super::add_column::NewColumnFacts;
use super::draft::{refusal, refuse_unless_none};
use super::sync_trigger::SyncTrigger;
use super::two_way::{Part, TwoWay};
use super::{ColumnFacts, MadeOf, Order, Patience, Recipe, TableFacts};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::plan::{ChangeKind, SyncMode};
use crate::sql::readable;
use held::Held;

/// Columns that take the place of others.
#[derive(Clone, Debug)]
pub struct Reshape<'a> {
    /// `split-column` or `merge-columns`.
    pub kind: ChangeKind,
    /// The table.
    pub table: &'a TableFacts,
    /// What goes.
    pub old: &'a [ColumnFacts],
    /// What each of them is made of, over the new columns.
    pub made_old: &'a [MadeOf],
    /// What comes.
    pub new: &'a [NewColumn],
    /// What each of them is made of, over the old columns.
    pub made_new: &'a [MadeOf],
    /// What the reader asked for.
    pub wish: Wish,
}

/// A column that comes.
#[derive(Clone, Debug)]
pub struct NewColumn {
    /// Its name.
    pub name: SqlIdentifier,
    /// What the database says of it.
    pub facts: NewColumnFacts,
}

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What keeps both sides in step.
    pub sync: SyncMode,
    /// New columns that are NOT NULL in the end.
    pub not_null: Vec<SqlIdentifier>,
    /// Old values that cannot be made of the new ones may go.
    pub lossy: bool,
    /// Indexes and constraints that may go along though other columns have a part in them.
    pub dependents: Vec<TableName>,
    /// What has to be waited for before the old columns go.
    pub patience: Patience,
}

/// The recipe.
///
/// # Errors
/// What stands in the way.
pub fn recipe(reshape: &Reshape<'_>, order: &Order) -> Result<Recipe, Problem> {
    let what = reshape.subject();
    let held = Held::by(reshape.old);
    let mut refused = obstacles::of(reshape, &held);
    let trigger = match reshape.trigger() {
        Ok(trigger) => trigger,
        Err(one) => {
            refused.push(one);
            return Err(refusal(reshape.kind, &what, &refused));
        }
    };
    refuse_unless_none(reshape.kind, &what, &refused)?;
    phases::plan(reshape, &held, trigger.as_ref(), order)
}

impl Reshape<'_> {
    /// What it is about, in words.
    fn subject(&self) -> String {
        match self.old {
            [one] => one.column.to_string(),
            several => format!(
                "{} ({})",
                self.table.table,
                listed(several.iter().map(|one| &one.column.column), ", ")
            ),
        }
    }

    fn old_names(&self) -> impl Iterator<Item = &SqlIdentifier> {
        self.old.iter().map(|one| &one.column.column)
    }

    fn new_names(&self) -> impl Iterator<Item = &SqlIdentifier> {
        self.new.iter().map(|one| &one.name)
    }

    fn trigger(&self) -> Result<Option<SyncTrigger>, super::Refused> {
        if self.wish.sync == SyncMode::Code {
            return Ok(None);
        }
        // After the one column that is split, or that comes of a merger.
        let one = match self.kind {
            ChangeKind::MergeColumns => self.new_names().next(),
            _ => self.old_names().next(),
        };
        let label = format!(
            "{}_{}",
            self.table.table.name.as_str(),
            one.map_or("", SqlIdentifier::as_str)
        );
        let others = self
            .old
            .iter()
            .take(1)
            .flat_map(|facts| facts.before_triggers.iter().flatten());
        SyncTrigger::named(&self.table.table, &label, others).map(Some)
    }

    fn two_way(&self) -> TwoWay<'_> {
        let (old, new): (Vec<_>, Vec<_>) = (self.old_names().collect(), self.new_names().collect());
        let parts = |own: &[&SqlIdentifier], made: &[MadeOf], others: &[&SqlIdentifier]| {
            own.iter()
                .zip(made)
                .map(|(name, made)| self.part(name, made, others))
                .collect()
        };
        TwoWay {
            table: &self.table.table,
            old: parts(&old, self.made_old, &new),
            new: parts(&new, self.made_new, &old),
        }
    }

    fn part(&self, name: &SqlIdentifier, made: &MadeOf, others: &[&SqlIdentifier]) -> Part {
        // The expression sees a row of its columns, and no variable of the function.
        let names: Vec<String> = others.iter().map(|other| readable(other)).collect();
        // A field of NEW does not have the collation of its column.
        let value = |other: &&SqlIdentifier| {
            let facts = self.old.iter().find(|facts| facts.column.column == **other);
            let collation = facts.and_then(|facts| facts.collation.as_ref());
            let collation = collation.map_or_else(String::new, |collation| format!(" COLLATE {collation}"));
            format!("NEW.{}{collation}", readable(other))
        };
        let values: Vec<String> = others.iter().map(value).collect();
        Part {
            name: name.clone(),
            assigned: format!(
                "(SELECT {} FROM (SELECT {}) AS {} ({}))",
                made.expression,
                values.join(", "),
                readable(&self.table.table.name),
                names.join(", ")
            ),
            expression: made.expression.clone(),
            compared: made.compared.clone(),
            comparison: made.comparison,
        }
    }
}

/// `a, b and c`, or with another word at the end.
fn listed<'a>(names: impl Iterator<Item = &'a SqlIdentifier>, last: &str) -> String {
    let mut names: Vec<String> = names.map(SqlIdentifier::to_string).collect();
    match names.pop() {
        Some(end) if !names.is_empty() => format!("{}{last}{end}", names.join(", ")),
        one => one.unwrap_or_default(),
    }
}
