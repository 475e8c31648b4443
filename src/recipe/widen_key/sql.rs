//! The SQL of what is made anew: primary keys, foreign keys that refer to them, and the transaction of the swap.

use super::identity::Identity;
use super::set::{OfTable, Primary, Twins, Widening};
use crate::domain::{Problem, SqlIdentifier};
use crate::recipe::change_type::swap::phases::Sides;
use crate::recipe::draft::Sql;
use crate::recipe::{ForeignKeyFacts, IndexFacts, carry, constraint_sql};
use crate::sql::{readable, readable_table};

impl OfTable<'_> {
    /// Builds an index for the primary key while writers go on.
    fn build(&self, index: impl Fn(&Primary<'_>) -> IndexFacts) -> Vec<Sql> {
        let built = self
            .any()
            .zip(self.primary.as_ref())
            .map(|(facts, primary)| carry::add_index(facts, &index(primary)));
        Sql::each(built.unwrap_or_default())
    }

    /// Makes the primary key of an index, in a moment: its columns are NOT NULL by then.
    fn make_primary(&self, index: impl Fn(&Primary<'_>) -> SqlIdentifier) -> Vec<String> {
        let Some((facts, primary)) = self.any().zip(self.primary.as_ref()) else {
            return Vec::new();
        };
        let (table, name) = (self.name(), &primary.own.name);
        let mut statements = vec![constraint_sql::add(
            table,
            name,
            &format!("PRIMARY KEY USING INDEX {}", readable(&index(primary))),
        )];
        let comment = primary
            .own
            .constraint
            .as_ref()
            .and_then(|one| one.comment.as_ref());
        statements.extend(comment.map(|text| constraint_sql::comment(table, name, text)));
        if primary.own.clustered {
            statements.push(carry::cluster_on(facts, name));
        }
        statements
    }

    fn drop_primary(&self) -> Option<String> {
        let primary = self.primary.as_ref()?;
        Some(constraint_sql::drop(self.name(), &primary.own.name))
    }
}

impl Twins<'_> {
    fn rename(&self, from: &SqlIdentifier) -> String {
        format!(
            "ALTER TABLE {} RENAME CONSTRAINT {} TO {}",
            readable_table(self.table),
            readable(from),
            readable(&self.own.name)
        )
    }
}

impl Widening<'_> {
    /// Builds the indexes of the primary keys, and the foreign keys that rest on them.
    fn build(
        &self,
        index: impl Fn(&Primary<'_>) -> IndexFacts + Copy,
        key: impl Fn(&Twins<'_>) -> ForeignKeyFacts,
    ) -> Vec<Sql> {
        let mut sql: Vec<Sql> = self.tables.iter().flat_map(|table| table.build(index)).collect();
        for one in &self.references {
            sql.extend(Sql::each(carry::add_foreign_key_to(one.table, &key(one))));
        }
        sql
    }

    /// The indexes of the primary keys of the new columns, what hangs on each column, and last the foreign keys between them.
    pub(super) fn constrain(&self) -> Sides<Sql> {
        let mut up: Vec<Sql> = Vec::new();
        let mut down: Vec<Sql> = Vec::new();
        for one in self.references.iter().rev() {
            down.push(Sql::Statement(format!(
                "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
                readable_table(one.table),
                readable(&one.next.name)
            )));
        }
        for table in &self.tables {
            up.extend(table.build(|primary| primary.next.clone()));
            for swap in &table.swaps {
                let sides = swap.constrain_sql();
                up.extend(sides.up);
                down.extend(sides.down);
            }
            if let (Some(facts), Some(primary)) = (table.any(), &table.primary) {
                down.extend(Sql::each(carry::drop_index(facts, &primary.next, true)));
            }
        }
        for one in &self.references {
            up.extend(Sql::each(carry::add_foreign_key_to(one.table, &one.next)));
        }
        Sides { up, down }
    }

    /// The keys that are made anew go, parents' last.
    fn drop_keys(&self) -> Vec<String> {
        let mut statements: Vec<String> = self
            .references
            .iter()
            .map(|one| constraint_sql::drop(one.table, &one.own.name))
            .collect();
        statements.extend(self.tables.iter().rev().filter_map(OfTable::drop_primary));
        statements
    }

    fn lock(&self) -> String {
        let tables: Vec<String> = self
            .tables
            .iter()
            .map(|table| readable_table(table.name()))
            .collect();
        format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "))
    }

    /// Lets all columns change their names.
    pub(super) fn swap(&self) -> Result<Sides<Sql>, Problem> {
        let (mut there, mut back) = (vec![self.lock()], vec![self.lock()]);
        there.extend(self.drop_keys());
        back.extend(self.drop_keys());
        for table in &self.tables {
            there.extend(table.make_primary(|primary| primary.next.name.clone()));
            back.extend(table.make_primary(|primary| primary.old.name.clone()));
            for (swap, column) in table.swaps.iter().zip(&table.table.columns) {
                let sides = swap.swap_sql()?;
                let identity = Identity::of(column);
                there.extend(identity.as_ref().and_then(|identity| identity.told(swap.name())));
                there.extend(sides.up);
                back.extend(sides.down);
                if let Some(identity) = identity {
                    let types = (column.facts.data_type.as_str(), self.facts.data_type.as_str());
                    there.extend(identity.handed_over(&swap.old, swap.name(), types));
                    back.extend(identity.handed_over(&swap.next, swap.name(), (types.1, types.0)));
                }
            }
        }
        there.extend(self.references.iter().map(|one| one.rename(&one.next.name)));
        back.extend(self.references.iter().map(|one| one.rename(&one.old.name)));

        let mut down = vec![Sql::Remark(
            "The keys of the old columns, built while writers go on: the trigger keeps the columns the same.",
        )];
        down.extend(self.build(|primary| primary.old.clone(), |one| one.old.clone()));
        down.push(Sql::in_a_moment(back));
        down.push(Sql::Remark("And those of the new columns, as they were before."));
        down.extend(self.build(|primary| primary.next.clone(), |one| one.next.clone()));
        Ok(Sides {
            up: vec![Sql::in_a_moment(there)],
            down,
        })
    }
}
