//! `shipctl plan detach-partition`: a partition that becomes a table of its own.

use super::{Making, PatienceArgs, Workshop};
use crate::domain::{Problem, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::detach_partition::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that does not expect the rows of the partition in the partitioned table is deployed
everywhere. After the soak and the approvals, it is detached: from PostgreSQL 14 on CONCURRENTLY,
while all others go on. The table and its rows stay.

With a default partition PostgreSQL cannot detach concurrently: that is refused. Undone, the table
is attached again, by the bound that it had.

Examples:
  shipctl plan detach-partition events events_2019
  shipctl plan detach-partition events events_2019 --soak 0s      (then: plan drop-table events_2019)")]
pub(super) struct Args {
    /// The partitioned table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    parent: TableName,

    /// The partition
    child: TableName,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        parent,
        child,
        patience,
        making,
    } = args;
    let wish = Wish {
        patience: patience.patience()?,
    };
    let session = workshop.session(&making).await?;
    let facts = catalog::partition_to_detach(&session, &parent, &child).await?;
    detach_partition::recipe(&facts, &wish, &workshop.order(&making)?)
}
