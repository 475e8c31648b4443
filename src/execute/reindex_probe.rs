//! What a REINDEX CONCURRENTLY that stopped halfway leaves behind: copies that were being built (`_ccnew`), or the old
//! indexes that were about to go (`_ccold`). No query uses them, and every write pays for them.

use tokio_postgres::GenericClient;

use super::crash_probe::{Leftover, ProbeAnswer};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::postgres::describe_error;

/// The indexes that are built anew, with their tables: those of a table, its partitions and its TOAST table, or the
/// one that is named (with its parts, if it is partitioned).
const TARGETS: &str = "
    WITH RECURSIVE named(oid) AS (
        SELECT to_regclass($1)::oid
        UNION SELECT i.inhrelid FROM named JOIN pg_inherits i ON i.inhparent = named.oid),
    tables(oid) AS (
        SELECT oid FROM named
        UNION SELECT c.reltoastrelid FROM named JOIN pg_class c USING (oid) WHERE c.reltoastrelid <> 0),
    targets AS (
        SELECT x.indexrelid, x.indrelid, x.indkey, x.indclass, c.relname
          FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
         WHERE x.indexrelid IN (SELECT oid FROM named) OR x.indrelid IN (SELECT oid FROM tables))";

/// Asks what a REINDEX CONCURRENTLY of an index or a table left. There is nothing that tells whether one was done.
///
/// # Errors
/// The database cannot be asked.
pub(super) async fn reindexed(
    client: &impl GenericClient,
    relation: &TableName,
) -> Result<ProbeAnswer, Problem> {
    let asking = |error| describe_error(&error, "looking for what a REINDEX left");
    let text = relation.quoted();
    // Who is at work is asked first: what it builds must not be taken for left behind.
    let busy = client
        .query_opt(
            &format!(
                "{TARGETS}
                 SELECT pid FROM pg_stat_progress_create_index
                  WHERE datname = current_database() AND pid <> pg_backend_pid()
                    AND relid IN (SELECT indrelid FROM targets UNION SELECT oid FROM tables)
                 UNION ALL
                 SELECT pid FROM pg_stat_activity
                  WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
                    AND query ~* '^\\s*reindex\\M' AND strpos(query, $2) > 0
                 LIMIT 1"
            ),
            &[&text, &relation.name.as_str()],
        )
        .await
        .map_err(asking)?;
    if let Some(row) = busy {
        return Ok(ProbeAnswer::Running { pid: row.get(0) });
    }
    // Of the same table, unusable, made like the index, and named after it (a long name is cut to make room).
    let rows = client
        .query(
            &format!(
                "{TARGETS}
                 SELECT DISTINCT n.nspname::text, c.relname::text
                   FROM targets t JOIN pg_index x USING (indrelid)
                   JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
                        substring(c.relname::text FROM '^(.*)_cc(?:new|old)[0-9]*$') AS stem
                  WHERE NOT x.indisvalid AND x.indexrelid <> t.indexrelid
                    AND x.indkey::text = t.indkey::text AND x.indclass::text = t.indclass::text
                    AND (stem = t.relname OR octet_length(c.relname::text) >= 60 AND starts_with(t.relname::text, stem))
                  ORDER BY 1, 2"
            ),
            &[&text],
        )
        .await
        .map_err(asking)?;
    let indexes: Vec<TableName> = rows
        .iter()
        .map(|row| TableName {
            schema: Some(SqlIdentifier::from_catalog(row.get::<_, &str>(0))),
            name: SqlIdentifier::from_catalog(row.get::<_, &str>(1)),
        })
        .collect();
    Ok(if indexes.is_empty() {
        ProbeAnswer::NotDone
    } else {
        ProbeAnswer::Leftover(Leftover::ReindexCopies(indexes))
    })
}
