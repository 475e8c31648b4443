//! Places at which the tests end or hold the program: before and after every effect and every record.
//!
//! Debug builds read `SHIPCTL_FAILPOINT`, and reaching a place can only ever stop the process or make it wait; nothing is
//! skipped, opened or answered otherwise. In release builds there is nothing but the list of names.
//!
//! - `NAME=kill` or `NAME:NTH=kill` – the process kills itself with SIGKILL when it reaches the place (for the nth time);
//! - `NAME=hold=FOLDER` or `NAME:NTH=hold=FOLDER` – it writes the file `FOLDER/reached`, and goes on once `FOLDER/go` exists;
//! - `log=FILE` – it appends the name of every place that it reaches, a line each.

/// Makes the enum, the list of all and their names from one list.
macro_rules! failpoints {
    ($($(#[doc = $says:literal])+ $variant:ident = $name:literal,)+) => {
        /// A place in the program, named for what has happened there and what has not yet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Failpoint {
            $($(#[doc = $says])+ $variant,)+
        }

        impl Failpoint {
            /// All of them, in the order in which a run comes by.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in kebab-case, as `SHIPCTL_FAILPOINT` takes it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

failpoints! {
    /// The ledger exists and is up to date; the lock is not taken yet.
    LedgerEnsured = "ledger-ensured",
    /// The run's lock is held; nothing has been looked at.
    RunLocked = "run-locked",
    /// The plan is new or was edited, and is not stored yet.
    PlanRegistering = "plan-registering",
    /// The plan is stored.
    PlanRegistered = "plan-registered",
    /// Everything was looked at; what was seen is not recorded yet.
    FleetSeen = "fleet-seen",
    /// What was seen is recorded.
    FleetRemembered = "fleet-remembered",
    /// Records are written, and not committed yet. Every record that has no statement beside it comes by here.
    RecordsWritten = "records-written",
    /// A phase is cleared; that it starts is not recorded yet.
    PhaseStarting = "phase-starting",
    /// That a phase starts is recorded; nothing has taken effect.
    PhaseStarted = "phase-started",
    /// A step is about to begin its transaction.
    StepBeginning = "step-beginning",
    /// The transaction of a step has begun, with the lock proved to be held.
    StepBegun = "step-begun",
    /// A statement of a step has run in its transaction.
    StatementRan = "statement-ran",
    /// The record of a step is written in its transaction, and not committed yet.
    StepRecorded = "step-recorded",
    /// A step is committed with its record.
    StepCommitted = "step-committed",
    /// A statement that cannot run in a transaction is next; that it begins is not recorded yet.
    IntentRecording = "intent-recording",
    /// That such a statement begins is recorded; it does not run yet.
    IntentRecorded = "intent-recorded",
    /// Such a statement has run; it was not looked yet at what it left.
    LooseStatementRan = "loose-statement-ran",
    /// Such a statement was refused; what it left behind is not cleared away yet.
    LooseStatementRefused = "loose-statement-refused",
    /// Something half-done was found, and is about to be removed.
    LeftoverFound = "leftover-found",
    /// Something half-done was removed.
    LeftoverRemoved = "leftover-removed",
    /// Such a statement took effect, or was found to have; that is not recorded yet.
    OutcomeRecording = "outcome-recording",
    /// That such a statement took effect is recorded.
    OutcomeRecorded = "outcome-recorded",
    /// Such a statement certainly took no effect; that is not recorded yet.
    RefusalRecording = "refusal-recording",
    /// That such a statement took no effect is recorded.
    RefusalRecorded = "refusal-recorded",
    /// A person said what became of such a statement; that is not recorded yet.
    FindingRecording = "finding-recording",
    /// What a person said is recorded.
    FindingRecorded = "finding-recorded",
    /// The session is prepared for a fill; nothing has been read.
    FillPrepared = "fill-prepared",
    /// The ranges of a pass are in the ledger; nobody has begun one.
    FillLaidOut = "fill-laid-out",
    /// The transaction of a batch has begun, and a range is claimed.
    FillBatchBegun = "fill-batch-begun",
    /// The rows of a batch are written, and the cursor is not.
    FillRowsWritten = "fill-rows-written",
    /// The cursor is written with the rows, and the commit is on its way.
    FillCursorSaved = "fill-cursor-saved",
    /// A batch is committed with its cursor.
    FillBatchCommitted = "fill-batch-committed",
    /// That a pass is over is recorded, and its ranges are forgotten.
    FillPassEnded = "fill-pass-ended",
    /// The whole table was verified; what was found is not acted on yet.
    FillVerified = "fill-verified",
    /// Rows that failed the verification were filled on the spot, or are left to the next pass.
    FillRepaired = "fill-repaired",
    /// The table was vacuumed during a fill.
    FillVacuumed = "fill-vacuumed",
    /// All of a phase took effect; that it is finished is not recorded yet.
    PhaseFinishing = "phase-finishing",
    /// That a phase is finished is recorded.
    PhaseFinished = "phase-finished",
    /// A phase ended with an error; that is not recorded yet.
    PhaseFailing = "phase-failing",
    /// That a phase ended with an error is recorded, where it could be.
    PhaseFailed = "phase-failed",
    /// A reason is set aside for verifying or restoring; that is not recorded yet.
    OverrideRecording = "override-recording",
    /// That a reason is set aside for verifying or restoring is recorded.
    OverrideRecorded = "override-recorded",
    /// A tainted backfill was verified again; that is not recorded yet.
    VerificationRecording = "verification-recording",
    /// That a tainted backfill was verified again is recorded.
    VerificationRecorded = "verification-recorded",
    /// Abandoned data was restored; that is not recorded yet.
    RestorationRecording = "restoration-recording",
    /// That abandoned data was restored is recorded.
    RestorationRecorded = "restoration-recorded",
    /// A version may be deployed; the lease is not taken yet.
    LeaseWanted = "lease-wanted",
    /// The lease is written, and not committed yet; no phase can begin.
    LeaseWritten = "lease-written",
    /// The lease is committed.
    LeaseTaken = "lease-taken",
    /// The plain runner holds its lock; the ledger may not exist yet.
    MigratorLocked = "migrator-locked",
    /// The plain runner has seen to the ledger; nothing has run.
    MigratorReady = "migrator-ready",
    /// The transaction of a migration, or of a step of one, has begun.
    MigrationBegun = "migration-begun",
    /// A statement of a migration has run in its transaction.
    MigrationStatementRan = "migration-statement-ran",
    /// The row of a migration is written (or taken away), and nothing else of its record.
    MigrationRowChanged = "migration-row-changed",
    /// The whole record is written in the transaction, and not committed yet.
    MigrationRecorded = "migration-recorded",
    /// A migration, or a step of one, is committed with its record.
    MigrationCommitted = "migration-committed",
    /// A statement that cannot run in a transaction is next; that it begins is not saved yet.
    MigrationIntentSaving = "migration-intent-saving",
    /// That such a statement begins is saved; it does not run yet.
    MigrationIntentSaved = "migration-intent-saved",
    /// Such a statement took effect; that is not saved yet.
    MigrationOutcomeSaving = "migration-outcome-saving",
    /// That such a statement took effect is saved.
    MigrationOutcomeSaved = "migration-outcome-saved",
    /// Such a statement certainly took no effect; that is not saved yet.
    MigrationRefusalSaving = "migration-refusal-saving",
    /// That such a statement took no effect is saved.
    MigrationRefusalSaved = "migration-refusal-saved",
    /// A baseline is written, and not committed yet.
    BaselineRecorded = "baseline-recorded",
    /// A baseline is committed.
    BaselineCommitted = "baseline-committed",
}

/// Says that the program has come to a place. Only debug builds take notice, and only if they are told to.
#[cfg(debug_assertions)]
pub(in crate::execute) async fn reach(point: Failpoint) {
    armed::reach(point).await;
}

/// Says that the program has come to a place, which means nothing in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(in crate::execute) async fn reach(_: Failpoint) {}

#[cfg(debug_assertions)]
mod armed {
    //! What `SHIPCTL_FAILPOINT` asks for.

    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::Failpoint;

    /// How often a held process looks whether it may go on.
    const LOOK_EVERY: Duration = Duration::from_millis(2);
    /// How many times it looks (about two minutes) before it takes its holder for dead, and ends.
    const LOOKS: u32 = 60_000;

    /// What the variable asks for.
    #[derive(Debug, PartialEq, Eq)]
    enum Order {
        /// Notes every place.
        Log(PathBuf),
        /// Does something at the nth coming to one place.
        At { name: String, nth: u32, action: Action },
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Action {
        Kill,
        Hold(PathBuf),
    }

    impl Order {
        /// Reads the variable; `None` where it cannot be understood.
        fn parse(text: &str) -> Option<Self> {
            if let Some(file) = text.strip_prefix("log=") {
                return Some(Self::Log(file.into()));
            }
            let (place, action) = text.split_once('=')?;
            let (name, nth) = match place.split_once(':') {
                Some((name, nth)) => (name, nth.parse().ok().filter(|nth| *nth > 0)?),
                None => (place, 1),
            };
            let is_known = Failpoint::ALL.iter().any(|point| point.name() == name);
            let action = match action.split_once('=') {
                None if action == "kill" => Action::Kill,
                Some(("hold", folder)) => Action::Hold(folder.into()),
                _ => return None,
            };
            is_known.then(|| Self::At {
                name: name.to_owned(),
                nth,
                action,
            })
        }
    }

    pub(super) async fn reach(point: Failpoint) {
        static ORDER: OnceLock<Option<Order>> = OnceLock::new();
        static TIMES: AtomicU32 = AtomicU32::new(0);
        let order = ORDER.get_or_init(|| {
            let text = std::env::var_os("SHIPCTL_FAILPOINT")?;
            let order = text.to_str().and_then(Order::parse);
            // A test that misspells its place would prove nothing.
            Some(order.unwrap_or_else(|| end()))
        });
        match order {
            None => {}
            Some(Order::Log(file)) => log(file, point),
            Some(Order::At { name, nth, action }) => {
                let is_it = name == point.name() && TIMES.fetch_add(1, Ordering::Relaxed) + 1 == *nth;
                match action {
                    _ if !is_it => {}
                    Action::Kill => end(),
                    Action::Hold(folder) => hold(folder).await,
                }
            }
        }
    }

    /// Ends the process as nobody can prevent: no destructor runs, nothing is flushed.
    fn end() -> ! {
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort();
    }

    async fn hold(folder: &Path) {
        if std::fs::write(folder.join("reached"), "").is_err() {
            end();
        }
        for _ in 0..LOOKS {
            if folder.join("go").exists() {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        end();
    }

    fn log(file: &Path, point: Failpoint) {
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
        let written = opened.and_then(|mut file| writeln!(file, "{}", point.name()));
        if written.is_err() {
            end();
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_names_a_place_that_exists_and_can_only_stop() {
            let at = |name: &str, nth, action| {
                let name = name.to_owned();
                Some(Order::At { name, nth, action })
            };
            let hold = Action::Hold("/a=b".into());
            for (text, order) in [
                ("step-begun=kill", at("step-begun", 1, Action::Kill)),
                ("step-begun:3=kill", at("step-begun", 3, Action::Kill)),
                ("step-begun:2=hold=/a=b", at("step-begun", 2, hold)),
                ("log=/a", Some(Order::Log("/a".into()))),
                ("step-begun:0=kill", None),
                ("step-begun", None),
                ("nowhere=kill", None),
                ("step-begun=skip", None),
                ("step-begun=kill=now", None),
            ] {
                assert_eq!(Order::parse(text), order, "{text}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_variants_in_kebab_case() {
        for point in Failpoint::ALL {
            let mut name = String::new();
            for letter in format!("{point:?}").chars() {
                if letter.is_ascii_uppercase() && !name.is_empty() {
                    name.push('-');
                }
                name.push(letter.to_ascii_lowercase());
            }
            assert_eq!(point.name(), name);
        }
    }
}
