//! What is to be known of two tables whose rows pair, before a column goes from the one to the other.

use tokio_postgres::Client;

use super::{Table, ask, fillable, fired_by_updates, get, identifiers, in_one_snapshot, qualify, table};
use crate::domain::{ColumnName, Problem, SqlIdentifier, TableName};
use crate::postgres::Session;
use crate::recipe::Refused;
use crate::recipe::move_column::{KeyBetween, Pair, Pairing};

/// The foreign keys between two tables, in either direction.
///
/// # Errors
/// No such table; the database cannot be asked.
pub async fn keys_between(
    session: &Session,
    source: &TableName,
    target: &TableName,
) -> Result<Vec<KeyBetween>, Problem> {
    in_one_snapshot(session, async |client| {
        let (source, target) = both(client, source, target).await?;
        let rows = ask(
            client,
            "the foreign keys between the tables",
            "select c.conname::text as name, c.conrelid = $2 as of_target, c.convalidated as validated,
                    c.condeferrable or not coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::boolean, true)
                    or coalesce((pg_catalog.to_jsonb(c) ->> 'conperiod')::boolean, false) as unusual,
                    array(select a.attname::text from pg_catalog.unnest(c.conkey) with ordinality k(n, place)
                            join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n
                           order by k.place) as columns,
                    array(select a.attname::text from pg_catalog.unnest(c.confkey) with ordinality k(n, place)
                            join pg_catalog.pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.n
                           order by k.place) as referred
               from pg_catalog.pg_constraint c
              where c.contype = 'f' and $1 <> $2
                and (c.conrelid = $1 and c.confrelid = $2 or c.conrelid = $2 and c.confrelid = $1)
              order by 1",
            &[&source.oid, &target.oid],
        )
        .await?;
        rows.iter()
            .map(|row| {
                let of_target: bool = get(row, "of_target")?;
                let (columns, referred) = (
                    identifiers(get(row, "columns")?),
                    identifiers(get(row, "referred")?),
                );
                let pairs = columns.into_iter().zip(referred).map(|(own, other)| {
                    if of_target {
                        Pair {
                            source: other,
                            target: own,
                        }
                    } else {
                        Pair {
                            source: own,
                            target: other,
                        }
                    }
                });
                Ok(KeyBetween {
                    name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                    of_target,
                    pairs: pairs.collect(),
                    validated: get(row, "validated")?,
                    unusual: get(row, "unusual")?,
                })
            })
            .collect()
    })
    .await
}

/// What stands in the way of moving a column along a foreign key, and what else has to be known for it.
///
/// # Errors
/// No such table; the database cannot be asked.
pub async fn pairing(
    session: &Session,
    column: &ColumnName,
    target: &TableName,
    key: &KeyBetween,
    create_rows: bool,
) -> Result<Pairing, Problem> {
    let fired = fired_by_updates(session, &column.table, std::slice::from_ref(&column.column)).await?;
    in_one_snapshot(session, async |client| {
        let (source, target) = both(client, &column.table, target).await?;
        let mut pairing = Pairing {
            fired,
            ..Pairing::default()
        };
        for table in [&source, &target] {
            kind(client, table, &mut pairing.refused).await?;
        }
        storage(client, &source, &target, &mut pairing.refused).await?;
        types(client, &source, &target, key, &mut pairing.refused).await?;
        rights(
            client,
            (&source, &target),
            column,
            (key, create_rows),
            &mut pairing.refused,
        )
        .await?;
        let rows = ask(
            client,
            "the names in use",
            "select g.tgname::text as name from pg_catalog.pg_trigger g where g.tgrelid in ($1, $2)
             union
             select p.proname::text from pg_catalog.pg_proc p
               join pg_catalog.pg_class c on c.relnamespace = p.pronamespace where c.oid in ($1, $2)",
            &[&source.oid, &target.oid],
        )
        .await?;
        let names: Result<Vec<String>, Problem> = rows.iter().map(|row| get(row, "name")).collect();
        pairing.taken = identifiers(names?);
        let rows = ask(
            client,
            "the triggers",
            "select exists (select from pg_catalog.pg_trigger g
                             where g.tgrelid = $1 and not g.tgisinternal and g.tgtype & 19 = 19) as answer",
            &[&target.oid],
        )
        .await?;
        pairing.target_is_changed = rows.first().map_or(Ok(true), |row| get(row, "answer"))?;
        if create_rows {
            late(client, &source, &target, &mut pairing).await?;
        }
        Ok(pairing)
    })
    .await
}

async fn both(client: &Client, source: &TableName, target: &TableName) -> Result<(Table, Table), Problem> {
    let (source, target) = (
        table::find(client, source).await?,
        table::find(client, target).await?,
    );
    qualify(client).await?;
    Ok((source, target))
}

/// Triggers that come after those which make rows of the target, and may insert there themselves.
async fn late(client: &Client, source: &Table, target: &Table, pairing: &mut Pairing) -> Result<(), Problem> {
    // FOR EACH ROW is 1, BEFORE 2, INSERT 4, INSTEAD OF 64.
    let rows = ask(
        client,
        "the triggers of INSERTs",
        "select pg_catalog.quote_ident(g.tgname) as name,
                pg_catalog.strpos(pg_catalog.lower(p.prosrc), pg_catalog.lower(c.relname::text)) > 0 as names_target
           from pg_catalog.pg_trigger g
           join pg_catalog.pg_proc p on p.oid = g.tgfoid
           join pg_catalog.pg_class c on c.oid = $2
          where g.tgrelid = $1 and not g.tgisinternal and g.tgenabled <> 'D' and g.tgtype & 70 = 4
            and (g.tgtype & 1 = 0 or g.tgdeferrable or g.tgname >= 'zz')
          order by 1",
        &[&source.oid, &target.oid],
    )
    .await?;
    for row in &rows {
        let what = format!("trigger {} of {}", get::<String>(row, "name")?, source.name);
        if get(row, "names_target")? {
            pairing.refused.push(Refused {
                what,
                why: format!(
                    "its function speaks of {}, and it would come after those that make rows there; let it be FOR EACH ROW, not \
                     deferrable, and of a name that sorts before zz, or leave --create-rows out if it makes these rows itself",
                    target.name
                ),
            });
        } else {
            pairing.fired_late.push(what);
        }
    }
    Ok(())
}

/// Row security hides rows from the triggers, rules write others, and what fills cannot write, triggers cannot either.
async fn kind(client: &Client, table: &Table, refused: &mut Vec<Refused>) -> Result<(), Problem> {
    let rows = ask(
        client,
        "the table",
        "select c.relrowsecurity as row_security,
                exists (select from pg_catalog.pg_rewrite r where r.ev_class = c.oid and r.ev_type <> '2') as has_rules
           from pg_catalog.pg_class c where c.oid = $1",
        &[&table.oid],
    )
    .await?;
    let Some(row) = rows.first() else { return Ok(()) };
    if get(row, "row_security")? {
        refused.push(Refused {
            what: format!("row security of {}", table.name),
            why: "the triggers run as whoever writes, and would silently miss rows that a policy hides; disable it for that time"
                .to_owned(),
        });
    }
    if get(row, "has_rules")? {
        refused.push(Refused {
            what: format!("rules of {}", table.name),
            why: "what they make of a statement is not seen by the triggers; drop them first".to_owned(),
        });
    }
    fillable::read(client, table, refused).await
}

async fn storage(
    client: &Client,
    source: &Table,
    target: &Table,
    refused: &mut Vec<Refused>,
) -> Result<(), Problem> {
    let rows = ask(
        client,
        "the tables",
        "select s.relpersistence = t.relpersistence as is_same
           from pg_catalog.pg_class s, pg_catalog.pg_class t where s.oid = $1 and t.oid = $2",
        &[&source.oid, &target.oid],
    )
    .await?;
    if let Some(row) = rows.first()
        && !get::<bool>(row, "is_same")?
    {
        refused.push(Refused {
            what: format!("persistence of {} and {}", source.name, target.name),
            why: "one of them is unlogged, so that a crash would empty it and leave the other; make both alike first".to_owned(),
        });
    }
    Ok(())
}

/// Columns that pair must be found by each other's values, with PostgreSQL's own equality and through their indexes.
async fn types(
    client: &Client,
    source: &Table,
    target: &Table,
    key: &KeyBetween,
    refused: &mut Vec<Refused>,
) -> Result<(), Problem> {
    for pair in &key.pairs {
        let rows = ask(
            client,
            "the types of the columns that pair",
            "with sides as (
                 select a.atttypid as type, a.attcollation as sorted_by,
                        coalesce(b.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace or t.typtype = 'e' as is_known,
                        coalesce(b.typname, t.typname) in ('int2', 'int4', 'int8') as is_integer
                   from pg_catalog.pg_attribute a
                   join pg_catalog.pg_type t on t.oid = a.atttypid
                   left join pg_catalog.pg_type b on b.oid = t.typbasetype
                  where a.attrelid = $1 and a.attname = $3 or a.attrelid = $2 and a.attname = $4
             )
             select coalesce(pg_catalog.bool_and(is_known) and pg_catalog.count(distinct sorted_by) = 1
                             and (pg_catalog.count(distinct type) = 1 or pg_catalog.bool_and(is_integer)), false) as fit
               from sides",
            &[&source.oid, &target.oid, &pair.source.as_str(), &pair.target.as_str()],
        )
        .await?;
        let fit: bool = rows.first().map_or(Ok(false), |row| get(row, "fit"))?;
        if !fit {
            refused.push(Refused {
                what: format!(
                    "types of {}.{} and {}.{}",
                    source.name, pair.source, target.name, pair.target
                ),
                why: "they are not of one type and collation of PostgreSQL's own, so that it is not sure that rows are found by them in \
                      a trigger; make them alike first"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

/// What roles that may write one table must be allowed at the other, since the triggers run with their rights.
async fn rights(
    client: &Client,
    (source, target): (&Table, &Table),
    column: &ColumnName,
    (key, create_rows): (&KeyBetween, bool),
    refused: &mut Vec<Refused>,
) -> Result<(), Problem> {
    let of_source: Vec<&str> = key.pairs.iter().map(|pair| pair.source.as_str()).collect();
    let of_target: Vec<&str> = key.pairs.iter().map(|pair| pair.target.as_str()).collect();
    // Rights on the column alone are given on its new place too.
    let rows = ask(
        client,
        "the rights of those who write",
        "with roles as (
             select r.oid, r.rolname,
                    exists (select from pg_catalog.pg_attribute a cross join lateral pg_catalog.aclexplode(a.attacl) x
                             where a.attrelid = $1::oid and a.attname = $3::text and x.privilege_type = 'UPDATE'
                               and (x.grantee = 0 or pg_catalog.pg_has_role(r.oid, x.grantee, 'USAGE'))) as carried_update,
                    exists (select from pg_catalog.pg_attribute a cross join lateral pg_catalog.aclexplode(a.attacl) x
                             where a.attrelid = $1::oid and a.attname = $3::text and x.privilege_type = 'SELECT'
                               and (x.grantee = 0 or pg_catalog.pg_has_role(r.oid, x.grantee, 'USAGE'))) as carried_select
               from pg_catalog.pg_roles r where not r.rolsuper and r.rolname !~ '^pg_'
         ), writers as (
             select r.*,
                    pg_catalog.has_column_privilege(r.oid, $1::oid, $3::text, 'UPDATE')
                    or (($6::boolean or $7::boolean) and pg_catalog.has_any_column_privilege(r.oid, $1::oid, 'INSERT'))
                    or exists (select from pg_catalog.pg_trigger g
                                where g.tgrelid = $1::oid and not g.tgisinternal and g.tgtype & 19 = 19)
                       and pg_catalog.has_any_column_privilege(r.oid, $1::oid, 'UPDATE') as of_source,
                    pg_catalog.has_any_column_privilege(r.oid, $2::oid, 'INSERT')
                    or pg_catalog.has_any_column_privilege(r.oid, $2::oid, 'UPDATE') or r.carried_update as of_target
               from roles r
         ), lacked as (
             select w.rolname, n.what, n.place
               from writers w
              cross join lateral (values
                  (1, not pg_catalog.has_schema_privilege(w.oid, (select c.relnamespace from pg_catalog.pg_class c where c.oid = $1::oid), 'USAGE'),
                   pg_catalog.format('USAGE ON SCHEMA %s', (select c.relnamespace::regnamespace from pg_catalog.pg_class c where c.oid = $1::oid))),
                  (2, not pg_catalog.has_schema_privilege(w.oid, (select c.relnamespace from pg_catalog.pg_class c where c.oid = $2::oid), 'USAGE'),
                   pg_catalog.format('USAGE ON SCHEMA %s', (select c.relnamespace::regnamespace from pg_catalog.pg_class c where c.oid = $2::oid))),
                  (3, not pg_catalog.has_column_privilege(w.oid, $1::oid, $3::text, 'SELECT')
                      or exists (select from pg_catalog.unnest($4::text[]) k where not pg_catalog.has_column_privilege(w.oid, $1::oid, k, 'SELECT')),
                   pg_catalog.format('SELECT ON %s', $1::oid::regclass)),
                  (4, not pg_catalog.has_column_privilege(w.oid, $1::oid, $3::text, 'UPDATE'), pg_catalog.format('UPDATE ON %s', $1::oid::regclass)),
                  (5, not (w.carried_select or pg_catalog.has_table_privilege(w.oid, $2::oid, 'SELECT'))
                      or exists (select from pg_catalog.unnest($5::text[]) k where not pg_catalog.has_column_privilege(w.oid, $2::oid, k, 'SELECT')),
                   pg_catalog.format('SELECT ON %s', $2::oid::regclass)),
                  (6, not (w.carried_update or pg_catalog.has_table_privilege(w.oid, $2::oid, 'UPDATE')),
                   pg_catalog.format('UPDATE ON %s', $2::oid::regclass)),
                  (7, $7::boolean and w.of_source and not pg_catalog.has_table_privilege(w.oid, $2::oid, 'INSERT'),
                   pg_catalog.format('INSERT ON %s', $2::oid::regclass))
              ) as n(place, is_lacked, what)
              where (w.of_source or w.of_target) and n.is_lacked
         )
         select what, pg_catalog.string_agg(pg_catalog.quote_ident(rolname), ', ' order by rolname) as roles
           from lacked group by what order by min(place), what",
        &[
            &source.oid,
            &target.oid,
            &column.column.as_str(),
            &of_source,
            &of_target,
            &!key.of_target,
            &create_rows,
        ],
    )
    .await?;
    for row in &rows {
        let (what, roles): (String, String) = (get(row, "what")?, get(row, "roles")?);
        refused.push(Refused {
            what: format!("{what} for {roles}"),
            why: format!(
                "whoever may write {} or {} writes both meanwhile, through triggers and with rights of their own; run GRANT {what} TO \
                 {roles} first",
                source.name, target.name
            ),
        });
    }
    Ok(())
}
