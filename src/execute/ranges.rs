//! Walks a table in bounded ranges: by its primary key, another unique key, or the blocks of its file.
//!
//! Keys travel as text in parameters and are cast to the column's own type, so that any type of key works and nothing is
//! spliced into SQL. A table with partitions (or children) is walked one relation after the other.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, GenericClient};

use crate::domain::{Exit, Problem, SqlIdentifier, TableName};
use crate::postgres::describe_error;

/// TID range scans exist from this version on; before, a range of blocks would scan the whole table.
const TID_RANGES_SINCE: u32 = 140_000;

/// How many rows a block is taken to hold where nothing is known.
const ROWS_A_BLOCK: f64 = 50.0;

/// A relation that holds rows.
#[derive(Clone, Debug)]
pub(in crate::execute) struct Relation {
    /// Its name, qualified and quoted for SQL.
    pub name: String,
    /// Its rows, estimated; `None` where it was never analyzed.
    pub rows: Option<u64>,
    oid: u32,
    rows_a_block: f64,
    key: Key,
}

#[derive(Clone, Debug)]
enum Key {
    Columns(Vec<KeyColumn>),
    Blocks,
}

#[derive(Clone, Debug)]
struct KeyColumn {
    name: SqlIdentifier,
    /// As PostgreSQL writes it, with modifiers.
    kind: String,
}

/// The end of a range, and how many rows lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::execute) struct Range {
    pub upper: Vec<String>,
    pub rows: u64,
}

/// The relations of a table that hold rows, in the order of their names' bytes, which is how cursors compare them. `assigned` are the columns that the fill sets: a key with one
/// of them would move rows while they are walked.
///
/// # Errors
/// No such table; it is a view or has foreign partitions; row security hides rows; no key on an old server.
pub(in crate::execute) async fn relations(
    client: &Client,
    server_version: u32,
    table: &TableName,
    assigned: &[&SqlIdentifier],
) -> Result<Vec<Relation>, Problem> {
    let rows = client
        .query(
            "WITH RECURSIVE tree AS (
                 SELECT to_regclass($1)::oid AS oid WHERE to_regclass($1) IS NOT NULL
                 UNION
                 SELECT inhrelid FROM pg_inherits JOIN tree ON inhparent = tree.oid
             )
             SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind::text,
                    c.reltuples::float8, c.relpages, row_security_active(c.oid)
             FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace
             ORDER BY (quote_ident(n.nspname) || '.' || quote_ident(c.relname)) COLLATE \"C\"",
            &[&table.quoted()],
        )
        .await
        .map_err(|error| describe_error(&error, "looking at the table to fill"))?;
    if rows.is_empty() {
        return Err(Problem::new(
            Exit::Failed,
            "no-such-table",
            format!("there is no table {table}"),
        )
        .fix("name the schema in the plan, or set the search_path of the role that shipctl connects as"));
    }
    let mut relations = Vec::new();
    for row in rows {
        let (oid, name, kind): (u32, String, String) = (row.get(0), row.get(1), row.get(2));
        let (tuples, pages, hidden): (f64, i32, bool) = (row.get(3), row.get(4), row.get(5));
        if hidden {
            return Err(Problem::new(
                Exit::Failed,
                "rows-hidden",
                format!("row security would hide rows of {name} from this role"),
            )
            .because("rows that cannot be seen would neither be filled nor be missed by the verification")
            .fix("connect as the table's owner or as a role with BYPASSRLS"));
        }
        match kind.as_str() {
            "r" => {}
            "p" => continue,
            _ => {
                return Err(Problem::new(
                    Exit::Failed,
                    "not-a-table",
                    format!("{name} is not an ordinary table, so it cannot be filled in batches"),
                ));
            }
        }
        let key = key_of(client, oid, assigned).await?;
        if matches!(key, Key::Blocks) && server_version < TID_RANGES_SINCE {
            return Err(Problem::new(
                Exit::Failed,
                "no-key",
                format!("{name} has no primary key and no other unique NOT NULL key"),
            )
            .because("before PostgreSQL 14 each batch would scan the whole table")
            .fix("add a unique index on NOT NULL columns first"));
        }
        // -1 says never analyzed; before PostgreSQL 14, 0 said so too.
        let analyzed = tuples > 0.0 || (tuples == 0.0 && pages == 0 && server_version >= TID_RANGES_SINCE);
        relations.push(Relation {
            name,
            oid,
            key,
            rows: analyzed.then_some(tuples as u64),
            rows_a_block: if tuples > 0.0 && pages > 0 {
                (tuples / f64::from(pages)).max(1.0)
            } else {
                ROWS_A_BLOCK
            },
        });
    }
    Ok(relations)
}

/// The best key: the primary key, or else the unique key over the fewest columns.
async fn key_of(client: &Client, oid: u32, assigned: &[&SqlIdentifier]) -> Result<Key, Problem> {
    let assigned: Vec<&str> = assigned.iter().map(|column| column.as_str()).collect();
    let row = client
        .query_opt(
            "SELECT array_agg(a.attname::text ORDER BY k.place),
                    array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY k.place)
             FROM pg_index i
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate
               AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
             GROUP BY i.indexrelid, i.indisprimary, i.indnkeyatts
             HAVING bool_and(a.attnotnull) AND NOT bool_or(a.attname = ANY ($2::text[]))
             ORDER BY i.indisprimary DESC, i.indnkeyatts, sum(CASE WHEN a.attlen > 0 THEN a.attlen ELSE 64 END),
                      i.indexrelid
             LIMIT 1",
            &[&oid, &assigned],
        )
        .await
        .map_err(|error| describe_error(&error, "looking for the table's key"))?;
    Ok(row.map_or(Key::Blocks, |row| {
        let (names, kinds): (Vec<String>, Vec<String>) = (row.get(0), row.get(1));
        Key::Columns(
            names
                .into_iter()
                .zip(kinds)
                .map(|(name, kind)| KeyColumn {
                    name: SqlIdentifier::from_catalog(name),
                    kind,
                })
                .collect(),
        )
    }))
}

impl Relation {
    /// The range that begins after `after` (or at the start) and holds about `rows` rows; `None` at the end.
    pub async fn next(
        &self,
        client: &impl GenericClient,
        after: Option<&[String]>,
        rows: u32,
    ) -> Result<Option<Range>, tokio_postgres::Error> {
        match &self.key {
            Key::Columns(columns) => self.next_by_key(client, columns, after, rows).await,
            Key::Blocks => self.next_by_block(client, after, rows).await,
        }
    }

    async fn next_by_key(
        &self,
        client: &impl GenericClient,
        columns: &[KeyColumn],
        after: Option<&[String]>,
        rows: u32,
    ) -> Result<Option<Range>, tokio_postgres::Error> {
        let listed = |suffix: &str| {
            columns
                .iter()
                .map(|column| format!("{}{suffix}", column.name.quoted()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let condition = match after {
            Some(_) => format!("WHERE {}", self.after("t", 2)),
            None => String::new(),
        };
        let sql = format!(
            "WITH batch AS (SELECT {plain} FROM ONLY {name} AS t {condition} ORDER BY {plain} LIMIT $1)
             SELECT {text}, (SELECT count(*) FROM batch) FROM batch ORDER BY {down} LIMIT 1",
            plain = listed(""),
            name = self.name,
            text = listed("::text"),
            down = listed(" DESC"),
        );
        let limit = i64::from(rows);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&limit];
        for value in after.into_iter().flatten() {
            parameters.push(value);
        }
        let row = client.query_opt(&sql, &parameters).await?;
        Ok(row.map(|row| Range {
            upper: (0..columns.len()).map(|at| row.get(at)).collect(),
            rows: u64::try_from(row.get::<_, i64>(columns.len())).unwrap_or(0),
        }))
    }

    async fn next_by_block(
        &self,
        client: &impl GenericClient,
        after: Option<&[String]>,
        rows: u32,
    ) -> Result<Option<Range>, tokio_postgres::Error> {
        let first = block(after);
        let row = client
            .query_one(
                "SELECT pg_relation_size($1::oid) / current_setting('block_size')::bigint",
                &[&self.oid],
            )
            .await?;
        let all: i64 = row.get(0);
        let blocks = ((f64::from(rows) / self.rows_a_block).round() as i64).max(1);
        let end = (first + blocks).min(all);
        Ok((first < all).then(|| Range {
            upper: vec![end.to_string()],
            rows: ((end - first) as f64 * self.rows_a_block) as u64,
        }))
    }

    /// The condition of the range after `after` up to `upper`, for rows of `alias`, with its parameters, of which the first
    /// is `$1`.
    pub fn within(&self, alias: &str, after: Option<&[String]>, upper: &[String]) -> (String, Vec<String>) {
        match &self.key {
            Key::Columns(columns) => {
                let mut parameters = upper.to_vec();
                let mut condition =
                    format!("({}) <= ({})", self.row(alias, columns), self.values(columns, 1));
                if let Some(after) = after {
                    condition = format!("{} AND {condition}", self.after(alias, columns.len() + 1));
                    parameters.extend_from_slice(after);
                }
                (condition, parameters)
            }
            Key::Blocks => (
                format!("{alias}.ctid >= $1::text::tid AND {alias}.ctid < $2::text::tid"),
                vec![
                    format!("({},0)", block(after)),
                    format!("({},0)", block(Some(upper))),
                ],
            ),
        }
    }

    /// The key of a row as one text, for showing.
    pub fn shown_key(&self, alias: &str) -> String {
        match &self.key {
            Key::Columns(columns) => {
                let parts: Vec<String> = columns
                    .iter()
                    .map(|column| format!("{alias}.{}::text", column.name.quoted()))
                    .collect();
                format!("concat_ws(', ', {})", parts.join(", "))
            }
            Key::Blocks => format!("{alias}.ctid::text"),
        }
    }

    fn after(&self, alias: &str, first_parameter: usize) -> String {
        match &self.key {
            Key::Columns(columns) => format!(
                "({}) > ({})",
                self.row(alias, columns),
                self.values(columns, first_parameter)
            ),
            Key::Blocks => "true".to_owned(),
        }
    }

    fn row(&self, alias: &str, columns: &[KeyColumn]) -> String {
        columns
            .iter()
            .map(|column| format!("{alias}.{}", column.name.quoted()))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn values(&self, columns: &[KeyColumn], first_parameter: usize) -> String {
        columns
            .iter()
            .enumerate()
            .map(|(at, column)| format!("${}::text::{}", first_parameter + at, column.kind))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The block at which a range begins or ends.
fn block(position: Option<&[String]>) -> i64 {
    position
        .and_then(|parts| parts.first())
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
