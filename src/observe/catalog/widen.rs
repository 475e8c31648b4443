//! A key and every column that refers to it, over as many tables as there are.

use std::collections::VecDeque;

use tokio_postgres::Client;

use super::{
    Place, Purpose, Table, ask, column, constraints, dependents, get, identifiers, identity, in_one_snapshot,
    indexes, qualify, retype, table, whole_table,
};
use crate::domain::{ColumnName, Exit, Problem, SqlIdentifier, TableName};
use crate::postgres::Session;
use crate::recipe::widen_key::{Reference, WidenFacts, WidenedColumn, WidenedTable, bytes_of};
use crate::recipe::{ColumnFacts, Refused};

/// Reads everything a recipe must know of a key that gets a wider type: of a column, or of a table's primary key. Where a name
/// may be either (`a.b`), both are given.
///
/// # Errors
/// No such table or column (with the nearest names); no primary key of one column; the database cannot be asked.
pub async fn widen_facts(
    session: &Session,
    (table, column): (Option<&TableName>, Option<&ColumnName>),
    data_type: &str,
) -> Result<WidenFacts, Problem> {
    in_one_snapshot(session, async |client| {
        let (found, column) = named(client, table, column).await?;
        let mut reading = Reading {
            client,
            version: session.server_version(),
            data_type,
            tables: Vec::new(),
            references: Vec::new(),
            refused: Vec::new(),
            ahead: VecDeque::new(),
        };
        let key = ColumnName {
            table: found.name.clone(),
            column: column.clone(),
        };
        reading.ahead.push_back((found, column));
        while let Some((table, column)) = reading.ahead.pop_front() {
            reading.read(table, &column).await?;
        }
        Ok(WidenFacts {
            key,
            data_type: data_type.to_owned(),
            tables: reading.tables,
            references: reading.references,
            refused: reading.refused,
        })
    })
    .await
}

/// The table, and the column that is meant.
async fn named(
    client: &Client,
    table: Option<&TableName>,
    column: Option<&ColumnName>,
) -> Result<(Table, SqlIdentifier), Problem> {
    let is_table = match table {
        Some(table) => is_there(client, table).await?,
        None => false,
    };
    match (table, column) {
        (Some(table), Some(column)) if is_table && is_there(client, &column.table).await? => {
            Err(Problem::new(
                Exit::Usage,
                "no-such-table",
                format!(
                    "{table} is a table, and {} is one as well, of which it may be a column",
                    column.table
                ),
            )
            .fix("name schema, table and column: SCHEMA.TABLE.COLUMN"))
        }
        (table, Some(column)) if !is_table || table.is_none() => {
            let found = table::find(client, &column.table).await?;
            qualify(client).await?;
            Ok((found, column.column.clone()))
        }
        (Some(table), _) => {
            let found = table::find(client, table).await?;
            qualify(client).await?;
            let column = only_key(client, &found).await?;
            Ok((found, column))
        }
        (None, _) => Err(Problem::new(Exit::Usage, "no-such-table", "no table is named")),
    }
}

async fn is_there(client: &Client, table: &TableName) -> Result<bool, Problem> {
    let said = "select pg_catalog.to_regclass($1) is not null as answer";
    let rows = ask(client, "the table", said, &[&table.quoted()]).await?;
    rows.first().map_or(Ok(false), |row| get(row, "answer"))
}

/// The column of the table's primary key, where that has one.
async fn only_key(client: &Client, table: &Table) -> Result<SqlIdentifier, Problem> {
    let rows = ask(
        client,
        "the primary key",
        "select array(select a.attname::text from pg_catalog.unnest(c.conkey) with ordinality k(n, place)
                        join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n
                       order by k.place) as columns
           from pg_catalog.pg_constraint c where c.conrelid = $1 and c.contype = 'p'",
        &[&table.oid],
    )
    .await?;
    let columns = match rows.first() {
        Some(row) => identifiers(get(row, "columns")?),
        None => Vec::new(),
    };
    match columns.as_slice() {
        [one] => Ok(one.clone()),
        several => Err(Problem::new(
            Exit::Usage,
            "no-such-column",
            match several {
                [] => format!("{} has no primary key", table.name),
                _ => format!("the primary key of {} has several columns", table.name),
            },
        )
        .fix(format!("name the column: {}.COLUMN", table.name))),
    }
}

struct Reading<'a> {
    client: &'a Client,
    version: u32,
    data_type: &'a str,
    tables: Vec<WidenedTable>,
    references: Vec<Reference>,
    refused: Vec<Refused>,
    /// The columns that have not been read yet.
    ahead: VecDeque<(Table, SqlIdentifier)>,
}

impl Reading<'_> {
    async fn read(&mut self, table: Table, column: &SqlIdentifier) -> Result<(), Problem> {
        let client = self.client;
        let is_known = self.tables.iter().any(|known| {
            let mut columns = known.columns.iter();
            known.facts.table == table.name && columns.any(|one| one.facts.column.column == *column)
        });
        if is_known {
            return Ok(());
        }
        let place = column::find(client, table, column, Purpose::Widen).await?;
        let mut facts = column::describe(client, &place).await?;
        indexes::read(client, &place, &mut facts).await?;
        constraints::read(client, &place, &mut facts).await?;
        dependents::read(client, &place, &mut facts).await?;
        facts.refused.extend(retype::rows_kept(client, &place).await?);
        let handed_out = identity::read(client, &place, true).await?;
        let number = self.table(&place.table).await?;
        self.referring(&place).await?;
        if let Some(table) = self.tables.get_mut(number) {
            table.columns.push(WidenedColumn { facts, handed_out });
        }
        Ok(())
    }

    /// The place of a table among those that have a part in it.
    async fn table(&mut self, table: &Table) -> Result<usize, Problem> {
        let known = self
            .tables
            .iter()
            .position(|known| known.facts.table == table.name);
        if let Some(number) = known {
            return Ok(number);
        }
        let found = Table {
            oid: table.oid,
            name: table.name.clone(),
        };
        self.tables.push(WidenedTable {
            facts: whole_table::read(self.client, found, self.version).await?,
            columns: Vec::new(),
        });
        Ok(self.tables.len() - 1)
    }

    /// Finds the columns that refer to a place.
    async fn referring(&mut self, place: &Place) -> Result<(), Problem> {
        let client = self.client;
        let rows = ask(
            client,
            "the references",
            "select c.conname::text as name, t.oid as table_oid, n.nspname::text as schema, t.relname::text as table_name,
                    t.relkind = 'p' as is_partitioned, a.attname::text as column_name,
                    pg_catalog.format_type(a.atttypid, a.atttypmod) as data_type
               from pg_catalog.pg_constraint c
               join pg_catalog.pg_class t on t.oid = c.conrelid
               join pg_catalog.pg_namespace n on n.oid = t.relnamespace
              cross join lateral unnest(c.conkey, c.confkey) k(own, target)
               join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.own
              where c.confrelid = $1 and k.target = $2 and c.contype = 'f' and c.conparentid = 0
              order by 3, 4, 1",
            &[&place.table.oid, &place.number],
        )
        .await?;
        for row in &rows {
            let table = Table {
                oid: get(row, "table_oid")?,
                name: TableName {
                    schema: Some(SqlIdentifier::from_catalog(get::<String>(row, "schema")?)),
                    name: SqlIdentifier::from_catalog(get::<String>(row, "table_name")?),
                },
            };
            let name = SqlIdentifier::from_catalog(get::<String>(row, "name")?);
            let column = SqlIdentifier::from_catalog(get::<String>(row, "column_name")?);
            let data_type: String = get(row, "data_type")?;
            let is_widened = match (bytes_of(&data_type), bytes_of(self.data_type)) {
                (Some(has), Some(gets)) => has < gets,
                _ => {
                    self.refused.push(Refused {
                        what: format!("type {data_type} of {}.{column}", table.name),
                        why: format!(
                            "{column} refers to {}.{} by the foreign key {name}, and is no smallint, integer or bigint; give it one \
                             of these types first",
                            place.table.name, place.column
                        ),
                    });
                    false
                }
            };
            if !is_widened && get(row, "is_partitioned")? {
                self.refused.push(Refused {
                    what: format!("foreign key {name} of partitioned table {}", table.name),
                    why: "it is made anew for the key, and cannot be added NOT VALID to a partitioned table; drop it before the \
                          change and make it anew after"
                        .to_owned(),
                });
                continue;
            }
            self.refer(&table, &name, &column).await?;
            if is_widened {
                self.ahead.push_back((table, column));
            }
        }
        Ok(())
    }

    /// Notes a foreign key by one of its columns.
    async fn refer(
        &mut self,
        table: &Table,
        name: &SqlIdentifier,
        column: &SqlIdentifier,
    ) -> Result<(), Problem> {
        let is_known = |one: &Reference| one.table == table.name && one.key.name == *name;
        if self.references.iter().any(is_known) {
            return Ok(());
        }
        let found = Table {
            oid: table.oid,
            name: table.name.clone(),
        };
        let place = column::find(self.client, found, column, Purpose::Widen).await?;
        let full = ColumnName {
            table: table.name.clone(),
            column: column.clone(),
        };
        let mut facts = ColumnFacts::plain(full, "");
        constraints::foreign_keys(self.client, &place, &mut facts).await?;
        let what = format!("foreign key {name}");
        self.refused
            .extend(facts.refused.into_iter().filter(|one| one.what == what));
        let key = facts.foreign_keys.into_iter().find(|key| key.name == *name);
        self.references.extend(key.map(|key| Reference {
            table: table.name.clone(),
            key,
        }));
        self.table(table).await?;
        Ok(())
    }
}
