//! The triggers that fire for each row that is updated.

use super::{ask, get, in_one_snapshot, qualify, table};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::postgres::Session;

/// The user's triggers of a table and of those below it that fire for each row whose columns are updated, such as
/// `trigger touched`.
///
/// # Errors
/// No such table; the database cannot be asked.
pub async fn fired_by_updates(
    session: &Session,
    table: &TableName,
    columns: &[SqlIdentifier],
) -> Result<Vec<String>, Problem> {
    in_one_snapshot(session, async |client| {
        let table = table::find(client, table).await?;
        qualify(client).await?;
        let columns: Vec<&str> = columns.iter().map(SqlIdentifier::as_str).collect();
        // FOR EACH ROW is 1, UPDATE is 16. A trigger of a partition that comes from its parent is told there.
        let rows = ask(
            client,
            "the triggers",
            "with recursive below (oid) as (
                 select $1::oid
                 union
                 select h.inhrelid from below b join pg_catalog.pg_inherits h on h.inhparent = b.oid)
             select distinct pg_catalog.concat('trigger ', pg_catalog.quote_ident(g.tgname)) as name
               from below b
               join pg_catalog.pg_trigger g on g.tgrelid = b.oid
              where not g.tgisinternal and g.tgenabled in ('O', 'A') and g.tgtype & 17 = 17
                and (pg_catalog.cardinality(g.tgattr::int2[]) = 0
                     or exists (select from pg_catalog.pg_attribute a
                                 where a.attrelid = g.tgrelid and a.attnum = any (g.tgattr::int2[])
                                   and a.attname = any ($2::text[])))
              order by 1",
            &[&table.oid, &columns],
        )
        .await?;
        rows.iter().map(|row| get(row, "name")).collect()
    })
    .await
}
