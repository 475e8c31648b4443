//! Up, down, baseline: what is to be done, in order, under the runner's lock.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio_postgres::Transaction;

use super::apply::{self, Job, Record};
use super::bookkeeping::{Bookkeeping, Recorded, Style};
use super::overview::{Migration, Overview, State};
use super::progress::{self, Way};
use super::{MigrateEvent, Outcome, Owner};
use crate::domain::{Exit, Problem};
use crate::execute::engine::Finding;
use crate::execute::failpoint::{Failpoint, reach};
use crate::postgres::{ConnectionSettings, LockPatience, RunLock, Session, Stop, describe_error, ledger};
use crate::sql::{self, MigrationFile};

/// How long the second of two runners waits for the first.
const PATIENCE: Duration = Duration::from_secs(30);

/// The plain runner for one database and one folder of migrations.
pub struct Runner<'a> {
    /// How to reach the database.
    pub settings: &'a ConnectionSettings,
    /// Where the migrations are.
    pub folder: &'a Path,
    /// The migrations that plans run, by name.
    pub owners: BTreeMap<String, Owner>,
    /// Who runs it.
    pub actor: &'a str,
    /// How patient it is with locks.
    pub patience: LockPatience,
    /// Asks it to stop.
    pub stop: Stop,
    /// Receives what happens.
    pub events: &'a (dyn Fn(&MigrateEvent<'_>) + Sync),
}

impl Runner<'_> {
    /// Where every migration stands. Changes nothing.
    ///
    /// # Errors
    /// The database cannot be asked; a file is invalid.
    pub async fn overview(&self) -> Result<Overview, Problem> {
        let files = sql::list(self.folder)?;
        let session = Session::open(self.settings, "migrate").await?;
        Overview::read(session.client(), &files, &self.owners).await
    }

    /// Applies what is due, up to and with `to`.
    ///
    /// # Errors
    /// A file is invalid, or another runner is at work: nothing was run. That a migration failed is part of the outcome.
    pub async fn up(&self, to: Option<&str>, finding: Option<Finding>) -> Result<Outcome, Problem> {
        let (lock, overview) = self.begin().await?;
        self.warn(&overview);
        let due = overview.due(to)?;
        for migration in &due {
            if let Some(file) = &migration.file
                && file.up.steps.is_empty()
            {
                return Err(Problem::new(
                    Exit::Usage,
                    "migration-empty",
                    format!("{} holds no statement", migration.name),
                )
                .fix("write its UP side, or delete the file"));
            }
        }
        let mut outcome = Outcome::default();
        for migration in due {
            let Some(file) = &migration.file else { continue };
            if matches!(migration.state, State::Pending) && overview.is_out_of_order(migration) {
                (self.events)(&MigrateEvent::Note(format!(
                    "{} is older than migrations that are applied already; it is applied all the same",
                    migration.name
                )));
            }
            let job = Job {
                name: &file.name,
                way: Way::Up,
                script: &file.up,
                source: &file.up_source,
                finding,
                patience: &self.patience,
                stop: &self.stop,
                events: self.events,
            };
            let record = Applied {
                bookkeeping: &overview.bookkeeping,
                style: overview.style,
                file,
                actor: self.actor,
            };
            match self.timed(&job, &lock, &record).await {
                Ok(duration) => outcome.done.push((migration.clone(), duration)),
                Err(problem) => {
                    outcome.failed = Some(problem);
                    break;
                }
            }
        }
        Ok(outcome)
    }

    /// Undoes the last `steps` migrations, the last applied first. With `force`, also where the file was edited since.
    ///
    /// # Errors
    /// As [`Runner::up`]; a migration cannot be undone (no DOWN side, no file, edited, a plan's): nothing was undone.
    pub async fn down(
        &self,
        steps: usize,
        force: bool,
        finding: Option<Finding>,
    ) -> Result<Outcome, Problem> {
        let (lock, overview) = self.begin().await?;
        let mut outcome = Outcome::default();
        for migration in overview.undoable(steps, force)? {
            let (Some(file), Some(row)) = (&migration.file, &migration.row) else {
                continue;
            };
            let (Some(script), Some(source)) = (&file.down, &file.down_source) else {
                continue;
            };
            let job = Job {
                name: &file.name,
                way: Way::Down,
                script,
                source,
                finding,
                patience: &self.patience,
                stop: &self.stop,
                events: self.events,
            };
            let record = Undone {
                bookkeeping: &overview.bookkeeping,
                row,
                name: &file.name,
            };
            match self.timed(&job, &lock, &record).await {
                Ok(duration) => outcome.done.push((migration.clone(), duration)),
                Err(problem) => {
                    outcome.failed = Some(problem);
                    break;
                }
            }
        }
        Ok(outcome)
    }

    /// Records what is due, up to and with `to`, as applied without running it.
    ///
    /// # Errors
    /// As [`Runner::up`].
    pub async fn baseline(&self, to: Option<&str>) -> Result<Outcome, Problem> {
        let (lock, overview) = self.begin().await?;
        let mut session = Session::open(self.settings, "migrate").await?;
        let transaction = session
            .client_mut()
            .transaction()
            .await
            .map_err(|error| describe_error(&error, "recording migrations"))?;
        lock.assert_held(&transaction).await?;
        let mut outcome = Outcome::default();
        for migration in overview.due(to)? {
            let Some(file) = &migration.file else { continue };
            let record = Applied {
                bookkeeping: &overview.bookkeeping,
                style: overview.style,
                file,
                actor: self.actor,
            };
            record.record(&transaction).await?;
            outcome.done.push((migration.clone(), Duration::ZERO));
        }
        reach(Failpoint::BaselineRecorded).await;
        transaction
            .commit()
            .await
            .map_err(|error| describe_error(&error, "recording migrations"))?;
        reach(Failpoint::BaselineCommitted).await;
        Ok(outcome)
    }

    /// Reads the files before anything else, takes the lock, sees to the ledger, and looks where things stand.
    async fn begin(&self) -> Result<(RunLock, Overview), Problem> {
        let files = sql::list(self.folder)?;
        let subject = "a migration of this database";
        let lock = RunLock::acquire_within(self.settings, subject, &["migrate"], PATIENCE, |holder| {
            (self.events)(&MigrateEvent::Note(format!("waiting for another run: {holder}")));
        })
        .await?;
        reach(Failpoint::MigratorLocked).await;
        let mut session = Session::open(self.settings, "migrate").await?;
        ledger::ensure(&mut session).await?;
        reach(Failpoint::MigratorReady).await;
        let overview = Overview::read(session.client(), &files, &self.owners).await?;
        if let Some(table) = &overview.bookkeeping.left_alone {
            (self.events)(&MigrateEvent::Note(format!(
                "the table {table} has no id, name and applied_at, so it is left alone; migrations are recorded in {}",
                overview.bookkeeping.table()
            )));
        }
        Ok((lock, overview))
    }

    fn warn(&self, overview: &Overview) {
        for migration in &overview.migrations {
            if migration.is_edited() {
                (self.events)(&MigrateEvent::Warning(
                    Problem::warning(
                        "migration-edited",
                        format!("{} was edited after it had been applied", migration.name),
                    )
                    .because("the database has what it said before; the edit is not applied")
                    .fix("put the change into a new migration, and restore the file"),
                ));
            }
        }
    }

    /// Runs one job on a session of its own, so that what it sets does not outlive it.
    async fn timed(&self, job: &Job<'_>, lock: &RunLock, record: &impl Record) -> Result<Duration, Problem> {
        self.stop.check()?;
        (self.events)(&MigrateEvent::Started { name: job.name });
        let started = Instant::now();
        let mut session = Session::open(self.settings, "migrate").await?;
        apply::run(job, &mut session, lock, record).await?;
        let duration = started.elapsed();
        (self.events)(&MigrateEvent::Finished {
            name: job.name,
            duration,
        });
        Ok(duration)
    }
}

impl Overview {
    /// The last `steps` applied migrations, the last first, if every one of them can be undone.
    ///
    /// # Errors
    /// The first one that cannot, and why.
    pub fn undoable(&self, steps: usize, force: bool) -> Result<Vec<&Migration>, Problem> {
        self.order
            .iter()
            .rev()
            .filter_map(|name| {
                self.migrations
                    .iter()
                    .find(|one| one.name == *name && one.is_applied())
            })
            .take(steps)
            .map(|migration| can_be_undone(migration, force).map(|()| migration))
            .collect()
    }
}

fn can_be_undone(migration: &Migration, force: bool) -> Result<(), Problem> {
    let name = &migration.name;
    let refused = |code: &'static str, message: String| Problem::new(Exit::Blocked, code, message);
    if let Some(owner) = &migration.owner {
        return Err(refused("migration-of-plan", format!("{name} belongs to {owner}"))
            .because("whether it may be undone depends on the code that is running")
            .fix(format!("shipctl rollback {} --to PHASE", owner.plan)));
    }
    let Some(file) = &migration.file else {
        return Err(refused(
            "migration-file-missing",
            format!("{name} is applied, but its file is not here"),
        )
        .fix("bring the file back, for example with git checkout"));
    };
    if file.down.is_none() {
        return Err(refused(
            "migration-without-down",
            format!("{name} has no DOWN side, so it cannot be undone"),
        )
        .fix("write one below a line `-- DOWN`; SELECT 1; says that nothing needs to be undone"));
    }
    if migration.is_edited() && !force {
        return Err(refused(
            "migration-edited",
            format!("{name} was edited after it had been applied"),
        )
        .because("its DOWN side may no longer undo what ran")
        .fix("restore the file, or insist with --force"));
    }
    Ok(())
}

/// The record that a migration is applied.
struct Applied<'a> {
    bookkeeping: &'a Bookkeeping,
    style: Style,
    file: &'a MigrationFile,
    actor: &'a str,
}

impl Record for Applied<'_> {
    async fn record(&self, transaction: &Transaction<'_>) -> Result<(), Problem> {
        self.bookkeeping.add(transaction, self.file, self.style).await?;
        progress::clear(transaction, &self.file.name).await?;
        transaction
            .execute(
                "INSERT INTO shipctl.migration_digests (id, name, digest, up_text, down_text, actor)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, digest = EXCLUDED.digest,
                    up_text = EXCLUDED.up_text, down_text = EXCLUDED.down_text, actor = EXCLUDED.actor, recorded_at = now()",
                &[
                    &self.file.id,
                    &self.file.name,
                    &self.file.digest().as_str(),
                    &self.file.up_text,
                    &self.file.down_text,
                    &self.actor,
                ],
            )
            .await
            .map(drop)
            .map_err(|error| describe_error(&error, &format!("recording what {} said", self.file.name)))
    }
}

/// The record that a migration is undone.
struct Undone<'a> {
    bookkeeping: &'a Bookkeeping,
    row: &'a Recorded,
    name: &'a str,
}

impl Record for Undone<'_> {
    async fn record(&self, transaction: &Transaction<'_>) -> Result<(), Problem> {
        self.bookkeeping.remove(transaction, self.row).await?;
        progress::clear(transaction, self.name).await?;
        transaction
            .execute(
                "DELETE FROM shipctl.migration_digests WHERE name = $1",
                &[&self.name],
            )
            .await
            .map(drop)
            .map_err(|error| describe_error(&error, &format!("forgetting what {} said", self.name)))
    }
}
