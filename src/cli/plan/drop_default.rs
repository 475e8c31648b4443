//! `shipctl plan drop-default`: no default any more for a column.

use super::{Making, PatienceArgs, Workshop};
use crate::domain::{ColumnName, Problem};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::drop_default::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that gives the column itself in every INSERT is deployed everywhere. Once nothing runs
that counts on the default, and after the soak and the approvals, it is dropped. Rows that are
there keep their values.

Examples:
  shipctl plan drop-default users.locale
  shipctl plan drop-default users.locale --soak 1h --approvals 0")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        column,
        patience,
        making,
    } = args;
    let patience = patience.patience()?;
    let facts = catalog::table_facts(&workshop.session(&making).await?, &column.table).await?;
    let wish = Wish {
        column: column.column,
        patience,
    };
    drop_default::recipe(&facts, &wish, &workshop.order(&making)?)
}
