//! `shipctl plan drop-not-null`: a column that may be NULL.

use super::{Making, Workshop, checked_expression, checked_fill};
use crate::domain::{ColumnName, Problem};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::drop_not_null::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that bears NULL wherever it reads the column is deployed everywhere. Then the database
allows NULL, which takes a moment. Only then may code write NULL; from its first row on, older
code is kept away.

Examples:
  shipctl plan drop-not-null users.name
  shipctl plan drop-not-null users.name --fill \"''\"           (what a rollback puts where NULL is)")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// What rows that are NULL get when the plan is undone: an SQL expression over the row
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    fill: Option<String>,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args { column, fill, making } = args;
    if let Some(fill) = &fill {
        checked_expression("--fill", fill)?;
    }
    let session = workshop.session(&making).await?;
    let facts = catalog::table_facts(&session, &column.table).await?;
    let wish = Wish {
        column: column.column,
        fill,
    };
    let recipe = drop_not_null::recipe(&facts, &wish, &workshop.order(&making)?)?;
    checked_fill(&session, &facts, &wish.column, wish.fill.as_ref()).await?;
    Ok(recipe)
}
