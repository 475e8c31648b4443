//! Names of database objects: parsed the way PostgreSQL reads them, written so that any name survives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest identifier PostgreSQL keeps (NAMEDATALEN - 1), in bytes.
const LONGEST: usize = 63;

/// Why a text is not a usable database name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a usable name: {why}")]
pub struct InvalidName {
    /// The offending text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// One identifier as the catalog stores it (case folded unless it was quoted).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SqlIdentifier(String);

impl SqlIdentifier {
    /// A name exactly as the catalog has it.
    pub fn from_catalog(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The bare name, for comparing with the catalog and for showing to people; not for SQL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name for SQL: always quoted, embedded quotes doubled.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }

    /// The name as a person would type it: quoted only where folding would change it.
    pub fn typed(&self) -> String {
        let mut bytes = self.0.bytes();
        let plain = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if plain { self.0.clone() } else { self.quoted() }
    }
}

impl fmt::Display for SqlIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed())
    }
}

impl FromStr for SqlIdentifier {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = split(text)?;
        match (parts.pop(), parts.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(invalid(text, "one name without a dot was expected")),
        }
    }
}

/// A table, with its schema where one was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    /// The schema; `None` leaves it to the search path.
    pub schema: Option<SqlIdentifier>,
    /// The table.
    pub name: SqlIdentifier,
}

impl TableName {
    /// The name for SQL: every part quoted.
    pub fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", schema.quoted(), self.name.quoted()),
            None => self.name.quoted(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

impl FromStr for TableName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = split(text)?.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), None, _) => Ok(Self { schema: None, name }),
            (Some(schema), Some(name), None) => Ok(Self {
                schema: Some(schema),
                name,
            }),
            _ => Err(invalid(text, "expected TABLE or SCHEMA.TABLE")),
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(table: TableName) -> Self {
        table.to_string()
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ColumnName {
    /// The table it belongs to.
    pub table: TableName,
    /// The column.
    pub column: SqlIdentifier,
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

impl FromStr for ColumnName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = split(text)?.into_iter();
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(column), None, _) => Ok(Self {
                table: TableName { schema: None, name },
                column,
            }),
            (Some(schema), Some(name), Some(column), None) => Ok(Self {
                table: TableName {
                    schema: Some(schema),
                    name,
                },
                column,
            }),
            _ => Err(invalid(text, "expected TABLE.COLUMN or SCHEMA.TABLE.COLUMN")),
        }
    }
}

impl TryFrom<String> for ColumnName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ColumnName> for String {
    fn from(column: ColumnName) -> Self {
        column.to_string()
    }
}

fn invalid(text: &str, why: &str) -> InvalidName {
    InvalidName {
        text: text.to_owned(),
        why: why.to_owned(),
    }
}

/// Splits a dotted name. Unquoted parts fold to lower case, quoted parts stay as written.
fn split(text: &str) -> Result<Vec<SqlIdentifier>, InvalidName> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(inner) => quoted_part(text, inner)?,
            None => plain_part(text, rest)?,
        };
        if part.len() > LONGEST {
            return Err(invalid(text, "PostgreSQL cuts names off at 63 bytes"));
        }
        parts.push(SqlIdentifier(part));
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(parts),
            None => return Err(invalid(text, "expected a dot between names")),
        }
    }
}

fn quoted_part<'t>(text: &str, inner: &'t str) -> Result<(String, &'t str), InvalidName> {
    let mut name = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\0' => return Err(invalid(text, "a name cannot hold a zero byte")),
            '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                name.push('"');
            }
            '"' if name.is_empty() => return Err(invalid(text, "a name cannot be empty")),
            '"' => return Ok((name, &inner[at + 1..])),
            other => name.push(other),
        }
    }
    Err(invalid(text, "a quote is never closed"))
}

fn plain_part<'t>(text: &str, rest: &'t str) -> Result<(String, &'t str), InvalidName> {
    let end = rest.find('.').unwrap_or(rest.len());
    let (part, after) = rest.split_at(end);
    let mut chars = part.chars();
    let starts_well = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    let goes_on_well = chars.all(|c| c.is_alphanumeric() || c == '_' || c == '$');
    match (part.is_empty(), starts_well && goes_on_well) {
        (true, _) => Err(invalid(text, "a name cannot be empty")),
        (_, false) => Err(invalid(
            text,
            "quote it (\"…\") if it holds anything but letters, digits, `_` and `$`",
        )),
        // PostgreSQL folds ASCII letters only in multi-byte encodings.
        _ => Ok((part.to_ascii_lowercase(), after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_and_quote_as_postgresql_does() {
        let column: ColumnName = "App.\"Weird \"\"Table.\".userName".parse().unwrap();
        assert_eq!(column.table.quoted(), "\"app\".\"Weird \"\"Table.\"");
        assert_eq!(column.column.quoted(), "\"username\"");
        assert_eq!(column.to_string().parse::<ColumnName>().unwrap(), column);
        for bad in [
            "users",
            "a.b.c.d",
            "users.",
            "\"open.name",
            "us ers.name",
            "\"\".x",
        ] {
            assert!(bad.parse::<ColumnName>().is_err(), "{bad}");
        }
    }
}
