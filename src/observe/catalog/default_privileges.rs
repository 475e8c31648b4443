//! What ALTER DEFAULT PRIVILEGES would give on something that is made anew.

use tokio_postgres::Client;

use super::{ask, get};
use crate::domain::{Problem, SqlIdentifier};

/// Whom it gives something on a new table (`r`) or sequence (`S`) in the place of this one, whoever makes it; `None` is
/// PUBLIC.
pub(super) async fn default_grantees(
    client: &Client,
    relation: u32,
    kind: char,
) -> Result<Vec<Option<SqlIdentifier>>, Problem> {
    let rows = ask(
        client,
        "the default privileges",
        "select distinct r.rolname::text as grantee
           from pg_catalog.pg_class c
           join pg_catalog.pg_default_acl f
             on f.defaclobjtype::text = $2 and f.defaclnamespace in (0, c.relnamespace)
          cross join lateral pg_catalog.aclexplode(f.defaclacl) x
           left join pg_catalog.pg_roles r on r.oid = x.grantee
          where c.oid = $1 and x.grantee <> c.relowner and x.grantee <> f.defaclrole
            and (x.grantee = 0 or r.rolname is not null)
          order by 1",
        &[&relation, &kind.to_string()],
    )
    .await?;
    rows.iter()
        .map(|row| Ok(get::<Option<String>>(row, "grantee")?.map(SqlIdentifier::from_catalog)))
        .collect()
}
