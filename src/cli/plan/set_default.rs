//! `shipctl plan set-default`: another default for a column.

use super::{Making, Workshop, checked_expression};
use crate::domain::{ColumnName, Problem};
use crate::observe::catalog::{self, Defaulted, Expression};
use crate::plan::ChangeKind;
use crate::recipe::set_default::{self, Wish};
use crate::recipe::{Recipe, refuse_unless_none};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that gives the column itself in every INSERT is deployed everywhere: object-relational
mappers leave out a value that equals the default they know, and such rows would get the new one.
Then the default is set. No code phase is needed where no INSERT can leave the column out (NOT NULL
without a default, and no trigger or rule that fills it), or where running code is meant to get
the new default (--at-once).

Examples:
  shipctl plan set-default users.locale \"'en'\"
  shipctl plan set-default orders.created_at 'now()' --at-once")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// The new default: an SQL expression, so that a text has quotes of its own ("'en'")
    #[arg(value_name = "EXPRESSION", allow_hyphen_values = true)]
    default: String,

    /// Running code that leaves the column out is to get the new default: no code phase
    #[arg(long)]
    at_once: bool,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        column,
        default,
        at_once,
        making,
    } = args;
    checked_expression("default", &default)?;
    let session = workshop.session(&making).await?;
    let facts = catalog::table_facts(&session, &column.table).await?;
    let wish = Wish {
        column: column.column,
        default,
        at_once,
    };
    let recipe = set_default::recipe(&facts, &wish, &workshop.order(&making)?)?;
    let expression = Expression {
        what: "default",
        text: &wish.default,
        over_rows: false,
    };
    let column = facts.column(&wish.column)?;
    let data_type = &column.data_type;
    catalog::check_expressions(&session, &facts.table, data_type, &[expression]).await?;
    let new = Defaulted {
        column: &wish.column,
        data_type,
        not_null: column.not_null,
        default: &wish.default,
    };
    let refused = catalog::refused_defaults(&session, &facts, &new).await?;
    let full = facts.column_name(&wish.column).to_string();
    refuse_unless_none(ChangeKind::SetDefault, &full, &refused)?;
    Ok(recipe)
}
