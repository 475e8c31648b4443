//! Lays a table out in the ranges that workers claim.

use super::Task;
use super::relation::Relation;
use crate::domain::Problem;
use crate::execute::engine::Hold;
use crate::execute::failpoint::{Failpoint, reach};
use crate::postgres::describe_error;
use crate::postgres::ledger::fill_range::{self, FillRange};

/// A table has about so many ranges, so that workers have something to share to the end, …
const RANGES: i64 = 12;
/// … unless that makes them smaller or larger than this, in blocks: large enough that a round through one takes longer
/// than the transactions that may still see what it left behind, small enough that it stays in memory.
const RANGE_BLOCKS: std::ops::RangeInclusive<i64> = 512..=8_192;

/// Lays the table out in ranges, as far as it is not yet.
pub(super) async fn lay_out(hold: &mut Hold<'_>, task: &Task<'_>) -> Result<(), Problem> {
    let doing = |error: tokio_postgres::Error| describe_error(&error, "laying out a fill");
    let transaction = hold.work.client_mut().transaction().await.map_err(doing)?;
    hold.lock.assert_held(&transaction).await?;
    let there = fill_range::all(&transaction, task.key()).await?;
    let mut number = there.last().map_or(0, |last| last.number + 1);
    let mut ranges = Vec::new();
    for relation in task.relations {
        if there.iter().any(|range| range.relation == relation.name) {
            continue;
        }
        for (first, end) in bounds(relation) {
            ranges.push(FillRange::new(number, &relation.name, first, end));
            number += 1;
        }
    }
    let names: Vec<&str> = task
        .relations
        .iter()
        .map(|relation| relation.name.as_str())
        .collect();
    let run = hold.lock.witness().holder();
    fill_range::lay_out(&transaction, task.key(), run, &names, &ranges).await?;
    transaction.commit().await.map_err(doing)?;
    reach(Failpoint::FillLaidOut).await;
    Ok(())
}

/// The ranges of a relation: the first block, and the one behind the last. The last range is open, for what comes in.
fn bounds(relation: &Relation) -> Vec<(i64, Option<i64>)> {
    if !relation.by_blocks {
        return vec![(0, None)];
    }
    let blocks = (relation.blocks / RANGES).clamp(*RANGE_BLOCKS.start(), *RANGE_BLOCKS.end());
    let count = (relation.blocks / blocks).max(1);
    (0..count)
        .map(|at| {
            let end = (at + 1) * blocks;
            (at * blocks, (at + 1 < count).then_some(end))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_block_once_and_the_last_is_open() {
        for blocks in [0, 1, 511, 1_023, 1_024, 40_000, 1_000_000] {
            let bounds = bounds(&Relation::sample(blocks));
            let mut expected = 0;
            for (at, (first, end)) in bounds.iter().enumerate() {
                assert_eq!(*first, expected);
                assert_eq!(end.is_none(), at + 1 == bounds.len());
                expected = end.unwrap_or(blocks);
            }
            assert!(bounds.len() as i64 <= (blocks / *RANGE_BLOCKS.start()).max(1));
        }
        assert_eq!(bounds(&Relation::sample(40_000)).len(), 12);
    }
}
