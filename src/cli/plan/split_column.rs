//! `shipctl plan split-column`: several columns in place of one.

use super::reshape::{Asked, NewColumnArg, ReshapeArgs};
use super::{Making, Workshop, reshape};
use crate::domain::{ColumnName, Exit, Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::recipe::Recipe;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new columns are added together with a trigger, which makes them of the old one wherever that
is written (--into), and the old one of them (--from). So old and new code may run side by side.
Rows that are there are filled in batches. Then comes the code that uses the new columns only.
Once it runs everywhere, every row is compared: where --from does not make the old value again,
it would be lost, and the plan stops and names the row (--lossy lets it go). Then the old column
is dropped with the trigger; undone, it comes back with all that hung on it, made by --from.

Give --into once for each new column, in their order. The expressions may use the columns of the
other side only, with functions that always give the same for the same; what is not PostgreSQL's
own is written with its schema. Let --from give NULL where the new columns stand for NULL.

With --sync code no trigger is made: the code writes both sides for a while, in three releases.

Examples:
  shipctl plan split-column users.name first_name last_name \\
    --into \"split_part(name, ' ', 1)\" --into \"nullif(split_part(name, ' ', 2), '')\" \\
    --from \"first_name || coalesce(' ' || last_name, '')\"
  shipctl plan split-column orders.price 'amount:numeric(12,2)' 'currency:char(3)' \\
    --into 'split_part(price, chr(32), 1)::numeric' --into 'split_part(price, chr(32), 2)' \\
    --from 'amount || chr(32) || currency' --not-null amount --not-null currency")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// The new columns: NAME, or NAME:TYPE where it is not of the column's type
    #[arg(value_name = "NEW", required = true, num_args = 2..)]
    new: Vec<NewColumnArg>,

    /// What a new column is made of: an SQL expression over the old one (once for each)
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true, required = true)]
    into: Vec<String>,

    /// What the old column is made of: an SQL expression over the new ones
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    from: String,

    /// A new column that is NOT NULL in the end (may be repeated)
    #[arg(long, value_name = "NEW")]
    not_null: Vec<SqlIdentifier>,

    #[command(flatten)]
    reshape: ReshapeArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    if args.new.len() < 2 {
        return Err(
            Problem::new(Exit::Usage, "invalid-sql", "a column is split into two at least")
                .fix("give the names of the new columns, one after the other"),
        );
    }
    let asked = Asked {
        kind: ChangeKind::SplitColumn,
        table: args.column.table,
        old: vec![args.column.column],
        new: args.new,
        into: args.into,
        from: vec![args.from],
        not_null: args.not_null,
    };
    reshape::recipe(asked, args.reshape, &args.making, workshop).await
}
