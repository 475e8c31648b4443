//! What is to be known of a column that goes, besides what hangs on it: what else would go, and what code that no longer
//! writes it would run into.

use tokio_postgres::Client;

use super::{Place, ask, get, identifiers, whole_table};
use crate::domain::{Problem, SqlIdentifier};
use crate::postgres::describe_error;
use crate::recipe::{CheckFacts, ColumnFacts, DefaultValue};
use crate::sql::readable;

/// Adds it to the facts.
pub(super) async fn read(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    shared(client, place, facts).await?;
    let default = facts
        .default
        .clone()
        .filter(|_| facts.default_value == DefaultValue::Same);
    for check in facts.checks.clone() {
        let is_shared = facts.shared.iter().any(|(name, _)| *name == check.name);
        if is_shared || !passes(client, facts, &check, "NULL").await? {
            facts.refuse_null.push(check.name.clone());
        }
        let passes_default = match &default {
            Some(default) if !is_shared => passes(client, facts, &check, default).await?,
            _ => false,
        };
        if !passes_default {
            facts.refuse_default.push(check.name.clone());
        }
    }
    named_not_null(client, place, facts).await
}

/// A NOT NULL constraint (PostgreSQL 18) with a name or a comment of its own.
async fn named_not_null(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    let all = whole_table::columns(client, &place.table).await?;
    let own = all.into_iter().find(|column| column.name == place.column);
    if let Some(constraint) = own.and_then(|column| column.named_not_null) {
        facts.remarks.push(format!(
            "Its NOT NULL constraint ({}) comes back by the name that PostgreSQL gives it, without a comment, and validated.",
            constraint.name
        ));
    }
    Ok(())
}

/// Indexes and constraints that mention other columns too.
async fn shared(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    let rows = ask(
        client,
        "what other columns have a part in",
        "with mentions (name, number) as (
             select c.conname::text, k.number
               from pg_catalog.pg_constraint c cross join lateral pg_catalog.unnest(c.conkey) k(number)
              where c.conrelid = $1 and c.contype in ('c', 'f')
             union
             select r.relname::text, k.number
               from pg_catalog.pg_index i
               join pg_catalog.pg_class r on r.oid = i.indexrelid
              cross join lateral pg_catalog.unnest(i.indkey::int2[]) k(number)
              where i.indrelid = $1 and k.number <> 0
             union
             select r.relname::text, d.refobjsubid::int2
               from pg_catalog.pg_index i
               join pg_catalog.pg_class r on r.oid = i.indexrelid
               join pg_catalog.pg_depend d
                 on d.classid = 'pg_catalog.pg_class'::regclass and d.objid = i.indexrelid
                and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid > 0
              where i.indrelid = $1
         )
         select m.name, array(select a.attname::text from mentions o
                                join pg_catalog.pg_attribute a on a.attrelid = $1 and a.attnum = o.number
                               where o.name = m.name and o.number <> $2 order by a.attnum) as others
           from mentions m
          where m.number = $2 and exists (select from mentions o where o.name = m.name and o.number <> $2)
          order by m.name",
        &[&place.table.oid, &place.number],
    )
    .await?;
    for row in &rows {
        facts.shared.push((
            SqlIdentifier::from_catalog(get::<String>(row, "name")?),
            identifiers(get(row, "others")?),
        ));
    }
    Ok(())
}

/// Whether a row with this value passes a check of the column alone. Where that cannot be tried, it does not.
async fn passes(
    client: &Client,
    facts: &ColumnFacts,
    check: &CheckFacts,
    value: &str,
) -> Result<bool, Problem> {
    let run = |error| describe_error(&error, "trying a check");
    client.batch_execute("SAVEPOINT check_tried").await.map_err(run)?;
    let tried = client
        .query_one(
            &format!(
                "SELECT ({}) IS NOT FALSE FROM (SELECT ({value})::{} AS {}) AS \"one row\"",
                check.expression,
                facts.data_type,
                readable(&facts.column.column),
            ),
            &[],
        )
        .await;
    client
        .batch_execute("ROLLBACK TO SAVEPOINT check_tried")
        .await
        .map_err(run)?;
    Ok(tried.is_ok_and(|row| row.try_get::<_, bool>(0).unwrap_or(false)))
}
