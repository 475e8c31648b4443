//! A table that is still to be made: whether its name is free, and whether the database would make it.

use super::{ask, get, identifiers, in_one_snapshot, table, whole_table};
use crate::domain::{Exit, Problem};
use crate::postgres::{Session, describe_error};
use crate::recipe::create_table::{NewTableFacts, TriedColumn};
use crate::sql::NewTableText;

/// Reads what a recipe must know of a new table. The database is asked to make a temporary one of the same columns, which is
/// gone as soon as it has answered; no lock is taken on any table that others use.
///
/// # Errors
/// `no-such-table` of a table that it refers to; `invalid-sql`: what the database says against it; the database cannot be
/// asked.
pub async fn new_table_facts(session: &Session, text: &NewTableText) -> Result<NewTableFacts, Problem> {
    let tried = tried(session, text).await?;
    in_one_snapshot(session, async |client| {
        let mut targets = Vec::new();
        for key in &text.foreign_keys {
            let target = table::find(client, &key.target).await?;
            targets.push(whole_table::read(client, target, session.server_version()).await?);
        }
        let schema = text.table.schema.as_ref().map(|schema| schema.as_str().to_owned());
        let rows = ask(
            client,
            "the schema",
            "select n.oid,
                    array(select c.relname::text from pg_catalog.pg_class c where c.relnamespace = n.oid) as relations,
                    array(select t.typname::text from pg_catalog.pg_type t where t.typnamespace = n.oid) as types
               from pg_catalog.pg_namespace n
              where n.nspname = coalesce($1, pg_catalog.current_schema())",
            &[&schema],
        )
        .await?;
        let Some(row) = rows.first() else {
            return Err(Problem::new(
                Exit::Usage,
                "no-such-table",
                format!("there is no schema for {} in this database", text.table),
            )
            .fix("make the schema first, in a migration of its own, or name another"));
        };
        Ok(NewTableFacts {
            relations: identifiers(get(row, "relations")?),
            types: identifiers(get(row, "types")?),
            targets,
            tried,
        })
    })
    .await
}

/// The columns of a temporary table like it; `None` where the role may make none.
async fn tried(session: &Session, text: &NewTableText) -> Result<Option<Vec<TriedColumn>>, Problem> {
    let client = session.client();
    let run = |error| describe_error(&error, "trying the table");
    client.batch_execute("BEGIN").await.map_err(run)?;
    let answer = client.batch_execute(&text.trial).await;
    let columns = match &answer {
        Ok(()) => {
            let name = format!("pg_temp.{}", text.table.name.quoted());
            let rows = ask(
                client,
                "the columns",
                "select a.attname::text as name, pg_catalog.format_type(a.atttypid, a.atttypmod) as data_type
                   from pg_catalog.pg_attribute a
                  where a.attrelid = pg_catalog.to_regclass($1) and a.attnum > 0 order by a.attnum",
                &[&name],
            )
            .await?;
            let columns: Result<Vec<TriedColumn>, Problem> = rows
                .iter()
                .map(|row| {
                    Ok(TriedColumn {
                        name: crate::domain::SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                        data_type: get(row, "data_type")?,
                    })
                })
                .collect();
            Some(columns?)
        }
        Err(_) => None,
    };
    let ended = client.batch_execute("ROLLBACK").await;
    if let Err(error) = answer {
        let Some(server) = error.as_db_error() else {
            return Err(run(error));
        };
        // Where the role may make no temporary tables, nothing is found out.
        if server.code().code() != "42501" {
            return Err(Problem::new(
                Exit::Usage,
                "invalid-sql",
                format!("the database does not accept the table {}", text.table),
            )
            .because(server.message().to_owned())
            .fix("write it as the database would take it; nothing was written"));
        }
    }
    ended.map_err(run)?;
    Ok(columns)
}
