//! Clients that belong to no declared service and hold locks on a plan's tables: they use what is about to change.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::classify::{Role, classify, patterns};
use super::{Client, snapshot};
use crate::domain::TableName;
use crate::observe::fleet::shown;
use crate::postgres::{Session, describe_error};
use crate::project::Environment;
use crate::safety::Doubt;

/// How many tables are named before the rest are only counted.
const NAMED: usize = 3;

/// A doubt for each client that holds a lock on one of the tables (or a partition of one), reports no version and is neither
/// declared, nor ignored, nor a person's tool. Asks for no lock itself.
///
/// # Errors
/// The database cannot be asked, which is a doubt as well.
pub async fn holding_locks(
    environment: &Environment,
    session: &Session,
    tables: &[TableName],
) -> Result<Vec<Doubt>, Doubt> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error: &tokio_postgres::Error| {
        Doubt::new(describe_error(error, "reading who holds locks").message())
    };
    let names: Vec<String> = tables.iter().map(TableName::quoted).collect();
    let rows = session
        .client()
        .query(
            "WITH RECURSIVE tree(relation) AS (
                SELECT to_regclass(name)::oid FROM unnest($1::text[]) AS name
                UNION
                SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.relation)
             SELECT l.pid, array_agg(DISTINCT l.relation::regclass::text)
               FROM pg_locks l JOIN tree USING (relation)
              WHERE l.granted AND l.locktype = 'relation' AND l.pid IS NOT NULL
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              GROUP BY l.pid",
            &[&names],
        )
        .await
        .map_err(|error| failed(&error))?;
    let mut held: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for row in rows {
        let pid = row.try_get(0).map_err(|error| failed(&error))?;
        held.insert(pid, row.try_get(1).map_err(|error| failed(&error))?);
    }
    // Who has gone since held a lock then, and may come back: only who is still there can be named.
    let clients = snapshot(session, Timestamp::UNIX_EPOCH).await?;
    let declared = patterns(environment);
    Ok(clients
        .all
        .iter()
        .filter(|client| matches!(classify(environment, &declared, client), Role::Unversioned))
        .filter(|client| !is_declared(environment, client))
        .filter_map(|client| Some(doubt(environment, client, held.get(&client.pid?)?)))
        .collect())
}

/// Whether the client calls itself by the name of a service: other sources of that tell what it runs.
fn is_declared(environment: &Environment, client: &Client) -> bool {
    let stem = client.name.split('@').next().unwrap_or_default();
    environment
        .services
        .iter()
        .any(|service| service.name.as_str() == stem)
}

fn doubt(environment: &Environment, client: &Client, tables: &[String]) -> Doubt {
    let mut named = tables
        .iter()
        .take(NAMED)
        .map(|table| shown(table))
        .collect::<Vec<_>>()
        .join(", ");
    if tables.len() > NAMED {
        named.push_str(&format!(" and {} more", tables.len() - NAMED));
    }
    let pid = client.pid.map_or_else(String::new, |pid| format!("pid {pid}, "));
    let address = client.address.as_deref().unwrap_or("no address to be seen");
    let (who, fix) = if client.name.is_empty() {
        (
            "a client without an application_name".to_owned(),
            "have it set an application_name, and declare it as a service, or list that name in `ignore_services`"
                .to_owned(),
        )
    } else {
        let name = shown(&client.name);
        (
            format!("`{name}`"),
            format!(
                "declare it as a service, or put \"{name}\" into `ignore_services` of [environments.{}] if it does not mind what the \
                 plan changes",
                environment.name
            ),
        )
    };
    Doubt::new(format!(
        "{who} ({pid}role {}, {address}) holds a lock on {named} and belongs to no declared service",
        shown(&client.role)
    ))
    .fix(fix)
}
