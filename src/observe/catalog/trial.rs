//! Whether the database would build an index: it is asked to build it on an empty table of the same columns, which is gone
//! as soon as it has answered.

use crate::domain::{Exit, Problem, SqlIdentifier, TableName};
use crate::postgres::{Session, describe_error};
use crate::sql::readable_table;

/// Has the database build an index on an empty temporary copy of a table; `statement` makes it for the table that it is
/// given. Where the role may not make temporary tables, or none can be made, nothing is found out.
///
/// # Errors
/// `invalid-sql`: what the database says against the index; the database cannot be asked.
pub async fn index_can_be_built(
    session: &Session,
    table: &TableName,
    statement: impl FnOnce(&TableName) -> String,
) -> Result<(), Problem> {
    // Of the same name, by which expressions may call its columns.
    let copy = TableName {
        schema: Some(SqlIdentifier::from_catalog("pg_temp".to_owned())),
        name: table.name.clone(),
    };
    let client = session.client();
    let run = |error| describe_error(&error, "trying the index on an empty copy of the table");
    client.batch_execute("BEGIN").await.map_err(run)?;
    let make = format!(
        "CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING GENERATED)",
        readable_table(&copy),
        readable_table(table)
    );
    let answer = match client.batch_execute(&make).await {
        Ok(()) => client.batch_execute(&statement(&copy)).await,
        Err(error) if error.as_db_error().is_some() => Ok(()),
        Err(error) => Err(error),
    };
    let ended = client.batch_execute("ROLLBACK").await;
    if let Err(error) = answer {
        let Some(server) = error.as_db_error() else {
            return Err(run(error));
        };
        let code = server.code().code();
        // A broken rule or name, something that cannot be had, a value that cannot be read; but not a missing privilege.
        let is_refusal = ["42", "0A", "22"].iter().any(|class| code.starts_with(class)) && code != "42501";
        if is_refusal {
            return Err(Problem::new(
                Exit::Usage,
                "invalid-sql",
                "the database does not accept the index".to_owned(),
            )
            .because(server.message().to_owned())
            .fix("write it as the database would take it; nothing was written"));
        }
    }
    ended.map_err(run)
}
