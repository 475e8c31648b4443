//! Doing something now and then while work goes on.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often it is told that a statement is still at it, from when it has run for so long.
pub(in crate::execute) const TELL_AFTER: Duration = Duration::from_secs(1);

/// Runs the work to its end, and `look` each time that this much time has passed. A look that is at it when the work ends
/// is dropped.
pub(in crate::execute) async fn ticking<T>(
    work: impl Future<Output = T>,
    every: Duration,
    mut look: impl AsyncFnMut(),
) -> T {
    tokio::pin!(work);
    let mut tick = interval_at(Instant::now() + every, every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = async {
            tick.tick().await;
            look().await;
        };
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = next => {}
        }
    }
}
