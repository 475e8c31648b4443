//! A sequence whose place another takes.

use crate::domain::{SqlIdentifier, TableName};
use crate::recipe::carry;
use crate::sql::{literal, readable, readable_table};

/// A sequence with every property that its definition can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceFacts {
    /// Its name.
    pub name: TableName,
    /// Its type.
    pub data_type: String,
    /// START WITH.
    pub start: i64,
    /// INCREMENT BY.
    pub increment: i64,
    /// MINVALUE.
    pub least: i64,
    /// MAXVALUE.
    pub greatest: i64,
    /// CACHE.
    pub cache: i64,
    /// CYCLE.
    pub cycle: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// Privileges: the role (`None` is PUBLIC), the privilege, and whether it can be passed on.
    pub grants: Vec<(Option<SqlIdentifier>, String, bool)>,
    /// Roles to which new sequences of its schema give something by default.
    pub default_grantees: Vec<Option<SqlIdentifier>>,
    /// Its owner, where that has other privileges than an owner has by default, which are among the grants.
    pub owner_granted: Option<SqlIdentifier>,
    /// Where it has come to, where that can be read.
    pub position: Option<i64>,
    /// The column's default is its next value and nothing else.
    pub is_default: bool,
    /// What depends on it besides that default.
    pub dependents: Vec<String>,
}

impl SequenceFacts {
    /// How it counts; `largest` is the largest value of the type that it is to be of.
    pub(in crate::recipe) fn options(&self, largest: i64) -> String {
        let cycle = if self.cycle { " CYCLE" } else { "" };
        format!(
            "INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {}{cycle}",
            self.increment,
            self.least,
            self.greatest.min(largest),
            self.start,
            self.cache
        )
    }

    /// The name that it has while another takes its own.
    pub(in crate::recipe) fn aside(&self) -> SqlIdentifier {
        carry::interim(&self.name.name, "_old")
    }

    pub(in crate::recipe) fn renamed_aside(&self) -> String {
        format!(
            "ALTER SEQUENCE {} RENAME TO {}",
            readable_table(&self.name),
            readable(&self.aside())
        )
    }

    pub(in crate::recipe) fn aside_name(&self) -> String {
        readable_table(&TableName {
            schema: self.name.schema.clone(),
            name: self.aside(),
        })
    }

    /// Lets it go on from where the one that was put aside had come to.
    pub(in crate::recipe) fn goes_on(&self) -> String {
        format!(
            "SELECT setval({}, last_value, is_called) FROM {}",
            literal(&readable_table(&self.name)),
            self.aside_name()
        )
    }

    /// Its grants, instead of those that a new sequence has by default, and its comment.
    pub(in crate::recipe) fn belongings(&self) -> Vec<String> {
        let name = readable_table(&self.name);
        let role = |role: Option<&SqlIdentifier>| role.map_or_else(|| "PUBLIC".to_owned(), readable);
        let owner = self.owner_granted.as_ref().map(Some);
        let defaults = self.default_grantees.iter().map(Option::as_ref);
        let mut statements: Vec<String> = defaults
            .chain(owner)
            .map(|grantee| format!("REVOKE ALL ON SEQUENCE {name} FROM {}", role(grantee)))
            .collect();
        statements.extend(self.grants.iter().map(|(grantee, privilege, grantable)| {
            let option = if *grantable { " WITH GRANT OPTION" } else { "" };
            format!(
                "GRANT {privilege} ON SEQUENCE {name} TO {}{option}",
                role(grantee.as_ref())
            )
        }));
        statements.extend(
            self.comment
                .iter()
                .map(|comment| format!("COMMENT ON SEQUENCE {name} IS {}", literal(comment))),
        );
        statements
    }
}
