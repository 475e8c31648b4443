//! `shipctl plan replace-index`: an index that takes the place of another.

use super::add_index::Shape;
use super::{Making, PatienceArgs, Workshop};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::add_index;
use crate::recipe::replace_index::{self, Wish};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new index is built while writers go on. Once it is there, and after the soak and the approvals,
the old one is dropped, also while writers go on. At every moment one of them is there.
Where the new one is unique and the old one did not see to that, a release comes first, after which
code never writes a value twice. Where only the old one is unique, or both are by other keys, a
release between the two stops counting on it (ON CONFLICT). An index of a constraint is replaced by
add-unique and drop-constraint; one of a partitioned table by add-index, and by hand.

Examples:
  shipctl plan replace-index users users_email_idx 'lower(email)'
  shipctl plan replace-index users users_email_idx email --include name --keep-name
  shipctl plan replace-index users one_each team email --unique --as one_each_in_team")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    /// The index that goes
    index: SqlIdentifier,

    #[command(flatten)]
    shape: Shape,

    /// The new one's name (default: made from the table and the keys)
    #[arg(long = "as", value_name = "NAME")]
    name: Option<SqlIdentifier>,

    /// In the end the new one gets the old one's name
    #[arg(long, conflicts_with = "name")]
    keep_name: bool,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let wish = Wish {
        index: args.index,
        new: args.shape.wish(args.name)?,
        keep_name: args.keep_name,
        patience: args.patience.patience()?,
    };
    let session = workshop.session(&args.making).await?;
    let facts = catalog::table_facts(&session, &args.table).await?;
    let recipe = replace_index::recipe(&facts, &wish, &workshop.order(&args.making)?)?;
    if let Some(statement) = add_index::trial(&wish.new, &facts.table) {
        catalog::index_can_be_built(&session, &facts.table, statement).await?;
    }
    Ok(recipe)
}
