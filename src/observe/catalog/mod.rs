//! What the database's catalog says of a column.
//!
//! Everything is read in one snapshot and with an empty search path, so that PostgreSQL's deparser qualifies every name.

mod assigning;
mod column;
mod constraints;
mod default_privileges;
mod definition;
mod dependent_definition;
mod dependents;
mod enum_type;
mod fillable;
mod identity;
mod indexes;
mod leaving;
mod made_of;
mod new_column;
mod new_table;
mod pairing;
mod partition;
mod retype;
mod table;
mod trial;
mod triggers;
mod whole_table;
mod widen;

pub use assigning::{Defaulted, refused_defaults};
pub use enum_type::enum_facts;
pub use identity::identity_facts;
pub use made_of::{Making, definition, made_of, type_facts};
pub use new_column::{Expression, check_expressions, new_column_facts};
pub use new_table::new_table_facts;
pub use pairing::{keys_between, pairing};
pub use partition::{partition_to_attach, partition_to_detach};
pub use retype::{NewType, retype_facts};
pub use trial::index_can_be_built;
pub use triggers::fired_by_updates;
pub use widen::widen_facts;

use new_column::prepared;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, ToSql};

use crate::domain::{ColumnName, Exit, Problem, SqlIdentifier, TableName};
use crate::postgres::{Session, describe_error};
use crate::recipe::{ColumnFacts, TableDefinition, TableFacts};

/// Reads everything a recipe must know of a column.
///
/// # Errors
/// No such table or column (with the nearest names); the database cannot be asked.
pub async fn column_facts(session: &Session, column: &ColumnName) -> Result<ColumnFacts, Problem> {
    in_one_snapshot(session, async |client| {
        read(client, column, Purpose::Rename).await
    })
    .await
}

/// Reads everything a recipe must know of a column that is to be dropped.
///
/// # Errors
/// No such table or column (with the nearest names); the database cannot be asked.
pub async fn column_to_drop(session: &Session, column: &ColumnName) -> Result<ColumnFacts, Problem> {
    in_one_snapshot(session, async |client| read(client, column, Purpose::Drop).await).await
}

/// Reads everything a recipe must know of a table.
///
/// # Errors
/// No such table (with the nearest names); the database cannot be asked.
pub async fn table_facts(session: &Session, table: &TableName) -> Result<TableFacts, Problem> {
    in_one_snapshot(session, async |client| {
        let table = table::find(client, table).await?;
        qualify(client).await?;
        whole_table::read(client, table, session.server_version()).await
    })
    .await
}

/// Reads everything a recipe must know of a table, and how it would be made again.
///
/// # Errors
/// No such table (with the nearest names); the database cannot be asked.
pub async fn table_definition(
    session: &Session,
    table: &TableName,
) -> Result<(TableFacts, TableDefinition), Problem> {
    in_one_snapshot(session, async |client| {
        let table = table::find(client, table).await?;
        qualify(client).await?;
        let definition = definition::read(client, &table, session.server_version()).await?;
        let facts = whole_table::read(client, table, session.server_version()).await?;
        Ok((facts, definition))
    })
    .await
}

/// Has the database understand a query, which is not run: a name or a type in it may be wrong.
///
/// # Errors
/// `invalid-sql`: what the database says against it; the database cannot be asked.
pub async fn understood(session: &Session, what: &str, query: &str) -> Result<(), Problem> {
    let invalid = |why: &str| {
        Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!("the database does not accept {what}"),
        )
        .because(why.to_owned())
        .fix("write it as the database would take it; nothing was written")
    };
    match session.client().prepare(query).await {
        Ok(statement) if statement.params().is_empty() => Ok(()),
        Ok(_) => Err(invalid("it has parameters ($1), for which nothing will be given")),
        // Class 42: a syntax error, or a rule or name that is broken.
        Err(error) => Err(match error.as_db_error() {
            Some(server) if server.code().code().starts_with("42") => invalid(server.message()),
            _ => describe_error(&error, &format!("looking at {what}")),
        }),
    }
}

async fn in_one_snapshot<T>(
    session: &Session,
    read: impl AsyncFnOnce(&Client) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let client = session.client();
    let run = |error| describe_error(&error, "reading the catalog");
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .map_err(run)?;
    let facts = read(client).await;
    // Nothing was changed; whether the end of it succeeds does not matter to what was read.
    let ended = client.batch_execute("ROLLBACK").await;
    let facts = facts?;
    ended.map_err(run)?;
    Ok(facts)
}

/// From here on PostgreSQL's deparser qualifies every name.
async fn qualify(client: &Client) -> Result<(), Problem> {
    client
        .batch_execute("SET LOCAL search_path = ''")
        .await
        .map_err(|error| describe_error(&error, "reading the catalog"))
}

async fn read(client: &Client, column: &ColumnName, purpose: Purpose) -> Result<ColumnFacts, Problem> {
    let table = table::find(client, &column.table).await?;
    qualify(client).await?;
    let place = column::find(client, table, &column.column, purpose).await?;

    let mut facts = column::describe(client, &place).await?;
    indexes::read(client, &place, &mut facts).await?;
    constraints::read(client, &place, &mut facts).await?;
    dependents::read(client, &place, &mut facts).await?;
    if purpose == Purpose::Drop {
        leaving::read(client, &place, &mut facts).await?;
    }
    Ok(facts)
}

/// A table that exists.
struct Table {
    oid: u32,
    name: TableName,
}

/// What the facts about a column are for: something hangs on it that a rename cannot carry and that may go with the column,
/// and what is refused has another way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Another column takes its place.
    Rename,
    /// It goes.
    Drop,
    /// It gets another type, or one of another type takes its place.
    Retype,
    /// One of a wider type takes its place, as a key and with all that refers to it.
    Widen,
}

/// A column that exists.
struct Place {
    purpose: Purpose,
    table: Table,
    number: i16,
    column: SqlIdentifier,
}

/// Asks and names what was asked for in an error.
async fn ask(
    client: &Client,
    what: &str,
    query: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<tokio_postgres::Row>, Problem> {
    client
        .query(query, parameters)
        .await
        .map_err(|error| describe_error(&error, &format!("reading {what} from the catalog")))
}

/// A value of a row, by name.
fn get<'r, T: FromSql<'r>>(row: &'r tokio_postgres::Row, name: &str) -> Result<T, Problem> {
    row.try_get(name).map_err(|error| {
        Problem::new(
            Exit::Failed,
            "catalog-unreadable",
            format!("the catalog answered in an unexpected form: {error}"),
        )
    })
}

impl Place {
    /// The words for what the facts are for.
    fn say<'w>(&self, rename: &'w str, drop: &'w str) -> &'w str {
        match self.purpose {
            Purpose::Rename | Purpose::Retype | Purpose::Widen => rename,
            Purpose::Drop => drop,
        }
    }
}

fn identifiers(names: Vec<String>) -> Vec<SqlIdentifier> {
    names.into_iter().map(SqlIdentifier::from_catalog).collect()
}

/// `name=value` texts, as the catalog stores options.
fn options(texts: Option<Vec<String>>) -> Vec<(String, String)> {
    texts
        .unwrap_or_default()
        .into_iter()
        .filter_map(|text| {
            text.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect()
}
