//! `shipctl plan move-column`: a column goes to another table.

use std::str::FromStr;

use super::columns::split;
use super::{Making, PatienceArgs, Workshop};
use crate::domain::{ColumnName, Exit, InvalidName, Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::plan::ChangeKind;
use crate::postgres::Session;
use crate::recipe::move_column::{self, Move, Pair, Wish};
use crate::recipe::{Recipe, Refused, TableFacts, refuse_unless_none};
use crate::safety::proof::same_table;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The column is added to the other table, together with triggers on both, which hand on what is
written to the one: so old and new code may run side by side. Rows that are there are filled in
batches, and the column gets the indexes and constraints of the old one. Then comes the code
that uses it there. Once it runs everywhere, every row is compared: a value whose row pairs with
none of the other table would be lost, and the plan stops and names the row. Then the old column
is dropped with the triggers; undone, it comes back with all that hung on it, filled from its
new place.

Rows pair by the foreign key between both tables (in either direction), on columns that are
unique and NOT NULL on both sides. With several such keys, --on says which one is meant: once
for each of its columns.

With --create-rows each row with a value that pairs with none gets one, those that old code
writes meanwhile included. Code that inserts such a row says ON CONFLICT … DO UPDATE: first of
all comes a release of the old code that does.

Where the column goes to the table that its own refers to, a row that is deleted or pairs with
another leaves its value there, for the next row that comes without one. There as well, a
release comes first whose code gives the value, or sets it NULL before.

Examples:
  shipctl plan move-column users.bio profiles
  shipctl plan move-column users.bio profiles.about --on profiles.user_id=users.id
  shipctl plan move-column app.users.bio app.profiles.about --create-rows")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// Where it goes: TABLE or SCHEMA.TABLE, with .COLUMN behind it where it gets another name
    #[arg(value_name = "TARGET")]
    target: Target,

    /// Columns by which rows pair: TABLE.COLUMN=TABLE.COLUMN, one of either table (may be repeated)
    #[arg(long, value_name = "PAIR")]
    on: Vec<PairArg>,

    /// Make the rows that are not there for values
    #[arg(long)]
    create_rows: bool,

    /// Values whose row pairs with none may go, instead of stopping the plan before the drop
    #[arg(long, conflicts_with = "create_rows")]
    lossy: bool,

    /// Let something go along that is about other columns too, or a view, trigger …, NAME or SCHEMA.NAME; may be repeated
    #[arg(long, value_name = "NAME")]
    drop_dependent: Vec<TableName>,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// `profiles`, `profiles.about`, `app.profiles`, `app.profiles.about`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// What it means as a table.
    table: Option<TableName>,
    /// What it means as a column.
    column: Option<ColumnName>,
}

impl FromStr for Target {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match split(text, '.').len() {
            1 => Self {
                table: Some(text.parse()?),
                column: None,
            },
            2 => Self {
                table: Some(text.parse()?),
                column: Some(text.parse()?),
            },
            _ => Self {
                table: None,
                column: Some(text.parse()?),
            },
        })
    }
}

/// `profiles.user_id=users.id`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PairArg([ColumnName; 2]);

impl FromStr for PairArg {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match split(text, '=').as_slice() {
            [one, other] => Ok(Self([one.trim().parse()?, other.trim().parse()?])),
            _ => Err(InvalidName {
                text: text.to_owned(),
                why: "expected TABLE.COLUMN=TABLE.COLUMN".to_owned(),
            }),
        }
    }
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let wish = Wish {
        lossy: args.lossy,
        create_rows: args.create_rows,
        dependents: args.drop_dependent,
        patience: args.patience.patience()?,
    };
    let session = workshop.session(&args.making).await?;
    let facts = catalog::column_to_drop(&session, &args.column).await?;
    let source = catalog::table_facts(&session, &facts.column.table).await?;
    let (target, name) = found(&session, &args.target, &facts.column.column).await?;
    let mut same = Vec::new();
    if source.table == target.table {
        same.push(Refused {
            what: format!("table {}", target.table),
            why: "the column is there already; give it another name with `shipctl plan rename`".to_owned(),
        });
    }
    refuse_unless_none(ChangeKind::MoveColumn, &facts.column.to_string(), &same)?;
    let on = pairs(&args.on, &source, &target)?;
    let keys = catalog::keys_between(&session, &source.table, &target.table).await?;
    let key = move_column::key_for(&keys, &on, (&source, &target))?;
    let pairing = catalog::pairing(&session, &facts.column, &target.table, key, wish.create_rows).await?;
    let asked = Move {
        facts: &facts,
        source: &source,
        target: &target,
        name: &name,
        key,
        pairing: &pairing,
        wish,
    };
    move_column::recipe(&asked, &workshop.order(&args.making)?)
}

/// The table, and the column's name in it.
async fn found(
    session: &Session,
    target: &Target,
    same: &SqlIdentifier,
) -> Result<(TableFacts, SqlIdentifier), Problem> {
    let as_table = match &target.table {
        Some(table) => Some(catalog::table_facts(session, table).await),
        None => None,
    };
    let Some(column) = &target.column else {
        return as_table
            .unwrap_or_else(|| Err(not_both(target)))
            .map(|table| (table, same.clone()));
    };
    match (as_table, catalog::table_facts(session, &column.table).await) {
        (Some(Ok(_)), Ok(_)) => Err(not_both(target)),
        (Some(Ok(table)), Err(_)) => Ok((table, same.clone())),
        (_, Ok(table)) => Ok((table, column.column.clone())),
        (_, Err(problem)) => Err(problem),
    }
}

/// It can be read in two ways.
fn not_both(target: &Target) -> Problem {
    let text = target
        .column
        .as_ref()
        .map(ToString::to_string)
        .or_else(|| target.table.as_ref().map(ToString::to_string))
        .unwrap_or_default();
    Problem::new(
        Exit::Usage,
        "invalid-sql",
        format!("{text} may be a table with its schema, or a column with its table"),
    )
    .because("there is a table for either reading")
    .fix("write the schema, the table and the column")
}

/// Which column is of which table.
fn pairs(on: &[PairArg], source: &TableFacts, target: &TableFacts) -> Result<Vec<Pair>, Problem> {
    let mut pairs = Vec::new();
    for PairArg([one, other]) in on {
        let is = |column: &ColumnName, table: &TableFacts| same_table(&column.table, &table.table);
        let (of_source, of_target) = if is(one, source) && is(other, target) {
            (one, other)
        } else if is(other, source) && is(one, target) {
            (other, one)
        } else {
            return Err(Problem::new(
                Exit::Usage,
                "invalid-sql",
                format!("--on {one}={other} does not name a column of either table"),
            )
            .fix(format!(
                "write it as --on {}.COLUMN={}.COLUMN",
                target.table, source.table
            )));
        };
        source.column(&of_source.column)?;
        target.column(&of_target.column)?;
        pairs.push(Pair {
            source: of_source.column.clone(),
            target: of_target.column.clone(),
        });
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_table_or_a_column_of_one() {
        let target = |text: &str| {
            let target: Target = text.parse().unwrap();
            (
                target.table.map(|table| table.to_string()),
                target.column.map(|column| column.to_string()),
            )
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(target("profiles"), (some("profiles"), None));
        assert_eq!(target("a.b"), (some("a.b"), some("a.b")));
        assert_eq!(target("a.b.c"), (None, some("a.b.c")));
        assert_eq!(target("\"a.b\""), (some("\"a.b\""), None));
        assert!("a.b.c.d".parse::<Target>().is_err());
        let PairArg([one, other]) = "\"a=b\".c = d.e".parse().unwrap();
        assert_eq!(
            (one.to_string(), other.to_string()),
            ("\"a=b\".c".to_owned(), "d.e".to_owned())
        );
        assert!("a.b".parse::<PairArg>().is_err());
    }
}
