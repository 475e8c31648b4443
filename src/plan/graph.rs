//! Who needs whom, as a graph. petgraph does not show outside of this file; phases are known by their place in
//! the file.

use std::collections::{BTreeSet, VecDeque};

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

/// Edges lead from what is needed to what needs it.
pub(super) struct Needs(DiGraph<(), ()>);

impl Needs {
    /// The graph of so many phases; `edges` are pairs of (needed, needing).
    pub(super) fn new(phases: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut graph = DiGraph::with_capacity(phases, phases);
        for _ in 0..phases {
            graph.add_node(());
        }
        for (needed, needing) in edges {
            graph.update_edge(NodeIndex::new(needed), NodeIndex::new(needing), ());
        }
        Self(graph)
    }

    /// One shortest circle for every knot of phases that need one another, each beginning with the phase that stands
    /// first in the file and going from a phase to one that it needs.
    pub(super) fn cycles(&self) -> Vec<Vec<usize>> {
        let mut cycles: Vec<Vec<usize>> = tarjan_scc(&self.0)
            .into_iter()
            .filter(|knot| knot.len() > 1)
            .filter_map(|knot| {
                let start = knot.iter().copied().min()?;
                self.circle(start, &knot.into_iter().collect())
            })
            .collect();
        cycles.sort();
        cycles
    }

    /// The shortest way from a phase back to itself by way of what it needs.
    fn circle(&self, start: NodeIndex, knot: &BTreeSet<NodeIndex>) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.0.node_count()];
        let mut queue = VecDeque::from([start]);
        while let Some(here) = queue.pop_front() {
            let mut needed: Vec<NodeIndex> = self.0.neighbors_directed(here, Direction::Incoming).collect();
            needed.sort();
            for next in needed {
                if next == start {
                    let mut circle = vec![here.index()];
                    let mut at = here;
                    while let Some(before) = came_from[at.index()] {
                        at = before;
                        circle.push(at.index());
                    }
                    circle.reverse();
                    return Some(circle);
                }
                if knot.contains(&next) && came_from[next.index()].is_none() {
                    came_from[next.index()] = Some(here);
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// Everything that must come before a phase.
    pub(super) fn above(&self, phase: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut left = vec![NodeIndex::new(phase)];
        while let Some(here) = left.pop() {
            for needed in self.0.neighbors_directed(here, Direction::Incoming) {
                if found.insert(needed.index()) {
                    left.push(needed);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_named_from_the_first_phase_on() {
        // 0 needs 2, 2 needs 1, 1 needs 0; 3 needs 0 and lies outside; 4 and 5 need each other.
        let needs = Needs::new(6, [(2, 0), (1, 2), (0, 1), (0, 3), (4, 5), (5, 4)]);
        assert_eq!(needs.cycles(), [vec![0, 2, 1], vec![4, 5]]);
        assert_eq!(needs.above(3), BTreeSet::from([0, 1, 2]));
        assert!(Needs::new(3, [(0, 1), (1, 2), (0, 2)]).cycles().is_empty());
    }
}
