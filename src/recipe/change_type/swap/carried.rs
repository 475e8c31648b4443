//! The indexes and constraints of a column, for another one.

use crate::domain::SqlIdentifier;
use crate::recipe::{CheckFacts, ColumnFacts, ForeignKeyFacts, IndexFacts, Refused, carry};

/// What a column carries, under other names.
pub(super) struct Carried {
    pub(super) indexes: Vec<IndexFacts>,
    pub(super) checks: Vec<CheckFacts>,
    pub(super) foreign_keys: Vec<ForeignKeyFacts>,
}

impl Carried {
    /// The same for other columns, whose names and whose own are those with this suffix; what leaves doubt is refused.
    pub(super) fn copied(
        facts: &ColumnFacts,
        columns: &[SqlIdentifier],
        suffix: &str,
    ) -> (Self, Vec<Refused>) {
        let mut refused = Vec::new();
        let mut doubtful = |what: String, why: String| {
            refused.push(Refused {
                what,
                why: format!("{why}; drop it before the change and make it anew after"),
            });
        };
        let (mut indexes, mut checks) = (Vec::new(), Vec::new());
        for index in &facts.indexes {
            match index_of(index, columns, suffix) {
                Ok(copy) => indexes.push(copy),
                Err(why) => doubtful(format!("index {}", index.name), why),
            }
        }
        for check in &facts.checks {
            match check_of(check, columns, suffix) {
                Ok(copy) => checks.push(copy),
                Err(why) => doubtful(format!("check constraint {}", check.name), why),
            }
        }
        let foreign_keys = facts
            .foreign_keys
            .iter()
            .map(|key| foreign_key_of(key, columns, suffix))
            .collect();
        let carried = Self {
            indexes,
            checks,
            foreign_keys,
        };
        (carried, refused)
    }

    /// Makes them all.
    pub(super) fn make(&self, facts: &ColumnFacts) -> Vec<String> {
        let mut made = Vec::new();
        for index in &self.indexes {
            made.extend(carry::add_index(facts, index));
        }
        for check in &self.checks {
            made.extend(carry::add_check(facts, check));
        }
        for key in &self.foreign_keys {
            made.extend(carry::add_foreign_key(facts, key));
        }
        made
    }

    /// Takes them away again.
    pub(super) fn remove(&self, facts: &ColumnFacts, if_exists: bool) -> Vec<String> {
        let mut gone = Vec::new();
        for key in self.foreign_keys.iter().rev() {
            gone.push(carry::drop_constraint(facts, &key.name, if_exists));
        }
        for check in self.checks.iter().rev() {
            gone.push(carry::drop_constraint(facts, &check.name, if_exists));
        }
        for index in self.indexes.iter().rev() {
            gone.extend(carry::drop_index(facts, index, if_exists));
        }
        gone
    }

    pub(super) fn constraint_names(&self) -> impl Iterator<Item = &SqlIdentifier> {
        let checks = self.checks.iter().map(|check| &check.name);
        checks.chain(self.foreign_keys.iter().map(|key| &key.name))
    }
}

/// An index in which each of the columns is the one whose name has this suffix, as its own has.
///
/// # Errors
/// An expression leaves doubt about what is a column.
pub(in crate::recipe) fn index_of(
    index: &IndexFacts,
    columns: &[SqlIdentifier],
    suffix: &str,
) -> Result<IndexFacts, String> {
    let mut copy = index.clone();
    for own in columns {
        copy = carry::index_as(&copy, own, &carry::interim(own, suffix), "")?;
    }
    copy.name = carry::interim(&index.name, suffix);
    Ok(copy)
}

fn check_of(check: &CheckFacts, columns: &[SqlIdentifier], suffix: &str) -> Result<CheckFacts, String> {
    let mut copy = check.clone();
    for own in columns {
        copy = carry::check_as(&copy, own, &carry::interim(own, suffix), "")?;
    }
    copy.name = carry::interim(&check.name, suffix);
    Ok(copy)
}

/// A foreign key whose own columns are those with this suffix.
pub(in crate::recipe) fn foreign_key_of(
    key: &ForeignKeyFacts,
    columns: &[SqlIdentifier],
    suffix: &str,
) -> ForeignKeyFacts {
    let mut copy = key.clone();
    for own in columns {
        copy = carry::foreign_key_as(&copy, own, &carry::interim(own, suffix), "");
    }
    copy.name = carry::interim(&key.name, suffix);
    copy
}
