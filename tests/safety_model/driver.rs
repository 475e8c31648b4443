//! The world that the rules are let loose on: a fleet, a ledger, tables, and somebody who tries everything.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use shipctl::domain::PhaseId;
use shipctl::ledger::{Record, StoredRecord, fold, history};
use shipctl::safety::{
    Completeness, Decision, Facts, Lease, PhaseKind, PlanShape, PlanState, Progress, ReasonCode,
    ServiceRequirement, Sighting, SourceReport, Verdict, Version, can_deploy, combine, judge,
};

use crate::operation::{Layout, Operation, SERVICES};
use crate::table::Table;
use crate::work::{Work, containments};

/// A step to try, by number.
#[derive(Clone, Copy)]
pub struct Step {
    pub what: u8,
    pub which: u8,
    pub how: u8,
}

/// On one line, so that a long sequence can be read.
impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.what % 20, self.which, self.how)
    }
}

type Code = BTreeSet<PhaseId>;

/// Something that a counterexample of the proof says somebody does.
#[derive(Clone, Debug)]
pub enum Deed {
    Run(PhaseId),
    Undo(PhaseId),
    Verify(PhaseId),
    Restore(PhaseId),
    /// A version comes to a service: to one instance, or to all.
    Deploy {
        service: usize,
        code: BTreeSet<PhaseId>,
        all: bool,
    },
}

#[derive(Clone, Debug)]
struct Busy {
    plan: usize,
    phase: PhaseId,
    work: Work,
    since: Timestamp,
}

#[derive(Clone)]
pub struct World {
    pub plans: Vec<PlanShape>,
    operations: Vec<Operation>,
    tables: Vec<Table>,
    /// What runs: for each service its instances.
    instances: [Vec<Code>; 2],
    /// Every code that was ever built; its place is its commit.
    built: Vec<Code>,
    records: Vec<StoredRecord>,
    busy: Vec<Busy>,
    /// What somebody was told that it may be deployed, and did not deploy yet.
    leases: Vec<Lease>,
    clock: i64,
    /// When somebody last deployed without asking.
    intruded: i64,
    values: u64,
    story: Vec<String>,
}

impl World {
    pub fn new(layout: &Layout) -> Self {
        let mut world = Self {
            plans: layout.plans(),
            operations: layout.operations.clone(),
            tables: layout.operations.iter().map(Operation::base).collect(),
            instances: [vec![Code::new(); 2], vec![Code::new(); 2]],
            built: vec![Code::new()],
            records: Vec::new(),
            busy: Vec::new(),
            leases: Vec::new(),
            clock: 10,
            intruded: 0,
            values: 100,
            story: Vec::new(),
        };
        world.look();
        world
    }

    pub fn story(&self) -> String {
        let mut story = self.story.join("\n");
        for plan in &self.plans {
            let phases: Vec<String> = plan
                .phases()
                .map(|phase| {
                    format!(
                        "  {} {:?} needs {:?} {:?}",
                        phase.id, phase.kind, phase.needs, phase.services
                    )
                })
                .collect();
            story += &format!("\n{}:\n{}", plan.id(), phases.join("\n"));
        }
        story
    }

    // ---- what is known

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(self.clock)
    }

    pub fn version(&mut self, service: usize, code: &Code) -> Version {
        let place = self
            .built
            .iter()
            .position(|known| known == code)
            .unwrap_or_else(|| {
                self.built.push(code.clone());
                self.built.len() - 1
            });
        Version {
            service: SERVICES[service].parse().unwrap(),
            commit: format!("{:040x}", place + 1).parse().unwrap(),
        }
    }

    fn code_of(&self, version: &Version) -> &Code {
        let place = usize::from_str_radix(version.commit.as_str(), 16).unwrap() - 1;
        &self.built[place]
    }

    pub fn reports(&self) -> Vec<SourceReport> {
        let mut reports = Vec::new();
        for (service, name) in SERVICES.iter().enumerate() {
            for (source, completeness) in [
                ("connections", Completeness::Full),
                ("heartbeat", Completeness::Sample),
            ] {
                let sightings: Vec<Sighting> = self.instances[service]
                    .iter()
                    .enumerate()
                    // The second source sees only the first instance.
                    .filter(|(number, _)| completeness == Completeness::Full || *number == 0)
                    .map(|(number, code)| {
                        let place = self.built.iter().position(|known| known == code).unwrap();
                        Sighting {
                            service: name.parse().unwrap(),
                            instance: format!("{source}-{number}"),
                            commit: format!("{:040x}", place + 1).parse().unwrap(),
                            observed_at: self.now(),
                            source: source.to_owned(),
                            completeness,
                        }
                    })
                    .collect();
                reports.push(SourceReport {
                    sightings,
                    ..SourceReport::new(name.parse().unwrap(), source, completeness)
                });
            }
        }
        reports
    }

    pub fn requirements() -> Vec<ServiceRequirement> {
        SERVICES
            .iter()
            .map(|service| ServiceRequirement {
                service: service.parse().unwrap(),
                sources: 2,
                min_instances: 1,
                max_age: SignedDuration::from_secs(60),
            })
            .collect()
    }

    pub fn facts(&self, candidates: &[Version]) -> Facts {
        let fleet = combine(&Self::requirements(), &self.reports(), self.now());
        let history = history(&self.records);
        let mut versions: BTreeSet<Version> = fleet.versions();
        versions.extend(history.sightings.iter().map(Sighting::version));
        versions.extend(candidates.iter().cloned());
        versions.extend(
            self.leases
                .iter()
                .flat_map(|lease| lease.versions.iter().cloned()),
        );
        let containments = containments(&self.plans, &versions, |version, phase| {
            self.code_of(version).contains(phase)
        });
        Facts {
            environment: "production".parse().unwrap(),
            now: self.now(),
            observed_at: self.now(),
            protected: false,
            fleet,
            history,
            leases: self.leases.clone(),
            containments,
            plans: self
                .plans
                .iter()
                .map(|plan| (plan.id().clone(), self.state(plan)))
                .collect(),
        }
    }

    fn state(&self, plan: &PlanShape) -> PlanState {
        let own: Vec<StoredRecord> = self
            .records
            .iter()
            .filter(|record| record.plan.as_ref() == Some(plan.id()))
            .cloned()
            .collect();
        fold(&own)
    }

    pub fn judge(&self, facts: &Facts, phase: &str) -> Decision {
        let phase = phase.parse().unwrap();
        let plan = self
            .plans
            .iter()
            .find(|plan| plan.phase(&phase).is_some())
            .unwrap();
        judge(plan, &phase, facts, &BTreeSet::new())
    }

    fn record(&mut self, plan: usize, record: Record) {
        self.records.push(StoredRecord {
            sequence: i64::try_from(self.records.len()).unwrap(),
            at: self.now(),
            environment: "production".parse().unwrap(),
            plan: Some(self.plans[plan].id().clone()),
            actor: "somebody".to_owned(),
            record,
        });
    }

    /// Looks at the fleet and remembers it. Only the latest look matters, so that the log stays short.
    fn look(&mut self) {
        let fleet = combine(&Self::requirements(), &self.reports(), self.now());
        let versions = fleet.versions();
        let repeats = self.records.last().is_some_and(|last| match &last.record {
            Record::FleetObserved { fleet, .. } => fleet.versions() == versions,
            _ => false,
        });
        if repeats {
            self.records.pop();
        }
        self.record(
            0,
            Record::FleetObserved {
                fleet,
                satisfied: Default::default(),
            },
        );
    }

    // ---- what happens

    /// Tries a step; the rules let it through or not.
    pub fn take(&mut self, step: Step) {
        self.clock += 10;
        let plan = usize::from(step.which) % self.plans.len();
        match step.what % 25 {
            0..=4 => self.deploy_other(step, true),
            5 | 6 => self.deploy_other(step, false),
            7 | 8 => self.spread(step),
            9..=11 => {
                let order: Vec<PhaseId> = self.waiting(plan);
                if let Some(phase) = pick(&order, step.how) {
                    self.begin(plan, &phase, Work::Run);
                }
            }
            12 | 13 => self.finish(plan, true),
            14 => self.finish(plan, false),
            15 => {
                let mut phases: Vec<PhaseId> = self.in_effect(plan);
                phases.reverse();
                if let Some(phase) = pick(&phases, step.how % 3) {
                    self.begin(plan, &phase, Work::Undo);
                }
            }
            16 => {
                let restorable: Vec<PhaseId> = self
                    .operations
                    .iter()
                    .filter(|operation| operation.plan == plan)
                    .filter(|operation| matches!(operation.kind, crate::operation::Kind::Rename { .. }))
                    .map(|operation| operation.id("stop-write"))
                    .collect();
                if let Some(phase) = pick(&restorable, step.how) {
                    self.begin(plan, &phase, Work::Restore);
                }
            }
            17 => {
                let backfills: Vec<PhaseId> = self.plans[plan]
                    .phases()
                    .filter(|phase| phase.kind == PhaseKind::Backfill)
                    .map(|phase| phase.id.clone())
                    .collect();
                if let Some(phase) = pick(&backfills, step.how) {
                    self.begin(plan, &phase, Work::Verify);
                }
            }
            18 | 19 => self.intrude(step),
            20 | 21 => self.arrive(step),
            _ => self.lease(step),
        }
        self.look();
    }

    fn waiting(&self, plan: usize) -> Vec<PhaseId> {
        let state = self.state(&self.plans[plan]);
        self.plans[plan]
            .phases()
            .filter(|phase| phase.kind != PhaseKind::Code && !state.progress(&phase.id).is_done())
            .map(|phase| phase.id.clone())
            .take(3)
            .collect()
    }

    fn in_effect(&self, plan: usize) -> Vec<PhaseId> {
        let state = self.state(&self.plans[plan]);
        self.plans[plan]
            .phases()
            .filter(|phase| phase.kind != PhaseKind::Code && state.progress(&phase.id).may_have_effect())
            .map(|phase| phase.id.clone())
            .collect()
    }

    /// The code phases that concern a service, with the code phases above each that concern it too.
    fn own_code(&self, service: usize) -> Vec<(PhaseId, Code)> {
        let name = SERVICES[service].parse().unwrap();
        let mut found = Vec::new();
        for plan in &self.plans {
            let own = |phase: &&shipctl::safety::PhaseShape| {
                phase.kind == PhaseKind::Code && phase.services.include(&name)
            };
            for phase in plan.phases().filter(own) {
                let above = plan
                    .above(&phase.id)
                    .filter(own)
                    .map(|above| above.id.clone())
                    .collect();
                found.push((phase.id.clone(), above));
            }
        }
        found
    }

    /// Neighbours of a code: one phase more, or one phase less.
    pub fn neighbours(&self, service: usize, code: &Code, more: bool) -> Vec<Code> {
        let own = self.own_code(service);
        let mut found = Vec::new();
        for (phase, above) in &own {
            if more && !code.contains(phase) && above.is_subset(code) {
                let mut next = code.clone();
                next.insert(phase.clone());
                found.push(next);
            }
            let needed = own
                .iter()
                .any(|(other, above)| code.contains(other) && above.contains(phase));
            if !more && code.contains(phase) && !needed {
                let mut next = code.clone();
                next.remove(phase);
                found.push(next);
            }
        }
        found
    }

    fn deploy_other(&mut self, step: Step, more: bool) {
        let service = usize::from(step.which) % 2;
        if let Some(code) = self.other_code(step, more) {
            self.deploy(service, usize::from(step.how / 4), &code);
        }
    }

    /// Asks whether other code may be deployed, and holds the yes: it is deployed later, and nobody asks again.
    fn lease(&mut self, step: Step) {
        let service = usize::from(step.which) % 2;
        let Some(code) = self.other_code(step, step.how.is_multiple_of(2)) else {
            return;
        };
        let version = self.version(service, &code);
        let facts = self.facts(std::slice::from_ref(&version));
        if can_deploy(&version, &self.plans, &facts).verdict() != Verdict::Go {
            return;
        }
        self.tell(format!("lease {} {code:?}", SERVICES[service]));
        self.leases.push(Lease {
            id: self.clock,
            holder: "somebody".to_owned(),
            revision: "HEAD".to_owned(),
            versions: [version].into(),
            since: self.now(),
            until: Timestamp::MAX,
        });
    }

    /// What was held is deployed, or given up.
    fn arrive(&mut self, step: Step) {
        if self.leases.is_empty() {
            return;
        }
        let lease = self.leases.remove(usize::from(step.which) % self.leases.len());
        for version in &lease.versions {
            let service = SERVICES
                .iter()
                .position(|name| *name == version.service.as_str())
                .unwrap();
            let code = self.code_of(version).clone();
            if step.how.is_multiple_of(4) {
                self.tell(format!("given up {} {code:?}", SERVICES[service]));
                continue;
            }
            self.tell(format!("arrives {} {code:?}", SERVICES[service]));
            let count = self.instances[service].len();
            self.instances[service][usize::from(step.how) % count] = code;
        }
    }

    /// Code that differs from what an instance runs.
    fn other_code(&self, step: Step, more: bool) -> Option<Code> {
        let service = usize::from(step.which) % 2;
        let running = &self.instances[service];
        let code = running[usize::from(step.how) % running.len()].clone();
        let mut candidates = self.neighbours(service, &code, more);
        if step.how % 16 == 15 {
            // Far away: everything, or nothing.
            let all = self
                .own_code(service)
                .into_iter()
                .map(|(phase, _)| phase)
                .collect();
            candidates = vec![if more { all } else { Code::new() }];
        }
        pick(&candidates, step.how / 2)
    }

    /// Replaces one instance, if the rules allow the version.
    fn deploy(&mut self, service: usize, instance: usize, code: &Code) -> bool {
        let version = self.version(service, code);
        let facts = self.facts(std::slice::from_ref(&version));
        if can_deploy(&version, &self.plans, &facts).verdict() != Verdict::Go {
            return false;
        }
        self.tell(format!("deploy {} {code:?}", SERVICES[service]));
        let count = self.instances[service].len();
        self.instances[service][instance % count] = code.clone();
        true
    }

    /// A roll-out goes on: an instance takes over what another one runs already.
    fn spread(&mut self, step: Step) {
        let instances = &mut self.instances[usize::from(step.which) % 2];
        let from = usize::from(step.how) % instances.len();
        let code = instances[from].clone();
        instances.fill(code.clone());
        self.tell(format!(
            "spread {} {code:?}",
            SERVICES[usize::from(step.which) % 2]
        ));
    }

    fn begin(&mut self, plan: usize, phase: &PhaseId, work: Work) -> bool {
        if self.busy.iter().any(|busy| busy.plan == plan) {
            return false;
        }
        let facts = self.facts(&[]);
        let Decision::Cleared(clearance) = work.ask(&self.plans[plan], phase, &facts) else {
            return false;
        };
        self.tell(format!("{work:?} {phase} begins"));
        if work.is_of_a_phase() {
            self.record(
                plan,
                Record::PhaseStarted {
                    phase: phase.clone(),
                    direction: clearance.direction(),
                    digest: clearance.digest().clone(),
                    observed_at: clearance.observed_at(),
                    fleet: facts.fleet.clone(),
                    judgement: clearance.judgement().clone(),
                },
            );
        }
        self.busy.push(Busy {
            plan,
            phase: phase.clone(),
            work,
            since: self.now(),
        });
        // Some of it may show at once: all of every second phase, half of the rows of a backfill.
        if self.clock % 20 == 0 {
            self.effect(phase, work, true, self.now());
        }
        true
    }

    fn effect(&mut self, phase: &PhaseId, work: Work, half: bool, since: Timestamp) -> bool {
        let place = self
            .operations
            .iter()
            .position(|operation| phase.as_str().starts_with(operation.prefix))
            .unwrap();
        let operation = &self.operations[place];
        let table = &mut self.tables[place];
        let outcome = work.apply(operation, phase, table, half);
        match outcome {
            Ok(()) => true,
            // What an intruder did since is noticed by the database, and the phase fails without harm.
            Err(_) if self.intruded >= since.as_second() => false,
            Err(error) => panic!(
                "{work:?} {phase} was cleared, but fails: {error}\n{}",
                self.story()
            ),
        }
    }

    /// Ends what is being done in a plan: well, or (recorded or not) badly.
    fn finish(&mut self, plan: usize, well: bool) {
        let Some(place) = self.busy.iter().position(|busy| busy.plan == plan) else {
            return;
        };
        let Busy {
            phase, work, since, ..
        } = self.busy.remove(place);
        self.tell(format!(
            "{work:?} {phase} ends {}",
            if well { "well" } else { "badly" }
        ));
        let well = well && self.effect(&phase, work, false, since);
        if !well {
            if self.clock % 20 == 0 {
                self.effect(&phase, work, true, since);
            }
            // Every other time nobody is left to record it.
            if work.is_of_a_phase() && self.clock % 40 < 20 {
                self.record(plan, work.failed(phase));
            }
            return;
        }
        self.record(plan, work.done(phase, since));
    }

    /// Somebody deploys without asking, and takes it back. Where that harms what runs at once, it is not the rules'
    /// business and does not happen; what it leaves behind is.
    ///
    /// Nobody comes while data is being filled under running readers, or while somebody holds a yes: no rule can undo what is
    /// done in that moment, nor take back what was said before.
    fn intrude(&mut self, step: Step) {
        if !self.leases.is_empty() {
            return;
        }
        if self
            .busy
            .iter()
            .any(|busy| matches!(busy.work, Work::Verify | Work::Restore))
        {
            return;
        }
        let before = self.clone();
        let service = usize::from(step.which) % 2;
        let phases = self.own_code(service);
        let mut code = Code::new();
        for (phase, above) in phases.iter().take(usize::from(step.how) % (phases.len() + 1)) {
            if above.is_subset(&code) {
                code.insert(phase.clone());
            }
        }
        self.version(service, &code);
        self.tell(format!("intruder {} {code:?}", SERVICES[service]));
        let lawful = self.instances.clone();
        self.instances[service].push(code.clone());
        self.look();
        for _ in 0..2 {
            let _ = self.work(service, &code);
        }
        self.instances = lawful;
        self.clock += 10;
        self.intruded = self.clock;
        if self.traffic().is_err() {
            *self = before;
        }
    }

    /// Does what a counterexample says. Whether the rules let it through.
    pub fn perform(&mut self, plan: usize, deed: &Deed) -> bool {
        self.clock += 10;
        let (phase, work) = match deed {
            Deed::Run(phase) => (phase, Work::Run),
            Deed::Undo(phase) => (phase, Work::Undo),
            Deed::Verify(phase) => (phase, Work::Verify),
            Deed::Restore(phase) => (phase, Work::Restore),
            Deed::Deploy { service, code, all } => {
                let may = self.deploy(*service, 1, code);
                if may && *all {
                    self.instances[*service].fill(code.clone());
                }
                self.look();
                return may;
            }
        };
        let may = self.begin(plan, phase, work);
        self.finish(plan, true);
        self.look();
        may
    }

    /// Whether a service has any phase of code.
    pub fn is_concerned(&self, service: usize) -> bool {
        !self.own_code(service).is_empty()
    }

    // ---- what it comes to

    /// Everything that runs writes, and then reads.
    pub fn traffic(&mut self) -> Result<(), String> {
        for service in 0..SERVICES.len() {
            for code in self.running(service) {
                self.work(service, &code)?;
            }
        }
        for service in 0..SERVICES.len() {
            for code in self.running(service) {
                self.look_up(service, &code)?;
            }
        }
        Ok(())
    }

    fn running(&self, service: usize) -> BTreeSet<Code> {
        self.instances[service].iter().cloned().collect()
    }

    fn work(&mut self, service: usize, code: &Code) -> Result<(), String> {
        for (operation, table) in self.operations.iter().zip(&mut self.tables) {
            if !operation.role(SERVICES[service]).writes {
                continue;
            }
            self.values += 1;
            let value = self.values;
            let columns = operation.writes(code);
            let ignorant = columns.is_empty() && operation.unknown_is_zero();
            let row = usize::try_from(value).unwrap() % table.rows.len();
            let outcome = table
                .insert(&columns, value, if ignorant { 0 } else { value })
                .and_then(|()| table.update(row, &columns, value, (!ignorant).then_some(value)));
            outcome.map_err(|error| format!("{} {code:?}: {error}", SERVICES[service]))?;
        }
        Ok(())
    }

    fn look_up(&self, service: usize, code: &Code) -> Result<(), String> {
        for (operation, table) in self.operations.iter().zip(&self.tables) {
            if let (true, Some(column)) = (operation.role(SERVICES[service]).reads, operation.reads(code)) {
                table
                    .read(column)
                    .map_err(|error| format!("{} {code:?}: {error}", SERVICES[service]))?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, line: String) {
        self.story.push(format!("{:>5} {line}", self.clock));
    }

    // ---- ways through

    /// Carries the plans through, a step at a time, as a careful person would. Whether the end was reached.
    pub fn advance(&mut self, steps: usize) -> bool {
        let mut left = steps;
        for plan in 0..self.plans.len() {
            let phases: Vec<(PhaseId, PhaseKind)> = self.plans[plan]
                .phases()
                .map(|phase| (phase.id.clone(), phase.kind))
                .collect();
            for (phase, kind) in phases {
                if left == 0 {
                    return false;
                }
                left -= 1;
                self.clock += 10;
                if kind == PhaseKind::Code {
                    for service in 0..SERVICES.len() {
                        let mut code = self.instances[service][0].clone();
                        if !self.own_code(service).iter().any(|(own, _)| *own == phase) {
                            continue;
                        }
                        code.insert(phase.clone());
                        for instance in 0..2 {
                            if !self.deploy(service, instance, &code) {
                                return self.stuck(service, &code);
                            }
                            self.expect_traffic();
                        }
                    }
                } else {
                    if !self.begin(plan, &phase, Work::Run) {
                        self.tell(format!("{phase} is refused"));
                        return false;
                    }
                    self.finish(plan, true);
                }
                self.look();
                self.expect_traffic();
            }
        }
        true
    }

    /// The way back to the beginning.
    pub fn retreat(&mut self) -> bool {
        for plan in (0..self.plans.len()).rev() {
            let mut phases: Vec<(PhaseId, PhaseKind)> = self.plans[plan]
                .phases()
                .map(|phase| (phase.id.clone(), phase.kind))
                .collect();
            phases.reverse();
            for (phase, kind) in phases {
                self.clock += 10;
                if kind == PhaseKind::Code {
                    for service in 0..SERVICES.len() {
                        let mut code = self.instances[service][0].clone();
                        if !code.remove(&phase) {
                            continue;
                        }
                        for instance in 0..2 {
                            if !self.deploy(service, instance, &code) {
                                return self.stuck(service, &code);
                            }
                            self.expect_traffic();
                        }
                    }
                    self.clock += 10;
                    self.look();
                    if phase.as_str().ends_with("stop-write") {
                        if !self.begin(plan, &phase, Work::Restore) {
                            self.tell(format!("restoring {phase} is refused"));
                            return false;
                        }
                        self.finish(plan, true);
                    }
                } else {
                    if !self.begin(plan, &phase, Work::Undo) {
                        self.tell(format!("undoing {phase} is refused"));
                        return false;
                    }
                    self.finish(plan, true);
                }
                self.look();
                self.expect_traffic();
            }
        }
        let facts = self.facts(&[]);
        self.plans.iter().all(|plan| {
            plan.phases()
                .all(|phase| facts.plans[plan.id()].progress(&phase.id) == &Progress::Pending)
        })
    }

    fn expect_traffic(&mut self) {
        if let Err(failure) = self.traffic() {
            panic!("{failure}\n{}", self.story());
        }
    }

    fn stuck(&mut self, service: usize, code: &Code) -> bool {
        let version = self.version(service, code);
        let facts = self.facts(std::slice::from_ref(&version));
        let judgement = can_deploy(&version, &self.plans, &facts);
        let codes: Vec<(ReasonCode, &str)> = judgement
            .reasons
            .iter()
            .map(|reason| (reason.code, reason.message.as_str()))
            .collect();
        let line = format!("stuck: {} {code:?}: {codes:?}", SERVICES[service]);
        self.tell(line);
        false
    }

    /// The effect of a phase without asking anybody.
    pub fn force(&mut self, phase: &str) {
        self.effect(&phase.parse().unwrap(), Work::Run, false, self.now());
    }

    /// Whether code with these phases works on the tables as they are. `fill` overlooks what only needs the backfill.
    pub fn would_work(&mut self, phases: &[&str], fill: bool) -> bool {
        let code: Code = phases.iter().map(|phase| phase.parse().unwrap()).collect();
        if fill {
            self.force("a-backfill");
        }
        self.work(0, &code).is_ok() && self.look_up(0, &code).is_ok()
    }

    /// The versions worth asking about: what runs, and its neighbours.
    pub fn candidates(&mut self) -> Vec<Version> {
        let mut found = BTreeSet::new();
        for service in 0..SERVICES.len() {
            for code in self.running(service) {
                let mut codes = self.neighbours(service, &code, true);
                codes.extend(self.neighbours(service, &code, false));
                codes.push(code);
                codes.push(Code::new());
                for code in codes {
                    found.insert(self.version(service, &code));
                }
            }
        }
        found.into_iter().collect()
    }
}

fn pick<T: Clone>(items: &[T], number: u8) -> Option<T> {
    (!items.is_empty()).then(|| items[usize::from(number) % items.len()].clone())
}
