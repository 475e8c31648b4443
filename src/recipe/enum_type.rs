//! What a recipe must know of an enum type: its values, the columns that hold them, and what else is written in terms of
//! them; and the SQL that asks which rows hold one.

use super::{Refused, constraint_sql};
use crate::domain::{ColumnName, Exit, Problem, SqlIdentifier, TableName, nearest};
use crate::sql::{literal, readable, readable_table};

/// The longest value that PostgreSQL takes, in bytes.
const LONGEST_VALUE: usize = 63;

/// The facts about one enum type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumFacts {
    /// The type, its schema filled in.
    pub name: TableName,
    /// Its values, in order.
    pub values: Vec<String>,
    /// The columns of tables that hold them, those of partitions and children left out.
    pub columns: Vec<EnumColumn>,
    /// What is written in terms of some values: defaults, constraints, indexes, views.
    pub mentions: Vec<Mention>,
    /// Functions in whose text the value stands that the operation is about.
    pub functions: Vec<String>,
    /// What may hold values and cannot be looked into.
    pub hidden: Vec<Refused>,
    /// Why nothing about it can be changed in phases.
    pub refused: Vec<Refused>,
}

/// A column that holds values of an enum type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumColumn {
    /// The column.
    pub column: ColumnName,
    /// How it holds them.
    pub shape: EnumShape,
    /// Its default expression.
    pub default: Option<String>,
    /// Its values are computed.
    pub generated: bool,
    /// Rows are in one partition or another by it.
    pub partitions: bool,
    /// Unique indexes and foreign keys that it is part of, as SQL writes them.
    pub compared_by: Vec<String>,
    /// The names of all constraints of its table and of those below it.
    pub constraint_names: Vec<SqlIdentifier>,
}

/// How a column holds values of an enum type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnumShape {
    /// One.
    One,
    /// Any number, in an array.
    Array,
}

/// Something that is written in terms of values of an enum type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// What it is, as PostgreSQL describes it: `index public.i`.
    pub what: String,
    /// Its SQL.
    pub text: String,
    /// It is a default.
    pub is_default: bool,
    /// It is a check.
    pub is_check: bool,
    /// It is an index.
    pub is_index: bool,
}

impl EnumFacts {
    /// The place of a value.
    ///
    /// # Errors
    /// There is none; the nearest are told.
    pub fn place(&self, value: &str) -> Result<usize, Problem> {
        if let Some(place) = self.values.iter().position(|one| one == value) {
            return Ok(place);
        }
        let known = self.values.iter().map(String::as_str);
        let folded: Vec<&str> = known
            .clone()
            .filter(|one| one.eq_ignore_ascii_case(value))
            .collect();
        let near = if folded.is_empty() {
            nearest(value, known)
        } else {
            folded
        };
        let problem = Problem::new(
            Exit::Usage,
            "no-such-value",
            format!("{} has no value {}", self.name, literal(value)),
        );
        Err(if near.is_empty() {
            problem.fix(format!("there are: {}", self.values.join(", ")))
        } else {
            problem.fix(format!("did you mean {}?", near.join(" or ")))
        })
    }

    /// What is written in terms of a value.
    pub fn mentions_of(&self, value: &str) -> impl Iterator<Item = &Mention> {
        self.mentions.iter().filter(move |one| mentions(&one.text, value))
    }

    /// A value for SQL.
    pub fn value(&self, value: &str) -> String {
        format!("{}::{}", literal(value), readable_table(&self.name))
    }

    /// A value as plans name what code reads and writes.
    pub fn value_name(&self, value: &str) -> ColumnName {
        ColumnName {
            table: self.name.clone(),
            column: SqlIdentifier::from_catalog(value),
        }
    }

    /// The statement that adds a value; it may be there already, since none goes.
    pub fn add(&self, value: &str, position: &str) -> String {
        format!(
            "ALTER TYPE {} ADD VALUE IF NOT EXISTS {}{position}",
            readable_table(&self.name),
            literal(value)
        )
    }

    /// Statements that fail while a row holds a value.
    pub fn fail_while_held(&self, value: &str) -> Vec<String> {
        let each = self.columns.iter().map(|held| {
            let ColumnName { table, column } = &held.column;
            constraint_sql::fail_if_any(
                table,
                &held.holds(value),
                &format!(
                    "{table} holds rows in which {column} is {}: give them another",
                    literal(value)
                ),
            )
        });
        let each: Vec<String> = each.collect();
        if each.is_empty() {
            return vec!["SELECT 1".to_owned()];
        }
        each
    }
}

impl EnumColumn {
    /// Whether a row holds a value, as SQL that also works where the type has no such value.
    pub fn holds(&self, value: &str) -> String {
        let column = readable(&self.column.column);
        match self.shape {
            EnumShape::One => format!("{column}::text = {}", literal(value)),
            EnumShape::Array => format!("{column}::text[] @> ARRAY[{}]", literal(value)),
        }
    }

    /// A row's values with one in the place of another, as SQL.
    pub fn exchanged(&self, facts: &EnumFacts, from: &str, to: &str) -> String {
        let column = readable(&self.column.column);
        match self.shape {
            EnumShape::One => {
                format!(
                    "CASE WHEN {} THEN {} ELSE {column} END",
                    self.holds(from),
                    facts.value(to)
                )
            }
            EnumShape::Array => {
                // Elements may be of a domain, which PostgreSQL 13 does not take for the type.
                format!(
                    "array_replace({column}::{}[], {}, {})",
                    readable_table(&facts.name),
                    facts.value(from),
                    facts.value(to)
                )
            }
        }
    }
}

/// Why a text cannot be a value.
pub fn unusable(value: &str) -> Option<Refused> {
    let why = if value.is_empty() {
        "PostgreSQL takes an empty text, but a plan cannot name it; choose another".to_owned()
    } else if value.len() > LONGEST_VALUE || value.contains('\0') {
        format!("PostgreSQL takes texts of at most {LONGEST_VALUE} bytes")
    } else {
        return None;
    };
    Some(Refused {
        what: format!("the value {}", literal(value)),
        why,
    })
}

/// Whether SQL of PostgreSQL's own deparser holds a value: as a text of its own, or as a part of an array or row.
fn mentions(sql: &str, value: &str) -> bool {
    let (doubled, escaped) = (value.replace('\'', "''"), literal(value));
    if sql.contains(&escaped) {
        return true;
    }
    // Every second piece stands between quotes, as far as doubled ones end a text and begin another.
    let pieces = sql.split('\'').skip(1).step_by(2);
    let mut in_lists = pieces.filter(|piece| piece.starts_with(['{', '(', '"']));
    in_lists.any(|piece| piece.contains(value) || piece.contains(&doubled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_texts_and_lists_and_not_elsewhere() {
        for (sql, is_held) in [
            ("'sad'::public.mood", true),
            (
                "CHECK ((felt = ANY (ARRAY['glad'::public.mood, 'sad'::public.mood])))",
                true,
            ),
            ("'{glad,sad}'::public.mood[]", true),
            ("(sad = 'glad'::public.mood)", false),
            ("'sadness'::public.mood", false),
            ("'glad'::public.mood", false),
        ] {
            assert_eq!(mentions(sql, "sad"), is_held, "{sql}");
        }
        assert!(mentions("'it''s'::m", "it's") && mentions("E'a\\\\b'::m", "a\\b"));
    }
}
