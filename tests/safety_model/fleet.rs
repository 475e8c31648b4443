//! Hundreds of instances under a pipeline that never rests, while probes fail, lag behind and see only a part.
//!
//! A schedule is a number: whatever happens in it follows from that, so that one that fails can be repeated. The pipeline asks
//! before it deploys and holds a lease while it does; it may die in the middle. An operator runs and undoes phases.
//! After every moment all that runs is put to work on the tables of the model, and what was begun is held against the
//! fleet as it really is. In the end all evidence is good, and every plan must come to its end.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use shipctl::domain::PhaseId;
use shipctl::ledger::{Record, StoredRecord, fold, history};
use shipctl::safety::{
    Completeness, Decision, Doubt, Facts, Lease, PhaseKind, PlanShape, PlanState, ServiceRequirement,
    Sighting, SourceReport, Verdict, Version, can_deploy, combine, judge,
};

use crate::operation::{Kind, Layout, Operation, Role, SERVICES};
use crate::table::Table;
use crate::work::{Work, containments};

/// Instances of each service.
const INSTANCES: [usize; 2] = [200, 100];
/// Seconds between two moments.
const MOMENT: i64 = 5;
/// The oldest sighting that counts, in seconds.
const MAX_AGE: i64 = 60;
/// How long a deployment may take, in seconds.
const LEASE: i64 = 120;

type Code = BTreeSet<PhaseId>;

/// How well the probes of a service work just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Good,
    /// It does not answer.
    Down,
    /// It tells what it saw so many moments ago, and says so.
    Lags(usize),
    /// It sees a part, and knows that.
    Part,
    /// The source that enumerates everything finds nothing.
    Empty,
}

/// A deployment under way.
#[derive(Clone, Copy, Debug)]
struct Rollout {
    code: usize,
    next: usize,
    lease: i64,
}

#[derive(Clone, Debug)]
struct Busy {
    phase: PhaseId,
    work: Work,
    since: Timestamp,
    until: i64,
}

/// One schedule, as far as it has come.
struct Schedule {
    random: fastrand::Rng,
    operation: Operation,
    plans: Vec<PlanShape>,
    table: Table,
    /// Every code that was built; its place is its commit.
    codes: Vec<Code>,
    /// What runs, by place among the codes.
    running: [Vec<usize>; 2],
    /// What ran, at each moment.
    past: Vec<[Vec<usize>; 2]>,
    probes: [Probe; 2],
    /// What the pipeline recorded last.
    recorded: [usize; 2],
    rollouts: [Option<Rollout>; 2],
    leases: Vec<Lease>,
    records: Vec<StoredRecord>,
    busy: Option<Busy>,
    clock: i64,
    values: u64,
    story: Vec<String>,
    /// What came to pass, so that a run of nothing but refusals is noticed.
    pub tally: Tally,
}

/// What came to pass in schedules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub deployments: u64,
    pub rollbacks: u64,
    pub phases: u64,
    pub undone: u64,
    pub refused: u64,
    pub blind: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.deployments += other.deployments;
        self.rollbacks += other.rollbacks;
        self.phases += other.phases;
        self.undone += other.undone;
        self.refused += other.refused;
        self.blind += other.blind;
    }
}

/// Goes through so many schedules from one on; what came to pass in all of them.
pub fn go_through(from: u64, count: u64) -> Tally {
    let mut all = Tally::default();
    for number in from..from + count {
        let mut schedule = Schedule::new(number);
        for _ in 0..120 {
            schedule.moment();
        }
        schedule.come_to_an_end();
        all.add(schedule.tally);
    }
    all
}

impl Schedule {
    fn new(number: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(number);
        let kind = match random.u8(0..6) {
            0 => Kind::Add {
                constrain: random.bool(),
            },
            1 => Kind::Drop {
                not_null: random.bool(),
                relax_early: random.bool(),
            },
            _ => Kind::Rename {
                not_null: random.bool(),
                constrain: random.bool(),
                relax_early: random.bool(),
                constrain_late: random.bool(),
            },
        };
        let operation = Operation {
            kind,
            worker: Role {
                reads: random.bool(),
                writes: random.bool(),
            },
            plan: 0,
            prefix: "a",
        };
        let layout = Layout {
            operations: vec![operation.clone()],
            ties: Vec::new(),
        };
        let mut schedule = Self {
            random,
            table: operation.base(),
            plans: layout.plans(),
            operation,
            codes: vec![Code::new()],
            running: INSTANCES.map(|count| vec![0; count]),
            past: Vec::new(),
            probes: [Probe::Good; 2],
            recorded: [0; 2],
            rollouts: [None; 2],
            leases: Vec::new(),
            records: Vec::new(),
            busy: None,
            clock: 1_000,
            values: 100,
            story: vec![format!("schedule {number}: {kind:?}")],
            tally: Tally::default(),
        };
        schedule.past.push(schedule.running.clone());
        schedule
    }

    // ---- what is known

    fn now(&self) -> Timestamp {
        at(self.clock)
    }

    fn plan(&self) -> &PlanShape {
        &self.plans[0]
    }

    fn built(&mut self, code: &Code) -> usize {
        self.codes
            .iter()
            .position(|known| known == code)
            .unwrap_or_else(|| {
                self.codes.push(code.clone());
                self.codes.len() - 1
            })
    }

    fn version(service: usize, code: usize) -> Version {
        Version {
            service: SERVICES[service].parse().unwrap(),
            commit: format!("{:040x}", code + 1).parse().unwrap(),
        }
    }

    fn code_of(&self, version: &Version) -> &Code {
        &self.codes[usize::from_str_radix(version.commit.as_str(), 16).unwrap() - 1]
    }

    fn reports(&self) -> Vec<SourceReport> {
        let mut reports = Vec::new();
        for (service, name) in SERVICES.iter().enumerate() {
            let sighting = |number: usize, code: usize, at: Timestamp, completeness| Sighting {
                service: name.parse().unwrap(),
                instance: match completeness {
                    Completeness::Claim => "recorded".to_owned(),
                    _ => format!("{name}-{number}"),
                },
                commit: Self::version(service, code).commit,
                observed_at: at,
                source: "kubernetes".to_owned(),
                completeness,
            };
            let back = match self.probes[service] {
                Probe::Lags(moments) => moments.min(self.past.len() - 1),
                _ => 0,
            };
            let truth = match back {
                0 => &self.running[service],
                _ => &self.past[self.past.len() - 1 - back][service],
            };
            let seen = match self.probes[service] {
                Probe::Down | Probe::Empty => 0,
                Probe::Part => truth.len() / 2,
                Probe::Good | Probe::Lags(_) => truth.len(),
            };
            let observed = at(self.clock - MOMENT * i64::try_from(back).unwrap());
            let doubts = match self.probes[service] {
                Probe::Down => vec![Doubt::new("the API server does not answer")],
                Probe::Part => vec![Doubt::new("half of the instances do not answer")],
                _ => Vec::new(),
            };
            let seen = truth[..seen].iter().enumerate();
            reports.push(SourceReport {
                sightings: seen
                    .map(|(number, code)| sighting(number, *code, observed, Completeness::Full))
                    .collect(),
                doubts,
                ..SourceReport::new(name.parse().unwrap(), "kubernetes", Completeness::Full)
            });
            let claim = sighting(0, self.recorded[service], self.now(), Completeness::Claim);
            reports.push(SourceReport {
                sightings: vec![claim],
                ..SourceReport::new(name.parse().unwrap(), "recorded", Completeness::Claim)
            });
        }
        reports
    }

    fn requirements() -> Vec<ServiceRequirement> {
        SERVICES
            .iter()
            .zip(INSTANCES)
            .map(|(service, instances)| ServiceRequirement {
                service: service.parse().unwrap(),
                sources: 2,
                min_instances: u32::try_from(instances * 9 / 10).unwrap(),
                max_age: SignedDuration::from_secs(MAX_AGE),
            })
            .collect()
    }

    /// Looks, and remembers what was seen.
    fn facts(&mut self, candidate: Option<&Version>) -> Facts {
        let fleet = combine(&Self::requirements(), &self.reports(), self.now());
        let known = self.records.iter().rev().find_map(|stored| match &stored.record {
            Record::FleetObserved { fleet, .. } => Some(fleet.versions()),
            _ => None,
        });
        if known != Some(fleet.versions()) {
            self.record(Record::FleetObserved {
                fleet: thinned(&fleet),
                satisfied: Default::default(),
            });
        }
        let history = history(&self.records);
        let mut versions: BTreeSet<Version> = fleet.versions();
        versions.extend(history.sightings.iter().map(Sighting::version));
        versions.extend(candidate.cloned());
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
            containments,
            plans: [(self.plan().id().clone(), self.state())].into(),
            leases: self.leases.clone(),
        }
    }

    fn state(&self) -> PlanState {
        let own: Vec<StoredRecord> = self
            .records
            .iter()
            .filter(|stored| !matches!(stored.record, Record::FleetObserved { .. }))
            .cloned()
            .collect();
        fold(&own)
    }

    fn record(&mut self, record: Record) {
        self.records.push(StoredRecord {
            sequence: i64::try_from(self.records.len()).unwrap(),
            at: self.now(),
            environment: "production".parse().unwrap(),
            plan: Some(self.plan().id().clone()),
            actor: "somebody".to_owned(),
            record,
        });
    }

    // ---- what happens

    fn moment(&mut self) {
        self.clock += MOMENT;
        for service in 0..SERVICES.len() {
            if self.random.u8(0..4) == 0 {
                self.probes[service] = match self.random.u8(0..10) {
                    0 => Probe::Down,
                    1 => Probe::Part,
                    2 => Probe::Empty,
                    // Up to beyond the oldest that counts.
                    3..=5 => Probe::Lags(self.random.usize(1..16)),
                    _ => Probe::Good,
                };
            }
            self.pipeline(service);
        }
        self.operator();
        self.past.push(self.running.clone());
        self.put_to_work();
    }

    /// Everything that runs writes, and then reads.
    fn put_to_work(&mut self) {
        let at_work: Vec<(usize, usize)> = (0..SERVICES.len())
            .flat_map(|service| {
                let codes: BTreeSet<usize> = self.running[service].iter().copied().collect();
                codes.into_iter().map(move |code| (service, code))
            })
            .collect();
        for (service, code) in &at_work {
            self.write(*service, *code);
        }
        for (service, code) in at_work {
            let reads = self.operation.reads(&self.codes[code]);
            if let (true, Some(column)) = (self.operation.role(SERVICES[service]).reads, reads)
                && let Err(error) = self.table.read(column)
            {
                self.fail(&format!("{} {:?}: {error}", SERVICES[service], self.codes[code]));
            }
        }
        // Few rows are enough, and many would take long.
        if self.table.rows.len() > 24 {
            self.table.rows.drain(..12);
        }
    }

    fn write(&mut self, service: usize, code: usize) {
        if !self.operation.role(SERVICES[service]).writes {
            return;
        }
        let code = self.codes[code].clone();
        self.values += 1;
        let value = self.values;
        let columns = self.operation.writes(&code);
        let ignorant = columns.is_empty() && self.operation.unknown_is_zero();
        let row = usize::try_from(value).unwrap() % self.table.rows.len();
        let outcome = self
            .table
            .insert(&columns, value, if ignorant { 0 } else { value })
            .and_then(|()| {
                self.table
                    .update(row, &columns, value, (!ignorant).then_some(value))
            });
        if let Err(error) = outcome {
            self.fail(&format!("{} {code:?}: {error}", SERVICES[service]));
        }
    }

    /// The pipeline of a service goes on with a deployment, or thinks of another one.
    fn pipeline(&mut self, service: usize) {
        let Some(rollout) = self.rollouts[service] else {
            if self.random.u8(0..4) == 0 {
                self.think_of_a_deployment(service);
            }
            return;
        };
        // It dies in the middle, and its lease stays until it ends.
        if self.random.u8(0..25) == 0 {
            self.tell(format!("the pipeline of {} dies", SERVICES[service]));
            self.rollouts[service] = None;
            return;
        }
        let live = self
            .leases
            .iter()
            .any(|lease| lease.id == rollout.lease && lease.is_live(self.now()));
        if !live {
            self.rollouts[service] = None;
            return;
        }
        let count = INSTANCES[service];
        let end = (rollout.next + 1 + self.random.usize(0..count / 2)).min(count);
        self.running[service][rollout.next..end].fill(rollout.code);
        if end < count {
            self.rollouts[service] = Some(Rollout { next: end, ..rollout });
            return;
        }
        self.rollouts[service] = None;
        self.recorded[service] = rollout.code;
        self.leases.retain(|lease| lease.id != rollout.lease);
        self.tell(format!("{} is deployed and recorded", SERVICES[service]));
    }

    fn think_of_a_deployment(&mut self, service: usize) {
        let at_random = self.random.usize(0..INSTANCES[service]);
        let mut code = self.codes[self.running[service][at_random]].clone();
        let own = self.own_code(service);
        let back = self.random.u8(0..5) < 2;
        match self.random.u8(0..6) {
            // Far away: anything that was ever built.
            0 => code = self.codes[self.random.usize(0..self.codes.len())].clone(),
            _ if back => {
                let last = own.iter().rfind(|phase| code.contains(*phase));
                if let Some(last) = last {
                    code.remove(last);
                }
            }
            _ => code.extend(own.iter().find(|phase| !code.contains(*phase)).cloned()),
        }
        code.retain(|phase| own.contains(phase));
        let wanted = self.built(&code);
        if self.ask_to_deploy(service, wanted) {
            self.tally.deployments += u64::from(!back);
            self.tally.rollbacks += u64::from(back);
        }
    }

    /// Asks whether a code may be deployed, and takes the lease.
    fn ask_to_deploy(&mut self, service: usize, code: usize) -> bool {
        let version = Self::version(service, code);
        let facts = self.facts(Some(&version));
        if can_deploy(&version, &self.plans, &facts).verdict() != Verdict::Go {
            self.refused(service);
            return false;
        }
        let id = self.clock * 10 + i64::try_from(service).unwrap();
        self.leases.push(Lease {
            id,
            holder: format!("pipeline of {}", SERVICES[service]),
            revision: version.commit.to_string(),
            versions: [version].into(),
            since: self.now(),
            until: at(self.clock + LEASE),
        });
        self.rollouts[service] = Some(Rollout {
            code,
            next: 0,
            lease: id,
        });
        self.tell(format!(
            "deploying {:?} to {} begins",
            self.codes[code], SERVICES[service]
        ));
        true
    }

    fn refused(&mut self, service: usize) {
        self.tally.refused += 1;
        self.tally.blind += u64::from(self.probes[service] != Probe::Good);
    }

    /// The code phases that concern a service, in order.
    fn own_code(&self, service: usize) -> Vec<PhaseId> {
        let name = SERVICES[service].parse().unwrap();
        self.plan()
            .phases()
            .filter(|phase| phase.kind == PhaseKind::Code && phase.services.include(&name))
            .map(|phase| phase.id.clone())
            .collect()
    }

    fn operator(&mut self) {
        if let Some(busy) = &self.busy {
            if self.clock >= busy.until {
                let well = self.random.u8(0..8) != 0;
                self.finish(well);
            }
            return;
        }
        let (what, which) = (self.random.u8(0..10), self.random.usize(0..3));
        let state = self.state();
        let wanted = |wanted: &dyn Fn(&PhaseKind, &PhaseId) -> bool| -> Vec<PhaseId> {
            self.plan()
                .phases()
                .filter(|phase| phase.kind != PhaseKind::Code && wanted(&phase.kind, &phase.id))
                .map(|phase| phase.id.clone())
                .collect()
        };
        let (work, mut order) = match what {
            0..=5 => (Work::Run, wanted(&|_, id| !state.progress(id).is_done())),
            6 => (Work::Undo, wanted(&|_, id| state.progress(id).may_have_effect())),
            7 => (Work::Verify, wanted(&|kind, _| *kind == PhaseKind::Backfill)),
            8 if matches!(self.operation.kind, Kind::Rename { .. }) => {
                (Work::Restore, vec![self.operation.id("stop-write")])
            }
            _ => return,
        };
        if work == Work::Undo {
            order.reverse();
        }
        if order.is_empty() {
            return;
        }
        let phase = order[which % order.len().min(3)].clone();
        self.begin(&phase, work);
    }

    fn begin(&mut self, phase: &PhaseId, work: Work) -> bool {
        let facts = self.facts(None);
        let Decision::Cleared(clearance) = work.ask(self.plan(), phase, &facts) else {
            self.tally.refused += 1;
            return false;
        };
        self.tell(format!("{work:?} {phase} begins"));
        if work == Work::Run {
            self.is_safe(phase);
        }
        self.tally.phases += u64::from(work == Work::Run);
        self.tally.undone += u64::from(work == Work::Undo);
        if work.is_of_a_phase() {
            self.record(Record::PhaseStarted {
                phase: phase.clone(),
                direction: clearance.direction(),
                digest: clearance.digest().clone(),
                observed_at: clearance.observed_at(),
                fleet: thinned(&facts.fleet),
                judgement: clearance.judgement().clone(),
            });
        }
        if self.random.bool() {
            self.effect(phase, work, true);
        }
        self.busy = Some(Busy {
            phase: phase.clone(),
            work,
            since: self.now(),
            until: self.clock + MOMENT * self.random.i64(1..6),
        });
        true
    }

    /// Holds a phase that was cleared against the fleet as it really is.
    fn is_safe(&mut self, phase: &PhaseId) {
        let above: Vec<_> = self
            .plan()
            .above(phase)
            .filter(|above| above.kind == PhaseKind::Code)
            .map(|above| (above.id.clone(), above.services.clone()))
            .collect();
        for (code_phase, services) in above {
            for (service, name) in SERVICES.iter().enumerate() {
                if !services.include(&name.parse().unwrap()) {
                    continue;
                }
                let lacking = self.running[service]
                    .iter()
                    .filter(|code| !self.codes[**code].contains(&code_phase))
                    .count();
                if lacking > 0 {
                    self.fail(&format!(
                        "{phase} was cleared, but {lacking} instances of {name} lack {code_phase}"
                    ));
                }
            }
        }
    }

    fn effect(&mut self, phase: &PhaseId, work: Work, half: bool) {
        let outcome = work.apply(&self.operation, phase, &mut self.table, half);
        if let Err(error) = outcome {
            self.fail(&format!("{work:?} {phase} was cleared, but fails: {error}"));
        }
    }

    fn finish(&mut self, well: bool) {
        let Some(Busy {
            phase, work, since, ..
        }) = self.busy.take()
        else {
            return;
        };
        self.tell(format!("{work:?} {phase} ends, well: {well}"));
        if !well {
            // Every other time nobody is left to record it.
            if work.is_of_a_phase() && self.random.bool() {
                self.record(work.failed(phase));
            }
            return;
        }
        self.effect(&phase, work, false);
        self.record(work.done(phase, since));
    }

    // ---- the end

    /// All evidence is good from now on, and nobody thinks of anything else: every phase comes to its turn.
    fn come_to_an_end(&mut self) {
        self.tell("all evidence is good".to_owned());
        self.finish(true);
        self.probes = [Probe::Good; 2];
        self.rollouts = [None; 2];
        self.clock += LEASE + 2 * MAX_AGE;
        // What was left half deployed is recorded as what it is, when that is known to be one thing.
        let phases: Vec<(PhaseId, PhaseKind)> = self
            .plan()
            .phases()
            .map(|phase| (phase.id.clone(), phase.kind))
            .collect();
        for (phase, kind) in &phases {
            self.clock += MOMENT;
            if *kind == PhaseKind::Code {
                for service in 0..SERVICES.len() {
                    self.deploy_to_all(service, phase);
                }
            } else if !self.state().progress(phase).is_done() {
                if !self.begin(phase, Work::Run) {
                    self.stuck(phase);
                }
                self.finish(true);
            } else if *kind == PhaseKind::Backfill {
                // Whether it is needed or not: it is never wrong, where the rules permit it.
                if self.begin(phase, Work::Verify) {
                    self.finish(true);
                }
            }
            self.past.push(self.running.clone());
            self.put_to_work();
        }
    }

    fn deploy_to_all(&mut self, service: usize, phase: &PhaseId) {
        let own = self.own_code(service);
        let Some(place) = own.iter().position(|known| known == phase) else {
            return;
        };
        let runs_everywhere = self.running[service]
            .iter()
            .all(|code| self.codes[*code].contains(phase));
        if runs_everywhere {
            return;
        }
        let code: Code = own.into_iter().take(place + 1).collect();
        let code = self.built(&code);
        if !self.ask_to_deploy(service, code) {
            let version = Self::version(service, code);
            let facts = self.facts(Some(&version));
            let judgement = can_deploy(&version, &self.plans, &facts);
            self.fail(&format!(
                "all evidence is good, and {phase} still cannot be deployed to {}: {:#?}",
                SERVICES[service], judgement.reasons
            ));
        }
        self.running[service].fill(code);
        self.recorded[service] = code;
        self.rollouts[service] = None;
        self.leases.clear();
    }

    fn stuck(&mut self, phase: &PhaseId) {
        let facts = self.facts(None);
        let decision = judge(self.plan(), phase, &facts, &BTreeSet::new());
        self.fail(&format!(
            "all evidence is good, and {phase} still may not run: {:?}",
            decision.verdict()
        ));
    }

    fn tell(&mut self, line: String) {
        self.story.push(format!("{:>5} {line}", self.clock));
    }

    fn fail(&self, why: &str) -> ! {
        panic!("{why}\n{}\nprobes: {:?}", self.story.join("\n"), self.probes)
    }
}

/// A fleet with one instance of each version, as far as the rules ask what was seen.
fn thinned(fleet: &shipctl::safety::Fleet) -> shipctl::safety::Fleet {
    let mut fleet = fleet.clone();
    for census in fleet.services.values_mut() {
        let mut seen = BTreeSet::new();
        census
            .sightings
            .retain(|sighting| seen.insert(sighting.version()));
    }
    fleet
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
}
