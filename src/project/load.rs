//! Finding and reading `shipctl.toml`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use jiff::SignedDuration;

use super::document::{Document, read_text};
use super::manners::read_manners;
use super::reader::{Placed, Table};
use super::source::read_sources;
use super::{DatabaseSource, Environment, Project, Service, redact};
use crate::domain::{EnvironmentName, Exit, Problem, Secret, ServiceName};

/// The file's name.
pub const FILE_NAME: &str = "shipctl.toml";

/// Finds `shipctl.toml` in `start` or the nearest folder above it, up to the root of the repository (or of the file
/// system, outside of one), and loads it.
///
/// # Errors
/// No such file, and where it was looked for; or every problem found in it.
pub fn discover(start: &Path) -> Result<Project, Problem> {
    let mut looked = Vec::new();
    for folder in start.ancestors() {
        let candidate = folder.join(FILE_NAME);
        if candidate.is_file() {
            return load(&candidate);
        }
        looked.push(folder.display().to_string());
        // `.git` is a file in worktrees and submodules.
        if folder.join(".git").exists() {
            break;
        }
    }
    Err(Problem::new(
        Exit::Usage,
        "no-project",
        format!("there is no {FILE_NAME} here or in a folder above"),
    )
    .because(format!("looked in {}", looked.join(", ")))
    .fix("run `shipctl init` at the root of the repository, or say where it is with -C DIR"))
}

/// Loads one `shipctl.toml`.
///
/// # Errors
/// The file cannot be read; or every problem found in it, with its place.
pub fn load(path: &Path) -> Result<Project, Problem> {
    let text = read_text(path, &path.display().to_string())?;
    let root = path.parent().unwrap_or(Path::new(".")).to_path_buf();
    parse(&root, &text)
}

/// Reads the text of a `shipctl.toml` that lies, or is to lie, in the folder `root`.
///
/// # Errors
/// Every problem found in it, with its place.
pub fn parse(root: &Path, text: &str) -> Result<Project, Problem> {
    // Problems show the lines around them, so they only ever see the text without passwords.
    let document = Document::new(FILE_NAME, &redact::redact(text));
    let parsed = document.parse(text);
    let mut warnings = Vec::new();
    let file = Table::root(&document, &parsed);

    let project = file.table("project");
    let folder = |key: &'static str| -> PathBuf {
        let written = project.as_ref().and_then(|table| {
            let path = table.string(key)?;
            relative(table, key, path)
        });
        root.join(written.unwrap_or_else(|| PathBuf::from(key)))
    };
    let (plans, migrations, templates) = (folder("plans"), folder("migrations"), folder("templates"));
    if let Some(project) = project {
        project.finish();
    }

    let mut environments = BTreeMap::new();
    if let Some(tables) = file.table("environments") {
        for (name, mut table) in tables.named_tables() {
            table.call(format!("environment `{}`", name.value));
            let parsed_name = table.parse_text::<EnvironmentName>("name", &name);
            let environment = read_environment(root, table, &mut warnings, parsed_name.as_ref());
            if let (Some(name), Some(environment)) = (parsed_name, environment) {
                environments.insert(name.value, environment);
            }
        }
    }
    file.finish();

    match Problem::bundle(
        document.into_problems(),
        format!("{FILE_NAME} has several problems"),
    ) {
        Some(problem) => Err(problem),
        None => Ok(Project {
            root: root.to_path_buf(),
            plans,
            migrations,
            templates,
            environments,
            warnings,
        }),
    }
}

/// A path that means the same on every machine.
fn relative(table: &Table<'_, '_>, key: &str, path: Placed<String>) -> Option<PathBuf> {
    let written = PathBuf::from(&path.value);
    let names_something = written.components().any(|part| part != Component::CurDir);
    if path.value.is_empty() || written.is_absolute() || (!names_something && path.value != ".") {
        table.invalid(
            key,
            path.span,
            "a path relative to shipctl.toml is needed",
            format!("write it relative, such as `{key} = \"db/{key}\"`"),
        );
        return None;
    }
    Some(written)
}

fn read_environment(
    root: &Path,
    table: Table<'_, '_>,
    warnings: &mut Vec<Problem>,
    name: Option<&Placed<EnvironmentName>>,
) -> Option<Environment> {
    let document = table.document();
    let database = match table.string("database") {
        Some(written) => {
            let what = format!("the database of {}", table.what());
            read_database(&table, document, "database", &what, written, warnings)
        }
        // The PG* variables decide everything.
        None => DatabaseSource::Literal(Secret::new("")),
    };
    let pgbouncer = table
        .string_or_strings("pgbouncer")
        .unwrap_or_default()
        .into_iter()
        .map(|written| {
            let what = format!("the pgbouncer of {}", table.what());
            read_database(&table, document, "pgbouncer", &what, written, warnings)
        })
        .collect();
    let manners = table
        .table("manners")
        .map(|table| read_manners(&table, warnings))
        .unwrap_or_default();
    let protected = table.boolean("protected").unwrap_or(false);
    let ignore_services = table
        .strings("ignore_services")
        .unwrap_or_default()
        .into_iter()
        .map(|name| name.value)
        .collect();

    let mut services: Vec<Service> = Vec::new();
    let mut seen: BTreeMap<ServiceName, std::ops::Range<usize>> = BTreeMap::new();
    for service in table.tables("services").unwrap_or_default() {
        let span = service.span();
        let Some((service, name_span)) = read_service(root, service) else {
            continue;
        };
        if let Some(first) = seen.get(&service.name) {
            document.report(
                Problem::new(
                    Exit::Usage,
                    "duplicate-service",
                    format!("service `{}` is declared twice in {}", service.name, table.what()),
                )
                .at(document.source(), name_span, "declared again here")
                .at(document.source(), first.clone(), "first declared here")
                .fix("give one of them another name, or put both sources in one `sources = [ … ]`"),
            );
        } else {
            seen.insert(
                service.name.clone(),
                if name_span.is_empty() { span } else { name_span },
            );
        }
        services.push(service);
    }
    table.finish();
    Some(Environment {
        name: name?.value.clone(),
        database,
        protected,
        services,
        ignore_services,
        pgbouncer,
        manners,
    })
}

/// A connection string, or the variable that holds one. `what` it leads to is for people.
pub(super) fn read_database(
    table: &Table<'_, '_>,
    document: &Document,
    key: &'static str,
    what: &str,
    written: Placed<String>,
    warnings: &mut Vec<Problem>,
) -> DatabaseSource {
    match written.value.strip_prefix("env:") {
        Some("") => {
            table.invalid(
                key,
                written.span,
                "no variable is named",
                "write `env:` and the variable's name, such as \"env:DATABASE_URL\"",
            );
            DatabaseSource::Literal(Secret::new(""))
        }
        Some(variable) => DatabaseSource::Variable(variable.to_owned()),
        None => {
            if redact::holds_password(&written.value) {
                warnings.push(
                    Problem::warning("password-in-file", format!("{what} is given with its password"))
                        .because("whoever can read the repository can read it")
                        .at(document.source(), written.span, "a password stands here")
                        .fix(
                            "write \"env:\" and the name of a variable, or leave the password to PGPASSWORD or ~/.pgpass",
                        ),
                );
            }
            DatabaseSource::Literal(Secret::new(written.value))
        }
    }
}

fn read_service(root: &Path, mut table: Table<'_, '_>) -> Option<(Service, std::ops::Range<usize>)> {
    let name = table.required_string("name", "name = \"web\"");
    if let Some(name) = &name {
        table.call(format!("service `{}`", name.value));
    }
    let name = name.and_then(|name| table.parse_text::<ServiceName>("name", &name));
    let min_instances = table.number("min_instances", 1).map_or(1, |number| number.value);
    let max_age = table.duration("max_age").unwrap_or(SignedDuration::from_mins(2));
    let repository = table.string("repository").and_then(|path| {
        if path.value.is_empty() {
            table.invalid(
                "repository",
                path.span,
                "no path is given",
                "write a path such as `repository = \"../worker\"`",
            );
            return None;
        }
        Some(root.join(path.value))
    });
    let sources = read_sources(&table);
    table.finish();
    let name = name?;
    Some((
        Service {
            name: name.value,
            min_instances,
            max_age,
            repository,
            sources,
        },
        name.span,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::SourceKind;

    fn codes(text: &str) -> Vec<&'static str> {
        let problem = parse(Path::new("/project"), text).unwrap_err();
        match problem.related() {
            [] => vec![problem.code()],
            related => related.iter().map(Problem::code).collect(),
        }
    }

    #[test]
    fn the_whole_file_is_read() {
        let project = parse(
            Path::new("/project"),
            r#"
            [project]
            migrations = "db/migrations"

            [environments.production]
            database = "env:DATABASE_URL"
            protected = true
            ignore_services = ["metabase"]

            [[environments.production.services]]
            name = "web"
            min_instances = 2
            max_age = "10min"
            source = { kind = "connections", application_name = "web@{commit}" }

            [[environments.production.services]]
            name = "worker"
            repository = "../worker"
            sources = [
                { kind = "http", url = "https://worker/version", pointer = "/git/commit", timeout = "1s" },
                { kind = "recorded", max_age = "7d" },
            ]

            [environments.staging]
            "#,
        )
        .unwrap();
        assert_eq!(project.plans, Path::new("/project/plans"));
        assert_eq!(project.migrations, Path::new("/project/db/migrations"));
        let production = &project.environments[&"production".parse().unwrap()];
        assert!(production.protected && production.ignore_services.contains("metabase"));
        let [web, worker] = production.services.as_slice() else {
            panic!("two services were declared")
        };
        assert_eq!(
            (web.min_instances, web.max_age),
            (2, SignedDuration::from_mins(10))
        );
        assert_eq!(
            worker.repository.as_deref(),
            Some(Path::new("/project/../worker"))
        );
        assert_eq!(worker.sources[0].timeout, SignedDuration::from_secs(1));
        assert!(matches!(
            worker.sources[1].kind,
            SourceKind::Recorded { max_age } if max_age == SignedDuration::from_hours(7 * 24)
        ));
        let staging = &project.environments[&"staging".parse().unwrap()];
        assert!(matches!(&staging.database, DatabaseSource::Literal(text) if text.reveal().is_empty()));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let text = r#"
            [projekt]
            [environments.production]
            databse = "postgres://app:hunter2@db/prod"
            protected = "yes"
            [[environments.production.services]]
            name = "web"
            min_instances = 0
            max_age = "soon"
            source = { kind = "conections" }
            [[environments.production.services]]
            name = "web"
            source = { kind = "http", url = "web.internal", every_adress = true }
        "#;
        let found = codes(text);
        assert_eq!(
            found,
            [
                "unknown-key",
                "unknown-key",
                "wrong-type",
                "invalid-value",
                "invalid-value",
                "invalid-value",
                "duplicate-service",
                "invalid-value",
                "unknown-key"
            ]
        );
        let problem = parse(Path::new("/project"), text).unwrap_err();
        let shown = format!("{:?}", miette::Report::new(problem));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("`min_instances`"), "{shown}");
    }

    #[test]
    fn sources_with_several_parts_are_read() {
        let text = |source: &str| {
            format!(
                "[environments.a]\npgbouncer = [\"env:ONE\", \"env:TWO\"]\n\
                 [[environments.a.services]]\nname = \"web\"\nsource = {{ {source} }}\n"
            )
        };
        let pods = "kind = \"kubernetes\", selector = \"app=web\", namespace = \"shop\"";
        let read = |source: &str| parse(Path::new("/project"), &text(source)).unwrap();
        let project = read(&format!(
            "{pods}, commit = {{ image_tag = \"app\", pattern = \"sha-{{commit}}\" }}, samples = 5, over = \"2m\""
        ));
        let environment = &project.environments[&"a".parse().unwrap()];
        assert_eq!(environment.pgbouncer.len(), 2);
        let source = &environment.services[0].sources[0];
        let drain = source.drain.as_ref().unwrap();
        assert_eq!((drain.samples, drain.over), (5, SignedDuration::from_mins(2)));
        assert!(matches!(
            &source.kind,
            SourceKind::Kubernetes(pods)
                if pods.commit == crate::project::PodCommit::ImageTag {
                    container: "app".to_owned(),
                    pattern: "sha-{commit}".to_owned(),
                }
        ));

        for (source, found) in [
            (format!("{pods}, commit = {{}}"), "missing-key"),
            (
                format!("{pods}, commit = {{ label = \"a\", annotation = \"b\" }}"),
                "invalid-value",
            ),
            (
                format!("{pods}, commit = {{ image_tag = \"app\", pattern = \"latest\" }}"),
                "invalid-value",
            ),
            (
                format!("{pods}, commit = {{ label = \"a\", pattern = \"v{{commit}}\" }}"),
                "misplaced-key",
            ),
            ("kind = \"heartbeat\", samples = 5".to_owned(), "missing-key"),
            (
                "kind = \"heartbeat\", samples = 1, over = \"1m\"".to_owned(),
                "invalid-value",
            ),
            (
                "kind = \"recorded\", samples = 3, over = \"1m\"".to_owned(),
                "misplaced-key",
            ),
        ] {
            let problems = codes(&text(&source));
            assert!(problems.contains(&found), "{source}: {problems:?}");
        }
    }

    #[test]
    fn broken_toml_points_at_the_place() {
        assert_eq!(codes("[project]\nplans = \n"), ["invalid-toml"]);
    }

    #[test]
    fn a_password_in_the_file_is_remarked_on_and_not_shown() {
        let project = parse(
            Path::new("/project"),
            "[environments.a]\ndatabase = \"postgres://app:hunter2@db/prod\"\n",
        )
        .unwrap();
        let [warning] = project.warnings.as_slice() else {
            panic!("one warning was expected")
        };
        assert!(!format!("{:?}", miette::Report::new(warning.clone())).contains("hunter2"));
    }
}
