//! Finding a table the way PostgreSQL would.

use tokio_postgres::Client;

use super::{Table, ask, get};
use crate::domain::{Exit, Problem, SqlIdentifier, TableName, nearest};

/// The table of this name: in its schema, or the first on the search path.
pub(super) async fn find(client: &Client, name: &TableName) -> Result<Table, Problem> {
    let rows = ask(
        client,
        "the table",
        "select c.oid, n.nspname::text as schema, c.relname::text as name
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where c.oid = pg_catalog.to_regclass($1)",
        &[&name.quoted()],
    )
    .await?;
    match rows.first() {
        Some(row) => Ok(Table {
            oid: get(row, "oid")?,
            name: TableName {
                schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "schema")?)),
                name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
            },
        }),
        None => Err(missing(client, name).await?),
    }
}

async fn missing(client: &Client, name: &TableName) -> Result<Problem, Problem> {
    let rows = ask(
        client,
        "the tables",
        "select n.nspname::text as schema, c.relname::text as name,
                pg_catalog.pg_table_is_visible(c.oid) as visible
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where c.relkind in ('r', 'p')
            and n.nspname not in ('pg_catalog', 'information_schema')
            and n.nspname not like 'pg\\_%'
          order by 3 desc, 1, 2
          limit 10000",
        &[],
    )
    .await?;
    let mut same_name = Vec::new();
    let mut known = Vec::new();
    for row in &rows {
        let table = SqlIdentifier::from_catalog(get::<String>(row, "name")?);
        let schema = SqlIdentifier::from_catalog(get::<String>(row, "schema")?);
        let visible: bool = get(row, "visible")?;
        let typed = if visible {
            table.to_string()
        } else {
            format!("{schema}.{table}")
        };
        if table.as_str().eq_ignore_ascii_case(name.name.as_str()) {
            same_name.push(format!("{schema}.{table}"));
        }
        known.push(typed);
    }
    let problem = Problem::new(
        Exit::Usage,
        "no-such-table",
        format!("there is no table {name} in this database"),
    );
    if !same_name.is_empty() {
        return Ok(problem.fix(format!("did you mean {}?", same_name.join(" or "))));
    }
    let typed = name.to_string();
    let near = nearest(&typed, known.iter().map(String::as_str));
    Ok(if near.is_empty() {
        problem.fix("name its schema (SCHEMA.TABLE.COLUMN) if it is not on the search path, and see that --env is the right one")
    } else {
        problem.fix(format!("did you mean {}?", near.join(" or ")))
    })
}
