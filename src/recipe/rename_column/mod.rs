//! Renaming a column without a moment in which running code breaks.
//!
//! - The code writes both columns for a while: add → dual-write → backfill → constrain → switch-read → relax → stop-write
//!   → drop.
//! - Or a trigger keeps both in step: add → backfill → constrain → switch → relax → drop.
//!
//! `constrain` is left out where the new column has nothing to be given after the fill, `relax` where nothing holds the
//! old column. With a trigger, nothing that the old column is held by would ever refuse a row; `relax` is there so that
//! the way back has a place at which the old column gets it again: after the drop's way back has filled it.

mod migrations;
mod plan_text;
mod sync;

use jiff::Timestamp;

use super::{
    CheckFacts, ColumnFacts, DefaultValue, Dependent, ForeignKeyFacts, IndexFacts, KnownPlans, Recipe,
    Refused, carry, dependents, names, stamps,
};
use crate::domain::{Exit, PlanId, Problem, SqlIdentifier, TableName};
use crate::plan::SyncMode;
use crate::recipe::sync_trigger::SyncTrigger;

/// Names that PostgreSQL keeps for its own columns.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// What the reader asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The new name.
    pub to: SqlIdentifier,
    /// The plan's id, where it is not to be made from the names.
    pub id: Option<PlanId>,
    /// The ids that are known.
    pub known: KnownPlans,
    /// How long the last code phase must have held before the drop, as plan files write it (`24h`); `None` is not at all.
    pub soak: Option<String>,
    /// How many people must approve the drop.
    pub approvals: u32,
    /// What keeps both columns in step.
    pub sync: SyncMode,
    /// What depends on the column, cannot be carried over, and may go.
    pub dependents: Vec<TableName>,
}

impl Wish {
    /// The new name, with a day of soaking and one approval before the drop.
    pub fn new(to: SqlIdentifier) -> Self {
        Self {
            to,
            id: None,
            known: KnownPlans::default(),
            soak: Some("24h".to_owned()),
            approvals: 1,
            sync: SyncMode::Code,
            dependents: Vec::new(),
        }
    }
}

/// Everything the files are made from.
struct Rename<'a> {
    facts: &'a ColumnFacts,
    wish: &'a Wish,
    id: PlanId,
    /// What the new column gets, under interim names: each beside the one it copies.
    indexes: Vec<(&'a IndexFacts, IndexFacts)>,
    checks: Vec<(&'a CheckFacts, CheckFacts)>,
    foreign_keys: Vec<(&'a ForeignKeyFacts, ForeignKeyFacts)>,
    /// What is dropped and not made again.
    going: Vec<&'a Dependent>,
    /// The trigger that keeps both columns in step, where the code does not.
    trigger: Option<SyncTrigger>,
    stamps: [String; 8],
}

impl Rename<'_> {
    fn old(&self) -> &SqlIdentifier {
        &self.facts.column.column
    }

    fn new_name(&self) -> &SqlIdentifier {
        &self.wish.to
    }

    /// Whether the new column gets anything once its data is there.
    fn constrains(&self) -> bool {
        self.facts.not_null
            || !self.indexes.is_empty()
            || !self.checks.is_empty()
            || !self.foreign_keys.is_empty()
    }

    /// Whether the old column is held by something that code which no longer writes it would run into.
    fn relaxes(&self) -> bool {
        self.facts.not_null || self.takes_guarantees()
    }

    /// Whether relaxing takes away more than NOT NULL.
    fn takes_guarantees(&self) -> bool {
        !self.checks.is_empty()
            || !self.going.is_empty()
            || !self.foreign_keys.is_empty()
            || self.indexes.iter().any(|(index, _)| index.unique)
    }

    fn migration(&self, action: Action) -> String {
        let stamp = &self.stamps[action as usize];
        let column = match action {
            Action::Add | Action::Constrain => names::slug_of(&self.facts.column, self.new_name()),
            Action::Relax | Action::Drop => names::slug_of(&self.facts.column, self.old()),
        };
        format!("{stamp}_{}_{column}", action.word())
    }
}

/// The schema phases that run a migration, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Add,
    Constrain,
    Relax,
    Drop,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Constrain => "constrain",
            Self::Relax => "relax",
            Self::Drop => "drop",
        }
    }
}

/// The recipe for `shipctl plan rename TABLE.COLUMN NEW`. `now` stamps the migration names.
///
/// # Errors
/// A new name that cannot be; what the column carries and cannot be carried over, all of it, by name.
pub fn recipe(facts: &ColumnFacts, wish: &Wish, now: Timestamp) -> Result<Recipe, Problem> {
    check_name(facts, &wish.to)?;
    let rename = prepare(facts, wish, now)?;

    let mut files = vec![(rename.migration(Action::Add), migrations::add(&rename))];
    if rename.constrains() {
        files.push((
            rename.migration(Action::Constrain),
            migrations::constrain(&rename),
        ));
    }
    if rename.relaxes() {
        files.push((rename.migration(Action::Relax), migrations::relax(&rename)));
    }
    files.push((rename.migration(Action::Drop), migrations::drop(&rename)));

    Ok(Recipe {
        plan_file: format!("{}.toml", rename.id),
        plan_text: plan_text::write(&rename),
        migrations: files
            .into_iter()
            .map(|(name, text)| (format!("{name}.sql"), text))
            .collect(),
        remarks: remarks(&rename),
        plan_id: rename.id,
    })
}

fn remarks(rename: &Rename<'_>) -> Vec<String> {
    let facts = rename.facts;
    let mut remarks = match (&rename.trigger, &facts.default, facts.default_value) {
        (Some(_), _, _) => sync::remarks(rename),
        // A default that gives each column its own value is worth a word: code must then set both.
        (None, Some(default), DefaultValue::Another) => vec![format!(
            "The default of {} ({default}) gives each column a value of its own: code that writes both must set both \
             itself and not leave them to their defaults.",
            rename.old()
        )],
        (None, _, _) => Vec::new(),
    };
    for dependent in &rename.going {
        remarks.push(format!(
            "The {} goes with `relax`, and is not made anew: nothing may need it by then.",
            dependent.what
        ));
    }
    remarks.extend(facts.remarks.iter().cloned());
    remarks.extend(rename.wish.known.remark(&rename.id, &made_id(facts)));
    remarks
}

fn check_name(facts: &ColumnFacts, to: &SqlIdentifier) -> Result<(), Problem> {
    let table = &facts.column.table;
    let refuse = |message: String| Problem::new(Exit::Usage, "rename-name", message);
    if *to == facts.column.column {
        return Err(refuse(format!("{} already has that name", facts.column))
            .fix("unquoted names are folded to lower case; quote the name (\"…\") to keep capitals"));
    }
    if SYSTEM_COLUMNS.contains(&to.as_str()) {
        return Err(refuse(format!(
            "no column can be called {to}: PostgreSQL keeps that name for itself"
        ))
        .fix("choose another name"));
    }
    if facts.siblings.contains(to) {
        return Err(refuse(format!("{table} has a column {to} already"))
            .because("a rename makes the new column itself")
            .fix("choose another name, or drop that column first if it is a leftover"));
    }
    Ok(())
}

fn prepare<'a>(facts: &'a ColumnFacts, wish: &'a Wish, now: Timestamp) -> Result<Rename<'a>, Problem> {
    let (old, new) = (&facts.column.column, &wish.to);
    let table = &facts.column.table;
    let (going, mut refused) =
        dependents::let_go(&facts.dependents, &facts.refused, &wish.dependents, table, &[]);
    let mut doubtful = |what: String, why: String| {
        refused.push(Refused {
            what,
            why: format!("{why}; drop it before the rename and make it anew after"),
        });
    };
    let mut indexes = Vec::new();
    for index in &facts.indexes {
        match carry::index_for(index, old, new) {
            Ok(twin) => indexes.push((index, twin)),
            Err(why) => doubtful(format!("index {}", index.name), why),
        }
    }
    let mut checks = Vec::new();
    for check in &facts.checks {
        match carry::check_for(check, old, new) {
            Ok(twin) => checks.push((check, twin)),
            Err(why) => doubtful(format!("check constraint {}", check.name), why),
        }
    }
    let foreign_keys = facts
        .foreign_keys
        .iter()
        .map(|key| (key, carry::foreign_key_for(key, old, new)))
        .collect();
    let trigger = match wish.sync {
        SyncMode::Code => None,
        SyncMode::Trigger => match sync::named(facts) {
            Ok(names) => Some(names),
            Err(one) => {
                refused.push(one);
                None
            }
        },
    };
    if !refused.is_empty() {
        return Err(refusal(facts, &refused));
    }

    let id = wish.known.choose(wish.id.as_ref(), &made_id(facts))?;
    Ok(Rename {
        facts,
        wish,
        id,
        indexes,
        checks,
        foreign_keys,
        going,
        trigger,
        stamps: stamps(now),
    })
}

/// The id that a plan gets where no earlier one had it.
fn made_id(facts: &ColumnFacts) -> String {
    format!("rename-{}", names::slug(&facts.column, '-'))
}

fn refusal(facts: &ColumnFacts, refused: &[Refused]) -> Problem {
    let each = refused
        .iter()
        .map(|one| {
            Problem::new(
                Exit::Usage,
                "rename-cannot-carry",
                format!("{} cannot be carried over", one.what),
            )
            .because(one.why.clone())
        })
        .collect();
    let names: Vec<&str> = refused.iter().map(|one| one.what.as_str()).collect();
    Problem::new(
        Exit::Usage,
        "rename-refused",
        format!("{} cannot be renamed in phases as it stands", facts.column),
    )
    .because(format!(
        "the plan would lose or break what hangs on it: {}",
        names.join(", ")
    ))
    .fix("deal with each of these first; nothing was written")
    .with(each)
}

#[cfg(test)]
mod tests;
