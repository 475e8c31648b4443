//! A column that is still to be made, and expressions that are still to be used: PostgreSQL is asked what they mean. Nothing
//! is evaluated; the statements are only prepared.

use tokio_postgres::Client;

use super::{Table, ask, assigning, column, dependents, get, in_one_snapshot, qualify, table};
use crate::domain::{Exit, Problem, TableName};
use crate::postgres::{Session, describe_error};
use crate::recipe::DefaultValue;
use crate::recipe::add_column::NewColumnFacts;
use crate::sql::columns_read;

/// An expression that is to be used for a column.
#[derive(Clone, Copy, Debug)]
pub struct Expression<'a> {
    /// What it is, such as `--fill`.
    pub what: &'a str,
    /// Its text.
    pub text: &'a str,
    /// It may use the columns of the table.
    pub over_rows: bool,
}

/// Reads what a recipe must know of a new column.
///
/// # Errors
/// No such table or type; an expression that does not fit; the database cannot be asked.
pub async fn new_column_facts(
    session: &Session,
    table: &TableName,
    data_type: &str,
    default: Option<&str>,
    expressions: &[Expression<'_>],
) -> Result<NewColumnFacts, Problem> {
    in_one_snapshot(session, async |client| {
        let table = table::find(client, table).await?;
        let modifier = prepared(client, "type", data_type, &format!("SELECT NULL::{data_type}")).await?;
        fit(client, &table, data_type, expressions).await?;
        let default_value = match default {
            Some(text) if is_volatile(client, data_type, text).await? => DefaultValue::Another,
            _ => DefaultValue::Same,
        };
        let rows = ask(
            client,
            "the type",
            "select t.oid, t.typtype = 'd' as is_domain from pg_catalog.pg_type t
              where t.oid = pg_catalog.to_regtype($1)",
            &[&data_type],
        )
        .await?;
        let row = rows
            .first()
            .ok_or_else(|| unusable("type", data_type, "it is not a type on its own"))?;
        let (oid, is_domain): (u32, bool) = (get(row, "oid")?, get(row, "is_domain")?);
        qualify(client).await?;
        // Of a domain the driver is told the base type's.
        let modifier = if is_domain { -1 } else { modifier };
        let rows = ask(
            client,
            "the type",
            "select pg_catalog.format_type($1, $2) as name",
            &[&oid, &modifier],
        )
        .await?;
        let row = rows
            .first()
            .ok_or_else(|| unusable("type", data_type, "it is not a type on its own"))?;
        Ok(NewColumnFacts {
            data_type: get(row, "name")?,
            constrained_domain: is_domain && column::domain_is_constrained(client, oid).await?,
            default_value,
            publications: dependents::publications_of(client, table.oid).await?,
            column_grantees: column_grantees(client, table.oid).await?,
        })
    })
    .await
}

/// The roles that have privileges on single columns of a table.
async fn column_grantees(client: &Client, table: u32) -> Result<Vec<String>, Problem> {
    let rows = ask(
        client,
        "the privileges on columns",
        "select distinct case when x.grantee = 0 then 'PUBLIC' else x.grantee::regrole::text end as name
           from pg_catalog.pg_attribute a
          cross join lateral pg_catalog.aclexplode(a.attacl) x
          where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
          order by 1",
        &[&table],
    )
    .await?;
    rows.iter().map(|row| get(row, "name")).collect()
}

/// Asks PostgreSQL whether expressions can be used for a column of this type.
///
/// # Errors
/// One cannot; the database cannot be asked.
pub async fn check_expressions(
    session: &Session,
    table: &TableName,
    data_type: &str,
    expressions: &[Expression<'_>],
) -> Result<(), Problem> {
    in_one_snapshot(session, async |client| {
        let table = table::find(client, table).await?;
        fit(client, &table, data_type, expressions).await
    })
    .await
}

async fn fit(
    client: &Client,
    table: &Table,
    data_type: &str,
    expressions: &[Expression<'_>],
) -> Result<(), Problem> {
    for Expression {
        what,
        text,
        over_rows,
    } in expressions
    {
        if !over_rows && columns_read(text, &table.name).1 {
            return Err(unusable(what, text, "a default cannot have a query of its own"));
        }
        assigning::can_be(client, what, text, data_type, over_rows.then_some(&table.name)).await?;
    }
    Ok(())
}

async fn is_volatile(client: &Client, data_type: &str, text: &str) -> Result<bool, Problem> {
    column::is_volatile(client, &format!("({text}\n)::{data_type}"))
        .await
        .map_err(|error| match error.as_db_error() {
            // PostgreSQL works out at once what can be: a division by zero shows here.
            Some(said) => unusable("--default", text, said.message()),
            None => describe_error(&error, "asking what the default comes to"),
        })
}

/// The type modifier of what a statement gives.
pub(super) async fn prepared(client: &Client, what: &str, text: &str, sql: &str) -> Result<i32, Problem> {
    let statement = client
        .prepare(sql)
        .await
        .map_err(|error| match error.as_db_error() {
            Some(said) => unusable(what, text, &in_its_own_words(said.message())),
            None => describe_error(&error, "asking what was typed means"),
        })?;
    if !statement.params().is_empty() {
        return Err(unusable(
            what,
            text,
            "it has parameters ($1), for which nothing will be given",
        ));
    }
    Ok(statement
        .columns()
        .first()
        .map_or(-1, tokio_postgres::Column::type_modifier))
}

/// What PostgreSQL says, without the function that it was asked by.
fn in_its_own_words(said: &str) -> String {
    said.replace("argument of XMLTABLE", "it")
        .replace(" in functions in FROM", "")
}

fn unusable(what: &str, text: &str, why: &str) -> Problem {
    Problem::new(
        Exit::Usage,
        "invalid-sql",
        format!("`{text}` is not a usable {what}: {why}"),
    )
}
