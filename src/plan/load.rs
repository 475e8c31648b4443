//! Finding and reading plan files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Plan;
use super::raw::read_plan;
use super::validate::{Surroundings, build};
use crate::domain::{Exit, PlanId, Problem, ServiceName, did_you_mean};
use crate::project::Project;
use crate::project::document::{Document, read_text};
use crate::project::reader::Table;

/// Loads the plan with this id, or at this path (as it stands, from the project's folder or from its plans).
///
/// # Errors
/// No such plan (with the nearest names), or every problem found in it.
pub fn find(project: &Project, id_or_path: &str) -> Result<Plan, Problem> {
    load(project, &locate(project, id_or_path)?)
}

/// The file of the plan with this id, or at this path.
///
/// # Errors
/// No such plan, with the nearest names.
pub fn locate(project: &Project, id_or_path: &str) -> Result<PathBuf, Problem> {
    let as_id = id_or_path.parse::<PlanId>().ok();
    let by_id = as_id.map(|id| project.plans.join(format!("{id}.toml")));
    let as_path = Path::new(id_or_path);
    let looks_like_path = id_or_path.ends_with(".toml") || id_or_path.contains(std::path::MAIN_SEPARATOR);
    let by_path = looks_like_path.then(|| {
        [
            project.root.join(as_path),
            project.plans.join(as_path),
            as_path.to_path_buf(),
        ]
    });
    let found = by_id
        .into_iter()
        .chain(by_path.into_iter().flatten())
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        let files = plan_files(project).unwrap_or_default();
        let names: Vec<String> = files.iter().filter_map(|path| stem(path)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let problem = Problem::new(
            Exit::Usage,
            "no-such-plan",
            format!("there is no plan `{id_or_path}`"),
        );
        if names.is_empty() {
            problem
                .because(format!("{} holds no plans", shown(project, &project.plans)))
                .fix("write one with `shipctl plan rename TABLE.COLUMN NEW`")
        } else {
            problem.fix(did_you_mean(id_or_path, &names))
        }
    })
}

/// Loads one plan file.
///
/// # Errors
/// The file cannot be read, or every problem found in it, with its place.
pub fn load(project: &Project, path: &Path) -> Result<Plan, Problem> {
    let name = shown(project, path);
    let text = read_text(path, &name)?;
    let services = project.service_names();
    let expected = (path.parent() == Some(project.plans.as_path()))
        .then(|| stem(path))
        .flatten();
    let reading = Reading {
        name: &name,
        path,
        expected_id: expected.as_deref(),
        migrations: &project.migrations,
        services: Some(&services),
    };
    reading.read(&text)
}

/// Loads every plan of the project, in order of id.
///
/// # Errors
/// Every problem found in any of them.
pub fn load_all(project: &Project) -> Result<Vec<Plan>, Problem> {
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    for path in plan_files(project)? {
        match load(project, &path) {
            Ok(plan) => plans.push(plan),
            Err(problem) => problems.push(problem),
        }
    }
    match Problem::bundle(problems, "several plans are invalid") {
        Some(problem) => Err(problem),
        None => Ok(plans),
    }
}

/// Reads a plan from text (a file not written yet, or one that the ledger stored); `migrations` is the folder
/// in which its migrations are looked up. Which services there are is not checked.
///
/// # Errors
/// Every problem found in it, with its place.
pub fn parse(path: &Path, text: &str, migrations: &Path) -> Result<Plan, Problem> {
    let reading = Reading {
        name: &path.display().to_string(),
        path,
        expected_id: None,
        migrations,
        services: None,
    };
    reading.read(text)
}

/// Every plan file of the project, in order of name. A folder that does not exist holds none.
///
/// # Errors
/// The folder cannot be read.
pub fn plan_files(project: &Project) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::new(
            Exit::Usage,
            "unreadable-folder",
            format!("cannot read {}: {error}", shown(project, &project.plans)),
        )
    };
    let entries = match std::fs::read_dir(&project.plans) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let hidden = stem(&path).is_none_or(|name| name.starts_with('.'));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

struct Reading<'a> {
    name: &'a str,
    path: &'a Path,
    expected_id: Option<&'a str>,
    migrations: &'a Path,
    services: Option<&'a BTreeSet<ServiceName>>,
}

impl Reading<'_> {
    fn read(&self, text: &str) -> Result<Plan, Problem> {
        let document = Document::new(self.name, text);
        let parsed = document.parse(text);
        let raw = read_plan(Table::root(&document, &parsed));
        if let (Some(id), Some(expected)) = (&raw.id, self.expected_id)
            && id.value.as_str() != expected
        {
            document.mistake(
                "id-mismatch",
                format!(
                    "the plan is called `{}`, but its file `{expected}.toml`",
                    id.value
                ),
                id.span.clone(),
                "does not match the file's name",
                format!(
                    "write `id = \"{expected}\"`, or rename the file to {}.toml",
                    id.value
                ),
            );
        }
        let around = Surroundings {
            migrations: self.migrations,
            services: self.services,
        };
        let plan = build(raw, self.path.to_path_buf(), &document, &around);
        match Problem::bundle(
            document.into_problems(),
            format!("{} has several problems", self.name),
        ) {
            Some(problem) => Err(problem),
            None => plan.ok_or_else(|| {
                Problem::new(
                    Exit::Usage,
                    "invalid-plan",
                    format!("{} is not a plan", self.name),
                )
            }),
        }
    }
}

fn stem(path: &Path) -> Option<String> {
    Some(path.file_stem()?.to_str()?.to_owned())
}

fn shown(project: &Project, path: &Path) -> String {
    path.strip_prefix(&project.root)
        .unwrap_or(path)
        .display()
        .to_string()
}
