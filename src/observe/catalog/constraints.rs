//! Check constraints and foreign keys. Unique constraints come with their indexes.

use tokio_postgres::Client;

use super::indexes::deferrable;
use super::{Place, Purpose, ask, get, identifiers};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::recipe::{CheckFacts, ColumnFacts, ForeignKeyFacts, Refused};

/// Adds the constraints to the facts.
pub(super) async fn read(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    checks(client, place, facts).await?;
    foreign_keys(client, place, facts).await?;
    if place.purpose == Purpose::Widen {
        return Ok(());
    }
    references(client, place, facts).await
}

async fn checks(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    let rows = ask(
        client,
        "the check constraints",
        "select c.conname::text as name, pg_catalog.pg_get_expr(c.conbin, c.conrelid) as expression,
                c.connoinherit as no_inherit, c.convalidated as validated,
                coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::boolean, true) as enforced,
                pg_catalog.obj_description(c.oid, 'pg_constraint') as comment
           from pg_catalog.pg_constraint c
          where c.conrelid = $1 and c.contype = 'c' and $2 = any (c.conkey)
          order by c.conname",
        &[&place.table.oid, &place.number],
    )
    .await?;
    for row in &rows {
        let name = SqlIdentifier::from_catalog(get::<String>(row, "name")?);
        if !get::<bool>(row, "enforced")? {
            facts.refused.push(Refused {
                what: format!("check constraint {name}"),
                why: "it is NOT ENFORCED, which is not carried over yet; drop it first".to_owned(),
            });
            continue;
        }
        facts.checks.push(CheckFacts {
            name,
            expression: get(row, "expression")?,
            no_inherit: get(row, "no_inherit")?,
            validated: get(row, "validated")?,
            comment: get(row, "comment")?,
        });
    }
    Ok(())
}

/// The foreign keys that the column is part of.
pub(super) async fn foreign_keys(
    client: &Client,
    place: &Place,
    facts: &mut ColumnFacts,
) -> Result<(), Problem> {
    let rows = ask(
        client,
        "the foreign keys",
        "select c.conname::text as name, n.nspname::text as target_schema, t.relname::text as target_name,
                array(select a.attname::text from pg_catalog.unnest(c.conkey) with ordinality k(n, place)
                        join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n
                       order by k.place) as columns,
                array(select a.attname::text from pg_catalog.unnest(c.confkey) with ordinality k(n, place)
                        join pg_catalog.pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.n
                       order by k.place) as target_columns,
                c.confmatchtype = 'f' as match_full,
                c.confupdtype::text as on_update, c.confdeltype::text as on_delete,
                c.condeferrable as deferrable, c.condeferred as deferred, c.convalidated as validated,
                coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::boolean, true) as enforced,
                coalesce((pg_catalog.to_jsonb(c) ->> 'conperiod')::boolean, false) as period,
                coalesce(pg_catalog.to_jsonb(c) ->> 'confdelsetcols', '') <> '' as sets_some_columns,
                pg_catalog.obj_description(c.oid, 'pg_constraint') as comment
           from pg_catalog.pg_constraint c
           join pg_catalog.pg_class t on t.oid = c.confrelid
           join pg_catalog.pg_namespace n on n.oid = t.relnamespace
          where c.conrelid = $1 and c.contype = 'f' and $2 = any (c.conkey)
          order by c.conname",
        &[&place.table.oid, &place.number],
    )
    .await?;
    for row in &rows {
        let name = SqlIdentifier::from_catalog(get::<String>(row, "name")?);
        let on_update: String = get(row, "on_update")?;
        let on_delete: String = get(row, "on_delete")?;
        let mut refuse = |why: &str| {
            facts.refused.push(Refused {
                what: format!("foreign key {name}"),
                why: why.to_owned(),
            });
        };
        if !get::<bool>(row, "enforced")? || get::<bool>(row, "period")? {
            refuse("NOT ENFORCED and PERIOD foreign keys are not carried over yet; drop it first");
            continue;
        }
        if get(row, "sets_some_columns")? {
            refuse(
                "ON DELETE SET NULL or SET DEFAULT of some columns is not carried over yet; drop it first",
            );
            continue;
        }
        let writes = on_update != "a" && on_update != "r" || matches!(on_delete.as_str(), "n" | "d");
        if place.purpose == Purpose::Widen {
            let several = get::<Vec<String>>(row, "columns")?.len() > 1;
            if let Some(why) = acts_wrongly((&on_update, &on_delete), several) {
                refuse(why);
            }
        } else if writes && place.purpose != Purpose::Drop {
            refuse(
                "its action writes the old column only, behind the code's back, while the new one has no foreign key yet; \
                 make it ON UPDATE NO ACTION and ON DELETE NO ACTION, RESTRICT or CASCADE for that time",
            );
            continue;
        }
        facts.foreign_keys.push(ForeignKeyFacts {
            name,
            columns: identifiers(get(row, "columns")?),
            target: TableName {
                schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "target_schema")?)),
                name: SqlIdentifier::from_catalog(get::<String>(row, "target_name")?),
            },
            target_columns: identifiers(get(row, "target_columns")?),
            match_full: get(row, "match_full")?,
            on_update: action(&on_update),
            on_delete: action(&on_delete),
            deferrable: deferrable(get(row, "deferrable")?, get(row, "deferred")?),
            validated: get(row, "validated")?,
            comment: get(row, "comment")?,
        });
    }
    Ok(())
}

/// Why the actions of a foreign key would not do the same to a column and to its twin, which has a key of its own: a trigger
/// does to the one what is done to the other, but for what depends on the default or on which of both keys acts first.
fn acts_wrongly((on_update, on_delete): (&str, &str), several: bool) -> Option<&'static str> {
    if on_update == "d" || on_delete == "d" {
        return Some(
            "SET DEFAULT would set two columns, of which one has no default meanwhile; make it NO ACTION, RESTRICT, CASCADE or SET \
             NULL for that time",
        );
    }
    let writes = matches!(on_update, "c" | "n") || on_delete == "n";
    (several && writes).then_some(
        "of two keys that share columns the one that acts first leaves the other nothing to act on; make it ON UPDATE NO ACTION \
         and ON DELETE NO ACTION, RESTRICT or CASCADE for that time",
    )
}

fn action(letter: &str) -> Option<String> {
    match letter {
        "r" => Some("RESTRICT".to_owned()),
        "c" => Some("CASCADE".to_owned()),
        "n" => Some("SET NULL".to_owned()),
        "d" => Some("SET DEFAULT".to_owned()),
        _ => None,
    }
}

/// Foreign keys of other tables (or this one) that refer to the column.
pub(super) async fn references(
    client: &Client,
    place: &Place,
    facts: &mut ColumnFacts,
) -> Result<(), Problem> {
    let rows = ask(
        client,
        "the references",
        "select c.conname::text as name, c.conrelid::regclass::text as source
           from pg_catalog.pg_constraint c
          where c.confrelid = $1 and c.contype = 'f' and $2 = any (c.confkey)
          order by 2, 1",
        &[&place.table.oid, &place.number],
    )
    .await?;
    for row in &rows {
        let name = SqlIdentifier::from_catalog(get::<String>(row, "name")?);
        facts.refused.push(Refused {
            what: format!("foreign key {name} of {}", get::<String>(row, "source")?),
            why: match place.purpose {
                Purpose::Retype | Purpose::Widen => {
                    "it refers to this column; `shipctl plan widen-key` widens an integer with all that refers to it, otherwise drop \
                     it before and make it anew after"
                }
                Purpose::Rename => {
                    "it refers to this column; drop it before and point it at the new column after"
                }
                Purpose::Drop => "it refers to this column; drop it first",
            }
            .to_owned(),
        });
    }
    Ok(())
}
