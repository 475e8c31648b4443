//! `shipctl plan drop-column`: a column that goes.

use super::{Making, PatienceArgs, Workshop, checked_expression};
use crate::domain::{ColumnName, Problem, TableName};
use crate::observe::catalog::{self, Expression};
use crate::recipe::Recipe;
use crate::recipe::drop_column::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that neither reads nor writes the column (no SELECT *) is deployed everywhere. After
the soak and the approvals, its indexes go without stopping anybody, then its constraints, then
the column. Where NOT NULL or a constraint would refuse rows without it, two pull requests are
needed: one that no longer reads it, and, once the database bears that, one that leaves it out.

Undone, the column comes back with everything that hung on it, but WITHOUT ITS VALUES.

Examples:
  shipctl plan drop-column users.nickname
  shipctl plan drop-column users.email --fill \"'nobody'\"      (a value for rows on the way back)
  shipctl plan drop-column users.team --drop-dependent users_team_name_idx")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// Let go along what is also about other columns (index, constraint), or rests on the column (view, trigger, policy,
    /// extended statistics), NAME or SCHEMA.NAME; may be repeated
    #[arg(long, value_name = "NAME")]
    drop_dependent: Vec<TableName>,

    /// What rows without a value get when the plan is undone: an SQL expression over the row
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    fill: Option<String>,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        column,
        drop_dependent,
        fill,
        patience,
        making,
    } = args;
    let patience = patience.patience()?;
    if let Some(fill) = &fill {
        checked_expression("--fill", fill)?;
    }
    let session = workshop.session(&making).await?;
    let facts = catalog::column_to_drop(&session, &column).await?;
    if let Some(text) = &fill {
        let expression = Expression {
            what: "--fill",
            text,
            over_rows: true,
        };
        catalog::check_expressions(&session, &facts.column.table, &facts.data_type, &[expression]).await?;
    }
    let table = catalog::table_facts(&session, &facts.column.table).await?;
    let wish = Wish {
        constraint_names: table.constraint_names().cloned().collect(),
        fill,
        dependents: drop_dependent,
        patience,
        server_version: session.server_version(),
    };
    drop_column::recipe(&facts, &wish, &workshop.order(&making)?)
}
