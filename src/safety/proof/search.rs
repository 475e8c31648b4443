//! The search: every state that the gates permit, breadth first, until one is found in which something fails.

use std::collections::HashMap;
use std::rc::Rc;

use super::harm::Found;
use super::model::{Model, one, places};
use super::rules::{Answers, Permitted, Position, Rules};
use super::schema::{Op, Schema};

/// One thing that somebody does, in the model's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Run {
        plan: usize,
        phase: usize,
    },
    Undo {
        plan: usize,
        phase: usize,
    },
    Verify {
        plan: usize,
        phase: usize,
    },
    Restore {
        plan: usize,
        phase: usize,
    },
    /// The first instances of a version start, beside those of another.
    Begin {
        version: usize,
    },
    /// The last instances of the other version stop.
    Finish {
        version: usize,
    },
    /// The instances of the version that came stop again.
    Withdraw {
        version: usize,
    },
}

/// Where everything stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    done: Vec<u64>,
    tainted: Vec<u64>,
    abandoned: Vec<u64>,
    schema: Schema,
    /// The version of each service.
    running: Vec<usize>,
    /// One that is being rolled out.
    joining: Option<usize>,
}

impl State {
    fn fleet(&self) -> impl Iterator<Item = usize> + '_ {
        self.running.iter().copied().chain(self.joining)
    }
}

struct Node {
    state: State,
    parent: Option<(usize, Act)>,
}

/// What a search came to.
pub(super) struct Searched {
    /// How many different states were reached.
    pub states: usize,
    /// What was done until something failed, if something did.
    pub found: Option<(Vec<Act>, Found)>,
    /// Whether it ended before it had seen everything.
    pub cut_short: bool,
    /// What was seen on the way, so that a test can tell that a search saw something.
    #[cfg(test)]
    pub reached_phases: Vec<u64>,
    #[cfg(test)]
    pub undone_phases: Vec<u64>,
    #[cfg(test)]
    pub reached_versions: std::collections::BTreeSet<usize>,
    #[cfg(test)]
    pub restored: bool,
}

/// Searches until something fails, everything was seen, or so many states were. `answers` are those of an earlier search
/// of the same plans, if there was one, and are those of both then.
pub(super) fn search(model: &Model<'_>, most: usize, answers: &mut Vec<Answers>) -> Option<Searched> {
    search_by(model, most, answers, true)
}

/// The same; unless `by_order`, the rules are asked about phases also where their order forbids them.
pub(super) fn search_by(
    model: &Model<'_>,
    most: usize,
    answers: &mut Vec<Answers>,
    by_order: bool,
) -> Option<Searched> {
    let mut known = std::mem::take(answers).into_iter();
    let rules: Vec<Rules<'_>> = (0..model.plans.len())
        .map(|plan| Rules::new(model, plan, by_order, known.next().unwrap_or_default()))
        .collect::<Option<_>>()?;
    let mut search = Search {
        model,
        rules,
        nodes: Vec::new(),
        seen: HashMap::new(),
        #[cfg(test)]
        acts: Vec::new(),
    };
    let searched = search.run(most);
    *answers = search.rules.into_iter().map(Rules::into_answers).collect();
    Some(searched)
}

struct Search<'m> {
    model: &'m Model<'m>,
    rules: Vec<Rules<'m>>,
    nodes: Vec<Node>,
    seen: HashMap<State, usize>,
    /// Every act that was possible somewhere.
    #[cfg(test)]
    acts: Vec<Act>,
}

impl Search<'_> {
    fn run(&mut self, most: usize) -> Searched {
        let start = State {
            done: vec![0; self.model.plans.len()],
            tainted: vec![0; self.model.plans.len()],
            abandoned: vec![0; self.model.plans.len()],
            schema: self.model.initial,
            running: (0..self.model.services.len())
                .filter_map(|service| {
                    self.model.versions.iter().position(|version| {
                        version.service == service && version.phases.iter().all(|set| *set == 0)
                    })
                })
                .collect(),
            joining: None,
        };
        if let Err(found) = self.enter(start, None) {
            return self.ended(Some((Vec::new(), found)), false);
        }
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            if self.nodes.len() > most {
                return self.ended(None, true);
            }
            let state = node.state.clone();
            for act in self.possible(&state) {
                #[cfg(test)]
                self.acts.push(act);
                let entered = self
                    .after(&state, act)
                    .and_then(|next| self.enter(next, Some((at, act))));
                if let Err(found) = entered {
                    let found = self.with_its_cause(found, at);
                    let mut acts = self.way_to(at);
                    acts.push(act);
                    return self.ended(Some((acts, found)), false);
                }
            }
            at += 1;
        }
        self.ended(None, false)
    }

    fn ended(&self, found: Option<(Vec<Act>, Found)>, cut_short: bool) -> Searched {
        Searched {
            states: self.nodes.len(),
            found,
            cut_short,
            #[cfg(test)]
            reached_phases: (0..self.model.plans.len())
                .map(|plan| self.nodes.iter().fold(0, |all, node| all | node.state.done[plan]))
                .collect(),
            #[cfg(test)]
            undone_phases: self
                .acts
                .iter()
                .fold(vec![0; self.model.plans.len()], |mut all, act| {
                    if let Act::Undo { plan, phase } = act {
                        all[*plan] |= 1 << phase;
                    }
                    all
                }),
            #[cfg(test)]
            reached_versions: self.nodes.iter().flat_map(|node| node.state.fleet()).collect(),
            #[cfg(test)]
            restored: self.acts.iter().any(|act| matches!(act, Act::Restore { .. })),
        }
    }

    /// A stale value with the version that last left it so, where that was on the way to a state.
    fn with_its_cause(&self, found: Found, mut at: usize) -> Found {
        let Found::ReadsInvalid {
            version,
            column,
            because_of: None,
        } = found
        else {
            return found;
        };
        let mut because_of = None;
        while let Some(node) = self.nodes.get(at) {
            let Some((parent, act)) = node.parent else { break };
            // Whatever was before a column came has nothing to do with what it holds.
            if node.state.schema.exists & one(column) == 0 {
                break;
            }
            let was_valid = self
                .nodes
                .get(parent)
                .is_some_and(|before| before.state.schema.valid & one(column) != 0);
            if (was_valid || self.fills(act, column)) && node.state.schema.valid & one(column) == 0 {
                because_of = node.state.fleet().find(|version| {
                    self.model
                        .versions
                        .get(*version)
                        .is_some_and(|code| code.inserts & !code.keeps & one(column) != 0)
                });
                break;
            }
            at = parent;
        }
        Found::ReadsInvalid {
            version,
            column,
            because_of,
        }
    }

    /// Whether something that was done fills a column.
    fn fills(&self, act: Act, column: usize) -> bool {
        let (Act::Run { plan, phase } | Act::Verify { plan, phase } | Act::Restore { plan, phase }) = act
        else {
            return false;
        };
        let model = &self.model.plans[plan].phases[phase];
        model
            .up
            .iter()
            .flatten()
            .chain(&model.fill)
            .any(|op| matches!(op, Op::Fill { target, .. } if *target == column))
    }

    fn way_to(&self, mut at: usize) -> Vec<Act> {
        let mut acts = Vec::new();
        while let Some((parent, act)) = self.nodes.get(at).and_then(|node| node.parent) {
            acts.push(act);
            at = parent;
        }
        acts.reverse();
        acts
    }

    /// Settles a state, looks whether anything fails in it, and keeps it if it is new.
    fn enter(&mut self, mut state: State, parent: Option<(usize, Act)>) -> Result<(), Found> {
        for plan in 0..self.model.plans.len() {
            let permitted = self.permitted(&state, plan);
            state.tainted[plan] |= permitted.tainted;
            state.abandoned[plan] = permitted.abandoned;
        }
        let running: Vec<usize> = state.fleet().collect();
        state.schema = self.model.worked_in(&running, state.schema)?;
        if !self.seen.contains_key(&state) {
            self.seen.insert(state.clone(), self.nodes.len());
            self.nodes.push(Node { state, parent });
        }
        Ok(())
    }

    fn permitted(&mut self, state: &State, plan: usize) -> Rc<Permitted> {
        let position = self.position(state, plan);
        self.rules[plan].ask(&position)
    }

    /// Where a plan stands.
    fn position(&self, state: &State, plan: usize) -> Position {
        let rules = &self.rules[plan];
        let mut fleet: Vec<usize> = state.fleet().map(|version| rules.own(version)).collect();
        fleet.sort_unstable();
        fleet.dedup();
        Position {
            done: state.done[plan],
            tainted: state.tainted[plan],
            abandoned: state.abandoned[plan],
            fleet,
        }
    }

    /// What may be done now, the way forward first.
    fn possible(&mut self, state: &State) -> Vec<Act> {
        let permitted: Vec<Rc<Permitted>> = (0..self.model.plans.len())
            .map(|plan| self.permitted(state, plan))
            .collect();
        let mut acts = Vec::new();
        let phases = |set: fn(&Permitted) -> u64| {
            permitted.iter().enumerate().flat_map(move |(plan, permitted)| {
                places(u128::from(set(permitted))).map(move |phase| (plan, phase))
            })
        };
        acts.extend(phases(|may| may.run).map(|(plan, phase)| Act::Run { plan, phase }));
        if let Some(version) = state.joining {
            acts.push(Act::Finish { version });
        } else {
            let may: Vec<Rc<Vec<bool>>> = (0..self.model.plans.len())
                .map(|plan| {
                    let position = self.position(state, plan);
                    self.rules[plan].may_deploy(&position)
                })
                .collect();
            for (version, model) in self.model.versions.iter().enumerate() {
                let runs = state.running.get(model.service) == Some(&version);
                let may = may
                    .iter()
                    .zip(&self.rules)
                    .all(|(may, rules)| may.get(rules.own(version)) == Some(&true));
                if !runs && may {
                    acts.push(Act::Begin { version });
                }
            }
        }
        acts.extend(phases(|may| may.verify).map(|(plan, phase)| Act::Verify { plan, phase }));
        acts.extend(phases(|may| may.restore).map(|(plan, phase)| Act::Restore { plan, phase }));
        acts.extend(phases(|may| may.undo).map(|(plan, phase)| Act::Undo { plan, phase }));
        if let Some(version) = state.joining {
            acts.push(Act::Withdraw { version });
        }
        acts
    }

    /// The state after something was done, unless something fails on the way.
    fn after(&self, state: &State, act: Act) -> Result<State, Found> {
        let mut next = state.clone();
        let running: Vec<usize> = state.fleet().collect();
        let script = |steps: &[Vec<Op>]| self.model.after_script(&running, state.schema, steps);
        match act {
            Act::Run { plan, phase } => {
                let model = &self.model.plans[plan].phases[phase];
                next.schema = script(&model.up)?;
                next.done[plan] |= 1 << phase;
            }
            Act::Undo { plan, phase } => {
                let model = &self.model.plans[plan].phases[phase];
                next.schema = script(model.down.as_deref().unwrap_or_default())?;
                next.done[plan] &= !(1 << phase);
                next.tainted[plan] &= !(1 << phase);
            }
            Act::Verify { plan, phase } => {
                next.schema = script(std::slice::from_ref(&self.model.plans[plan].phases[phase].fill))?;
                next.tainted[plan] &= !(1 << phase);
            }
            Act::Restore { plan, phase } => {
                next.schema = script(std::slice::from_ref(&self.model.plans[plan].phases[phase].fill))?;
                next.abandoned[plan] &= !(1 << phase);
            }
            Act::Begin { version } => next.joining = Some(version),
            Act::Finish { version } => {
                if let Some(model) = self.model.versions.get(version) {
                    next.running[model.service] = version;
                }
                next.joining = None;
            }
            Act::Withdraw { .. } => next.joining = None,
        }
        Ok(next)
    }
}
