//! `shipctl plan drop-table`: a table that goes.

use super::{Making, PatienceArgs, Workshop};
use crate::domain::{Problem, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::drop_table::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that neither reads nor writes the table is deployed everywhere. After the soak and the
approvals, its foreign keys go one by one (each locks the table it refers to for a moment), then
the table. Nothing else goes with it: views, functions and foreign keys of other tables are named,
and have to be dealt with first.

Undone, the table comes back with its columns, indexes, constraints, triggers, policies, grants and
comments, but WITHOUT ITS ROWS. So do views that --drop-dependent let go, before it.

Examples:
  shipctl plan drop-table old_events
  shipctl plan drop-table audit.log_2019 --soak 7d --approvals 2
  shipctl plan drop-table orders --drop-dependent reports.monthly    (a view of it)")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    /// Let a view of the table go before it: NAME or SCHEMA.NAME (may be repeated)
    #[arg(long, value_name = "NAME")]
    drop_dependent: Vec<TableName>,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        table,
        drop_dependent,
        patience,
        making,
    } = args;
    let wish = Wish {
        dependents: drop_dependent,
        patience: patience.patience()?,
    };
    let session = workshop.session(&making).await?;
    let (facts, definition) = catalog::table_definition(&session, &table).await?;
    drop_table::recipe(&facts, &definition, &wish, &workshop.order(&making)?)
}
