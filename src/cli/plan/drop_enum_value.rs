//! `shipctl plan drop-enum-value`: a value of an enum type that no row may hold any more.

use super::{Making, Workshop};
use crate::domain::{Problem, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::drop_enum_value::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
PostgreSQL drops no value of an enum type. What can be had is that no row holds it: first, code that
never writes it is deployed everywhere; then rows that hold it get another (--fill); then each column
of the type gets a check against it, which is validated while writers go on. The value stays in the
type. To be rid of it wholly, make a type without it and change the columns (change-type).

Examples:
  shipctl plan drop-enum-value mood angry               (no row holds it)
  shipctl plan drop-enum-value mood angry --fill sad")]
pub(super) struct Args {
    /// The type: TYPE or SCHEMA.TYPE, quoted ("…") as in SQL where needed
    #[arg(value_name = "TYPE")]
    data_type: TableName,

    /// The value, without quotes of SQL
    value: String,

    /// The value that rows get which hold it
    #[arg(long, value_name = "VALUE")]
    fill: Option<String>,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let session = workshop.session(&args.making).await?;
    let facts = catalog::enum_facts(&session, &args.data_type, &args.value).await?;
    let wish = Wish {
        value: args.value,
        fill: args.fill,
    };
    drop_enum_value::recipe(&facts, &wish, &workshop.order(&args.making)?)
}
