//! Operations, the phases they come to, and what their phases and their code do to a table.

use std::collections::BTreeSet;

use proptest::prelude::*;
use shipctl::domain::{Digest, PhaseId};
use shipctl::safety::{Gate, PhaseKind, PhaseShape, PlanShape, Services};

use crate::table::Table;

pub const SERVICES: [&str; 2] = ["web", "worker"];

/// What a service does with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    pub reads: bool,
    pub writes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// old → new
    Rename {
        not_null: bool,
        constrain: bool,
        relax_early: bool,
        constrain_late: bool,
    },
    /// a column that code fills, and old rows get 0
    Add { constrain: bool },
    /// a column nobody needs any more
    Drop { not_null: bool, relax_early: bool },
}

/// One operation on a table of its own. The web both reads and writes; the worker's part varies.
#[derive(Clone, Debug)]
pub struct Operation {
    pub kind: Kind,
    pub worker: Role,
    pub plan: usize,
    pub prefix: &'static str,
}

/// The plans of a world.
#[derive(Clone, Debug)]
pub struct Layout {
    pub operations: Vec<Operation>,
    /// Needs between the phases of the first and the second operation, where they share a plan.
    pub ties: Vec<(u8, u8)>,
}

pub fn layouts() -> impl Strategy<Value = Layout> {
    let kind = prop_oneof![
        4 => any::<(bool, bool, bool, bool)>().prop_map(|(not_null, constrain, relax_early, constrain_late)| {
            Kind::Rename { not_null, constrain, relax_early, constrain_late }
        }),
        1 => any::<bool>().prop_map(|constrain| Kind::Add { constrain }),
        1 => any::<(bool, bool)>().prop_map(|(not_null, relax_early)| Kind::Drop { not_null, relax_early }),
    ];
    let role = any::<(bool, bool)>().prop_map(|(reads, writes)| Role { reads, writes });
    (
        prop::collection::vec((kind, role), 1..=2),
        any::<bool>(),
        prop::collection::vec(any::<(u8, u8)>(), 0..3),
    )
        .prop_map(|(parts, shared, ties)| Layout {
            operations: parts
                .into_iter()
                .zip(["a", "b"])
                .enumerate()
                .map(|(index, ((kind, worker), prefix))| Operation {
                    kind,
                    worker,
                    plan: if shared { 0 } else { index },
                    prefix,
                })
                .collect(),
            ties,
        })
}

enum Who {
    Readers,
    Writers,
    Nobody,
}

type Line = (&'static str, PhaseKind, Vec<&'static str>, Who);

impl Operation {
    /// Whether code of a service with these phases (without the prefix) has one.
    fn has(&self, set: &BTreeSet<PhaseId>, name: &str) -> bool {
        set.contains(&self.id(name))
    }

    pub fn id(&self, name: &str) -> PhaseId {
        format!("{}-{name}", self.prefix).parse().unwrap()
    }

    pub fn role(&self, service: &str) -> Role {
        if service == "web" {
            Role {
                reads: true,
                writes: true,
            }
        } else {
            self.worker
        }
    }

    /// The table before the plan.
    pub fn base(&self) -> Table {
        let mut table = Table::default();
        match self.kind {
            Kind::Rename { not_null, .. } => {
                table.columns.insert("old", not_null);
            }
            Kind::Drop { not_null, .. } => {
                table.columns.insert("old", not_null);
            }
            Kind::Add { .. } => {}
        }
        let columns: Vec<&'static str> = table.columns.keys().copied().collect();
        for value in 1..=2 {
            let truth = if columns.is_empty() { 0 } else { value };
            table.insert(&columns, value, truth).unwrap();
        }
        table
    }

    /// The column that code with these phases reads.
    pub fn reads(&self, set: &BTreeSet<PhaseId>) -> Option<&'static str> {
        match self.kind {
            Kind::Rename { .. } if self.has(set, "switch-read") => Some("new"),
            Kind::Rename { .. } => Some("old"),
            Kind::Add { .. } => self.has(set, "read").then_some("new"),
            Kind::Drop { .. } => (!self.has(set, "stop-read")).then_some("old"),
        }
    }

    /// The columns that it writes.
    pub fn writes(&self, set: &BTreeSet<PhaseId>) -> Vec<&'static str> {
        let mut columns = Vec::new();
        match self.kind {
            Kind::Rename { .. } => {
                if !self.has(set, "stop-write") {
                    columns.push("old");
                }
                if self.has(set, "dual-write") {
                    columns.push("new");
                }
            }
            Kind::Add { .. } => {
                if self.has(set, "write") {
                    columns.push("new");
                }
            }
            Kind::Drop { .. } => {
                if !self.has(set, "stop-write") {
                    columns.push("old");
                }
            }
        }
        columns
    }

    /// Whether a row's truth is not touched by code that does not know the column.
    pub fn unknown_is_zero(&self) -> bool {
        matches!(self.kind, Kind::Add { .. })
    }

    fn lines(&self) -> Vec<Line> {
        use PhaseKind::{Backfill, Code, Contract, Expand};
        use Who::{Nobody, Readers, Writers};
        match self.kind {
            Kind::Rename {
                not_null,
                constrain,
                relax_early,
                constrain_late,
            } => {
                let mut lines: Vec<Line> = vec![
                    ("add", Expand, vec![], Nobody),
                    ("dual-write", Code, vec!["add"], Writers),
                    ("backfill", Backfill, vec!["dual-write"], Nobody),
                ];
                if constrain {
                    lines.push(("constrain", Expand, vec!["backfill"], Nobody));
                }
                let ready = if constrain && !constrain_late {
                    "constrain"
                } else {
                    "backfill"
                };
                lines.push(("switch-read", Code, vec![ready], Readers));
                let mut stop = vec!["switch-read"];
                if not_null {
                    let after = if relax_early { vec![] } else { vec!["switch-read"] };
                    lines.push(("relax", Contract, after, Nobody));
                    stop.push("relax");
                }
                lines.push(("stop-write", Code, stop, Writers));
                lines.push(("drop", Contract, vec!["stop-write"], Nobody));
                lines
            }
            Kind::Add { constrain } => {
                let mut lines: Vec<Line> = vec![
                    ("add", Expand, vec![], Nobody),
                    ("write", Code, vec!["add"], Writers),
                    ("backfill", Backfill, vec!["write"], Nobody),
                    ("read", Code, vec!["backfill"], Readers),
                ];
                if constrain {
                    lines.push(("constrain", Expand, vec!["backfill"], Nobody));
                }
                lines
            }
            Kind::Drop {
                not_null,
                relax_early,
            } => {
                let mut lines: Vec<Line> = vec![("stop-read", Code, vec![], Readers)];
                let mut stop = vec!["stop-read"];
                if not_null {
                    let after = if relax_early { vec![] } else { vec!["stop-read"] };
                    lines.push(("relax", Contract, after, Nobody));
                    stop.push("relax");
                }
                lines.push(("stop-write", Code, stop, Writers));
                lines.push(("drop", Contract, vec!["stop-write"], Nobody));
                lines
            }
        }
    }

    fn shapes(&self) -> Vec<PhaseShape> {
        self.lines()
            .into_iter()
            .map(|(name, kind, needs, who)| PhaseShape {
                id: self.id(name),
                kind,
                needs: needs.iter().map(|need| self.id(need)).collect(),
                services: self.services(&who),
                abandons: name == "stop-write",
                gate: Gate::default(),
                digest: Digest::of(name),
            })
            .collect()
    }

    fn services(&self, who: &Who) -> Services {
        let concerned: BTreeSet<_> = SERVICES
            .iter()
            .filter(|service| match who {
                Who::Readers => self.role(service).reads,
                Who::Writers => self.role(service).writes,
                Who::Nobody => true,
            })
            .map(|service| service.parse().unwrap())
            .collect();
        if concerned.len() == SERVICES.len() {
            Services::All
        } else {
            Services::Only(concerned)
        }
    }

    /// What a phase does to the table; harmless when done twice. An error is what the database would answer.
    pub fn run(&self, phase: &PhaseId, table: &mut Table, rows: usize) -> Result<(), String> {
        let name = phase.as_str().split_once('-').unwrap().1;
        match (self.kind, name) {
            (_, "add") => table.add("new"),
            (Kind::Rename { .. }, "backfill") => {
                if !table.columns.contains_key("old") || !table.columns.contains_key("new") {
                    return Err("backfill without its columns".to_owned());
                }
                for row in table.rows.iter_mut().take(rows) {
                    match row.values.get("old").copied() {
                        Some(value) => row.values.insert("new", value),
                        None => row.values.remove("new"),
                    };
                }
            }
            (_, "backfill") => {
                for row in table.rows.iter_mut().take(rows) {
                    row.values.entry("new").or_insert(0);
                }
            }
            (_, "constrain") => table.set_not_null("new", true)?,
            (_, "relax") => table.set_not_null("old", false)?,
            (_, "drop") => table.drop("old"),
            _ => panic!("{phase} does nothing"),
        }
        Ok(())
    }

    /// What undoing it does.
    pub fn undo(&self, phase: &PhaseId, table: &mut Table) -> Result<(), String> {
        let name = phase.as_str().split_once('-').unwrap().1;
        match (self.kind, name) {
            (kind, "add") => {
                table.drop("new");
                if matches!(kind, Kind::Add { .. }) {
                    // What the column held is gone with it.
                    table.rows.iter_mut().for_each(|row| row.truth = 0);
                }
            }
            (_, "backfill") => {}
            (_, "constrain") => table.set_not_null("new", false)?,
            (_, "relax") => table.set_not_null("old", true)?,
            (Kind::Rename { .. }, "drop") => {
                table.add("old");
                self.restore(table);
            }
            (_, "drop") => table.add("old"),
            _ => panic!("{phase} does nothing"),
        }
        Ok(())
    }

    /// Fills the abandoned column again.
    pub fn restore(&self, table: &mut Table) {
        for row in &mut table.rows {
            match row.values.get("new").copied() {
                Some(value) => row.values.insert("old", value),
                None => row.values.remove("old"),
            };
        }
    }
}

impl Layout {
    /// The rename of a NOT NULL column with every phase there is, in a line.
    pub fn rename_of_not_null() -> Self {
        Self {
            operations: vec![Operation {
                kind: Kind::Rename {
                    not_null: true,
                    constrain: true,
                    relax_early: false,
                    constrain_late: false,
                },
                worker: Role {
                    reads: true,
                    writes: true,
                },
                plan: 0,
                prefix: "a",
            }],
            ties: Vec::new(),
        }
    }

    /// Dropped data cannot be brought back, so what was dropped for good has no way back.
    pub fn can_be_undone(&self) -> bool {
        !self
            .operations
            .iter()
            .any(|operation| matches!(operation.kind, Kind::Drop { .. }))
    }

    pub fn plans(&self) -> Vec<PlanShape> {
        let last = self
            .operations
            .iter()
            .map(|operation| operation.plan)
            .max()
            .unwrap();
        (0..=last)
            .map(|plan| {
                let mut parts: Vec<Vec<PhaseShape>> = self
                    .operations
                    .iter()
                    .filter(|operation| operation.plan == plan)
                    .map(Operation::shapes)
                    .collect();
                if let [first, second] = parts.as_mut_slice() {
                    for (above, below) in &self.ties {
                        let above = &first[usize::from(*above) % first.len()];
                        let below = usize::from(*below) % second.len();
                        second[below].needs.insert(above.id.clone());
                    }
                }
                let id = format!("plan-{plan}").parse().unwrap();
                PlanShape::new(id, parts.into_iter().flatten().collect()).unwrap()
            })
            .collect()
    }
}
