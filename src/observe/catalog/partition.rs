//! A partitioned table and a table that is, or is to be, a partition of it. What its bound comes to is found out with empty
//! temporary tables like them, which are gone as soon as PostgreSQL has answered.

use tokio_postgres::Client;

use super::{Table, ask, get, identifiers, in_one_snapshot, qualify, table, whole_table};
use crate::domain::{Exit, Problem, SqlIdentifier, TableName};
use crate::postgres::{Session, describe_error};
use crate::recipe::{MissingIndex, MissingKey, PartitionFacts, Refused};

/// The most partitions that a bound is compared with.
const MOST_PARTITIONS: usize = 2000;

/// Reads what a recipe must know of a table that is to be a partition. `bound` is `FOR VALUES …` or `DEFAULT`.
///
/// # Errors
/// No such table; `invalid-sql`: what the database says against the bound; the database cannot be asked.
pub async fn partition_to_attach(
    session: &Session,
    parent: &TableName,
    child: &TableName,
    bound: &str,
) -> Result<PartitionFacts, Problem> {
    let version = session.server_version();
    let (mut facts, keys) = in_one_snapshot(session, async |client| {
        let (mut facts, parent, child) = both(client, parent, child, version).await?;
        facts.refused = unfit(client, &parent, &child, version).await?;
        facts.missing_indexes = missing_indexes(client, &parent, &child, &mut facts.refused).await?;
        facts.missing_keys = missing_keys(client, &parent, &child, &mut facts.refused).await?;
        let keys = keys(client, &parent).await?;
        Ok((facts, keys))
    })
    .await?;
    let is_there = facts
        .parent
        .partitions
        .iter()
        .any(|one| one.table == facts.child.table);
    if let Some(keys) = keys.filter(|_| !facts.by_hash && !is_there) {
        let (bound, condition) = tried(session, &facts.parent.table, bound, &keys).await?;
        facts.bound = bound;
        facts.condition = match (condition, keys.condition) {
            (Some(own), Some(above)) => Some(format!("(({above}) AND ({own}))")),
            (own, above) => own.or(above),
        };
    }
    Ok(facts)
}

/// Reads what a recipe must know of a partition that is to be a table of its own.
///
/// # Errors
/// No such table; `no-such-table` where it is no partition of it; the database cannot be asked.
pub async fn partition_to_detach(
    session: &Session,
    parent: &TableName,
    child: &TableName,
) -> Result<PartitionFacts, Problem> {
    in_one_snapshot(session, async |client| {
        let (mut facts, parent, child) = both(client, parent, child, session.server_version()).await?;
        let rows = ask(
            client,
            "the bound",
            "select pg_catalog.pg_get_expr(c.relpartbound, c.oid) as bound,
                    pg_catalog.pg_get_partition_constraintdef(c.oid) as condition,
                    coalesce((pg_catalog.to_jsonb(i) ->> 'inhdetachpending')::boolean, false) as pending
               from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid and c.relispartition
              where i.inhparent = $1 and i.inhrelid = $2",
            &[&parent.oid, &child.oid],
        )
        .await?;
        let Some(row) = rows.first() else {
            let names: Vec<String> = facts.parent.partitions.iter().map(|one| one.table.to_string()).collect();
            let problem = Problem::new(
                Exit::Usage,
                "no-such-table",
                format!("{} is no partition of {}", child.name, parent.name),
            );
            return Err(if names.is_empty() {
                problem.fix("it has none at all")
            } else {
                problem.fix(format!("there are: {}", names.join(", ")))
            });
        };
        facts.bound = get(row, "bound")?;
        facts.condition = get(row, "condition")?;
        if get(row, "pending")? {
            facts.refused.push(Refused {
                what: format!("the half-finished detachment of {}", child.name),
                why: format!(
                    "somebody began to detach it; end that: ALTER TABLE {} DETACH PARTITION {} FINALIZE",
                    parent.name.quoted(),
                    child.name.quoted()
                ),
            });
        }
        Ok(facts)
    })
    .await
}

async fn both(
    client: &Client,
    parent: &TableName,
    child: &TableName,
    version: u32,
) -> Result<(PartitionFacts, Table, Table), Problem> {
    let (parent, child) = (
        table::find(client, parent).await?,
        table::find(client, child).await?,
    );
    qualify(client).await?;
    let again = |table: &Table| Table {
        oid: table.oid,
        name: table.name.clone(),
    };
    let rows = ask(
        client,
        "the partitioning",
        "select p.partstrat::text = 'h' as by_hash, n.nspname::text as schema, d.relname::text as name
           from pg_catalog.pg_partitioned_table p
           left join pg_catalog.pg_class d on d.oid = p.partdefid
           left join pg_catalog.pg_namespace n on n.oid = d.relnamespace
          where p.partrelid = $1",
        &[&parent.oid],
    )
    .await?;
    let (mut by_hash, mut default) = (false, None);
    if let Some(row) = rows.first() {
        by_hash = get(row, "by_hash")?;
        let name = get::<Option<String>>(row, "schema")?.zip(get::<Option<String>>(row, "name")?);
        if let Some((schema, name)) = name {
            let name = TableName {
                schema: Some(SqlIdentifier::from_catalog(schema)),
                name: SqlIdentifier::from_catalog(name),
            };
            let found = table::find(client, &name).await?;
            default = Some(whole_table::read(client, found, version).await?);
        }
    }
    let facts = PartitionFacts {
        parent: whole_table::read(client, again(&parent), version).await?,
        child: whole_table::read(client, again(&child), version).await?,
        by_hash,
        default,
        bound: String::new(),
        condition: None,
        refused: Vec::new(),
        missing_indexes: Vec::new(),
        missing_keys: Vec::new(),
    };
    Ok((facts, parent, child))
}

/// Why ATTACH would refuse the table.
async fn unfit(
    client: &Client,
    parent: &Table,
    child: &Table,
    version: u32,
) -> Result<Vec<Refused>, Problem> {
    let rows = ask(
        client,
        "what does not fit",
        "with p as (select * from pg_catalog.pg_attribute where attrelid = $1 and attnum > 0 and not attisdropped),
              c as (select * from pg_catalog.pg_attribute where attrelid = $2 and attnum > 0 and not attisdropped)
         select pg_catalog.format('column %I', coalesce(p.attname, c.attname)) as what,
                case when c.attname is null then 'the partitioned table has it, and the table has not; add it: shipctl plan add-column'
                     when p.attname is null then 'the table has it, and the partitioned table has not; drop it, or add it there, first'
                     when p.atttypid <> c.atttypid or p.atttypmod <> c.atttypmod then
                          pg_catalog.format('it is %s there and %s here; give it the same type first',
                                            pg_catalog.format_type(p.atttypid, p.atttypmod),
                                            pg_catalog.format_type(c.atttypid, c.atttypmod))
                     when p.attcollation <> c.attcollation then 'it has another collation here; give it the same first'
                     when p.attnotnull and not c.attnotnull then 'it is NOT NULL there; first: shipctl plan set-not-null'
                     when p.attgenerated <> c.attgenerated then 'it is computed in one of them only; make both the same first'
                     else 'it is an identity here, and hands out values of its own; ALTER COLUMN … DROP IDENTITY first' end as why
           from p full join c on c.attname = p.attname
          where p.attname is null or c.attname is null or p.atttypid <> c.atttypid or p.atttypmod <> c.atttypmod
             or p.attcollation <> c.attcollation or (p.attnotnull and not c.attnotnull) or p.attgenerated <> c.attgenerated
             or ($3 and c.attidentity <> '')
         union all
         select pg_catalog.format('constraint %I', k.conname),
                case when own.oid is null then 'the partitioned table has it, and the table has not; first: shipctl plan add-check'
                     when pg_catalog.replace(pg_catalog.pg_get_constraintdef(own.oid), ' NOT VALID', '')
                          <> pg_catalog.replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID', '')
                          then 'it says something else here than in the partitioned table; make it the same first'
                     else 'it is not valid here, or not inherited; ALTER TABLE … VALIDATE CONSTRAINT, or make it anew, first' end
           from pg_catalog.pg_constraint k
           left join pg_catalog.pg_constraint own on own.conrelid = $2 and own.conname = k.conname and own.contype = k.contype
          where k.conrelid = $1 and k.contype = 'c' and not k.connoinherit
            and (own.oid is null or not own.convalidated or own.connoinherit
                 or pg_catalog.replace(pg_catalog.pg_get_constraintdef(own.oid), ' NOT VALID', '')
                    <> pg_catalog.replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID', ''))
         union all
         select pg_catalog.format('constraint %I', own.conname),
                'its NOT NULL is not valid here, or not inherited, and that of the partitioned table is; make it so first'
           from pg_catalog.pg_constraint k
           join pg_catalog.pg_attribute a on a.attrelid = $1 and a.attnum = k.conkey[1]
           join pg_catalog.pg_attribute b on b.attrelid = $2 and b.attname = a.attname
           join pg_catalog.pg_constraint own on own.conrelid = $2 and own.contype = 'n' and own.conkey = array[b.attnum]
          where k.conrelid = $1 and k.contype = 'n' and (not own.convalidated or own.connoinherit)
         union all
         select pg_catalog.format('trigger %I', g.tgname),
                'it looks at the rows of a whole statement (REFERENCING), which a partition cannot; drop it first'
           from pg_catalog.pg_trigger g
          where g.tgrelid = $2 and not g.tgisinternal and g.tgtype & 1 = 1
            and (g.tgoldtable is not null or g.tgnewtable is not null)
         union all
         select pg_catalog.format('trigger %I', g.tgname),
                'the partitioned table has one of that name, which would fire here too; rename or drop this one first'
           from pg_catalog.pg_trigger g
           join pg_catalog.pg_trigger o on o.tgrelid = $1 and o.tgname = g.tgname and not o.tgisinternal and o.tgtype & 1 = 1
          where g.tgrelid = $2 and not g.tgisinternal
         order by 1",
        &[&parent.oid, &child.oid, &(version >= 170_000)],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let what: String = get(row, "what")?;
            Ok(Refused {
                what: format!("{what} of {}", child.name),
                why: get(row, "why")?,
            })
        })
        .collect()
}

/// The indexes of the partitioned table for which ATTACH would build one.
async fn missing_indexes(
    client: &Client,
    parent: &Table,
    child: &Table,
    refused: &mut Vec<Refused>,
) -> Result<Vec<MissingIndex>, Problem> {
    let rows = ask(
        client,
        "the indexes",
        "with told as (
             select i.*, x.relname, x.relam, k.contype, k.condeferrable, k.condeferred,
                    pg_catalog.pg_get_indexdef(i.indexrelid) as definition,
                    pg_catalog.format('CREATE %sINDEX %I ON %s%s ', case when i.indisunique then 'UNIQUE ' else '' end, x.relname,
                                      case when i.indrelid = $1 then 'ONLY ' else '' end, i.indrelid::regclass) as head,
                    array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = i.indexrelid
                           order by a.attnum) as names,
                    pg_catalog.concat_ws(' ', x.relam, i.indisunique, i.indnkeyatts, i.indclass, i.indcollation, i.indoption,
                        pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct',
                        array(select coalesce(a.attname::text, '') from pg_catalog.unnest(i.indkey) with ordinality n(number, place)
                                left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = n.number
                                                                   and n.number <> 0
                               order by n.place),
                        coalesce(pg_catalog.pg_get_expr(i.indexprs, i.indrelid), '-'),
                        coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid), '-'),
                        coalesce(k.contype::text, '-'), k.condeferrable, k.condeferred) as likeness,
                    i.indisvalid as valid
               from pg_catalog.pg_index i
               join pg_catalog.pg_class x on x.oid = i.indexrelid
               left join pg_catalog.pg_constraint k on k.conindid = i.indexrelid and k.conrelid = i.indrelid
                                                    and k.contype in ('p', 'u', 'x')
              where i.indrelid in ($1, $2)),
         -- Each index of the table can stand for one of the partitioned table.
         counted as (select t.*, row_number() over (partition by t.indrelid, t.likeness order by t.indexrelid) as number
                       from told t where t.indrelid = $1 or t.valid)
         select p.relname::text as name, p.names, p.indisunique as is_unique, coalesce(p.contype::text, '') as kind,
                case when p.condeferred then ' DEFERRABLE INITIALLY DEFERRED' when p.condeferrable then ' DEFERRABLE' else '' end
                as deferrable,
                case when pg_catalog.left(p.definition, pg_catalog.length(p.head)) = p.head
                     then pg_catalog.substr(p.definition, pg_catalog.length(p.head) + 1) end as rest
           from counted p
          where p.indrelid = $1
            and not exists (select from counted c where c.indrelid = $2 and c.likeness = p.likeness and c.number = p.number)
          order by p.indexrelid",
        &[&parent.oid, &child.oid],
    )
    .await?;
    let mut missing = Vec::new();
    for row in &rows {
        let name: String = get(row, "name")?;
        let kind: String = get(row, "kind")?;
        let rest: Option<String> = get(row, "rest")?;
        let (Some(definition), true) = (rest, kind != "x") else {
            refused.push(Refused {
                what: format!("index {} of {}", SqlIdentifier::from_catalog(name), parent.name),
                why: "the table has none like it, and it cannot be built while writers go on; make one by hand first".to_owned(),
            });
            continue;
        };
        let deferrable: String = get(row, "deferrable")?;
        missing.push(MissingIndex {
            columns: identifiers(get(row, "names")?),
            definition,
            unique: get(row, "is_unique")?,
            constraint: match kind.as_str() {
                "p" => Some(("PRIMARY KEY".to_owned(), deferrable)),
                "u" => Some(("UNIQUE".to_owned(), deferrable)),
                _ => None,
            },
        });
    }
    Ok(missing)
}

/// The foreign keys of the partitioned table that ATTACH would add.
async fn missing_keys(
    client: &Client,
    parent: &Table,
    child: &Table,
    refused: &mut Vec<Refused>,
) -> Result<Vec<MissingKey>, Problem> {
    let rows = ask(
        client,
        "the foreign keys",
        "select k.conname::text as name, pg_catalog.replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID', '') as definition,
                t.relkind = 'p' as to_partitions, k.convalidated as validated
           from pg_catalog.pg_constraint k
           join pg_catalog.pg_class t on t.oid = k.confrelid
          where k.conrelid = $1 and k.contype = 'f'
            and not exists (select from pg_catalog.pg_constraint o where o.oid = k.conparentid and o.conrelid = k.conrelid)
            and not exists (select from pg_catalog.pg_constraint c
                             where c.conrelid = $2 and c.contype = 'f' and c.convalidated and c.conparentid = 0
                               and pg_catalog.pg_get_constraintdef(c.oid) = pg_catalog.pg_get_constraintdef(k.oid))
          order by 1",
        &[&parent.oid, &child.oid],
    )
    .await?;
    let mut missing = Vec::new();
    for row in &rows {
        let key = MissingKey {
            name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
            definition: get(row, "definition")?,
        };
        let (to_partitions, validated): (bool, bool) = (get(row, "to_partitions")?, get(row, "validated")?);
        if to_partitions || !validated {
            refused.push(Refused {
                what: format!("foreign key {} of {}", key.name, parent.name),
                why: "it refers to a partitioned table, or is not valid, so that the same could not be added here while writers \
                      go on; add it by hand first"
                    .to_owned(),
            });
            continue;
        }
        missing.push(key);
    }
    Ok(missing)
}

/// How a table is partitioned.
struct Keys {
    /// `RANGE (day)`.
    key: String,
    /// The bounds of its partitions, each with its name.
    bounds: Vec<(String, String)>,
    /// What holds of its own rows, where it is a partition itself.
    condition: Option<String>,
}

async fn keys(client: &Client, parent: &Table) -> Result<Option<Keys>, Problem> {
    let rows = ask(
        client,
        "the partitions",
        "select pg_catalog.pg_get_partkeydef(p.oid) as key, pg_catalog.pg_get_partition_constraintdef(p.oid) as condition,
                array(select c.oid::regclass::text from pg_catalog.pg_inherits i
                        join pg_catalog.pg_class c on c.oid = i.inhrelid and c.relispartition
                       where i.inhparent = p.oid order by c.oid) as names,
                array(select pg_catalog.pg_get_expr(c.relpartbound, c.oid) from pg_catalog.pg_inherits i
                        join pg_catalog.pg_class c on c.oid = i.inhrelid and c.relispartition
                       where i.inhparent = p.oid order by c.oid) as bounds
           from pg_catalog.pg_class p where p.oid = $1 and p.relkind = 'p'",
        &[&parent.oid],
    )
    .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let names: Vec<String> = get(row, "names")?;
    let bounds: Vec<String> = get(row, "bounds")?;
    Ok(Some(Keys {
        key: get(row, "key")?,
        bounds: names.into_iter().zip(bounds).collect(),
        condition: get(row, "condition")?,
    }))
}

/// The bound as PostgreSQL writes it, and what it says of rows.
async fn tried(
    session: &Session,
    parent: &TableName,
    bound: &str,
    keys: &Keys,
) -> Result<(String, Option<String>), Problem> {
    if keys.bounds.len() > MOST_PARTITIONS {
        return Err(Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!("{parent} has more than {MOST_PARTITIONS} partitions, with which the bound would have to be compared"),
        )
        .fix("attach it by hand, in a migration"));
    }
    let client = session.client();
    let run = |error| describe_error(&error, "trying the bound on empty copies of the tables");
    let mut copies = format!(
        "CREATE TEMPORARY TABLE pg_temp.\"the parent\" (LIKE {}) PARTITION BY {};",
        parent.quoted(),
        keys.key
    );
    for (number, (_, bound)) in keys.bounds.iter().enumerate() {
        copies.push_str(&format!(
            "CREATE TEMPORARY TABLE pg_temp.\"partition {number}\" PARTITION OF pg_temp.\"the parent\" {bound};"
        ));
    }
    let own = format!(
        "CREATE TEMPORARY TABLE pg_temp.\"the partition\" PARTITION OF pg_temp.\"the parent\" {bound}\n"
    );
    client.batch_execute("BEGIN").await.map_err(run)?;
    let answer = match client.batch_execute(&copies).await {
        Ok(()) => client.batch_execute(&own).await,
        Err(error) => Err(error),
    };
    let told = match &answer {
        Ok(()) => Some(told(client).await),
        Err(_) => None,
    };
    let ended = client.batch_execute("ROLLBACK").await;
    if let Err(error) = answer {
        let Some(server) = error.as_db_error() else {
            return Err(run(error));
        };
        let mut why = server.message().replace("\"the partition\"", "it");
        for (number, (name, _)) in keys.bounds.iter().enumerate() {
            why = why.replace(&format!("\"partition {number}\""), name);
        }
        let problem = Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!("the database does not accept `{bound}` for a partition of {parent}"),
        )
        .because(why);
        return Err(if server.code().code() == "42501" {
            problem.fix("what the bound says is found out with temporary tables: let the role make some (GRANT TEMPORARY ON DATABASE)")
        } else {
            problem.fix("give another bound; nothing was written")
        });
    }
    ended.map_err(run)?;
    told.unwrap_or_else(|| Ok((bound.to_owned(), None)))
}

async fn told(client: &Client) -> Result<(String, Option<String>), Problem> {
    qualify(client).await?;
    let rows = ask(
        client,
        "the bound",
        "select pg_catalog.pg_get_expr(c.relpartbound, c.oid) as bound,
                pg_catalog.pg_get_partition_constraintdef(c.oid) as condition
           from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass('pg_temp.\"the partition\"')",
        &[],
    )
    .await?;
    match rows.first() {
        Some(row) => Ok((get(row, "bound")?, get(row, "condition")?)),
        None => Err(Problem::new(
            Exit::Failed,
            "catalog-unreadable",
            "the catalog does not know the table that was just made".to_owned(),
        )),
    }
}
