//! A whole table: its kind, columns, constraints and indexes.

use tokio_postgres::Client;

use super::{Table, ask, dependents, get, identifiers};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::recipe::{
    ConstraintBelow, ConstraintFacts, ConstraintType, IndexDefinition, NotNullFacts, Partition, Refused,
    TableColumn, TableFacts, TableKind,
};

/// Reads it.
pub(super) async fn read(client: &Client, table: Table, server_version: u32) -> Result<TableFacts, Problem> {
    let (kind, refused) = kind(client, &table).await?;
    Ok(TableFacts {
        has_parent: has_parent(client, &table).await?,
        kind,
        refused,
        partitions: partitions(client, &table).await?,
        columns: columns(client, &table).await?,
        constraints: constraints(client, &table).await?,
        indexes: indexes(client, &table).await?,
        constraint_names: constraint_names(client, &table).await?,
        below: below(client, &table).await?,
        relations: relations(client, &table).await?,
        published: !dependents::publications_of(client, table.oid).await?.is_empty(),
        table: table.name,
        server_version,
    })
}

async fn kind(client: &Client, table: &Table) -> Result<(TableKind, Vec<Refused>), Problem> {
    let rows = ask(
        client,
        "the table",
        "select c.relkind::text as kind, c.reloftype <> 0 as typed, c.relpersistence = 't' as temporary,
                exists (select from pg_catalog.pg_inherits i where c.oid in (i.inhparent, i.inhrelid)) as of_a_family,
                n.nspname in ('pg_catalog', 'information_schema') as system
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where c.oid = $1",
        &[&table.oid],
    )
    .await?;
    let mut refused = Vec::new();
    let Some(row) = rows.first() else {
        return Ok((TableKind::Other, refused));
    };
    let name = &table.name;
    let mut refuse = |what: String, why: &str| {
        refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    let kind = match get::<String>(row, "kind")?.as_str() {
        "p" => TableKind::Partitioned,
        "r" if get(row, "of_a_family")? => TableKind::OfAFamily,
        "r" => TableKind::Ordinary,
        _ => {
            refuse(name.to_string(), "it is not a table; change the table behind it");
            TableKind::Other
        }
    };
    if get(row, "system")? {
        refuse(name.to_string(), "it belongs to PostgreSQL itself");
    }
    if get(row, "temporary")? {
        refuse(
            format!("temporary table {name}"),
            "it is gone when its session ends",
        );
    }
    if get(row, "typed")? {
        refuse(
            format!("typed table {name}"),
            "its columns are those of its type; change the type instead",
        );
    }
    Ok((kind, refused))
}

async fn partitions(client: &Client, table: &Table) -> Result<Vec<Partition>, Problem> {
    let rows = ask(
        client,
        "the partitions",
        "select n.nspname::text as schema, c.relname::text as name, c.relkind = 'p' as is_partitioned,
                c.relkind = 'f' as is_foreign
           from pg_catalog.pg_inherits i
           join pg_catalog.pg_class c on c.oid = i.inhrelid and c.relispartition
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where i.inhparent = $1
          order by 1, 2",
        &[&table.oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Partition {
                table: TableName {
                    schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "schema")?)),
                    name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                },
                is_partitioned: get(row, "is_partitioned")?,
                is_foreign: get(row, "is_foreign")?,
            })
        })
        .collect()
}

async fn has_parent(client: &Client, table: &Table) -> Result<bool, Problem> {
    let rows = ask(
        client,
        "the table's parents",
        "select exists (select from pg_catalog.pg_inherits i where i.inhrelid = $1) as answer",
        &[&table.oid],
    )
    .await?;
    rows.first().map_or(Ok(false), |row| get(row, "answer"))
}

/// The columns of a table.
pub(super) async fn columns(client: &Client, table: &Table) -> Result<Vec<TableColumn>, Problem> {
    let rows = ask(
        client,
        "the columns",
        "with recursive family (oid) as (
             select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = $1
             union select i.inhrelid from family f join pg_catalog.pg_inherits i on i.inhparent = f.oid
         )
         select a.attname::text as name, pg_catalog.format_type(a.atttypid, a.atttypmod) as data_type,
                a.attnotnull as not_null, a.attidentity <> '' as identity, a.attgenerated <> '' as generated,
                pg_catalog.pg_get_expr(d.adbin, d.adrelid) as default_value,
                exists (select from pg_catalog.pg_index i
                         where i.indrelid = a.attrelid and i.indisreplident
                           and a.attnum = any (i.indkey::int2[])) as replica_identity,
                array(select f.oid::regclass::text
                        from family f
                        join pg_catalog.pg_attribute b on b.attrelid = f.oid and b.attname = a.attname
                        left join pg_catalog.pg_attrdef e on e.adrelid = b.attrelid and e.adnum = b.attnum
                       where pg_catalog.pg_get_expr(e.adbin, e.adrelid)
                             is distinct from pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                       order by 1) as other_defaults,
                array(select f.oid::regclass::text
                        from family f
                        join pg_catalog.pg_attribute b on b.attrelid = f.oid and b.attname = a.attname
                       where b.attnotnull order by 1) as not_null_below,
                exists (select from pg_catalog.pg_trigger g
                         where (g.tgrelid = a.attrelid or g.tgrelid in (select f.oid from family f))
                           and not g.tgisinternal and g.tgtype & 7 = 7)
                or exists (select from pg_catalog.pg_rewrite r where r.ev_class = a.attrelid and r.ev_type = '3')
                or exists (with recursive domains (oid) as (
                               select t.oid from pg_catalog.pg_type t where t.oid = a.atttypid and t.typtype = 'd'
                               union all
                               select t.typbasetype from domains d join pg_catalog.pg_type t on t.oid = d.oid
                                where t.typtype = 'd')
                           select from domains d join pg_catalog.pg_type t on t.oid = d.oid
                            where t.typtype = 'd' and t.typdefault is not null) as filled_by_others,
                k.conname::text as not_null_name, k.convalidated as not_null_validated, k.connoinherit as not_null_no_inherit
           from pg_catalog.pg_attribute a
           left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
           left join pg_catalog.pg_constraint k
             on k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum]
            and (not k.convalidated or k.connoinherit or pg_catalog.obj_description(k.oid, 'pg_constraint') is not null
                 or k.conname <> pg_catalog.left(pg_catalog.concat($2::text, '_', a.attname, '_not_null'), 63))
          where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
          order by a.attnum",
        &[&table.oid, &table.name.name.as_str()],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let not_null_name: Option<String> = get(row, "not_null_name")?;
            Ok(TableColumn {
                name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                data_type: get(row, "data_type")?,
                not_null: get(row, "not_null")?,
                default: get(row, "default_value")?,
                identity: get(row, "identity")?,
                generated: get(row, "generated")?,
                replica_identity: get(row, "replica_identity")?,
                other_defaults: get(row, "other_defaults")?,
                not_null_below: get(row, "not_null_below")?,
                filled_by_others: get(row, "filled_by_others")?,
                named_not_null: match not_null_name {
                    Some(name) => Some(NotNullFacts {
                        name: SqlIdentifier::from_catalog(name),
                        validated: get(row, "not_null_validated")?,
                        no_inherit: get(row, "not_null_no_inherit")?,
                    }),
                    None => None,
                },
            })
        })
        .collect()
}

async fn constraints(client: &Client, table: &Table) -> Result<Vec<ConstraintFacts>, Problem> {
    let rows = ask(
        client,
        "the constraints",
        "select c.conname::text as name, c.contype::text as kind,
                pg_catalog.pg_get_constraintdef(c.oid) as definition, c.convalidated as validated,
                array(select a.attname::text from pg_catalog.unnest(c.conkey) with ordinality k(n, place)
                        join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n
                       order by k.place) as columns,
                pg_catalog.obj_description(c.oid, 'pg_constraint') as comment,
                c.coninhcount > 0 as inherited,
                array(select f.conrelid::regclass::text || '.' || f.conname
                        from pg_catalog.pg_constraint f
                       where f.contype = 'f' and f.confrelid = c.conrelid and f.conindid = c.conindid
                         and c.contype in ('p', 'u') and f.conparentid = 0 order by 1) as referenced_by,
                n.nspname::text as target_schema, t.relname::text as target_name,
                c.contype = 'f' and (c.confdeltype not in ('a', 'r') or c.confupdtype not in ('a', 'r')) as acts
           from pg_catalog.pg_constraint c
           left join pg_catalog.pg_class t on t.oid = c.confrelid
           left join pg_catalog.pg_namespace n on n.oid = t.relnamespace
          where c.conrelid = $1 and c.contype <> 'n'
          order by c.conname",
        &[&table.oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let definition: String = get(row, "definition")?;
            let target =
                get::<Option<String>>(row, "target_schema")?.zip(get::<Option<String>>(row, "target_name")?);
            Ok(ConstraintFacts {
                name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                kind: match get::<String>(row, "kind")?.as_str() {
                    "c" => ConstraintType::Check,
                    "f" => ConstraintType::ForeignKey,
                    "u" => ConstraintType::Unique,
                    "p" => ConstraintType::PrimaryKey,
                    "x" => ConstraintType::Exclusion,
                    _ => ConstraintType::Other,
                },
                definition: definition
                    .strip_suffix(" NOT VALID")
                    .unwrap_or(&definition)
                    .to_owned(),
                validated: get(row, "validated")?,
                columns: identifiers(get(row, "columns")?),
                comment: get(row, "comment")?,
                inherited: get(row, "inherited")?,
                referenced_by: get(row, "referenced_by")?,
                target: target.map(|(schema, name)| TableName {
                    schema: Some(SqlIdentifier::from_catalog(schema)),
                    name: SqlIdentifier::from_catalog(name),
                }),
                acts: get(row, "acts")?,
            })
        })
        .collect()
}

async fn constraint_names(client: &Client, table: &Table) -> Result<Vec<SqlIdentifier>, Problem> {
    let rows = ask(
        client,
        "the names of the constraints",
        "select c.conname::text as name from pg_catalog.pg_constraint c where c.conrelid = $1 order by 1",
        &[&table.oid],
    )
    .await?;
    let names: Result<Vec<String>, Problem> = rows.iter().map(|row| get(row, "name")).collect();
    Ok(identifiers(names?))
}

async fn below(client: &Client, table: &Table) -> Result<Vec<ConstraintBelow>, Problem> {
    let rows = ask(
        client,
        "the constraints below",
        "with recursive below(id) as (
             select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = $1
             union
             select i.inhrelid from pg_catalog.pg_inherits i join below b on i.inhparent = b.id)
         select n.nspname::text as schema, t.relname::text as table_name, c.conname::text as name,
                pg_catalog.obj_description(c.oid, 'pg_constraint') as comment,
                c.coninhcount > 0 and (c.conislocal or c.coninhcount > 1) as stays
           from below b
           join pg_catalog.pg_constraint c on c.conrelid = b.id
           join pg_catalog.pg_class t on t.oid = b.id
           join pg_catalog.pg_namespace n on n.oid = t.relnamespace
          order by 1, 2, 3",
        &[&table.oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ConstraintBelow {
                table: TableName {
                    schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "schema")?)),
                    name: SqlIdentifier::from_catalog(get::<String>(row, "table_name")?),
                },
                name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                comment: get(row, "comment")?,
                stays: get(row, "stays")?,
            })
        })
        .collect()
}

async fn indexes(client: &Client, table: &Table) -> Result<Vec<IndexDefinition>, Problem> {
    let rows = ask(
        client,
        "the indexes",
        "select c.relname::text as name, pg_catalog.pg_get_indexdef(i.indexrelid) as definition,
                i.indisvalid and i.indisready as valid, i.indisunique as is_unique, i.indisreplident as replica_identity,
                coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) as nulls_not_distinct,
                c.relispartition as attached,
                i.indisclustered as clustered, k.conname::text as constraint_name,
                array(select a.attname::text from pg_catalog.unnest(i.indkey) with ordinality p(n, place)
                        left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = p.n and p.n <> 0
                       where p.place <= i.indnkeyatts order by p.place) as keys,
                m.amname::text as method, i.indpred is not null as partial, i.indimmediate as immediate,
                not exists (select from unnest(i.indkey, i.indclass, i.indcollation, i.indoption)
                                   with ordinality o(n, class, sorted_by, direction, place)
                              left join pg_catalog.pg_opclass c on c.oid = o.class
                              left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = o.n
                             where o.place <= i.indnkeyatts
                               and (o.direction <> 0 or c.opcdefault is not true
                                    or o.sorted_by is distinct from a.attcollation)) as default_order,
                s.spcname::text as tablespace,
                pg_catalog.obj_description(i.indexrelid, 'pg_class') as comment,
                array(select a.attnum from pg_catalog.pg_attribute a
                       where a.attrelid = i.indexrelid and pg_catalog.to_jsonb(a) ->> 'attstattarget' <> '-1'
                       order by 1) as statistics_columns,
                array(select (pg_catalog.to_jsonb(a) ->> 'attstattarget')::int from pg_catalog.pg_attribute a
                       where a.attrelid = i.indexrelid and pg_catalog.to_jsonb(a) ->> 'attstattarget' <> '-1'
                       order by a.attnum) as statistics_targets,
                array(select f.conrelid::regclass::text || '.' || f.conname
                        from pg_catalog.pg_constraint f
                       where f.contype = 'f' and f.conindid = i.indexrelid and f.confrelid = i.indrelid
                         and f.conparentid = 0 order by 1) as referenced_by
           from pg_catalog.pg_index i
           join pg_catalog.pg_class c on c.oid = i.indexrelid
           join pg_catalog.pg_am m on m.oid = c.relam
           left join pg_catalog.pg_tablespace s on s.oid = c.reltablespace
           left join pg_catalog.pg_constraint k on k.conindid = i.indexrelid and k.conrelid = i.indrelid
                                                and k.contype in ('p', 'u', 'x')
          where i.indrelid = $1
          order by c.relname",
        &[&table.oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            Ok(IndexDefinition {
                name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                definition: get(row, "definition")?,
                valid: get(row, "valid")?,
                unique: get(row, "is_unique")?,
                nulls_not_distinct: get(row, "nulls_not_distinct")?,
                keys: get::<Vec<Option<String>>>(row, "keys")?
                    .into_iter()
                    .map(|key| key.map(SqlIdentifier::from_catalog))
                    .collect(),
                method: get(row, "method")?,
                partial: get(row, "partial")?,
                immediate: get(row, "immediate")?,
                default_order: get(row, "default_order")?,
                tablespace: get::<Option<String>>(row, "tablespace")?.map(SqlIdentifier::from_catalog),
                constraint: get::<Option<String>>(row, "constraint_name")?.map(SqlIdentifier::from_catalog),
                attached: get(row, "attached")?,
                replica_identity: get(row, "replica_identity")?,
                clustered: get(row, "clustered")?,
                comment: get(row, "comment")?,
                statistics: get::<Vec<i16>>(row, "statistics_columns")?
                    .into_iter()
                    .zip(get::<Vec<i32>>(row, "statistics_targets")?)
                    .collect(),
                referenced_by: get(row, "referenced_by")?,
            })
        })
        .collect()
}

async fn relations(client: &Client, table: &Table) -> Result<Vec<SqlIdentifier>, Problem> {
    let rows = ask(
        client,
        "the names in use",
        "select o.relname::text as name
           from pg_catalog.pg_class c
           join pg_catalog.pg_class o on o.relnamespace = c.relnamespace
          where c.oid = $1 order by 1",
        &[&table.oid],
    )
    .await?;
    let names: Result<Vec<String>, Problem> = rows.iter().map(|row| get(row, "name")).collect();
    Ok(identifiers(names?))
}
