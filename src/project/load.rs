//! Finding and reading `shipctl.toml` (placeholder until the logic lands).

use std::path::Path;

use super::Project;
use crate::domain::{Exit, Problem};

/// Finds `shipctl.toml` in `start` or the nearest folder above it and loads it.
///
/// # Errors
/// No such file; or every problem found in it.
pub fn discover(start: &Path) -> Result<Project, Problem> {
    load(&start.join("shipctl.toml"))
}

/// Loads one `shipctl.toml`.
///
/// # Errors
/// The file cannot be read; or every problem found in it, with its place.
pub fn load(path: &Path) -> Result<Project, Problem> {
    Err(Problem::new(
        Exit::Usage,
        "not-built",
        format!("cannot read {} yet", path.display()),
    ))
}
