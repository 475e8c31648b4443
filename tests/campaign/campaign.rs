//! The campaign: scenarios made ready once, then struck again and again, each time from the same beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use shipctl::execute::failpoint::Failpoint;

use super::blow::{Blow, Moment, Struck};
use super::scenario::{self, Scenario, Station};
use super::state::{difference, state};
use super::world::{World, said, start_cluster};

/// The most blows in a row from one beginning, in the random part.
const IN_A_ROW: u32 = 5;
/// How often a command is run again while the server has not seen off the run before it yet.
const RETRIES: u32 = 200;

/// A station with what an undisturbed run makes of it.
pub struct Ready {
    pub station: Station,
    /// The database as it was before.
    snapshot: String,
    /// The failpoints that it comes by, in order.
    pub points: Vec<Failpoint>,
    took: Duration,
    expected: Vec<String>,
}

/// A scenario, ready to be struck.
pub struct Prepared<'c> {
    world: World<'c>,
    pub ready: Vec<Ready>,
}

/// Goes through a scenario undisturbed, and remembers every station. Each of its commands is run twice, and the second time
/// must find everything done.
pub async fn prepare<'c>(cluster: &'c shipctl::postgres::Cluster, scenario: &Scenario) -> Prepared<'c> {
    let mut world = World::new(cluster, scenario).await;
    let folder = tempfile::tempdir().unwrap();
    let mut ready = Vec::new();
    for (number, station) in scenario.stations.iter().enumerate() {
        world.execute(station.before).await;
        world.leave().await;
        let snapshot = format!("{}_{number}", scenario.name);
        if station.disturbed {
            world.keep(&snapshot).await;
        }
        world.deploy(station).await;
        if let Some(point) = station.killed_at {
            let output = world.run(station.args, Some(&format!("{point}=kill")));
            assert!(output.status.code().is_none(), "{}", said(&output));
            continue;
        }
        let (output, points, took) = world.run_noting(station.args, &folder.path().join("points"));
        let what = format!("{} {:?}: {}", scenario.name, station.args, said(&output));
        assert_eq!(output.status.code(), Some(station.exit), "{what}");
        if !station.disturbed {
            continue;
        }
        let expected = state(&world.session().await).await;
        let again = world.run(station.args, None);
        let what = format!("again: {what}\n{}", said(&again));
        assert_eq!(again.status.code(), Some(station.exit), "{what}");
        let difference = difference(&expected, &state(&world.session().await).await);
        assert!(difference.is_empty(), "{what}\n{difference}");
        ready.push(Ready {
            station: *station,
            snapshot,
            points: points.iter().map(|name| point_named(name)).collect(),
            took,
            expected,
        });
    }
    world.leave().await;
    Prepared { world, ready }
}

fn point_named(name: &str) -> Failpoint {
    let found = Failpoint::ALL.iter().find(|point| point.name() == name);
    *found.unwrap()
}

impl Prepared<'_> {
    /// From the station's beginning: lets these blows befall its command, one run after the other, runs it to its end,
    /// and compares. How many blows there were.
    pub async fn withstand(&mut self, station: usize, blows: &[(Moment, Blow)]) -> Vec<Blow> {
        let ready = &self.ready[station];
        let what = format!("{}, {}: {blows:?}", self.world.name, ready.station.title);
        self.world.go_back(&ready.snapshot).await;
        self.world.deploy(&ready.station).await;
        let mut happened = Vec::new();
        let mut is_done = false;
        for (moment, blow) in blows {
            match self.world.strike(&ready.station, *moment, *blow).await {
                Struck::No => is_done = true,
                Struck::Yes(output) => {
                    happened.push(*blow);
                    // Whoever says that all is done must be right.
                    is_done = output.is_some_and(|output| output.status.code() == Some(0));
                }
            }
            if is_done {
                break;
            }
        }
        if !is_done {
            self.finish(station, &what).await;
        }
        self.world.leave().await;
        let found = state(&self.world.session().await).await;
        let difference = difference(&ready.expected, &found);
        assert!(difference.is_empty(), "{what}\n{difference}");
        happened
    }

    /// Runs the command to its end.
    async fn finish(&self, station: usize, what: &str) {
        let Station { args, exit, .. } = self.ready[station].station;
        for _ in 0..RETRIES {
            let output = self.world.run(args, None);
            match output.status.code() {
                Some(code) if code == exit => return,
                Some(6) => tokio::time::sleep(Duration::from_millis(25)).await,
                code => panic!("{what}\nthe run after it: {code:?}\n{}", said(&output)),
            }
        }
        panic!("{what}\nthe lock never comes free");
    }
}

/// A blow at a failpoint of a station.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub scenario: usize,
    pub station: usize,
    pub point: Failpoint,
    pub nth: u32,
    pub blow: Blow,
}

/// Every blow at the first and at the last coming to every failpoint of every station.
pub fn targets(prepared: &[Prepared<'_>], blows: &[Blow]) -> Vec<Target> {
    let mut targets = Vec::new();
    for (scenario, prepared) in prepared.iter().enumerate() {
        for (station, ready) in prepared.ready.iter().enumerate() {
            let distinct: BTreeSet<Failpoint> = ready.points.iter().copied().collect();
            for point in distinct {
                let times = ready.points.iter().filter(|one| **one == point).count();
                let nths: BTreeSet<u32> = [1, u32::try_from(times).unwrap()].into();
                for nth in nths {
                    let possible = blows.iter().filter(|blow| blow.can_befall(&ready.station, point));
                    targets.extend(possible.map(|blow| Target {
                        scenario,
                        station,
                        point,
                        nth,
                        blow: *blow,
                    }));
                }
            }
        }
    }
    targets
}

/// The failpoints that no station comes by.
pub fn not_met(prepared: &[Prepared<'_>]) -> Vec<Failpoint> {
    let met: BTreeSet<Failpoint> = prepared
        .iter()
        .flat_map(|one| &one.ready)
        .flat_map(|ready| ready.points.iter().copied())
        .collect();
    let all = Failpoint::ALL.iter().copied();
    all.filter(|point| !met.contains(point)).collect()
}

/// How many blows fell, by failpoint (`None`: at a random moment) and kind.
#[derive(Default)]
pub struct Tally {
    fallen: BTreeMap<(Option<Failpoint>, Blow), u32>,
    /// Blows at a failpoint that the run did not come by this time, or for which there was no session.
    missed: u32,
}

impl Tally {
    pub fn count(&self) -> u32 {
        self.fallen.values().sum()
    }

    /// The failpoints at which this kind of blow never fell.
    pub fn without(&self, blow: Blow) -> Vec<Failpoint> {
        let fell = |point: &Failpoint| self.fallen.contains_key(&(Some(*point), blow));
        let all = Failpoint::ALL.iter().copied();
        all.filter(|point| !fell(point)).collect()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |f: &mut std::fmt::Formatter<'_>, name: &str, count: &dyn Fn(Blow) -> u32| {
            write!(f, "{name:26}")?;
            for blow in Blow::ALL {
                write!(f, "{:>10}", count(blow))?;
            }
            writeln!(f)
        };
        write!(f, "{:26}", "")?;
        for blow in Blow::ALL {
            write!(f, "{:>10}", blow.name())?;
        }
        writeln!(f)?;
        let at = |point: Option<Failpoint>, blow: Blow| self.fallen.get(&(point, blow)).copied().unwrap_or(0);
        for point in Failpoint::ALL {
            line(f, point.name(), &|blow| at(Some(*point), blow))?;
        }
        line(f, "at a random moment", &|blow| at(None, blow))?;
        line(f, "all", &|blow| {
            let of_kind = self.fallen.iter().filter(|((_, kind), _)| *kind == blow);
            of_kind.map(|(_, count)| count).sum()
        })?;
        write!(f, "{} blows fell, {} missed", self.count(), self.missed)
    }
}

/// What the lanes share.
pub struct Campaign {
    /// Taken from the end.
    targets: Mutex<Option<Vec<Target>>>,
    /// How many blows at random moments are still to fall.
    random: AtomicU32,
    pub tally: Mutex<Tally>,
    seed: u64,
    failed: AtomicBool,
}

impl Campaign {
    pub fn new(seed: u64, random: u32) -> Self {
        Self {
            targets: Mutex::new(None),
            random: AtomicU32::new(random),
            tally: Mutex::new(Tally::default()),
            seed,
            failed: AtomicBool::new(false),
        }
    }

    /// Kills once at every failpoint, in a station that comes by few others. The lanes share the scenarios.
    pub fn run_briefly(&self, lanes: u32) {
        let (scenarios, claimed) = (Mutex::new(scenario::all()), Mutex::new(BTreeSet::new()));
        let next = || scenarios.lock().unwrap().pop();
        self.side_by_side(lanes, async |_| {
            let cluster = start_cluster();
            while let Some(scenario) = next() {
                let mut prepared = [prepare(&cluster, &scenario).await];
                let mut targets = targets(&prepared, &[Blow::Kill]);
                targets.sort_by_key(|target| prepared[0].ready[target.station].points.len());
                for target in targets {
                    if claimed.lock().unwrap().insert(target.point) && !self.has_failed() {
                        self.strike(&mut prepared, target).await;
                    }
                }
            }
        });
    }

    /// Lets blows fall at the targets that `choose` picks once the scenarios are prepared, and at random moments.
    pub fn run(&self, lanes: u32, choose: impl Fn(&[Prepared<'_>]) -> Vec<Target> + Sync) {
        self.side_by_side(lanes, async |lane| self.lane(lane, &choose).await);
    }

    fn side_by_side(&self, lanes: u32, work: impl AsyncFn(u64) + Sync) {
        std::thread::scope(|scope| {
            for lane in 0..lanes {
                let work = &work;
                scope.spawn(move || {
                    let _alarm = Alarm(&self.failed);
                    let runtime = tokio::runtime::Builder::new_multi_thread()
                        .worker_threads(1)
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(work(u64::from(lane)));
                });
            }
        });
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    async fn strike(&self, prepared: &mut [Prepared<'_>], target: Target) {
        let blow = (Moment::At(target.point, target.nth), target.blow);
        let happened = prepared[target.scenario].withstand(target.station, &[blow]).await;
        self.note(Some(target.point), &happened);
    }

    async fn lane(&self, lane: u64, choose: &(impl Fn(&[Prepared<'_>]) -> Vec<Target> + Sync)) {
        let cluster = start_cluster();
        let mut prepared = Vec::new();
        for scenario in scenario::all() {
            prepared.push(prepare(&cluster, &scenario).await);
        }
        self.targets
            .lock()
            .unwrap()
            .get_or_insert_with(|| choose(&prepared));
        while let Some(target) = self.next_target() {
            self.strike(&mut prepared, target).await;
        }
        let mut random = fastrand::Rng::with_seed(self.seed.wrapping_mul(31).wrapping_add(lane));
        loop {
            let wanted = self.random.load(Ordering::Relaxed).min(random.u32(1..=IN_A_ROW));
            if wanted == 0 || self.has_failed() {
                break;
            }
            let scenario = random.usize(..prepared.len());
            let station = random.usize(..prepared[scenario].ready.len());
            let took = prepared[scenario].ready[station].took;
            let blows: Vec<(Moment, Blow)> = (0..wanted)
                .map(|_| {
                    let moment = Moment::After(took.mul_f64(random.f64()));
                    (moment, Blow::ALL[random.usize(..Blow::ALL.len())])
                })
                .collect();
            let happened = prepared[scenario].withstand(station, &blows).await;
            let fell = u32::try_from(happened.len()).unwrap();
            let left = |left: u32| Some(left.saturating_sub(fell));
            let _ = self
                .random
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
            self.note(None, &happened);
        }
    }

    fn next_target(&self) -> Option<Target> {
        if self.has_failed() {
            return None;
        }
        self.targets.lock().unwrap().as_mut().and_then(Vec::pop)
    }

    fn note(&self, point: Option<Failpoint>, happened: &[Blow]) {
        let mut tally = self.tally.lock().unwrap();
        if happened.is_empty() && point.is_some() {
            tally.missed += 1;
        }
        for blow in happened {
            *tally.fallen.entry((point, *blow)).or_default() += 1;
        }
    }
}

/// Tells the other lanes when one fails.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
