//! What is to be known of a column that is to be an identity: the sequences that it owns.

use tokio_postgres::Client;

use super::{Place, Purpose, ask, column, get, in_one_snapshot, qualify, table};
use crate::domain::{ColumnName, Problem, SqlIdentifier, TableName};
use crate::postgres::Session;
use crate::recipe::add_identity::{IdentityFacts, SequenceFacts};

/// Reads it.
///
/// # Errors
/// No such table or column (with the nearest names); the database cannot be asked.
pub async fn identity_facts(session: &Session, name: &ColumnName) -> Result<IdentityFacts, Problem> {
    in_one_snapshot(session, async |client| {
        let found = table::find(client, &name.table).await?;
        qualify(client).await?;
        let place = column::find(client, found, &name.column, Purpose::Retype).await?;
        read(client, &place).await
    })
    .await
}

async fn read(client: &Client, place: &Place) -> Result<IdentityFacts, Problem> {
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
    };
    if facts.is_always.is_none() {
        facts.sequences = sequences(client, place).await?;
    }
    Ok(facts)
}

async fn sequences(client: &Client, place: &Place) -> Result<Vec<SequenceFacts>, Problem> {
    let rows = ask(
        client,
        "the column's sequences",
        "select c.oid, n.nspname::text as schema, c.relname::text as name,
                pg_catalog.format_type(s.seqtypid, null) as data_type, s.seqstart as start, s.seqincrement as increment,
                s.seqmin as least, s.seqmax as greatest, s.seqcache as cache, s.seqcycle as cycle,
                pg_catalog.obj_description(c.oid, 'pg_class') as comment,
                coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                         = pg_catalog.format('nextval(%L::regclass)', c.oid::regclass::text), false) as is_default,
                array(select pg_catalog.pg_describe_object(o.classid, o.objid, o.objsubid)
                        from pg_catalog.pg_depend o
                       where o.refclassid = 'pg_catalog.pg_class'::regclass and o.refobjid = c.oid
                         and o.classid <> 'pg_catalog.pg_type'::regclass
                         and not (o.classid = 'pg_catalog.pg_attrdef'::regclass and o.objid = d.oid)
                       order by 1) as dependents
           from pg_catalog.pg_depend p
           join pg_catalog.pg_class c on c.oid = p.objid and c.relkind = 'S'
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           join pg_catalog.pg_sequence s on s.seqrelid = c.oid
           left join pg_catalog.pg_attrdef d on d.adrelid = p.refobjid and d.adnum = p.refobjsubid
          where p.classid = 'pg_catalog.pg_class'::regclass and p.refclassid = 'pg_catalog.pg_class'::regclass
            and p.refobjid = $1 and p.refobjsubid = $2 and p.deptype = 'a'
          order by 2, 3",
        &[&place.table.oid, &i32::from(place.number)],
    )
    .await?;
    let mut sequences = Vec::new();
    for row in &rows {
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
            grants: grants(client, get(row, "oid")?).await?,
            is_default: get(row, "is_default")?,
            dependents: get(row, "dependents")?,
        });
    }
    Ok(sequences)
}

async fn grants(
    client: &Client,
    sequence: u32,
) -> Result<Vec<(Option<SqlIdentifier>, String, bool)>, Problem> {
    let rows = ask(
        client,
        "the sequence's grants",
        "select r.rolname::text as grantee, x.privilege_type as privilege, pg_catalog.bool_or(x.is_grantable) as grantable
           from pg_catalog.pg_class c
          cross join lateral pg_catalog.aclexplode(c.relacl) x
           left join pg_catalog.pg_roles r on r.oid = x.grantee
          where c.oid = $1 and x.grantee <> c.relowner and (x.grantee = 0 or r.rolname is not null)
          group by 1, 2 order by 1 nulls first, 2",
        &[&sequence],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let grantee: Option<String> = get(row, "grantee")?;
            Ok((
                grantee.map(SqlIdentifier::from_catalog),
                get(row, "privilege")?,
                get(row, "grantable")?,
            ))
        })
        .collect()
}
