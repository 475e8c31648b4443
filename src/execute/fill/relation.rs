//! The relations that hold a table's rows, and how they are walked: by the blocks of their files, or by a key.
//!
//! A fill goes by blocks: no key is looked up, nothing is sorted, and neighbours in the file are written together. Rows that
//! move meanwhile can be missed by that, which is why a verification goes by the key (or in one snapshot). Keys travel as
//! text in parameters and are cast to the column's own type, so that any type of key works and nothing is spliced into
//! SQL. A table with partitions (or children) is walked one relation after the other.

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
pub(super) struct Relation {
    /// Its name, qualified and quoted for SQL.
    pub name: String,
    /// Its rows, estimated; `None` where it was never analyzed.
    pub rows: Option<u64>,
    /// Its object id.
    pub oid: u32,
    /// The blocks of its file.
    pub blocks: i64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Rows in a block, estimated.
    pub rows_a_block: f64,
    /// Whether ranges of its blocks can be read by themselves.
    pub by_blocks: bool,
    key: Option<Vec<KeyColumn>>,
}

#[derive(Clone, Debug)]
struct KeyColumn {
    name: SqlIdentifier,
    /// As PostgreSQL writes it, with modifiers.
    kind: String,
}

/// The end of a range, and how many rows lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub upper: Vec<String>,
    pub rows: u64,
}

/// The relations of a table that hold rows, in the order of their names' bytes, which is how cursors compare them. `assigned` are the columns that the fill sets: a key with one
/// of them would move rows while they are walked.
///
/// # Errors
/// No such table; it is a view or has foreign partitions; row security hides rows; no key on an old server.
pub(super) async fn relations(
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
                    c.reltuples::float8, c.relpages, row_security_active(c.oid),
                    coalesce(pg_relation_size(c.oid), 0), current_setting('block_size')::bigint, m.amname IS NOT DISTINCT FROM 'heap'
             FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_am m ON m.oid = c.relam
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
        let (bytes, block_size): (i64, i64) = (row.get(6), row.get(7));
        let by_blocks = row.get::<_, bool>(8) && server_version >= TID_RANGES_SINCE;
        if key.is_none() && !by_blocks {
            return Err(Problem::new(
                Exit::Failed,
                "no-key",
                format!("{name} has no primary key and no other unique NOT NULL key"),
            )
            .because("before PostgreSQL 14, or where the table has an access method of its own, each batch would scan the whole table")
            .fix("add a unique index on NOT NULL columns first"));
        }
        // -1 says never analyzed; before PostgreSQL 14, 0 said so too.
        let analyzed = tuples > 0.0 || (tuples == 0.0 && pages == 0 && server_version >= TID_RANGES_SINCE);
        relations.push(Relation {
            name,
            oid,
            key,
            by_blocks,
            blocks: bytes / block_size.max(1),
            bytes: bytes.unsigned_abs(),
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
async fn key_of(
    client: &Client,
    oid: u32,
    assigned: &[&SqlIdentifier],
) -> Result<Option<Vec<KeyColumn>>, Problem> {
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
    Ok(row.map(|row| {
        let (names, kinds): (Vec<String>, Vec<String>) = (row.get(0), row.get(1));
        names
            .into_iter()
            .zip(kinds)
            .map(|(name, kind)| KeyColumn {
                name: SqlIdentifier::from_catalog(name),
                kind,
            })
            .collect()
    }))
}

impl Relation {
    /// Whether it has a key by which it can be walked.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The blocks of its file by now.
    pub async fn present_blocks(&self, client: &impl GenericClient) -> Result<i64, tokio_postgres::Error> {
        let row = client
            .query_one(
                "SELECT coalesce(pg_relation_size($1::oid), 0) / current_setting('block_size')::bigint",
                &[&self.oid],
            )
            .await?;
        Ok(row.get(0))
    }

    /// By its key: the range that begins after `after` (or at the start) and holds about `rows` rows; `None` at the end.
    pub async fn next(
        &self,
        client: &impl GenericClient,
        after: Option<&[String]>,
        rows: u32,
    ) -> Result<Option<Range>, tokio_postgres::Error> {
        let columns = self.columns();
        let listed = |prefix: &str, suffix: &str| {
            columns
                .iter()
                .map(|column| format!("{prefix}{}{suffix}", column.name.quoted()))
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
            plain = listed("", ""),
            name = self.name,
            text = listed("batch.", "::text"),
            // Qualified: else it would mean the text, whose order is another.
            down = listed("batch.", " DESC"),
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

    /// By its key: the condition of the range after `after` up to `upper`, for rows of `alias`, with its parameters, of
    /// which the first is `$1`.
    pub fn within(&self, alias: &str, after: Option<&[String]>, upper: &[String]) -> (String, Vec<String>) {
        let columns = self.columns();
        let mut parameters = upper.to_vec();
        let mut condition = format!("({}) <= ({})", self.row(alias), self.values(1));
        if let Some(after) = after {
            condition = format!("{} AND {condition}", self.after(alias, columns.len() + 1));
            parameters.extend_from_slice(after);
        }
        (condition, parameters)
    }

    /// The key of a row as one text, for showing; its place in the file where it has none.
    pub fn shown_key(&self, alias: &str) -> String {
        match &self.key {
            Some(columns) => {
                let parts: Vec<String> = columns
                    .iter()
                    .map(|column| format!("{alias}.{}::text", column.name.quoted()))
                    .collect();
                format!("concat_ws(', ', {})", parts.join(", "))
            }
            None => format!("{alias}.ctid::text"),
        }
    }

    fn columns(&self) -> &[KeyColumn] {
        self.key.as_deref().unwrap_or_default()
    }

    fn after(&self, alias: &str, first_parameter: usize) -> String {
        format!("({}) > ({})", self.row(alias), self.values(first_parameter))
    }

    fn row(&self, alias: &str) -> String {
        self.columns()
            .iter()
            .map(|column| format!("{alias}.{}", column.name.quoted()))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn values(&self, first_parameter: usize) -> String {
        self.columns()
            .iter()
            .enumerate()
            .map(|(at, column)| format!("${}::text::{}", first_parameter + at, column.kind))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The condition of a range of blocks, for rows of `alias`: from the block of `$1` to before that of `$2`.
pub(super) fn within_blocks(alias: &str) -> String {
    format!("{alias}.ctid >= $1::text::tid AND {alias}.ctid < $2::text::tid")
}

/// Where a block begins, as a parameter of [`within_blocks`].
pub(super) fn at_block(block: i64) -> String {
    format!("({block},0)")
}

#[cfg(test)]
impl Relation {
    /// One without a key, of so many blocks.
    pub fn sample(blocks: i64) -> Self {
        Self {
            name: "public.t".to_owned(),
            rows: None,
            oid: 1,
            blocks,
            bytes: blocks.unsigned_abs() * 8_192,
            rows_a_block: ROWS_A_BLOCK,
            by_blocks: true,
            key: None,
        }
    }
}
