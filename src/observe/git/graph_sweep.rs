//! A sweep: the marks of a whole stretch of history handed down at once, without following each commit to its parents.
//!
//! A walk waits for memory at each step, since where the next commit stands is known only when the last one was read. A
//! sweep reads the graph from end to end, sorts what lies in the stretch by generation, and so knows all places beforehand.
//! From some thousand commits on that is several times as fast.

use std::ops::RangeInclusive;

use gix_commitgraph::GENERATION_NUMBER_MAX;

use super::commit_graph::{Marking, Unusable};
use super::graph_files::{GraphFiles, Parents};

/// So many commits may lie in a stretch: 32 MB. A longer one is walked.
const MOST: usize = 2_000_000;
/// In place of a parent: there is none.
const NONE: u32 = u32::MAX;

/// A stretch of history.
pub(super) struct Span {
    /// The generations in it.
    pub generations: RangeInclusive<u32>,
    /// Only commits whose corrected date is later, where it is known.
    pub later_than: Option<u64>,
}

struct Entry {
    generation: u32,
    position: u32,
    parents: [u32; 2],
}

/// Stands for more parents than an entry has room for.
const MORE: [u32; 2] = [NONE - 1; 2];

/// The commits of a stretch.
pub(super) struct Entries {
    /// In the order of their positions.
    all: Vec<Entry>,
    /// Which of them comes when, least generation first.
    order: Vec<u32>,
}

impl Span {
    /// Reads the commits of the stretch; `None` if there are too many, or the files tell something that cannot be.
    pub(super) fn read(&self, files: &GraphFiles) -> Option<Entries> {
        let mut entries = Vec::new();
        let mut is_sound = true;
        files.each_row(|position, row| {
            is_sound &= (1..GENERATION_NUMBER_MAX).contains(&row.generation);
            if !self.generations.contains(&row.generation) || entries.len() > MOST {
                return;
            }
            if let (Some(date), Some(correction)) = (self.later_than, row.correction)
                && row.date + correction <= date
            {
                return;
            }
            let parents = match row.parents() {
                Parents::Few(parents) => parents.map(|parent| parent.unwrap_or(NONE)),
                Parents::More => MORE,
            };
            entries.push(Entry {
                generation: row.generation,
                position,
                parents,
            });
        })?;
        if !is_sound || entries.len() > MOST {
            return None;
        }
        let order = self.order(&entries)?;
        Some(Entries { all: entries, order })
    }

    /// Sorts by counting: there are hardly more generations than commits.
    fn order(&self, entries: &[Entry]) -> Option<Vec<u32>> {
        let from = *self.generations.start();
        let generations = self.generations.end().checked_sub(from)? as usize + 1;
        // First how many are of each generation, then where its next one goes.
        let mut places = vec![0u32; generations];
        for entry in entries {
            *places.get_mut((entry.generation - from) as usize)? += 1;
        }
        let mut next = 0;
        for place in &mut places {
            next += std::mem::replace(place, next);
        }
        let mut order = vec![0; entries.len()];
        for (at, entry) in (0u32..).zip(entries) {
            let place = places.get_mut((entry.generation - from) as usize)?;
            *order.get_mut(*place as usize)? = at;
            *place += 1;
        }
        Some(order)
    }
}

impl Entries {
    /// Hands the marks of each commit down to its parents, greatest generation first, which sees each commit after all its
    /// descendants. `more` visits the parents of one that has more than two.
    pub(super) fn hand_down<M: Marking>(
        &self,
        marks: &mut [M],
        more: impl Fn(u32, &mut dyn FnMut(u32)) -> Result<(), Unusable>,
    ) -> Result<(), Unusable> {
        let entries = self.order.iter().rev().map(|at| self.all.get(*at as usize));
        for entry in entries {
            let entry = entry.ok_or(Unusable)?;
            let own = *marks.get(entry.position as usize).ok_or(Unusable)?;
            if own == M::default() {
                continue;
            }
            let mut is_sound = true;
            let mut hand = |parent: u32| match marks.get_mut(parent as usize) {
                Some(slot) => *slot |= own,
                None => is_sound = false,
            };
            if entry.parents == MORE {
                more(entry.position, &mut hand)?;
            } else {
                entry
                    .parents
                    .into_iter()
                    .filter(|parent| *parent != NONE)
                    .for_each(hand);
            }
            if !is_sound {
                return Err(Unusable);
            }
        }
        Ok(())
    }
}
