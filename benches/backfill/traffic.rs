//! Clients at a fixed rate, whatever happens to them: what they wait counts from the moment at which each operation was
//! due, so that a stall is felt by everything that would have happened in it.
//!
//! They share the operations as the connections of a pool do: the next that is due goes to whoever is free, and waits for
//! nothing but a free connection. Each has a thread of its own, which sleeps to within a fraction of a millisecond.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::Client;

use super::Outcome;
use super::figures::Latency;
use super::stage::connect;

/// Operations a second, of all clients.
pub(crate) const RATE: u32 = 400;
/// Connections.
pub(crate) const CLIENTS: u32 = 32;

/// Clients at work.
pub(crate) struct Traffic {
    started: Instant,
    turns: Arc<Turns>,
    clients: Vec<JoinHandle<Vec<Sample>>>,
}

/// The operations, each with its number.
struct Turns {
    next: AtomicU32,
    /// The first that is not to be done.
    end: AtomicU32,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
struct Sample {
    due: Duration,
    /// How late the client woke; `None` where none was free in time.
    late: Option<Duration>,
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

    /// A part of it, in seconds from its beginning.
    pub fn part(&self, from: f64, length: f64) -> Self {
        let from = (self.from + Duration::from_secs_f64(from)).min(self.to);
        Self {
            from,
            to: (from + Duration::from_secs_f64(length)).min(self.to),
        }
    }
}

impl Traffic {
    /// Starts the clients on a table with `rows` rows.
    pub async fn start(url: &str, rows: u64) -> Outcome<Self> {
        let url = url.to_owned();
        // A runtime cannot be entered from within another; nor is this a moment's work.
        let connected = tokio::task::spawn_blocking(move || {
            (0..CLIENTS)
                .map(|_| Connection::open(&url))
                .collect::<Outcome<Vec<_>>>()
        })
        .await??;
        let turns = Arc::new(Turns {
            next: AtomicU32::new(0),
            end: AtomicU32::new(u32::MAX),
        });
        let started = Instant::now();
        let clients = connected
            .into_iter()
            .map(|connection| {
                let turns = Arc::clone(&turns);
                std::thread::spawn(move || work(&connection, rows, started, &turns))
            })
            .collect();
        Ok(Self {
            started,
            turns,
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
        // What is due from now on is not done: whoever is behind would not catch up alone.
        let due = self.started.elapsed().as_secs_f64() * f64::from(RATE);
        self.turns.end.store(due as u32, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || {
            let mut samples = Vec::new();
            for client in self.clients {
                samples.extend(client.join().map_err(|_| "a client failed")?);
            }
            Ok(Felt { samples })
        })
        .await?
    }
}

/// Everything that was felt.
pub(crate) struct Felt {
    samples: Vec<Sample>,
}

impl Felt {
    /// What was felt by operations that were due in a window.
    pub fn within(&self, window: Window) -> Latency {
        let inside: Vec<&Sample> = self
            .samples
            .iter()
            .filter(|sample| sample.due >= window.from && sample.due < window.to)
            .collect();
        let taken: Vec<Duration> = inside.iter().map(|one| one.took).collect();
        let late: Vec<Duration> = inside.iter().filter_map(|one| one.late).collect();
        let errors = inside.iter().filter(|one| !one.ok).count();
        Latency::of(&taken, &late, errors)
    }
}

/// A client's session with its prepared statements. Nothing of it runs while the client sleeps.
struct Connection {
    runtime: Runtime,
    client: Client,
    read: tokio_postgres::Statement,
    write: tokio_postgres::Statement,
}

impl Connection {
    fn open(url: &str) -> Outcome<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (client, read, write) = runtime.block_on(async {
            let client = connect(url).await?;
            let read = client
                .prepare("SELECT visits FROM users WHERE id = $1 FOR UPDATE")
                .await?;
            let write = client
                .prepare("UPDATE users SET visits = $2 WHERE id = $1")
                .await?;
            Outcome::Ok((client, read, write))
        })?;
        Ok(Self {
            runtime,
            client,
            read,
            write,
        })
    }

    /// Reads a row, and writes it back changed, in one transaction.
    fn one(&self, id: i64) -> Result<(), tokio_postgres::Error> {
        self.runtime.block_on(async {
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
        })
    }
}

fn work(connection: &Connection, rows: u64, started: Instant, turns: &Turns) -> Vec<Sample> {
    let interval = Duration::from_secs(1) / RATE;
    let mut samples = Vec::new();
    loop {
        let turn = turns.next.fetch_add(1, Ordering::Relaxed);
        if turn >= turns.end.load(Ordering::Relaxed) {
            return samples;
        }
        let due = interval * turn;
        let early = due.saturating_sub(started.elapsed());
        let mut late = None;
        if !early.is_zero() {
            std::thread::sleep(early);
            late = Some(started.elapsed().saturating_sub(due));
        }
        let id = i64::try_from(fastrand::u64(1..=rows)).unwrap_or(1);
        let ok = connection.one(id).is_ok();
        samples.push(Sample {
            due,
            late,
            took: started.elapsed().saturating_sub(due),
            ok,
        });
    }
}
