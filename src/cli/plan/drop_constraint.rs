//! `shipctl plan drop-constraint`: a check, foreign key or unique constraint that goes.

use super::{Making, PatienceArgs, Workshop};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::drop_constraint::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that does not rely on it is deployed everywhere: that counts on no refusal by a check or
foreign key, leaves no CASCADE, SET NULL or SET DEFAULT to a foreign key, and says no ON CONFLICT
with the columns of a unique constraint. Then, after --soak and with --approvals, it is dropped.

Each can be undone without a long lock, as long as every row still obeys it. Primary keys and
exclusion constraints are refused, and so is what a foreign key or replication rests on.

Examples:
  shipctl plan drop-constraint orders positive
  shipctl plan drop-constraint users users_email_key --soak 7d")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    /// The constraint
    name: SqlIdentifier,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        table,
        name,
        patience,
        making,
    } = args;
    let wish = Wish {
        name,
        patience: patience.patience()?,
    };
    let facts = catalog::table_facts(&workshop.session(&making).await?, &table).await?;
    drop_constraint::recipe(&facts, &wish, &workshop.order(&making)?)
}
