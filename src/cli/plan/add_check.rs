//! `shipctl plan add-check`: a condition that no row may violate any more.

use super::columns::Assignment;
use super::{Making, Workshop, checked_expression, invalid_sql};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::recipe::add_check::{self, Wish};
use crate::recipe::{Recipe, TableKind};
use crate::sql::{columns_read, readable_table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that writes nothing which the check refuses is deployed everywhere. Then rows that
violate it are put right (--fill), or it is seen that there are none. Then the check is added NOT
VALID, which takes its lock for a moment, and is validated while writers go on.

A check that is NULL of a row accepts it: `amount > 0` accepts rows without an amount.

Examples:
  shipctl plan add-check orders positive \"amount > 0\"              (no row violates it)
  shipctl plan add-check orders positive \"amount > 0\" --fill \"amount = 1\"
  shipctl plan add-check app.trips in_order \"started <= ended\"")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    /// The check's name
    name: SqlIdentifier,

    /// What must hold of every row: an SQL expression over its columns
    expression: String,

    /// What rows get that violate it: a column and an SQL expression, which may use the row's other columns
    #[arg(long, value_name = "COLUMN = EXPRESSION")]
    fill: Option<Assignment>,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        table,
        name,
        expression,
        fill,
        making,
    } = args;
    checked_expression("check", &expression)?;
    if columns_read(&expression, &table).1 {
        let why = "it asks other rows, and a check sees one row alone";
        return Err(invalid_sql("check", &expression, why));
    }
    if let Some(fill) = &fill {
        checked_expression("--fill", &fill.expression)?;
    }
    let session = workshop.session(&making).await?;
    let facts = catalog::table_facts(&session, &table).await?;
    // A check that goes on to other tables is understood anew there, where this one's name means nothing.
    let alias = match facts.kind {
        TableKind::Ordinary => "",
        _ => " AS its_rows",
    };
    let query = format!(
        "SELECT FROM {}{alias} WHERE ({expression}\n)",
        readable_table(&facts.table)
    );
    catalog::understood(&session, &format!("the check `{expression}`"), &query).await?;
    let wish = Wish {
        name,
        expression,
        fill: fill.map(|fill| (fill.column, fill.expression)),
    };
    add_check::recipe(&facts, &wish, &workshop.order(&making)?)
}
