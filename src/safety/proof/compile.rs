//! From the question to bits.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{
    Columns, Guard, GuardKind, MOST_BITS, MOST_COLUMNS, MOST_VERSIONS, Model, Op, PhaseModel, PlanModel,
    Schema, Sync, Uses, VersionModel, one,
};
use super::versions::{self, Base};
use super::{Assumptions, Change, ConstraintKind, Fill, NewColumn, Script, Subject, Work};
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

/// What is known of the tables before the plans.
struct Known {
    exists: Columns,
    not_null: Columns,
    nullable: Columns,
}

#[derive(Default)]
struct Builder {
    columns: Vec<ColumnName>,
    tables: Vec<TableName>,
    guards: Vec<Guard>,
    syncs: Vec<Sync>,
    partners: Vec<Columns>,
    /// Columns that a fill sets, or reads.
    filled: Columns,
    /// Columns that a fill sets without reading another.
    constant_fills: Columns,
    /// Columns that a backfill, not a restore, makes of others.
    derived_fills: Columns,
    /// Columns that code stops writing.
    abandoned: Columns,
}

/// A table without a schema may be the one with it.
fn same_table(one: &TableName, other: &TableName) -> bool {
    let schemas = match (&one.schema, &other.schema) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    one.name == other.name && schemas
}

impl Builder {
    fn table(&mut self, name: &TableName) -> usize {
        if let Some(place) = self.tables.iter().position(|table| same_table(table, name)) {
            if let (Some(table), Some(_)) = (self.tables.get_mut(place), &name.schema) {
                *table = name.clone();
            }
            return place;
        }
        self.tables.push(name.clone());
        self.tables.len() - 1
    }

    fn column(&mut self, table: &TableName, column: &SqlIdentifier) -> usize {
        let place = self.table(table);
        let known = |known: &ColumnName| known.column == *column && same_table(&known.table, table);
        if let Some(found) = self.columns.iter().position(known) {
            return found;
        }
        let table = self.tables.get(place).unwrap_or(table).clone();
        self.columns.push(ColumnName {
            table,
            column: column.clone(),
        });
        self.columns.len() - 1
    }

    fn named(&mut self, name: &ColumnName) -> usize {
        self.column(&name.table, &name.column)
    }

    /// The columns of each table.
    fn table_columns(&self) -> Vec<Columns> {
        self.tables.iter().map(|table| self.columns_of(table)).collect()
    }

    fn columns_of(&self, table: &TableName) -> Columns {
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| same_table(&column.table, table))
            .fold(0, |all, (place, _)| all | one(place))
    }

    /// Gives every column that is mentioned its place.
    fn name_everything(&mut self, subject: &Subject) {
        for (old, new) in &subject.renames {
            self.named(old);
            self.named(new);
        }
        for phase in subject.shape.phases() {
            match subject.work.get(&phase.id) {
                Some(Work::Migration { up, down, restore }) => {
                    for change in up.iter().chain(down.iter().flatten()).flatten() {
                        self.name_of_change(change);
                    }
                    self.name_of_fill(restore.as_ref());
                }
                Some(Work::Backfill(fill)) => self.name_of_fill(Some(fill)),
                Some(Work::Code {
                    reads,
                    writes,
                    restore,
                }) => {
                    for name in reads.iter().chain(writes) {
                        self.named(name);
                    }
                    self.name_of_fill(restore.as_ref());
                }
                Some(Work::Manual) | None => {}
            }
        }
    }

    fn name_of_fill(&mut self, fill: Option<&Fill>) {
        let Some(fill) = fill else { return };
        for (target, sources) in &fill.columns {
            self.column(&fill.table, target);
            for source in sources {
                self.column(&fill.table, source);
            }
        }
    }

    fn name_of_change(&mut self, change: &Change) {
        match change {
            Change::NewTable { table, columns, .. } => {
                for column in columns {
                    self.column(table, &column.name);
                }
            }
            Change::AddColumn { table, column, .. } => {
                self.column(table, &column.name);
            }
            Change::DropColumn { column, .. }
            | Change::NotNull { column, .. }
            | Change::Default { column, .. } => {
                self.named(column);
            }
            Change::RenameColumn { from, to } => {
                self.named(from);
                self.column(&from.table, to);
            }
            Change::AddConstraint { table, columns, .. } => {
                for column in columns {
                    self.column(table, column);
                }
            }
            Change::Fill(fill) => self.name_of_fill(Some(fill)),
            Change::DropTable { table, .. } => {
                self.table(table);
            }
            Change::RenameTable { from, to } => {
                self.table(from);
                self.table(to);
            }
            Change::DropConstraint { .. }
            | Change::AddTrigger { .. }
            | Change::DropTrigger { .. }
            | Change::Function { .. }
            | Change::NotUnderstood { .. } => {}
        }
    }

    /// A column of a table that is renamed is one of the other name too.
    fn name_renamed_tables(&mut self, subjects: &[&Subject]) {
        for (_, change) in subjects.iter().flat_map(|subject| every_change(subject)) {
            let Change::RenameTable { from, to } = change else {
                continue;
            };
            let names: Vec<SqlIdentifier> = self
                .columns
                .iter()
                .filter(|column| same_table(&column.table, from) || same_table(&column.table, to))
                .map(|column| column.column.clone())
                .collect();
            for name in names {
                self.column(from, &name);
                self.column(to, &name);
            }
        }
    }

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
                    for source in super::model::places(sources) {
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

    fn set_of(&mut self, names: &[ColumnName]) -> Columns {
        names.iter().fold(0, |all, name| all | one(self.named(name)))
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

    fn fill(&mut self, fill: Option<&Fill>) -> Vec<Op> {
        fill.map(|fill| self.fill_ops(fill))
            .unwrap_or_default()
            .into_iter()
            .map(|(target, sources)| Op::Fill { target, sources })
            .collect()
    }

    fn plan<'q>(&mut self, plan: usize, subject: &'q Subject, services: &[ServiceName]) -> PlanModel<'q> {
        let shape = &subject.shape;
        let order: Vec<_> = shape.phases().collect();
        let mut phases = Vec::new();
        for (place, phase) in order.iter().enumerate() {
            let mut above = 0;
            let mut comparable = 1 << place;
            for (other, candidate) in order.iter().enumerate() {
                if shape.is_above(&candidate.id, &phase.id) {
                    above |= 1 << other;
                    comparable |= 1 << other;
                }
                if shape.is_above(&phase.id, &candidate.id) {
                    comparable |= 1 << other;
                }
            }
            let mut model = PhaseModel {
                id: phase.id.clone(),
                kind: phase.kind,
                above,
                comparable,
                up: Vec::new(),
                down: None,
                fill: Vec::new(),
                uses: Uses::default(),
                services: 0,
            };
            match subject.work.get(&phase.id) {
                Some(Work::Migration { up, down, restore }) => {
                    let first = self.guards.len();
                    model.up = self.script(plan, place, up, true);
                    let own = mask(first, self.guards.len());
                    model.down = down.as_ref().map(|down| {
                        let mut script = self.script(plan, place, down, false);
                        script.push(self.fill(restore.as_ref()));
                        // Whatever it made is gone once it is undone.
                        script.push(vec![Op::Guards {
                            guards: own & !self.triggers(),
                            on: false,
                        }]);
                        script
                    });
                }
                Some(Work::Backfill(fill)) => {
                    model.fill = self.fill(Some(fill));
                    model.up = vec![model.fill.clone()];
                    model.down = Some(Vec::new());
                }
                Some(Work::Code {
                    reads,
                    writes,
                    restore,
                }) => {
                    model.uses.reads = self.set_of(reads);
                    model.uses.writes = self.set_of(writes);
                    model.fill = self.fill(restore.as_ref());
                    for (place, service) in services.iter().enumerate() {
                        if phase.services.include(service) {
                            model.services |= 1 << place;
                        }
                    }
                }
                Some(Work::Manual) | None => model.down = Some(Vec::new()),
            }
            phases.push(model);
        }
        PlanModel {
            id: shape.id().clone(),
            shape,
            phases,
        }
    }

    fn triggers(&self) -> u64 {
        self.guards
            .iter()
            .enumerate()
            .filter(|(_, guard)| guard.what == GuardKind::Trigger)
            .fold(0, |all, (place, _)| all | bit(place))
    }

    fn script(&mut self, plan: usize, phase: usize, script: &Script, forward: bool) -> Vec<Vec<Op>> {
        script
            .iter()
            .map(|step| {
                let mut ops = Vec::new();
                for change in step {
                    self.change(plan, phase, change, forward, &mut ops);
                }
                ops
            })
            .collect()
    }

    fn add(&mut self, table: &TableName, column: &NewColumn, is_new_table: bool, lenient: bool) -> Op {
        let place = self.column(table, &column.name);
        let alone = self.partners.get(place).is_none_or(|partners| *partners == 0);
        let is_filled = self.filled & one(place) != 0;
        Op::Add {
            column: place,
            // Whoever writes to a new table was written for it, and knows what it demands.
            not_null: column.not_null && !is_new_table,
            filled: column.filled,
            valid: is_new_table || !is_filled || (column.filled && alone),
            lenient,
        }
    }

    fn change(&mut self, plan: usize, phase: usize, change: &Change, forward: bool, ops: &mut Vec<Op>) {
        match change {
            Change::NewTable {
                table,
                columns,
                lenient,
            } => {
                for column in columns {
                    let op = self.add(table, column, true, *lenient);
                    ops.push(op);
                }
            }
            Change::DropTable { table, .. } => {
                ops.extend(
                    super::model::places(self.columns_of(table)).map(|column| Op::Drop {
                        column,
                        lenient: true,
                    }),
                );
            }
            Change::RenameTable { from, to } => {
                let names: Vec<SqlIdentifier> = super::model::places(self.columns_of(from))
                    .filter_map(|place| self.columns.get(place))
                    .map(|column| column.column.clone())
                    .collect();
                for name in names {
                    let (from, to) = (self.column(from, &name), self.column(to, &name));
                    ops.push(Op::Move { from, to });
                }
            }
            Change::AddColumn {
                table,
                column,
                lenient,
            } => {
                let op = self.add(table, column, false, *lenient);
                ops.push(op);
            }
            Change::DropColumn { column, lenient } => ops.push(Op::Drop {
                column: self.named(column),
                lenient: *lenient,
            }),
            Change::RenameColumn { from, to } => ops.push(Op::Move {
                from: self.named(from),
                to: self.column(&from.table, to),
            }),
            Change::NotNull { column, on } => ops.push(Op::NotNull {
                column: self.named(column),
                on: *on,
            }),
            Change::Default { column, on } => ops.push(Op::Default {
                column: self.named(column),
                on: *on,
            }),
            Change::AddConstraint {
                table,
                name,
                kind,
                columns,
            } => {
                // The way back brings constraints that were there before; all code knows them.
                if !forward && *kind != ConstraintKind::NotNull {
                    return;
                }
                let columns = columns
                    .iter()
                    .fold(0, |all, column| all | one(self.column(table, column)));
                self.guards.push(Guard {
                    plan,
                    phase,
                    name: name.clone(),
                    what: GuardKind::Constraint(*kind),
                    columns,
                });
                ops.push(Op::Guards {
                    guards: bit(self.guards.len() - 1),
                    on: true,
                });
            }
            Change::DropConstraint { name } => {
                let guards = self.guards_called(name, |guard| guard.what != GuardKind::Trigger);
                ops.push(Op::Guards { guards, on: false });
            }
            Change::AddTrigger { table, name, .. } => {
                let columns = self.columns_of(table);
                let known = self.guards_called(name, |guard| {
                    guard.what == GuardKind::Trigger && guard.columns & columns == guard.columns
                });
                let guards = if known != 0 {
                    known
                } else {
                    self.guards.push(Guard {
                        plan,
                        phase,
                        name: Some(name.clone()),
                        what: GuardKind::Trigger,
                        columns,
                    });
                    bit(self.guards.len() - 1)
                };
                ops.push(Op::Guards { guards, on: true });
            }
            Change::DropTrigger { table, name } => {
                let columns = self.columns_of(table);
                let guards = self.guards_called(name, |guard| {
                    guard.what == GuardKind::Trigger && guard.columns & columns == guard.columns
                });
                ops.push(Op::Guards { guards, on: false });
            }
            Change::Fill(fill) => ops.extend(self.fill(Some(fill))),
            Change::Function { .. } | Change::NotUnderstood { .. } => {}
        }
    }

    fn guards_called(&self, name: &SqlIdentifier, wanted: impl Fn(&Guard) -> bool) -> u64 {
        self.guards
            .iter()
            .enumerate()
            .filter(|(_, guard)| guard.name.as_ref() == Some(name) && wanted(guard))
            .fold(0, |all, (place, _)| all | bit(place))
    }

    /// About which columns each code phase says something: those that it, or a code phase before or after it, names,
    /// and those that a phase before or after it takes away or frees.
    fn govern(&mut self, plans: &mut [PlanModel<'_>], subjects: &[&Subject]) {
        for (plan, subject) in plans.iter_mut().zip(subjects) {
            let mut says: Vec<Columns> = Vec::new();
            for phase in &plan.phases {
                let mut said = phase.uses.reads | phase.uses.writes;
                if let Some(Work::Migration { up, .. }) = subject.work.get(&phase.id) {
                    for change in up.iter().flatten() {
                        said |= match change {
                            Change::DropColumn { column, .. } | Change::NotNull { column, on: false } => {
                                one(self.named(column))
                            }
                            Change::RenameColumn { from, .. } => one(self.named(from)),
                            Change::DropTable { table, .. } => self.columns_of(table),
                            _ => 0,
                        };
                    }
                }
                says.push(said);
            }
            for phase in &mut plan.phases {
                if phase.kind == PhaseKind::Code {
                    phase.uses.governs = super::model::places(u128::from(phase.comparable))
                        .filter_map(|place| says.get(place))
                        .fold(0, |all, said| all | said);
                }
            }
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

fn bit(place: usize) -> u64 {
    u32::try_from(place)
        .ok()
        .and_then(|place| 1_u64.checked_shl(place))
        .unwrap_or(0)
}

fn mask(from: usize, to: usize) -> u64 {
    (from..to).fold(0, |all, place| all | bit(place))
}

/// Every change of a plan's SQL, in order, with whether it is of a forward side.
fn every_change(subject: &Subject) -> impl Iterator<Item = (bool, &Change)> {
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

impl Known {
    /// What the plans say of the time before them: what they free of NOT NULL was NOT NULL, what they make NOT NULL was
    /// not, and a copy is as strict as what it is made of.
    fn of(builder: &Builder, subjects: &[&Subject]) -> Self {
        let place = |table: &TableName, column: &SqlIdentifier| {
            builder
                .columns
                .iter()
                .position(|known| known.column == *column && same_table(&known.table, table))
                .map_or(0, one)
        };
        let named = |name: &ColumnName| place(&name.table, &name.column);
        let all = if builder.columns.len() >= MOST_COLUMNS {
            Columns::MAX
        } else {
            one(builder.columns.len()) - 1
        };
        let (mut added, mut not_null, mut nullable, mut made_strict): (Columns, Columns, Columns, Columns) =
            (0, 0, 0, 0);
        for subject in subjects {
            let mut touched: Columns = 0;
            for (forward, change) in every_change(subject) {
                if !forward {
                    continue;
                }
                let (new, old) = match change {
                    Change::AddColumn { table, column, .. } => (place(table, &column.name), 0),
                    Change::NewTable { table, .. } => (builder.columns_of(table), 0),
                    Change::RenameColumn { from, to } => (place(&from.table, to), named(from)),
                    Change::RenameTable { from, to } => (builder.columns_of(to), builder.columns_of(from)),
                    Change::DropColumn { column, .. } => (0, named(column)),
                    Change::NotNull { column, on } => {
                        let column = named(column);
                        if touched & column == 0 && added & column == 0 {
                            *(if *on { &mut nullable } else { &mut not_null }) |= column;
                        }
                        if *on {
                            made_strict |= column;
                        }
                        (0, column)
                    }
                    Change::AddConstraint {
                        table,
                        kind: ConstraintKind::NotNull,
                        columns,
                        ..
                    } => {
                        made_strict |= columns.iter().fold(0, |all, column| all | place(table, column));
                        (0, 0)
                    }
                    _ => (0, 0),
                };
                added |= new & !touched;
                touched |= new | old;
            }
        }
        let exists = all & !added;
        not_null &= exists;
        nullable &= exists & !not_null;
        for subject in subjects {
            for work in subject.work.values() {
                let Work::Backfill(fill) = work else { continue };
                for (target, sources) in &fill.columns {
                    let [source] = sources.as_slice() else { continue };
                    let (target, source) = (place(&fill.table, target), place(&fill.table, source));
                    if made_strict & target != 0 {
                        not_null |= source & exists & !nullable;
                    }
                }
            }
            // A rename carries NOT NULL over: where it does not, there was none.
            for (old, new) in &subject.renames {
                if made_strict & named(new) == 0 {
                    nullable |= named(old) & exists & !not_null;
                }
            }
        }
        Self {
            exists,
            not_null,
            nullable,
        }
    }
}

/// What the code before the plans does with the columns that were there before them.
fn base(
    builder: &Builder,
    plans: &[PlanModel<'_>],
    subjects: &[&Subject],
    known: &Known,
    assumptions: Assumptions,
) -> Base {
    let find = |name: &ColumnName| {
        builder
            .columns
            .iter()
            .position(|known| known.column == name.column && same_table(&known.table, &name.table))
            .map_or(0, one)
    };
    let (mut reads, mut writes, mut mentioned, mut written): (Columns, Columns, Columns, Columns) =
        (0, 0, 0, 0);
    for (plan, subject) in plans.iter().zip(subjects) {
        let has_code = plan.phases.iter().any(|phase| phase.kind == PhaseKind::Code);
        for (old, _) in &subject.renames {
            reads |= find(old);
            writes |= find(old);
        }
        for phase in &plan.phases {
            reads |= phase.uses.reads;
            writes |= phase.uses.writes;
            written |= phase.uses.writes;
            let has_code_above = super::model::places(u128::from(phase.above))
                .filter_map(|place| plan.phases.get(place))
                .any(|above| above.kind == PhaseKind::Code);
            let Some(Work::Migration { up, .. }) = subject.work.get(&phase.id) else {
                continue;
            };
            for change in up.iter().flatten() {
                let gone = match change {
                    Change::DropColumn { column, .. } => find(column),
                    Change::RenameColumn { from, .. } => find(from),
                    Change::DropTable { table, .. } => builder.columns_of(table),
                    _ => 0,
                };
                // What nothing gates is taken to be used by the code that nothing keeps away.
                if has_code && !has_code_above {
                    mentioned |= gone;
                }
            }
        }
    }
    let fresh = builder.derived_fills & known.exists;
    let stated_reads = (reads | mentioned) & known.exists & !fresh;
    let stated_writes = (writes | mentioned) & known.exists & !fresh;
    let everything = known.exists & !fresh;
    let (reads, writes) = match assumptions {
        Assumptions::Stated => (stated_reads, stated_writes),
        Assumptions::Worst => (everything, everything),
    };
    Base {
        exists: known.exists,
        fresh,
        reads,
        writes,
        stated_writes,
        may_be_null: known.exists
            & !known.not_null
            & match assumptions {
                Assumptions::Stated => written | fresh,
                Assumptions::Worst => known.nullable | fresh,
            },
        assumed: everything & !(stated_reads & stated_writes),
    }
}
