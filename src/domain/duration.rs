//! Durations as people read them.

use jiff::SignedDuration;

/// A duration in its largest unit: `42s`, `3m`, `5h`, `2d`.
pub fn rough(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().unsigned_abs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
