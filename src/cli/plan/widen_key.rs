//! `shipctl plan widen-key`: a key of a wider type, with all that refers to it.

use std::str::FromStr;

use super::{Making, PatienceArgs, Workshop};
use crate::domain::{ColumnName, InvalidName, Problem, TableName};
use crate::observe::catalog;
use crate::recipe::{Recipe, widen_key};

/// What may be meant by a name: a table, a column, or with one dot in it either.
#[derive(Clone, Debug)]
struct Key {
    table: Option<TableName>,
    column: Option<ColumnName>,
}

impl FromStr for Key {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text.parse::<TableName>(), text.parse::<ColumnName>()) {
            (Err(_), Err(error)) => Err(error),
            (table, column) => Ok(Self {
                table: table.ok(),
                column: column.ok(),
            }),
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The key gets the type, and so does every column that refers to it by a foreign key, and every
column that refers to one of those, in whatever table they are.

Once code bears either type, a second column is added beside each of them and filled in
batches, while a trigger keeps it in step. The second columns get the indexes and constraints of
the first, and foreign keys between them. Then all columns change their names in one moment,
under a lock on all of these tables: primary key, foreign keys, defaults and sequences go with
the names, and a trigger keeps the old columns in step, so that this can be undone. After the
soak and the approvals the old columns go.

Values that only the new type holds come after the plan: before, they are refused. Begin while
the sequence is far from its end; the plan tells how far it is.

Examples:
  shipctl plan widen-key orders                    its primary key and all that refers to it
  shipctl plan widen-key orders.number --soak 7d
  shipctl plan widen-key app.kinds --to integer    of a smallint")]
pub(super) struct Args {
    /// The key: TABLE or TABLE.COLUMN (with SCHEMA. before it), quoted ("…") as in SQL where needed
    #[arg(value_name = "TABLE[.COLUMN]")]
    key: Key,

    /// The new type
    #[arg(long, value_name = "TYPE", default_value = "bigint", value_parser = ["bigint", "integer"])]
    to: String,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        key,
        to,
        patience,
        making,
    } = args;
    let patience = patience.patience()?;
    let session = workshop.session(&making).await?;
    let facts = catalog::widen_facts(&session, (key.table.as_ref(), key.column.as_ref()), &to).await?;
    let order = workshop.order_of(&making, widen_key::migrations(&facts))?;
    widen_key::recipe(&facts, &patience, &order)
}
