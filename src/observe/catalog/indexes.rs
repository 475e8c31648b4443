//! Indexes that mention the column, property by property.
//!
//! They are not taken from `pg_get_indexdef` as a whole: plain columns are known by number there, so that nothing about
//! them has to be guessed from text.

use tokio_postgres::{Client, Row};

use super::{Place, Purpose, ask, get, identifiers, options};
use crate::domain::{Problem, SqlIdentifier};
use crate::recipe::{ColumnFacts, Deferrable, IndexFacts, IndexKey, IndexedValue, Refused, UniqueConstraint};

/// Adds the indexes to the facts; those of exclusion constraints, and of primary keys that nothing makes anew, are
/// refused with their constraint.
pub(super) async fn read(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    let rows = ask(
        client,
        "the indexes",
        "select i.indexrelid as oid, c.relname::text as name, m.amname::text as method,
                i.indisunique as is_unique, i.indisvalid as is_valid, i.indisclustered as clustered,
                i.indisreplident as replica_identity,
                coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) as nulls_not_distinct,
                pg_catalog.pg_get_expr(i.indpred, i.indrelid) as predicate,
                c.reloptions as options, s.spcname::text as tablespace,
                pg_catalog.obj_description(i.indexrelid, 'pg_class') as comment,
                k.contype::text as constraint_type, k.condeferrable as deferrable, k.condeferred as deferred,
                pg_catalog.obj_description(k.oid, 'pg_constraint') as constraint_comment,
                (select pg_catalog.array_agg(f.conrelid::regclass::text || '.' || f.conname)
                   from pg_catalog.pg_constraint f
                  where f.contype = 'f' and f.conindid = i.indexrelid and f.confrelid = i.indrelid) as referenced_by,
                array(select a.attnum from pg_catalog.pg_attribute a
                       where a.attrelid = i.indexrelid and pg_catalog.to_jsonb(a) ->> 'attstattarget' <> '-1'
                       order by 1) as statistics_columns,
                array(select (pg_catalog.to_jsonb(a) ->> 'attstattarget')::int from pg_catalog.pg_attribute a
                       where a.attrelid = i.indexrelid and pg_catalog.to_jsonb(a) ->> 'attstattarget' <> '-1'
                       order by a.attnum) as statistics_targets
           from pg_catalog.pg_index i
           join pg_catalog.pg_class c on c.oid = i.indexrelid
           join pg_catalog.pg_am m on m.oid = c.relam
           left join pg_catalog.pg_tablespace s on s.oid = c.reltablespace
           left join pg_catalog.pg_constraint k on k.conindid = i.indexrelid and k.conrelid = i.indrelid
                                                and k.contype in ('p', 'u', 'x')
          where i.indrelid = $1
            and ($2 = any (i.indkey::int2[])
                 or exists (select from pg_catalog.pg_depend d
                             where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = i.indexrelid
                               and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = i.indrelid
                               and d.refobjsubid = $2))
          order by c.relname",
        &[&place.table.oid, &place.number],
    )
    .await?;
    for row in &rows {
        let name = SqlIdentifier::from_catalog(get::<String>(row, "name")?);
        let constraint: Option<String> = get(row, "constraint_type")?;
        let mut refuse = |what: String, why: String| facts.refused.push(Refused { what, why });
        match constraint.as_deref() {
            Some("p") if place.purpose != Purpose::Widen => {
                refuse(
                    format!("primary key {name}"),
                    match place.purpose {
                        Purpose::Retype => {
                            "the identity of rows, replication and foreign keys rest on it; `shipctl plan widen-key` widens an integer"
                        }
                        _ => "the identity of rows, replication and foreign keys rest on it; move the primary key first",
                    }
                    .to_owned(),
                );
                continue;
            }
            Some("x") => {
                refuse(
                    format!("exclusion constraint {name}"),
                    place
                        .say(
                            "it cannot be built while writers go on: there is no NOT VALID for it, and no index can be put under \
                             it",
                            "the way back could not build it while writers go on; drop it first",
                        )
                        .to_owned(),
                );
                continue;
            }
            _ => {}
        }
        if get(row, "replica_identity")? {
            refuse(
                format!("replica identity {name}"),
                "logical replication tells rows apart by this index; set another REPLICA IDENTITY first"
                    .to_owned(),
            );
        }
        let referenced_by: Option<Vec<String>> = get(row, "referenced_by")?;
        if let Some(keys) = referenced_by.filter(|_| place.purpose != Purpose::Widen) {
            refuse(
                format!("index {name} below foreign keys"),
                format!(
                    "{} refer to the table through it; drop them first",
                    keys.join(", ")
                ),
            );
        }
        if !get::<bool>(row, "is_valid")? {
            facts.remarks.push(format!(
                "Index {name} is invalid (a CREATE INDEX CONCURRENTLY that failed?) and is not carried over; it goes with {}.",
                place.say("the old column", "the column, and no way back brings it")
            ));
            continue;
        }
        facts.indexes.push(index(client, row, name).await?);
    }
    Ok(())
}

async fn index(client: &Client, row: &Row, name: SqlIdentifier) -> Result<IndexFacts, Problem> {
    let oid: u32 = get(row, "oid")?;
    let (keys, include) = columns(client, oid).await?;
    let constraint = match get::<Option<String>>(row, "constraint_type")? {
        Some(kind) => Some(UniqueConstraint {
            primary: kind == "p",
            deferrable: deferrable(get(row, "deferrable")?, get(row, "deferred")?),
            comment: get(row, "constraint_comment")?,
        }),
        None => None,
    };
    Ok(IndexFacts {
        name,
        method: SqlIdentifier::from_catalog(get::<String>(row, "method")?),
        unique: get(row, "is_unique")?,
        nulls_not_distinct: get(row, "nulls_not_distinct")?,
        keys,
        include,
        predicate: get(row, "predicate")?,
        options: options(get(row, "options")?),
        tablespace: get::<Option<String>>(row, "tablespace")?.map(SqlIdentifier::from_catalog),
        constraint,
        comment: get(row, "comment")?,
        clustered: get(row, "clustered")?,
        statistics: get::<Vec<i16>>(row, "statistics_columns")?
            .into_iter()
            .zip(get::<Vec<i32>>(row, "statistics_targets")?)
            .collect(),
    })
}

/// Whether and how a constraint can be deferred.
pub(super) fn deferrable(deferrable: Option<bool>, deferred: Option<bool>) -> Deferrable {
    match (deferrable, deferred) {
        (Some(true), Some(true)) => Deferrable::Deferred,
        (Some(true), _) => Deferrable::Immediate,
        _ => Deferrable::No,
    }
}

async fn columns(client: &Client, index: u32) -> Result<(Vec<IndexKey>, Vec<SqlIdentifier>), Problem> {
    // Operator classes and collations are left out where PostgreSQL would choose the same by itself: what an index stores
    // (a hash, a box) may be of another type than its column. An expression's own
    // collation is not in the catalog: it counts as the default one only if no column of the table has another.
    let rows = ask(
        client,
        "the index columns",
        "select n.n::int as number, n.n > i.indnkeyatts as included, a.attname::text as column_name,
                pg_catalog.pg_get_indexdef(i.indexrelid, n.n, false) as expression,
                m.amname = 'btree' as ordered,
                i.indoption[n.n - 1] & 1 = 1 as descending, i.indoption[n.n - 1] & 2 = 2 as nulls_first,
                case when i.indcollation[n.n - 1] = 0 then null
                     when a.attnum is not null and a.attcollation = i.indcollation[n.n - 1] then null
                     when a.attnum is null and i.indcollation[n.n - 1] = 100
                      and not exists (select from pg_catalog.pg_attribute other
                                       where other.attrelid = i.indrelid and other.attnum > 0
                                         and other.attcollation not in (0, 100))
                      and pg_catalog.strpos(pg_catalog.pg_get_indexdef(i.indexrelid, n.n, false), 'COLLATE') = 0
                     then null
                     else (select pg_catalog.format('%I.%I', cn.nspname, co.collname)
                             from pg_catalog.pg_collation co
                             join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace
                            where co.oid = i.indcollation[n.n - 1]) end as collation,
                case when o.oid is null or o.opcdefault and x.attoptions is null
                      and (o.opcintype = coalesce(a.atttypid, x.atttypid)
                           or (o.opcintype = 'pg_catalog.text'::regtype
                               and coalesce(a.atttypid, x.atttypid) = 'pg_catalog.varchar'::regtype)
                           or exists (select from pg_catalog.pg_type t where t.oid = o.opcintype and t.typtype = 'p'))
                     then null
                     else pg_catalog.format('%I.%I', os.nspname, o.opcname) end as operator_class,
                x.attoptions as class_options
           from pg_catalog.pg_index i
           join pg_catalog.pg_class c on c.oid = i.indexrelid
           join pg_catalog.pg_am m on m.oid = c.relam
          cross join lateral pg_catalog.generate_series(1, i.indnatts) n(n)
           join pg_catalog.pg_attribute x on x.attrelid = i.indexrelid and x.attnum = n.n
           left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[n.n - 1] and a.attnum <> 0
           left join pg_catalog.pg_opclass o on n.n <= i.indnkeyatts and o.oid = i.indclass[n.n - 1]
           left join pg_catalog.pg_namespace os on os.oid = o.opcnamespace
          where i.indexrelid = $1
          order by n.n",
        &[&index],
    )
    .await?;
    let mut keys = Vec::new();
    let mut include = Vec::new();
    for row in &rows {
        let column: Option<String> = get(row, "column_name")?;
        if get(row, "included")? {
            include.extend(identifiers(column.into_iter().collect()));
            continue;
        }
        let what = match column {
            Some(column) => IndexedValue::Column(SqlIdentifier::from_catalog(column)),
            None => IndexedValue::Expression(get(row, "expression")?),
        };
        let ordered: bool = get(row, "ordered")?;
        let descending = ordered && get(row, "descending")?;
        let nulls_first = ordered && get(row, "nulls_first")?;
        keys.push(IndexKey {
            what,
            collation: get(row, "collation")?,
            operator_class: operator_class(row)?,
            descending,
            nulls_first: (ordered && nulls_first != descending).then_some(nulls_first),
        });
    }
    Ok((keys, include))
}

fn operator_class(row: &Row) -> Result<Option<String>, Problem> {
    let class: Option<String> = get(row, "operator_class")?;
    let parameters: Vec<String> = options(get(row, "class_options")?)
        .into_iter()
        .map(|(name, value)| format!("{name} = {}", crate::sql::literal(&value)))
        .collect();
    Ok(class.map(|class| {
        if parameters.is_empty() {
            class
        } else {
            format!("{class} ({})", parameters.join(", "))
        }
    }))
}
