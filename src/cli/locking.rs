//! What `run` and `rollback` share about locks that others hold.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use crate::domain::{Exit, LockTimeout, Problem};
use crate::execute::{Cancel, LockPolicy, Wait};
use crate::project::Environment;

/// What is done about locks that others hold.
#[derive(Debug, clap::Args)]
pub(super) struct Locking {
    /// How long a statement waits for its lock at a time, instead of what the plan says: 250ms, 2s; a minute at most
    #[arg(long, value_name = "DURATION")]
    lock_timeout: Option<String>,

    /// Before a strong lock is asked for, wait until those who hold it are gone, without standing in line for it: nobody is
    /// held up meanwhile. For ever, or so long for each statement
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    wait_for_blockers: Option<String>,

    /// End the sessions that keep a statement from its lock once it has been held up for this time (10s): what is at work is
    /// cancelled, what idles in a transaction loses its connection. Written into the audit trail before; needs --reason in a
    /// protected environment
    #[arg(long, value_name = "AFTER", num_args = 0..=1, require_equals = true, default_missing_value = "10s")]
    cancel_blockers: Option<String>,
}

impl Locking {
    /// Whether somebody may be ended, for which there may be a reason.
    pub(super) fn cancels(&self) -> bool {
        self.cancel_blockers.is_some()
    }

    /// What is to be done, with the reason for ending sessions.
    ///
    /// # Errors
    /// A duration that cannot be; no reason in a protected environment.
    pub(super) fn resolve(
        self,
        environment: &Environment,
        reason: Option<String>,
    ) -> Result<LockPolicy, Problem> {
        let Self {
            lock_timeout,
            wait_for_blockers,
            cancel_blockers,
        } = self;
        let timeout = lock_timeout
            .map(|text| {
                text.parse::<LockTimeout>().map_err(|error| {
                    Problem::new(
                        Exit::Usage,
                        "bad-lock-timeout",
                        format!("--lock-timeout: {error}"),
                    )
                })
            })
            .transpose()?;
        let wait = wait_for_blockers
            .map(|text| {
                let limit = (!text.is_empty()).then(|| duration("--wait-for-blockers", &text));
                limit.transpose().map(|limit| Wait { limit })
            })
            .transpose()?;
        let cancel = cancel_blockers
            .map(|text| {
                let after = duration("--cancel-blockers", &text)?;
                if environment.protected && reason.is_none() {
                    return Err(Problem::new(
                        Exit::Usage,
                        "cancel-without-reason",
                        format!(
                            "--cancel-blockers needs a reason: {} is protected",
                            environment.name
                        ),
                    )
                    .because("it ends sessions of others, and the audit trail says why")
                    .fix("add --reason TEXT"));
                }
                Ok(Cancel { after, reason })
            })
            .transpose()?;
        Ok(LockPolicy {
            timeout,
            wait,
            cancel,
        })
    }
}

fn duration(option: &str, text: &str) -> Result<Duration, Problem> {
    let bad = |why: &str| {
        Problem::new(
            Exit::Usage,
            "bad-duration",
            format!("{option}: `{text}` is {why}"),
        )
        .fix("write it as 30s, 10min or 2h")
    };
    let read = text
        .parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .map_err(|_| bad("not a duration"))?;
    if !read.is_positive() {
        return Err(bad("no time at all"));
    }
    Duration::try_from(read).map_err(|_| bad("not a duration"))
}
