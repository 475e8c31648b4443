//! What a recipe must know of a column, as the catalog tells it.
//!
//! Every text in here that is SQL (types, expressions, options) comes from PostgreSQL's own deparser with an empty
//! search path, so that it means the same for whoever runs it.

use super::Dependent;
use crate::domain::{ColumnName, SqlIdentifier, TableName};

/// The facts about one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFacts {
    /// The column, its table with the schema filled in where a catalog was read.
    pub column: ColumnName,
    /// The other columns of its table.
    pub siblings: Vec<SqlIdentifier>,
    /// Its type as `format_type` writes it.
    pub data_type: String,
    /// Its collation for SQL, where it is not the type's own.
    pub collation: Option<String>,
    /// How two values are found to be the same.
    pub comparison: Comparison,
    /// It is NOT NULL.
    pub not_null: bool,
    /// Its default expression.
    pub default: Option<String>,
    /// What comes of evaluating the default twice.
    pub default_value: DefaultValue,
    /// Its comment.
    pub comment: Option<String>,
    /// Privileges granted on this column alone.
    pub grants: Vec<ColumnGrant>,
    /// Its statistics target, where one was set.
    pub statistics: Option<i32>,
    /// Its storage (`EXTERNAL`), where it is not the type's own.
    pub storage: Option<String>,
    /// Its compression method, where one was set.
    pub compression: Option<String>,
    /// Its options (`n_distinct`).
    pub options: Vec<(String, String)>,
    /// Check constraints that mention it.
    pub checks: Vec<CheckFacts>,
    /// Foreign keys that it is part of, on the referencing side.
    pub foreign_keys: Vec<ForeignKeyFacts>,
    /// Indexes that mention it, those of unique constraints included.
    pub indexes: Vec<IndexFacts>,
    /// The triggers of its table that fire before a row is inserted or updated; `None` where no catalog was asked.
    pub before_triggers: Option<Vec<BeforeTrigger>>,
    /// Indexes and constraints that other columns have a part in, each with these columns. Known only of a column that is to
    /// be dropped, as is what follows.
    pub shared: Vec<(SqlIdentifier, Vec<SqlIdentifier>)>,
    /// Checks that a row does not surely pass in which it is NULL.
    pub refuse_null: Vec<SqlIdentifier>,
    /// Checks that a row does not surely pass in which it has its default.
    pub refuse_default: Vec<SqlIdentifier>,
    /// What it carries that cannot be carried over.
    pub refused: Vec<Refused>,
    /// Those of them that may go where the reader says so.
    pub dependents: Vec<Dependent>,
    /// What the reader should look at, though it stops nothing.
    pub remarks: Vec<String>,
}

impl ColumnFacts {
    /// A nullable column of which nothing but the type is known, for plans made without a database.
    pub fn plain(column: ColumnName, data_type: impl Into<String>) -> Self {
        let data_type = data_type.into();
        Self {
            comparison: Comparison::of_type_name(&data_type),
            column,
            siblings: Vec::new(),
            data_type,
            collation: None,
            not_null: false,
            default: None,
            default_value: DefaultValue::Unknown,
            comment: None,
            grants: Vec::new(),
            statistics: None,
            storage: None,
            compression: None,
            options: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            indexes: Vec::new(),
            before_triggers: None,
            shared: Vec::new(),
            refuse_null: Vec::new(),
            refuse_default: Vec::new(),
            refused: Vec::new(),
            dependents: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

/// How two values of a type are found to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// With the type's own equality.
    Equality,
    /// As text: the type has no equality, or one by which different values are equal.
    Text,
    /// Byte by byte: the collation takes different texts for equal.
    Bytes,
}

impl Comparison {
    /// A guess by the type's name, where no catalog can be asked: types that are known to lack a usable equality are
    /// compared as text.
    pub fn of_type_name(data_type: &str) -> Self {
        let name = data_type.trim().trim_end_matches("[]").to_ascii_lowercase();
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        let without = [
            "json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle", "citext",
        ];
        if without.contains(&name) {
            Self::Text
        } else {
            Self::Equality
        }
    }
}

/// What comes of evaluating a default twice in one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// The same value (a constant, `now()`).
    Same,
    /// Another value each time (`gen_random_uuid()`).
    Another,
    /// It cannot be told: no catalog was asked, or a function of one's own is called.
    Unknown,
}

/// A trigger that may change a row before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeforeTrigger {
    /// Its name. Triggers fire in the order of their names, compared byte by byte.
    pub name: SqlIdentifier,
    /// It fires on UPDATE.
    pub on_update: bool,
}

/// What a column is to be made of: an expression over other columns, which the database has looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeOf {
    /// The expression.
    pub expression: String,
    /// The same as a value of the column's very type.
    pub compared: String,
    /// How two values of the type are found to be the same.
    pub comparison: Comparison,
    /// The columns that it reads.
    pub reads: Vec<SqlIdentifier>,
}

/// A privilege on one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnGrant {
    /// The role; `None` is PUBLIC.
    pub grantee: Option<SqlIdentifier>,
    /// `SELECT`, `INSERT`, `UPDATE` or `REFERENCES`.
    pub privilege: String,
    /// With grant option.
    pub grantable: bool,
}

/// A check constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckFacts {
    /// Its name.
    pub name: SqlIdentifier,
    /// Its expression.
    pub expression: String,
    /// NO INHERIT.
    pub no_inherit: bool,
    /// It has been validated.
    pub validated: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// A foreign key of the column's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKeyFacts {
    /// Its name.
    pub name: SqlIdentifier,
    /// The referencing columns, in order.
    pub columns: Vec<SqlIdentifier>,
    /// The referenced table.
    pub target: TableName,
    /// The referenced columns, in the same order.
    pub target_columns: Vec<SqlIdentifier>,
    /// MATCH FULL.
    pub match_full: bool,
    /// `CASCADE`, `RESTRICT` …; `None` is NO ACTION.
    pub on_update: Option<String>,
    /// `CASCADE`, `RESTRICT` …; `None` is NO ACTION.
    pub on_delete: Option<String>,
    /// It can be deferred, and whether it is so from the start.
    pub deferrable: Deferrable,
    /// It has been validated.
    pub validated: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// Whether and how a constraint can be deferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deferrable {
    /// NOT DEFERRABLE.
    #[default]
    No,
    /// DEFERRABLE, checked at once unless asked otherwise.
    Immediate,
    /// DEFERRABLE INITIALLY DEFERRED.
    Deferred,
}

/// An index, with every property that its definition can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFacts {
    /// Its name; its schema is that of the table.
    pub name: SqlIdentifier,
    /// The access method.
    pub method: SqlIdentifier,
    /// UNIQUE.
    pub unique: bool,
    /// NULLS NOT DISTINCT.
    pub nulls_not_distinct: bool,
    /// The key columns, in order.
    pub keys: Vec<IndexKey>,
    /// INCLUDE columns, in order.
    pub include: Vec<SqlIdentifier>,
    /// The condition of a partial index.
    pub predicate: Option<String>,
    /// Storage parameters.
    pub options: Vec<(String, String)>,
    /// The tablespace, where it is not the database's own.
    pub tablespace: Option<SqlIdentifier>,
    /// The unique constraint or primary key that it serves, which has its name.
    pub constraint: Option<UniqueConstraint>,
    /// Its own comment.
    pub comment: Option<String>,
    /// The table was clustered on it.
    pub clustered: bool,
    /// Statistics targets of its expression columns, by number from 1.
    pub statistics: Vec<(i16, i32)>,
}

/// A unique constraint or a primary key on top of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueConstraint {
    /// It is the primary key, which is read only where it is to be made anew.
    pub primary: bool,
    /// Whether it can be deferred.
    pub deferrable: Deferrable,
    /// The constraint's comment.
    pub comment: Option<String>,
}

/// One key column of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexKey {
    /// What is indexed.
    pub what: IndexedValue,
    /// The collation for SQL, where it must be said.
    pub collation: Option<String>,
    /// The operator class for SQL with its options, where it must be said.
    pub operator_class: Option<String>,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST (true) or LAST (false), where it is not what the direction implies.
    pub nulls_first: Option<bool>,
}

/// What a key column of an index holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexedValue {
    /// A column.
    Column(SqlIdentifier),
    /// An expression, in parentheses where the grammar wants them.
    Expression(String),
}

/// Something that cannot be carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it is, by name.
    pub what: String,
    /// Why it cannot, and what to do.
    pub why: String,
}
