//! Exit codes: an interface that pipelines branch on, kept in one place.

use serde::Serialize;

/// How a command ended. The numbers are part of the public interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// 0: go, or done.
    Done,
    /// 1: blocked; something that is known forbids it.
    Blocked,
    /// 2: wrong usage, or a file is invalid.
    Usage,
    /// 3: the evidence is unknown, so the gate stays closed.
    Unknown,
    /// 4: waiting for an approval, a soak or a freeze; try again later.
    Waiting,
    /// 5: execution failed.
    Failed,
    /// 6: another run holds the lock.
    Locked,
    /// 130: interrupted by the user.
    Interrupted,
}

impl Exit {
    /// The process exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Blocked => 1,
            Self::Usage => 2,
            Self::Unknown => 3,
            Self::Waiting => 4,
            Self::Failed => 5,
            Self::Locked => 6,
            Self::Interrupted => 130,
        }
    }
}
