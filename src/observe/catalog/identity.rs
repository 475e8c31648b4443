//! What is to be known of a column that is to be an identity: the sequences that it owns.

use tokio_postgres::Client;

use super::default_privileges::default_grantees;
use super::{Place, Purpose, ask, column, get, in_one_snapshot, qualify, table};
use crate::domain::{ColumnName, Problem, SqlIdentifier, TableName};
use crate::postgres::Session;
use crate::recipe::add_identity::{IdentityFacts, SequenceFacts};
use crate::sql::{readable, readable_table};

/// Reads it.
///
/// # Errors
/// No such table or column (with the nearest names); the database cannot be asked.
pub async fn identity_facts(session: &Session, name: &ColumnName) -> Result<IdentityFacts, Problem> {
    in_one_snapshot(session, async |client| {
        let found = table::find(client, &name.table).await?;
        qualify(client).await?;
        let place = column::find(client, found, &name.column, Purpose::Retype).await?;
        read(client, &place, false).await
    })
    .await
}

/// The same in a snapshot; of a key that takes its sequence along also that of an identity, and not the largest value.
pub(super) async fn read(client: &Client, place: &Place, of_key: bool) -> Result<IdentityFacts, Problem> {
    let rows = ask(
        client,
        "the column's identity",
        "select a.attidentity::text as identity, pg_catalog.pg_get_userbyid(c.relowner)::text as owner
           from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
          where a.attrelid = $1 and a.attnum = $2",
        &[&place.table.oid, &place.number],
    )
    .await?;
    let Some(row) = rows.first() else {
        return Ok(IdentityFacts::default());
    };
    let identity: String = get(row, "identity")?;
    let mut facts = IdentityFacts {
        is_always: (!identity.is_empty()).then(|| identity == "a"),
        owner: Some(SqlIdentifier::from_catalog(get::<String>(row, "owner")?)),
        sequences: Vec::new(),
        largest: None,
    };
    if facts.is_always.is_none() {
        facts.sequences = sequences(client, place, "a").await?;
        if facts.sequences.is_empty() && !of_key {
            facts.largest = largest_value(client, place).await?;
        }
    } else if of_key {
        facts.sequences = sequences(client, place, "i").await?;
    }
    Ok(facts)
}

/// Those that the column owns (`a`), or that of its identity (`i`).
async fn sequences(client: &Client, place: &Place, kind: &str) -> Result<Vec<SequenceFacts>, Problem> {
    let rows = ask(
        client,
        "the column's sequences",
        "select c.oid, n.nspname::text as schema, c.relname::text as name,
                pg_catalog.format_type(s.seqtypid, null) as data_type, s.seqstart as start, s.seqincrement as increment,
                s.seqmin as least, s.seqmax as greatest, s.seqcache as cache, s.seqcycle as cycle,
                pg_catalog.obj_description(c.oid, 'pg_class') as comment,
                case when pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                      and pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                     then pg_catalog.format('%I.%I', n.nspname, c.relname) end as readable,
                coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                         = pg_catalog.format('nextval(%L::regclass)', c.oid::regclass::text), false) as is_default,
                array(select pg_catalog.pg_describe_object(o.classid, o.objid, o.objsubid)
                        from pg_catalog.pg_depend o
                       where o.refclassid = 'pg_catalog.pg_class'::regclass and o.refobjid = c.oid
                         and o.classid <> 'pg_catalog.pg_type'::regclass
                         and not (o.classid = 'pg_catalog.pg_attrdef'::regclass and o.objid is not distinct from d.oid)
                       order by 1) as dependents
           from pg_catalog.pg_depend p
           join pg_catalog.pg_class c on c.oid = p.objid and c.relkind = 'S'
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           join pg_catalog.pg_sequence s on s.seqrelid = c.oid
           left join pg_catalog.pg_attrdef d on d.adrelid = p.refobjid and d.adnum = p.refobjsubid
          where p.classid = 'pg_catalog.pg_class'::regclass and p.refclassid = 'pg_catalog.pg_class'::regclass
            and p.refobjid = $1 and p.refobjsubid = $2 and p.deptype::text = $3
          order by 2, 3",
        &[&place.table.oid, &i32::from(place.number), &kind],
    )
    .await?;
    let mut sequences = Vec::new();
    for row in &rows {
        let oid: u32 = get(row, "oid")?;
        let (owner_granted, grants) = grants(client, oid).await?;
        sequences.push(SequenceFacts {
            name: TableName {
                schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "schema")?)),
                name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
            },
            data_type: get(row, "data_type")?,
            start: get(row, "start")?,
            increment: get(row, "increment")?,
            least: get(row, "least")?,
            greatest: get(row, "greatest")?,
            cache: get(row, "cache")?,
            cycle: get(row, "cycle")?,
            comment: get(row, "comment")?,
            grants,
            default_grantees: default_grantees(client, oid, 'S').await?,
            owner_granted,
            position: match get::<Option<String>>(row, "readable")? {
                Some(name) => {
                    let said = format!("select last_value as position from {name}");
                    let rows = ask(client, "the sequence's position", &said, &[]).await?;
                    rows.first().map(|row| get(row, "position")).transpose()?
                }
                None => None,
            },
            is_default: get(row, "is_default")?,
            dependents: get(row, "dependents")?,
        });
    }
    Ok(sequences)
}

/// A role (`None` is PUBLIC), a privilege, and whether it can be passed on.
type SequenceGrant = (Option<SqlIdentifier>, String, bool);

/// The sequence's grants, those of its owner only where it has others than by default, and its owner there.
async fn grants(
    client: &Client,
    sequence: u32,
) -> Result<(Option<SqlIdentifier>, Vec<SequenceGrant>), Problem> {
    let rows = ask(
        client,
        "the sequence's grants",
        "with own as (
             select c.relowner, o.rolname::text as owner, coalesce(c.relacl, pg_catalog.acldefault('s', c.relowner)) as acl,
                    (select pg_catalog.count(distinct x.privilege_type)
                       from pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('s', c.relowner))) x
                      where x.grantee = c.relowner) <> 3
                    or exists (select from pg_catalog.pg_default_acl f
                                where f.defaclobjtype = 'S' and f.defaclnamespace in (0, c.relnamespace)
                                  and f.defaclrole = c.relowner) as is_granted
               from pg_catalog.pg_class c left join pg_catalog.pg_roles o on o.oid = c.relowner
              where c.oid = $1
         )
         select case when own.is_granted then own.owner end as owner, x.grantee is not null as is_grant,
                r.rolname::text as grantee, x.privilege_type as privilege, pg_catalog.bool_or(x.is_grantable) as grantable
           from own
           left join lateral (select * from pg_catalog.aclexplode(own.acl) x
                               where x.grantee <> own.relowner or own.is_granted) x on true
           left join pg_catalog.pg_roles r on r.oid = x.grantee
          where x.grantee is null or x.grantee = 0 or r.rolname is not null
          group by 1, 2, 3, 4 order by 3 nulls first, 4",
        &[&sequence],
    )
    .await?;
    let mut owner = None;
    let mut grants = Vec::new();
    for row in &rows {
        owner = get::<Option<String>>(row, "owner")?.map(SqlIdentifier::from_catalog);
        if get(row, "is_grant")? {
            let grantee: Option<String> = get(row, "grantee")?;
            grants.push((
                grantee.map(SqlIdentifier::from_catalog),
                get(row, "privilege")?,
                get(row, "grantable")?,
            ));
        }
    }
    Ok((owner, grants))
}

/// The largest value of the column, where an index tells it in a moment.
async fn largest_value(client: &Client, place: &Place) -> Result<Option<i64>, Problem> {
    let rows = ask(
        client,
        "the column's indexes",
        "select from pg_catalog.pg_attribute a
          where a.attrelid = $1 and a.attnum = $2
            and a.atttypid in ('pg_catalog.int2'::regtype, 'pg_catalog.int4'::regtype, 'pg_catalog.int8'::regtype)
            and pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
            and exists (select from pg_catalog.pg_index i
                          join pg_catalog.pg_class x on x.oid = i.indexrelid
                          join pg_catalog.pg_am m on m.oid = x.relam and m.amname = 'btree'
                         where i.indrelid = a.attrelid and i.indkey[0] = a.attnum and i.indpred is null and i.indisvalid)",
        &[&place.table.oid, &place.number],
    )
    .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let said = format!(
        "select max({})::bigint as largest from {}",
        readable(&place.column),
        readable_table(&place.table.name)
    );
    let rows = ask(client, "the largest value", &said, &[]).await?;
    rows.first().map_or(Ok(None), |row| get(row, "largest"))
}
