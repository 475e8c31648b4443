//! `shipctl plan add-column`: a new column.

use super::{Making, Workshop, checked_expression, checked_type};
use crate::domain::{ColumnName, Problem};
use crate::observe::catalog::{self, Defaulted, Expression};
use crate::plan::ChangeKind;
use crate::recipe::add_column::{self, Wish};
use crate::recipe::{Recipe, refuse_unless_none};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The column is added in a moment, whatever the table's size: nullable, or with a default that is
one value for all rows. Then comes the code that uses it. With --fill, or a default that is another
value for each row, rows are filled in batches between the code that writes the column and the
code that counts on it; --not-null then makes it NOT NULL without stopping anybody.

Statements prepared with SELECT * or RETURNING * fail once the column is there (\"cached plan must
not change result type\"): name the columns there first.

Examples:
  shipctl plan add-column users.nickname text
  shipctl plan add-column users.locale text --default \"'en'\" --not-null
  shipctl plan add-column users.token uuid --default 'gen_random_uuid()' --not-null
  shipctl plan add-column orders.total 'numeric(12,2)' --fill 'price * amount' --not-null")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// Its type, and nothing but the type
    #[arg(value_name = "TYPE")]
    data_type: String,

    /// Its default: an SQL expression; rows that are there get it too, unless --fill says otherwise
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    default: Option<String>,

    /// It is NOT NULL in the end; needs --default or --fill
    #[arg(long)]
    not_null: bool,

    /// What rows that are there get, and never NULL: an SQL expression over the row's other columns
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    fill: Option<String>,

    /// Its comment in the database
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        column,
        data_type,
        default,
        not_null,
        fill,
        comment,
        making,
    } = args;
    checked_type(ChangeKind::AddColumn, &column.to_string(), &data_type)?;
    let mut expressions = Vec::new();
    for (what, text, over_rows) in [("--default", &default, false), ("--fill", &fill, true)] {
        if let Some(text) = text {
            checked_expression(what, text)?;
            expressions.push(Expression {
                what,
                text,
                over_rows,
            });
        }
    }
    let session = workshop.session(&making).await?;
    let facts = catalog::table_facts(&session, &column.table).await?;
    let new = catalog::new_column_facts(
        &session,
        &facts.table,
        &data_type,
        default.as_deref(),
        &expressions,
    )
    .await?;
    let refused = match &default {
        Some(default) => {
            let new = Defaulted {
                column: &column.column,
                data_type: &data_type,
                not_null,
                default,
            };
            catalog::refused_defaults(&session, &facts, &new).await?
        }
        None => Vec::new(),
    };
    let full = facts.column_name(&column.column).to_string();
    let wish = Wish {
        column: column.column,
        default,
        fill,
        not_null,
        comment,
    };
    let recipe = add_column::recipe(&facts, &new, &wish, &workshop.order(&making)?)?;
    refuse_unless_none(ChangeKind::AddColumn, &full, &refused)?;
    Ok(recipe)
}
