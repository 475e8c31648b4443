//! Git's commit-graph: the history as a table of positions, walked once for many questions.
//!
//! Each commit has a generation there, greater than those of all its ancestors. A walk that takes the greatest
//! generation first sees every commit after all its descendants, and may stop above what it is looking for.

use std::cell::OnceCell;
use std::collections::BinaryHeap;
use std::ops::BitOrAssign;
use std::path::Path;

use git2::Oid;
use gix_commitgraph::{GENERATION_NUMBER_MAX, Graph, Position};

use super::graph_files::GraphFiles;
use super::graph_sweep::Span;

/// Which of up to 64 starting points reach a commit: one bit each.
pub(super) type Marks = u64;

/// After so many commits, a walk may be long enough for a sweep to take its place.
const BEFORE_A_SWEEP: usize = 2_000;
/// A step of a walk takes as long as a sweep takes for so many commits.
const STEP: u32 = 16;

/// The graph of a repository.
pub(super) struct CommitGraph {
    graph: Graph,
    files: Option<GraphFiles>,
    /// After how many steps a walk may become a sweep.
    before_a_sweep: usize,
    #[cfg(test)]
    effort: std::cell::Cell<Effort>,
}

/// What the last question took.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effort {
    /// Commits that were followed to their parents.
    pub(super) steps: usize,
    /// Whether a sweep took the place of the rest.
    pub(super) swept: bool,
}

/// The graph says something that cannot be, or was written by a git that did not number the generations.
#[derive(Debug)]
pub(super) struct Unusable;

/// What only one, and what only the other of two starting points has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Apart {
    pub(super) one: usize,
    pub(super) other: usize,
}

impl Apart {
    /// Counts a commit with these marks: the first bit is `one`, the second `other`.
    pub(super) fn count(&mut self, marks: Marks) {
        match marks {
            1 => self.one += 1,
            2 => self.other += 1,
            _ => {}
        }
    }
}

impl CommitGraph {
    /// Opens the graph, one file or a chain of them, in a repository's folder of objects. `None` if there is none that
    /// can be read.
    pub(super) fn open(objects: &Path) -> Option<Self> {
        let (graph, files) = GraphFiles::open(&objects.join("info"))?;
        Some(Self {
            graph,
            files,
            before_a_sweep: BEFORE_A_SWEEP,
            #[cfg(test)]
            effort: std::cell::Cell::default(),
        })
    }

    /// Where a commit stands in it.
    pub(super) fn position(&self, commit: Oid) -> Option<Position> {
        let id = gix_hash::oid::try_from_bytes(commit.as_bytes()).ok()?;
        self.graph.lookup(id)
    }

    /// The id of a commit in it.
    pub(super) fn id(&self, at: Position) -> Option<Oid> {
        if at.0 >= self.graph.num_commits() {
            return None;
        }
        Oid::from_bytes(self.graph.id_at(at).as_bytes()).ok()
    }

    /// Which of the starting points reach each target. `dates_are_whole` tells whether the dates of the starting points
    /// are here as the commits have them; it is asked once at most.
    pub(super) fn reached(
        &self,
        starts: &[(Position, Marks)],
        targets: &[Position],
        dates_are_whole: impl Fn() -> bool,
    ) -> Result<Vec<Marks>, Unusable> {
        // Few marks in few bytes: in a long history, most of the time goes into waiting for memory.
        if starts.iter().all(|(_, marks)| *marks <= Marks::from(u8::MAX)) {
            let few = starts.iter().map(|(start, marks)| (*start, *marks as u8));
            self.reached_by::<u8>(few.collect(), targets, dates_are_whole)
        } else {
            self.reached_by::<Marks>(starts.to_vec(), targets, dates_are_whole)
        }
    }

    fn reached_by<M: Marking>(
        &self,
        starts: Vec<(Position, M)>,
        targets: &[Position],
        dates_are_whole: impl Fn() -> bool,
    ) -> Result<Vec<Marks>, Unusable> {
        let mut walk = Walk::<M>::new(self);
        let mut everyone = M::default();
        let mut lowest = u32::MAX;
        for target in targets {
            lowest = lowest.min(self.generation(*target)?);
        }
        for (start, marks) in starts {
            everyone |= marks;
            walk.mark(start, marks, lowest)?;
        }
        let oldest = targets.iter().map(|target| self.date(*target)).min();
        let whole = OnceCell::new();
        let (mut steps, mut swept) = (0, false);
        while let Some((generation, at)) = walk.take() {
            // All that could still mark a target has been seen.
            if generation <= lowest {
                break;
            }
            if let [only] = targets
                && walk.marks_of(*only)? == everyone
            {
                break;
            }
            // What is no later than the oldest target cannot have it behind it. A commit's own date is never later than
            // the corrected one, and nearly always enough to go on.
            if let Some(oldest) = oldest
                && self.date(at) <= oldest
                && self.corrected_date(at).is_some_and(|date| date <= oldest)
                && *whole.get_or_init(&dates_are_whole)
            {
                continue;
            }
            steps += 1;
            if steps == self.before_a_sweep && self.graph.num_commits() / STEP < generation - lowest {
                let later_than = oldest.filter(|_| *whole.get_or_init(&dates_are_whole));
                let span = Span {
                    generations: lowest + 1..=generation,
                    later_than,
                };
                if let Some(entries) = self.files.as_ref().and_then(|files| span.read(files)) {
                    entries.hand_down(&mut walk.marks, |at, visit| {
                        self.each_parent(Position(at), |parent| {
                            visit(parent.0);
                            Ok(())
                        })
                    })?;
                    swept = true;
                    break;
                }
            }
            let marks = walk.marks_of(at)?;
            self.each_parent(at, |parent| walk.mark(parent, marks, lowest))?;
        }
        tracing::debug!(steps, swept, "looked for what reaches what");
        #[cfg(test)]
        self.effort.set(Effort { steps, swept });
        targets
            .iter()
            .map(|target| Ok(walk.marks_of(*target)?.into()))
            .collect()
    }

    /// Counts the commits that bear only the first mark, and those that bear only the second.
    pub(super) fn apart(&self, starts: &[(Position, Marks)], mut sum: Apart) -> Result<Apart, Unusable> {
        let mut walk = Walk::<u8>::new(self);
        for (start, marks) in starts {
            walk.mark(*start, *marks as u8, 0)?;
        }
        // What both have, and everything below, counts for neither.
        while walk.undecided > 0
            && let Some((_, at)) = walk.take()
        {
            let marks = walk.marks_of(at)?;
            if marks != 3 {
                walk.undecided -= 1;
            }
            sum.count(marks.into());
            self.each_parent(at, |parent| walk.mark(parent, marks, 0))?;
        }
        Ok(sum)
    }

    fn each_parent(
        &self,
        at: Position,
        mut visit: impl FnMut(Position) -> Result<(), Unusable>,
    ) -> Result<(), Unusable> {
        for parent in self.graph.commit_at(at).iter_parents() {
            visit(parent.map_err(|_| Unusable)?)?;
        }
        Ok(())
    }

    fn generation(&self, at: Position) -> Result<u32, Unusable> {
        if at.0 >= self.graph.num_commits() {
            return Err(Unusable);
        }
        match self.graph.commit_at(at).generation() {
            // Not numbered, or numbered as high as numbers go: then the order means nothing.
            0 | GENERATION_NUMBER_MAX.. => Err(Unusable),
            generation => Ok(generation),
        }
    }

    #[cfg(test)]
    pub(super) fn sweep_at_once(&mut self) {
        self.before_a_sweep = 1;
    }

    #[cfg(test)]
    pub(super) fn effort(&self) -> Effort {
        self.effort.get()
    }

    /// A commit's own date.
    pub(super) fn date(&self, at: Position) -> u64 {
        self.graph.commit_at(at).committer_timestamp()
    }

    /// A commit's corrected date, where the graph has it.
    fn corrected_date(&self, at: Position) -> Option<u64> {
        Some(self.date(at) + self.files.as_ref()?.correction(at.0)?)
    }
}

/// Marks of one width.
pub(super) trait Marking: Copy + Default + Eq + BitOrAssign + Into<Marks> {}

impl Marking for u8 {}
impl Marking for Marks {}

/// Marks that are handed down from commits to their parents, greatest generation first.
struct Walk<'g, M> {
    graph: &'g CommitGraph,
    marks: Vec<M>,
    /// Generation and position in one number each, which order themselves.
    queue: BinaryHeap<u64>,
    /// How many in the queue do not bear the first two marks both.
    undecided: usize,
}

impl<'g, M: Marking> Walk<'g, M> {
    fn new(graph: &'g CommitGraph) -> Self {
        Self {
            graph,
            marks: vec![M::default(); graph.graph.num_commits() as usize],
            queue: BinaryHeap::new(),
            undecided: 0,
        }
    }

    fn take(&mut self) -> Option<(u32, Position)> {
        let next = self.queue.pop()?;
        Some(((next >> 32) as u32, Position(next as u32)))
    }

    fn marks_of(&self, at: Position) -> Result<M, Unusable> {
        self.marks.get(at.0 as usize).copied().ok_or(Unusable)
    }

    /// Adds marks to a commit, and queues it unless it has been or lies below `lowest`.
    fn mark(&mut self, at: Position, marks: M, lowest: u32) -> Result<(), Unusable> {
        let slot = self.marks.get_mut(at.0 as usize).ok_or(Unusable)?;
        let before = *slot;
        *slot |= marks;
        let (was, is): (Marks, Marks) = (before.into(), (*slot).into());
        if was == 0 {
            let generation = self.graph.generation(at)?;
            if generation >= lowest {
                self.queue.push(u64::from(generation) << 32 | u64::from(at.0));
                self.undecided += usize::from(is != 3);
            }
        } else if was != 3 && is == 3 {
            self.undecided = self.undecided.saturating_sub(1);
        }
        Ok(())
    }
}
