//! From the question to bits.

use std::collections::{BTreeMap, BTreeSet};

use super::before::{Known, base};
use super::guards::changes_of;
use super::model::{
    Columns, Guard, GuardKind, MOST_BITS, MOST_COLUMNS, MOST_VERSIONS, Model, PlanModel, Sync, VersionModel,
    places,
};
use super::schema::Schema;
use super::touches::tables;
use super::{Assumptions, Change, ConstraintKind, Subject, Work, versions};
use crate::domain::{ColumnName, ServiceName, TableName};
use crate::safety::{PhaseKind, Services};

/// Why plans cannot be searched.
pub(super) enum Unsearchable {
    /// There is too much of something, in words.
    TooLarge(String),
    /// It cannot be told which table a name means, in words.
    Ambiguous(String),
}

/// Builds the model of some plans.
pub(super) fn compile<'q>(
    subjects: &[&'q Subject],
    services: &BTreeSet<ServiceName>,
    assumptions: Assumptions,
) -> Result<Model<'q>, Unsearchable> {
    if let Some(doubt) = ambiguous(subjects) {
        return Err(Unsearchable::Ambiguous(doubt));
    }
    let mut builder = Builder::default();
    for subject in subjects {
        builder.name_everything(subject);
    }
    builder.name_renamed_tables(subjects);
    builder.is_not_too_large()?;
    if subjects
        .iter()
        .any(|subject| subject.shape.phases().count() > MOST_BITS)
    {
        return Err(Unsearchable::TooLarge(format!(
            "a plan has more than {MOST_BITS} phases"
        )));
    }
    let services = by_concern(subjects, services);
    if services.len() > MOST_BITS {
        return Err(Unsearchable::TooLarge(format!(
            "code phases tell more than {MOST_BITS} services apart"
        )));
    }
    builder.abandoned(subjects);
    builder.fills(subjects, assumptions);
    builder.guards(subjects);
    builder.demanded(subjects);
    if assumptions == Assumptions::Stated {
        builder.presumed = (builder.demanded | builder.derived_fills) & !builder.targets;
    }
    let mut plans: Vec<PlanModel<'q>> = Vec::new();
    for (plan, subject) in subjects.iter().enumerate() {
        plans.push(builder.plan(plan, subject, &services));
    }
    builder.govern(&mut plans, subjects);
    builder.syncs(subjects);
    builder.is_not_too_large()?;
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
        return Err(Unsearchable::TooLarge(format!(
            "the code phases can be combined into more than {MOST_VERSIONS} versions"
        )));
    }
    let is_worst = assumptions == Assumptions::Worst;
    let worst = |columns: Columns| if is_worst { columns } else { 0 };
    // What the code before leaves NULL cannot be NOT NULL, or it would fail without any plan.
    let undecided = base.exists & !known.not_null & !known.nullable & !base.fresh;
    let not_null = known.not_null | worst(undecided & !builder.rows);
    let assumed_not_null = builder.under_each_name(not_null & !known.not_null);
    let of_views = builder
        .guards
        .iter()
        .filter(|guard| guard.what == GuardKind::View)
        .fold(0, |all, view| all | builder.columns_of(&view.table));
    let blank = worst(base.exists & known.nullable);
    Ok(Model {
        plans,
        services,
        versions,
        guards: builder.guards,
        syncs: builder.syncs,
        perishable: (builder.filled | builder.abandoned) & !builder.rows,
        kept_by_default: builder.constant_fills & !builder.derived_fills,
        demanded: builder.demanded,
        rows: builder.rows,
        partners: builder.partners,
        copies: builder.copies,
        paired: builder.paired,
        of_views,
        is_worst,
        initial: Schema {
            exists: base.exists,
            not_null,
            filled: known.defaulted & base.exists,
            generated: known.generated,
            valid: base.exists & !base.fresh,
            blank: (blank & builder.demanded) | (base.exists & builder.rows),
            guards: 0,
        },
        assumed_not_null,
        assumed_used: worst(base.assumed),
        assumed_blank: blank,
        assumed_copies: builder.assumed_copies,
        columns: builder.columns,
        bounded,
    })
}

/// A name without a schema that may be of two tables.
fn ambiguous(subjects: &[&Subject]) -> Option<String> {
    let tables: BTreeSet<TableName> = subjects.iter().flat_map(|subject| tables(subject)).collect();
    tables
        .iter()
        .filter(|bare| bare.schema.is_none())
        .find_map(|bare| {
            let meant: Vec<String> = tables
                .iter()
                .filter(|table| table.schema.is_some() && table.name == bare.name)
                .map(ToString::to_string)
                .collect();
            (meant.len() > 1).then(|| format!("{bare} may be {}", meant.join(" or ")))
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
    /// The rows of tables that come, go, or get another name, each as one column.
    pub(super) rows: Columns,
    pub(super) guards: Vec<Guard>,
    pub(super) syncs: Vec<Sync>,
    pub(super) partners: Vec<Columns>,
    /// The same, by the names that the backfill gives them.
    pub(super) copies: Vec<Columns>,
    /// Columns of two tables that triggers keep in step.
    pub(super) paired: Vec<(usize, usize)>,
    /// Columns, each with what it is called afterwards.
    pub(super) moves: Vec<(usize, usize)>,
    /// Columns that no fill sets and that somebody must have filled, so that it may be what is not understood.
    pub(super) presumed: Columns,
    /// Columns that a fill sets.
    pub(super) targets: Columns,
    /// Columns that a fill sets, or reads.
    pub(super) filled: Columns,
    /// Columns that a fill sets without reading another.
    pub(super) constant_fills: Columns,
    /// Columns that a backfill, not a restore, makes of others.
    pub(super) derived_fills: Columns,
    /// Columns that code stops writing.
    pub(super) abandoned: Columns,
    /// Columns in which every row must have a value at some time.
    pub(super) demanded: Columns,
    /// Columns of which it is only assumed that they have to hold what another one holds.
    pub(super) assumed_copies: Columns,
}

impl Builder {
    fn is_not_too_large(&self) -> Result<(), Unsearchable> {
        if self.columns.len() > MOST_COLUMNS {
            return Err(Unsearchable::TooLarge(format!(
                "more than {MOST_COLUMNS} columns are mentioned"
            )));
        }
        if self.guards.len() > MOST_BITS {
            return Err(Unsearchable::TooLarge(format!(
                "more than {MOST_BITS} constraints, triggers and views are made"
            )));
        }
        Ok(())
    }

    /// The columns that are made NOT NULL, or checked to be.
    fn demanded(&mut self, subjects: &[&Subject]) {
        for (_, change) in subjects.iter().flat_map(|subject| every_change(subject)) {
            let demanded = match change {
                Change::AddColumn { table, column, .. } if column.not_null => self.place(table, &column.name),
                Change::NotNull { column, on: true } => self.bits(column),
                _ => 0,
            };
            self.demanded |= self.under_each_name(demanded);
        }
        for guard in &self.guards {
            if guard.what == GuardKind::Constraint(ConstraintKind::NotNull) {
                self.demanded |= guard.columns;
            }
        }
        // What is made of columns without values has none either.
        for _ in 0..self.columns.len() {
            let made_of = places(self.demanded)
                .filter_map(|place| self.partners.get(place))
                .fold(0, |all, partners| all | partners);
            self.demanded |= made_of;
        }
    }

    /// About which columns each code phase says something: those that it, or a code phase above it, names; and those that
    /// no code names, and that a phase before or after it takes away or frees.
    fn govern(&self, plans: &mut [PlanModel<'_>], subjects: &[&Subject]) {
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
    fn taken_or_freed(&self, change: &Change) -> Columns {
        match change {
            Change::DropColumn { column, .. } | Change::NotNull { column, on: false } => self.bits(column),
            Change::RenameColumn { from, .. } => self.bits(from),
            Change::DropTable { table, .. } | Change::RenameTable { from: table, .. } => {
                self.columns_of(table)
            }
            _ => 0,
        }
    }
}

pub(super) fn bit(place: usize) -> u64 {
    u32::try_from(place)
        .ok()
        .and_then(|place| 1_u64.checked_shl(place))
        .unwrap_or(0)
}

/// Every change of a plan's SQL, in order, with whether it is of a forward side.
pub(super) fn every_change(subject: &Subject) -> impl Iterator<Item = (bool, &Change)> {
    subject
        .shape
        .phases()
        .flat_map(|phase| changes_of(subject, &phase.id))
}
