//! What this role may do with the ledger's memory of looks, so that what is not remembered is known to be.

use tokio_postgres::GenericClient;

use super::{Access, describe};
use crate::domain::Problem;

/// What this role may do with one table of the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// There is such a table. An older ledger has none.
    pub exists: bool,
    /// It may be read.
    pub read: bool,
    /// It may be read and written to.
    pub write: bool,
    /// The log may be written to: this is no role, server or session that only reads.
    pub append: bool,
    /// The role, quoted for a GRANT.
    pub role: String,
}

impl Rights {
    /// What the owner of the ledger has to type for this role to have these privileges on a table.
    pub fn grant(&self, privileges: &str, table: &str) -> String {
        let role = &self.role;
        format!(
            "as the owner of schema shipctl: GRANT USAGE ON SCHEMA shipctl TO {role}; GRANT {privileges} ON shipctl.{table} TO {role};"
        )
    }
}

/// The rights on a table, to write to which takes all of these privileges besides reading.
pub(super) async fn on(
    client: &impl GenericClient,
    table: &str,
    writing: &[&str],
) -> Result<Rights, Problem> {
    // From the catalog, which everybody may read.
    let row = client
        .query_one(
            "WITH ours AS (
                 SELECT c.oid, c.relname, has_schema_privilege(n.oid, 'USAGE') AS enters
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'shipctl'),
             may AS (SELECT current_setting('transaction_read_only') = 'off' AS write)
             SELECT quote_ident(current_user::text),
                    EXISTS (SELECT FROM ours WHERE relname = $1),
                    EXISTS (SELECT FROM ours WHERE relname = $1 AND enters AND has_table_privilege(oid, 'SELECT')),
                    EXISTS (SELECT FROM ours, may WHERE relname = $1 AND enters AND may.write
                        AND (SELECT bool_and(has_table_privilege(oid, needed)) FROM unnest($2::text[]) AS needed)),
                    EXISTS (SELECT FROM ours, may WHERE relname = 'events' AND enters AND may.write
                        AND has_table_privilege(oid, 'INSERT'))",
            &[&table, &writing],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, "looking what may be done with the ledger"))?;
    let read = row.get(2);
    Ok(Rights {
        exists: row.get(1),
        read,
        write: read && row.get(3),
        append: row.get(4),
        role: row.get(0),
    })
}
