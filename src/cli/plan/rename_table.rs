//! `shipctl plan rename-table`: a table that gets another name.

use super::{Making, PatienceArgs, Workshop};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::rename_table::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The table gets its new name, and at the same moment a view takes the old one, through which old
code reads and writes as before. Then code that uses the new name is deployed everywhere. After
the soak and the approvals, the view is dropped.

A view cannot do everything: TRUNCATE, COPY, ON CONFLICT ON CONSTRAINT, ctid, WHERE CURRENT OF,
GROUP BY the primary key alone, pg_get_serial_sequence, and being referred to by a new foreign key
fail under the old name. Before PostgreSQL 15, tables with row security are refused, and always
those whose row type a function or column uses. Sequences, constraints and indexes keep their names.

Examples:
  shipctl plan rename-table users accounts
  shipctl plan rename-table app.\"Orders\" orders --soak 7d")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    /// The new name, without a schema: it stays in its own
    to: SqlIdentifier,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        table,
        to,
        patience,
        making,
    } = args;
    let wish = Wish {
        to,
        patience: patience.patience()?,
    };
    let session = workshop.session(&making).await?;
    let (facts, definition) = catalog::table_definition(&session, &table).await?;
    rename_table::recipe(&facts, &definition, &wish, &workshop.order(&making)?)
}
