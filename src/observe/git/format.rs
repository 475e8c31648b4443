//! The kind of ids a repository uses, found out before it is opened: what reads it here knows SHA-1 only.

use std::path::{Path, PathBuf};

use crate::domain::{Exit, Problem};

/// Refuses a repository whose objects are not named by SHA-1. What cannot be examined is left to the opening, which has
/// its own words for it.
pub(super) fn refuse_other_than_sha1(path: &Path) -> Result<(), Problem> {
    let Some(format) = object_format(path) else {
        return Ok(());
    };
    if format.eq_ignore_ascii_case("sha1") {
        return Ok(());
    }
    Err(Problem::new(
        Exit::Usage,
        "object-format",
        format!(
            "the repository of {} names its objects by {format}",
            path.display()
        ),
    )
    .because("shipctl reads repositories with SHA-1 ids only, so it could not tell what a version contains")
    .fix(
        "name a repository with SHA-1 ids that holds the services' commits (`git init --object-format=sha1`)",
    ))
}

fn object_format(path: &Path) -> Option<String> {
    let folder = git2::Repository::discover_path(path, std::iter::empty::<&Path>()).ok()?;
    // A worktree has a folder of its own, and shares the configuration.
    let common = match std::fs::read_to_string(folder.join("commondir")) {
        Ok(shared) => folder.join(PathBuf::from(shared.trim_end())),
        Err(_) => folder,
    };
    let config = git2::Config::open(&common.join("config")).ok()?;
    config.get_string("extensions.objectformat").ok()
}
