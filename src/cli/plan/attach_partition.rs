//! `shipctl plan attach-partition`: a table that becomes a partition.

use super::{Making, Workshop, invalid_sql};
use crate::domain::{Problem, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::attach_partition;
use crate::sql;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that writes to the table only what will be in its bound is deployed everywhere. Then a
check is added that says so, and its rows are looked at while writers go on; indexes and foreign
keys of the partitioned table that it lacks are made. A default partition is looked at for rows of
the bound, too. Then it is attached, without reading anything, and the checks are dropped.

Its columns and checks have to be those of the partitioned table; what does not fit is named.
Tables that are partitioned by HASH are refused.

Examples:
  shipctl plan attach-partition events events_2026 --for \"FROM ('2026-01-01') TO ('2027-01-01')\"
  shipctl plan attach-partition orders orders_eu --for \"IN ('de', 'fr')\"
  shipctl plan attach-partition events events_rest --default")]
pub(super) struct Args {
    /// The partitioned table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    parent: TableName,

    /// The table that becomes a partition
    child: TableName,

    /// What it holds, as behind FOR VALUES: FROM (…) TO (…), or IN (…)
    #[arg(
        long = "for",
        value_name = "BOUND",
        required_unless_present = "default",
        conflicts_with = "default"
    )]
    bound: Option<String>,

    /// It holds all rows that no other partition does
    #[arg(long)]
    default: bool,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        parent,
        child,
        bound,
        default: _,
        making,
    } = args;
    let bound = match &bound {
        Some(bound) => {
            sql::check_partition_bound(bound)
                .map_err(|why| invalid_sql("bound of a partition", bound, &why))?;
            format!("FOR VALUES {bound}")
        }
        None => "DEFAULT".to_owned(),
    };
    let session = workshop.session(&making).await?;
    let facts = catalog::partition_to_attach(&session, &parent, &child, &bound).await?;
    attach_partition::recipe(&facts, &workshop.order(&making)?)
}
