//! Reading plan files (placeholder until the logic lands).

use std::path::Path;

use super::Plan;
use crate::domain::{Exit, Problem};
use crate::project::Project;

/// Loads the plan with this id, or at this path.
///
/// # Errors
/// No such plan (with the nearest names), or every problem found in it.
pub fn find(project: &Project, id_or_path: &str) -> Result<Plan, Problem> {
    let _ = project;
    Err(Problem::new(
        Exit::Usage,
        "not-built",
        format!("cannot load {id_or_path} yet"),
    ))
}

/// Loads one plan file.
///
/// # Errors
/// The file cannot be read, or every problem found in it, with its place.
pub fn load(project: &Project, path: &Path) -> Result<Plan, Problem> {
    find(project, &path.display().to_string())
}

/// Loads every plan of the project, in order of id.
///
/// # Errors
/// Every problem found in any of them.
pub fn load_all(project: &Project) -> Result<Vec<Plan>, Problem> {
    let _ = project;
    Ok(Vec::new())
}

/// Reads a plan from text (a file not written yet, or one that the ledger stored); `migrations` is the folder
/// in which its migrations are looked up.
///
/// # Errors
/// Every problem found in it, with its place.
pub fn parse(path: &Path, text: &str, migrations: &Path) -> Result<Plan, Problem> {
    let _ = (text, migrations);
    Err(Problem::new(
        Exit::Usage,
        "not-built",
        format!("cannot parse {} yet", path.display()),
    ))
}
