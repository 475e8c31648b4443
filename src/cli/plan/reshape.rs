//! What splitting a column and merging columns have in common: which columns come, and what each is made of.

use std::collections::BTreeSet;

use super::sync::Sync;
use super::{PatienceArgs, Workshop, checked_expression, checked_type};
use crate::domain::{ColumnName, Exit, InvalidName, Problem, SqlIdentifier, TableName};
use crate::observe::catalog::{self, Making};
use crate::plan::ChangeKind;
use crate::recipe::reshape::{self, NewColumn, Reshape, Wish};
use crate::recipe::{Recipe, Refused, refuse_unless_none};

/// A column that comes: `first_name`, `"First":varchar(40)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewColumnArg {
    name: SqlIdentifier,
    data_type: Option<String>,
}

impl NewColumnArg {
    /// Its name.
    pub(super) fn name(&self) -> &SqlIdentifier {
        &self.name
    }
}

impl std::str::FromStr for NewColumnArg {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut quoted = false;
        let end = text.find(|c| {
            quoted ^= c == '"';
            c == ':' && !quoted
        });
        let (name, data_type) = match end {
            Some(end) => (text.get(..end).unwrap_or_default(), text.get(end + 1..)),
            None => (text, None),
        };
        Ok(Self {
            name: name.trim().parse()?,
            data_type: data_type.map(|data_type| data_type.trim().to_owned()),
        })
    }
}

/// What both are asked for.
#[derive(Debug, clap::Args)]
pub(super) struct ReshapeArgs {
    /// What keeps both sides in step while old and new code run
    #[arg(long, value_enum, default_value = "trigger")]
    sync: Sync,

    /// Old values that --from does not make again may go, instead of stopping the plan before the drop
    #[arg(long)]
    lossy: bool,

    /// Let an index or constraint go along that other columns have a part in (may be repeated)
    #[arg(long, value_name = "NAME")]
    drop_dependent: Vec<TableName>,

    #[command(flatten)]
    patience: PatienceArgs,
}

/// What is asked for: which columns go, which come, and what each is made of.
pub(super) struct Asked {
    pub(super) kind: ChangeKind,
    pub(super) table: TableName,
    pub(super) old: Vec<SqlIdentifier>,
    pub(super) new: Vec<NewColumnArg>,
    pub(super) into: Vec<String>,
    pub(super) from: Vec<String>,
    pub(super) not_null: Vec<SqlIdentifier>,
}

/// The recipe.
pub(super) async fn recipe(
    asked: Asked,
    args: ReshapeArgs,
    making: &super::Making,
    workshop: &Workshop<'_>,
) -> Result<Recipe, Problem> {
    let patience = args.patience.patience()?;
    one_each("--into", &asked.into, "column that comes", asked.new.len())?;
    one_each("--from", &asked.from, "column that goes", asked.old.len())?;
    for (what, expressions) in [("--into", &asked.into), ("--from", &asked.from)] {
        for text in expressions {
            checked_expression(what, text)?;
        }
    }
    for column in &asked.new {
        if let Some(data_type) = &column.data_type {
            checked_type(asked.kind, &column.name.to_string(), data_type)?;
        }
    }
    let new_names: Vec<&SqlIdentifier> = asked.new.iter().map(NewColumnArg::name).collect();
    let twice: Vec<Refused> = named_twice(asked.old.iter().chain(new_names)).collect();
    refuse_unless_none(asked.kind, &asked.table.to_string(), &twice)?;
    let session = workshop.session(making).await?;
    let table = catalog::table_facts(&session, &asked.table).await?;
    let mut old = Vec::new();
    for column in asked.old {
        let column = ColumnName {
            table: table.table.clone(),
            column,
        };
        old.push(catalog::column_to_drop(&session, &column).await?);
    }
    let same_type = old
        .first()
        .map(|first| &first.data_type)
        .filter(|data_type| old.iter().all(|one| one.data_type == **data_type));
    let mut new = Vec::new();
    for column in asked.new {
        let Some(data_type) = column.data_type.as_ref().or(same_type) else {
            return Err(Problem::new(
                Exit::Usage,
                "invalid-sql",
                format!("no type is given for {}", column.name),
            )
            .because("the columns that go are of different types")
            .fix(format!("write it behind the name, as in {}:text", column.name)));
        };
        new.push(NewColumn {
            facts: catalog::new_column_facts(&session, &table.table, data_type, None, &[]).await?,
            name: column.name,
        });
    }
    let of_old: Vec<_> = old.iter().map(catalog::definition).collect();
    let of_new: Vec<_> = new
        .iter()
        .map(|column| (column.name.clone(), column.facts.data_type.clone()))
        .collect();
    let making_new: Vec<Making<'_>> = asked
        .into
        .iter()
        .zip(&new)
        .map(|(text, column)| Making {
            what: "--into",
            text,
            data_type: &column.facts.data_type,
            over: &of_old,
        })
        .collect();
    let making_old: Vec<Making<'_>> = asked
        .from
        .iter()
        .zip(&old)
        .map(|(text, column)| Making {
            what: "--from",
            text,
            data_type: &column.data_type,
            over: &of_new,
        })
        .collect();
    let made_new = catalog::made_of(&session, &table.table, &making_new).await?;
    let mut made_old = catalog::made_of(&session, &table.table, &making_old).await?;
    for (made, facts) in made_old.iter_mut().zip(&old) {
        // Of the column, whose collation may take different texts for equal.
        made.comparison = facts.comparison;
    }
    let reshape = Reshape {
        kind: asked.kind,
        table: &table,
        old: &old,
        made_old: &made_old,
        new: &new,
        made_new: &made_new,
        wish: Wish {
            sync: args.sync.into(),
            not_null: BTreeSet::from_iter(asked.not_null).into_iter().collect(),
            lossy: args.lossy,
            dependents: args.drop_dependent,
            patience,
        },
    };
    reshape::recipe(&reshape, &workshop.order(making)?)
}

fn named_twice<'a>(names: impl Iterator<Item = &'a SqlIdentifier>) -> impl Iterator<Item = Refused> {
    let mut known = BTreeSet::new();
    let again = names.filter(move |name| !known.insert(*name));
    again.map(|name| Refused {
        what: format!("column {name}"),
        why: "it is named twice; what comes has other names than what goes".to_owned(),
    })
}

fn one_each(what: &str, expressions: &[String], of: &str, count: usize) -> Result<(), Problem> {
    if expressions.len() == count {
        return Ok(());
    }
    Err(Problem::new(
        Exit::Usage,
        "invalid-sql",
        format!(
            "{what} is given {} times, and there are {count} to make",
            expressions.len()
        ),
    )
    .fix(format!("give {what} once for each {of}, in their order")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_stands_behind_the_name() {
        let column = |text: &str| {
            let column: NewColumnArg = text.parse().unwrap();
            (column.name.as_str().to_owned(), column.data_type)
        };
        assert_eq!(column("First"), ("first".to_owned(), None));
        assert_eq!(
            column("\"a:\"\"b\": numeric(5,2)"),
            ("a:\"b".to_owned(), Some("numeric(5,2)".to_owned()))
        );
        assert!(":text".parse::<NewColumnArg>().is_err());
    }
}
