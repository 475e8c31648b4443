//! `shipctl plan extract-json`: a column for what stands in JSON documents.

use super::sync::Sync;
use super::{Making, PatienceArgs, Workshop, checked_type};
use crate::domain::{ColumnName, Problem, SqlIdentifier};
use crate::observe::catalog;
use crate::plan::ChangeKind;
use crate::recipe::Recipe;
use crate::recipe::extract_json::{self, Wish};
use crate::recipe::json_path::JsonPath;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The column is added together with a trigger: it gives the column the value of each document that
is written, and puts what is written to the column into the document. So old and new code may
run side by side. What was there before is copied in batches. Then comes the code that uses the
column, and once it runs everywhere, the trigger goes; the documents stay as they are, unless
--remove-key. With --sync code no trigger is made: the code writes both for a while, in three
releases.

A KEYPATH is written country, address.city or phones[0].number. Capitals count. A key that is
not plain goes in double quotes, with a quote in it twice: '\"first.name\"', 'map.\"a \"\"b\"\"\"'.

A value that does not fit the type (\"abc\" as integer) makes no write of old code fail: the
column is NULL then. But the plan does not go on while there is one: the fill, and a second look
once old code is gone, name the rows, whose documents have to be mended. With --or-null such
values count as NULL. A key that is not there, or null, is NULL. NULL in the column takes the
key out of the document.

Examples:
  shipctl plan extract-json users.profile country country text
  shipctl plan extract-json users.profile address.city city 'varchar(80)'
  shipctl plan extract-json orders.data 'lines[0].\"unit price\"' first_price 'numeric(10,2)'
  shipctl plan extract-json users.profile age age integer --or-null
  shipctl plan extract-json users.profile country country text --remove-key
  shipctl plan extract-json users.profile country country text --sync code")]
pub(super) struct Args {
    /// The column with the documents (json or jsonb): TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// Where the value is: country, address.city, phones[0].number
    #[arg(value_name = "KEYPATH", allow_hyphen_values = true)]
    path: JsonPath,

    /// The new column
    #[arg(value_name = "NEWCOLUMN")]
    new: SqlIdentifier,

    /// Its type, and nothing but the type
    #[arg(value_name = "TYPE")]
    data_type: String,

    /// A value that does not fit the type becomes NULL, instead of stopping the plan
    #[arg(long)]
    or_null: bool,

    /// What keeps the column and the documents in step
    #[arg(long, value_enum, default_value = "trigger")]
    sync: Sync,

    /// In the end the key goes from the documents, in batches; undone, it comes back
    #[arg(long)]
    remove_key: bool,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        column,
        path,
        new,
        data_type,
        or_null,
        sync,
        remove_key,
        patience,
        making,
    } = args;
    let patience = patience.patience()?;
    checked_type(ChangeKind::ExtractJson, &new.to_string(), &data_type)?;
    let session = workshop.session(&making).await?;
    let document = catalog::column_facts(&session, &column).await?;
    let table = catalog::table_facts(&session, &column.table).await?;
    let facts = catalog::type_facts(&session, &table.table, &data_type).await?;
    let wish = Wish {
        column: new,
        path,
        sync: sync.into(),
        or_null,
        remove_key,
        patience,
    };
    extract_json::recipe(&table, &document, &facts, &wish, &workshop.order(&making)?)
}
