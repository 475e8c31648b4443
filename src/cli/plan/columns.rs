//! Arguments that name several columns of a table, or give one a value.

use std::str::FromStr;

use crate::domain::{ColumnName, InvalidName, SqlIdentifier, TableName};

/// Columns of one table: `orders.user_id`, `people.region,team`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnList {
    /// The table.
    pub table: TableName,
    /// The columns, in order.
    pub columns: Vec<SqlIdentifier>,
}

impl FromStr for ColumnList {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = split(text, ',').into_iter();
        let first: ColumnName = parts.next().unwrap_or_default().parse()?;
        let mut columns = vec![first.column];
        for part in parts {
            columns.push(part.parse()?);
        }
        Ok(Self {
            table: first.table,
            columns,
        })
    }
}

/// Names with commas between them: `first_name,"Last, name"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameList(pub Vec<SqlIdentifier>);

impl FromStr for NameList {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        split(text, ',')
            .into_iter()
            .map(|part| part.trim().parse())
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// A column and an expression: `amount = 0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The column.
    pub column: SqlIdentifier,
    /// What it gets.
    pub expression: String,
}

impl FromStr for Assignment {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = split(text, '=').into_iter().next().unwrap_or_default();
        let Some(expression) = text.get(name.len() + 1..) else {
            return Err(InvalidName {
                text: text.to_owned(),
                why: "expected COLUMN = EXPRESSION".to_owned(),
            });
        };
        Ok(Self {
            column: name.parse()?,
            expression: expression.trim().to_owned(),
        })
    }
}

/// The parts of a text between separators that are not in double quotes.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_quotes_are_part_of_the_name() {
        let list: ColumnList = "app.people.region, \"a,\"\"b\",Team".parse().unwrap();
        assert_eq!(list.table.to_string(), "app.people");
        let names: Vec<&str> = list.columns.iter().map(SqlIdentifier::as_str).collect();
        assert_eq!(names, ["region", "a,\"b", "team"]);
        assert!("people".parse::<ColumnList>().is_err());
        assert!("people.a,,b".parse::<ColumnList>().is_err());

        let list: NameList = "a, \"b,c\"".parse().unwrap();
        assert_eq!(
            list.0.iter().map(SqlIdentifier::as_str).collect::<Vec<_>>(),
            ["a", "b,c"]
        );
        assert!("a,".parse::<NameList>().is_err());

        let set: Assignment = "\"a=b\" = c = 'd'".parse().unwrap();
        assert_eq!((set.column.as_str(), set.expression.as_str()), ("a=b", "c = 'd'"));
        assert!("amount".parse::<Assignment>().is_err());
    }
}
