//! `shipctl plan add-unique`: columns of which no two rows hold the same.

use super::{Making, Workshop};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::add_unique::{self, Wish};
use crate::sql::{readable, readable_table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, code that writes no duplicates is deployed everywhere. Then a unique index is built while
writers go on, and the constraint is made of it in a moment. If rows are the same the build fails,
names them, and leaves nothing behind.

Code that says ON CONFLICT with these columns comes after the plan: before, it fails.

Examples:
  shipctl plan add-unique users email
  shipctl plan add-unique app.users tenant email --name one_account")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    /// The columns, in the order in which the index is to hold them
    #[arg(required = true, value_name = "COLUMN")]
    columns: Vec<SqlIdentifier>,

    /// The constraint's name (default: as PostgreSQL names it, users_email_key)
    #[arg(long)]
    name: Option<SqlIdentifier>,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        table,
        columns,
        name,
        making,
    } = args;
    let session = workshop.session(&making).await?;
    let facts = catalog::table_facts(&session, &table).await?;
    let wish = Wish { columns, name };
    let recipe = add_unique::recipe(&facts, &wish, &workshop.order(&making)?)?;
    // What cannot be put in order cannot be indexed.
    let list: Vec<String> = wish.columns.iter().map(readable).collect();
    let query = format!(
        "SELECT FROM {} ORDER BY {}",
        readable_table(&facts.table),
        list.join(", ")
    );
    catalog::understood(&session, &format!("uniqueness of {}", list.join(", ")), &query).await?;
    Ok(recipe)
}
