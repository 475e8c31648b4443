//! Live traffic: clients with real connections that run a release's SQL and check every answer.
//!
//! The truth is kept outside the database: the last name written for each person, behind a lock that a client holds for
//! the length of one operation. So what one version writes is checked against what another version reads, row by row.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

use super::application::Release;
use crate::domain::{CommitId, Exit, Problem};

/// How many locks the truth is spread over.
const STRIPES: usize = 4096;

/// The name a person is given when the table is filled; SQL says the same in [`fill_sql`].
fn first_name(id: i64) -> String {
    format!("Person {id}")
}

/// Fills the table with people 1 to `rows`.
pub fn fill_sql(rows: u64) -> String {
    format!(
        "INSERT INTO users (name, email) SELECT 'Person ' || n, 'person' || n || '@example.org' \
         FROM generate_series(1, {rows}) AS n"
    )
}

/// What every client knows: the truth, and what was felt so far.
pub struct Shared {
    truth: Vec<Mutex<HashMap<i64, String>>>,
    hasher: RandomState,
    first_rows: i64,
    newest: AtomicI64,
    serial: AtomicU64,
    operations: AtomicU64,
    longest_micros: AtomicU64,
    wrong: AtomicU64,
    lost: AtomicU64,
    errors: AtomicU64,
    error_texts: Mutex<Vec<String>>,
}

/// What the clients felt.
#[derive(Clone, Debug, Default)]
pub struct Felt {
    /// Operations that were answered.
    pub operations: u64,
    /// The longest time that one took.
    pub longest: Duration,
    /// Answers that were not what had last been written.
    pub wrong: u64,
    /// People who were not there any more.
    pub lost: u64,
    /// Operations that failed.
    pub errors: u64,
    /// The first few errors, in words.
    pub error_texts: Vec<String>,
}

impl Shared {
    /// For a table that [`fill_sql`] filled.
    pub fn new(rows: u64) -> Self {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        Self {
            truth: (0..STRIPES).map(|_| Mutex::new(HashMap::new())).collect(),
            hasher: RandomState::new(),
            first_rows: rows,
            newest: AtomicI64::new(rows),
            serial: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            longest_micros: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            error_texts: Mutex::new(Vec::new()),
        }
    }

    /// What has been felt so far.
    pub async fn felt(&self) -> Felt {
        Felt {
            operations: self.operations.load(Ordering::Relaxed),
            longest: Duration::from_micros(self.longest_micros.load(Ordering::Relaxed)),
            wrong: self.wrong.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            error_texts: self.error_texts.lock().await.clone(),
        }
    }

    fn stripe(&self, id: i64) -> &Mutex<HashMap<i64, String>> {
        let at = self.hasher.hash_one(id) % STRIPES as u64;
        &self.truth[usize::try_from(at).unwrap_or(0)]
    }

    fn felt_one(&self, took: Duration) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.longest_micros.fetch_max(micros, Ordering::Relaxed);
    }

    async fn failed(&self, error: &tokio_postgres::Error, doing: &str, release: &Release) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut texts = self.error_texts.lock().await;
        if texts.len() < 5 {
            let what = error
                .as_db_error()
                .map_or_else(|| error.to_string(), |db| db.message().to_owned());
            texts.push(format!("{} ({doing}): {what}", release.name));
        }
    }

    /// Compares the whole table, read as the release reads it, with the truth. Returns (rows expected, lost, wrong).
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn audit(
        &self,
        client: &Client,
        column: &str,
    ) -> Result<(u64, u64, u64), tokio_postgres::Error> {
        let mut expected: HashMap<i64, String> = HashMap::new();
        for id in 1..=self.first_rows {
            expected.insert(id, first_name(id));
        }
        for stripe in &self.truth {
            for (id, name) in stripe.lock().await.iter() {
                expected.insert(*id, name.clone());
            }
        }
        let total = expected.len() as u64;
        let mut wrong = 0;
        for row in client
            .query(&format!("SELECT id, {column} FROM users"), &[])
            .await?
        {
            let id: i64 = row.get(0);
            let name: Option<String> = row.get(1);
            match expected.remove(&id) {
                Some(should_be) if name.as_deref() == Some(should_be.as_str()) => {}
                _ => wrong += 1,
            }
        }
        Ok((total, expected.len() as u64, wrong))
    }
}

/// One instance of a service, running one release.
pub struct Instance {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Instance {
    /// Starts an instance: connects under the service's name and commit, and works until it is stopped.
    ///
    /// # Errors
    /// It cannot connect or prepare its statements.
    pub async fn start(
        url: &str,
        service: &str,
        commit: &CommitId,
        release: Release,
        shared: Arc<Shared>,
    ) -> Result<Self, Problem> {
        let failed = |error: tokio_postgres::Error| {
            Problem::new(
                Exit::Failed,
                "demo-client",
                format!("a client of {service} cannot start: {error}"),
            )
        };
        let mut config: Config = url.parse().map_err(failed)?;
        config.application_name(format!("{service}@{commit}"));
        let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
        let driver = tokio::spawn(async move {
            // An error of the connection reaches the client's next query, which counts it.
            let _ = connection.await;
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                one_operation(&client, &release, &shared).await;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(4..20))).await;
            }
            drop(client);
            let _ = driver.await;
        });
        Ok(Self { stop, task })
    }

    /// Stops it and waits until its connection is closed.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.task.await;
    }
}

async fn one_operation(client: &Client, release: &Release, shared: &Shared) {
    match fastrand::u8(0..10) {
        0 => add(client, release, shared).await,
        1..=4 => rename(client, release, shared).await,
        _ => show(client, release, shared).await,
    }
}

async fn add(client: &Client, release: &Release, shared: &Shared) {
    let serial = shared.serial.fetch_add(1, Ordering::Relaxed);
    let name = format!("Newcomer {serial}");
    let started = Instant::now();
    match client
        .query_one(release.add, &[&name, &format!("newcomer{serial}@example.org")])
        .await
    {
        Ok(row) => {
            shared.felt_one(started.elapsed());
            let id: i64 = row.get(0);
            shared.stripe(id).lock().await.insert(id, name);
            shared.newest.fetch_max(id, Ordering::Relaxed);
        }
        Err(error) => shared.failed(&error, "add", release).await,
    }
}

async fn rename(client: &Client, release: &Release, shared: &Shared) {
    let id = some_person(shared);
    let mut truth = shared.stripe(id).lock().await;
    if id > shared.first_rows && !truth.contains_key(&id) {
        return;
    }
    let name = format!("Renamed {}", shared.serial.fetch_add(1, Ordering::Relaxed));
    let started = Instant::now();
    match client.execute(release.rename, &[&id, &name]).await {
        Ok(changed) => {
            shared.felt_one(started.elapsed());
            if changed == 0 {
                shared.lost.fetch_add(1, Ordering::Relaxed);
            }
            truth.insert(id, name);
        }
        Err(error) => shared.failed(&error, "rename", release).await,
    }
}

async fn show(client: &Client, release: &Release, shared: &Shared) {
    let id = some_person(shared);
    let truth = shared.stripe(id).lock().await;
    let should_be = match truth.get(&id) {
        Some(name) => name.clone(),
        None if id <= shared.first_rows => first_name(id),
        // Its insert has not been noted yet.
        None => return,
    };
    let started = Instant::now();
    match client.query_opt(release.show, &[&id]).await {
        Ok(row) => {
            shared.felt_one(started.elapsed());
            match row.map(|row| row.get::<_, Option<String>>(0)) {
                None => shared.lost.fetch_add(1, Ordering::Relaxed),
                Some(name) if name.as_deref() == Some(should_be.as_str()) => 0,
                Some(_) => shared.wrong.fetch_add(1, Ordering::Relaxed),
            };
        }
        Err(error) => shared.failed(&error, "show", release).await,
    }
}

/// A person, newcomers and those who changed lately more often than the rest, so that what was written is also read.
fn some_person(shared: &Shared) -> i64 {
    let newest = shared.newest.load(Ordering::Relaxed).max(1);
    if fastrand::bool() {
        fastrand::i64(1..=newest)
    } else {
        fastrand::i64((newest - 200).max(1)..=newest)
    }
}
