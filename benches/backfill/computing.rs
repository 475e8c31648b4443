//! Clients beside a program that only computes: what a busy core does to them by itself, whoever keeps it busy.
//!
//! A fill takes a core of the server while it lasts. On a machine with few cores the scheduler then lets clients wait for
//! their turn, and no fill could be felt less than this program is, which touches no database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::Outcome;
use super::figures::{Latency, median};
use super::live::BETWEEN;
use super::options::Options;
use super::stage::Stage;
use super::traffic::Traffic;

/// The clients beside the program, once.
#[derive(Debug, Serialize)]
pub(crate) struct Beside {
    /// The clients alone, just before.
    pub before: Latency,
    /// The clients while the program computed.
    pub during: Latency,
}

impl Beside {
    /// The median of the p99 as a multiple of that of the clients alone just before.
    pub fn p99_ratio(all: &[Self]) -> f64 {
        median(all.iter().map(|one| one.during.p99 / one.before.p99))
    }

    /// What clients felt, as medians.
    pub fn felt(all: &[Self]) -> Latency {
        Latency::median(&all.iter().map(|one| one.during).collect::<Vec<_>>())
    }
}

/// Measures it on a fresh copy of the table.
pub(crate) async fn beside(stage: &Stage, seed: &str, options: &Options) -> Outcome<Beside> {
    let run = stage.copy(seed).await?;
    let traffic = Traffic::start(&run.url, options.live_rows).await?;
    traffic.alone(BETWEEN).await;
    let before = traffic.alone(options.baseline).await;
    let busy = Arc::new(AtomicBool::new(true));
    let program = std::thread::spawn({
        let busy = Arc::clone(&busy);
        move || {
            while busy.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
    });
    let during = traffic.alone(options.baseline).await;
    busy.store(false, Ordering::Relaxed);
    program.join().map_err(|_| "the program that computes failed")?;
    let felt = traffic.stop().await?;
    stage.remove(&run.database).await?;
    Ok(Beside {
        before: felt.within(before),
        during: felt.within(during),
    })
}
