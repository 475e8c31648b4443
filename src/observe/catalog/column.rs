//! The column itself: its type, default, comment, grants and settings.

use tokio_postgres::Client;

use super::{Place, Purpose, Table, ask, get, identifiers, options};
use crate::domain::{ColumnName, Exit, Problem, SqlIdentifier, nearest};
use crate::postgres::describe_error;
use crate::recipe::{ColumnFacts, ColumnGrant, Comparison, DefaultValue, Refused};

/// The column of this name.
pub(super) async fn find(
    client: &Client,
    table: Table,
    column: &SqlIdentifier,
    purpose: Purpose,
) -> Result<Place, Problem> {
    let rows = ask(
        client,
        "the column",
        "select attnum from pg_catalog.pg_attribute
          where attrelid = $1 and attname = $2 and attnum > 0 and not attisdropped",
        &[&table.oid, &column.as_str()],
    )
    .await?;
    if let Some(row) = rows.first() {
        return Ok(Place {
            purpose,
            number: get(row, "attnum")?,
            column: column.clone(),
            table,
        });
    }
    let known = siblings(client, &table, 0).await?;
    let typed: Vec<String> = known.iter().map(SqlIdentifier::to_string).collect();
    let folded: Vec<String> = known
        .iter()
        .filter(|other| other.as_str().eq_ignore_ascii_case(column.as_str()))
        .map(SqlIdentifier::to_string)
        .collect();
    let near = if folded.is_empty() {
        nearest(column.as_str(), typed.iter().map(String::as_str))
            .into_iter()
            .map(str::to_owned)
            .collect()
    } else {
        folded
    };
    let problem = Problem::new(
        Exit::Usage,
        "no-such-column",
        format!("{} has no column {column}", table.name),
    );
    Err(if near.is_empty() {
        problem.fix(format!("its columns are: {}", typed.join(", ")))
    } else {
        problem.fix(format!("did you mean {}?", near.join(" or ")))
    })
}

async fn siblings(client: &Client, table: &Table, except: i16) -> Result<Vec<SqlIdentifier>, Problem> {
    let rows = ask(
        client,
        "the columns",
        "select attname::text as name from pg_catalog.pg_attribute
          where attrelid = $1 and attnum > 0 and attnum <> $2 and not attisdropped order by attnum",
        &[&table.oid, &except],
    )
    .await?;
    let names: Result<Vec<String>, Problem> = rows.iter().map(|row| get(row, "name")).collect();
    Ok(identifiers(names?))
}

/// What hangs on the column alone.
pub(super) async fn describe(client: &Client, place: &Place) -> Result<ColumnFacts, Problem> {
    let rows = ask(
        client,
        "the column",
        "select pg_catalog.format_type(a.atttypid, a.atttypmod) as data_type,
                case when a.attcollation not in (0, t.typcollation)
                     then pg_catalog.format('%I.%I', cn.nspname, co.collname) end as collation,
                coalesce(not co.collisdeterministic, false) as loose_collation,
                a.attnotnull as not_null,
                a.attidentity::text as identity,
                a.attgenerated::text as generated,
                a.attinhcount > 0 as inherited,
                pg_catalog.pg_get_expr(d.adbin, d.adrelid) as default_value,
                pg_catalog.col_description(a.attrelid, a.attnum) as comment,
                nullif((pg_catalog.to_jsonb(a) ->> 'attstattarget')::int, -1) as statistics,
                case when a.attstorage <> t.typstorage then
                     case a.attstorage when 'p' then 'PLAIN' when 'e' then 'EXTERNAL'
                                       when 'x' then 'EXTENDED' when 'm' then 'MAIN' end end as storage,
                case pg_catalog.to_jsonb(a) ->> 'attcompression'
                     when 'p' then 'pglz' when 'l' then 'lz4' end as compression,
                a.attoptions as options,
                t.typname::text as type_name, t.oid as type_oid,
                t.typtype = 'd' as is_domain
           from pg_catalog.pg_attribute a
           join pg_catalog.pg_type t on t.oid = a.atttypid
           left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
           left join pg_catalog.pg_collation co on co.oid = a.attcollation
           left join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace
          where a.attrelid = $1 and a.attnum = $2",
        &[&place.table.oid, &place.number],
    )
    .await?;
    let row = rows.first().ok_or_else(|| {
        Problem::new(
            Exit::Failed,
            "catalog-unreadable",
            "the column went away while it was read",
        )
    })?;

    let name = ColumnName {
        table: place.table.name.clone(),
        column: place.column.clone(),
    };
    let mut facts = ColumnFacts::plain(name, get::<String>(row, "data_type")?);
    facts.siblings = siblings(client, &place.table, place.number).await?;
    facts.collation = get(row, "collation")?;
    facts.not_null = get(row, "not_null")?;
    facts.default = get(row, "default_value")?;
    facts.comment = get(row, "comment")?;
    facts.statistics = get(row, "statistics")?;
    facts.storage = get(row, "storage")?;
    facts.compression = get(row, "compression")?;
    facts.options = options(get(row, "options")?);
    facts.grants = grants(client, place).await?;

    facts.comparison = if get::<bool>(row, "loose_collation")? {
        Comparison::Bytes
    } else if get::<String>(row, "type_name")? == "citext"
        || !has_equality(client, get(row, "type_oid")?).await?
    {
        Comparison::Text
    } else {
        Comparison::Equality
    };

    let mut refuse = |what: String, why: &str| {
        facts.refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    // A key takes its identity along.
    if !get::<String>(row, "identity")?.is_empty() && place.purpose != Purpose::Widen {
        refuse(
            format!("identity of {}", place.column),
            place.say(
                "an identity column hands out its own values, and two columns cannot share them",
                "the way back could not tell where its values had come to; run ALTER COLUMN … DROP IDENTITY first",
            ),
        );
    }
    if !get::<String>(row, "generated")?.is_empty() {
        refuse(
            format!("generated column {}", place.column),
            place.say(
                "its values are computed, so that no code can write them; add a second generated column and let code move to \
                 it",
                "the way back would rewrite the table under an exclusive lock; where it is STORED, run ALTER COLUMN … DROP \
                 EXPRESSION first, which keeps the values",
            ),
        );
    }
    if get::<bool>(row, "inherited")? {
        refuse(
            format!("inheritance of {}", place.column),
            place.say(
                "the column comes from a parent table; change it there",
                "the column comes from a parent table; drop it there",
            ),
        );
    }
    if get::<bool>(row, "is_domain")? && domain_is_constrained(client, get(row, "type_oid")?).await? {
        refuse(
            format!("domain {}", facts.data_type),
            place.say(
                "adding a column of a domain with constraints or a default rewrites the table under an exclusive lock",
                "the way back would rewrite the table under an exclusive lock; give the column the domain's base type first",
            ),
        );
    }
    facts.default_value = default_value(client, facts.default.as_deref()).await?;
    Ok(facts)
}

async fn grants(client: &Client, place: &Place) -> Result<Vec<ColumnGrant>, Problem> {
    let rows = ask(
        client,
        "the column's grants",
        "select r.rolname::text as grantee, x.grantee = 0 as everyone, x.privilege_type as privilege,
                pg_catalog.bool_or(x.is_grantable) as grantable
           from pg_catalog.pg_attribute a
          cross join lateral pg_catalog.aclexplode(a.attacl) x
           left join pg_catalog.pg_roles r on r.oid = x.grantee
          where a.attrelid = $1 and a.attnum = $2
            and (x.grantee = 0 or r.rolname is not null)
          group by 1, 2, 3 order by 2 desc, 1, 3",
        &[&place.table.oid, &place.number],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let grantee: Option<String> = get(row, "grantee")?;
            Ok(ColumnGrant {
                grantee: grantee.map(SqlIdentifier::from_catalog),
                privilege: get(row, "privilege")?,
                grantable: get(row, "grantable")?,
            })
        })
        .collect()
}

/// Whether the type (or what it is made of) has an equality that indexes use. Geometric types have an operator `=`
/// that compares areas, hence the look at operator classes and not at operators.
pub(super) async fn has_equality(client: &Client, data_type: u32) -> Result<bool, Problem> {
    let rows = ask(
        client,
        "the type's equality",
        "with recursive chain (oid, typtype, typelem, typbasetype, is_array) as (
             select t.oid, t.typtype, t.typelem, t.typbasetype, t.typcategory = 'A'
               from pg_catalog.pg_type t where t.oid = $1
             union all
             select t.oid, t.typtype, t.typelem, t.typbasetype, t.typcategory = 'A'
               from chain c
               join pg_catalog.pg_type t
                 on t.oid = case when c.typtype = 'd' then c.typbasetype when c.is_array then c.typelem end
         )
         select exists (
             select from chain c
              where c.typtype <> 'd' and not c.is_array
                and (c.typtype in ('e', 'r', 'm')
                     or exists (select from pg_catalog.pg_opclass o
                                  join pg_catalog.pg_am m on m.oid = o.opcmethod and m.amname in ('btree', 'hash')
                                 where o.opcdefault
                                   and (o.opcintype = c.oid
                                        or exists (select from pg_catalog.pg_cast k
                                                    where k.castsource = c.oid and k.casttarget = o.opcintype
                                                      and k.castmethod = 'b' and k.castcontext = 'i'))))
         ) as answer",
        &[&data_type],
    )
    .await?;
    rows.first().map_or(Ok(false), |row| get(row, "answer"))
}

/// Whether a domain, or one that it rests on, has constraints or a default.
pub(super) async fn domain_is_constrained(client: &Client, domain: u32) -> Result<bool, Problem> {
    let rows = ask(
        client,
        "the domain's constraints",
        "with recursive domains (oid, typbasetype, constrained) as (
             select t.oid, t.typbasetype, t.typnotnull or t.typdefault is not null
               from pg_catalog.pg_type t
              where t.oid = $1 and t.typtype = 'd'
             union all
             select t.oid, t.typbasetype, t.typnotnull or t.typdefault is not null
               from domains d join pg_catalog.pg_type t on t.oid = d.typbasetype and t.typtype = 'd'
         )
         select coalesce(pg_catalog.bool_or(d.constrained
                  or exists (select from pg_catalog.pg_constraint c where c.contypid = d.oid)), false) as answer
           from domains d",
        &[&domain],
    )
    .await?;
    rows.first().map_or(Ok(false), |row| get(row, "answer"))
}

/// What comes of evaluating the default twice. Stable functions of one's own may look at anything, so nothing is said of
/// them, nor of what looks like a call and is not known.
async fn default_value(client: &Client, default: Option<&str>) -> Result<DefaultValue, Problem> {
    let Some(default) = default else {
        return Ok(DefaultValue::Same);
    };
    let run = |error| describe_error(&error, "asking what the default comes to");
    client
        .batch_execute("SAVEPOINT default_asked")
        .await
        .map_err(run)?;
    // What PostgreSQL will not plan, for want of a right or because it fails, is not counted on.
    let another = is_volatile(client, default).await.unwrap_or(true);
    client
        .batch_execute("ROLLBACK TO SAVEPOINT default_asked")
        .await
        .map_err(run)?;
    if another {
        return Ok(DefaultValue::Another);
    }
    let rows = ask(
        client,
        "the default's functions",
        "select coalesce(pg_catalog.bool_and(
                    c.name in ('coalesce', 'greatest', 'least', 'nullif', 'row', 'and', 'or', 'not', 'in', 'any', 'all',
                               'case', 'when', 'then', 'else', 'array', 'varying', 'character', 'varchar', 'numeric', 'bit',
                               'time', 'timestamp', 'interval', 'current_time', 'current_timestamp', 'localtime',
                               'localtimestamp')
                    or (select pg_catalog.bool_and(p.provolatile = 'i' or p.pronamespace = 'pg_catalog'::regnamespace)
                          from pg_catalog.pg_proc p where p.proname = c.name) is true), true) as same
           from (select coalesce(pg_catalog.replace(m.part[1], '\"\"', '\"'), pg_catalog.lower(m.part[2])) as name
                   from pg_catalog.regexp_matches($1, '(?:\"((?:[^\"]|\"\")+)\"|([[:alnum:]_$]+))\\s*\\(', 'g') as m(part)) c",
        &[&default],
    )
    .await?;
    let is_same = match rows.first() {
        Some(row) => get(row, "same")?,
        None => false,
    };
    Ok(if is_same {
        DefaultValue::Same
    } else {
        DefaultValue::Unknown
    })
}

/// Whether PostgreSQL holds an expression to be another value each time. It does not pull up a subquery that calls anything
/// volatile, by whatever name, operator or cast; nothing is evaluated for that.
pub(super) async fn is_volatile(client: &Client, expression: &str) -> Result<bool, tokio_postgres::Error> {
    is_volatile_over(client, expression, "").await
}

/// The same for an expression over rows of any kind.
pub(super) async fn is_volatile_over(
    client: &Client,
    expression: &str,
    rows: &str,
) -> Result<bool, tokio_postgres::Error> {
    let from = if rows.is_empty() {
        String::new()
    } else {
        format!(" FROM {rows}")
    };
    let query = format!(
        "EXPLAIN (COSTS OFF) SELECT value IS NULL, value FROM (SELECT ({expression}\n) AS value{from}) AS one_row"
    );
    let rows = client.query(&query, &[]).await?;
    let first: Option<String> = rows.first().map(|row| row.try_get(0)).transpose()?;
    Ok(first.is_none_or(|line| line.starts_with("Subquery Scan")))
}
