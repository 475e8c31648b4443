//! The program as a child process: what it told, when, and how much memory it took.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Outcome;

/// A run of the program that is under way.
pub(crate) struct Child {
    words: String,
    filling: oneshot::Receiver<()>,
    end: JoinHandle<Outcome<Ended>>,
}

/// How a run of the program ended.
pub(crate) struct Ended {
    /// How it says so itself.
    pub status: ExitStatus,
    /// The events it told, each with the moment at which it came, counted from the start.
    pub events: Vec<(Duration, Value)>,
    /// What it wrote for people.
    pub said: String,
    /// Its greatest resident memory in KiB, where the system tells.
    pub memory_kib: Option<u64>,
}

impl Child {
    /// Starts it; the words are what it is called in messages.
    pub fn start(mut command: Command, words: String) -> Outcome<Self> {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut stderr = child.stderr.take().ok_or("no output")?;
        let (begun, filling) = oneshot::channel();
        let events = std::thread::spawn(move || {
            let mut begun = Some(begun);
            let mut events: Vec<(Duration, Value)> = Vec::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let at = started.elapsed();
                let Ok(event) = serde_json::from_str(&line) else {
                    continue;
                };
                if tells_of(&event, "backfill")
                    && let Some(begun) = begun.take()
                {
                    // Nobody need be waiting.
                    let _ = begun.send(());
                }
                events.push((at, event));
            }
            events
        });
        let said = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let end = tokio::task::spawn_blocking(move || {
            let mut memory_kib = None;
            let status = loop {
                // A high-water mark: the last look before the end is as good as one at the end.
                memory_kib = high_water(child.id()).or(memory_kib);
                if let Some(status) = child.try_wait()? {
                    break status;
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            Ok(Ended {
                status,
                events: events.join().map_err(|_| "a reader failed")?,
                said: said.join().map_err(|_| "a reader failed")?,
                memory_kib,
            })
        });
        Ok(Self { words, filling, end })
    }

    /// Waits until it writes rows, or has ended without.
    pub async fn fills(&mut self) {
        // The sender goes when its output ends.
        let _ = (&mut self.filling).await;
    }

    /// Waits for its end, which has to be a good one.
    pub async fn well(self) -> Outcome<Ended> {
        let words = self.words.clone();
        let ended = self.end().await?;
        if ended.status.success() {
            return Ok(ended);
        }
        Err(ended.failure(&words).into())
    }

    /// Waits for its end.
    pub async fn end(self) -> Outcome<Ended> {
        self.end.await?
    }
}

fn high_water(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn tells_of(event: &Value, activity: &str) -> bool {
    event["event"] == "progress" && event["activity"] == activity
}

impl Ended {
    /// When the fill itself began, from the start of the program, and how long it took: without looking at the fleet and
    /// verifying.
    pub fn fill(&self) -> Option<(Duration, Duration)> {
        let first = |activity: &str| {
            self.events
                .iter()
                .find(|(_, event)| tells_of(event, activity))
                .map(|(at, _)| *at)
        };
        let from = first("backfill")?;
        Some((from, first("verify")?.checked_sub(from)?))
    }

    /// Whether it told of any progress.
    pub fn worked(&self) -> bool {
        self.events.iter().any(|(_, event)| event["event"] == "progress")
    }

    /// How often a lock could not be had in time.
    pub fn lock_retries(&self) -> usize {
        self.events
            .iter()
            .filter(|(_, event)| event["event"] == "lock-retry")
            .count()
    }

    /// That it failed, with the last that it told.
    pub fn failure(&self, words: &str) -> String {
        let last: Vec<String> = self
            .events
            .iter()
            .rev()
            .take(3)
            .map(|(_, event)| event.to_string())
            .collect();
        format!(
            "`shipctl {words}` ended with {}: {}{}",
            self.status,
            self.said,
            last.join("\n")
        )
    }
}
