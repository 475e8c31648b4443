//! The statements of a fill, and the refusal of one that would scan a table again and again.

use serde_json::Value;
use tokio_postgres::Client;

use super::relation::{Relation, at_block, within_blocks};
use super::{borrowed, refused};
use crate::domain::{Exit, PhaseId, Problem};
use crate::plan::BackfillPhase;

/// Hashes of row addresses are taken modulo this, a power of two.
pub(super) const SHARES: i32 = 128;

/// A table that a batch looks through as a whole, perhaps for each row, may be no larger than this, in bytes.
const SMALL_TABLE: i64 = 256 << 10;

/// What rows are called in the statements: the table's own name, so that expressions may qualify columns with it.
pub(super) fn alias(spec: &BackfillPhase) -> String {
    spec.table.name.quoted()
}

/// The SET list.
pub(in crate::execute) fn assignments(spec: &BackfillPhase) -> String {
    spec.set
        .iter()
        .map(|one| format!("{} = (\n{}\n)", one.column.quoted(), one.expression))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The UPDATE of the rows in a range. Line breaks end what an expression may have left open: a comment.
pub(super) fn update(spec: &BackfillPhase, relation: &Relation, range: &str) -> String {
    format!(
        "UPDATE ONLY {} AS {} SET {} WHERE {range} AND (\n{}\n) IS NOT TRUE",
        relation.name,
        alias(spec),
        assignments(spec),
        spec.verify
    )
}

/// The UPDATE of a range of blocks: of the rows that belong to the first `$3` of [`SHARES`] parts of each block.
pub(super) fn update_blocks(spec: &BackfillPhase, relation: &Relation) -> String {
    let alias = alias(spec);
    let mask = SHARES - 1;
    let range = format!(
        "{} AND (hashtid({alias}.ctid) & {mask}) < $3",
        within_blocks(&alias)
    );
    update(spec, relation, &range)
}

/// The rows of a range that do not satisfy the check, from `FROM` on.
pub(super) fn unclean(spec: &BackfillPhase, relation: &Relation, range: &str) -> String {
    format!(
        "FROM ONLY {} AS {} WHERE {range} AND (\n{}\n) IS NOT TRUE",
        relation.name,
        alias(spec),
        spec.verify
    )
}

/// Refuses a fill of whose batches each would look through a whole table: the one that is filled, or a large one that an
/// expression reads.
///
/// # Errors
/// `batch-would-scan` (exit 5); what the server says of the statement.
pub(super) async fn refuse_scans(
    client: &Client,
    phase: &PhaseId,
    spec: &BackfillPhase,
    relation: &Relation,
) -> Result<(), Problem> {
    let failed = |error: tokio_postgres::Error| refused(phase, spec, &error);
    let rows = if relation.by_blocks {
        let sql = format!("EXPLAIN (VERBOSE, FORMAT JSON) {}", update_blocks(spec, relation));
        client
            .query(&sql, &[&at_block(0), &at_block(1), &SHARES])
            .await
            .map_err(failed)?
    } else {
        let Some(first) = relation.next(client, None, 1).await.map_err(failed)? else {
            return Ok(());
        };
        let (range, parameters) = relation.within(&alias(spec), Some(&first.upper), &first.upper);
        let sql = format!(
            "EXPLAIN (VERBOSE, FORMAT JSON) {}",
            update(spec, relation, &range)
        );
        client.query(&sql, &borrowed(&parameters)).await.map_err(failed)?
    };
    let plan: Value = rows.first().map(|row| row.get::<_, Value>(0)).unwrap_or_default();
    let mut scanned = Vec::new();
    scans(&plan, &mut scanned);
    for (schema, table) in scanned {
        let row = client
            .query_one(
                "SELECT quote_ident($1) || '.' || quote_ident($2),
                        pg_relation_size(to_regclass(quote_ident($1) || '.' || quote_ident($2)))",
                &[&schema, &table],
            )
            .await
            .map_err(failed)?;
        let (name, size): (String, Option<i64>) = (row.get(0), row.get(1));
        if name == relation.name || size.is_some_and(|size| size > SMALL_TABLE) {
            return Err(would_scan(phase, &name));
        }
    }
    Ok(())
}

fn would_scan(phase: &PhaseId, table: &str) -> Problem {
    Problem::new(
        Exit::Failed,
        "batch-would-scan",
        format!("{phase}: each batch would look through all of {table}"),
    )
    .because("a fill of many batches would read it as often, and live traffic would feel it")
    .fix(format!(
        "give {table} an index for the condition by which the plan's `set` or `verify` looks rows up"
    ))
}

/// The tables that a plan scans as a whole: schema and name.
fn scans(plan: &Value, found: &mut Vec<(String, String)>) {
    match plan {
        Value::Array(parts) => parts.iter().for_each(|part| scans(part, found)),
        Value::Object(node) => {
            let text = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("Node Type") == "Seq Scan" {
                found.push((text("Schema").to_owned(), text("Relation Name").to_owned()));
            }
            node.values().for_each(|part| scans(part, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scans_are_found_wherever_they_stand_in_a_plan() {
        let plan = json!([{"Plan": {"Node Type": "ModifyTable", "Relation Name": "users", "Plans": [
            {"Node Type": "Tid Range Scan", "Relation Name": "users", "Schema": "public", "Plans": [
                {"Node Type": "Seq Scan", "Relation Name": "names", "Schema": "Odd"}]}]}}]);
        let mut found = Vec::new();
        scans(&plan, &mut found);
        assert_eq!(found, [("Odd".to_owned(), "names".to_owned())]);
    }
}
