//! Which commit reaches which: many pairs in one walk over the commit-graph, each question answered once.
//!
//! What was answered is remembered by full ids for as long as the repository is open. That is sound because an id fixes
//! the whole history behind it; only a fetch that deepens a clone, or removing a graft, could change an answer, and after
//! either the repository is opened anew.

use std::collections::{BTreeMap, BTreeSet};

use git2::{Oid, Sort};
use gix_commitgraph::Position;

use super::commit_graph::{Apart, CommitGraph, Marks, Unusable};
use super::{Repository, oid};
use crate::domain::CommitId;
use crate::safety::Doubt;

/// How many starting points fit into one walk.
const AT_ONCE: usize = Marks::BITS as usize;

/// Answers given so far.
#[derive(Default)]
pub(super) struct Memo {
    reaches: BTreeMap<(Oid, Oid), bool>,
}

/// Where the walks of some starting points begin in the graph, each with the marks it brings, and the marks of what lies
/// above it.
struct Starts {
    inside: Vec<(Position, Marks)>,
    above: BTreeMap<Oid, Marks>,
}

impl Repository {
    /// Whether each version descends from each change (or is it): a row for each version, in the order given.
    ///
    /// One walk serves them all, so that many cost little more than the deepest alone.
    ///
    /// # Errors
    /// A doubt where a commit is not here. In a clone whose history is cut short, `false` means nothing.
    pub fn descends_each(
        &self,
        versions: &[CommitId],
        changes: &[CommitId],
    ) -> Result<Vec<Vec<bool>>, Doubt> {
        let locate = |ids: &[CommitId]| {
            ids.iter()
                .map(|id| self.locate(id))
                .collect::<Result<Vec<_>, _>>()
        };
        let (from, to) = (locate(versions)?, locate(changes)?);
        self.learn(&from, &to)?;
        from.iter()
            .map(|from| to.iter().map(|to| self.reaches(*from, *to)).collect())
            .collect()
    }

    /// Finds out all these pairs at once, for [`Repository::reaches`] to know.
    pub(super) fn learn(&self, from: &[Oid], to: &[Oid]) -> Result<(), Doubt> {
        let Some(graph) = self.commit_graph() else {
            return Ok(());
        };
        let unknown = |from: &Oid| {
            let memo = self.ancestry.borrow();
            to.iter().any(|to| !memo.reaches.contains_key(&(*from, *to)))
        };
        let from: Vec<Oid> = from.iter().copied().filter(unknown).collect();
        for some in from.chunks(AT_ONCE) {
            let Some(marks) = self.marks(graph, some, to)? else {
                return Ok(());
            };
            let mut memo = self.ancestry.borrow_mut();
            for (to, marks) in to.iter().zip(marks) {
                for (at, from) in some.iter().enumerate() {
                    memo.reaches.insert((*from, *to), marks & (1 << at) != 0);
                }
            }
        }
        Ok(())
    }

    /// Whether `from` is `to` or a descendant of it, as far as this clone's history goes.
    pub(super) fn reaches(&self, from: Oid, to: Oid) -> Result<bool, Doubt> {
        // libgit2 does not count a commit among its own descendants.
        if from == to {
            return Ok(true);
        }
        let known = |repository: &Self| repository.ancestry.borrow().reaches.get(&(from, to)).copied();
        if let Some(known) = known(self) {
            return Ok(known);
        }
        self.learn(&[from], &[to])?;
        if let Some(known) = known(self) {
            return Ok(known);
        }
        let answer = self
            .inner
            .graph_descendant_of(from, to)
            .map_err(|error| self.unreadable(&error))?;
        self.ancestry.borrow_mut().reaches.insert((from, to), answer);
        Ok(answer)
    }

    /// Which of many commits descend from `change` (or are it): one walk, with or without a commit-graph.
    pub(super) fn descending(&self, many: &[Oid], change: Oid) -> Result<BTreeSet<Oid>, Doubt> {
        self.learn(many, &[change])?;
        let unknown: Vec<Oid> = {
            let memo = self.ancestry.borrow();
            let is_unknown = |id: &Oid| !memo.reaches.contains_key(&(*id, change));
            many.iter().copied().filter(is_unknown).collect()
        };
        if !unknown.is_empty() {
            let found = self
                .walk_from(&unknown, change)
                .map_err(|error| self.unreadable(&error))?;
            let mut memo = self.ancestry.borrow_mut();
            for id in unknown {
                let reaches = id == change || found.contains(&id);
                memo.reaches.insert((id, change), reaches);
            }
        }
        let memo = self.ancestry.borrow();
        let reaches = |id: &Oid| memo.reaches.get(&(*id, change)) == Some(&true);
        Ok(many.iter().copied().filter(reaches).collect())
    }

    /// The commits between these and `change` that descend from it.
    fn walk_from(&self, many: &[Oid], change: Oid) -> Result<BTreeSet<Oid>, git2::Error> {
        let mut walk = self.inner.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
        for id in many {
            walk.push(*id)?;
        }
        walk.hide(change)?;
        let mut after = BTreeSet::new();
        for found in walk {
            let id = found?;
            let descends = |parent: Oid| parent == change || after.contains(&parent);
            if self.inner.find_commit(id)?.parent_ids().any(descends) {
                after.insert(id);
            }
        }
        Ok(after)
    }

    /// How many commits only `one` has, and how many only `other` has.
    pub(super) fn distance(&self, one: Oid, other: Oid) -> Result<(usize, usize), Doubt> {
        if let Some(graph) = self.commit_graph() {
            let mut sum = Apart::default();
            let starts = self.starts(graph, &[one, other])?;
            for marks in starts.above.values() {
                sum.count(*marks);
            }
            if let Ok(sum) = graph.apart(&starts.inside, sum) {
                return Ok((sum.one, sum.other));
            }
        }
        self.inner
            .graph_ahead_behind(one, other)
            .map_err(|error| self.unreadable(&error))
    }

    /// The commit-graph, unless it could mislead: where history is cut short, grafted or replaced, git does not use it
    /// either.
    fn commit_graph(&self) -> Option<&CommitGraph> {
        self.graph
            .get_or_init(|| {
                if self.is_shallow() || !self.replacements().is_empty() {
                    return None;
                }
                let switched_on = self
                    .inner
                    .config()
                    .and_then(|config| config.get_bool("core.commitGraph"));
                if switched_on.is_ok_and(|on| !on) {
                    return None;
                }
                CommitGraph::open(&self.inner.commondir().join("objects"))
            })
            .as_ref()
    }

    /// By which of `from` each of `to` is reached; `None` where the graph cannot tell.
    fn marks(&self, graph: &CommitGraph, from: &[Oid], to: &[Oid]) -> Result<Option<Vec<Marks>>, Doubt> {
        let Starts { inside, above } = self.starts(graph, from)?;
        let places: Vec<Option<Position>> = to.iter().map(|to| graph.position(*to)).collect();
        let targets: Vec<Position> = places.iter().flatten().copied().collect();
        let below = if inside.is_empty() || targets.is_empty() {
            vec![0; targets.len()]
        } else {
            let dates_are_whole = || inside.iter().all(|(start, _)| self.has_its_date(graph, *start));
            match graph.reached(&inside, &targets, dates_are_whole) {
                Ok(marks) => marks,
                Err(Unusable) => return Ok(None),
            }
        };
        let mut below = below.into_iter();
        let marks = to.iter().zip(places).map(|(to, place)| match place {
            Some(_) => below.next().unwrap_or_default(),
            None => above.get(to).copied().unwrap_or_default(),
        });
        Ok(Some(marks.collect()))
    }

    /// Whether the graph tells the date that a commit has: it has no room for those after the year 2514. If it does for
    /// one that has no correction either, it does for all its ancestors.
    fn has_its_date(&self, graph: &CommitGraph, at: Position) -> bool {
        let commit = graph.id(at).and_then(|id| self.inner.find_commit(id).ok());
        commit.and_then(|commit| u64::try_from(commit.time().seconds()).ok()) == Some(graph.date(at))
    }

    /// Marks these commits, and what lies between them and the graph.
    fn starts(&self, graph: &CommitGraph, from: &[Oid]) -> Result<Starts, Doubt> {
        let mut inside: BTreeMap<Position, Marks> = BTreeMap::new();
        let mut above: BTreeMap<Oid, Marks> = BTreeMap::new();
        let mut outside = Vec::new();
        for (at, commit) in from.iter().enumerate() {
            match graph.position(*commit) {
                Some(position) => *inside.entry(position).or_default() |= 1 << at,
                None => {
                    *above.entry(*commit).or_default() |= 1 << at;
                    outside.push(*commit);
                }
            }
        }
        let top = self
            .top(graph, &outside)
            .map_err(|error| self.unreadable(&error))?;
        for (commit, parents) in &top {
            let marks = above.get(commit).copied().unwrap_or_default();
            for parent in parents {
                match graph.position(*parent) {
                    Some(position) => *inside.entry(position).or_default() |= marks,
                    None => *above.entry(*parent).or_default() |= marks,
                }
            }
        }
        Ok(Starts {
            inside: inside.into_iter().collect(),
            above,
        })
    }

    /// Every commit outside the graph that these reach, with its parents, children first. The graph holds the parents of
    /// whatever it holds, so that nothing below it can be missing from it.
    fn top(&self, graph: &CommitGraph, from: &[Oid]) -> Result<Vec<(Oid, Vec<Oid>)>, git2::Error> {
        let mut seen = BTreeMap::new();
        let mut finished = Vec::new();
        for start in from {
            let mut path = vec![(*start, 0)];
            while let Some((commit, next)) = path.pop() {
                let parents: &Vec<Oid> = match seen.entry(commit) {
                    std::collections::btree_map::Entry::Occupied(known) => {
                        if next == 0 {
                            continue;
                        }
                        known.into_mut()
                    }
                    std::collections::btree_map::Entry::Vacant(new) => {
                        new.insert(self.inner.find_commit(commit)?.parent_ids().collect())
                    }
                };
                match parents.get(next) {
                    Some(parent) => {
                        path.push((commit, next + 1));
                        if graph.position(*parent).is_none() {
                            path.push((*parent, 0));
                        }
                    }
                    None => finished.push(commit),
                }
            }
        }
        // Parents were finished before their children.
        finished.reverse();
        Ok(finished
            .into_iter()
            .map(|commit| (commit, seen.remove(&commit).unwrap_or_default()))
            .collect())
    }

    /// Learns in one walk what [`Repository::contains`] will ask about these versions and changes. What cannot be found
    /// out is asked again there, and answered with a doubt.
    pub(in crate::observe) fn prepare(&self, versions: &[CommitId], revisions: &[&str]) {
        let from: Vec<Oid> = versions.iter().filter_map(|id| self.locate(id).ok()).collect();
        let to: Vec<Oid> = revisions
            .iter()
            .filter_map(|revision| self.resolve_for_good(revision).ok())
            .filter_map(|id| oid(&id))
            .collect();
        if self.learn(&from, &to).is_err() {
            tracing::debug!("ancestry could not be learned in advance");
        }
    }
}

#[cfg(test)]
mod tests;
