//! What a recipe must know of a table, as the catalog tells it. All SQL in here comes from PostgreSQL's own deparser with
//! an empty search path.

use super::Refused;
use crate::domain::{ColumnName, SqlIdentifier, TableName, nearest};
use crate::domain::{Exit, Problem};
use crate::sql::readable;

/// The facts about one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// The table, its schema filled in.
    pub table: TableName,
    /// What it is.
    pub kind: TableKind,
    /// It is a partition, or a child of another table.
    pub has_parent: bool,
    /// Why nothing about it can be changed in phases.
    pub refused: Vec<Refused>,
    /// The partitions right below it.
    pub partitions: Vec<Partition>,
    /// Its columns, in order.
    pub columns: Vec<TableColumn>,
    /// Its constraints, NOT NULL left out.
    pub constraints: Vec<ConstraintFacts>,
    /// Its indexes.
    pub indexes: Vec<IndexDefinition>,
    /// Names that a new constraint of it would meet: those of all its constraints, NOT NULL included.
    pub constraint_names: Vec<SqlIdentifier>,
    /// The constraints of its partitions and of tables that inherit from it.
    pub below: Vec<ConstraintBelow>,
    /// Names of its schema that a new index would meet: tables, indexes, sequences, views.
    pub relations: Vec<SqlIdentifier>,
    /// A publication has it.
    pub published: bool,
    /// The server's version, as `server_version_num`.
    pub server_version: u32,
}

/// What a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// A table by itself.
    Ordinary,
    /// Its rows are in its partitions.
    Partitioned,
    /// It has parents or children.
    OfAFamily,
    /// A view, a foreign table or the like.
    Other,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The table.
    pub table: TableName,
    /// It has partitions of its own.
    pub is_partitioned: bool,
    /// Its rows are elsewhere, where no index can be built.
    pub is_foreign: bool,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: SqlIdentifier,
    /// Its type as `format_type` writes it.
    pub data_type: String,
    /// It is NOT NULL.
    pub not_null: bool,
    /// Its default expression.
    pub default: Option<String>,
    /// It hands out its own values.
    pub identity: bool,
    /// Its values are computed.
    pub generated: bool,
    /// Logical replication tells rows apart by an index that covers it.
    pub replica_identity: bool,
    /// Partitions and children in which it has another default, as SQL writes them.
    pub other_defaults: Vec<String>,
    /// Partitions and children in which it is NOT NULL, as SQL writes them.
    pub not_null_below: Vec<String>,
    /// It may have a value where an INSERT leaves it out and it has no default: by a trigger before the INSERT, a rule, or
    /// the default of its domain.
    pub filled_by_others: bool,
    /// Its NOT NULL, where that is a constraint with a name of its own, a comment, or rows that nobody looked at.
    pub named_not_null: Option<NotNullFacts>,
}

/// A NOT NULL constraint (PostgreSQL 18) that is not as `SET NOT NULL` would make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotNullFacts {
    /// Its name.
    pub name: SqlIdentifier,
    /// It has been validated.
    pub validated: bool,
    /// NO INHERIT: no primary key can rest on it.
    pub no_inherit: bool,
}

/// A constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstraintFacts {
    /// Its name.
    pub name: SqlIdentifier,
    /// What it is.
    pub kind: ConstraintType,
    /// All that stands after its name, `NOT VALID` left out: `CHECK ((a > 0))`.
    pub definition: String,
    /// It has been validated.
    pub validated: bool,
    /// Its columns, in order.
    pub columns: Vec<SqlIdentifier>,
    /// Its comment.
    pub comment: Option<String>,
    /// It comes from a parent table.
    pub inherited: bool,
    /// Foreign keys that rest on it, as `table.name`.
    pub referenced_by: Vec<String>,
    /// The table that a foreign key refers to.
    pub target: Option<TableName>,
    /// It is a foreign key that changes or deletes rows by itself (CASCADE, SET NULL, SET DEFAULT).
    pub acts: bool,
}

/// A constraint of a table below another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstraintBelow {
    /// The table.
    pub table: TableName,
    /// Its name.
    pub name: SqlIdentifier,
    /// Its comment.
    pub comment: Option<String>,
    /// It comes from a parent, and stays when it goes there: the table has it of its own too, or of another parent.
    pub stays: bool,
}

/// What a constraint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintType {
    /// CHECK.
    Check,
    /// FOREIGN KEY.
    ForeignKey,
    /// UNIQUE.
    Unique,
    /// PRIMARY KEY.
    PrimaryKey,
    /// EXCLUDE.
    Exclusion,
    /// Anything else, such as a constraint trigger.
    Other,
}

/// An index as `pg_get_indexdef` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Its name; its schema is that of the table.
    pub name: SqlIdentifier,
    /// `CREATE INDEX …`.
    pub definition: String,
    /// It is used; one whose concurrent build failed is not.
    pub valid: bool,
    /// UNIQUE.
    pub unique: bool,
    /// NULLS NOT DISTINCT: one NULL at most.
    pub nulls_not_distinct: bool,
    /// Its keys, in order: the column, or `None` where it is an expression.
    pub keys: Vec<Option<SqlIdentifier>>,
    /// The access method: `btree`.
    pub method: String,
    /// It holds some of the rows only (WHERE).
    pub partial: bool,
    /// It refuses duplicates at once, not at the end of the transaction.
    pub immediate: bool,
    /// Its keys are sorted and compared as by default: no DESC, no operator class or collation of its own.
    pub default_order: bool,
    /// The tablespace, where it is not the database's own.
    pub tablespace: Option<SqlIdentifier>,
    /// The constraint that it serves.
    pub constraint: Option<SqlIdentifier>,
    /// It is part of the index of a partitioned table.
    pub attached: bool,
    /// Logical replication tells rows apart by it.
    pub replica_identity: bool,
    /// The table was clustered on it.
    pub clustered: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// Statistics targets of its expression columns, by number from 1.
    pub statistics: Vec<(i16, i32)>,
    /// Foreign keys that rest on it, as `table.name`.
    pub referenced_by: Vec<String>,
}

impl IndexDefinition {
    /// The statement that builds it while writers go on, in its tablespace.
    pub fn concurrently(&self) -> Option<String> {
        let (before, condition) = self.definition.split_at(condition_start(&self.definition));
        let tablespace = self
            .tablespace
            .as_ref()
            .map(|tablespace| format!(" TABLESPACE {}", readable(tablespace)))
            .unwrap_or_default();
        let rest = |prefix: &str| {
            Some(format!(
                "{prefix}CONCURRENTLY {}{tablespace}{condition}",
                before.strip_prefix(prefix)?
            ))
        };
        rest("CREATE INDEX ").or_else(|| rest("CREATE UNIQUE INDEX "))
    }

    /// The same under another name.
    pub fn named(&self, name: &SqlIdentifier) -> Option<Self> {
        let rest = |prefix: &str| {
            let rest = self.definition.strip_prefix(prefix)?;
            let behind = [self.name.as_str().to_owned(), self.name.quoted()]
                .iter()
                .find_map(|own| {
                    rest.strip_prefix(own.as_str())
                        .filter(|rest| rest.starts_with(" ON "))
                })?;
            Some(format!("{prefix}{}{behind}", readable(name)))
        };
        Some(Self {
            name: name.clone(),
            definition: rest("CREATE INDEX ").or_else(|| rest("CREATE UNIQUE INDEX "))?,
            ..self.clone()
        })
    }

    /// Whether it finds the rows of the table by these columns, in whatever order.
    pub fn leads_with(&self, columns: &[SqlIdentifier]) -> bool {
        let leading: Vec<_> = self.keys.iter().take(columns.len()).collect();
        let finds = |column: &SqlIdentifier| leading.contains(&&Some(column.clone()));
        self.valid && !self.partial && self.method == "btree" && columns.iter().all(finds)
    }

    /// Whether it keeps these columns, and no fewer, unique at every moment.
    pub fn keeps_unique(&self, columns: &[SqlIdentifier]) -> bool {
        self.unique && self.immediate && self.keys.len() == columns.len() && self.leads_with(columns)
    }
}

impl TableFacts {
    /// The column of this name.
    ///
    /// # Errors
    /// There is none; the nearest names are told.
    pub fn column(&self, name: &SqlIdentifier) -> Result<&TableColumn, Problem> {
        if let Some(found) = self.columns.iter().find(|column| column.name == *name) {
            return Ok(found);
        }
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.name.to_string())
            .collect();
        let problem = Problem::new(
            Exit::Usage,
            "no-such-column",
            format!("{} has no column {name}", self.table),
        );
        Err(nearest_of(problem, name, &names))
    }

    /// The constraint of this name.
    ///
    /// # Errors
    /// There is none; the nearest names are told.
    pub fn constraint(&self, name: &SqlIdentifier) -> Result<&ConstraintFacts, Problem> {
        if let Some(found) = self.constraints.iter().find(|one| one.name == *name) {
            return Ok(found);
        }
        let names: Vec<String> = self.constraints.iter().map(|one| one.name.to_string()).collect();
        let message = format!("{} has no constraint {name}", self.table);
        Err(nearest_of(
            Problem::new(Exit::Usage, "no-such-constraint", message),
            name,
            &names,
        ))
    }

    /// The index of this name.
    ///
    /// # Errors
    /// There is none; the nearest names are told.
    pub fn index(&self, name: &SqlIdentifier) -> Result<&IndexDefinition, Problem> {
        if let Some(found) = self.indexes.iter().find(|one| one.name == *name) {
            return Ok(found);
        }
        let names: Vec<String> = self.indexes.iter().map(|one| one.name.to_string()).collect();
        let message = format!("{} has no index {name}", self.table);
        Err(nearest_of(
            Problem::new(Exit::Usage, "no-such-index", message),
            name,
            &names,
        ))
    }

    /// The names that a new check would meet: those of its constraints, and of the tables below it, to which it goes on.
    pub fn constraint_names(&self) -> impl Iterator<Item = &SqlIdentifier> {
        let below = self.below.iter().map(|one| &one.name);
        self.constraint_names.iter().chain(below)
    }

    /// The primary key that a column is part of.
    pub fn primary_key_of(&self, column: &SqlIdentifier) -> Option<&ConstraintFacts> {
        self.constraints
            .iter()
            .find(|one| one.kind == ConstraintType::PrimaryKey && one.columns.contains(column))
    }

    /// Why no index of the table can be built while writers go on; of a partitioned table `partitioned` says what then.
    pub fn no_concurrent_build(&self, partitioned: &str) -> Option<Refused> {
        if self.kind == TableKind::Partitioned {
            return Some(Refused {
                what: format!("partitioned table {}", self.table),
                why: partitioned.to_owned(),
            });
        }
        super::add_index::concurrently_refused(self.server_version)
    }

    /// The full name of a column.
    pub fn column_name(&self, name: &SqlIdentifier) -> ColumnName {
        ColumnName {
            table: self.table.clone(),
            column: name.clone(),
        }
    }
}

/// Where ` WHERE …` begins in the definition of an index, outside names and texts in quotes; its end, where there is none.
fn condition_start(definition: &str) -> usize {
    let mut quoted = None;
    for (at, character) in definition.char_indices() {
        match (quoted, character) {
            // A doubled quote ends and begins anew; backslashes are doubled too.
            (Some(quote), _) if quote == character => quoted = None,
            (None, '\'' | '"') => quoted = Some(character),
            (None, ' ')
                if definition
                    .get(at..)
                    .is_some_and(|rest| rest.starts_with(" WHERE ")) =>
            {
                return at;
            }
            _ => {}
        }
    }
    definition.len()
}

/// The problem with what may have been meant.
fn nearest_of(problem: Problem, name: &SqlIdentifier, known: &[String]) -> Problem {
    let folded: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|other| other.trim_matches('"').eq_ignore_ascii_case(name.as_str()))
        .collect();
    let near = if folded.is_empty() {
        nearest(name.as_str(), known.iter().map(String::as_str))
    } else {
        folded
    };
    match (near.is_empty(), known.is_empty()) {
        (false, _) => problem.fix(format!("did you mean {}?", near.join(" or "))),
        (true, false) => problem.fix(format!("there are: {}", known.join(", "))),
        (true, true) => problem.fix("there is none at all; see that --env is the right one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(definition: &str) -> Option<String> {
        let index = IndexDefinition {
            name: SqlIdentifier::from_catalog("i".to_owned()),
            definition: definition.to_owned(),
            valid: true,
            nulls_not_distinct: false,
            unique: false,
            keys: Vec::new(),
            method: "btree".to_owned(),
            partial: false,
            immediate: true,
            default_order: true,
            tablespace: Some(SqlIdentifier::from_catalog("Fast \"one\"".to_owned())),
            constraint: None,
            attached: false,
            replica_identity: false,
            clustered: false,
            comment: None,
            statistics: Vec::new(),
            referenced_by: Vec::new(),
        };
        index.concurrently()
    }

    #[test]
    fn an_index_is_built_again_in_its_tablespace_which_stands_before_its_condition() {
        assert_eq!(
            built("CREATE INDEX i ON public.t USING btree (a) WITH (fillfactor='70')").as_deref(),
            Some(
                "CREATE INDEX CONCURRENTLY i ON public.t USING btree (a) WITH (fillfactor='70') \
                 TABLESPACE \"Fast \"\"one\"\"\""
            )
        );
        let head = "i ON public.\"t\"\" WHERE \" USING btree (((a || ' WHERE ''\"'::text)), \" WHERE \")";
        assert_eq!(
            built(&format!(
                "CREATE UNIQUE INDEX {head} WHERE (a <> ' WHERE '::text)"
            )),
            Some(format!(
                "CREATE UNIQUE INDEX CONCURRENTLY {head} TABLESPACE \"Fast \"\"one\"\"\" WHERE (a <> ' WHERE '::text)"
            ))
        );
        assert_eq!(built("ALTER TABLE t"), None);
    }
}
