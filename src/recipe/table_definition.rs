//! Everything that makes a table what it is, as SQL that makes it again, empty.

use super::{Dependent, Refused};
use crate::domain::{SqlIdentifier, TableName};
use crate::sql::{readable, readable_table};

/// How a table would be made again. Every statement comes from PostgreSQL's own deparser with an empty search path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableDefinition {
    /// Sequences that its columns own, which have to be there first.
    pub sequences: Vec<String>,
    /// `CREATE TABLE` with its columns.
    pub create: String,
    /// What follows, in order: constraints (foreign keys left out), indexes, statistics, triggers, policies, comments.
    pub details: Vec<String>,
    /// Its foreign keys.
    pub foreign_keys: Vec<ForeignKeyDefinition>,
    /// The owner, where it is another role than the one that asks.
    pub owner: Option<SqlIdentifier>,
    /// Privileges on the table and its columns.
    pub grants: Vec<Grant>,
    /// Its owner has other privileges than an owner has by default, which are among the grants.
    pub owner_is_granted: bool,
    /// Privileges on its sequences, as SQL.
    pub sequence_grants: Vec<String>,
    /// Roles to which new tables and views of the schema give something by default.
    pub default_grantees: Vec<Option<SqlIdentifier>>,
    /// It is added to these publications again.
    pub publications: Vec<String>,
    /// Row security is on.
    pub row_security: bool,
    /// What depends on it or belongs to it and cannot be brought back.
    pub refused: Vec<Refused>,
    /// The views of that which could go, and come back, where the reader says so.
    pub dependents: Vec<Dependent>,
    /// Functions whose text mentions it.
    pub mentioned_by: Vec<String>,
    /// What is made with the type of its rows: functions that take or give rows, columns that hold them.
    pub row_type_users: Vec<String>,
    /// Names of the types of its schema.
    pub types: Vec<SqlIdentifier>,
}

/// A foreign key of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKeyDefinition {
    /// Its name.
    pub name: SqlIdentifier,
    /// The table that it refers to.
    pub target: TableName,
    /// All that stands behind its name.
    pub definition: String,
    /// Its comment, as SQL.
    pub comment: Option<String>,
}

/// Privileges of one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The column, where it is for one alone.
    pub column: Option<SqlIdentifier>,
    /// `SELECT`, `INSERT` …
    pub privileges: Vec<String>,
    /// The role; `None` is PUBLIC.
    pub grantee: Option<SqlIdentifier>,
    /// With grant option.
    pub grantable: bool,
}

impl Grant {
    /// The statement that gives them on a table or view.
    pub fn on(&self, table: &TableName) -> String {
        let column = self.column.as_ref().map(readable);
        let privileges: Vec<String> = self
            .privileges
            .iter()
            .map(|privilege| match &column {
                Some(column) => format!("{privilege} ({column})"),
                None => privilege.clone(),
            })
            .collect();
        format!(
            "GRANT {} ON {} TO {}{}",
            privileges.join(", "),
            readable_table(table),
            role(self.grantee.as_ref()),
            if self.grantable { " WITH GRANT OPTION" } else { "" }
        )
    }
}

/// A role for SQL.
fn role(name: Option<&SqlIdentifier>) -> String {
    name.map_or_else(|| "PUBLIC".to_owned(), readable)
}

impl TableDefinition {
    /// The foreign keys that refer to other tables.
    pub fn outward<'d>(&'d self, table: &'d TableName) -> impl Iterator<Item = &'d ForeignKeyDefinition> {
        self.foreign_keys.iter().filter(move |key| key.target != *table)
    }

    /// Takes from a new table or view what it gives by default.
    pub fn without_defaults(&self, table: &TableName) -> Vec<String> {
        self.default_grantees
            .iter()
            .map(|grantee| {
                format!(
                    "REVOKE ALL ON {} FROM {}",
                    readable_table(table),
                    role(grantee.as_ref())
                )
            })
            .collect()
    }

    /// The statements that make the table again, empty.
    pub fn again(&self, table: &TableName) -> Vec<String> {
        let name = readable_table(table);
        let mut statements = self.sequences.clone();
        statements.push(self.create.clone());
        statements.extend(self.without_defaults(table));
        statements.extend(self.details.iter().cloned());
        for key in &self.foreign_keys {
            statements.push(format!(
                "ALTER TABLE {name} ADD CONSTRAINT {} {}",
                readable(&key.name),
                key.definition
            ));
            statements.extend(key.comment.clone());
        }
        if let Some(owner) = &self.owner {
            statements.push(format!("ALTER TABLE {name} OWNER TO {}", readable(owner)));
            if self.owner_is_granted {
                statements.push(format!("REVOKE ALL ON {name} FROM {}", readable(owner)));
            }
        } else if self.owner_is_granted {
            statements.push(format!("REVOKE ALL ON {name} FROM CURRENT_USER"));
        }
        statements.extend(self.grants.iter().map(|grant| grant.on(table)));
        statements.extend(self.sequence_grants.iter().cloned());
        statements.extend(self.publications.iter().cloned());
        statements
    }
}
