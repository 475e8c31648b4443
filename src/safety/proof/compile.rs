//! From the question to bits.

use std::collections::{BTreeMap, BTreeSet};

use super::before::{Known, base};
use super::model::{
    Columns, Guard, GuardKind, MOST_BITS, MOST_COLUMNS, MOST_VERSIONS, Model, Op, PlanModel, Schema, Sync,
    VersionModel, one, places,
};
use super::{Assumptions, Change, Fill, Subject, Work, same_table, versions};
use crate::domain::{ColumnName, ServiceName, SqlIdentifier, TableName};
use crate::safety::{PhaseKind, Services};

/// What is too large to be searched, in words.
pub(super) struct TooLarge(pub(super) String);

/// Builds the model of some plans.
pub(super) fn compile<'q>(
    subjects: &[&'q Subject],
    services: &BTreeSet<ServiceName>,
    assumptions: Assumptions,
) -> Result<Model<'q>, TooLarge> {
    let mut builder = Builder::default();
    for subject in subjects {
        builder.name_everything(subject);
    }
    builder.name_renamed_tables(subjects);
    if builder.columns.len() > MOST_COLUMNS {
        return Err(TooLarge(format!(
            "more than {MOST_COLUMNS} columns are mentioned"
        )));
    }
    if subjects
        .iter()
        .any(|subject| subject.shape.phases().count() > MOST_BITS)
    {
        return Err(TooLarge(format!("a plan has more than {MOST_BITS} phases")));
    }
    let services = by_concern(subjects, services);
    builder.fills(subjects);
    builder.abandoned(subjects);
    let mut plans: Vec<PlanModel<'q>> = Vec::new();
    for (plan, subject) in subjects.iter().enumerate() {
        plans.push(builder.plan(plan, subject, &services));
    }
    builder.govern(&mut plans, subjects);
    builder.syncs(subjects);
    if builder.guards.len() > MOST_BITS {
        return Err(TooLarge(format!(
            "more than {MOST_BITS} constraints and triggers are made"
        )));
    }
    let known = Known::of(&builder, subjects);
    let base = base(&builder, &plans, subjects, &known, assumptions);
    let mut bounded = Vec::new();
    let versions: Vec<VersionModel> = versions::all(
        &plans,
        services.len(),
        &base,
        &builder.table_columns(),
        &builder.guards,
        assumptions,
        &mut bounded,
    );
    if versions.len() > MOST_VERSIONS {
        return Err(TooLarge(format!(
            "the code phases can be combined into more than {MOST_VERSIONS} versions"
        )));
    }
    let not_null = known.not_null
        | match assumptions {
            Assumptions::Stated => 0,
            Assumptions::Worst => base.exists & !known.not_null & !known.nullable,
        };
    Ok(Model {
        plans,
        services,
        versions,
        guards: builder.guards,
        syncs: builder.syncs,
        perishable: builder.filled | builder.abandoned,
        kept_by_default: builder.constant_fills & !builder.derived_fills,
        partners: builder.partners,
        initial: Schema {
            exists: base.exists,
            not_null,
            filled: 0,
            valid: base.exists & !base.fresh,
            guards: 0,
        },
        assumed_not_null: not_null & !known.not_null,
        assumed_used: match assumptions {
            Assumptions::Stated => 0,
            Assumptions::Worst => base.assumed,
        },
        columns: builder.columns,
        bounded,
    })
}

/// One service for each set of code phases that concern it; services that no code phase tells apart are one.
fn by_concern(subjects: &[&Subject], declared: &BTreeSet<ServiceName>) -> Vec<ServiceName> {
    let mut named: BTreeSet<ServiceName> = declared.clone();
    for subject in subjects {
        for phase in subject.shape.phases() {
            if let Services::Only(names) = &phase.services {
                named.extend(names.iter().cloned());
            }
        }
    }
    if named.is_empty() {
        named.extend("app".parse::<ServiceName>());
    }
    let concern = |service: &ServiceName| -> Vec<bool> {
        subjects
            .iter()
            .flat_map(|subject| subject.shape.phases())
            .filter(|phase| phase.kind == PhaseKind::Code)
            .map(|phase| phase.services.include(service))
            .collect()
    };
    let mut seen: BTreeMap<Vec<bool>, ServiceName> = BTreeMap::new();
    for service in named {
        seen.entry(concern(&service)).or_insert(service);
    }
    let is_concerned = |(concern, _): &(Vec<bool>, ServiceName)| concern.contains(&true);
    let mut services: Vec<ServiceName> = seen
        .clone()
        .into_iter()
        .filter(is_concerned)
        .map(|(_, service)| service)
        .collect();
    // Where nothing concerns anybody, somebody still runs the code before the plan.
    if services.is_empty() {
        services.extend(seen.into_values().take(1));
    }
    services.sort();
    services
}

/// The model in the making.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) columns: Vec<ColumnName>,
    pub(super) tables: Vec<TableName>,
    pub(super) guards: Vec<Guard>,
    pub(super) syncs: Vec<Sync>,
    pub(super) partners: Vec<Columns>,
    /// Columns that a fill sets, or reads.
    pub(super) filled: Columns,
    /// Columns that a fill sets without reading another.
    pub(super) constant_fills: Columns,
    /// Columns that a backfill, not a restore, makes of others.
    pub(super) derived_fills: Columns,
    /// Columns that code stops writing.
    pub(super) abandoned: Columns,
}

impl Builder {
    /// Which columns are filled, from which others.
    fn fills(&mut self, subjects: &[&Subject]) {
        self.partners = vec![0; self.columns.len()];
        for subject in subjects {
            let mut fills: Vec<&Fill> = Vec::new();
            let mut restores: Vec<&Fill> = Vec::new();
            for work in subject.work.values() {
                match work {
                    Work::Backfill(fill) => fills.push(fill),
                    Work::Migration { restore, .. } | Work::Code { restore, .. } => restores.extend(restore),
                    Work::Manual => {}
                }
            }
            for (forward, change) in every_change(subject) {
                if let Change::Fill(fill) = change {
                    if forward { &mut fills } else { &mut restores }.push(fill);
                }
            }
            for (fill, is_backfill) in fills
                .into_iter()
                .map(|fill| (fill, true))
                .chain(restores.into_iter().map(|fill| (fill, false)))
            {
                for (target, sources) in self.fill_ops(fill) {
                    self.filled |= one(target) | sources;
                    if let Some(partners) = self.partners.get_mut(target) {
                        *partners |= sources;
                    }
                    for source in places(sources) {
                        if let Some(partners) = self.partners.get_mut(source) {
                            *partners |= one(target);
                        }
                    }
                    if sources == 0 {
                        self.constant_fills |= one(target);
                    } else if is_backfill {
                        self.derived_fills |= one(target);
                    }
                }
            }
        }
    }

    /// Columns that a code phase stops writing.
    fn abandoned(&mut self, subjects: &[&Subject]) {
        for subject in subjects {
            for phase in subject.shape.phases() {
                let Some(Work::Code { writes, .. }) = subject.work.get(&phase.id) else {
                    continue;
                };
                let own = self.set_of(writes);
                for above in subject.shape.above(&phase.id) {
                    if let Some(Work::Code { writes, .. }) = subject.work.get(&above.id) {
                        let before = self.set_of(writes);
                        self.abandoned |= before & !own;
                    }
                }
            }
        }
    }

    /// Each target of a fill with its sources; that a column is made of itself says nothing.
    fn fill_ops(&mut self, fill: &Fill) -> Vec<(usize, Columns)> {
        fill.columns
            .iter()
            .map(|(target, sources)| {
                let target = self.column(&fill.table, target);
                let sources = sources
                    .iter()
                    .fold(0, |all, source| all | one(self.column(&fill.table, source)));
                (target, sources & !one(target))
            })
            .collect()
    }

    pub(super) fn fill(&mut self, fill: Option<&Fill>) -> Vec<Op> {
        fill.map(|fill| self.fill_ops(fill))
            .unwrap_or_default()
            .into_iter()
            .map(|(target, sources)| Op::Fill { target, sources })
            .collect()
    }

    /// About which columns each code phase says something: those that it, or a code phase above it, names; and those that
    /// no code names, and that a phase before or after it takes away or frees.
    fn govern(&mut self, plans: &mut [PlanModel<'_>], subjects: &[&Subject]) {
        for (plan, subject) in plans.iter_mut().zip(subjects) {
            let mut named: Vec<Columns> = Vec::new();
            let mut changed: Vec<Columns> = Vec::new();
            for phase in &plan.phases {
                named.push(phase.uses.reads | phase.uses.writes);
                changed.push(match subject.work.get(&phase.id) {
                    Some(Work::Migration { up, .. }) => up
                        .iter()
                        .flatten()
                        .fold(0, |all, change| all | self.taken_or_freed(change)),
                    _ => 0,
                });
            }
            let union = |sets: &[Columns], chosen: u64| {
                places(u128::from(chosen))
                    .filter_map(|place| sets.get(place))
                    .fold(0, |all, set| all | set)
            };
            let nobody_names = !union(&named, u64::MAX);
            for (place, phase) in plan.phases.iter_mut().enumerate() {
                if phase.kind == PhaseKind::Code {
                    phase.uses.governs = union(&named, phase.above | bit(place))
                        | (union(&changed, phase.comparable) & nobody_names);
                }
            }
        }
    }

    /// The columns that a change takes away, or frees of NOT NULL.
    fn taken_or_freed(&mut self, change: &Change) -> Columns {
        match change {
            Change::DropColumn { column, .. } | Change::NotNull { column, on: false } => {
                one(self.named(column))
            }
            Change::RenameColumn { from, .. } => one(self.named(from)),
            Change::DropTable { table, .. } => self.columns_of(table),
            _ => 0,
        }
    }

    /// The columns that triggers keep in step.
    fn syncs(&mut self, subjects: &[&Subject]) {
        for subject in subjects {
            let mut sets: BTreeMap<&SqlIdentifier, &Vec<SqlIdentifier>> = BTreeMap::new();
            for (_, change) in every_change(subject) {
                if let Change::Function { name, sets: set } = change {
                    sets.insert(name, set);
                }
            }
            for phase in subject.shape.phases() {
                let Some(Work::Backfill(fill)) = subject.work.get(&phase.id) else {
                    continue;
                };
                if !fill.by_trigger {
                    continue;
                }
                let mut triggers = 0;
                let mut written: Columns = 0;
                for above in subject.shape.above(&phase.id) {
                    let Some(Work::Migration { up, .. }) = subject.work.get(&above.id) else {
                        continue;
                    };
                    for change in up.iter().flatten() {
                        let Change::AddTrigger {
                            table,
                            name,
                            function,
                        } = change
                        else {
                            continue;
                        };
                        if !same_table(table, &fill.table) {
                            continue;
                        }
                        triggers |= self.guards_called(name, |guard| guard.what == GuardKind::Trigger);
                        for column in sets.get(function).copied().into_iter().flatten() {
                            written |= one(self.column(table, column));
                        }
                    }
                }
                let columns = self
                    .fill_ops(fill)
                    .into_iter()
                    .fold(0, |all, (target, sources)| all | one(target) | sources);
                // Where the function cannot be looked into, the declaration counts.
                let kept = if written == 0 { columns } else { columns & written };
                self.syncs.push(Sync {
                    triggers,
                    columns,
                    kept,
                });
            }
        }
    }
}

pub(super) fn bit(place: usize) -> u64 {
    u32::try_from(place)
        .ok()
        .and_then(|place| 1_u64.checked_shl(place))
        .unwrap_or(0)
}

pub(super) fn mask(from: usize, to: usize) -> u64 {
    (from..to).fold(0, |all, place| all | bit(place))
}

/// Every change of a plan's SQL, in order, with whether it is of a forward side.
pub(super) fn every_change(subject: &Subject) -> impl Iterator<Item = (bool, &Change)> {
    subject
        .shape
        .phases()
        .filter_map(|phase| subject.work.get(&phase.id))
        .flat_map(|work| {
            let (up, down) = match work {
                Work::Migration { up, down, .. } => (Some(up), down.as_ref()),
                _ => (None, None),
            };
            let forward = up.into_iter().flatten().flatten().map(|change| (true, change));
            let back = down.into_iter().flatten().flatten().map(|change| (false, change));
            forward.chain(back)
        })
}
