//! An enum type: its values, the columns that hold them, and what else is written in terms of them.

use tokio_postgres::Client;

use super::{ask, get, identifiers, in_one_snapshot, qualify};
use crate::domain::{ColumnName, Exit, Problem, SqlIdentifier, TableName, nearest};
use crate::postgres::Session;
use crate::recipe::{EnumColumn, EnumFacts, EnumShape, Mention, Refused};

/// The type itself, arrays of it, domains over either, and what of these holds more than a list: `$1` is its oid.
const OF_TYPE: &str = "
    of_type (oid, shape) as (
        select $1::oid, 'one'
        union
        select t.oid, case when t.typtype = 'd' then o.shape when o.shape = 'one' then 'array' else 'other' end
          from of_type o
          join pg_catalog.pg_type b on b.oid = o.oid
          join pg_catalog.pg_type t on t.oid = b.typarray or (t.typtype = 'd' and t.typbasetype = o.oid))";

/// Reads everything a recipe must know of an enum type. `value` is the one that the operation is about.
///
/// # Errors
/// No such enum type (with the nearest names); the database cannot be asked.
pub async fn enum_facts(session: &Session, name: &TableName, value: &str) -> Result<EnumFacts, Problem> {
    in_one_snapshot(session, async |client| {
        let (oid, name) = find(client, name).await?;
        qualify(client).await?;
        Ok(EnumFacts {
            values: values(client, oid).await?,
            columns: columns(client, oid).await?,
            mentions: mentions(client, oid).await?,
            functions: functions(client, value).await?,
            hidden: hidden(client, oid).await?,
            refused: refused(client, oid, &name).await?,
            name,
        })
    })
    .await
}

async fn find(client: &Client, name: &TableName) -> Result<(u32, TableName), Problem> {
    let rows = ask(
        client,
        "the type",
        "select t.oid, n.nspname::text as schema, t.typname::text as name
           from pg_catalog.pg_type t
           join pg_catalog.pg_namespace n on n.oid = t.typnamespace
          where t.oid = pg_catalog.to_regtype($1) and t.typtype = 'e'",
        &[&name.quoted()],
    )
    .await?;
    match rows.first() {
        Some(row) => Ok((
            get(row, "oid")?,
            TableName {
                schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "schema")?)),
                name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
            },
        )),
        None => Err(missing(client, name).await?),
    }
}

async fn missing(client: &Client, name: &TableName) -> Result<Problem, Problem> {
    let rows = ask(
        client,
        "the enum types",
        "select n.nspname::text as schema, t.typname::text as name, pg_catalog.pg_type_is_visible(t.oid) as visible
           from pg_catalog.pg_type t
           join pg_catalog.pg_namespace n on n.oid = t.typnamespace
          where t.typtype = 'e' order by 3 desc, 1, 2 limit 10000",
        &[],
    )
    .await?;
    let mut known = Vec::new();
    let mut same_name = Vec::new();
    for row in &rows {
        let schema = SqlIdentifier::from_catalog(get::<String>(row, "schema")?);
        let own = SqlIdentifier::from_catalog(get::<String>(row, "name")?);
        if own.as_str().eq_ignore_ascii_case(name.name.as_str()) {
            same_name.push(format!("{schema}.{own}"));
        }
        known.push(if get(row, "visible")? {
            own.to_string()
        } else {
            format!("{schema}.{own}")
        });
    }
    let problem = Problem::new(
        Exit::Usage,
        "no-such-type",
        format!("there is no enum type {name} in this database"),
    );
    let typed = name.to_string();
    let near = nearest(&typed, known.iter().map(String::as_str));
    Ok(if !same_name.is_empty() {
        problem.fix(format!("did you mean {}?", same_name.join(" or ")))
    } else if !near.is_empty() {
        problem.fix(format!("did you mean {}?", near.join(" or ")))
    } else {
        problem.fix("name its schema (SCHEMA.TYPE) if it is not on the search path, and see that --env is the right one")
    })
}

async fn values(client: &Client, oid: u32) -> Result<Vec<String>, Problem> {
    let rows = ask(
        client,
        "the values",
        "select e.enumlabel::text as value from pg_catalog.pg_enum e where e.enumtypid = $1 order by e.enumsortorder",
        &[&oid],
    )
    .await?;
    rows.iter().map(|row| get(row, "value")).collect()
}

async fn columns(client: &Client, oid: u32) -> Result<Vec<EnumColumn>, Problem> {
    let query = format!(
        "with recursive {OF_TYPE}
         select n.nspname::text as schema, c.relname::text as table_name, a.attname::text as name, o.shape,
                a.attgenerated <> '' as generated,
                case when a.attgenerated = '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end as default_value,
                exists (select from pg_catalog.unnest(g.oids) f(oid)
                          join pg_catalog.pg_partitioned_table p on p.partrelid = f.oid
                          join pg_catalog.pg_attribute b on b.attrelid = f.oid and b.attname = a.attname
                         where b.attnum = any (p.partattrs::int2[]) or 0 = any (p.partattrs::int2[])) as partitions,
                array(select i.indexrelid::regclass::text from pg_catalog.unnest(g.oids) f(oid)
                        join pg_catalog.pg_index i on i.indrelid = f.oid
                        join pg_catalog.pg_attribute b on b.attrelid = f.oid and b.attname = a.attname
                       where (i.indisunique or i.indisexclusion)
                         and (b.attnum = any (i.indkey::int2[])
                              or exists (select from pg_catalog.pg_depend e
                                          where e.classid = 'pg_catalog.pg_class'::regclass and e.objid = i.indexrelid
                                            and e.refclassid = 'pg_catalog.pg_class'::regclass and e.refobjid = f.oid
                                            and e.refobjsubid = b.attnum))
                       order by 1) as indexes,
                array(select k.conname::text from pg_catalog.pg_constraint k
                       where k.contype = 'f' and k.conrelid = c.oid and a.attnum = any (k.conkey) order by 1) as keys,
                array(select k.conname::text from pg_catalog.unnest(g.oids) f(oid)
                        join pg_catalog.pg_constraint k on k.conrelid = f.oid order by 1) as constraint_names
           from of_type o
           join pg_catalog.pg_attribute a on a.atttypid = o.oid and a.attnum > 0 and not a.attisdropped
                                         and a.attinhcount = 0
           join pg_catalog.pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p') and c.relpersistence <> 't'
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
          cross join lateral (
                with recursive below (oid) as (
                    select c.oid
                    union
                    select h.inhrelid from below b join pg_catalog.pg_inherits h on h.inhparent = b.oid)
                select pg_catalog.array_agg(below.oid) as oids from below) g
          where o.shape <> 'other'
          order by 1, 2, a.attnum"
    );
    let rows = ask(client, "the columns of the type", &query, &[&oid]).await?;
    rows.iter()
        .map(|row| {
            let mut compared_by: Vec<String> = get(row, "indexes")?;
            compared_by.extend(get::<Vec<String>>(row, "keys")?);
            Ok(EnumColumn {
                column: ColumnName {
                    table: TableName {
                        schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "schema")?)),
                        name: SqlIdentifier::from_catalog(get::<String>(row, "table_name")?),
                    },
                    column: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                },
                shape: match get::<String>(row, "shape")?.as_str() {
                    "one" => EnumShape::One,
                    _ => EnumShape::Array,
                },
                default: get(row, "default_value")?,
                generated: get(row, "generated")?,
                partitions: get(row, "partitions")?,
                compared_by,
                constraint_names: identifiers(get(row, "constraint_names")?),
            })
        })
        .collect()
}

/// Everything whose SQL has a value of the type, as its dependency on the type tells; and the defaults of domains.
async fn mentions(client: &Client, oid: u32) -> Result<Vec<Mention>, Problem> {
    let query = format!(
        "with recursive {OF_TYPE},
         found (class, id) as (
             select distinct d.classid, d.objid from pg_catalog.pg_depend d
              where d.refclassid = 'pg_catalog.pg_type'::regclass and d.refobjid in (select o.oid from of_type o)
                and d.objsubid = 0
             union
             -- Before 15, what a generated column is made of depends by the column itself.
             select 'pg_catalog.pg_attrdef'::regclass, x.oid
               from pg_catalog.pg_attrdef x
               join pg_catalog.pg_attribute a on a.attrelid = x.adrelid and a.attnum = x.adnum and a.attgenerated <> ''
               join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::regclass and d.objid = x.adrelid
                                          and d.objsubid = x.adnum and d.refclassid = 'pg_catalog.pg_type'::regclass
                                          and d.refobjid in (select o.oid from of_type o))
         select pg_catalog.pg_describe_object(f.class, f.id, 0) as what, s.text,
                f.class = 'pg_catalog.pg_attrdef'::regclass and not s.generated as is_default,
                f.class = 'pg_catalog.pg_constraint'::regclass as is_check,
                f.class = 'pg_catalog.pg_class'::regclass as is_index
           from found f
          cross join lateral (
                select pg_catalog.pg_get_expr(x.adbin, x.adrelid) as text,
                       exists (select from pg_catalog.pg_attribute a
                                where a.attrelid = x.adrelid and a.attnum = x.adnum and a.attgenerated <> '') as generated
                  from pg_catalog.pg_attrdef x where f.class = 'pg_catalog.pg_attrdef'::regclass and x.oid = f.id
                union all
                select pg_catalog.pg_get_constraintdef(x.oid), false from pg_catalog.pg_constraint x
                 where f.class = 'pg_catalog.pg_constraint'::regclass and x.oid = f.id
                union all
                select pg_catalog.pg_get_indexdef(x.oid), false from pg_catalog.pg_class x
                 where f.class = 'pg_catalog.pg_class'::regclass and x.oid = f.id and x.relkind in ('i', 'I')
                union all
                select pg_catalog.pg_get_ruledef(x.oid), false from pg_catalog.pg_rewrite x
                 where f.class = 'pg_catalog.pg_rewrite'::regclass and x.oid = f.id
                union all
                select pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(x.polqual, x.polrelid),
                                            pg_catalog.pg_get_expr(x.polwithcheck, x.polrelid)), false
                  from pg_catalog.pg_policy x
                 where f.class = 'pg_catalog.pg_policy'::regclass and x.oid = f.id
                union all
                select pg_catalog.pg_get_triggerdef(x.oid), false from pg_catalog.pg_trigger x
                 where f.class = 'pg_catalog.pg_trigger'::regclass and x.oid = f.id
                union all
                select pg_catalog.pg_get_functiondef(x.oid), false from pg_catalog.pg_proc x
                 where f.class = 'pg_catalog.pg_proc'::regclass and x.oid = f.id and x.prokind in ('f', 'p')) s
         union all
         select pg_catalog.concat('default of domain ', t.oid::regtype), t.typdefault, true, false, false
           from of_type o
           join pg_catalog.pg_type t on t.oid = o.oid and t.typdefault is not null
          order by 1"
    );
    let rows = ask(client, "what is written in terms of the type", &query, &[&oid]).await?;
    rows.iter()
        .map(|row| {
            Ok(Mention {
                what: get(row, "what")?,
                text: get(row, "text")?,
                is_default: get(row, "is_default")?,
                is_check: get(row, "is_check")?,
                is_index: get(row, "is_index")?,
            })
        })
        .collect()
}

/// Functions of the user in whose text a value stands.
async fn functions(client: &Client, value: &str) -> Result<Vec<String>, Problem> {
    let rows = ask(
        client,
        "the functions",
        "select p.oid::regprocedure::text as name
           from pg_catalog.pg_proc p
           join pg_catalog.pg_namespace n on n.oid = p.pronamespace
          where n.nspname not in ('pg_catalog', 'information_schema')
            and pg_catalog.strpos(p.prosrc, pg_catalog.quote_literal($1::text)) > 0
          order by 1",
        &[&value],
    )
    .await?;
    rows.iter().map(|row| get(row, "name")).collect()
}

/// What may hold values and cannot be looked into or filled.
async fn hidden(client: &Client, oid: u32) -> Result<Vec<Refused>, Problem> {
    let query = format!(
        "with recursive {OF_TYPE}
         select pg_catalog.concat(case c.relkind when 'c' then 'composite type ' when 'f' then 'foreign table '
                                                 when 'm' then 'materialized view ' else 'column ' end,
                                  c.oid::regclass, '.', pg_catalog.quote_ident(a.attname)) as what
           from of_type o
           join pg_catalog.pg_attribute a on a.atttypid = o.oid and a.attnum > 0 and not a.attisdropped
           join pg_catalog.pg_class c on c.oid = a.attrelid and c.relpersistence <> 't'
          where c.relkind in ('c', 'f', 'm') or (c.relkind in ('r', 'p') and o.shape = 'other' and a.attinhcount = 0)
         union all
         select pg_catalog.concat('range type ', r.rngtypid::regtype)
           from of_type o join pg_catalog.pg_range r on r.rngsubtype = o.oid
          order by 1"
    );
    let rows = ask(client, "what holds values of the type", &query, &[&oid]).await?;
    rows.iter()
        .map(|row| {
            Ok(Refused {
                what: get(row, "what")?,
                why: "it may hold the value, and no plan looks into it or fills it".to_owned(),
            })
        })
        .collect()
}

async fn refused(client: &Client, oid: u32, name: &TableName) -> Result<Vec<Refused>, Problem> {
    let rows = ask(
        client,
        "whose the type is",
        "select e.extname::text as extension
           from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid = d.refobjid
          where d.classid = 'pg_catalog.pg_type'::regclass and d.objid = $1
            and d.refclassid = 'pg_catalog.pg_extension'::regclass and d.deptype = 'e'",
        &[&oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let extension: String = get(row, "extension")?;
            Ok(Refused {
                what: format!("extension {extension}"),
                why: format!("{name} belongs to it, and is changed with it"),
            })
        })
        .collect()
}
