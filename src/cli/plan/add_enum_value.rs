//! `shipctl plan add-enum-value`: a new value of an enum type.

use super::{Making, Workshop};
use crate::domain::{Problem, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::add_enum_value::{self, Position, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that can read the value is deployed everywhere. Then the value is added, in a moment. Then
code may write it. PostgreSQL drops no values: undone, the value stays where no row holds it.

Examples:
  shipctl plan add-enum-value mood calm
  shipctl plan add-enum-value app.mood 'very sad' --after sad")]
pub(super) struct Args {
    /// The type: TYPE or SCHEMA.TYPE, quoted ("…") as in SQL where needed
    #[arg(value_name = "TYPE")]
    data_type: TableName,

    /// The value, without quotes of SQL
    value: String,

    /// It stands right before this one in the order of the type
    #[arg(long, value_name = "VALUE", conflicts_with = "after")]
    before: Option<String>,

    /// It stands right after this one (default: after all)
    #[arg(long, value_name = "VALUE")]
    after: Option<String>,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let position = match (args.before, args.after) {
        (Some(other), _) => Position::Before(other),
        (None, Some(other)) => Position::After(other),
        (None, None) => Position::Last,
    };
    let session = workshop.session(&args.making).await?;
    let facts = catalog::enum_facts(&session, &args.data_type, &args.value).await?;
    let wish = Wish {
        value: args.value,
        position,
    };
    add_enum_value::recipe(&facts, &wish, &workshop.order(&args.making)?)
}
