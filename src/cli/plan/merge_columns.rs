//! `shipctl plan merge-columns`: one column in place of several.

use super::columns::NameList;
use super::reshape::{Asked, NewColumnArg, ReshapeArgs};
use super::{Making, Workshop, reshape};
use crate::domain::{Exit, Problem, TableName};
use crate::plan::ChangeKind;
use crate::recipe::Recipe;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new column is added together with a trigger, which makes it of the old ones wherever these
are written (--into), and each of them of it (--from). So old and new code may run side by side.
Rows that are there are filled in batches. Then comes the code that uses the new column only.
Once it runs everywhere, every row is compared: where --from does not make the old values again,
they would be lost, and the plan stops and names the row (--lossy lets them go). Then the old
columns are dropped with the trigger; undone, they come back with all that hung on them, made by
--from.

Give --from once for each old column, in the order of --of. The expressions may use the columns
of the other side only, with functions that always give the same for the same; what is not
PostgreSQL's own is written with its schema.

With --sync code no trigger is made: the code writes both sides for a while, in three releases.

Examples:
  shipctl plan merge-columns users full_name --of first_name,last_name \\
    --into \"first_name || ' ' || last_name\" \\
    --from \"split_part(full_name, ' ', 1)\" --from \"split_part(full_name, ' ', 2)\"
  shipctl plan merge-columns shops place:point --of x,y \\
    --into 'point(x, y)' --from 'place[0]' --from 'place[1]'")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    /// The new column: NAME, or NAME:TYPE where it is not of the type that all columns have
    #[arg(value_name = "NEW")]
    new: NewColumnArg,

    /// The columns that it takes the place of, with commas between them
    #[arg(long, value_name = "COLUMNS")]
    of: NameList,

    /// What the new column is made of: an SQL expression over the old ones
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    into: String,

    /// What an old column is made of: an SQL expression over the new one (once for each)
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true, required = true)]
    from: Vec<String>,

    /// The new column is NOT NULL in the end
    #[arg(long)]
    not_null: bool,

    #[command(flatten)]
    reshape: ReshapeArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    if args.of.0.len() < 2 {
        return Err(
            Problem::new(Exit::Usage, "invalid-sql", "two columns at least are merged")
                .fix("name them in --of, with commas between them"),
        );
    }
    let not_null = args.not_null.then(|| args.new.name().clone());
    let asked = Asked {
        kind: ChangeKind::MergeColumns,
        table: args.table,
        old: args.of.0,
        new: vec![args.new],
        into: vec![args.into],
        from: args.from,
        not_null: not_null.into_iter().collect(),
    };
    reshape::recipe(asked, args.reshape, &args.making, workshop).await
}
