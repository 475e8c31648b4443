//! `--sync`: what keeps two places of the same data in step while old and new code run.

use crate::plan::SyncMode;

/// What keeps both in step.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Sync {
    /// The application writes both for a while
    Code,
    /// A trigger brings what is written to either over to the other
    Trigger,
}

impl From<Sync> for SyncMode {
    fn from(sync: Sync) -> Self {
        match sync {
            Sync::Code => Self::Code,
            Sync::Trigger => Self::Trigger,
        }
    }
}
