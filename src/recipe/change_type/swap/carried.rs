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
    /// The same for the column `name`, each under a name with this suffix; what leaves doubt is refused.
    pub(super) fn copied(facts: &ColumnFacts, name: &SqlIdentifier, suffix: &str) -> (Self, Vec<Refused>) {
        let own = &facts.column.column;
        let mut refused = Vec::new();
        let mut doubtful = |what: String, why: String| {
            refused.push(Refused {
                what,
                why: format!("{why}; drop it before the change and make it anew after"),
            });
        };
        let (mut indexes, mut checks) = (Vec::new(), Vec::new());
        for index in &facts.indexes {
            match carry::index_as(index, own, name, suffix) {
                Ok(copy) => indexes.push(copy),
                Err(why) => doubtful(format!("index {}", index.name), why),
            }
        }
        for check in &facts.checks {
            match carry::check_as(check, own, name, suffix) {
                Ok(copy) => checks.push(copy),
                Err(why) => doubtful(format!("check constraint {}", check.name), why),
            }
        }
        let foreign_keys = facts
            .foreign_keys
            .iter()
            .map(|key| carry::foreign_key_as(key, own, name, suffix))
            .collect();
        let carried = Self {
            indexes,
            checks,
            foreign_keys,
        };
        (carried, refused)
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.indexes.is_empty() && self.checks.is_empty() && self.foreign_keys.is_empty()
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
