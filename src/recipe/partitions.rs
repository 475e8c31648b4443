//! What recipes must know of a partitioned table and one that becomes, or is, a partition of it.

use super::draft::Sql;
use super::{Refused, TableFacts, carry, constraint_sql};
use crate::domain::{SqlIdentifier, TableName};
use crate::sql::{readable, readable_table};

/// A partitioned table and a table below it, or beside it. All SQL in here is the deparser's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFacts {
    /// The partitioned table.
    pub parent: TableFacts,
    /// The table that is a partition, or is to be one.
    pub child: TableFacts,
    /// Rows go to partitions by a hash of their key.
    pub by_hash: bool,
    /// The default partition.
    pub default: Option<TableFacts>,
    /// `FOR VALUES …` or `DEFAULT`.
    pub bound: String,
    /// What holds of every row of the partition; `None` where anything may be in it.
    pub condition: Option<String>,
    /// What does not fit.
    pub refused: Vec<Refused>,
    /// Indexes of the partitioned table that the other has none like.
    pub missing_indexes: Vec<MissingIndex>,
    /// Foreign keys of the partitioned table that the other has none like.
    pub missing_keys: Vec<MissingKey>,
}

/// An index that the partition needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingIndex {
    /// The names of its columns, of which PostgreSQL makes its own name.
    pub columns: Vec<SqlIdentifier>,
    /// All that stands behind the table: `USING btree (a)`.
    pub definition: String,
    /// UNIQUE.
    pub unique: bool,
    /// The constraint that it serves: `PRIMARY KEY` or `UNIQUE`, and what may follow.
    pub constraint: Option<(String, String)>,
}

/// A foreign key that the partition needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingKey {
    /// Its name.
    pub name: SqlIdentifier,
    /// All that stands behind its name, `NOT VALID` left out.
    pub definition: String,
}

/// A check that saves PostgreSQL reading a table while it is locked.
pub(super) struct Guard {
    table: TableName,
    name: SqlIdentifier,
    condition: String,
}

impl Guard {
    /// Says of a partition what its bound says.
    pub(super) fn of_partition(facts: &PartitionFacts) -> Option<Self> {
        Some(Self {
            table: facts.child.table.clone(),
            name: carry::interim(&facts.child.table.name, "_in_bound"),
            condition: facts.condition.clone()?,
        })
    }

    /// Says of the default partition that no row of the bound is in it.
    pub(super) fn of_default(facts: &PartitionFacts) -> Option<Self> {
        Some(Self {
            table: facts.default.as_ref()?.table.clone(),
            name: carry::interim(&facts.child.table.name, "_elsewhere"),
            condition: format!("NOT {}", facts.condition.as_ref()?),
        })
    }

    /// Adds it, and looks at the rows while writers go on.
    pub(super) fn add(&self) -> Vec<String> {
        vec![
            constraint_sql::add(
                &self.table,
                &self.name,
                &format!("CHECK ({}) NOT VALID", self.condition),
            ),
            constraint_sql::validate(&self.table, &self.name),
        ]
    }

    /// Takes it away.
    pub(super) fn drop(&self) -> String {
        constraint_sql::drop(&self.table, &self.name)
    }

    /// The columns that it is about.
    pub(super) fn columns(&self) -> Vec<crate::domain::ColumnName> {
        let (columns, _) = crate::sql::columns_read(&self.condition, &self.table);
        columns
            .into_iter()
            .map(|column| crate::domain::ColumnName {
                table: self.table.clone(),
                column,
            })
            .collect()
    }

    /// A constraint of the table that has its name.
    pub(super) fn taken(&self, facts: &TableFacts) -> Option<Refused> {
        facts.constraint_names().any(|name| *name == self.name).then(|| Refused {
            what: format!("constraint {} of {}", self.name, self.table),
            why: "the check that saves reading the table while it is locked would have that name; rename it first"
                .to_owned(),
        })
    }
}

impl PartitionFacts {
    /// Makes it a partition.
    pub(super) fn attach(&self) -> Sql {
        Sql::in_a_moment([format!(
            "ALTER TABLE {} ATTACH PARTITION {} {}",
            readable_table(&self.parent.table),
            readable_table(&self.child.table),
            self.bound
        )])
    }

    /// Makes it a table of its own: without stopping anybody where PostgreSQL can.
    pub(super) fn detach(&self) -> String {
        let concurrently =
            if self.parent.server_version >= 140_000 && self.default.is_none() && self.bound != "DEFAULT" {
                " CONCURRENTLY"
            } else {
                ""
            };
        format!(
            "ALTER TABLE {} DETACH PARTITION {}{concurrently}",
            readable_table(&self.parent.table),
            readable_table(&self.child.table),
        )
    }

    /// What stands in the way of both.
    pub(super) fn obstacles(&self) -> Vec<Refused> {
        let mut refused = self.parent.refused.clone();
        refused.extend(self.child.refused.iter().cloned());
        refused.extend(self.refused.iter().cloned());
        if self.by_hash {
            refused.push(Refused {
                what: format!("the hash partitioning of {}", self.parent.table),
                why: "what its partitions hold can only be checked with the number that PostgreSQL gave the table in this one \
                      database, and rows of a bound without partition could not be written; do it by hand, in a migration"
                    .to_owned(),
            });
        }
        for (guard, table) in [
            (Guard::of_partition(self), Some(&self.child)),
            (Guard::of_default(self), self.default.as_ref()),
        ] {
            refused.extend(guard.zip(table).and_then(|(guard, table)| guard.taken(table)));
        }
        let referring: std::collections::BTreeSet<&String> = self
            .parent
            .indexes
            .iter()
            .flat_map(|index| &index.referenced_by)
            .collect();
        refused.extend(referring.into_iter().map(|key| Refused {
            what: format!("foreign key {key}"),
            why: format!(
                "it refers to {}, so that its table would be locked too, and rows that refer to the partition would hold it; drop \
                 it first, or do it by hand, in a migration",
                readable(&self.parent.table.name)
            ),
        }));
        refused
    }
}
