//! What a recipe must know of a column, as the catalog tells it (placeholder: to be grown by the recipe's author).

use crate::domain::ColumnName;

/// The facts about one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFacts {
    /// The column, its table with the schema filled in.
    pub column: ColumnName,
    /// Its type as `format_type` writes it.
    pub data_type: String,
    /// It is NOT NULL.
    pub not_null: bool,
    /// Its default expression.
    pub default: Option<String>,
    /// What it carries and the new column must carry too.
    pub carried: Vec<CarriedObject>,
    /// What it carries that this recipe cannot carry over.
    pub refused: Vec<Refused>,
}

/// Something a column carries, with the SQL that makes it anew for the new column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedObject {
    /// What it is, for people: `index users_name_idx`.
    pub what: String,
}

/// Something that cannot be carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it is, by name.
    pub what: String,
    /// Why it cannot, and what to do.
    pub why: String,
}
