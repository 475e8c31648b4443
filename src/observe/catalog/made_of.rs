//! Columns that are made of others: what PostgreSQL says of the expressions, and of the types. Nothing is evaluated.

use tokio_postgres::Client;

use super::{Table, ask, assigning, column, get, in_one_snapshot, qualify, table};
use crate::domain::{Exit, Problem, SqlIdentifier, TableName};
use crate::postgres::{Session, describe_error};
use crate::recipe::extract_json::TypeFacts;
use crate::recipe::{ColumnFacts, Comparison, MadeOf};
use crate::sql::{check_expression, columns_read, readable};

/// An expression of which a column is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    /// What it is, such as `--into`.
    pub what: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The type of the column.
    pub data_type: &'a str,
    /// The columns that it may use, with what stands behind their names in a definition.
    pub over: &'a [(SqlIdentifier, String)],
}

/// Has PostgreSQL look at expressions of which columns are to be made, by a trigger that finds nothing by a search path.
///
/// # Errors
/// One cannot be used; the database cannot be asked.
pub async fn made_of(
    session: &Session,
    table: &TableName,
    expressions: &[Making<'_>],
) -> Result<Vec<MadeOf>, Problem> {
    in_one_snapshot(session, async |client| {
        let table = table::find(client, table).await?;
        qualify(client).await?;
        let mut all = Vec::new();
        for expression in expressions {
            all.push(one(client, &table, expression).await?);
        }
        Ok(all)
    })
    .await
}

async fn one(client: &Client, table: &Table, expression: &Making<'_>) -> Result<MadeOf, Problem> {
    let Making {
        what,
        text,
        data_type,
        over,
    } = *expression;
    let unusable = |why: &str| {
        Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!("`{text}` is not a usable {what}: {why}"),
        )
    };
    check_expression(&format!("({text})")).map_err(|why| unusable(&why))?;
    let (columns, looks_up) = columns_read(text, &table.name);
    if looks_up {
        return Err(unusable(
            "it has a query of its own, whose answer may change while the row stays",
        ));
    }
    let others = |column: &&SqlIdentifier| !over.iter().any(|(name, _)| name == *column);
    if let Some(other) = columns.iter().find(others) {
        let names: Vec<String> = over.iter().map(|(name, _)| name.to_string()).collect();
        return Err(unusable(&format!(
            "it reads {other}, but may read {} only",
            names.join(", ")
        )));
    }
    if columns.is_empty() {
        return Err(unusable("it reads no column"));
    }
    let definitions: Vec<String> = over
        .iter()
        .map(|(name, definition)| format!("{} {definition}", readable(name)))
        .collect();
    // Rows of these columns alone, of which nothing is known beforehand.
    let rows = format!(
        "pg_catalog.json_to_recordset('[]'::pg_catalog.json) AS {} ({})",
        readable(&table.name.name),
        definitions.join(", ")
    );
    assigning::can_be_over(client, what, text, data_type, &rows)
        .await
        .map_err(|problem| {
            if !problem.to_string().contains("does not exist") {
                return problem;
            }
            problem.fix(
                "functions, types and operators outside of pg_catalog need their schema (public.initials(name)): the trigger looks \
                 nothing up by search path",
            )
        })?;
    let failed = |error: tokio_postgres::Error| match error.as_db_error() {
        Some(said) => unusable(said.message()),
        None => describe_error(&error, "asking what an expression means"),
    };
    if column::is_volatile_over(client, text, &rows)
        .await
        .map_err(failed)?
    {
        return Err(unusable(
            "it is another value each time (volatile), so that nothing could be made of it again; a function that always gives \
             the same for the same is declared IMMUTABLE or STABLE",
        ));
    }
    let value = client
        .prepare(&format!("SELECT ({text}), NULL::{data_type} FROM {rows}"))
        .await
        .map_err(failed)?;
    let types: Vec<u32> = value
        .columns()
        .iter()
        .map(|column| column.type_().oid())
        .collect();
    let [own, wanted] = types.as_slice() else {
        return Err(unusable("it is not one value"));
    };
    let details = details(client, data_type).await?;
    let is_exact = own == wanted && !details.is_domain && !data_type.contains('(');
    Ok(MadeOf {
        expression: text.to_owned(),
        compared: if is_exact {
            text.to_owned()
        } else {
            format!("({text})::{data_type}")
        },
        comparison: details.comparison,
        reads: columns,
    })
}

struct Details {
    is_domain: bool,
    is_composed: bool,
    comparison: Comparison,
}

async fn details(client: &Client, data_type: &str) -> Result<Details, Problem> {
    let rows = ask(
        client,
        "the type",
        "select t.oid, t.typname::text as name, t.typtype = 'd' as is_domain,
                t.typtype in ('c', 'p') or (t.typcategory = 'A' and t.typtype <> 'd') or t.oid = 'pg_catalog.json'::regtype
                  or exists (select from pg_catalog.pg_cast k
                              where k.castsource = coalesce(nullif(t.typbasetype, 0), t.oid)
                                and k.casttarget in ('pg_catalog.json'::regtype, 'pg_catalog.jsonb'::regtype)
                                and t.oid <> 'pg_catalog.jsonb'::regtype) as is_composed
           from pg_catalog.pg_type t where t.oid = pg_catalog.to_regtype($1)",
        &[&data_type],
    )
    .await?;
    let row = rows.first().ok_or_else(|| {
        Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!("`{data_type}` is not a usable type: it is not a type on its own"),
        )
    })?;
    let has_equality = column::has_equality(client, get(row, "oid")?).await?;
    Ok(Details {
        is_domain: get(row, "is_domain")?,
        is_composed: get(row, "is_composed")?,
        comparison: if get::<String>(row, "name")? == "citext" || !has_equality {
            Comparison::Text
        } else {
            Comparison::Equality
        },
    })
}

/// Reads what a recipe must know of the type of a column that is made of a JSON document.
///
/// # Errors
/// No such table or type; the database cannot be asked.
pub async fn type_facts(session: &Session, table: &TableName, data_type: &str) -> Result<TypeFacts, Problem> {
    let column = super::new_column_facts(session, table, data_type, None, &[]).await?;
    let details = in_one_snapshot(session, async |client| {
        qualify(client).await?;
        details(client, &column.data_type).await
    })
    .await?;
    Ok(TypeFacts {
        column,
        is_composed: details.is_composed,
        comparison: details.comparison,
    })
}

/// A column's name with what stands behind it in a definition.
pub fn definition(facts: &ColumnFacts) -> (SqlIdentifier, String) {
    let collation = facts
        .collation
        .as_ref()
        .map(|collation| format!(" COLLATE {collation}"))
        .unwrap_or_default();
    (
        facts.column.column.clone(),
        format!("{}{collation}", facts.data_type),
    )
}
