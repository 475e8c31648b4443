//! Asking work to stop, from wherever the request comes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::{Exit, Problem};

/// What the record of a phase says that was stopped by whoever ran it, instead of what failed.
pub const INTERRUPTED: &str = "interrupted";

/// Asks a run to stop: it cancels or finishes the transaction at hand, leaves the ledger in order, and ends with exit
/// code 130. Clones share one request.
#[derive(Clone, Debug)]
pub struct Stop {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Stop {
    /// Nobody has asked to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks to stop.
    pub fn request(&self) {
        self.sender.send_replace(true);
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        *self.sender.borrow()
    }

    /// Returns once somebody has asked.
    pub async fn requested(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.sender.subscribe().wait_for(|asked| *asked).await;
    }

    /// An error if somebody has asked.
    ///
    /// # Errors
    /// `interrupted` (exit 130).
    pub fn check(&self) -> Result<(), Problem> {
        if self.is_requested() {
            Err(interrupted_between())
        } else {
            Ok(())
        }
    }

    /// Sleeps, unless somebody asks to stop meanwhile.
    ///
    /// # Errors
    /// `interrupted` (exit 130).
    pub async fn sleep(&self, duration: Duration) -> Result<(), Problem> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            () = self.requested() => Err(interrupted_between()),
        }
    }
}

/// As [`interrupted`], where nothing was cut off.
fn interrupted_between() -> Problem {
    interrupted().because("no statement was at work just then; what was finished before is recorded")
}

/// The problem that ends an interrupted run: something was at work.
pub fn interrupted() -> Problem {
    Problem::new(Exit::Interrupted, "interrupted", INTERRUPTED)
        .because("the transaction at hand was rolled back; what was finished before is recorded")
        .fix("run the same command again to carry on where it stopped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_interrupts_a_wait_is_not_told_of_a_transaction() {
        let stop = Stop::new();
        stop.request();
        let waited = stop.sleep(Duration::from_secs(60)).await.unwrap_err();
        assert_eq!(waited.exit(), Exit::Interrupted);
        assert!(!waited.to_string().contains("rolled back"), "{waited}");
        assert!(interrupted().to_string().contains("rolled back"));
    }
}
