//! What an expression comes to when it is assigned to a column of a type, as an INSERT or UPDATE would.
//!
//! The default of a column of XMLTABLE is assigned to its type by the same rules, without a table that would have to be
//! there or be written to.

use tokio_postgres::Client;

use super::{column, in_one_snapshot, prepared};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::postgres::{Session, describe_error};
use crate::recipe::{ConstraintFacts, ConstraintType, Refused, TableFacts};
use crate::sql::{readable, readable_table};

/// A column that is to have a default.
#[derive(Clone, Copy, Debug)]
pub struct Defaulted<'a> {
    /// Its name.
    pub column: &'a SqlIdentifier,
    /// Its type.
    pub data_type: &'a str,
    /// It is NOT NULL, or will be.
    pub not_null: bool,
    /// The default.
    pub default: &'a str,
}

/// What refuses the default, so that an INSERT which leaves the column out would fail. Nothing volatile is evaluated.
///
/// # Errors
/// The database cannot be asked.
pub async fn refused_defaults(
    session: &Session,
    facts: &TableFacts,
    new: &Defaulted<'_>,
) -> Result<Vec<Refused>, Problem> {
    in_one_snapshot(session, async |client| {
        let cast = format!("({}\n)::{}", new.default, new.data_type);
        let run = |error| describe_error(&error, "trying the default");
        client
            .batch_execute("SAVEPOINT default_tried")
            .await
            .map_err(run)?;
        // What cannot be planned cannot be evaluated either; whether it fails then is not known.
        let is_volatile = column::is_volatile(client, &cast).await.unwrap_or(true);
        back(client).await?;
        if is_volatile {
            return Ok(Vec::new());
        }
        tried(client, facts, new).await
    })
    .await
}

async fn tried(client: &Client, facts: &TableFacts, new: &Defaulted<'_>) -> Result<Vec<Refused>, Problem> {
    let (default, data_type) = (new.default, new.data_type);
    let name = readable(new.column);
    let refused = |what: String, why: String| {
        let why =
            format!("{why}: every INSERT that leaves the column out would fail; choose another default");
        vec![Refused { what, why }]
    };
    let is_null = format!("pg_catalog.num_nulls({name}) = 1");
    match holds(client, facts, new, &is_null).await? {
        Tried::Failed(said) => {
            return Ok(refused(
                format!("default {default}"),
                format!("it does not fit {data_type} ({said})"),
            ));
        }
        Tried::Holds if new.not_null => {
            return Ok(refused(
                format!("default {default}"),
                "it is NULL, and the column is not to be".to_owned(),
            ));
        }
        _ => {}
    }
    let mut all = Vec::new();
    for check in &facts.constraints {
        let Some(expression) = alone(check, new.column) else {
            continue;
        };
        let violated = format!("({expression}) IS FALSE");
        if let Tried::Holds = holds(client, facts, new, &violated).await? {
            all.extend(refused(
                format!("constraint {}", check.name),
                format!("it refuses the default {default}"),
            ));
        }
    }
    Ok(all)
}

/// The expression of a check that looks at this column alone.
fn alone<'c>(check: &'c ConstraintFacts, column: &SqlIdentifier) -> Option<&'c str> {
    if check.kind != ConstraintType::Check || check.columns.as_slice() != std::slice::from_ref(column) {
        return None;
    }
    let rest = check.definition.strip_prefix("CHECK ")?;
    (!rest.ends_with(" NOT ENFORCED")).then(|| rest.strip_suffix(" NO INHERIT").unwrap_or(rest))
}

enum Tried {
    Holds,
    Not,
    /// The value cannot be assigned.
    Failed(String),
    /// It cannot be tried here.
    Unknown,
}

/// Whether a condition holds of the default.
async fn holds(
    client: &Client,
    facts: &TableFacts,
    new: &Defaulted<'_>,
    condition: &str,
) -> Result<Tried, Problem> {
    let query = format!(
        "SELECT {condition} FROM {} AS {}",
        assigned("'<row/>'", &readable(new.column), new.data_type, new.default),
        readable(&facts.table.name)
    );
    let tried = client.query_one(&query, &[]).await;
    back(client).await?;
    Ok(match tried {
        Ok(row) if row.try_get(0).unwrap_or(false) => Tried::Holds,
        Ok(_) => Tried::Not,
        // Class 22: not a value of the type. Class 23: not one of the domain. What a function of one's own says may have
        // to do with the session it runs in.
        Err(error) => match error.as_db_error() {
            Some(said) if said.code().code().starts_with("22") || said.code().code().starts_with("23") => {
                Tried::Failed(said.message().to_owned())
            }
            _ => Tried::Unknown,
        },
    })
}

async fn back(client: &Client) -> Result<(), Problem> {
    client
        .batch_execute("ROLLBACK TO SAVEPOINT default_tried")
        .await
        .map_err(|error| describe_error(&error, "trying the default"))
}

/// Asks PostgreSQL whether the expression can be assigned to the type. Nothing is evaluated.
pub(super) async fn can_be(
    client: &Client,
    what: &str,
    text: &str,
    data_type: &str,
    over: Option<&TableName>,
) -> Result<(), Problem> {
    let rows = over.map_or_else(|| "(SELECT) AS nothing".to_owned(), readable_table);
    can_be_over(client, what, text, data_type, &rows).await
}

/// The same for an expression over rows of any kind.
pub(super) async fn can_be_over(
    client: &Client,
    what: &str,
    text: &str,
    data_type: &str,
    rows: &str,
) -> Result<(), Problem> {
    let value = assigned("(NULL::pg_catalog.xml)", "value", data_type, text);
    let query = format!("SELECT FROM {rows}, {value} AS assigned");
    prepared(client, what, text, &query).await.map(drop)
}

fn assigned(document: &str, column: &str, data_type: &str, expression: &str) -> String {
    format!(
        "XMLTABLE('/row' PASSING {document} COLUMNS {column} {data_type} PATH 'none' DEFAULT ({expression}\n))"
    )
}
