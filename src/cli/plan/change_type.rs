//! `shipctl plan change-type`: a column of another type.

use super::{Making, PatienceArgs, Workshop, checked_expression};
use crate::domain::{ColumnName, Exit, Problem};
use crate::observe::catalog::{self, NewType};
use crate::plan::ChangeKind;
use crate::recipe::change_type::{self, Wish};
use crate::recipe::{Recipe, add_column, refuse_unless_none};
use crate::sql;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The database is asked, on an empty temporary copy of the table, whether it would rewrite the
table or build an index anew. Where it would not, code that bears either type is deployed
everywhere, and the type is changed in place in a moment.

Where it would, a second column of the new type is added once code bears either type, and filled
in batches, while a trigger keeps it in step. It gets the indexes and constraints of the first.
Then both columns change their names in a moment, and a trigger keeps the old one in step, so
that this can be undone. After the soak and the approvals the old column goes.

Code that writes what only the new type holds comes after the plan: before, its writes fail.

Examples:
  shipctl plan change-type users.name 'varchar(200)'
  shipctl plan change-type orders.amount bigint
  shipctl plan change-type users.born date --using \"to_date(born, 'YYYY-MM-DD')\" \\
      --back \"to_char(born, 'YYYY-MM-DD')\"
  shipctl plan change-type visits.at timestamptz --using \"at AT TIME ZONE 'UTC'\" \\
      --back \"at AT TIME ZONE 'UTC'\"")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// The new type
    #[arg(value_name = "TYPE")]
    data_type: String,

    /// How a value becomes one of the new type: an SQL expression over the column alone
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    using: Option<String>,

    /// How a value becomes one of the old type again: an SQL expression over the column alone
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    back: Option<String>,

    /// A second column even where the type could be changed in place
    #[arg(long)]
    swap: bool,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        column,
        data_type,
        using,
        back,
        swap,
        patience,
        making,
    } = args;
    let more = add_column::more_than_a_type(&data_type);
    refuse_unless_none(ChangeKind::ChangeType, &format!("{column} {data_type}"), &more)?;
    sql::check_expression(&format!("NULL::{data_type}")).map_err(|why| {
        Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!("`{data_type}` is not a usable type: {why}"),
        )
    })?;
    for (what, text) in [("--using", &using), ("--back", &back)] {
        if let Some(text) = text {
            checked_expression(what, text)?;
        }
    }
    let patience = patience.patience()?;
    let session = workshop.session(&making).await?;
    let table = catalog::table_facts(&session, &column.table).await?;
    table.column(&column.column)?;
    let column = table.column_name(&column.column);
    let new = NewType {
        data_type: &data_type,
        using: using.as_deref(),
        back: back.as_deref(),
    };
    let facts = catalog::retype_facts(&session, &column, &new).await?;
    let wish = Wish {
        swap,
        using_given: using.is_some(),
        back_given: back.is_some(),
        patience,
    };
    change_type::recipe(&facts, &table, &wish, &workshop.order(&making)?)
}
