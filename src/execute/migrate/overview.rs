//! Which migrations there are, and where each stands: files, records and plans laid side by side.

use std::collections::BTreeMap;

use tokio_postgres::GenericClient;

use super::Owner;
use super::bookkeeping::{Bookkeeping, Recorded, Style};
use super::progress::{self, Way};
use crate::domain::{Digest, Exit, Problem};
use crate::postgres::{describe_error, ledger};
use crate::sql::MigrationFile;

/// Where a migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Recorded as applied.
    Applied,
    /// Not applied yet.
    Pending,
    /// Some of its steps took effect, not all: `done` of `of`.
    Interrupted {
        /// How many took effect for certain.
        done: usize,
        /// How many there are; 0 if the file is gone.
        of: usize,
    },
    /// It belongs to a phase of a plan.
    Planned,
}

/// One migration.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// The file; `None` if it is only recorded.
    pub file: Option<MigrationFile>,
    /// When it was applied, as the database writes it.
    pub applied_at: Option<String>,
    /// What it said when shipctl applied it; `None` if something else did.
    pub digest: Option<Digest>,
    /// The phase it belongs to.
    pub owner: Option<Owner>,
    pub(super) row: Option<Recorded>,
}

impl Migration {
    /// Whether it is recorded as applied.
    pub fn is_applied(&self) -> bool {
        self.row.is_some()
    }

    /// Whether the file says something else than what was applied.
    pub fn is_edited(&self) -> bool {
        self.is_applied()
            && match (&self.file, &self.digest) {
                (Some(file), Some(digest)) => file.digest() != *digest,
                _ => false,
            }
    }

    /// Whether it waits to be applied by the plain runner.
    pub fn is_due(&self) -> bool {
        !self.is_applied() && self.owner.is_none() && self.file.is_some()
    }
}

/// Everything there is, in natural order.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The migrations.
    pub migrations: Vec<Migration>,
    /// Where applied ones are recorded.
    pub bookkeeping: Bookkeeping,
    pub(super) style: Style,
    /// The migrations that are applied, the last one last.
    pub(super) order: Vec<String>,
}

impl Overview {
    /// Lays files, records and plans side by side. Changes nothing.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn read(
        client: &impl GenericClient,
        files: &[MigrationFile],
        owners: &BTreeMap<String, Owner>,
    ) -> Result<Self, Problem> {
        let bookkeeping = Bookkeeping::find(client).await?;
        let mut rows: Vec<Option<Recorded>> = Vec::new();
        let recorded = bookkeeping.rows(client).await?;
        let style = bookkeeping.style(&recorded, files);
        rows.extend(recorded.iter().cloned().map(Some));
        let has_ledger = ledger::exists(client).await?;
        let absent = super::absent::owners(client, has_ledger, files).await?;
        let mut digests = if has_ledger {
            digests(client).await?
        } else {
            BTreeMap::new()
        };
        let begun = if has_ledger {
            progress::all(client).await?
        } else {
            Vec::new()
        };

        let mut named_rows: BTreeMap<usize, String> = BTreeMap::new();
        let mut migrations: Vec<Migration> = files
            .iter()
            .map(|file| {
                let at = bookkeeping.row_of(file, &recorded);
                let row = at.and_then(|at| rows.get_mut(at)).and_then(Option::take);
                if let (Some(at), Some(_)) = (at, &row) {
                    named_rows.insert(at, file.name.clone());
                }
                let owner = owners.get(&file.name).or_else(|| absent.get(&file.name)).cloned();
                let interrupted = begun.iter().find(|(name, _, _)| *name == file.name);
                let state = match (interrupted, &row, &owner) {
                    (Some((_, way, progress)), _, _) => State::Interrupted {
                        done: progress.done.len(),
                        of: match way {
                            Way::Up => file.up.steps.len(),
                            Way::Down => file.down.as_ref().map_or(0, |down| down.steps.len()),
                        },
                    },
                    (None, Some(_), _) => State::Applied,
                    (None, None, Some(_)) => State::Planned,
                    (None, None, None) => State::Pending,
                };
                Migration {
                    id: file.id.clone(),
                    name: file.name.clone(),
                    state,
                    applied_at: row.as_ref().and_then(|row| row.applied_at.clone()),
                    digest: digests.remove(&file.name),
                    owner,
                    file: Some(file.clone()),
                    row,
                }
            })
            .collect();
        for (at, row) in rows.into_iter().enumerate() {
            let Some(row) = row else { continue };
            named_rows.insert(at, row.name.clone());
            migrations.push(Migration {
                id: row.id.clone(),
                name: row.name.clone(),
                state: State::Applied,
                file: None,
                applied_at: row.applied_at.clone(),
                digest: digests.remove(&row.name),
                owner: None,
                row: Some(row),
            });
        }
        migrations.sort_by(|a, b| {
            let key = |migration: &Migration| match &migration.file {
                Some(file) => file.name.clone(),
                None if migration.name.starts_with(&migration.id) => migration.name.clone(),
                None => format!("{}_{}", migration.id, migration.name),
            };
            crate::sql::natural_order(&key(a), &key(b))
        });
        Ok(Self {
            migrations,
            bookkeeping,
            style,
            order: named_rows.into_values().collect(),
        })
    }

    /// The migration that a user names: by its name, its file or its id.
    ///
    /// # Errors
    /// There is none, or it is not clear which.
    pub fn find(&self, asked: &str) -> Result<&Migration, Problem> {
        let plain = asked.strip_suffix(".sql").unwrap_or(asked);
        let number = |text: &str| text.trim_start_matches('0').to_owned();
        let numeric = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit());
        self.migrations
            .iter()
            .find(|one| one.name == plain)
            .or_else(|| self.migrations.iter().find(|one| one.id == plain))
            .or_else(|| {
                self.migrations
                    .iter()
                    .find(|one| numeric && number(&one.id) == number(plain))
            })
            .ok_or_else(|| {
                let known: Vec<_> = self
                    .migrations
                    .iter()
                    .rev()
                    .take(5)
                    .map(|one| one.name.as_str())
                    .collect();
                Problem::new(
                    Exit::Usage,
                    "unknown-migration",
                    format!("there is no migration `{asked}`"),
                )
                .fix(if known.is_empty() {
                    "shipctl migrate new NAME makes the first one".to_owned()
                } else {
                    format!("the last ones are: {}", known.join(", "))
                })
            })
    }

    /// The migrations due, up to and with `to`, in order.
    ///
    /// # Errors
    /// As [`Overview::find`].
    pub fn due(&self, to: Option<&str>) -> Result<Vec<&Migration>, Problem> {
        let last = to
            .map(|to| self.find(to))
            .transpose()?
            .map(|one| one.name.clone());
        let mut due = Vec::new();
        for migration in &self.migrations {
            if migration.is_due() {
                due.push(migration);
            }
            if last.as_ref() == Some(&migration.name) {
                break;
            }
        }
        Ok(due)
    }

    /// Whether something that comes after this migration is applied already.
    pub fn is_out_of_order(&self, migration: &Migration) -> bool {
        let mut later = self
            .migrations
            .iter()
            .skip_while(|one| one.name != migration.name)
            .skip(1);
        later.any(Migration::is_applied)
    }
}

async fn digests(client: &impl GenericClient) -> Result<BTreeMap<String, Digest>, Problem> {
    let rows = client
        .query("SELECT name, digest FROM shipctl.migration_digests", &[])
        .await
        .map_err(|error| describe_error(&error, "reading the digests of applied migrations"))?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), Digest::recorded(row.get::<_, String>(1))))
        .collect())
}
