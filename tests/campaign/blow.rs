//! What befalls a run, and what it may end with then.

use std::process::{Child, Output};
use std::time::{Duration, Instant};

use shipctl::execute::failpoint::Failpoint;

use super::scenario::Station;
use super::world::{SECRET, World, said};

/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(90);

/// What befalls a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    /// Its process is killed.
    Kill,
    /// The server is shut down at once, without a checkpoint.
    Shutdown,
    /// The session that changes things is ended.
    CutWork,
    /// The session that holds the lock is ended.
    CutLock,
    /// The session that looks is ended.
    CutMonitor,
}

impl Blow {
    pub const ALL: [Self; 5] = [
        Self::Kill,
        Self::Shutdown,
        Self::CutWork,
        Self::CutLock,
        Self::CutMonitor,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Shutdown => "shutdown",
            Self::CutWork => "cut work",
            Self::CutLock => "cut lock",
            Self::CutMonitor => "cut watch",
        }
    }

    /// Whether the command has a session of this kind when it comes to this place. The plain runner has none that only
    /// looks; what only asks has one that does everything.
    pub fn can_befall(self, station: &Station, point: Failpoint) -> bool {
        match self {
            Self::Kill | Self::Shutdown => true,
            _ if station.args.first() == Some(&"can-deploy") => false,
            Self::CutWork => !matches!(point, Failpoint::LedgerEnsured | Failpoint::MigratorLocked),
            Self::CutLock => point != Failpoint::LedgerEnsured,
            Self::CutMonitor => station.args.first() != Some(&"migrate"),
        }
    }

    /// The exit codes that may follow, besides the one of an undisturbed run: the connection was lost (5), the database
    /// cannot be reached or what it knows cannot be told (3), the lock was lost (6).
    fn exits(self) -> &'static [i32] {
        match self {
            Self::Kill => &[],
            Self::Shutdown | Self::CutWork | Self::CutMonitor => &[3, 5],
            Self::CutLock => &[3, 5, 6],
        }
    }
}

/// When it befalls it.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// At the nth coming to a place.
    At(Failpoint, u32),
    /// This long after the start.
    After(Duration),
}

/// What came of it.
pub enum Struck {
    /// It did not happen: the run was over before, or there was no such session. The run came to its end.
    No,
    /// It did.
    Yes(Option<Output>),
}

impl World<'_> {
    /// Runs the station's command and lets this befall it. Afterwards the server runs, and the code is deployed.
    ///
    /// # Panics
    /// The run ends with a code that this cannot explain, without a word, with a panic or with a secret in its words.
    pub async fn strike(&mut self, station: &Station, moment: Moment, blow: Blow) -> Struck {
        let folder = tempfile::tempdir().unwrap();
        let mut command = self.command(station.args);
        match (moment, blow) {
            (Moment::At(point, nth), Blow::Kill) => {
                command.env("SHIPCTL_FAILPOINT", format!("{}:{nth}=kill", point.name()));
            }
            (Moment::At(point, nth), _) => {
                let folder = folder.path().display();
                command.env(
                    "SHIPCTL_FAILPOINT",
                    format!("{}:{nth}=hold={folder}", point.name()),
                );
            }
            (Moment::After(_), _) => {}
        }
        let begun = Instant::now();
        let mut child = command.spawn().unwrap();
        loop {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            let is_now = match (moment, blow) {
                // It does that itself.
                (Moment::At(..), Blow::Kill) => false,
                (Moment::At(..), _) => folder.path().join("reached").exists(),
                (Moment::After(time), _) => begun.elapsed() >= time,
            };
            if is_now {
                let happened = self.befall(&mut child, blow).await;
                std::fs::write(folder.path().join("go"), "").unwrap();
                let output = ended(child, station);
                if blow == Blow::Shutdown {
                    self.cluster.restart().unwrap();
                    self.deploy(station).await;
                }
                return self.judged(output, station, blow, happened);
            }
            assert!(begun.elapsed() < PATIENCE, "{:?} hangs", station.args);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let output = child.wait_with_output().unwrap();
        let killed_itself = output.status.code().is_none();
        self.judged(output, station, blow, killed_itself)
    }

    /// Lets it befall the run; whether there was something to befall.
    async fn befall(&self, child: &mut Child, blow: Blow) -> bool {
        // The plain runner does its work on sessions of another name.
        match blow {
            Blow::Kill => child.kill().is_ok(),
            Blow::Shutdown => {
                self.cluster.stop_immediately().unwrap();
                true
            }
            Blow::CutWork => {
                self.terminate("shipctl run").await
                    + self.terminate("shipctl fill").await
                    + self.terminate("shipctl migrate").await
                    > 0
            }
            Blow::CutLock => self.terminate("shipctl lock").await > 0,
            Blow::CutMonitor => self.terminate("shipctl watch").await > 0,
        }
    }

    fn judged(&self, output: Output, station: &Station, blow: Blow, happened: bool) -> Struck {
        let words = said(&output);
        let what = format!("{} {:?}, {}: {words}", self.name, station.args, blow.name());
        assert!(!words.contains(SECRET), "it tells a secret: {what}");
        assert!(!words.contains("panicked"), "{what}");
        match output.status.code() {
            None => {
                assert!(blow == Blow::Kill, "it died: {what}");
                Struck::Yes(None)
            }
            Some(code) if code == station.exit => match happened && blow != Blow::Kill {
                true => Struck::Yes(Some(output)),
                false => Struck::No,
            },
            Some(code) => {
                let explained = happened && blow.exits().contains(&code);
                assert!(explained, "it ended with {code}: {what}");
                assert!(!words.trim().is_empty(), "it ended without a word: {what}");
                Struck::Yes(Some(output))
            }
        }
    }
}

/// Waits for the end of a run that was struck.
fn ended(mut child: Child, station: &Station) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{:?} hangs after it was struck", station.args);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.wait_with_output().unwrap()
}
