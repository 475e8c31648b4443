//! How a table would be made again: every statement that it takes, and what none would bring back.

mod gone;
mod texts;

use tokio_postgres::Client;

use super::default_privileges::default_grantees;
use super::{Table, ask, get};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::recipe::{ForeignKeyDefinition, Grant, TableDefinition};
use gone::{dependents, lost};
use texts::{
    CREATE, DETAILS, OWNED, PUBLICATIONS, PUBLICATIONS_BEFORE_15, SEQUENCE_GRANTS, SEQUENCES, TYPES,
};

/// Reads it.
pub(super) async fn read(
    client: &Client,
    table: &Table,
    server_version: u32,
) -> Result<TableDefinition, Problem> {
    let (owner, owner_is_granted, row_security) = owner(client, table).await?;
    let (mut refused, dependents) = dependents(client, table).await?;
    refused.extend(lost(client, table).await?);
    let mut details = texts(client, table, "what belongs to the table", DETAILS).await?;
    // They follow the table's owner when it gets one, so that they have to be its own by then.
    details.splice(0..0, texts(client, table, "the owned sequences", OWNED).await?);
    let sequences = texts(client, table, "the sequences", SEQUENCES).await?;
    let publications = if server_version >= 150_000 {
        PUBLICATIONS
    } else {
        PUBLICATIONS_BEFORE_15
    };
    Ok(TableDefinition {
        sequences,
        create: texts(client, table, "the table", CREATE).await?.concat(),
        details,
        foreign_keys: foreign_keys(client, table).await?,
        owner,
        grants: grants(client, table).await?,
        owner_is_granted,
        sequence_grants: texts(client, table, "the sequences' grants", SEQUENCE_GRANTS).await?,
        default_grantees: default_grantees(client, table.oid, 'r').await?,
        publications: texts(client, table, "the publications", publications).await?,
        row_security,
        refused,
        dependents,
        mentioned_by: mentioned_by(client, table).await?,
        row_type_users: row_type_users(client, table).await?,
        types: texts(client, table, "the types", TYPES)
            .await?
            .into_iter()
            .map(SqlIdentifier::from_catalog)
            .collect(),
    })
}

async fn texts(client: &Client, table: &Table, what: &str, query: &str) -> Result<Vec<String>, Problem> {
    let rows = ask(client, what, query, &[&table.oid]).await?;
    rows.iter().map(|row| get(row, "sql")).collect()
}

async fn owner(client: &Client, table: &Table) -> Result<(Option<SqlIdentifier>, bool, bool), Problem> {
    let rows = ask(
        client,
        "the owner",
        "select r.rolname::text as owner, r.rolname = current_user as own, c.relrowsecurity as row_security,
                c.relacl is not null
                and (select pg_catalog.array_agg(x.privilege_type order by x.privilege_type)
                       from pg_catalog.aclexplode(c.relacl) x where x.grantee = c.relowner and x.grantor = c.relowner)
                    is distinct from
                    (select pg_catalog.array_agg(x.privilege_type order by x.privilege_type)
                       from pg_catalog.aclexplode(pg_catalog.acldefault('r', c.relowner)) x) as granted
           from pg_catalog.pg_class c
           left join pg_catalog.pg_roles r on r.oid = c.relowner
          where c.oid = $1",
        &[&table.oid],
    )
    .await?;
    let Some(row) = rows.first() else {
        return Ok((None, false, false));
    };
    let owner: Option<String> = get(row, "owner")?;
    let is_own: Option<bool> = get(row, "own")?;
    Ok((
        owner
            .filter(|_| is_own == Some(false))
            .map(SqlIdentifier::from_catalog),
        get(row, "granted")?,
        get(row, "row_security")?,
    ))
}

async fn grants(client: &Client, table: &Table) -> Result<Vec<Grant>, Problem> {
    let rows = ask(
        client,
        "the grants",
        "with own as (
             select c.relowner, c.relacl, c.oid,
                    (select pg_catalog.array_agg(x.privilege_type order by x.privilege_type)
                       from pg_catalog.aclexplode(c.relacl) x where x.grantee = c.relowner and x.grantor = c.relowner)
                    is not distinct from
                    (select pg_catalog.array_agg(x.privilege_type order by x.privilege_type)
                       from pg_catalog.aclexplode(pg_catalog.acldefault('r', c.relowner)) x) as is_default
               from pg_catalog.pg_class c where c.oid = $1),
         given as (
             select null::text as name, 0 as number, x.* from own cross join lateral pg_catalog.aclexplode(own.relacl) x
              where x.grantee <> own.relowner or not own.is_default
             union all
             select a.attname::text, a.attnum, x.*
               from own join pg_catalog.pg_attribute a on a.attrelid = own.oid and a.attnum > 0 and not a.attisdropped
              cross join lateral pg_catalog.aclexplode(a.attacl) x)
         select g.name, r.rolname::text as grantee, g.is_grantable as grantable,
                pg_catalog.array_agg(distinct g.privilege_type) as privileges
           from given g left join pg_catalog.pg_roles r on r.oid = g.grantee
          where g.grantee = 0 or r.rolname is not null
          group by g.number, g.name, r.rolname, g.is_grantable
          order by g.number, 2 nulls first, 3",
        &[&table.oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Grant {
                column: get::<Option<String>>(row, "name")?.map(SqlIdentifier::from_catalog),
                privileges: get(row, "privileges")?,
                grantee: get::<Option<String>>(row, "grantee")?.map(SqlIdentifier::from_catalog),
                grantable: get(row, "grantable")?,
            })
        })
        .collect()
}

async fn foreign_keys(client: &Client, table: &Table) -> Result<Vec<ForeignKeyDefinition>, Problem> {
    let rows = ask(
        client,
        "the foreign keys",
        "select k.conname::text as name, n.nspname::text as target_schema, t.relname::text as target_name,
                pg_catalog.pg_get_constraintdef(k.oid) as definition,
                pg_catalog.format('COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname, k.conrelid::regclass,
                                  pg_catalog.obj_description(k.oid, 'pg_constraint')) as comment,
                pg_catalog.obj_description(k.oid, 'pg_constraint') is not null as has_comment
           from pg_catalog.pg_constraint k
           join pg_catalog.pg_class t on t.oid = k.confrelid
           join pg_catalog.pg_namespace n on n.oid = t.relnamespace
          where k.conrelid = $1 and k.contype = 'f' and k.conparentid = 0
          order by 1",
        &[&table.oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let has_comment: bool = get(row, "has_comment")?;
            let comment: String = get(row, "comment")?;
            Ok(ForeignKeyDefinition {
                name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                target: TableName {
                    schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "target_schema")?)),
                    name: SqlIdentifier::from_catalog(get::<String>(row, "target_name")?),
                },
                definition: get(row, "definition")?,
                comment: has_comment.then_some(comment),
            })
        })
        .collect()
}

/// What takes, gives or holds rows of the table as values.
async fn row_type_users(client: &Client, table: &Table) -> Result<Vec<String>, Problem> {
    let rows = ask(
        client,
        "what is made with the type of the rows",
        "select distinct pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) as name
           from pg_catalog.pg_type t
           join pg_catalog.pg_depend d
             on d.refclassid = 'pg_catalog.pg_type'::regclass and d.refobjid in (t.oid, t.typarray) and d.deptype = 'n'
          where t.typrelid = $1
          order by 1",
        &[&table.oid],
    )
    .await?;
    rows.iter().map(|row| get(row, "name")).collect()
}

/// Functions whose text holds the name of the table.
async fn mentioned_by(client: &Client, table: &Table) -> Result<Vec<String>, Problem> {
    let rows = ask(
        client,
        "the functions",
        "select p.oid::regprocedure::text as name
           from pg_catalog.pg_proc p
           join pg_catalog.pg_namespace n on n.oid = p.pronamespace
           join pg_catalog.pg_language l on l.oid = p.prolang
          where n.nspname not in ('pg_catalog', 'information_schema') and l.lanname not in ('internal', 'c')
            and case when $1::text ~ '^[[:alnum:]_]+$' then p.prosrc ~* ('\\y' || $1 || '\\y')
                     else pg_catalog.strpos(p.prosrc, $1) > 0 end
            and not exists (select from pg_catalog.pg_depend d
                             where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
          order by 1 limit 20",
        &[&table.name.name.as_str()],
    )
    .await?;
    rows.iter().map(|row| get(row, "name")).collect()
}
