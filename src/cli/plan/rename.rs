//! `shipctl plan rename`: another name for a column.

use super::sync::Sync;
use super::{Making, PatienceArgs, Workshop};
use crate::domain::{ColumnName, Exit, Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::recipe::rename_column::{self, Wish};
use crate::recipe::{ColumnFacts, Recipe};
use crate::sql;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shipctl plan rename users.name display_name
  shipctl plan rename 'app.\"Users\".\"userName\"' '\"displayName\"' --env production
  shipctl plan rename users.name display_name --sync trigger             (one pull request instead of three)
  shipctl plan rename users.name display_name --type text --not-null     (no database needed)")]
pub(super) struct Args {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted ("…") as in SQL where needed
    column: ColumnName,

    /// Its new name
    to: SqlIdentifier,

    /// Take this type instead of asking a database; indexes and constraints are then not carried over
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "env")]
    data_type: Option<String>,

    /// With --type: the column is NOT NULL
    #[arg(long, requires = "data_type")]
    not_null: bool,

    /// With --type: its default, an SQL expression
    #[arg(long, value_name = "EXPRESSION", requires = "data_type")]
    default: Option<String>,

    /// Let a view, trigger, policy or extended statistics go that cannot be carried over: NAME or SCHEMA.NAME (may be repeated)
    #[arg(long, value_name = "NAME", conflicts_with = "data_type")]
    drop_dependent: Vec<TableName>,

    /// What keeps both columns in step while old and new code run
    #[arg(long, value_enum, default_value = "code")]
    sync: Sync,

    #[command(flatten)]
    patience: PatienceArgs,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args {
        column,
        to,
        data_type,
        not_null,
        default,
        patience,
        sync,
        drop_dependent,
        making,
    } = args;
    let patience = patience.patience()?;
    let facts = match data_type {
        Some(data_type) => given_facts(column, data_type, not_null, default)?,
        None => catalog::column_facts(&workshop.session(&making).await?, &column).await?,
    };
    let order = workshop.order(&making)?;
    let wish = Wish {
        to,
        id: order.id,
        known: order.known,
        soak: patience.soak,
        approvals: patience.approvals,
        sync: sync.into(),
        dependents: drop_dependent,
    };
    rename_column::recipe(&facts, &wish, order.now)
}

fn given_facts(
    column: ColumnName,
    data_type: String,
    not_null: bool,
    default: Option<String>,
) -> Result<ColumnFacts, Problem> {
    let usage = |what: &str, text: &str, why: String| {
        Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!("`{text}` is not a usable {what}: {why}"),
        )
    };
    sql::check_expression(&format!("NULL::{data_type}")).map_err(|why| usage("type", &data_type, why))?;
    if let Some(default) = &default {
        sql::check_expression(default).map_err(|why| usage("default", default, why))?;
    }
    let mut facts = ColumnFacts::plain(column, data_type);
    facts.not_null = not_null;
    facts.default = default;
    facts.remarks.push(
        "No database was asked: indexes, constraints, grants and whatever else hangs on the column are not carried \
         over. Generate the plan with --env to have them."
            .to_owned(),
    );
    Ok(facts)
}
