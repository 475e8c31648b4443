//! `shipctl plan rename-enum-value`: a value of an enum type that gets another name.

use super::{Making, Workshop};
use crate::domain::{Problem, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::rename_enum_value::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
ALTER TYPE … RENAME VALUE would break, in one moment, all code that writes the old name. So:
  read-both   code takes the new name for what the old one is
  add         the new name is added as a value, right after the old one
  write-new   code writes the new name
  fill        rows that hold the old one get the new one
  read-new    code forgets the old one
Undone, rows get the old one again. In the end the old value stays in the type, where no row holds it,
since PostgreSQL drops none (drop-enum-value keeps it so). What is written in terms of the old value
(defaults, checks, indexes, views) is refused by name, and so is a type that several tables use.

Example:
  shipctl plan rename-enum-value mood sad low")]
pub(super) struct Args {
    /// The type: TYPE or SCHEMA.TYPE, quoted ("…") as in SQL where needed
    #[arg(value_name = "TYPE")]
    data_type: TableName,

    /// The value, without quotes of SQL
    old: String,

    /// Its new name
    new: String,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let session = workshop.session(&args.making).await?;
    let facts = catalog::enum_facts(&session, &args.data_type, &args.old).await?;
    let wish = Wish {
        from: args.old,
        to: args.new,
    };
    rename_enum_value::recipe(&facts, &wish, &workshop.order(&args.making)?)
}
