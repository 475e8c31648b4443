//! `shipctl plan drop-index`: an index that goes.

use super::{Making, PatienceArgs, Workshop};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::drop_index::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The index is dropped while writers go on (DROP INDEX CONCURRENTLY), and undoing it builds it again.
Before a unique one goes, a release must no longer count on it. One that serves a constraint is
dropped with the constraint. No release comes before one that is not unique: it needs an approval.

Example:
  shipctl plan drop-index users users_nickname")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    /// The index
    index: SqlIdentifier,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let wish = Wish {
        index: args.index,
        patience: args.patience.patience()?,
    };
    let facts = catalog::table_facts(&workshop.session(&args.making).await?, &args.table).await?;
    drop_index::recipe(&facts, &wish, &workshop.order(&args.making)?)
}
