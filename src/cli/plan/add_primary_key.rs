//! `shipctl plan add-primary-key`: columns that tell the rows of a table apart.

use super::{Making, Workshop};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::add_primary_key::{self, Wish};
use crate::sql::{readable, readable_table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that writes neither duplicates nor NULL is deployed everywhere. Then the columns
become NOT NULL by checks that are validated while writers go on, a unique index is built while
writers go on, and the key is made of it in a moment. If rows are NULL or the same this fails,
names them, and changes nothing.

With --using-index a unique index that is there becomes that of the key. Undone, it is built
again before the key goes, so that the columns stay unique.

Examples:
  shipctl plan add-primary-key events id
  shipctl plan add-primary-key app.members team_id user_id --name members_key
  shipctl plan add-primary-key events --using-index events_id_key")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    /// The columns, in the order in which the index is to hold them
    #[arg(required_unless_present = "using_index", value_name = "COLUMN")]
    columns: Vec<SqlIdentifier>,

    /// The constraint's name (default: as PostgreSQL names it, events_pkey)
    #[arg(long)]
    name: Option<SqlIdentifier>,

    /// A unique index of these columns, which becomes that of the key
    #[arg(long, value_name = "INDEX")]
    using_index: Option<SqlIdentifier>,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        table,
        columns,
        name,
        using_index,
        making,
    } = args;
    let session = workshop.session(&making).await?;
    let facts = catalog::table_facts(&session, &table).await?;
    let wish = Wish {
        columns,
        name,
        using_index,
    };
    let recipe = add_primary_key::recipe(&facts, &wish, &workshop.order(&making)?)?;
    // A type without an order has no index, and what is computed on reading has none either.
    let columns = add_primary_key::columns(&facts, &wish)?;
    let list = columns.iter().map(readable).collect::<Vec<_>>().join(", ");
    catalog::index_can_be_built(&session, &facts.table, |copy| {
        format!("ALTER TABLE {} ADD PRIMARY KEY ({list})", readable_table(copy))
    })
    .await?;
    Ok(recipe)
}
