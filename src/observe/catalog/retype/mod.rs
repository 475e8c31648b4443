//! What a change of a column's type comes to: it is made on an empty copy of the table, which is gone as soon as it has been
//! looked at. PostgreSQL itself shows so whether it would rewrite the table, build an index anew or scan.

mod keys;
mod rights;
mod trial;

use tokio_postgres::{Client, Error};

use self::trial::Trial;
use super::{Place, Purpose, ask, column, constraints, dependents, get, in_one_snapshot, qualify, table};
use crate::domain::{ColumnName, Problem, SqlIdentifier, TableName};
use crate::plan::ChangeKind;
use crate::postgres::{Session, describe_error};
use crate::recipe::change_type::{OwnedSequence, TypeFacts};
use crate::recipe::{ColumnFacts, Refused, refuse_unless_none};

/// What a column is to become.
#[derive(Clone, Copy, Debug)]
pub struct NewType<'a> {
    /// The type, as it was typed.
    pub data_type: &'a str,
    /// `--using`.
    pub using: Option<&'a str>,
    /// `--back`.
    pub back: Option<&'a str>,
}

/// Reads everything a recipe must know of a column that gets another type.
///
/// # Errors
/// No such table, column or type; the database does not make the change; it cannot be asked.
pub async fn retype_facts(
    session: &Session,
    column: &ColumnName,
    new: &NewType<'_>,
) -> Result<TypeFacts, Problem> {
    let known = in_one_snapshot(session, async |client| {
        let facts = super::read(client, column, Purpose::Retype).await?;
        let found = table::find(client, &column.table).await?;
        qualify(client).await?;
        let place = column::find(client, found, &column.column, Purpose::Retype).await?;
        Ok(Known {
            refused_in_place: refused_in_place(client, &place).await?,
            sequence: sequence(client, &place).await?,
            facts,
        })
    })
    .await?;
    let mut known = known;
    if !known.refused_in_place.is_empty() {
        // They stand in the way of either, and of the trial.
        let mut refused = known.facts.refused.clone();
        refused.extend(
            known
                .refused_in_place
                .iter()
                .filter(|one| !known.facts.refused.contains(one))
                .cloned(),
        );
        refuse_unless_none(ChangeKind::ChangeType, &known.facts.column.to_string(), &refused)?;
    }
    known.facts.refused.dedup();
    let client = session.client();
    client.batch_execute("BEGIN").await.map_err(run)?;
    let tried = Trial::new(client, &known.facts, new);
    let answer = tried.facts(known).await;
    let ended = client.batch_execute("ROLLBACK").await;
    let facts = answer?;
    ended.map_err(run)?;
    Ok(facts)
}

fn run(error: Error) -> Problem {
    describe_error(&error, "trying the change on an empty copy of the table")
}

struct Known {
    facts: ColumnFacts,
    refused_in_place: Vec<Refused>,
    sequence: Option<OwnedSequence>,
}

/// What stands in the way where the column itself stays.
async fn refused_in_place(client: &Client, place: &Place) -> Result<Vec<Refused>, Problem> {
    let mut facts = column::describe(client, place).await?;
    dependents::table(client, place, &mut facts).await?;
    // These are about a second column.
    let of_second = ["identity of ", "domain ", "rules of ", "replica identity of "];
    facts
        .refused
        .retain(|one| !of_second.iter().any(|start| one.what.starts_with(start)));
    dependents::dependents(client, place, &mut facts).await?;
    // Extended statistics go on to the new type by themselves.
    facts
        .refused
        .retain(|one| !one.what.starts_with("statistics object "));
    constraints::references(client, place, &mut facts).await?;
    facts.refused.extend(rows_kept(client, place).await?);
    Ok(facts.refused)
}

/// Columns that hold rows of the table, in arrays, domains, ranges and composites as well. PostgreSQL changes no type in them,
/// and a second column would be NULL in the rows that they hold.
pub(super) async fn rows_kept(client: &Client, place: &Place) -> Result<Vec<Refused>, Problem> {
    let rows = ask(
        client,
        "the columns of the table's row type",
        "with recursive types (oid) as (
             select c.reltype from pg_catalog.pg_class c where c.oid = $1
             union
             select case when d.classid = 'pg_catalog.pg_type'::regclass then d.objid else c.reltype end
               from types t
               join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_type'::regclass and d.refobjid = t.oid
               left join pg_catalog.pg_class c
                 on d.classid = 'pg_catalog.pg_class'::regclass and c.oid = d.objid and d.objsubid > 0
                and c.relkind not in ('r', 'm', 'p')
              where d.classid = 'pg_catalog.pg_type'::regclass or c.oid is not null
         )
         select distinct pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) as what
           from types t
           join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_type'::regclass and d.refobjid = t.oid
           join pg_catalog.pg_class c on c.oid = d.objid and c.relkind in ('r', 'm', 'p')
          where d.classid = 'pg_catalog.pg_class'::regclass and d.objsubid > 0
          order by 1",
        &[&place.table.oid],
    )
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Refused {
                what: get(row, "what")?,
                why: format!(
                    "it holds rows of {}, in which PostgreSQL changes no type, and a second column would be NULL; let it hold \
                     another type first",
                    place.table.name
                ),
            })
        })
        .collect()
}

pub(super) async fn sequence(client: &Client, place: &Place) -> Result<Option<OwnedSequence>, Problem> {
    let rows = ask(
        client,
        "the column's sequence",
        "select n.nspname::text as schema, c.relname::text as name, pg_catalog.format_type(s.seqtypid, null) as data_type
           from pg_catalog.pg_depend d
           join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           join pg_catalog.pg_sequence s on s.seqrelid = c.oid
          where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
            and d.refobjid = $1 and d.refobjsubid = $2 and d.deptype = 'a'
          order by 1, 2",
        &[&place.table.oid, &i32::from(place.number)],
    )
    .await?;
    if rows.len() > 1 {
        let why = "the column owns several sequences; run ALTER SEQUENCE … OWNED BY NONE for those that it does not use";
        let refused = Refused {
            what: format!("sequences of {}", place.column),
            why: why.to_owned(),
        };
        refuse_unless_none(ChangeKind::ChangeType, &place.column.to_string(), &[refused])?;
    }
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(OwnedSequence {
        name: TableName {
            schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "schema")?)),
            name: SqlIdentifier::from_catalog(get::<String>(row, "name")?),
        },
        data_type: get(row, "data_type")?,
        types: None,
    }))
}
