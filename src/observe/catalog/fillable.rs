//! What keeps the rows of a table from being filled.

use tokio_postgres::Client;

use super::{Table, ask, get};
use crate::domain::Problem;
use crate::recipe::Refused;

/// Adds refusals for what an UPDATE of every row would meet.
pub(super) async fn read(client: &Client, table: &Table, refused: &mut Vec<Refused>) -> Result<(), Problem> {
    let rows = ask(
        client,
        "whether rows can be filled",
        "select exists (select from pg_catalog.pg_rewrite r where r.ev_class = c.oid and r.ev_type = '2') as has_rules,
                (c.relreplident = 'n' or c.relreplident = 'd'
                     and not exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary))
                and exists (select from pg_catalog.pg_publication_tables t
                              join pg_catalog.pg_publication p on p.pubname = t.pubname and p.pubupdate
                              join pg_catalog.pg_namespace n on n.nspname = t.schemaname
                             where n.oid = c.relnamespace and t.tablename = c.relname) as cannot_publish
           from pg_catalog.pg_class c where c.oid = $1",
        &[&table.oid],
    )
    .await?;
    let Some(row) = rows.first() else { return Ok(()) };
    if get(row, "has_rules")? {
        refused.push(Refused {
            what: format!("rules of {}", table.name),
            why: "they make something else of an UPDATE, so that rows might not be filled; make triggers of them, or drop them for \
                  that time"
                .to_owned(),
        });
    }
    if get(row, "cannot_publish")? {
        refused.push(Refused {
            what: format!("replica identity of {}", table.name),
            why: "its updates are published and it has none, so that no row could be filled; give it a primary key, or set another \
                  REPLICA IDENTITY"
                .to_owned(),
        });
    }
    Ok(())
}
