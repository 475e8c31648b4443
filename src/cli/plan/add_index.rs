//! `shipctl plan add-index`: a new index.

use super::{Making, Workshop, checked_expression, invalid_sql};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::add_index::{self, Wish};
use crate::sql;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The index is built while writers go on (CREATE INDEX CONCURRENTLY); one that a failed attempt left
behind is dropped and built again. A partitioned table gets one for each partition, and its own once
all are there. A unique one needs a release first, after which code never writes a value twice.
Whether the database takes it is tried on an empty temporary copy, which is rolled back.

Examples:
  shipctl plan add-index users email
  shipctl plan add-index users 'lower(email)' 'created_at DESC' --name users_by_email
  shipctl plan add-index users email --unique --where 'deleted_at IS NULL'
  shipctl plan add-index documents body --using gin")]
pub(super) struct Args {
    /// The table: TABLE or SCHEMA.TABLE, quoted ("…") as in SQL where needed
    table: TableName,

    #[command(flatten)]
    shape: Shape,

    /// Its name (default: made from the table and the keys)
    #[arg(long, value_name = "NAME")]
    name: Option<SqlIdentifier>,

    #[command(flatten)]
    pub(super) making: Making,
}

/// What a new index is like, as in CREATE INDEX.
#[derive(Debug, clap::Args)]
pub(super) struct Shape {
    /// What it is ordered by, as in CREATE INDEX: columns or expressions, with DESC, COLLATE, operator class
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,

    /// No two rows may have the same keys
    #[arg(long)]
    unique: bool,

    /// The access method (default: btree)
    #[arg(long, value_name = "METHOD")]
    using: Option<SqlIdentifier>,

    /// A column that it carries along without being ordered by it; can be given several times
    #[arg(long, value_name = "COLUMN")]
    include: Vec<SqlIdentifier>,

    /// Only rows for which this condition holds
    #[arg(long = "where", value_name = "CONDITION")]
    condition: Option<String>,
}

impl Shape {
    /// What was asked for, under a name.
    pub(super) fn wish(self, name: Option<SqlIdentifier>) -> Result<Wish, Problem> {
        let keys = self
            .keys
            .into_iter()
            .map(|text| sql::check_index_key(&text).map_err(|why| invalid_sql("key", &text, &why)))
            .collect::<Result<_, _>>()?;
        if let Some(condition) = &self.condition {
            checked_expression("--where", condition)?;
        }
        Ok(Wish {
            keys,
            name,
            unique: self.unique,
            method: self.using,
            include: self.include,
            condition: self.condition,
        })
    }
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let wish = args.shape.wish(args.name)?;
    let session = workshop.session(&args.making).await?;
    let facts = catalog::table_facts(&session, &args.table).await?;
    let recipe = add_index::recipe(&facts, &wish, &workshop.order(&args.making)?)?;
    if let Some(statement) = add_index::trial(&wish, &facts.table) {
        catalog::index_can_be_built(&session, &facts.table, statement).await?;
    }
    Ok(recipe)
}
