//! What hangs on columns that go: it is taken away before them, one by one, and comes back with them.

use std::collections::BTreeSet;

use crate::domain::{SqlIdentifier, TableName};
use crate::recipe::dependents::is_called;
use crate::recipe::draft::{SchemaPhase, Sql};
use crate::recipe::{CheckFacts, ColumnFacts, ForeignKeyFacts, IndexFacts, Patience, Refused, carry};

/// What hangs on the columns, each once.
pub(in crate::recipe) struct Held<'a> {
    not_null: Vec<&'a ColumnFacts>,
    checks: Vec<(&'a ColumnFacts, &'a CheckFacts)>,
    foreign_keys: Vec<(&'a ColumnFacts, &'a ForeignKeyFacts)>,
    indexes: Vec<(&'a ColumnFacts, &'a IndexFacts)>,
}

impl<'a> Held<'a> {
    /// Of all these columns of one table.
    pub(in crate::recipe) fn by(columns: &'a [ColumnFacts]) -> Self {
        Self {
            not_null: columns.iter().filter(|column| column.not_null).collect(),
            checks: each_once(columns, |column| &column.checks, |check| &check.name),
            foreign_keys: each_once(columns, |column| &column.foreign_keys, |key| &key.name),
            indexes: each_once(columns, |column| &column.indexes, |index| &index.name),
        }
    }

    /// Whether a row could be refused for what the columns hold.
    fn restricts(&self) -> bool {
        !self.not_null.is_empty() || self.guarantees()
    }

    /// Whether readers may count on more than that there is a value.
    fn guarantees(&self) -> bool {
        !self.checks.is_empty() || !self.foreign_keys.is_empty() || self.unique().next().is_some()
    }

    /// The names of what does not go on to other columns.
    pub(in crate::recipe) fn names(&self) -> Vec<&'a SqlIdentifier> {
        let checks = self.checks.iter().map(|(_, one)| &one.name);
        let keys = self.foreign_keys.iter().map(|(_, one)| &one.name);
        let indexes = self.indexes.iter().map(|(_, one)| &one.name);
        checks.chain(keys).chain(indexes).collect()
    }

    fn unique(&self) -> impl Iterator<Item = &(&'a ColumnFacts, &'a IndexFacts)> {
        self.indexes.iter().filter(|(_, index)| index.unique)
    }

    fn plain(&self) -> impl Iterator<Item = &(&'a ColumnFacts, &'a IndexFacts)> {
        self.indexes.iter().filter(|(_, index)| !index.unique)
    }

    /// Takes away what restricts.
    fn relax(&self) -> Vec<Sql> {
        let mut statements = Vec::new();
        for (facts, key) in &self.foreign_keys {
            statements.push(carry::drop_constraint(facts, &key.name, false));
        }
        for (facts, check) in &self.checks {
            statements.push(carry::drop_constraint(facts, &check.name, false));
        }
        for (facts, index) in self.unique() {
            statements.extend(carry::drop_index(facts, index, false));
        }
        for facts in &self.not_null {
            let drop = carry::drop_not_null(&facts.column.table, &facts.column.column);
            statements.extend(drop.into_iter().take(1));
        }
        Sql::each(statements)
    }

    /// The phase that takes away what restricts; `None` where nothing does. `what` is what they are, in words.
    pub(in crate::recipe) fn relaxing<'c>(
        &self,
        what: &str,
        comments: &'c [&'c str],
        patience: impl FnOnce() -> Patience,
    ) -> Option<SchemaPhase<'c>> {
        self.restricts().then(|| SchemaPhase {
            id: "relax",
            // What only lets more pass takes nothing away; dropping constraints and unique indexes does.
            kind: if self.guarantees() { "contract" } else { "expand" },
            title: format!("Free {what} of what holds it"),
            comments,
            explanation: &[
                "Nobody reads the old side by now. What holds it goes one by one, before it: each lock is short.",
                "The way back does restrict: it fails, and changes nothing more, while rows do not obey it.",
            ],
            up: self.relax(),
            down: self.restrict(),
            patience: patience(),
        })
    }

    /// Brings it back, in the opposite order.
    fn restrict(&self) -> Vec<Sql> {
        let mut statements = Vec::new();
        for (facts, index) in self.unique() {
            statements.extend(built(facts, index));
        }
        for (facts, check) in &self.checks {
            statements.extend(carry::add_check(facts, check));
        }
        for (facts, key) in &self.foreign_keys {
            statements.extend(carry::add_foreign_key(facts, key));
        }
        for facts in &self.not_null {
            statements.extend(carry::set_not_null(&facts.column.table, &facts.column.column));
        }
        Sql::each(statements)
    }

    /// Takes away the indexes that only serve.
    pub(in crate::recipe) fn drop_indexes(&self) -> Vec<Sql> {
        Sql::each(
            self.plain()
                .flat_map(|(facts, index)| carry::drop_index(facts, index, false)),
        )
    }

    /// Builds them again.
    pub(in crate::recipe) fn build_indexes(&self) -> Vec<Sql> {
        Sql::each(self.plain().flat_map(|(facts, index)| built(facts, index)))
    }

    /// What of it would go along though other columns have a part in it, and names that are none of that.
    pub(in crate::recipe) fn shared(
        &self,
        columns: &[ColumnFacts],
        may_go: &[TableName],
        refused: &mut Vec<Refused>,
    ) {
        let own: BTreeSet<&SqlIdentifier> = columns.iter().map(|facts| &facts.column.column).collect();
        let schema = columns
            .first()
            .and_then(|facts| facts.column.table.schema.as_ref());
        let mut known: BTreeSet<&SqlIdentifier> = BTreeSet::new();
        for (name, others) in columns.iter().flat_map(|facts| &facts.shared) {
            let others: Vec<String> = others
                .iter()
                .filter(|other| !own.contains(other))
                .map(SqlIdentifier::to_string)
                .collect();
            // What is refused for other reasons, or was never finished, is none of these.
            if others.is_empty() || !self.names().contains(&name) || !known.insert(name) {
                continue;
            }
            if !may_go.iter().any(|given| is_called(given, schema, name)) {
                refused.push(Refused {
                    what: format!("{} {name}", self.kind_of(name)),
                    why: format!(
                        "it is also about {} and would silently go along; make one without what goes if it is needed, and let this \
                         one go with --drop-dependent '{name}'",
                        others.join(", ")
                    ),
                });
            }
        }
        let is_known = |given: &&TableName| known.iter().any(|name| is_called(given, schema, name));
        for name in may_go.iter().filter(|given| !is_known(given)) {
            refused.push(Refused {
                what: format!("--drop-dependent {name}"),
                why: "there is no index or constraint of that name on what goes and other columns; what hangs on these alone goes \
                      along"
                    .to_owned(),
            });
        }
    }

    fn kind_of(&self, name: &SqlIdentifier) -> &'static str {
        if self.indexes.iter().any(|(_, one)| one.name == *name) {
            "index"
        } else if self.checks.iter().any(|(_, one)| one.name == *name) {
            "check constraint"
        } else {
            "foreign key"
        }
    }

    /// Whether the way back builds an index.
    pub(in crate::recipe) fn builds(&self) -> bool {
        !self.indexes.is_empty()
    }
}

fn built(facts: &ColumnFacts, index: &IndexFacts) -> Vec<String> {
    let mut statements = carry::add_index(facts, index);
    if index.clustered {
        statements.push(carry::cluster_on(facts, &index.name));
    }
    statements
}

fn each_once<'a, T>(
    columns: &'a [ColumnFacts],
    all: impl Fn(&'a ColumnFacts) -> &'a Vec<T>,
    name: impl Fn(&'a T) -> &'a SqlIdentifier,
) -> Vec<(&'a ColumnFacts, &'a T)> {
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for facts in columns {
        for one in all(facts) {
            if known.insert(name(one)) {
                found.push((facts, one));
            }
        }
    }
    found
}
