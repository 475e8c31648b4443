//! The part of a plan that the rules need: its phases, their order and their gates.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::domain::{Digest, PhaseId, PlanId, ServiceName};

/// What a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseKind {
    /// A schema phase that only adds, so that running code keeps working.
    Expand,
    /// A schema phase that fills data in batches.
    Backfill,
    /// A schema phase that takes something away.
    Contract,
    /// Satisfied by a commit being deployed.
    Code,
    /// Done by a person, who says so.
    Manual,
}

impl PhaseKind {
    /// Whether the phase changes the database.
    pub fn is_schema(self) -> bool {
        matches!(self, Self::Expand | Self::Backfill | Self::Contract)
    }

    /// The word used in plan files and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Backfill => "backfill",
            Self::Contract => "contract",
            Self::Code => "code",
            Self::Manual => "manual",
        }
    }
}

/// Which services a code phase concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Services {
    /// Every service of the environment.
    All,
    /// The services that touch the table.
    Only(BTreeSet<ServiceName>),
}

impl Services {
    /// Whether a service is concerned.
    pub fn include(&self, service: &ServiceName) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(service),
        }
    }
}

/// What must hold besides the facts about code and schema before a phase may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// How many different people must approve.
    pub approvals: u32,
    /// How long the phases needed directly must have held without interruption.
    pub soak: Option<SignedDuration>,
}

/// One phase, as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseShape {
    /// Its id.
    pub id: PhaseId,
    /// Its kind.
    pub kind: PhaseKind,
    /// The phases it needs directly.
    pub needs: BTreeSet<PhaseId>,
    /// For a code phase: the services it concerns.
    pub services: Services,
    /// For a code phase: it stops writing something that code phases above it wrote, so that older readers would
    /// meet stale data from then on (see rule "data floor").
    pub abandons: bool,
    /// Its gate.
    pub gate: Gate,
    /// The digest of everything about the phase that matters once it has run (not the commit).
    pub digest: Digest,
}

impl PhaseShape {
    /// The digest of what an approval is given for: the phase with its gate. Whoever approved a drop after a day of
    /// soaking has not approved one after a second.
    pub fn approval_digest(&self) -> Digest {
        let Gate { approvals, soak } = &self.gate;
        let soak = soak.map_or_else(String::new, |soak| soak.as_nanos().to_string());
        Digest::of_parts([self.digest.as_str(), &approvals.to_string(), &soak])
    }
}

/// A plan's phases with their order worked out. Acyclic by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanShape {
    id: PlanId,
    order: Vec<PhaseId>,
    phases: BTreeMap<PhaseId, PhaseShape>,
    ancestors: BTreeMap<PhaseId, BTreeSet<PhaseId>>,
}

/// Why phases do not form a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShape {
    /// Two phases bear one id.
    #[error("phase `{0}` is defined twice")]
    Duplicate(PhaseId),
    /// A phase needs one that does not exist.
    #[error("phase `{phase}` needs `{missing}`, which does not exist")]
    UnknownNeed {
        /// The phase with the need.
        phase: PhaseId,
        /// What is missing.
        missing: PhaseId,
    },
    /// The phases need one another in a circle.
    #[error("these phases need one another: {0:?}")]
    Cycle(Vec<PhaseId>),
}

impl PlanShape {
    /// Builds the shape; `phases` keep their order among those that do not depend on each other.
    ///
    /// # Errors
    /// Duplicate ids, unknown needs and cycles.
    pub fn new(id: PlanId, phases: Vec<PhaseShape>) -> Result<Self, InvalidShape> {
        let file_order: Vec<PhaseId> = phases.iter().map(|phase| phase.id.clone()).collect();
        let mut by_id = BTreeMap::new();
        for phase in phases {
            let id = phase.id.clone();
            if by_id.insert(id.clone(), phase).is_some() {
                return Err(InvalidShape::Duplicate(id));
            }
        }
        for phase in by_id.values() {
            if let Some(missing) = phase.needs.iter().find(|need| !by_id.contains_key(*need)) {
                return Err(InvalidShape::UnknownNeed {
                    phase: phase.id.clone(),
                    missing: missing.clone(),
                });
            }
        }

        let mut order: Vec<PhaseId> = Vec::new();
        let mut ancestors: BTreeMap<PhaseId, BTreeSet<PhaseId>> = BTreeMap::new();
        while order.len() < file_order.len() {
            let ready = file_order
                .iter()
                .filter(|id| !ancestors.contains_key(*id))
                .find_map(|id| {
                    by_id
                        .get(id)
                        .filter(|phase| phase.needs.iter().all(|need| ancestors.contains_key(need)))
                });
            let Some(phase) = ready else {
                let stuck = file_order
                    .into_iter()
                    .filter(|id| !ancestors.contains_key(id))
                    .collect();
                return Err(InvalidShape::Cycle(stuck));
            };
            let mut above = phase.needs.clone();
            for need in &phase.needs {
                above.extend(ancestors.get(need).into_iter().flatten().cloned());
            }
            ancestors.insert(phase.id.clone(), above);
            order.push(phase.id.clone());
        }
        Ok(Self {
            id,
            order,
            phases: by_id,
            ancestors,
        })
    }

    /// The plan's id.
    pub fn id(&self) -> &PlanId {
        &self.id
    }

    /// The phases, each after all it needs.
    pub fn phases(&self) -> impl Iterator<Item = &PhaseShape> {
        self.order.iter().filter_map(|id| self.phases.get(id))
    }

    /// One phase.
    pub fn phase(&self, id: &PhaseId) -> Option<&PhaseShape> {
        self.phases.get(id)
    }

    /// Whether `above` must come before `below`.
    pub fn is_above(&self, above: &PhaseId, below: &PhaseId) -> bool {
        self.ancestors.get(below).is_some_and(|set| set.contains(above))
    }

    /// All phases above one, in order.
    pub fn above(&self, id: &PhaseId) -> impl Iterator<Item = &PhaseShape> {
        let set = self.ancestors.get(id);
        self.phases()
            .filter(move |phase| set.is_some_and(|set| set.contains(&phase.id)))
    }

    /// All phases below one, in order.
    pub fn below(&self, id: &PhaseId) -> impl Iterator<Item = &PhaseShape> {
        let id = id.clone();
        self.phases().filter(move |phase| self.is_above(&id, &phase.id))
    }
}
