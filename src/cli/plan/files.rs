//! A plan's files: checked as any other command would read them, and written all of them or none.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use crate::cli::Context;
use crate::domain::{Exit, Problem};
use crate::plan::{self, Plan};
use crate::project::Project;
use crate::recipe::{self, Recipe};
use crate::report::planned;
use crate::sql;

/// The first moment from `now` on at which so many migrations get ids that no other migration has.
pub(super) fn free_moment(
    project: &Project,
    now: Timestamp,
    migrations: usize,
) -> Result<Timestamp, Problem> {
    let taken = sql::names(&project.migrations)?;
    let is_free = |moment: Timestamp| {
        (0..migrations)
            .map(|number| recipe::stamp(moment, number))
            .all(|stamp| !taken.iter().any(|name| name.starts_with(stamp.as_str())))
    };
    let mut moment = now;
    while !is_free(moment) {
        moment = moment
            .checked_add(SignedDuration::from_secs(1))
            .map_err(|error| Problem::new(Exit::Failed, "no-free-moment", error.to_string()))?;
    }
    Ok(moment)
}

/// Checks what a recipe brought forth, writes it and tells about it.
pub(super) fn finish(
    recipe: &Recipe,
    project: &Project,
    dry_run: bool,
    context: &Context,
) -> Result<Exit, Problem> {
    let plan_path = project.plans.join(&recipe.plan_file);
    let mut files = vec![(plan_path.clone(), recipe.plan_text.as_str())];
    for (name, text) in &recipe.migrations {
        files.push((project.migrations.join(name), text.as_str()));
    }
    refuse_to_overwrite(&files, context)?;
    let plan = read_back(recipe, project)?;
    if !dry_run {
        write_all(&files)?;
    }
    let shown: Vec<(String, &str)> = files
        .iter()
        .map(|(path, text)| (context.display_path(path).to_string(), *text))
        .collect();
    planned::show(&context.console, &plan, &shown, &recipe.remarks, dry_run);
    Ok(Exit::Done)
}

fn refuse_to_overwrite(files: &[(PathBuf, &str)], context: &Context) -> Result<(), Problem> {
    let existing: Vec<String> = files
        .iter()
        // A dangling link counts as well: it is there.
        .filter(|(path, _)| path.symlink_metadata().is_ok())
        .map(|(path, _)| context.display_path(path).to_string())
        .collect();
    if existing.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        Exit::Usage,
        "would-overwrite",
        format!("these files exist already: {}", existing.join(", ")),
    )
    .because("a plan that is in use must not be replaced behind its back; nothing was written")
    .fix("remove them if they are leftovers, or give the new plan another id with --id"))
}

/// Reads the plan and its migrations back as any other command would.
pub(super) fn read_back(recipe: &Recipe, project: &Project) -> Result<Plan, Problem> {
    let staged = tempfile::tempdir().map_err(|error| cannot_write(&std::env::temp_dir(), &error))?;
    for (name, text) in &recipe.migrations {
        let path = staged.path().join(name);
        fs::write(&path, text).map_err(|error| cannot_write(&path, &error))?;
    }
    plan::parse(
        &project.plans.join(&recipe.plan_file),
        &recipe.plan_text,
        staged.path(),
    )
}

/// Writes every file under a temporary name first; none stays if one fails.
fn write_all(files: &[(PathBuf, &str)]) -> Result<(), Problem> {
    let mut staged = Vec::new();
    for (path, text) in files {
        staged.push((
            path,
            stage(path, text).map_err(|error| cannot_write(path, &error))?,
        ));
    }
    let mut written: Vec<&PathBuf> = Vec::new();
    for (path, file) in staged {
        if let Err(error) = file.persist_noclobber(path) {
            for done in written {
                // Nothing more can be done if it cannot be removed; the first error is what matters.
                let _ = fs::remove_file(done);
            }
            return Err(cannot_write(path, &error.error));
        }
        written.push(path);
    }
    Ok(())
}

fn stage(path: &Path, text: &str) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".shipctl-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The user's umask takes away from this, as for any new file.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(
        Exit::Failed,
        "cannot-write",
        format!("cannot write {}: {error}", path.display()),
    )
}
