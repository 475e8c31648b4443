//! Clients at a fixed rate, whatever happens to them: what they wait counts from the moment at which each operation was
//! due, so that a stall is felt by everything that would have happened in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::Outcome;
use super::figures::Latency;
use super::stage::connect;

/// Operations a second, of all clients.
pub(crate) const RATE: u32 = 400;
/// Connections.
pub(crate) const CLIENTS: u32 = 16;
/// How long an operation that was due may still take once the clients are told to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Clients at work.
pub(crate) struct Traffic {
    started: Instant,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Sample>>>,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
struct Sample {
    due: Duration,
    took: Duration,
    ok: bool,
}

/// A stretch of time, in terms of the traffic's own clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    from: Duration,
    to: Duration,
}

impl Window {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }

    /// From its beginning to the end of a later one.
    pub fn through(&self, later: Self) -> Self {
        Self {
            from: self.from,
            to: later.to,
        }
    }
}

impl Traffic {
    /// Starts the clients on a table with `rows` rows.
    pub async fn start(url: &str, rows: u64) -> Outcome<Self> {
        let mut connected = Vec::new();
        for _ in 0..CLIENTS {
            connected.push(Statements::on(connect(url).await?).await?);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let started = Instant::now();
        let clients = connected
            .into_iter()
            .zip(0..)
            .map(|(statements, number)| {
                let stop = Arc::clone(&stop);
                tokio::spawn(async move { work(&statements, number, rows, started, &stop).await })
            })
            .collect();
        Ok(Self {
            started,
            stop,
            clients,
        })
    }

    /// The clients alone for a while.
    pub async fn alone(&self, length: Duration) -> Window {
        let from = self.started.elapsed();
        tokio::time::sleep(length).await;
        Window {
            from,
            to: self.started.elapsed(),
        }
    }

    /// The clients beside something.
    pub async fn beside<T>(&self, something: impl Future<Output = T>) -> (T, Window) {
        let from = self.started.elapsed();
        let result = something.await;
        let window = Window {
            from,
            to: self.started.elapsed(),
        };
        (result, window)
    }

    /// Lets every operation that is due end, and tells what was felt.
    pub async fn stop(self) -> Outcome<Felt> {
        // Whoever hangs in a stall that just ended has a backlog to work off.
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.stop.store(true, Ordering::Relaxed);
        let mut samples = Vec::new();
        for client in self.clients {
            samples.extend(tokio::time::timeout(PATIENCE, client).await??);
        }
        Ok(Felt { samples })
    }
}

/// Everything that was felt.
pub(crate) struct Felt {
    samples: Vec<Sample>,
}

impl Felt {
    /// What was felt by operations that were due in a window.
    pub fn within(&self, window: Window) -> Latency {
        let inside = |sample: &&Sample| sample.due >= window.from && sample.due < window.to;
        let taken: Vec<Duration> = self.samples.iter().filter(inside).map(|one| one.took).collect();
        let errors = self.samples.iter().filter(inside).filter(|one| !one.ok).count();
        Latency::of(&taken, errors)
    }
}

/// A client's prepared statements.
struct Statements {
    client: Client,
    read: tokio_postgres::Statement,
    write: tokio_postgres::Statement,
}

impl Statements {
    async fn on(client: Client) -> Outcome<Self> {
        let read = client
            .prepare("SELECT visits FROM users WHERE id = $1 FOR UPDATE")
            .await?;
        let write = client
            .prepare("UPDATE users SET visits = $2 WHERE id = $1")
            .await?;
        Ok(Self { client, read, write })
    }

    /// Reads a row, and writes it back changed, in one transaction.
    async fn one(&self, id: i64) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute("BEGIN").await?;
        let result = async {
            let row = self.client.query_one(&self.read, &[&id]).await?;
            let visits: i32 = row.get(0);
            self.client
                .execute(&self.write, &[&id, &visits.wrapping_add(1)])
                .await?;
            self.client.batch_execute("COMMIT").await
        }
        .await;
        if result.is_err() {
            self.client.batch_execute("ROLLBACK").await?;
        }
        result
    }
}

async fn work(
    statements: &Statements,
    number: u32,
    rows: u64,
    started: Instant,
    stop: &AtomicBool,
) -> Vec<Sample> {
    let interval = Duration::from_secs(1) / RATE;
    let mut samples = Vec::new();
    let mut turn = number;
    loop {
        let due = interval * turn;
        let early = due.saturating_sub(started.elapsed());
        if !early.is_zero() {
            if stop.load(Ordering::Relaxed) {
                return samples;
            }
            tokio::time::sleep(early).await;
        }
        let id = i64::try_from(fastrand::u64(1..=rows)).unwrap_or(1);
        let ok = statements.one(id).await.is_ok();
        samples.push(Sample {
            due,
            took: started.elapsed().saturating_sub(due),
            ok,
        });
        turn += CLIENTS;
    }
}
