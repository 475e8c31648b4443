//! Everything else that hangs on the column: what is not known to be carried over is refused.

use tokio_postgres::Client;

use super::{Place, Purpose, ask, dependent_definition, fillable, get};
use crate::domain::{Problem, SqlIdentifier};
use crate::recipe::{BeforeTrigger, ColumnFacts, Refused};

/// Adds refusals for what depends on the column or its table in a way that the recipe cannot carry, and remarks on
/// functions that mention it.
pub(super) async fn read(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    table(client, place, facts).await?;
    dependents(client, place, facts).await?;
    functions(client, place, facts).await?;
    publications(client, place, facts).await?;
    facts.before_triggers = Some(before_triggers(client, place).await?);
    Ok(())
}

/// The triggers of the table that fire before a row is inserted or updated, in their order.
async fn before_triggers(client: &Client, place: &Place) -> Result<Vec<BeforeTrigger>, Problem> {
    // tgtype: 1 row, 2 before, 4 insert, 16 update.
    let rows = ask(
        client,
        "the triggers",
        "select t.tgname::text as name, (t.tgtype & 16) <> 0 as on_update
           from pg_catalog.pg_trigger t
          where t.tgrelid = $1 and not t.tgisinternal and (t.tgtype & 3) = 3 and (t.tgtype & 20) <> 0
          order by t.tgname",
        &[&place.table.oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            Ok(BeforeTrigger {
                name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
                on_update: get(row, "on_update")?,
            })
        })
        .collect()
}

/// Subscribers fail on a column that they lack, as soon as a row with it arrives.
async fn publications(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    let names = publications_of(client, place.table.oid).await?;
    if !names.is_empty() {
        facts.remarks.push(format!(
            "{} is published ({}): {}",
            place.table.name,
            names.join(", "),
            match place.purpose {
                Purpose::Rename =>
                    "its subscribers need the new column before it is added here, and lose the old one only after it is dropped \
                     here.",
                Purpose::Drop =>
                    "before the column is dropped here, it must be nullable or have a default at its subscribers; drop it there \
                     after.",
                Purpose::Retype | Purpose::Widen =>
                    "its subscribers must bear values of the new type before code writes any, and where a second column is added, \
                     need one of its name, and later of the old one's, before it is there.",
            }
        ));
    }
    Ok(())
}

/// The publications of a table.
pub(super) async fn publications_of(client: &Client, table: u32) -> Result<Vec<String>, Problem> {
    let rows = ask(
        client,
        "the publications",
        "select p.pubname::text as name
           from pg_catalog.pg_publication_tables p
           join pg_catalog.pg_namespace n on n.nspname = p.schemaname
           join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
          where c.oid = $1 order by 1",
        &[&table],
    )
    .await?;
    rows.iter().map(|row| get(row, "name")).collect()
}

pub(super) async fn table(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    let rows = ask(
        client,
        "the table",
        "select c.relkind::text as kind, c.relispartition as is_partition, c.reloftype <> 0 as typed,
                c.relpersistence = 't' as temporary,
                exists (select from pg_catalog.pg_inherits i where i.inhparent = c.oid) as has_children,
                exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid) as has_parents,
                n.nspname in ('pg_catalog', 'information_schema') as system,
                exists (select from pg_catalog.pg_seclabel l
                         where l.classoid = 'pg_catalog.pg_class'::regclass and l.objoid = c.oid
                           and l.objsubid = $2) as labelled
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where c.oid = $1",
        &[&place.table.oid, &i32::from(place.number)],
    )
    .await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let name = &place.table.name;
    let mut refuse = |what: String, why: &str| {
        facts.refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    let kind: String = get(row, "kind")?;
    match kind.as_str() {
        "r" => {}
        "p" => refuse(
            format!("partitioned table {name}"),
            "indexes of partitioned tables cannot be built concurrently, and its foreign keys cannot be added NOT VALID",
        ),
        _ => refuse(
            format!("{name}"),
            place.say(
                "it is not an ordinary table; change the column of the table behind it",
                "it is not an ordinary table; drop the column of the table behind it",
            ),
        ),
    }
    if get(row, "system")? {
        refuse(format!("{name}"), "it belongs to PostgreSQL itself");
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
    if get(row, "is_partition")? {
        refuse(
            format!("partition {name}"),
            place.say(
                "change the column of the partitioned table",
                "its columns are those of the partitioned table",
            ),
        );
    } else if get(row, "has_parents")? || get(row, "has_children")? {
        refuse(
            format!("inheritance of {name}"),
            "a column cannot be added to or dropped from one table of a family alone",
        );
    }
    if get(row, "labelled")? {
        refuse(
            format!("security label of {}", place.column),
            place.say(
                "the label's provider must see the new column labelled before it holds data",
                "the way back would not bring it; remove it first",
            ),
        );
    }
    match place.purpose {
        Purpose::Rename | Purpose::Retype | Purpose::Widen => {
            fillable::read(client, &place.table, &mut facts.refused).await
        }
        Purpose::Drop => Ok(()),
    }
}

pub(super) async fn dependents(
    client: &Client,
    place: &Place,
    facts: &mut ColumnFacts,
) -> Result<(), Problem> {
    // Known and carried: this column's own default, indexes and constraints of this table. Foreign keys of other tables
    // are refused where constraints are read. Whatever else PostgreSQL records is refused, known or not. A sequence of the
    // column's own goes on to one of another type.
    let rows = ask(
        client,
        "the dependents",
        "select distinct d.classid::regclass::text as class, coalesce(w.ev_class, d.objid) as id,
                coalesce(r.relkind::text, '') as relation_kind,
                case when w.oid is null then pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
                     else pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, w.ev_class, 0) end as what
           from pg_catalog.pg_depend d
           left join pg_catalog.pg_class r
             on d.classid = 'pg_catalog.pg_class'::regclass and r.oid = d.objid
           left join pg_catalog.pg_rewrite w
             on d.classid = 'pg_catalog.pg_rewrite'::regclass and w.oid = d.objid
           left join pg_catalog.pg_attrdef a
             on d.classid = 'pg_catalog.pg_attrdef'::regclass and a.oid = d.objid
          where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = $1 and d.refobjsubid = $2
            and d.classid <> 'pg_catalog.pg_constraint'::regclass
            and not (d.classid = 'pg_catalog.pg_attrdef'::regclass and a.adrelid = $1 and a.adnum = $3)
            and not (d.classid = 'pg_catalog.pg_class'::regclass and r.relkind in ('i', 'I'))
            and not ($4 and d.classid = 'pg_catalog.pg_class'::regclass and r.relkind = 'S')
          order by 1, 4",
        &[
            &place.table.oid,
            &i32::from(place.number),
            &place.number,
            &matches!(place.purpose, Purpose::Retype | Purpose::Widen),
        ],
    )
    .await?;
    for row in &rows {
        let class: String = get(row, "class")?;
        let relation_kind: String = get(row, "relation_kind")?;
        let what: String = get(row, "what")?;
        let class_name = class.rsplit('.').next().unwrap_or(&class);
        let known = dependent_definition::read(client, class_name, get(row, "id")?, &what).await?;
        facts.dependents.extend(known);
        facts.refused.push(Refused {
            what,
            why: place
                .say(
                    reason(&class, &relation_kind),
                    reason_to_keep(&class, &relation_kind),
                )
                .to_owned(),
        });
    }
    Ok(())
}

/// Why an object that depends on the column stands in the way, by the catalog it is in.
fn reason(class: &str, relation_kind: &str) -> &'static str {
    match class.rsplit('.').next().unwrap_or(class) {
        "pg_rewrite" => {
            "it reads the column; make it anew without it (CREATE OR REPLACE VIEW) or drop it first"
        }
        "pg_trigger" => {
            "it fires on this column (UPDATE OF) or looks at it (WHEN); make it anew for the whole row first"
        }
        "pg_policy" => "row security rests on the column; make the policy anew first",
        "pg_attrdef" => {
            "a generated column is computed from it, and cannot be computed from another column later"
        }
        "pg_statistic_ext" => {
            "extended statistics cover the column; drop them before and make them anew after"
        }
        "pg_publication_rel" => "a publication's column list or row filter names it; take it out there first",
        "pg_proc" => "its body (BEGIN ATOMIC) uses the column; make the function anew first",
        "pg_class" if relation_kind == "S" => {
            "the column owns this sequence (serial), which goes with it; run ALTER SEQUENCE … OWNED BY NONE first"
        }
        _ => {
            "it depends on the column in a way that is not carried over; drop it before and make it anew after"
        }
    }
}

/// Why a column cannot go while an object depends on it, by the catalog that the object is in.
fn reason_to_keep(class: &str, relation_kind: &str) -> &'static str {
    match class.rsplit('.').next().unwrap_or(class) {
        "pg_rewrite" => "it reads the column; make it anew without it, or drop it first",
        "pg_trigger" => {
            "it fires on this column (UPDATE OF) or looks at it (WHEN); make it anew without the column first"
        }
        "pg_policy" => "row security rests on the column; make the policy anew without it first",
        "pg_attrdef" => "a generated column is computed from it; drop that one first",
        "pg_statistic_ext" => {
            "extended statistics cover the column and would silently go with it; make them anew without it first"
        }
        "pg_publication_rel" => "a publication's column list or row filter names it; take it out there first",
        "pg_proc" => "its body (BEGIN ATOMIC) uses the column; make the function anew without it first",
        "pg_class" if relation_kind == "S" => {
            "the column owns this sequence (serial), which would go with it; run ALTER SEQUENCE … OWNED BY NONE first"
        }
        _ => "it depends on the column; drop it first",
    }
}

async fn functions(client: &Client, place: &Place, facts: &mut ColumnFacts) -> Result<(), Problem> {
    let rows = ask(
        client,
        "the functions",
        "select p.oid::regprocedure::text as name,
                exists (select from pg_catalog.pg_trigger t where t.tgfoid = p.oid and t.tgrelid = $1) as is_trigger
           from pg_catalog.pg_proc p
           join pg_catalog.pg_namespace n on n.oid = p.pronamespace
           join pg_catalog.pg_language l on l.oid = p.prolang
          where n.nspname not in ('pg_catalog', 'information_schema') and l.lanname not in ('internal', 'c')
            and case when $2::text ~ '^[[:alnum:]_]+$' then p.prosrc ~* ('\\y' || $2 || '\\y')
                     else pg_catalog.strpos(p.prosrc, $2) > 0 end
            and (pg_catalog.strpos(pg_catalog.lower(p.prosrc), pg_catalog.lower($3)) > 0
                 or exists (select from pg_catalog.pg_trigger t where t.tgfoid = p.oid and t.tgrelid = $1))
            and not exists (select from pg_catalog.pg_depend d
                             where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
          order by 1 limit 20",
        &[
            &place.table.oid,
            &place.column.as_str(),
            &place.table.name.name.as_str(),
        ],
    )
    .await?;
    for row in &rows {
        let name: String = get(row, "name")?;
        let trigger = if get(row, "is_trigger")? {
            "Trigger function"
        } else {
            "Function"
        };
        facts.remarks.push(format!(
            "{trigger} {name} mentions {}: it is part of the code, fails only when it runs, and must {}.",
            place.column,
            match place.purpose {
                Purpose::Rename => "move with it",
                Purpose::Drop => "do without it first",
                Purpose::Retype | Purpose::Widen => "bear either type first",
            }
        ));
    }
    Ok(())
}
