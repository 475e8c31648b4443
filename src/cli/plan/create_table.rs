//! `shipctl plan create-table`: a new table.

use std::path::PathBuf;

use super::{Making, Workshop, invalid_sql};
use crate::domain::{Exit, Problem};
use crate::observe::catalog;
use crate::recipe::Recipe;
use crate::recipe::create_table;
use crate::sql;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The SQL is one CREATE TABLE, and what belongs to it: CREATE INDEX, COMMENT ON, GRANT. The table is
made first, with its indexes. Then each foreign key to another table is added by itself: it locks
that table for a moment. Columns that refer get an index, where none was written. Then code that
uses the table is deployed.

Undone, the table goes, WITH ALL ROWS that were written meanwhile.

Examples:
  shipctl plan create-table 'CREATE TABLE tags (id bigint PRIMARY KEY, name text NOT NULL UNIQUE)'
  shipctl plan create-table --from new/tags.sql")]
pub(super) struct Args {
    /// CREATE TABLE …; and its indexes, comments and grants
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    sql: Option<String>,

    /// Read the SQL from this file
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    #[command(flatten)]
    pub(super) making: Making,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let Args { sql, from, making } = args;
    let text = match (&sql, &from) {
        (Some(sql), _) => sql.clone(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|error| {
            Problem::new(
                Exit::Usage,
                "invalid-sql",
                format!("cannot read {}: {error}", file.display()),
            )
        })?,
        (None, None) => String::new(),
    };
    let parsed = sql::new_table(&text).map_err(|why| {
        let first: String = text
            .trim()
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(60)
            .collect();
        invalid_sql("CREATE TABLE", &first, &why)
            .fix("write CREATE TABLE name (…); CREATE INDEX …; COMMENT ON …; GRANT … of that table alone")
    })?;
    let session = workshop.session(&making).await?;
    let facts = catalog::new_table_facts(&session, &parsed).await?;
    create_table::recipe(&parsed, &facts, &workshop.order(&making)?)
}
