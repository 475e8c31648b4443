//! What the ledger remembers of plans, held against the files of this checkout, which may be older, or gone.

use std::collections::BTreeMap;
use std::path::Path;

use super::repositories::doubt_of;
use crate::domain::{PhaseId, PlanId};
use crate::ledger::{Record, StoredRecord, fold};
use crate::plan::{self, CodePhase, PhaseDetail, Plan};
use crate::safety::{Containment, Containments, Doubt, PhaseKind, PlanState};

/// A plan that the ledger has in a newer text than this checkout.
#[derive(Clone, Debug)]
pub struct Newer {
    /// The plan as it was stored last.
    pub plan: Plan,
    /// Why it is judged by instead of the file, in one sentence.
    pub note: String,
}

/// What the ledger's copies of plans are needed for.
pub(super) struct Stored {
    /// Plans in effect whose files are not in this checkout.
    pub departed: Vec<Plan>,
    /// Plans whose files are out of date.
    pub newer: Vec<Newer>,
    /// Plans of either kind whose copy cannot be used.
    pub unreadable: Vec<(PlanId, Doubt)>,
}

/// The plans given, each as it is in force, and the departed ones.
pub(super) fn in_force<'p>(
    plans: &'p [Plan],
    newer: &'p [Newer],
    departed: &'p [Plan],
) -> impl Iterator<Item = &'p Plan> {
    plans.iter().map(|plan| stand_in(plan, newer)).chain(departed)
}

/// The plan, or its newer text.
pub(super) fn stand_in<'p>(plan: &'p Plan, newer: &'p [Newer]) -> &'p Plan {
    let copy = newer.iter().find(|newer| newer.plan.id() == plan.id());
    copy.map_or(plan, |newer| &newer.plan)
}

/// Reads back the plans that are in effect but not among those given, and those that are given in an outdated text.
pub(super) fn read_stored(
    plans: &[Plan],
    records: &BTreeMap<PlanId, Vec<StoredRecord>>,
    states: &BTreeMap<PlanId, PlanState>,
) -> Stored {
    let mut stored = Stored {
        departed: Vec::new(),
        newer: Vec::new(),
        unreadable: Vec::new(),
    };
    for (id, records) in records {
        if let Some(given) = plans.iter().find(|plan| plan.id() == id) {
            let Some(doubt) = outdated(given, records) else {
                continue;
            };
            match read_back(id, records) {
                Ok(plan) => stored.newer.push(Newer {
                    plan,
                    note: format!(
                        "{}; the newer one, which the ledger keeps, is judged by",
                        doubt.why
                    ),
                }),
                Err(why) => {
                    let doubt = Doubt {
                        why: format!("{}, and {why}", doubt.why),
                        ..doubt
                    };
                    stored.unreadable.push((id.clone(), doubt));
                }
            }
        } else if states.get(id).is_some_and(has_effect) {
            match read_back(id, records) {
                Ok(plan) => stored.departed.push(plan),
                Err(why) => {
                    let doubt = Doubt::new(format!(
                        "plan {id} is in effect here, but its file is not in this checkout and {why}"
                    ))
                    .fix(format!(
                        "check out a commit that has the plan {id}, or restore its file"
                    ));
                    stored.unreadable.push((id.clone(), doubt));
                }
            }
        }
    }
    stored
}

/// Why a plan's file must not be judged by: the ledger knows this very text, and that another took its place. A checkout
/// of an older commit has plans with fewer phases, fewer gates and fewer links than those that hold.
pub fn outdated(plan: &Plan, records: &[StoredRecord]) -> Option<Doubt> {
    let mut registered = records.iter().rev().filter_map(|stored| match &stored.record {
        Record::PlanRegistered { digest, .. } => Some((digest, stored)),
        _ => None,
    });
    let (last, since) = registered.next()?;
    let own = plan.digest();
    if *last == own || !registered.any(|(digest, _)| *digest == own) {
        return None;
    }
    Some(
        Doubt::new(format!(
            "the file of plan {} in this checkout is an older one: {} replaced it at {}",
            plan.id(),
            since.actor,
            since.at.strftime("%Y-%m-%d %H:%M:%SZ")
        ))
        .fix(format!(
            "check out the present {}; if it is meant to read as it once did, say so in a comment in it",
            plan.path().display()
        )),
    )
}

/// A look that found a phase in every running version, by the plan as it was then, is not forgotten: if such a version
/// does not contain it by the plan as it is now (a checkout from before the commit was linked), one of the two is wrong.
pub(super) fn doubt_what_was_found_otherwise(
    plan: &Plan,
    records: &[StoredRecord],
    containments: &mut Containments,
) {
    for stored in records {
        let Record::FleetObserved { fleet, satisfied } = &stored.record else {
            continue;
        };
        for (phase, code) in code_phases(plan).filter(|(phase, _)| satisfied.get(*phase) == Some(&true)) {
            for version in fleet.versions() {
                if code.services.include(&version.service)
                    && let Containment::No { evidence } = containments.get(&version, plan.id(), phase)
                {
                    let doubt = Doubt::new(format!(
                        "{evidence}; yet at {} it was found to contain {}/{phase}",
                        stored.at.strftime("%Y-%m-%d %H:%M:%SZ"),
                        plan.id()
                    ))
                    .fix(format!(
                        "check out the present {}, with the commit of {phase}",
                        plan.path().display()
                    ));
                    containments.insert(
                        version,
                        plan.id().clone(),
                        phase.clone(),
                        Containment::Unknown(doubt),
                    );
                }
            }
        }
    }
}

/// The records of each plan, in order.
pub(super) fn by_plan(records: &[StoredRecord]) -> BTreeMap<PlanId, Vec<StoredRecord>> {
    let mut by_plan: BTreeMap<PlanId, Vec<StoredRecord>> = BTreeMap::new();
    for record in records {
        if let Some(plan) = &record.plan {
            by_plan.entry(plan.clone()).or_default().push(record.clone());
        }
    }
    by_plan
}

/// The plans of which the ledger has something, and of which something is still to be done.
pub(super) fn unfinished<'p>(
    plans: impl Iterator<Item = &'p Plan>,
    states: &BTreeMap<PlanId, PlanState>,
) -> impl Iterator<Item = &'p Plan> {
    plans.filter(|plan| {
        states
            .get(plan.id())
            .is_some_and(|state| is_unfinished(plan, state))
    })
}

/// The state of each plan.
pub(super) fn states_of(by_plan: &BTreeMap<PlanId, Vec<StoredRecord>>) -> BTreeMap<PlanId, PlanState> {
    by_plan
        .iter()
        .map(|(id, records)| (id.clone(), fold(records)))
        .collect()
}

/// Whether something of a plan is still to be done, besides deploying code.
fn is_unfinished(plan: &Plan, state: &PlanState) -> bool {
    plan.phases()
        .iter()
        .filter(|phase| phase.kind() != PhaseKind::Code)
        .any(|phase| !state.progress(&phase.id).is_done())
}

/// Whether any phase of a plan may be in effect.
pub(super) fn has_effect(state: &PlanState) -> bool {
    state
        .phases
        .values()
        .any(|phase| phase.progress.may_have_effect())
}

/// The plan as the ledger stored it last, or why that cannot be had.
fn read_back(id: &PlanId, records: &[StoredRecord]) -> Result<Plan, String> {
    let stored = records.iter().rev().find_map(|record| match &record.record {
        Record::PlanRegistered {
            source, migrations, ..
        } => Some((source, migrations)),
        _ => None,
    });
    let Some((source, migrations)) = stored else {
        return Err("the ledger has no copy of it".to_owned());
    };
    let unusable = |why: String| format!("the ledger's copy cannot be used: {why}");
    let folder = tempfile::tempdir().map_err(|error| unusable(error.to_string()))?;
    for (name, text) in migrations {
        if name.contains(['/', '\\']) {
            return Err(unusable(format!("`{name}` is not a migration's name")));
        }
        let file = folder.path().join(format!("{name}.sql"));
        std::fs::write(file, text).map_err(|error| unusable(error.to_string()))?;
    }
    let path = format!("{id}.toml (from the ledger)");
    plan::parse(Path::new(&path), source, folder.path()).map_err(|problem| unusable(doubt_of(&problem).why))
}

/// The code phases of a plan.
pub(super) fn code_phases(plan: &Plan) -> impl Iterator<Item = (&PhaseId, &CodePhase)> {
    plan.phases().iter().filter_map(|phase| match &phase.detail {
        PhaseDetail::Code(code) => Some((&phase.id, code)),
        _ => None,
    })
}
