//! The `shipctl.toml` that a new project begins with.

use crate::domain::ServiceName;

/// What is known of the repository before anything was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaffold {
    /// The service to begin with.
    pub service: ServiceName,
    /// The folder of the migrations, relative to the project, with slashes.
    pub migrations: String,
}

impl Scaffold {
    /// The service's name as the folder suggests it; `web` where its name cannot serve.
    pub fn service_for(folder: &str) -> Option<ServiceName> {
        let lower: String = folder
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        // Connections report it in front of the commit, and PostgreSQL keeps 63 bytes in all.
        let short: String = lower.trim_matches('-').chars().take(22).collect();
        let name = short.trim_matches('-');
        let name = if name.is_empty() { "web" } else { name };
        name.parse().ok()
    }

    /// The commented file.
    pub fn text(&self) -> String {
        let Self { service, migrations } = self;
        format!(
            r#"# What shipctl must know of this repository. Check it with `shipctl check`.

[project]
plans = "plans"                  # release plans: one TOML file each, reviewed like code
migrations = "{migrations}"        # SQL files with `-- UP` and `-- DOWN`
templates = "templates"          # your own checklist templates, if any

# One table for each environment: its database, and the services that use it.
[environments.production]
# A variable, so that no password stands in the repository. PG* variables and ~/.pgpass fill in what is missing.
database = "env:DATABASE_URL"
# Contract phases (those that take something away) need an approval here.
protected = true
# Names of other clients of the database that run no code of yours:
# ignore_services = ["metabase"]

[[environments.production.services]]
name = "{service}"
# Fewer instances than these are taken for a fleet that is not fully seen, and keep gates closed.
min_instances = 1
# What was seen longer ago than this no longer counts.
max_age = "2m"
# How shipctl learns which commit runs. This one reads the names under which the instances connect; have the
# application connect with application_name={service}@<full commit id>.
source = {{ kind = "connections", application_name = "{service}@{{commit}}" }}

# Other ways to tell. Several together go in `sources = [ … ]`.
# source = {{ kind = "http", url = "https://{service}.internal/version", pointer = "/commit", every_address = true }}
# source = {{ kind = "heartbeat", ttl = "1m" }}
# source = {{ kind = "file", path = "deployed.txt", completeness = "full" }}
# source = {{ kind = "command", argv = ["./scripts/deployed", "{service}"], completeness = "full" }}
# source = {{ kind = "git-ref", reference = "deployed/production" }}   # a claim: it can close a gate, not open one
# source = {{ kind = "recorded", max_age = "24h" }}                    # a claim too: `shipctl deployed record`
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::project::parse;

    fn scaffold(folder: &str) -> Scaffold {
        Scaffold {
            service: Scaffold::service_for(folder).unwrap(),
            migrations: "db/migrations".to_owned(),
        }
    }

    #[test]
    fn the_new_file_loads_as_it_is_written() {
        let project = parse(Path::new("/p"), &scaffold("Shop").text()).unwrap();
        assert_eq!(project.migrations, Path::new("/p/db/migrations"));
        assert!(project.warnings.is_empty());
        let services: Vec<String> = project.service_names().iter().map(ToString::to_string).collect();
        assert_eq!(services, ["shop"]);
    }

    #[test]
    fn every_source_it_offers_loads_too() {
        let text = scaffold("shop").text();
        let active = text
            .lines()
            .find(|line| line.starts_with("source ="))
            .unwrap()
            .to_owned();
        let offered: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# ")).collect();
        let offered: Vec<&str> = offered
            .into_iter()
            .filter(|line| line.starts_with("source =") || line.starts_with("ignore_services ="))
            .collect();
        assert_eq!(offered.len(), 7);
        for line in offered {
            let changed = if line.starts_with("source") {
                text.replace(&active, line)
            } else {
                text.replace("protected = true", line)
            };
            assert!(parse(Path::new("/p"), &changed).is_ok(), "{line}");
        }
    }

    #[test]
    fn any_folder_gives_a_service_whose_connections_fit() {
        for (folder, expected) in [
            ("My Shop!", "my-shop"),
            ("...", "web"),
            ("ürlaub", "rlaub"),
            ("a-very-long-name-of-a-service", "a-very-long-name-of-a"),
        ] {
            let scaffold = scaffold(folder);
            assert_eq!(scaffold.service.as_str(), expected);
            assert!(parse(Path::new("/p"), &scaffold.text()).is_ok());
        }
    }
}
