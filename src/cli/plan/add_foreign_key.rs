//! `shipctl plan add-foreign-key`: columns that refer only to what is there.

use super::columns::ColumnList;
use super::{Making, Workshop};
use crate::domain::{Problem, SqlIdentifier};
use crate::observe::catalog;
use crate::recipe::add_foreign_key::{self, Action, Wish};
use crate::recipe::{Deferrable, Recipe};

/// What happens to rows that refer to one that is deleted, or gets another key.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum OnEvent {
    /// It is refused (at the end of the transaction, if deferred)
    #[default]
    NoAction,
    /// It is refused at once
    Restrict,
    /// They are deleted, or changed, too
    Cascade,
    /// Their columns become NULL
    SetNull,
    /// Their columns get their defaults
    SetDefault,
}

impl From<OnEvent> for Action {
    fn from(event: OnEvent) -> Self {
        match event {
            OnEvent::NoAction => Self::NoAction,
            OnEvent::Restrict => Self::Restrict,
            OnEvent::Cascade => Self::Cascade,
            OnEvent::SetNull => Self::SetNull,
            OnEvent::SetDefault => Self::SetDefault,
        }
    }
}

/// When a deferrable constraint is checked, unless a transaction says otherwise.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Initially {
    /// After each statement
    Immediate,
    /// At the end of the transaction
    Deferred,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
First, an index is built by which the rows that refer to a row are found, unless there is one.
Then code that refers only to what is there is deployed everywhere. Then the foreign key is added
NOT VALID, which takes its locks for a moment, and is validated while writers go on.

Examples:
  shipctl plan add-foreign-key orders.user_id users.id
  shipctl plan add-foreign-key orders.user_id users.id --on-delete cascade
  shipctl plan add-foreign-key people.region,team teams.region,id     (two columns)
  shipctl plan add-foreign-key orders.user_id users.id --deferrable=deferred --name placed_by")]
pub(super) struct Args {
    /// The columns that refer: TABLE.COLUMN[,COLUMN…], with a schema and quotes ("…") as in SQL where needed
    #[arg(value_name = "COLUMNS")]
    from: ColumnList,

    /// What they refer to: TABLE.COLUMN[,COLUMN…], in the same order
    #[arg(value_name = "REFERENCED")]
    to: ColumnList,

    /// What becomes of rows when the row that they refer to is deleted
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    on_delete: OnEvent,

    /// What becomes of rows when the row that they refer to gets another key
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    on_update: OnEvent,

    /// A transaction may put the check off to its end; =deferred has it put off unless told otherwise
    #[arg(long, value_name = "INITIALLY", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "immediate")]
    deferrable: Option<Initially>,

    /// The constraint's name (default: as PostgreSQL names it, orders_user_id_fkey)
    #[arg(long)]
    name: Option<SqlIdentifier>,

    /// Build no index for the columns that refer
    #[arg(long)]
    no_index: bool,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let session = workshop.session(&args.making).await?;
    let facts = catalog::table_facts(&session, &args.from.table).await?;
    let target = catalog::table_facts(&session, &args.to.table).await?;
    let wish = Wish {
        columns: args.from.columns,
        target_columns: args.to.columns,
        name: args.name,
        on_delete: args.on_delete.into(),
        on_update: args.on_update.into(),
        deferrable: match args.deferrable {
            None => Deferrable::No,
            Some(Initially::Immediate) => Deferrable::Immediate,
            Some(Initially::Deferred) => Deferrable::Deferred,
        },
        index: !args.no_index,
    };
    add_foreign_key::recipe(&facts, &target, &wish, &workshop.order(&args.making)?)
}
