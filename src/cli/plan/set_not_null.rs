//! `shipctl plan set-not-null`: a column that is never NULL any more.

use super::{Making, Workshop, checked_expression, checked_fill};
use crate::domain::{ColumnName, Problem};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::set_not_null::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that never leaves the column NULL is deployed everywhere. Then rows that are NULL are
filled. Then the database refuses NULL, by a check that is validated while writers go on.

Examples:
  shipctl plan set-not-null users.email                       (no row is NULL)
  shipctl plan set-not-null users.locale --fill \"'en'\"")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// What rows get that are NULL: an SQL expression, which may use the row's other columns
    #[arg(long, value_name = "EXPRESSION")]
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
    let recipe = set_not_null::recipe(&facts, &wish, &workshop.order(&making)?)?;
    checked_fill(&session, &facts, &wish.column, wish.fill.as_ref()).await?;
    Ok(recipe)
}
